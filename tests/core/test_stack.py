"""From layers to facts: what a container sees, what is hidden, and what nobody can tell."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from attest.core import limits
from attest.core.image.config import read_config
from attest.core.image.facts import REDACTED, ImageFacts, Kind, LayerFacts, Place, PlatformFacts, View
from attest.core.image.factsdocument import FactsInvalid, facts_document, facts_json, facts_schema, read_facts
from attest.core.image.layercontent import LayerContent, SecretPlace
from attest.core.image.stack import Stack, kept_bytes
from attest.core.image.tarball import Member, TarReader
from attest.core.oci import MANIFEST, Descriptor, Manifest
from attest.core.reference import digest_of
from attest.errors import LimitExceeded, StoreMisbehaved
from tests.layerstacks import File, folder, hard_link, symlink, tar

PASSWD = File("etc/passwd", b"root:x:0:0::/:/bin/sh\n")
OS_RELEASE = File("usr/lib/os-release", b"ID=debian\nVERSION_ID=12\n")


def layer(*files: File, secrets: Sequence[int] = ()) -> LayerContent:
    """A layer of these files; the members of `secrets` hold one."""
    stream = io.BytesIO(tar(files))
    reader = TarReader(stream.read, lambda size: len(stream.read(size)))
    members: list[Member] = []
    kept = {}
    while (member := reader.next()) is not None:
        if kept_bytes(member.name) is not None and member.size:
            kept[len(members)] = reader.content(member)
        members.append(member)
    found = tuple(SecretPlace(member=number, rule="github-token", line=1) for number in secrets)
    return LayerContent(members=tuple(members), kept=kept, secrets=found, unpacked=0)


def facts(
    *layers: LayerContent, config: dict[str, Any] | None = None, annotations: dict[str, str] | None = None
) -> PlatformFacts:
    """The facts of an image of these layers."""
    diff_ids = [digest_of(str(number).encode()) for number in range(len(layers))]
    document = {
        "os": "linux",
        "architecture": "amd64",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    read = read_config(json.dumps(document).encode())
    described = Descriptor(media_type="c", digest=digest_of(b"c"), size=1)
    manifest = Manifest(
        media_type=MANIFEST,
        config=described,
        layers=(),
        subject=None,
        artifact_type=None,
        annotations=annotations or {},
    )
    stack = Stack(read_rpm=lambda _: [])
    found = []
    for number, content in enumerate(layers):
        unpacked = stack.add(content, diff_ids[number])
        found.append(
            LayerFacts(
                position=number,
                digest=diff_ids[number],
                diff_id=diff_ids[number],
                media_type="l",
                compressed=10,
                unpacked=unpacked,
                entries=len(content.members),
                created_by=None,
            )
        )
    return stack.facts(manifest=manifest, digest=digest_of(b"m"), config=read, layers=tuple(found))


def dpkg(*names: str) -> bytes:
    """A database of these packages."""
    return "".join(f"Package: {name}\nStatus: install ok installed\nVersion: 1\n\n" for name in names).encode()


def test_files_as_a_container_sees_them() -> None:
    """Kinds, modes, owners, links and capabilities of what is effective; sizes count shared content once."""
    capability = {"SCHILY.xattr.security.capability": "\1\0\0\2\0\4\0\0" + "\0" * 12}
    found = facts(
        layer(
            folder("bin", 0o755),
            File("bin/a", b"12345", mode=0o4755, uid=1, gid=2),
            replace(hard_link("bin/b", "bin/a", mode=0o4755), uid=1, gid=2),
            symlink("c", "bin/a"),
            File("ping", b"1", mode=0o755, pax=capability),
            File("group", mode=0o2755),
            File("locking", mode=0o2644),
            folder("tmp", 0o1777),
            folder("open", 0o777),
            File("implied/x", b"22"),
        ),
        layer(File("bin/.wh.a"), File("ping", b"333", mode=0o755)),
    )
    by_path = {file.path: file for file in found.files}
    assert by_path["/bin/b"].hard_link == "/bin/a"
    assert (by_path["/bin/b"].mode, by_path["/bin/b"].uid, by_path["/bin/b"].gid, by_path["/bin/b"].size) == (
        "4755",
        1,
        2,
        5,
    )
    assert (by_path["/c"].kind, by_path["/c"].target) == (Kind.SYMLINK, "bin/a")
    assert (by_path["/implied"].kind, by_path["/implied"].mode) == (Kind.DIRECTORY, "0755")
    assert [file.path for file in found.setid] == ["/bin/b", "/group"]
    assert [file.path for file in found.executables] == ["/bin/b", "/group", "/ping"]
    assert [file.path for file in found.world_writable] == ["/open"]
    assert [(file.path, file.replaced, file.hidden_by, file.capabilities) for file in found.shadowed] == [
        ("/bin/a", False, 1, None),
        ("/ping", True, 1, "cap_net_bind_service=ep"),
    ]
    assert (found.sizes.unpacked, found.sizes.wasted, found.sizes.compressed) == (5 + 3 + 2, 1, 20)
    assert [one.unpacked for one in found.layers] == [8, 3]


def test_capabilities_make_a_file_set_id() -> None:
    """A file that has capabilities runs with other rights, whatever its mode."""
    capability = {"SCHILY.xattr.security.capability": "\1\0\0\2\0\4\0\0" + "\0" * 12}
    found = facts(layer(File("ping", b"1", mode=0o755, pax=capability)))
    assert [file.capabilities for file in found.setid] == ["cap_net_bind_service=ep"]


def test_packages_effective_and_shadowed() -> None:
    """A package of an old version of the database is shadowed; the distribution comes from os-release."""
    found = facts(
        layer(
            OS_RELEASE, symlink("etc/os-release", "../usr/lib/os-release"), File("var/lib/dpkg/status", dpkg("a", "b"))
        ),
        layer(File("./var/lib/dpkg/status", dpkg("a"))),
        layer(File("x/site-packages/p-1.dist-info/METADATA", b"Name: p\nVersion: 1\n")),
        layer(File("x/site-packages/.wh.p-1.dist-info")),
    )
    assert [(each.purl, each.view, each.layer, each.hidden_by) for each in found.packages] == [
        ("pkg:deb/debian/a@1?distro=debian-12", View.EFFECTIVE, 0, None),
        ("pkg:deb/debian/b@1?distro=debian-12", View.SHADOWED, 0, 1),
        ("pkg:pypi/p@1", View.SHADOWED, 2, 3),
    ]


def test_what_cannot_be_read_is_told() -> None:
    """Databases and accounts that are broken, or links, or incomplete, are never taken for empty ones."""
    found = facts(
        layer(
            File("other", b"x"),
            hard_link("lib/apk/db/installed", "other"),
            File("var/lib/dpkg/status", b"broken"),
            File("var/lib/rpm/rpmdb.sqlite", b"x"),
            File("var/lib/rpm/rpmdb.sqlite-wal", b"x"),
            symlink("etc/passwd", "elsewhere"),
            File("etc/group", b"broken\n"),
            folder("app/x.egg-info"),
        )
    )
    assert [(each.what, each.path) for each in found.unread] == [
        ("packages", "/lib/apk/db/installed"),
        ("packages", "/var/lib/dpkg/status"),
        ("packages", "/var/lib/rpm/rpmdb.sqlite"),
        ("accounts", "/etc/passwd"),
        ("groups", "/etc/group"),
    ]
    assert found.accounts == ()
    assert found.groups == ()


def test_what_programs_reach_through_links_is_told() -> None:
    """Databases and accounts that stand elsewhere, behind a linked folder, are never taken for missing ones."""
    found = facts(
        layer(folder("usr/db"), File("usr/db/status", dpkg("gcc")), folder("usr/d"), File("usr/d/gcc", dpkg("gcc"))),
        layer(symlink("var/lib/dpkg", "../../usr/db"), symlink("usr/db/status.d", "/usr/d")),
        layer(File("conf/passwd", b"root::0:0::/:\n"), File("conf/group", b"root::0:\n"), symlink("etc", "conf")),
    )
    assert [(each.what, each.path, each.layer) for each in found.unread] == [
        ("packages", "/usr/d", 0),
        ("packages", "/usr/db/status", 0),
        ("accounts", "/etc/passwd", 2),
        ("groups", "/etc/group", 2),
    ]


def test_links_that_lead_to_what_is_read_are_no_trouble() -> None:
    """Where a link leads from one place of a database to another, as merged /usr has it, it is read there."""
    found = facts(
        layer(
            symlink("lib", "usr/lib"),
            File("usr/lib/apk/db/installed", b"P:a\nV:1\n"),
            symlink("var/lib/dpkg", "nowhere"),
            symlink("etc", "nowhere"),
        )
    )
    assert [each.name for each in found.packages] == ["a"]
    assert found.unread == ()


def test_the_root_in_the_place_of_a_folder_of_databases() -> None:
    """Whatever a link for the folder leads to, it is told, be it the root that no layer describes."""
    found = facts(layer(symlink("var/lib/dpkg/status.d", "/")))
    assert [(each.what, each.path, each.layer) for each in found.unread] == [("packages", "/", 0)]


def test_a_hard_link_to_a_hard_link_is_called_by_the_file() -> None:
    """However many links lead to a file, and whatever of them is deleted, each names the file."""
    found = facts(
        layer(File("busybox", b"1"), hard_link("a", "busybox")),
        layer(hard_link("b", "a")),
        layer(File(".wh.a"), File(".wh.busybox")),
    )
    assert [(file.path, file.hard_link) for file in found.files] == [("/b", "/busybox")]


def test_accounts_are_those_of_the_top() -> None:
    """The accounts are read from the files that a container sees."""
    found = facts(
        layer(PASSWD, File("etc/group", b"root:x:0:\n")),
        layer(File("etc/passwd", b"app:x:7:7::/:/bin/false\n"), File("etc/shadow", b"app:!:1::::::\n")),
    )
    assert [account.name for account in found.accounts] == ["app"]
    assert [group.name for group in found.groups] == ["root"]


def test_secrets_are_found_where_they_still_are() -> None:
    """A secret that was deleted is shadowed; one that another name keeps is effective, at that name."""
    found = facts(
        layer(File("a", b"1"), File("b", b"2"), hard_link("kept", "b"), secrets=[0, 1]),
        layer(File(".wh.a"), File(".wh.b")),
    )
    assert [(each.name, each.layer, each.view, each.hidden_by) for each in found.secrets] == [
        ("/a", 0, View.SHADOWED, 1),
        ("/kept", 0, View.EFFECTIVE, None),
    ]


def test_secrets_of_annotations_are_left_out() -> None:
    """A secret in an annotation is told by its name, and is in no part of the facts, the base among them."""
    token = "ghp_" + "a1B2c3D4e5" * 4
    name = "org.opencontainers.image.base.name"
    found = facts(layer(), annotations={name: f"https://x:{token}@example.org/base", "plain": "text"})
    assert [(each.place, each.name, each.layer) for each in found.secrets] == [(Place.ANNOTATION, name, None)]
    assert (found.annotations, found.base.name) == ({name: REDACTED, "plain": "text"}, REDACTED)


def test_the_base_is_what_annotations_or_labels_say() -> None:
    """The annotation of the manifest counts before the label; neither is proof."""
    name, digest = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
    found = facts(layer(), config={"Labels": {name: "l", digest: "sha256:1"}}, annotations={name: "a"})
    assert (found.base.name, found.base.digest) == ("a", "sha256:1")
    assert facts().base.name is None


def test_names_that_are_no_utf8_are_shown() -> None:
    """Bytes of a name that are no UTF-8 are written out, so that the facts are text."""
    found = facts(layer(File("caf\udce9")))
    assert [file.path for file in found.files] == ["/caf\\xe9"]


def test_hostile_layers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that leads out of the root is refused with its digest, and too many entries with the limit."""
    with pytest.raises(StoreMisbehaved, match="leads upwards"):
        facts(layer(File("../a")))
    monkeypatch.setattr(limits, "ENTRIES", 3)
    with pytest.raises(LimitExceeded, match="more than 3 entries"):
        facts(layer(File("a"), File("b")), layer(File("c"), File("d")))


def test_paths_of_all_layers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many characters of paths and targets as the limit are read, over all layers; one more is refused."""
    monkeypatch.setattr(limits, "ENTRY_NAMES", 6)
    assert len(facts(layer(File("ab")), layer(symlink("c", "def"))).files) == 2
    with pytest.raises(LimitExceeded, match="more than 6 characters"):
        facts(layer(File("ab")), layer(symlink("c", "defg")))


def test_packages_of_all_layers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many packages as the limit are read, over all layers; one more is refused."""
    monkeypatch.setattr(limits, "PACKAGES", 3)
    below, above = (layer(File("var/lib/dpkg/status", dpkg(*names))) for names in (["a", "b"], ["a"]))
    assert [each.name for each in facts(below, above).packages] == ["a", "b"]
    with pytest.raises(LimitExceeded, match="more than 3 packages"):
        facts(below, below)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("./etc/passwd", True), ("/var/lib/dpkg/status", True), ("etc/hosts", False), ("usr/lib/os-release", True)],
)
def test_what_is_kept(name: str, kept: bool) -> None:
    """Only files that say something about packages and accounts are kept, under any way of writing their names."""
    assert (kept_bytes(name) is not None) is kept


def image() -> ImageFacts:
    """Facts with something in every member."""
    found = facts(
        layer(PASSWD, OS_RELEASE, File("var/lib/dpkg/status", dpkg("a")), symlink("s", "t"), secrets=[0]),
        layer(File("var/lib/dpkg/status", b"broken")),
        config={"Env": ["A=b"], "Labels": {"l": "m"}, "Healthcheck": {"Test": ["NONE"]}, "Cmd": ["x"]},
    )
    return ImageFacts(digest=digest_of(b"i"), media_type=MANIFEST, platforms=(found,))


def test_facts_as_json() -> None:
    """The document fits its schema, says the same each time, and reads back as the very same facts."""
    document = facts_document(image())
    schema = facts_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert json.loads(facts_json(image())) == document
    assert facts_json(image()) == facts_json(image())
    assert read_facts(document) == image()


def test_facts_as_json_hide_and_command_nothing() -> None:
    """What a terminal or a runner would obey is escaped in the JSON, which says the same."""
    texts = ("\x7f", "\x9b31m", "\u202e", "\u2028", "\u200b", "\ufeff", "\u2066", "\u061c", "##[x", "é€😀#[")
    found = facts(layer(), annotations={text: text for text in texts})
    whole = ImageFacts(digest=digest_of(b"m"), media_type=MANIFEST, platforms=(found,))
    written = facts_json(whole)
    assert json.loads(written) == facts_document(whole)
    text = written.decode("utf-8")
    assert [each for each in texts[:-1] if each in text] == []
    assert text.count(texts[-1]) == 2


def test_what_is_no_document_of_facts() -> None:
    """Another version, a missing member and an unknown one are refused, by the reader or by the schema."""
    document = facts_document(image())
    hopeless: list[Any] = [[], {**document, "schema": "v0"}, {key: document[key] for key in ("schema", "digest")}]
    for broken in hopeless:
        with pytest.raises(FactsInvalid):
            read_facts(broken)
    validator = jsonschema.Draft202012Validator(facts_schema())
    assert not validator.is_valid({**document, "more": 1})
    assert not validator.is_valid({key: value for key, value in document.items() if key != "digest"})
