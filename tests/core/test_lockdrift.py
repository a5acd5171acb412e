"""Drift: how an image differs from its lock, and what brought each difference."""

from __future__ import annotations

from typing import Any

import pytest

from attest.core.image.facts import PlatformFacts
from attest.core.image.origin import Origins
from attest.core.lock.locking import Drift, LockedContract, Part, compare, lock_document, make_lock
from attest.core.reference import digest_of
from tests.core.locks import APP, BASE, CAPABILITY, CONFIG, CONTRACT, GOOD, UPSTREAM, drift, lock, only, told
from tests.core.make_image import Layer, dpkg, image, whole
from tests.layerstacks import File

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
    assert (found.package.versions.before, found.package.versions.after) == (None, "7.2-1")


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


def test_of_several_steps_the_last_one_counts() -> None:
    """Where several steps set a value the last one is told: the ones before it, the base's, are undone."""
    found = only(drift(image(BASE, APP, config={**CONFIG, "User": "x"}, steps=["USER root", "USER x", "ENV A=1"])))
    assert str(found.origin) == "USER x"


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("ENV A=1 B='x y' C=\"z D=2\"", {"A", "B", "C"}),
        ("ENV A some words", {"A"}),
        ("/bin/sh -c #(nop)  ENV A=1", {"A"}),
        ('LABEL "a b"="c" d=e \'f\'=g', {"a b", "d", "f"}),
        ("LABEL ", set()),
        ("ENVY A=1", set()),
        ("RUN ENV A=1", set()),
        ("EXPOSE map[8080/tcp:{} 53/udp:{}]", {"8080/tcp", "53/udp"}),
        ("EXPOSE 80 443/tcp", {"80/tcp", "443/tcp"}),
        ('VOLUME ["/a", "/b c"]', {"/a", "/b"}),
        ("VOLUME [/a /b]", {"/a", "/b"}),
        ("VOLUME /a/b", {"/a/b"}),
    ],
)
def test_what_a_step_sets(step: str, names: set[str]) -> None:
    """Steps of each builder, in each form of an instruction, are found by what they set, and by nothing else."""
    setting = {"ENV": "env", "LABEL": "labels", "EXPOSE": "exposed_ports", "VOLUME": "volumes"}
    instruction = next((setting[word] for word in step.split() if word in setting), "env")
    origins = Origins(image(BASE, steps=[step]))
    asked = ["A", "B", "C", "D", "E", "a b", "a", "d", "f", "/a", "/b", "/a/b", "/c", "x", "some", "words"]
    asked += ["8080/tcp", "53/udp", "80/tcp", "443/tcp", "8/tcp", "44/tcp"]
    assert {name for name in asked if origins.of_setting(instruction, name) is not None} == names


def test_a_file_that_was_gone_for_a_while() -> None:
    """Of a file that one layer removed and a later one brought back, the later one is told."""
    gone: Layer = ("RUN rm", [File("bin/.wh.su")])
    back: Layer = ("RUN cp", [File("bin/su", b"su", mode=0o6755)])
    found = only(drift(image(BASE, APP, gone, back, config=CONFIG)))
    assert (found.place, str(found.origin).rpartition(": ")[2]) == ("/setid/bin/su", "RUN cp")


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
    name = "x" * 5000
    configs: list[dict[str, Any]] = [{"Labels": {name: "1"}}, {"Volumes": {name: {}}}]
    for config in configs:
        named = only(drift(image(BASE, config=config), image(BASE)))
        assert name in named.place
        assert len(named.message) < 300


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


def test_what_is_claimed_of_a_digest_counts_only_where_nothing_is_known() -> None:
    """With the layers of the base locked another claim of its digest is no drift, and without them it is."""
    label = "org.opencontainers.image.base.digest"
    named = {"org.opencontainers.image.base.name": "debian:12"}
    before, after = (image(BASE, config={"Labels": {label: value}}, annotations=named) for value in ("1", "2"))
    assert based(after, before) == []
    assert only(drift(after, before)).place == "/base/digest"


def test_a_base_drifts_once() -> None:
    """What stands on a layer that is another one follows from that: only the lowest of them is told."""
    upper: Layer = ("RUN upper", [File("upper")])
    before = make_lock(whole(image(BASE, upper, APP)), contract=CONTRACT, baseline=whole(image(BASE, upper)))
    found = only([each for each in compare(before, whole(image(APP))) if each.part is Part.BASE])
    assert found.pointer == "/platforms/linux~1amd64/base/diff_ids/0"
    shared = only([each for each in compare(before, whole(image(BASE, APP))) if each.part is Part.BASE])
    assert shared.pointer == "/platforms/linux~1amd64/base/diff_ids/1"
    assert str(shared.origin).endswith(": COPY app /srv/app")


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
