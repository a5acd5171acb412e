"""Layers are stacked as the image-spec says, and what no layer may hold is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from attest.core.image.overlay import Entry, LayerInvalid, Overlay, Source
from attest.core.image.tarball import Member, MemberType

FILE, FOLDER = MemberType.FILE, MemberType.DIRECTORY
SYMLINK, HARD_LINK = MemberType.SYMLINK, MemberType.HARD_LINK


def member(name: str, type: MemberType = FILE, link: str = "", size: int = 0) -> Member:  # noqa: A002 - the field's name
    """A member of a layer."""
    return Member(name, type, 0o644, 0, 0, size, link, None, 0)


def stacked(*layers: Sequence[Member]) -> Overlay:
    """These layers, the lowest first."""
    overlay = Overlay()
    for layer in layers:
        overlay.apply(layer)
    return overlay


def effective(overlay: Overlay) -> dict[str, Entry]:
    """What a container sees, by path."""
    return {entry.path: entry for entry in overlay.effective()}


def hidden(overlay: Overlay) -> list[tuple[str, int, int, bool]]:
    """What was hidden: path, layer, by which layer, and whether it was replaced."""
    return [(each.entry.path, each.entry.layer, each.hidden_by, each.replaced) for each in overlay.hidden]


def test_whiteouts_hide_lower_layers_alone() -> None:
    """A whiteout hides what a lower layer has, never what its own layer has, wherever it stands in it."""
    overlay = stacked([member("a"), member("b")], [member("a"), member(".wh.a"), member(".wh.b"), member(".wh.c")])
    assert {path: entry.layer for path, entry in effective(overlay).items()} == {"a": 1}
    assert hidden(overlay) == [("a", 0, 1, False), ("b", 0, 1, False)]


def test_opaque_whiteouts_hide_all_lower_children() -> None:
    """An opaque mark hides everything that lower layers have below a folder, and the marks themselves never show."""
    overlay = stacked(
        [member("d", FOLDER), member("d/a"), member("d/e/f"), member("x")],
        [member("d/new"), member("d/.wh..wh..opq"), member("none/.wh..wh..opq"), member("x/.wh.y")],
    )
    assert list(effective(overlay)) == ["d", "d/new", "x"]
    assert hidden(overlay) == [("d/a", 0, 1, False), ("d/e/f", 0, 1, False)]


def test_names_are_normal() -> None:
    """`./a`, `/a`, `a/` and `b//./c` are what they look like, and the root may be described."""
    overlay = stacked([member("./", FOLDER), member("./a"), member("/d/", FOLDER), member("b//./c"), member("e/f")])
    assert list(effective(overlay)) == ["", "a", "b", "b/c", "d", "e", "e/f"]
    assert effective(overlay)["b"].member is None


def test_a_folder_keeps_what_is_in_it() -> None:
    """A folder over a folder changes attributes; in all other cases what was there is removed with all below it."""
    overlay = stacked(
        [
            member("d", FOLDER),
            member("d/a"),
            member("f"),
            member("g", FOLDER),
            member("g/h/i"),
            member("s", SYMLINK, "d"),
        ],
        [member("d", FOLDER), member("f", FOLDER), member("f/x"), member("g"), member("s", FOLDER)],
    )
    assert {path: entry.layer for path, entry in effective(overlay).items()} == {
        "d": 1,
        "d/a": 0,
        "f": 1,
        "f/x": 1,
        "g": 1,
        "s": 1,
    }
    assert hidden(overlay) == [("f", 0, 1, True), ("g/h/i", 0, 1, False), ("s", 0, 1, True)]


def test_parents_that_are_links_are_followed() -> None:
    """Entries and whiteouts of an upper layer go where links of a lower one lead, inside the root."""
    lower = [
        member("usr/lib/a"),
        member("lib", SYMLINK, "usr/lib"),
        member("up", SYMLINK, "../../usr"),
        member("abs", SYMLINK, "/./up/lib"),
        member("usr/back", SYMLINK, "../lib/.."),
    ]
    overlay = stacked(
        lower, [member("lib/b"), member("abs/c"), member("usr/back/d"), member("abs/.wh.a"), member("lib/e")]
    )
    found = effective(overlay)
    assert {"usr/lib/b", "usr/lib/c", "usr/d", "usr/lib/e"} <= set(found)
    assert hidden(overlay) == [("usr/lib/a", 0, 1, False)]
    assert found["lib"].member is not None


def test_a_replaced_folder_is_forgotten() -> None:
    """What stands in a folder of a name goes into the folder that has this name now, not into the one before."""
    lower = [member("a", SYMLINK, "b"), member("b", FOLDER)]
    overlay = stacked(lower, [member("a/x"), member("b/y"), member("a2")], [member(".wh.a"), member("a/z")])
    assert {"b/x", "b/y", "a/z"} <= set(effective(overlay))
    overlay = stacked(lower, [member("a", FOLDER), member("a/x")])
    assert "a/x" in effective(overlay)


def test_hard_links_keep_content() -> None:
    """A link shares the content of what it names, in its own layer in any order or below, after that is deleted too."""
    overlay = stacked(
        [member("a", size=3), member("b", HARD_LINK, "./a"), member("low", size=1), member("l", SYMLINK, "a")],
        [
            member("two", HARD_LINK, "one"),
            member("one", HARD_LINK, "new"),
            member("new", size=2),
            member(".wh.low"),
            member("kept", HARD_LINK, "low"),
            member("m", HARD_LINK, "l"),
        ],
        [member(".wh.a")],
    )
    found = effective(overlay)
    assert {path: found[path].content for path in ("b", "two", "one", "new", "kept", "m")} == {
        "b": Source(0, 0),
        "two": Source(1, 2),
        "one": Source(1, 2),
        "new": Source(1, 2),
        "kept": Source(0, 2),
        "m": None,
    }
    assert (found["two"].hard_link, found["kept"].hard_link, found["new"].hard_link) == ("new", "low", None)
    assert [each.entry.path for each in overlay.hidden] == ["low", "a"]


def test_a_hard_link_through_a_link_of_its_own_layer() -> None:
    """What a hard link names may be reached through a symbolic link that came with it."""
    overlay = stacked([member("d/a", size=1)], [member("e", SYMLINK, "d"), member("h", HARD_LINK, "e/a")])
    assert effective(overlay)["h"].content == Source(0, 0)


def test_a_hard_link_to_a_symbolic_one() -> None:
    """A symbolic link has no rights, so that nothing is made of what the header of a hard link to it says."""
    overlay = stacked([member("l", SYMLINK, "a"), replace(member("h", HARD_LINK, "l"), mode=0o777, uid=1)])
    assert effective(overlay)["h"].hard_link == "l"


def test_a_hard_link_may_leave_the_capability_out() -> None:
    """Archivers write the attribute once, with the file."""
    overlay = stacked([replace(member("a"), capability=b"1"), member("h", HARD_LINK, "a")])
    found = effective(overlay)["h"].member
    assert found is not None
    assert found.capability == b"1"


REFUSED = {
    "upwards": ([member("../a")], "leads upwards"),
    "upwards within": ([member("a/../../b")], "leads upwards"),
    "a link upwards": ([member("a", HARD_LINK, "../b")], "leads upwards"),
    "a file twice": ([member("a"), member("./a")], "stands twice"),
    "a file and a folder": ([member("a", FOLDER), member("a")], "stands twice"),
    "through a file": ([member("a"), member("a/b")], "go through 'a'"),
    "through a link of its own": ([member("a", SYMLINK, "b"), member("a/b")], "go through 'a'"),
    "through a lower file": ([member("low/b")], "goes through 'low', which is no directory"),
    "through a link to nowhere": ([member("dangling/b")], "goes through 'dangling'"),
    "through a link to itself": ([member("loop/b")], "links without an end"),
    "a whiteout through a link to itself": ([member("loop/.wh.b")], "links without an end"),
    "the root as a file": ([member("./")], "root"),
    "a whiteout of nothing": ([member(".wh.")], "nothing that can be"),
    "a whiteout of the folder": ([member("d/.wh..")], "nothing that can be"),
    "a whiteout upwards": ([member(".wh...")], "nothing that can be"),
    "a whiteout of a whiteout": ([member(".wh..wh.a")], "nothing that can be"),
    "a whiteout with content": ([member(".wh.a", size=1)], "no empty file"),
    "a whiteout folder": ([member(".wh.a", FOLDER)], "no empty file"),
    "a whiteout link": ([member(".wh.a", HARD_LINK, "low")], "no empty file"),
    "through a whiteout": ([member(".wh.a/b")], "goes through a whiteout"),
    "a link to nothing": ([member("a", HARD_LINK, "absent")], "no file there"),
    "a link to a folder": ([member("a", HARD_LINK, "b"), member("b", FOLDER)], "no file there"),
    "a link to a lower folder": ([member("a", HARD_LINK, "folder")], "no file there"),
    "a link to a folder that nobody describes": ([member("a", HARD_LINK, "implied")], "no file there"),
    "links in a circle": ([member("a", HARD_LINK, "b"), member("b", HARD_LINK, "a")], "no file there"),
    "a link with a mode of its own": ([replace(member("a", HARD_LINK, "low"), mode=0o4755)], "another mode"),
    "a link in its layer, too": ([member("b"), replace(member("a", HARD_LINK, "b"), mode=0o666)], "another mode"),
    "a link with an owner of its own": ([replace(member("a", HARD_LINK, "low"), uid=1)], "another mode"),
    "a link with a group of its own": ([replace(member("a", HARD_LINK, "low"), gid=1)], "another mode"),
    "a link with a capability of its own": ([replace(member("a", HARD_LINK, "low"), capability=b"1")], "capability"),
    "a link to itself": ([member("a", HARD_LINK, "a")], "no file there"),
    "a link to what cannot be reached": ([member("a", HARD_LINK, "loop/b")], "no file there"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_may_hold_is_refused(name: str) -> None:
    """Each way out of the root, each ambiguity, and each mark that is none, is refused for what it is."""
    layer, reason = REFUSED[name]
    lower = [
        member("low"),
        member("folder", FOLDER),
        member("implied/x"),
        member("dangling", SYMLINK, "nowhere"),
        member("loop", SYMLINK, "loop"),
    ]
    with pytest.raises(LayerInvalid, match=reason):
        stacked(lower, layer)


def test_a_mark_within_a_name_is_none() -> None:
    """Only a name that begins with `.wh.` is a mark."""
    assert list(effective(stacked([member("a.wh.b"), member("c.wh.d/e")]))) == ["a.wh.b", "c.wh.d", "c.wh.d/e"]


def test_repeated_folders_are_taken() -> None:
    """A folder that a layer describes twice is that folder."""
    assert list(effective(stacked([member("d", FOLDER), member("d/", FOLDER)]))) == ["d"]


def test_a_path_of_two_thousand_folders() -> None:
    """The deepest path that is read needs no recursion, neither to be made nor to be hidden."""
    deep = "/".join(["d"] * 2_000)
    overlay = stacked([member(deep)], [member(".wh.d")])
    assert hidden(overlay) == [(deep, 0, 1, False)]
    long = "x" * 300
    with pytest.raises(LayerInvalid, match=r"x\.\.\.'"):
        stacked([member(long), member(long)])


def test_what_a_program_opens() -> None:
    """A path is opened through its links; where they lead in a circle, or to nothing, nothing is."""
    overlay = stacked([member("d/file"), member("l", SYMLINK, "d"), member("loop", SYMLINK, "loop")])
    assert [overlay.real(path) for path in ("l/file", "l/absent", "loop", "loop/a")] == ["d/file", None, None, None]
