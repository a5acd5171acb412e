"""The filesystem that a container sees, with its links followed as the kernel follows them.

Source: path_resolution(7), symlink(7). Absolute targets begin at the image's root, and nothing leads above it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from attest.core.contract.glob import Component, Glob
from attest.core.image.facts import FileFacts, Kind

_LINKS: Final = 40
"""Links that are followed for one path, as Linux does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """An entry that a pattern matches, under its own path or another one."""

    file: FileFacts
    name: str
    """The path by which it is reached; another one than its own goes through a linked directory."""


@dataclass(slots=True)
class _Walk:
    """A path on its way to what is there."""

    waiting: list[str]
    """The components that are left, the next one last."""
    here: str
    """The directory that is reached, without links; the root is the empty path."""
    links: int
    """Links that were followed."""
    link: str | None
    """The link whose target this path is."""


class Tree:
    """Files by their paths."""

    def __init__(self, files: Iterable[FileFacts]) -> None:
        self._entries: Final[Mapping[str, FileFacts]] = {file.path: file for file in files}
        self._links: Final[dict[str, tuple[str | None, int]]] = {}

    def at(self, path: str) -> FileFacts | None:
        """What a program finds that opens this path; None for nothing, and for a directory without an entry."""
        real = self.real(path)
        return None if real is None else self._entries.get(real)

    def real(self, path: str) -> str | None:
        """The path without links of what is there; None where nothing is, or links go in circles or on for too long.

        What each link leads to is found once, however many paths go through it.
        """
        if path in self._links:
            found = self._links[path][0]
            return found if found is None else found or "/"
        walks = [_Walk(path.split("/")[::-1], "", 0, None)]
        open_links: set[str] = set()
        while True:
            link = self._walk(walks[-1])
            if link is not None and link not in open_links:
                open_links.add(link)
                walks.append(self._into(link))
                continue
            done = walks.pop()
            found = done.here if link is None and done.links <= _LINKS and not done.waiting else None
            if done.link is None:
                return found if found is None else found or "/"
            open_links.remove(done.link)
            self._links[done.link] = (found, done.links)

    def _into(self, link: str) -> _Walk:
        """The way from the root, or from where the link is, to its target."""
        target = self._entries[link].target or ""
        here = "" if target.startswith("/") else link.rpartition("/")[0]
        return _Walk(target.split("/")[::-1], here, 1, link)

    def _walk(self, walk: _Walk) -> str | None:
        """Goes on until nothing waits, or something is in the way: then it is what waits. A link that nobody has
        followed yet is returned."""
        while walk.waiting:
            part = walk.waiting[-1]
            if part == "..":
                walk.here = walk.here.rpartition("/")[0]
            elif part not in ("", "."):
                step = f"{walk.here}/{part}"
                entry = self._entries.get(step)
                if entry is not None and entry.kind is Kind.SYMLINK:
                    if step not in self._links:
                        return step
                    real, links = self._links[step]
                    walk.links += links
                    if real is None or (len(walk.waiting) > 1 and not self._is_directory(real)):
                        return None
                    walk.here = real
                elif self._is_directory(step) or (entry is not None and len(walk.waiting) == 1):
                    walk.here = step
                else:
                    return None
            walk.waiting.pop()
        return None

    def _is_directory(self, path: str) -> bool:
        """Whether a path without links is a directory; the root is the empty one."""
        entry = self._entries.get(path)
        return path in self._children if entry is None else entry.kind is Kind.DIRECTORY

    @cached_property
    def _children(self) -> Mapping[str, Sequence[str]]:
        """The names in each directory, sorted; the root is the empty path."""
        found: dict[str, dict[str, None]] = {"": {}}
        for path in self._entries:
            parent, _, name = path.rpartition("/")
            while name and name not in found.setdefault(parent, {}):
                found[parent][name] = None
                parent, _, name = parent.rpartition("/")
        return {parent: sorted(names) for parent, names in found.items()}

    @cached_property
    def _folders(self) -> Mapping[str, Sequence[str]]:
        """Those of them that may have something below: directories, and links."""
        return {
            parent: [name for name in names if self._may_have_children(f"{parent}/{name}")]
            for parent, names in self._children.items()
        }

    def _may_have_children(self, path: str) -> bool:
        entry = self._entries.get(path)
        return entry is None or entry.kind in (Kind.DIRECTORY, Kind.SYMLINK)

    def find(self, pattern: Glob) -> list[Reached]:
        """Every entry that has a path which the pattern of paths matches, sorted by its own.

        The last component of a path is not followed if it is a link: the link itself is what is found. Each directory
        is looked at once for each place in the pattern, so that links in circles end.
        """
        components = pattern.components
        found: dict[str, Reached] = {}
        waiting = deque([("", 1, "")])  # a real directory, the component that comes next, the path so far
        seen = {("", 1)}

        def visit(directory: str | None, want: int, name: str) -> None:
            if directory is not None and (directory, want) not in seen:
                seen.add((directory, want))
                waiting.append((directory, want, name))

        while waiting:
            directory, want, name = waiting.popleft()
            component = components[want]
            if component is None:
                visit(directory, want + 1, name)
                for child in self._folders.get(directory, ()):
                    visit(self._directory(f"{directory}/{child}"), want, f"{name}/{child}")
                continue
            for child in self._named(directory, component):
                path = f"{directory}/{child}"
                if want + 1 < len(components):
                    visit(self._directory(path), want + 1, f"{name}/{child}")
                elif path in self._entries:
                    own = pattern.matches(path)
                    reached = Reached(file=self._entries[path], name=path if own else f"{name}/{child}")
                    found.setdefault(path, reached)
        return [found[path] for path in sorted(found)]

    def _named(self, directory: str, component: Component) -> Iterator[str]:
        literal = component.literal
        if literal is None:
            yield from (name for name in self._children.get(directory, ()) if component.matches(name))
        elif f"{directory}/{literal}" in self._entries or f"{directory}/{literal}" in self._children:
            yield literal

    def _directory(self, path: str) -> str | None:
        """The directory that a path leads to, as a key of `_children`; its own directory is without links."""
        entry = self._entries.get(path)
        if entry is not None and entry.kind is Kind.SYMLINK:
            real = self.real(path)
            path = path if real is None else real.rstrip("/")
        return path if self._is_directory(path) else None
