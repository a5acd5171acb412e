"""The filesystem of an image: links are followed as the kernel follows them, and patterns find through them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.contract.glob import GlobInvalid, compile_path_glob
from attest.core.contract.tree import Tree
from attest.core.image.facts import FileFacts, Kind
from tests.core.contract_scene import file, folder, link

USRMERGE = (
    link("/bin", "usr/bin"),
    folder("/usr"),
    folder("/usr/bin"),
    file("/usr/bin/busybox", "0755"),
    link("/usr/bin/sh", "/bin/busybox"),
    link("/usr/bin/X11", "."),
    link("/usr/bin/dangling", "/nowhere"),
    link("/usr/bin/through-a-file", "busybox/sh"),
    link("/usr/bin/up", "../../../../usr/bin/busybox"),
    link("/usr/bin/loop", "pool"),
    link("/usr/bin/pool", "loop"),
    link("/usr/bin/self", "self"),
    link("/usr/bin/nothing", ""),
    link("/root-link", "/"),
    file("/opt/app/run", "0755"),
)


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/bin/busybox", "/usr/bin/busybox"),
        ("/bin/sh", "/usr/bin/busybox"),
        ("/usr/bin/X11/X11/sh", "/usr/bin/busybox"),
        ("/usr/bin/up", "/usr/bin/busybox"),
        ("/root-link/bin/sh", "/usr/bin/busybox"),
        ("/root-link", "/"),
        ("/", "/"),
        ("/bin/", "/usr/bin"),
        ("/bin/./../bin/sh", "/usr/bin/busybox"),
        ("/../../bin/sh", "/usr/bin/busybox"),
        ("/opt", "/opt"),
        ("/opt/app/../app/run", "/opt/app/run"),
        ("/nowhere", None),
        ("/usr/bin/dangling", None),
        ("/usr/bin/through-a-file", None),
        ("/usr/bin/busybox/", None),
        ("/usr/bin/busybox/..", None),
        ("/usr/bin/sh/x", None),
        ("/usr/bin/sh/..", None),
        ("/usr/bin/sh/.", None),
        ("/usr/bin/loop", None),
        ("/usr/bin/pool", None),
        ("/usr/bin/self/x", None),
        ("/usr/bin/nothing", "/usr/bin"),
    ],
)
def test_links_are_followed(path: str, real: str | None) -> None:
    """A path leads through links, absolute ones from the root on; nothing leads above it, or out of circles."""
    assert Tree(USRMERGE).real(path) == real


def test_what_is_at_a_path() -> None:
    """A path leads to an entry, or to none: also for a directory that no layer has an entry for."""
    tree = Tree(USRMERGE)
    found = tree.at("/bin/sh")
    assert found is not None
    assert found.path == "/usr/bin/busybox"
    assert tree.at("/nowhere") is None
    assert tree.at("/opt/app") is None


@pytest.mark.parametrize(("links", "found"), [(40, True), (41, False)])
def test_forty_links_are_followed(links: int, found: bool) -> None:
    """So many links are followed as Linux follows, whichever of them is asked for first."""
    chain = [link(f"/{number}", f"{number + 1}") for number in range(links)]
    files = (*chain, file(f"/{links}"))
    assert (Tree(files).at("/0") is not None) is found
    tree = Tree(files)
    for number in range(links, 0, -1):
        assert tree.at(f"/{number}") is not None
    assert (tree.at("/0") is not None) is found


def test_many_links_through_one_are_cheap() -> None:
    """A long way behind one link is gone once, however many links lead to it: else this would take hours."""
    far = "a/../" * 800 + "end"
    chain = [link(f"/c{number}", ("a/../" * 800) + f"c{number + 1}") for number in range(30)]
    many = [link(f"/m{number}", "c0") for number in range(20_000)]
    tree = Tree((folder("/a"), file("/end"), *chain, link("/c30", far), *many))
    assert all(tree.real(f"/m{number}") == "/end" for number in range(20_000))


NAMES = ("a", "b", "c")


@st.composite
def trees(draw: st.DrawFn) -> list[FileFacts]:
    """A few directories, files and links that stay below the root."""
    found: dict[str, FileFacts] = {}
    folders = [""]
    for _ in range(draw(st.integers(1, 9))):
        parent = draw(st.sampled_from(folders))
        path = f"{parent}/{draw(st.sampled_from(NAMES))}"
        if path in found:
            continue
        kind = draw(st.sampled_from(["file", "folder", "folder", "link", "link"]))
        if kind == "file":
            found[path] = file(path)
        elif kind == "folder":
            found[path] = folder(path)
            folders.append(path)
        else:
            target = "/".join(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)))
            up = "../" * draw(st.integers(0, path.count("/") - 1))
            found[path] = link(path, up + target)
    return list(found.values())


def write(root: Path, files: list[FileFacts]) -> None:
    """The same tree on a real disk."""
    for each in files:
        place = root / each.path[1:]
        match each.kind:
            case Kind.DIRECTORY:
                place.mkdir()
            case Kind.FILE:
                place.write_bytes(b"")
            case _:
                place.symlink_to(each.target or "")


@given(trees(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_paths_lead_where_the_kernel_finds_them(files: list[FileFacts], parts: list[str]) -> None:
    """On generated trees a path is found, and leads to the same place, exactly where the kernel says so."""
    path = "/" + "/".join(parts)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        write(root, files)
        asked = root / path[1:]
        expected = None
        if asked.exists():
            expected = "/" + str(asked.resolve().relative_to(root)) if asked.resolve() != root else "/"
        assert Tree(files).real(path) == expected


def names(tree: Tree, files: list[FileFacts], depth: int) -> Iterator[tuple[str, str]]:
    """Every path of so many components by which an entry can be reached, with the entry's own path."""
    level = [("", "")]
    paths = {each.path for each in files}
    for _ in range(depth):
        following = []
        for name, real in level:
            for part in NAMES:
                own = f"{real}/{part}"
                if own in paths:
                    yield f"{name}/{part}", own
                    below = tree.real(own)
                    if below is not None:
                        following.append((f"{name}/{part}", below.rstrip("/")))
        level = following


@given(trees(), st.lists(st.sampled_from([*NAMES, "*", "**", "a*"]), min_size=1, max_size=4))
def test_a_pattern_finds_what_any_of_its_paths_leads_to(files: list[FileFacts], parts: list[str]) -> None:
    """A file is found if some path to it matches, and only then; the path that is told matches and leads to it."""
    try:
        pattern = compile_path_glob("/" + "/".join(parts))
    except GlobInvalid:
        return
    tree = Tree(files)
    found = {reached.file.path: reached.name for reached in tree.find(pattern)}
    assert list(found) == sorted(found)
    for own, name in found.items():
        assert pattern.matches(name)
        parent, _, last = name.rpartition("/")
        assert ((tree.real(parent or "/") or "?").rstrip("/"), last) == tuple(own.rpartition("/")[::2])
    expected = {own for name, own in names(tree, files, 5) if pattern.matches(name)}
    assert expected <= set(found)


def test_a_pattern_finds_through_linked_directories() -> None:
    """What is forbidden by the path that people know is found where it really is, and the link itself is found too."""
    tree = Tree(USRMERGE)
    assert [(one.file.path, one.name) for one in tree.find(compile_path_glob("/bin/busy*"))] == [
        ("/usr/bin/busybox", "/bin/busybox")
    ]
    assert [one.file.path for one in tree.find(compile_path_glob("/bin/sh"))] == ["/usr/bin/sh"]
    assert [one.file.path for one in tree.find(compile_path_glob("/bin"))] == ["/bin"]
    assert [one.name for one in tree.find(compile_path_glob("/**/busybox"))] == ["/usr/bin/busybox"]
    assert [one.file.path for one in tree.find(compile_path_glob("/opt/**"))] == ["/opt/app/run"]
    assert tree.find(compile_path_glob("/opt/app/run/x")) == []
    assert tree.find(compile_path_glob("/usr/bin/dangling/*")) == []
