"""A document that a person writes: its values, where each of them stands, and errors that say so.

Policies, releases, contracts and environments are such documents. YAML itself is `attest.adapters.documents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attest.core.strictjson import Json
from attest.errors import DocumentInvalid

Path = tuple[str | int, ...]
"""Keys and positions from the root of a document: `("lanes", "build", "where", 0)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line and a column, both from 1; columns count characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What was read from a file, once: `value` consists of dicts, lists, strings, numbers and booleans, never None."""

    file: str
    """As the user named it; errors repeat it."""
    content: bytes = field(repr=False)
    value: Json
    keys: Mapping[Path, Place]
    """Where the key of each member of a mapping stands."""
    values: Mapping[Path, Place]
    """Where each value begins."""

    def place(self, path: Path) -> Place:
        """Where the value at the path begins, or the nearest value around it that is there."""
        while path not in self.values:
            path = path[:-1]
        return self.values[path]

    def place_of_key(self, path: Path) -> Place:
        """Where the key of the value at the path stands; of an item of a list, where it begins."""
        return self.keys.get(path) or self.place(path)

    def place_within(self, path: Path, text: str, offset: int) -> Place:
        """Where a character of the text at the path stands, if the text stands there as it is; else where it begins."""
        place = self.place(path)
        line = self.content.decode("utf-8").split("\n")[place.line - 1][place.column - 1 :]
        for quote in ("", "'", '"'):
            if line.startswith(quote + text):
                return Place(line=place.line, column=place.column + len(quote) + offset)
        return place

    def invalid(self, path: Path, problem: str, *, hint: str | None = None) -> DocumentInvalid:
        """The error that something is wrong with the value at the path."""
        place = self.place(path)
        return DocumentInvalid(problem, file=self.file, line=place.line, column=place.column, hint=hint)

    def invalid_key(self, path: Path, problem: str, *, hint: str | None = None) -> DocumentInvalid:
        """The error that something is wrong with the key of the value at the path."""
        place = self.place_of_key(path)
        return DocumentInvalid(problem, file=self.file, line=place.line, column=place.column, hint=hint)


def show(path: Path) -> str:
    """A path for people: `lanes.build.where[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
