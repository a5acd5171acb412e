"""What changed between two states of an image of one platform: each difference with what brought it, in words as well.

Both states are documents as `attest.core.lock.document.platform_document` makes them, of a lock and an image or of two
images.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from attest.core.image.origin import Origin, Origins
from attest.core.image.packagechange import PackageChange, package_changes
from attest.core.jsonpointer import END
from attest.core.strictjson import Json

Steps = tuple[str | int, ...]
"""Member names and positions in a document, from the part of a platform on."""

_NAMED: Final = {"annotations": "annotation", "env": "env", "labels": "label"}
_SETS: Final = {"exposed_ports": "port", "volumes": "volume"}
_SHOWN: Final = 200
"""Characters of a name or a value in a sentence."""


class ChangeKind(enum.Enum):
    """What happened."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference."""

    steps: Steps
    """Where it stands in the former document; of what is new in an array `END`."""
    key: Steps
    """The same with a name where `steps` have a position, so that it is alike from build to build."""
    name: str
    """For people: `env PATH`, `set-id file /usr/bin/su`, `package nano`."""
    before: Json
    """None for what is new."""
    after: Json
    """None for what is gone."""
    message: str
    """One sentence for people, without layers. It quotes foreign text."""
    origin: Origin | None
    """What brought it, or took it away, in the latter image; None where nobody can tell."""
    former: Origin | None = None
    """What had brought it in the former image, where that is at hand."""
    package: PackageChange | None = None
    """For a package, which one, and its versions."""

    @property
    def kind(self) -> ChangeKind:
        """What happened."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.CHANGED


def change(
    steps: Steps, name: str, before: Json, after: Json, origin: Origin | None, former: Origin | None = None
) -> Change:
    """A value that is another one; the sentence quotes both."""
    return Change(
        steps=steps,
        key=steps,
        name=name,
        before=before,
        after=after,
        message=sentence(name, None if before is None else shown(before), None if after is None else shown(after)),
        origin=origin,
        former=former,
    )


def sentence(name: str, before: str | None, after: str | None) -> str:
    """What happened, in words; the values are those to quote."""
    name = cut(name)
    if before is None:
        return f"{name} {after} is new"
    return f"{name} {before} is gone" if after is None else f"{name} was {before} and is {after}"


def shown(value: Json) -> str:
    """A value for a sentence: JSON in ASCII, cut."""
    return cut(json.dumps(value))


def cut(text: str) -> str:
    """A text for a sentence: as it is, or the beginning of it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The differences between two documents of a platform, part by part, sorted by their names."""

    before: Mapping[str, Json]
    after: Mapping[str, Json]
    origins: Origins
    """Of the latter image."""
    former: Origins | None = None
    """Of the former image, where it is at hand."""

    def config(self) -> Iterator[Change]:
        """Of the configuration: each variable, label, port and volume for itself."""
        before, after = self.before["config"], self.after["config"]
        for key in sorted(before):
            old, new = before[key], after[key]
            if key in _NAMED:
                for name in sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)):
                    yield change(
                        (key, name),
                        f"{_NAMED[key]} {name}",
                        old.get(name),
                        new.get(name),
                        *self._set_by(key, new, name),
                    )
            elif key in _SETS:
                yield from self._elements((key,), old, new, _SETS[key])
            elif old != new:
                yield change((key,), key.replace("_", " "), old or None, new or None, *self._set_by(key, new))

    def executables(self) -> Iterator[Change]:
        """Of what may be executed."""
        yield from self._elements((), self.before["executables"], self.after["executables"], "executable")

    def packages(self) -> Iterator[Change]:
        """Of what is installed; another version is one change."""
        positions = {purl: position for position, purl in enumerate(self.before["packages"])}
        for found in package_changes(positions, self.after["packages"]):
            versions = found.versions
            yield Change(
                steps=(END if found.before is None else positions[found.before],),
                key=(found.unversioned,),
                name=f"package {found.name}",
                before=found.before,
                after=found.after,
                message=sentence(f"package {found.name}", versions.before, versions.after),
                origin=self.origins.of_package(found.after or found.before or ""),
                former=None if self.former is None else self.former.of_package(found.before or found.after or ""),
                package=found,
            )

    def setid(self) -> Iterator[Change]:
        """Of what runs with another's rights."""
        before, after = self.before["setid"], self.after["setid"]
        for path in sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)):
            yield change((path,), f"set-id file {path}", before.get(path), after.get(path), *self._written_by(path))

    def size(self) -> Iterator[Change]:
        """Of the sizes in bytes, which no one layer makes."""
        before, after = self.before["size"], self.after["size"]
        for key in sorted(before):
            old, new = before[key], after[key]
            if old != new:
                yield Change(
                    steps=(key,),
                    key=(key,),
                    name=f"{key} size",
                    before=old,
                    after=new,
                    message=f"{key} size was {old:,} and is {new:,} bytes: {new - old:+,}",
                    origin=None,
                )

    def _elements(self, steps: Steps, before: Sequence[str], after: Sequence[str], what: str) -> Iterator[Change]:
        """Of arrays that are sets: what is in them is its own name."""
        old, new = frozenset(before), frozenset(after)
        positions = {value: position for position, value in enumerate(before)}
        for value in sorted(old ^ new):
            origin, former = self._set_by(str(steps[0]), new, value) if steps else self._written_by(value)
            yield Change(
                steps=(*steps, positions.get(value, END)),
                key=(*steps, value),
                name=f"{what} {value}",
                before=value if value in old else None,
                after=value if value in new else None,
                message=f"{cut(f'{what} {value}')} is {'new' if value in new else 'gone'}",
                origin=origin,
                former=former,
            )

    def _written_by(self, path: str) -> tuple[Origin | None, Origin | None]:
        return self.origins.of_file(path), None if self.former is None else self.former.of_file(path)

    def _set_by(self, key: str, after: Json, name: str | None = None) -> tuple[Origin | None, Origin | None]:
        """Nobody can tell which step took a value away: there is none for it."""
        there = after if name is None else name in after
        origin = self.origins.of_setting(key, name) if there else None
        return origin, None if self.former is None else self.former.of_setting(key, name)
