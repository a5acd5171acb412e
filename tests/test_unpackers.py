"""Our view of a stack of layers beside that of real unpackers, on generated stacks and on those where they differ."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from attest.core.image.overlay import LayerInvalid, Overlay
from attest.core.image.tarball import Member, MemberType, TarReader
from tests.layerstacks import LAYER, TAG, File, folder, gzipped, hard_link, symlink, tar, write_layout
from tests.parts.process import PartError
from tests.parts.unpackers import Unpacked, podman_mount, tree, umoci

pytestmark = pytest.mark.parts

Layers = Sequence[Sequence[File]]


def read(archive: bytes) -> tuple[list[Member], dict[int, bytes]]:
    """The members of an archive, and the content of the files."""
    stream = io.BytesIO(archive)
    reader = TarReader(stream.read, lambda size: len(stream.read(size)))
    members: list[Member] = []
    contents = {}
    while (member := reader.next()) is not None:
        contents[len(members)] = reader.content(member)
        members.append(member)
    return members, contents


def ours(archives: Sequence[bytes]) -> dict[str, Unpacked]:
    """What we say that a container sees."""
    overlay = Overlay()
    contents = []
    for archive in archives:
        members, content = read(archive)
        contents.append(content)
        overlay.apply(members)
    found = {}
    for entry in overlay.effective():
        member = entry.member
        if member is None or member.type is MemberType.DIRECTORY:
            if entry.path:
                found[entry.path] = Unpacked("directory")
        elif member.type is MemberType.SYMLINK:
            found[entry.path] = Unpacked("symlink", member.link.encode())
        else:
            assert entry.content is not None
            bytes_of_it = contents[entry.content.layer][entry.content.member]
            found[entry.path] = Unpacked("file", bytes_of_it, member.mode)
    return found


def stored(root: Path, archives: Sequence[bytes]) -> Path:
    """A layout of these layers, compressed as usual."""
    blobs = [gzipped(archive) for archive in archives]
    write_layout(root / "layout", archives, blobs=blobs, media_types=[f"{LAYER}+gzip"] * len(blobs))
    return root / "layout"


# ---- generated stacks

NAMES: Final = st.sampled_from(["a", "b", "c"])
PATHS: Final = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def entries(draw: st.DrawFn) -> File:
    """One entry of a layer."""
    path = draw(PATHS)
    parent, slash, name = path.rpartition("/")
    prefix = draw(st.sampled_from(["", "", "", "./"]))
    match draw(st.sampled_from(["file"] * 4 + ["folder"] * 3 + ["whiteout"] * 3 + ["opaque", "symlink", "hard link"])):
        case "file":
            return File(prefix + path, draw(st.binary(max_size=3)), mode=mode_of(path))
        case "folder":
            return folder(prefix + path)
        case "whiteout":
            return File(f"{prefix}{parent}{slash}.wh.{name}")
        case "opaque":
            return File(f"{prefix}{path}/.wh..wh..opq")
        case "symlink":
            return symlink(prefix + path, draw(st.sampled_from(["a", "/a", "b/c", "../b", "/", "nowhere"])))
        case _:
            target = draw(PATHS)
            return hard_link(prefix + path, target, mode=mode_of(target))


def mode_of(path: str) -> int:
    """The mode that a file of this path always has, so that hard links to it can say the same."""
    return {"a": 0o644, "b": 0o755, "c": 0o4755}[path[-1]]


def settled(layers: Layers) -> list[list[File]]:
    """The stack without what is left open by the image-spec, or made differently by umoci for a reason of its own.

    - A whiteout or an opaque mark whose folder is not there: umoci makes the folder.
    - Directories that a layer describes after what is in them, for the order decides whether a link there is replaced.
    - A hard link before what it names, or to something that its own layer takes away: "may fail".
    """
    result = []
    for layer in layers:
        unique = {file.name.removeprefix("./"): file for file in layer}
        marks = [file for file in unique.values() if ".wh." in file.name]
        links = [file for file in unique.values() if file.type == b"1"]
        rest = [file for file in unique.values() if file not in marks and file not in links]
        rest.sort(key=lambda file: file.name.removeprefix("./").count("/"))
        result.append([*marks, *rest, *links])
    return result


STACKS: Final = st.lists(st.lists(entries(), max_size=6), min_size=1, max_size=3).map(settled)
UNHURRIED: Final = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=300, suppress_health_check=UNHURRIED)
@given(STACKS)
def test_our_view_is_that_of_umoci(layers: Layers) -> None:
    """On generated stacks the files that we see are those that umoci unpacks: paths, kinds, contents and modes."""
    check_against_umoci(layers)


@pytest.mark.fuzz
@settings(max_examples=10_000, suppress_health_check=UNHURRIED)
@given(STACKS)
def test_our_view_is_that_of_umoci_at_length(layers: Layers) -> None:
    """The same, on many more stacks."""
    check_against_umoci(layers)


def check_against_umoci(layers: Layers) -> None:
    """Unpack a stack and compare; one that no layer may be is left out."""
    archives = [tar(layer) for layer in layers]
    try:
        seen = ours(archives)
    except LayerInvalid:
        assume(False)
    with tempfile.TemporaryDirectory() as root:
        try:
            unpacked = umoci(stored(Path(root), archives), TAG, Path(root, "unpacked"))
        except (
            PartError
        ) as error:  # "Extracting a layer with hardlink references to files outside of the layer may fail."
            assume(": link: " not in str(error))
            raise
    assert without_empty(unpacked) == without_empty(seen)


def without_empty(found: Mapping[str, Unpacked]) -> dict[str, Unpacked]:
    """The tree without folders that hold nothing: whether a mark alone makes a folder no specification says."""
    full = {path for name in found if found[name].kind != "directory" for path in _above(name)}
    return {name: entry for name, entry in found.items() if entry.kind != "directory" or name in full}


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


# ---- where unpackers differ

USR: Final = [folder("usr"), folder("usr/lib"), File("usr/lib/x", b"x"), symlink("lib", "usr/lib")]
ALIKE: Final[Mapping[str, Layers]] = {
    "a file is removed": [[folder("d"), File("d/a", b"1"), File("d/b", b"2")], [File("d/.wh.a"), File("d/c", b"3")]],
    "an opaque folder": [
        [folder("d"), File("d/a"), File("d/b")],
        [folder("d"), File("d/c", b"3"), File("d/.wh..wh..opq")],
    ],
    "a file over a folder": [[folder("d"), File("d/a")], [File("d", b"1")]],
    "a folder over a file": [[File("d")], [folder("d"), File("d/a", b"1")]],
    "the other name of a removed file": [[File("a", b"1"), hard_link("b", "a")], [File(".wh.a")]],
    "a folder over a link": [[folder("d"), symlink("s", "d")], [folder("s"), File("s/a", b"1")]],
}
"""Stacks that everybody sees alike."""

DIFFERENT: Final[Mapping[str, tuple[Layers, str, frozenset[str]]]] = {
    "a whiteout after its sibling": (
        [[File("a", b"1")], [File("a", b"2"), File(".wh.a")]],
        "Whiteout files MUST only apply to resources in lower/parent layers.",
        frozenset({"vfs", "overlay"}),
    ),
    "a parent that is a link": (
        [USR, [File("lib/y", b"y")]],
        "the archive is extracted like a regular tar archive",
        frozenset({"overlay"}),
    ),
    "a hard link to a lower layer": (
        [[File("a", b"1")], [hard_link("b", "a")]],
        "Extracting a layer with hardlink references to files outside of the layer may fail.",
        frozenset({"overlay"}),
    ),
}
"""Stacks, the sentence of the image-spec that decides, and the drivers of podman that do something else."""


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_our_view_is_that_of_podman(name: str, driver: str, tmp_path: Path) -> None:
    """Podman shows the files that we see, whether it copies layers (vfs) or stacks them (overlay)."""
    archives = [tar(layer) for layer in ALIKE[name]]
    with podman_mount(stored(tmp_path, archives), TAG, driver=driver) as mounted:
        assert tree(mounted) == ours(archives)


@pytest.mark.parametrize("name", DIFFERENT)
def test_umoci_follows_the_sentence(name: str, tmp_path: Path) -> None:
    """Where unpackers differ, umoci does what the sentence of the image-spec says, and so do we."""
    archives = [tar(layer) for layer in DIFFERENT[name][0]]
    assert umoci(stored(tmp_path, archives), TAG, tmp_path / "unpacked") == ours(archives)


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_the_known_differences_of_podman(name: str, driver: str, tmp_path: Path) -> None:
    """Podman differs from the sentence with the drivers of the table alone: it fails, or shows another tree."""
    layers, _, drivers = DIFFERENT[name]
    archives = [tar(layer) for layer in layers]
    try:
        with podman_mount(stored(tmp_path, archives), TAG, driver=driver) as mounted:
            alike = tree(mounted) == ours(archives)
    except (PartError, OSError):
        alike = False
    assert alike is (driver not in drivers)


def test_why_a_hard_link_may_not_bring_rights(tmp_path: Path) -> None:
    """Podman makes a file set-user-id by the header of a hard link to it, umoci does not: so the layer is refused."""
    archives = [tar([File("a", b"1", mode=0o755), hard_link("b", "a", mode=0o4755)])]
    layout = stored(tmp_path, archives)
    with podman_mount(layout, TAG, driver="vfs") as mounted:
        assert tree(mounted)["a"].mode == 0o4755
    assert umoci(layout, TAG, tmp_path / "unpacked")["a"].mode == 0o755
    with pytest.raises(LayerInvalid, match="another mode"):
        ours(archives)
