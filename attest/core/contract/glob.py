"""Globs: the one dialect that contracts write paths, package URLs and places of findings in.

A text is what stands between its slashes. In a pattern `*` is any run of characters within a component, also none; a
component `**` is any number of components, also none, but at least one where it is the last. Every other character
stands for itself: there are no escapes, classes or alternatives, and letters of different case differ.

Matching takes no more than the product of both lengths, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 1024
"""Characters of a pattern."""


class GlobInvalid(ValueError):
    """The text is no pattern, or one that could never match."""


@dataclass(frozen=True, slots=True)
class Component:
    """What one component of a text must be."""

    parts: tuple[str, ...]
    """The literal texts around each `*`: one where there is none."""

    @property
    def literal(self) -> str | None:
        """The only text that it matches, if there is only one."""
        return self.parts[0] if len(self.parts) == 1 else None

    def matches(self, text: str) -> bool:
        """Whether a component of a text is one of these."""
        if len(self.parts) == 1:
            return text == self.parts[0]
        first, *between, last = self.parts
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for part in between:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


_ANY: Final = Component(("", ""))


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, ready to be used."""

    text: str
    components: tuple[Component | None, ...]
    """None is a `**`, any number of components; one that stands last is written as None and one of any text."""

    def matches(self, text: str) -> bool:
        """Whether the whole text is one of these."""
        parts = text.split("/")
        here = want = 0
        deep, mark = -1, 0  # the last `**`, and how far it reaches
        while here < len(parts):
            component = self.components[want] if want < len(self.components) else _NEVER
            if component is None:
                deep, mark, want = want, here, want + 1
            elif component.matches(parts[here]):
                here, want = here + 1, want + 1
            elif deep >= 0:
                mark += 1
                here, want = mark, deep + 1
            else:
                return False
        return want == len(self.components)


_NEVER: Final = Component(("/",))
"""No component has a slash."""


_Places = frozenset[tuple[int, int]]
"""A pattern, and how many of its components are behind."""


class PathSet:
    """Paths of an image that one of several patterns matches; asking for many paths of one directory is cheap."""

    def __init__(self, patterns: Iterable[Glob]) -> None:
        self._patterns: Final = [pattern.components for pattern in patterns]
        start = self._closed((number, 0) for number in range(len(self._patterns)))
        self._reached: Final[dict[str, _Places]] = {"": self._after(start, "")}

    def __contains__(self, path: str) -> bool:
        """Whether one of the patterns matches a path, which begins with a slash."""
        parent, _, name = path.rpartition("/")
        return any(place == len(self._patterns[number]) for number, place in self._after(self._below(parent), name))

    def _below(self, directory: str) -> _Places:
        """How far each pattern is when it comes to what is in a directory; the root is the empty path."""
        above = []
        while directory not in self._reached:
            above.append(directory)
            directory = directory.rpartition("/")[0]
        places = self._reached[directory]
        for path in reversed(above):
            places = self._reached[path] = self._after(places, path.rpartition("/")[2])
        return places

    def _after(self, places: _Places, name: str) -> _Places:
        """How far each pattern is after one more component."""
        found = []
        for number, place in places:
            components = self._patterns[number]
            component = components[place] if place < len(components) else _NEVER
            if component is None:
                found.append((number, place))
            elif component.matches(name):
                found.append((number, place + 1))
        return self._closed(found)

    def _closed(self, places: Iterable[tuple[int, int]]) -> _Places:
        """These places, and those behind each `**` among them, which may be no component at all."""
        found = set(places)
        found |= {
            (number, place + 1)
            for number, place in found
            if place < len(self._patterns[number]) and self._patterns[number][place] is None
        }
        return frozenset(found)


def compile_glob(text: str) -> Glob:
    """The pattern that a text is.

    Raises:
        GlobInvalid: it is empty, too long, has what nobody sees, or a `**` beside something else in a component.
    """
    if not text or not text.isprintable():
        raise GlobInvalid("empty text" if not text else "it has a character that nobody sees")
    if len(text) > LONGEST:
        raise GlobInvalid(f"a pattern of {len(text)} characters; at most {LONGEST} are read")
    components: list[Component | None] = []
    for part in text.split("/"):
        if part == "**":
            if components[-1:] == [None]:
                raise GlobInvalid("one ** after the other; one is any number of components")
            components.append(None)
        elif "**" in part:
            raise GlobInvalid("a ** stands alone between slashes; within a component one * is any run of characters")
        else:
            components.append(Component(tuple(part.split("*"))))
    if components[-1] is None:
        components.append(_ANY)
    return Glob(text, tuple(components))


def compile_path_glob(text: str) -> Glob:
    """The pattern of paths of an image that a text is.

    Raises:
        GlobInvalid: it is no pattern; or it could never match, since paths begin with `/` and are normal.
    """
    if not text.startswith("/"):
        raise GlobInvalid(f"it does not begin with /; write /{text} or /**/{text}")
    parts = text.split("/")[1:]
    if "" in parts:
        raise GlobInvalid(
            "nothing between two slashes" if "//" in text else "it ends in a /; write /** at the end for all below"
        )
    if "." in parts or ".." in parts:
        raise GlobInvalid("no path of an image has a component . or ..")
    return compile_glob(text)
