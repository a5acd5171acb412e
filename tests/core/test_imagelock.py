"""The lock of an image: what it holds, how it is read and updated, and what checks are told of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest

from attest.core.contract.finding import LOCK_DRIFT, Lock, Standing
from attest.core.image.facts import Sizes
from attest.core.lock.locked import CHANGING_LABELS
from attest.core.lock.locking import (
    EVERY_PART,
    ImageLock,
    LockedContract,
    Part,
    compare,
    lock_document,
    lock_json,
    lock_schema,
    make_lock,
    read_lock,
    update_drift,
    update_lock,
)
from attest.core.oci import Platform
from attest.core.reference import digest_of
from attest.errors import DocumentInvalid, Undecided, UsageError
from tests.core.locks import APP, BASE, CONFIG, CONTRACT, GOOD, UPSTREAM, broken, drift, lock, only
from tests.core.make_image import dpkg, image, whole
from tests.layerstacks import File

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
    labelled = image(BASE, config={"Labels": {label: "x"}}, annotations={"org.opencontainers.image.base.name": "base"})
    platform = lock(labelled).platforms["linux/amd64"]
    assert platform.config.labels == {}
    digest = "x" if label == "org.opencontainers.image.base.digest" else None
    assert (platform.base.name, platform.base.digest) == ("base", digest)


def test_a_digest_of_a_base_without_a_name_is_left_out() -> None:
    """A digest that stands for nothing that has a name is no claim of a base."""
    labelled = image(BASE, config={"Labels": {"org.opencontainers.image.base.digest": "x"}})
    assert lock(labelled).platforms["linux/amd64"].base.digest is None


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


def test_the_document_is_shown_without_harm() -> None:
    """Whatever an image says of itself, the document is printable lines of ASCII without a runner's command in it."""
    odd = image(BASE, config={"Labels": {"\x7f\u202e": "##[command]\n::error::"}, "Env": ["A=\x1b[2J"]})
    content = lock_json(lock(odd))
    assert content.decode("ascii").replace("\n", "").isprintable()
    assert b"##[" not in content
    assert not any(line.lstrip().startswith(b"::") for line in content.splitlines())
    assert read_lock(content, file="l") == lock(odd)


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


def test_an_update_says_what_is_new_in_the_lock() -> None:
    """What an update says is its parts' drift, sizes to the byte; an update of what is so already says nothing."""
    before = lock()
    parts = frozenset({Part.SIZE, Part.PACKAGES, Part.CONTRACT})
    after = update_lock(before, whole(OTHER), contract=OTHER_CONTRACT, parts=parts)
    found = update_drift(before, after, whole(OTHER), parts=parts)
    assert {each.part for each in found} == parts
    assert {each.name for each in found if each.part is Part.SIZE} == {"compressed size", "unpacked size"}
    assert update_drift(after, after, whole(OTHER), parts=parts) == ()


def test_an_update_says_what_is_locked_of_the_base() -> None:
    """Digest and layers of a base are told when they are locked, and when they become others."""
    none = lock()
    one = make_lock(whole(GOOD), contract=CONTRACT, baseline=whole(UPSTREAM))
    two = make_lock(whole(GOOD), contract=CONTRACT, baseline=whole(GOOD))
    first, second = (layer.diff_id for layer in GOOD.layers)
    layers, digest = update_drift(none, one, whole(GOOD))
    assert (layers.kind.value, layers.expected, layers.actual) == ("added", None, [first])
    assert layers.message == f'list of base layers ["{first}"] is new'
    assert (digest.kind.value, digest.expected, digest.actual) == ("added", None, whole(UPSTREAM).digest)
    layers, digest = update_drift(two, one, whole(GOOD))
    assert (layers.kind.value, layers.expected, layers.actual) == ("changed", [first, second], [first])
    assert (digest.kind.value, digest.expected) == ("changed", whole(GOOD).digest)
    assert update_drift(one, one, whole(GOOD)) == ()
    other = make_lock(whole(OTHER), contract=CONTRACT, baseline=whole(OTHER))
    found = update_drift(one, other, whole(OTHER), parts=frozenset({Part.BASE}))
    assert [each.place for each in found] == ["/base/diff_ids", "/base/digest", "/base/name"]


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
