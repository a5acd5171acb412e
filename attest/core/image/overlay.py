"""The filesystem that a stack of layers makes: what a container sees, and what later layers hid.

Source: OCI image-spec v1.1, "Image Layer Filesystem Changeset" (layer.md). Its sentences that decide here:

1. Layers "MUST NOT include duplicate entries for file paths": a path that stands twice in a layer is refused, but for
   directories, which tools repeat and which lose nothing by it; so is one that goes through a file or a link of its
   own layer, for it would depend on the order.
2. "Whiteout files MUST only apply to resources in lower/parent layers": those of a layer are applied before its
   entries, "regardless of the ordering in which the whiteout file was encountered".
3. "If the entry and the existing path are both directories, then the existing path's attributes MUST be replaced"; in
   all other cases the path is removed, with all below it, and made anew.
4. "the archive is extracted like a regular tar archive": a parent that is a symbolic link of a lower layer is followed,
   inside the root.
5. "Extracting a layer with hardlink references to files outside of the layer may fail": it need not, and here such a
   link shares the content of the lower layer. One whose header says another mode, owner or capability than the file has
   is refused: podman, Docker and containerd change the file by it, umoci does not.
6. "A `.wh.` file, without a basename to delete, is invalid", and "the whiteout file is a regular file in the archive":
   others are refused. One that hides nothing is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from attest.core.image.tarball import Member, MemberType

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
_LINKS: Final = 40
"""Symbolic links that are followed for one path, as Linux does (path_resolution(7))."""


class LayerInvalid(ValueError):
    """A layer holds what no layer may hold."""


class _Endless(LayerInvalid):
    """A path goes through more symbolic links than anybody follows."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where content lies: the layer from 0, and the number of the member in it."""

    layer: int
    member: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the filesystem. `member` is None for a directory that no layer describes."""

    path: str
    """Without a leading slash; empty for the root."""
    member: Member | None
    layer: int
    """The layer that wrote it."""
    content: Source | None
    """Of a regular file: where its bytes are. Hard links share it."""
    hard_link: str | None = None
    """For a hard link, the path of the file that it and the links between lead to."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a later layer deleted or replaced."""

    entry: Entry
    hidden_by: int
    replaced: bool


class _Node:
    __slots__ = ("children", "content", "hard_link", "layer", "member")

    def __init__(self, member: Member | None, layer: int, content: Source | None, hard_link: str | None) -> None:
        self.member = member
        self.layer = layer
        self.content = content
        self.hard_link = hard_link
        is_directory = member is None or member.type is MemberType.DIRECTORY
        self.children: dict[str, _Node] | None = {} if is_directory else None


@dataclass(frozen=True, slots=True)
class _HardLinks:
    """What the hard links of one layer may name."""

    members: Sequence[Member]
    paths: Sequence[str]
    by_path: Mapping[str, int]
    lower: dict[int, tuple[_Node, str]]
    """By link: what it names in the layers below, as it was before the whiteouts of its own."""
    written: dict[int, _Node]
    """By member: what was written for it."""

    def target_in_layer(self, link: int) -> int | None:
        """The member of the same layer that a hard link names."""
        return self.by_path.get(_normal(self.members[link].link))


class Overlay:
    """Applies layers from the lowest up."""

    def __init__(self) -> None:
        self._root = _Node(None, 0, None, None)
        self._parents: dict[str, tuple[dict[str, _Node], str]] = {}
        """Directories that were found lately; nothing was replaced since."""
        self._hidden: list[Hidden] = []
        self._layers = 0

    def apply(self, members: Sequence[Member]) -> None:
        """Put a layer on top.

        Raises:
            LayerInvalid: a name leads out of the root, stands twice, or goes through something that is no directory; a
                whiteout is none; a hard link names nothing, or no file.
        """
        layer = self._layers
        self._layers += 1
        self._parents.clear()
        paths = [_normal(member.name) for member in members]
        by_path = _by_path(members, paths)
        whiteouts = frozenset(number for number, path in enumerate(paths) if _is_whiteout(members[number], path))
        hard_links = [number for number, member in enumerate(members) if member.type is MemberType.HARD_LINK]
        links = _HardLinks(members, paths, by_path, {}, {})
        for number in hard_links:
            if (target := _normal(members[number].link)) not in by_path:
                found = self._look(target)
                if found is not None:
                    links.lower[number] = found
        for number in sorted(whiteouts):
            self._white_out(paths[number], layer)
        for number, (member, path) in enumerate(zip(members, paths, strict=True)):
            if number not in whiteouts and member.type is not MemberType.HARD_LINK:
                content = Source(layer, number) if member.type is MemberType.FILE else None
                links.written[number] = self._write(path, member, layer, content, None)
        for number in hard_links:  # after the files: a link may stand before what it names
            self._link(number, links, layer)

    def effective(self) -> Iterator[Entry]:
        """Every entry that a container sees, sorted by path; the root first where a layer describes it."""
        if self._root.member is not None:
            yield _entry("", self._root)
        yield from self._walk("", self._root, in_order=True)

    @property
    def hidden(self) -> Sequence[Hidden]:
        """Everything but directories that a later layer deleted or replaced, in the order of its hiding."""
        return self._hidden

    def real(self, path: str) -> str | None:
        """The path without links of what a program finds that opens this path now; None where nothing is."""
        try:
            found = self._find(path, follow=True)
        except _Endless:
            return None
        return None if found is None else found[1]

    # Finding

    def _look(self, path: str) -> tuple[_Node, str] | None:
        """The node at a path, if one can be reached; the last link is not followed."""
        try:
            return self._find(path, follow=False)
        except _Endless:
            return None

    def _find(self, path: str, *, follow: bool) -> tuple[_Node, str] | None:
        """The node at a path and its real path, links in it followed, the last one only with `follow`.

        Raises:
            _Endless: there are too many, or they lead in a circle (ELOOP, path_resolution(7)).
        """
        node, real = self._root, ""
        waiting = [part for part in reversed(path.split("/")) if part]
        stack: list[tuple[_Node, str]] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                node, real = stack.pop() if stack else (self._root, "")
                continue
            if part in ("", "."):
                continue
            if node.children is None or (child := node.children.get(part)) is None:
                return None
            member = child.member
            if member is not None and member.type is MemberType.SYMLINK and (waiting or follow):
                links += 1
                if links > _LINKS:
                    raise _Endless(f"the path {_shown(path)} goes through symbolic links without an end")
                target = member.link
                if target.startswith("/"):
                    node, real, stack = self._root, "", []
                waiting.extend(reversed(target.split("/")))
                continue
            stack.append((node, real))
            node, real = child, f"{real}/{part}" if real else part
        return node, real

    # Changing

    def _white_out(self, path: str, layer: int) -> None:
        parent, _, name = path.rpartition("/")
        found = self._find(parent, follow=True)
        if found is None or found[0].children is None:
            return
        children, real = found[0].children, found[1]
        names = list(children) if name == OPAQUE else [name.removeprefix(WHITEOUT)]
        for hidden in names:
            child = children.pop(hidden, None)
            if child is not None:
                self._hide(f"{real}/{hidden}" if real else hidden, child, layer, replaced=False)

    def _parent(self, path: str, layer: int) -> tuple[dict[str, _Node], str]:
        """The children of the directory that a path stands in, made where it is missing, and its real path."""
        parent = path.rpartition("/")[0]
        known = self._parents.get(parent)
        if known is not None:
            return known
        node, real = self._root, ""
        for part in parent.split("/") if parent else ():
            above = _children(node, real)
            real = f"{real}/{part}" if real else part
            child = above.get(part)
            if child is None:
                child = above[part] = _Node(None, layer, None, None)
            elif child.children is None:
                found = self._find(real, follow=True)
                if found is None or found[0].children is None:
                    raise LayerInvalid(f"the path {_shown(path)} goes through {_shown(real)}, which is no directory")
                child, real = found
            node = child
        self._parents[parent] = _children(node, real), real
        return self._parents[parent]

    def _write(self, path: str, member: Member, layer: int, content: Source | None, hard_link: str | None) -> _Node:
        if not path:
            if member.type is not MemberType.DIRECTORY:
                raise LayerInvalid("the root of the filesystem is no directory")
            self._root.member, self._root.layer = member, layer
            return self._root
        siblings, above = self._parent(path, layer)
        name = path.rpartition("/")[2]
        existing = siblings.get(name)
        if existing is not None:
            if existing.children is not None and member.type is MemberType.DIRECTORY:
                existing.member, existing.layer = member, layer
                return existing
            self._parents.clear()
            self._hide(f"{above}/{name}" if above else name, existing, layer, replaced=True)
        node = siblings[name] = _Node(member, layer, content, hard_link)
        return node

    def _link(self, number: int, links: _HardLinks, layer: int) -> None:
        """Write a hard link, and before it those of its layer that it names."""
        chain = [number]
        while (named := links.target_in_layer(chain[-1])) is not None and named not in links.written:
            if named in chain:
                raise _bad_link(links.members[number])
            chain.append(named)
        for link in reversed(chain):
            if link in links.written:
                continue
            member = links.members[link]
            if (named := links.target_in_layer(link)) is not None:
                node, real = links.written[named], links.paths[named]
            else:
                # The last resort leads through a link that this layer brought.
                found = links.lower.get(link) or self._look(_normal(member.link))
                if found is None:
                    raise _bad_link(member)
                node, real = found
            if node.member is None or node.children is not None:
                raise _bad_link(member)
            _check_rights(member, node.member)
            first = node.hard_link or real  # what a link of links is called by stays the same
            links.written[link] = self._write(links.paths[link], node.member, layer, node.content, first)

    def _hide(self, path: str, node: _Node, layer: int, *, replaced: bool) -> None:
        if node.children is None:
            self._hidden.append(Hidden(_entry(path, node), layer, replaced))
            return
        self._hidden.extend(
            Hidden(entry, layer, False)
            for entry in self._walk(path, node, in_order=False)
            if entry.member is not None and entry.member.type is not MemberType.DIRECTORY
        )

    def _walk(self, path: str, node: _Node, *, in_order: bool) -> Iterator[Entry]:
        """Everything below a directory, without recursion: a hostile path is 2,048 directories deep."""
        waiting = [(path, node)]
        found: list[Entry] = []
        while waiting:
            above, current = waiting.pop()
            for name, child in (current.children or {}).items():
                real = f"{above}/{name}" if above else name
                found.append(_entry(real, child))
                if child.children:
                    waiting.append((real, child))
        return iter(sorted(found, key=lambda entry: entry.path) if in_order else found)


def _entry(path: str, node: _Node) -> Entry:
    return Entry(path, node.member, node.layer, node.content, node.hard_link)


def _children(node: _Node, path: str) -> dict[str, _Node]:
    if node.children is None:  # pragma: no cover - every caller has seen that it is a directory
        raise AssertionError(f"{_shown(path)} is no directory")
    return node.children


def _normal(name: str) -> str:
    """A name as a path below the root: `./a`, `/a` and `a/` are `a`."""
    if "." not in name and "//" not in name:
        return name.strip("/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LayerInvalid(f"the path {_shown(name)} leads upwards")
    return "/".join(parts)


def _by_path(members: Sequence[Member], paths: Sequence[str]) -> dict[str, int]:
    """The number of each member by its path; no path may stand twice, or lead through what is no directory."""
    found: dict[str, int] = {}
    above: set[str] = set()
    for number, path in enumerate(paths):
        before = found.setdefault(path, number)
        if before != number and not (
            members[before].type is MemberType.DIRECTORY and members[number].type is MemberType.DIRECTORY
        ):
            raise LayerInvalid(f"the path {_shown(path)} stands twice in one layer")
        parent = path.rpartition("/")[0]
        while parent and parent not in above:
            above.add(parent)
            parent = parent.rpartition("/")[0]
    for path in above & found.keys():
        if members[found[path]].type is not MemberType.DIRECTORY:
            raise LayerInvalid(f"paths of one layer go through {_shown(path)}, which is no directory in it")
    return found


def _is_whiteout(member: Member, path: str) -> bool:
    if WHITEOUT not in path:
        return False
    parent, _, name = path.rpartition("/")
    if any(part.startswith(WHITEOUT) for part in parent.split("/")):
        raise LayerInvalid(f"the path {_shown(path)} goes through a whiteout")
    if not name.startswith(WHITEOUT):
        return False
    hidden = name.removeprefix(WHITEOUT)
    if hidden in ("", ".", "..") or (hidden.startswith(WHITEOUT) and name != OPAQUE):
        raise LayerInvalid(f"{_shown(path)} is a whiteout of nothing that can be")
    if member.type is not MemberType.FILE or member.size:
        raise LayerInvalid(f"the whiteout {_shown(path)} is no empty file")
    return True


def _bad_link(member: Member) -> LayerInvalid:
    return LayerInvalid(f"the hard link {_shown(member.name)} names {_shown(member.link)}, which is no file there")


def _check_rights(link: Member, file: Member) -> None:
    """A hard link is the file that it names, and its header says the same of it.

    Where it does not, engines give the file what the header of the link says, and umoci what its own one says.
    """
    if file.type is MemberType.SYMLINK:  # it has no rights
        return
    same = (link.mode, link.uid, link.gid) == (file.mode, file.uid, file.gid)
    if not same or link.capability not in (None, file.capability):
        raise LayerInvalid(
            f"the hard link {_shown(link.name)} has another mode, owner or capability than {_shown(link.link)} itself"
        )


def _shown(path: str) -> str:
    text = path if len(path) <= 200 else path[:200] + "..."
    return repr(text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
