"""The lock of an image: what it holds, how it is read, how it is updated, and what drift is."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.finding import LOCK_DRIFT, Lock, Standing
from attest.core.imagefacts import PlatformFacts, Sizes
from attest.core.imagelock import (
    EVERY_PART,
    ContractLock,
    Drift,
    ImageLock,
    LockedContract,
    Part,
    compare,
    lock_document,
    lock_json,
    lock_schema,
    make_lock,
    read_lock,
    update_lock,
)
from attest.core.jsonpointer import pointer
from attest.core.locked import CHANGING_LABELS
from attest.core.oci import Platform
from attest.core.packagechange import package_changes, parse_purl
from attest.core.reference import digest_of
from attest.errors import DocumentInvalid, Undecided, UsageError
from tests.core.make_image import Layer, dpkg, image, whole
from tests.layerstacks import File

CONTRACT = LockedContract(name="python-web", digest=digest_of(b"contract"))
CAPABILITY = {"SCHILY.xattr.security.capability": "\1\0\0\2\0\4\0\0" + "\0" * 12}
BASE: Layer = (
    "ADD base",
    [dpkg(libc="2.36", zlib="1.2"), File("bin/sh", b"sh", mode=0o755), File("bin/su", b"su", mode=0o4755)],
)
APP: Layer = ("COPY app /srv/app", [File("srv/app", b"application", mode=0o755)])
CONFIG = {
    "User": "app",
    "Entrypoint": ["/srv/app"],
    "WorkingDir": "/srv",
    "StopSignal": "SIGTERM",
    "Env": ["PATH=/bin", "MODE=production"],
    "ExposedPorts": {"8080/tcp": {}},
    "Volumes": {"/data": {}},
    "Labels": {"team": "plex", "org.opencontainers.image.revision": "4a0d2f6"},
    "Healthcheck": {"Test": ["CMD", "/srv/app", "--check"], "Interval": 30_000_000_000},
}
STEPS = (
    "/bin/sh -c #(nop) USER app",
    "ENV PATH=/bin MODE=production",
    "EXPOSE map[8080/tcp:{}]",
    "VOLUME [/data]",
)
GOOD = image(BASE, APP, config=CONFIG, steps=STEPS)


def lock(*platforms: PlatformFacts) -> ContractLock:
    """The lock of an image of these platforms; of the good one without any."""
    return make_lock(whole(*(platforms or (GOOD,))), contract=CONTRACT)


def drift(after: PlatformFacts, before: PlatformFacts = GOOD, **more: Any) -> list[Drift]:
    """How an image differs from the lock of another."""
    return list(compare(lock(before), whole(after), **more))


def only(found: list[Drift]) -> Drift:
    """The one difference that there is."""
    assert len(found) == 1, [each.message for each in found]
    return found[0]


def told(found: Drift) -> tuple[str, str, str]:
    """What people see of it: what happened, the sentence, and the layer and step."""
    return found.kind.value, found.message, str(found.origin)


# ---- the document


def test_what_is_locked() -> None:
    """The document holds configuration, base, packages, set-id files, executables and sizes, and nothing of a build."""
    document = lock_document(lock())
    assert document["schema"] == "attest.contract-lock/v1"
    assert document["contract"] == {"name": "python-web", "digest": CONTRACT.digest}
    (name, platform), *_ = document["platforms"].items()
    assert name == "linux/amd64"
    assert platform == {
        "base": {"name": None, "digest": None, "diff_ids": None},
        "config": {
            "user": "app",
            "entrypoint": ["/srv/app"],
            "cmd": None,
            "workdir": "/srv",
            "stop_signal": "SIGTERM",
            "env": {"PATH": "/bin", "MODE": "production"},
            "exposed_ports": ["8080/tcp"],
            "volumes": ["/data"],
            "healthcheck": {
                "test": ["CMD", "/srv/app", "--check"],
                "interval": 30_000_000_000,
                "timeout": 0,
                "start_period": 0,
                "start_interval": 0,
                "retries": 0,
            },
            "labels": {"team": "plex"},
            "on_build": [],
            "shell": None,
        },
        "executables": ["/bin/sh", "/bin/su", "/srv/app"],
        "packages": ["pkg:deb/debian/libc@2.36?arch=amd64", "pkg:deb/debian/zlib@1.2?arch=amd64"],
        "setid": {"/bin/su": {"mode": "4755", "uid": 0, "gid": 0, "capabilities": None}},
        "size": dataclasses.asdict(GOOD.sizes),
    }


def test_the_same_image_has_the_same_lock() -> None:
    """The bytes do not depend on the order of a configuration, on digests, times or labels of a build."""
    reordered = {
        **dict(reversed(CONFIG.items())),
        "Env": list(reversed(CONFIG["Env"])),  # type: ignore[call-overload]
        "Labels": {"org.opencontainers.image.revision": "another", "team": "plex"},
    }
    again = image(BASE, APP, config=reordered)
    assert again.config_digest != GOOD.config_digest
    content = lock_json(lock())
    assert lock_json(lock(again)) == content
    assert content.endswith(b"}\n")
    assert content.isascii()
    assert json.dumps(json.loads(content), indent=2, sort_keys=True).encode() + b"\n" == content


@pytest.mark.parametrize("label", sorted(CHANGING_LABELS))
def test_labels_that_differ_from_build_to_build_are_left_out(label: str) -> None:
    """No label that every build changes is in the lock; the base's claims stand in the part of the base."""
    labelled = image(BASE, config={"Labels": {label: "x"}})
    platform = lock(labelled).platforms["linux/amd64"]
    assert platform.config.labels == {}
    assert [platform.base.name, platform.base.digest].count("x") == label.startswith("org.opencontainers.image.base.")


def test_a_variable_that_stands_twice_keeps_both_values() -> None:
    """Runtimes differ in which of two values a program gets, so both are locked, and either one's change is drift."""
    twice = image(BASE, config={"Env": ["A=1", "B=", "A=2"]})
    assert lock(twice).platforms["linux/amd64"].config.env == {"A": ("1", "2"), "B": ""}
    found = only(drift(image(BASE, config={"Env": ["A=2", "B="]}), twice))
    assert (found.expected, found.actual) == (["1", "2"], "2")


def test_the_document_obeys_its_schema_and_reads_back() -> None:
    """What is written obeys the published schema, and is read as what it was."""
    made = make_lock(whole(GOOD, image(BASE, platform="linux/arm64")), contract=CONTRACT)
    jsonschema.validate(lock_document(made), lock_schema(), cls=jsonschema.Draft202012Validator)
    jsonschema.Draft202012Validator.check_schema(lock_schema())
    assert read_lock(lock_json(made), file="contract.lock.json") == made
    assert list(made.platforms) == ["linux/amd64", "linux/arm64"]


def edited(*steps: str | int, to: Any) -> bytes:
    """The document with one member changed."""
    document = lock_document(lock())
    here: Any = document
    for step in steps[:-1]:
        here = here[step]
    here[steps[-1]] = to
    return json.dumps(document).encode()


P = ("platforms", "linux/amd64")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is no lock: "),
        (b'{"a": 1, "a": 2}', "it is no lock: the key 'a' stands twice"),
        (b"[]", "the member `schema` is not"),
        (edited("schema", to="attest.contract-lock/v2"), "the member `schema` is not"),
        (edited("more", to=1), "/more: "),
        (edited("platforms", to={}), "/platforms: "),
        (edited("contract", "digest", to="sha256:0"), "/contract/digest: "),
        (edited(*P, "extra", to=1), "/platforms/linux~1amd64/extra: "),
        (edited(*P, "size", "compressed", to="1"), "/platforms/linux~1amd64/size/compressed: "),
        (edited(*P, "size", "compressed", to=-1), "/platforms/linux~1amd64/size/compressed: "),
        (edited(*P, "packages", to=["pkg:deb/nano"]), "/platforms/linux~1amd64/packages/0: "),
        (edited(*P, "packages", to=["pkg:deb/b@1", "pkg:deb/a@1"]), "it is not sorted"),
        (edited(*P, "executables", to=["/a", "/a"]), "it is not sorted, or names something twice"),
        (edited(*P, "setid", "/bin/su", "mode", to="755"), "/setid/~1bin~1su/mode: "),
        (edited(*P, "config", "user", to=None), "/config/user: "),
    ],
)
def test_what_is_no_lock_is_refused(content: bytes, problem: str) -> None:
    """A document that is broken, of another version, incomplete or edited by hand is an error that names the place."""
    with pytest.raises(DocumentInvalid) as raised:
        read_lock(content, file="app.lock.json")
    assert raised.value.message.startswith("app.lock.json: ")
    assert problem in raised.value.message
    assert raised.value.hint is not None


def test_a_missing_member_is_refused() -> None:
    """Every member of the document has to be there; one that was taken out is not taken for an empty one."""
    document = lock_document(lock())
    for member in document["platforms"]["linux/amd64"]:
        platform = {key: value for key, value in document["platforms"]["linux/amd64"].items() if key != member}
        with pytest.raises(DocumentInvalid, match=f"/platforms/linux~1amd64/{member}: "):
            read_lock(json.dumps({**document, "platforms": {"linux/amd64": platform}}).encode(), file="l")


# ---- what cannot be locked


def broken(database: bytes = b"no database") -> PlatformFacts:
    """An image whose packages nobody can tell."""
    return image(BASE, ("RUN break", [File("var/lib/dpkg/status", database)]))


def test_what_cannot_be_read_is_not_locked() -> None:
    """With a database of packages that nobody can read there is no lock, and no packages are compared."""
    with pytest.raises(Undecided, match=r"linux/amd64: the packages in /var/lib/dpkg/status cannot be read"):
        lock(broken())
    with pytest.raises(Undecided, match="packages in /var/lib/dpkg/status"):
        drift(broken())
    assert all(each.part is not Part.PACKAGES for each in drift(broken(), parts=EVERY_PART - {Part.PACKAGES}))


def test_what_no_container_sees_may_be_unreadable() -> None:
    """A broken database that a later layer replaced is no reason to refuse: the lock has what a container sees."""
    mended = image(("ADD", [File("var/lib/dpkg/status", b"broken")]), ("RUN mend", [dpkg(libc="2.36")]))
    assert mended.unread
    assert lock(mended).platforms["linux/amd64"].packages == ("pkg:deb/debian/libc@2.36?arch=amd64",)


def test_one_platform_twice_is_not_locked() -> None:
    """An index with two images for one platform cannot be compared with another build, and is refused."""
    with pytest.raises(Undecided, match="has a platform twice"):
        lock(GOOD, image(BASE))


# ---- drift


def test_an_image_does_not_drift_from_its_own_lock() -> None:
    """An image compared with the lock that was made of it has no drift, its size included."""
    assert drift(GOOD, contract=CONTRACT, size_fits=lambda _, before, after: before == after) == []


def test_a_new_package_is_named_with_layer_and_step() -> None:
    """One more package is drift that names the package, its version, and the layer and build step that brought it."""
    more = image(BASE, APP, ("RUN apt-get install nano", [dpkg(libc="2.36", zlib="1.2", nano="7.2-1")]), config=CONFIG)
    found = only(drift(more))
    assert told(found) == (
        "added",
        "package nano 7.2-1 is new",
        f"layer 2 {more.layers[2].digest}: RUN apt-get install nano",
    )
    assert (found.pointer, found.place) == ("/platforms/linux~1amd64/packages/-", "/packages/pkg:deb/debian/nano")
    assert (found.expected, found.actual) == (None, "pkg:deb/debian/nano@7.2-1?arch=amd64")
    assert found.package is not None
    assert found.package.versions == (None, "7.2-1")


def test_a_removed_and_an_updated_package() -> None:
    """Another version is one change with both versions; a package that is gone names the layer that removed it."""
    other = image(BASE, ("RUN apt-get upgrade", [dpkg(libc="2.37")]), APP, config=CONFIG)
    changed, removed = drift(other)
    step = f"layer 1 {other.layers[1].digest}: RUN apt-get upgrade"
    assert told(changed) == ("changed", "package libc was 2.36 and is 2.37", step)
    assert told(removed) == ("removed", "package zlib 1.2 is gone", step)
    assert [each.pointer.rpartition("/")[2] for each in (changed, removed)] == ["0", "1"]


def test_a_package_that_was_never_there_has_no_layer() -> None:
    """A package that is in no layer of the new image is gone by nobody's doing there."""
    never = image(("ADD base", [dpkg(libc="2.36"), *BASE[1][1:]]), APP, config=CONFIG)
    found = only(drift(never))
    assert told(found) == ("removed", "package zlib 1.2 is gone", "None")


def test_set_id_files() -> None:
    """Another mode, another owner, a capability: each is drift, with the layer that wrote the file last."""
    changes = (
        "RUN chmod",
        [
            File("bin/su", b"su", mode=0o4755, uid=7),
            File("bin/ping", b"ping", mode=0o644, pax=CAPABILITY),
        ],
    )
    found = {each.place: each for each in drift(image(BASE, APP, changes, config=CONFIG))}
    assert sorted(found) == ["/setid/bin/ping", "/setid/bin/su"]
    assert found["/setid/bin/ping"].kind.value == "added"
    assert found["/setid/bin/ping"].actual["capabilities"] is not None
    assert found["/setid/bin/su"].pointer == "/platforms/linux~1amd64/setid/~1bin~1su"
    assert (found["/setid/bin/su"].expected["uid"], found["/setid/bin/su"].actual["uid"]) == (0, 7)
    assert all(str(each.origin).endswith("RUN chmod") for each in found.values())


def test_executables() -> None:
    """A new program and one that a layer deleted are drift, each with the layer that did it."""
    after = image(BASE, APP, ("RUN cp", [File("bin/.wh.sh"), File("bin/nc", b"nc", mode=0o755)]), config=CONFIG)
    assert sorted(told(each) for each in drift(after)) == [
        ("added", "executable /bin/nc is new", f"layer 2 {after.layers[2].digest}: RUN cp"),
        ("removed", "executable /bin/sh is gone", f"layer 2 {after.layers[2].digest}: RUN cp"),
    ]
    assert [each.pointer.rpartition("/")[2] for each in drift(after)] == ["-", "0"]


@pytest.mark.parametrize(
    ("change", "steps", "expected"),
    [
        ({"User": "root"}, ["USER root"], ("changed", 'user was "app" and is "root"', "USER root")),
        ({"User": ""}, [], ("removed", 'user "app" is gone', "None")),
        ({"Cmd": ["-v"]}, ['CMD ["-v"]'], ("added", 'cmd ["-v"] is new', 'CMD ["-v"]')),
        ({"Entrypoint": None}, ["ENTRYPOINT []"], ("removed", 'entrypoint ["/srv/app"] is gone', "None")),
        (
            {"Env": [*CONFIG["Env"], "DEBUG=1"]},
            ["/bin/sh -c #(nop)  ENV DEBUG=1", "ENV OTHER=2"],
            ("added", 'env DEBUG "1" is new', "/bin/sh -c #(nop) ENV DEBUG=1"),
        ),
        (
            {"Env": ["PATH=/bin", "MODE=test"]},
            ["ENV MODE=test"],
            ("changed", 'env MODE was "production" and is "test"', "ENV MODE=test"),
        ),
        ({"Env": ["PATH=/bin"]}, [], ("removed", 'env MODE "production" is gone', "None")),
        ({"Labels": {"team": "x"}}, ["LABEL team=x"], ("changed", 'label team was "plex" and is "x"', "LABEL team=x")),
        (
            {"ExposedPorts": {"8080/tcp": {}, "22/tcp": {}}},
            ["EXPOSE 8022", "EXPOSE 22", "EXPOSE 222"],
            ("added", "port 22/tcp is new", "EXPOSE 22"),
        ),
        ({"ExposedPorts": None}, [], ("removed", "port 8080/tcp is gone", "None")),
        (
            {"Volumes": {"/data": {}, "/tmp": {}}},
            ["VOLUME [/tmp /cache]", "VOLUME /tmp/x"],
            ("added", "volume /tmp is new", "VOLUME [/tmp /cache]"),
        ),
        ({"StopSignal": "SIGINT"}, [], ("changed", 'stop signal was "SIGTERM" and is "SIGINT"', "None")),
    ],
)
def test_configuration(change: dict[str, Any], steps: list[str], expected: tuple[str, str, str]) -> None:
    """Each part of the configuration drifts for itself, with the last build step that sets it, where one is told."""
    found = only(drift(image(BASE, APP, config={**CONFIG, **change}, steps=steps)))
    assert told(found) == expected
    assert found.part is Part.CONFIG
    assert found.pointer.startswith("/platforms/linux~1amd64/config/")


def test_a_step_with_a_layer_of_its_own_is_named_with_it() -> None:
    """A step such as WORKDIR may make a layer; it is told then."""
    after = image(BASE, APP, ("WORKDIR /opt", [File("opt/x")]), config={**CONFIG, "WorkingDir": "/opt"})
    found = only(drift(after))
    assert str(found.origin) == f"layer 2 {after.layers[2].digest}: WORKDIR /opt"


def test_an_empty_vector_is_none() -> None:
    """An empty list starts nothing, just as none does, and is no drift from it."""
    assert drift(image(BASE, config={"Cmd": []}), image(BASE)) == []


def test_long_values_are_cut_in_sentences_and_whole_in_values() -> None:
    """A sentence quotes a value of any length in bounds, on one line and in ASCII; the value itself is whole."""
    long = "\u202e\n" * 5000
    found = only(drift(image(BASE, APP, config={**CONFIG, "Labels": {"team": long}})))
    assert found.actual == long
    assert found.message.isascii()
    assert found.message.isprintable()
    assert len(found.message) < 300


def test_sizes_drift_only_as_far_as_somebody_says() -> None:
    """Without a rule sizes may differ; with one each that does not fit is drift."""
    larger = image(BASE, ("COPY app /srv/app", [File("srv/app", b"application" * 9000, mode=0o755)]), config=CONFIG)
    assert drift(larger) == []
    found = drift(larger, size_fits=lambda name, before, after: name != "unpacked" or after - before < 50_000)
    assert [(each.pointer, each.expected, each.actual, each.origin) for each in found] == [
        ("/platforms/linux~1amd64/size/unpacked", GOOD.sizes.unpacked, larger.sizes.unpacked, None)
    ]


def test_platforms_that_come_and_go() -> None:
    """A platform that the lock does not have, and one that the image has no more, are drift as a whole."""
    arm, s390 = image(BASE, platform="linux/arm64"), image(BASE, platform="linux/s390x")
    found = compare(lock(GOOD, arm), whole(GOOD, s390))
    assert [(each.kind.value, each.pointer, each.message) for each in found] == [
        ("removed", "/platforms/linux~1arm64", "platform linux/arm64 is gone"),
        ("added", "/platforms/linux~1s390x", "platform linux/s390x is new"),
    ]
    assert compare(lock(GOOD, arm), whole(GOOD, s390), parts={Part.CONFIG}) == ()


def test_another_contract_is_drift_if_it_is_asked_for() -> None:
    """A lock of another contract is told, and only where the contract is given."""
    other = LockedContract(name="python-web", digest=digest_of(b"another"))
    found = only(drift(GOOD, contract=other))
    assert (found.pointer, found.expected, found.actual) == ("/contract/digest", CONTRACT.digest, other.digest)
    assert drift(GOOD) == []


def test_every_pointer_leads_to_what_was_expected() -> None:
    """Each pointer, followed in the document by RFC 6901, is where the value that was expected stands."""
    other = image(
        ("ADD other", [dpkg(libc="3", new="1"), File("bin/x", mode=0o6755)]),
        config={"Env": ["PATH=/"], "ExposedPorts": {"1/udp": {}}, "Labels": {"a/b~c": ""}, "User": "~/"},
    )
    document = lock_document(lock())
    checked = 0
    for each in drift(other):
        here: Any = document
        *parents, last = (step.replace("~1", "/").replace("~0", "~") for step in each.pointer.split("/")[1:])
        for step in parents:
            here = here[int(step)] if isinstance(here, list) else here[step]
        if isinstance(here, list):
            assert last == "-" if each.expected is None else here[int(last)] == each.expected
            checked += 1
        elif each.expected is None:
            assert not here.get(last)
        else:
            assert here[last] == each.expected
            checked += 1
    assert checked > 10


# ---- the base


UPSTREAM = image(BASE)


def based(after: PlatformFacts, before: PlatformFacts = GOOD) -> list[Drift]:
    """How an image differs from the lock of another that was built on `BASE`, which was at hand."""
    locked = make_lock(whole(before), contract=CONTRACT, baseline=whole(UPSTREAM))
    return [each for each in compare(locked, whole(after)) if each.part is Part.BASE]


def test_layers_of_the_base_are_locked_when_it_is_at_hand() -> None:
    """With the base itself its layers are locked; an image that still begins with them does not drift."""
    locked = make_lock(whole(GOOD), contract=CONTRACT, baseline=whole(UPSTREAM))
    assert locked.platforms["linux/amd64"].base.diff_ids == (GOOD.layers[0].diff_id,)
    assert based(GOOD) == []


def test_another_base_is_drift_at_its_first_layer() -> None:
    """An image on another base drifts at the first layer that is another one; a shorter one at the layer it lacks."""
    other = image(("ADD newer base", [dpkg(libc="2.36", zlib="1.2")]), APP, config=CONFIG)
    found = only(based(other))
    assert told(found)[2] == f"layer 0 {other.layers[0].digest}: ADD newer base"
    assert found.pointer == "/platforms/linux~1amd64/base/diff_ids/0"
    empty = only(based(image(config=CONFIG)))
    assert (empty.kind.value, empty.origin) == ("removed", None)


def test_claims_about_the_base_are_locked_without_it() -> None:
    """What labels claim of the base is locked, and drifts with the step that sets the label."""
    labels = "org.opencontainers.image.base.name"
    claimed = image(BASE, config={"Labels": {labels: "debian:12"}})
    other = image(BASE, config={"Labels": {labels: "debian:13"}}, steps=[f'LABEL "{labels}"="debian:13"'])
    found = only(drift(other, claimed))
    assert told(found) == (
        "changed",
        'base name was "debian:12" and is "debian:13"',
        f'LABEL "{labels}"="debian:13"',
    )


def test_an_image_that_is_not_built_on_the_baseline_is_not_locked_with_it() -> None:
    """A baseline that the image does not begin with, or that lacks its platform, is refused."""
    with pytest.raises(UsageError, match="does not begin with its layers"):
        make_lock(whole(GOOD), contract=CONTRACT, baseline=whole(image(APP)))
    with pytest.raises(UsageError, match="the baseline has nothing for linux/amd64"):
        make_lock(whole(GOOD), contract=CONTRACT, baseline=whole(image(BASE, platform="linux/arm64")))


# ---- updates

OTHER = image(
    ("ADD base", [dpkg(libc="3"), File("bin/sudo", b"", mode=0o4755)]),
    config={"User": "other", "Labels": {"org.opencontainers.image.base.name": "x"}},
)
OTHER_CONTRACT = LockedContract(name="another", digest=digest_of(b"another"))


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.PLATFORMS])
def test_one_part_is_updated_and_no_other(part: Part) -> None:
    """An update of one part takes that part from the image, and leaves every other as it was locked."""
    before, after = lock(), make_lock(whole(OTHER), contract=OTHER_CONTRACT)
    updated = update_lock(before, whole(OTHER), contract=OTHER_CONTRACT, parts=frozenset({part}))
    exact = compare(updated, whole(OTHER), contract=OTHER_CONTRACT, size_fits=lambda _, one, other: one == other)
    assert {each.part for each in exact} == set(Part) - {part, Part.PLATFORMS}
    documents = [lock_document(each) for each in (before, after, updated)]
    if part is Part.CONTRACT:
        old, new, found = (document["contract"] for document in documents)
    else:
        old, new, found = (document["platforms"]["linux/amd64"][part.value] for document in documents)
    assert found == new != old


def test_an_update_of_everything_is_a_new_lock() -> None:
    """Updating every part is the same as locking the image anew."""
    arm = image(BASE, platform="linux/arm64")
    assert update_lock(lock(), whole(OTHER, arm), contract=OTHER_CONTRACT) == make_lock(
        whole(OTHER, arm), contract=OTHER_CONTRACT
    )


def test_platforms_come_and_go_only_where_they_are_updated() -> None:
    """Without the part `platforms` one that is new stays out and one that is gone stays in; with it they change."""
    arm, s390 = image(BASE, platform="linux/arm64"), image(BASE, platform="linux/s390x")
    before = lock(GOOD, arm)
    kept = update_lock(before, whole(OTHER, s390), contract=CONTRACT, parts=frozenset({Part.PACKAGES}))
    assert list(kept.platforms) == ["linux/amd64", "linux/arm64"]
    assert kept.platforms["linux/arm64"] == before.platforms["linux/arm64"]
    changed = update_lock(before, whole(OTHER, s390), contract=CONTRACT, parts=frozenset({Part.PLATFORMS}))
    assert list(changed.platforms) == ["linux/amd64", "linux/s390x"]
    assert changed.platforms["linux/amd64"] == before.platforms["linux/amd64"]


def test_the_base_stays_proven_or_has_to_be_named() -> None:
    """An update keeps the layers of the base while the image begins with them; else the base has to be named."""
    locked = make_lock(whole(GOOD), contract=CONTRACT, baseline=whole(UPSTREAM))
    more = image(BASE, config=CONFIG)
    assert update_lock(locked, whole(more), contract=CONTRACT).platforms["linux/amd64"].base.diff_ids == (
        GOOD.layers[0].diff_id,
    )
    with pytest.raises(UsageError, match="no longer begins with the layers of the base") as raised:
        update_lock(locked, whole(OTHER), contract=CONTRACT)
    assert raised.value.hint == "name the image that it was built on with --baseline"
    assert update_lock(locked, whole(OTHER), contract=CONTRACT, baseline=whole(OTHER)).platforms[
        "linux/amd64"
    ].base.diff_ids == (OTHER.layers[0].diff_id,)


# ---- as the checks of a contract ask it


def test_findings_of_a_lock() -> None:
    """Drift is a violation of the check of the lock, at a place that no version changes, with layer or build step."""
    held: Lock = ImageLock(lock=lock(), contract=OTHER_CONTRACT)
    after = image(
        BASE,
        APP,
        ("RUN apt-get install nano", [dpkg(libc="2.36", zlib="1.2", nano="7.2-1")]),
        config={**CONFIG, "User": "root"},
        steps=["USER root"],
    )
    found = {each.place: each for each in held.findings(whole(after, image(BASE, platform="linux/arm64")))}
    assert set(found) == {
        "/contract/digest",
        "/platforms/linux/arm64",
        "/config/user",
        "/packages/pkg:deb/debian/nano",
    }
    assert {each.check for each in found.values()} == {LOCK_DRIFT}
    assert {each.standing for each in found.values()} == {Standing.VIOLATION}
    nano = found["/packages/pkg:deb/debian/nano"]
    assert (nano.platform, nano.message) == (after.platform, "package nano 7.2-1 is new")
    assert nano.layer is not None
    assert (nano.layer.position, nano.layer.created_by) == (2, "RUN apt-get install nano")
    user = found["/config/user"]
    assert (user.layer, user.message) == (None, 'user was "app" and is "root", by USER root')
    assert found["/platforms/linux/arm64"].platform is None


def test_packages_that_cannot_be_read_are_undecided() -> None:
    """An unreadable database of packages is undecided, and no package counts as gone; all else is compared still."""
    found = ImageLock(lock=lock()).findings(whole(broken()))
    (undecided,) = [each for each in found if each.standing is Standing.UNDECIDED]
    assert undecided.place == "/packages"
    assert undecided.layer is not None
    assert undecided.layer.created_by == "RUN break"
    assert not any(each.place.startswith("/packages/") for each in found)
    assert any(each.place == "/config/user" for each in found)


def test_sizes_that_were_locked() -> None:
    """The sizes are told by platform; of a platform that is not locked there are none."""
    held = ImageLock(lock=lock())
    assert held.sizes(Platform(os="linux", architecture="amd64")) == GOOD.sizes
    assert isinstance(held.sizes(GOOD.platform), Sizes)
    assert held.sizes(Platform(os="linux", architecture="arm64")) is None


# ---- the small parts


def test_pointers() -> None:
    """A slash and a tilde in a name are written as RFC 6901 says, the tilde first."""
    assert pointer() == ""
    assert pointer("a/b", 0, "~1", "") == "/a~1b/0/~01/"


@pytest.mark.parametrize("text", ["", "pkg:deb/a", "pkg:deb@1", "npm/a@1", "pkg:/a@1", "pkg:deb/@1", "pkg:deb/a@"])
def test_what_is_no_package_url(text: str) -> None:
    """A text without a type, a name or a version is no package URL."""
    with pytest.raises(ValueError, match="is no package URL with a version"):
        parse_purl(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pkg:npm/%40scope/a@1.0", ("@scope/a", "1.0", None)),
        ("pkg:rpm/fedora/vim@9-1?arch=x86_64&epoch=2", ("vim", "2:9-1", "x86_64")),
        ("pkg:deb/debian/a@1:2%2B3?arch=all&distro=debian-12", ("a", "1:2+3", "all")),
        ("pkg:pypi/six@1.16", ("six", "1.16", None)),
    ],
)
def test_parts_of_package_urls(text: str, expected: tuple[str, str, str | None]) -> None:
    """Name, version and architecture are read as people know them: decoded, the epoch with the version."""
    purl = parse_purl(text)
    assert (purl.name, purl.version, purl.architecture) == expected


def test_several_versions_of_one_package() -> None:
    """Where several versions stand beside each other each is gone or new for itself; else it is one change."""
    before = {"pkg:npm/a@1", "pkg:npm/a@2", "pkg:npm/b@1"}
    after = {"pkg:npm/a@2", "pkg:npm/a@3", "pkg:npm/a@4", "pkg:npm/b@2"}
    found = [(change.name, change.versions) for change in package_changes(before, after)]
    assert found == [("a", ("1", None)), ("a", (None, "3")), ("a", (None, "4")), ("b", ("1", "2"))]


def test_architectures_are_packages_of_their_own() -> None:
    """A package of another architecture is another package, not another version."""
    found = package_changes(["pkg:deb/a@1?arch=i386"], ["pkg:deb/a@1?arch=amd64"])
    assert [(change.before is None, change.after is None) for change in found] == [(True, False), (False, True)]


_PURLS = st.frozensets(
    st.builds(
        "pkg:{}/{}@{}?arch={}".format,
        st.sampled_from(["deb/debian", "npm"]),
        st.sampled_from("abc"),
        st.sampled_from("1234"),
        st.sampled_from(["x", "y"]),
    )
)


@given(before=_PURLS, after=_PURLS)
def test_changes_are_exactly_the_difference(before: frozenset[str], after: frozenset[str]) -> None:
    """Whatever the lists, the changes take the one to the other: nothing is lost, told twice, or told without need."""
    changes = package_changes(before, after)
    gone = [change.before for change in changes if change.before is not None]
    come = [change.after for change in changes if change.after is not None]
    assert sorted(gone) == sorted(before - after)
    assert sorted(come) == sorted(after - before)
