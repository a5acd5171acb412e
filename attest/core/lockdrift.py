"""Drift: how an image differs from what was locked, and which layer and build step brought each difference."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from attest.core.imagefacts import ImageFacts, PlatformFacts
from attest.core.imageorigin import Origin, Origins
from attest.core.jsonpointer import END, pointer
from attest.core.lockdocument import ContractLock, LockedContract, LockedPlatform, platform_document
from attest.core.locked import diff_ids, locked_platform, platforms_by_name, unread_packages, unread_words
from attest.core.packagechange import PackageChange, package_changes
from attest.core.strictjson import Json
from attest.errors import Undecided

Steps = tuple[str | int, ...]
_NAMED: Final = {"env": "env", "labels": "label"}
_SETS: Final = {"exposed_ports": "port", "volumes": "volume"}
_SHOWN: Final = 200
"""Characters of a value that a message quotes."""


class Part(enum.Enum):
    """A part of a lock, which can be compared and updated for itself."""

    CONTRACT = "contract"
    """Under which contract it was made."""
    PLATFORMS = "platforms"
    """Which platforms the image has."""
    BASE = "base"
    CONFIG = "config"
    EXECUTABLES = "executables"
    PACKAGES = "packages"
    SETID = "setid"
    SIZE = "size"


EVERY_PART: Final = frozenset(Part)

SizeFits = Callable[[str, int, int], bool]
"""Whether a size may stand where another one was locked: its name in the lock, the locked one and the image's, in
bytes."""


class DriftKind(enum.Enum):
    """What happened since the lock was made."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference between a lock and an image."""

    kind: DriftKind
    part: Part
    platform: str | None
    """As the lock names it; None for the contract."""
    pointer: str
    """Where it stands in the lock; of what is new in an array `-`, the element after the last (RFC 6901)."""
    place: str
    """Where it stands in the platform's part, with a name instead of a position: `/packages/pkg:deb/debian/nano`. It is
    the same from build to build."""
    name: str
    """For people: `env PATH`, `set-id file /usr/bin/su`, `package nano`."""
    expected: Json
    """What the lock has; None for what is new."""
    actual: Json
    """What the image has; None for what is gone."""
    package: PackageChange | None
    """For a package, which one, and its versions."""
    origin: Origin | None
    """What brought it, or took it away; None where nobody can tell."""
    message: str
    """One sentence for people, without the layer. It quotes foreign text."""


def compare(
    lock: ContractLock,
    facts: ImageFacts,
    *,
    contract: LockedContract | None = None,
    parts: Collection[Part] = EVERY_PART,
    size_fits: SizeFits | None = None,
) -> tuple[Drift, ...]:
    """How an image differs from its lock, in the order of the lock.

    Without `contract` it is not asked which contract the lock was made under, and without `size_fits` sizes may differ.

    Raises:
        Undecided: packages are compared and could not all be read, or the image has one platform twice.
    """
    found = [*image_drift(lock, facts, contract=contract, parts=parts)]
    for name, platform in platforms_by_name(facts).items():
        locked = lock.platforms.get(name)
        if locked is None:
            continue
        if Part.PACKAGES in parts:
            for unread in unread_packages(platform):
                raise Undecided(f"{name}: {unread_words(unread)}", hint="what it holds can be compared with no lock")
        found.extend(platform_drift(name, locked, platform, parts=parts, size_fits=size_fits))
    return tuple(found)


def image_drift(
    lock: ContractLock, facts: ImageFacts, *, contract: LockedContract | None, parts: Collection[Part]
) -> Iterator[Drift]:
    """What concerns the lock and the image as a whole."""
    if contract is not None and Part.CONTRACT in parts and contract.digest != lock.contract.digest:
        yield Drift(
            kind=DriftKind.CHANGED,
            part=Part.CONTRACT,
            platform=None,
            pointer=pointer("contract", "digest"),
            place="/contract/digest",
            name="contract",
            expected=lock.contract.digest,
            actual=contract.digest,
            package=None,
            origin=None,
            message=f"the lock was made under another contract, {lock.contract.name} {lock.contract.digest}",
        )
    if Part.PLATFORMS in parts:
        there = platforms_by_name(facts).keys()
        for name in sorted(lock.platforms.keys() ^ there):
            added = name in there
            yield Drift(
                kind=DriftKind.ADDED if added else DriftKind.REMOVED,
                part=Part.PLATFORMS,
                platform=name,
                pointer=pointer("platforms", name),
                place=f"/platforms/{name}",
                name=f"platform {name}",
                expected=None if added else name,
                actual=name if added else None,
                package=None,
                origin=None,
                message=f"platform {name} is {'new' if added else 'gone'}",
            )


def platform_drift(
    name: str,
    locked: LockedPlatform,
    facts: PlatformFacts,
    *,
    parts: Collection[Part] = EVERY_PART,
    size_fits: SizeFits | None = None,
) -> Iterator[Drift]:
    """What concerns one platform. Packages that could not be read are passed over: ask `unread_packages` first."""
    base_layers = None if locked.base.diff_ids is None else len(locked.base.diff_ids)
    actual = platform_document(locked_platform(facts, base_layers=base_layers))
    comparison = _Comparison(name, platform_document(locked), actual, facts)
    found = {
        Part.BASE: comparison.base,
        Part.CONFIG: comparison.config,
        Part.EXECUTABLES: comparison.executables,
        Part.PACKAGES: comparison.packages,
        Part.SETID: comparison.setid,
    }
    for part, of_part in found.items():
        if part in parts:
            yield from sorted(of_part(), key=lambda drift: (drift.place, drift.pointer, drift.kind.value))
    if Part.SIZE in parts and size_fits is not None:
        yield from comparison.size(size_fits)


class _Comparison:
    """The two documents of a platform, part by part."""

    def __init__(
        self, platform: str, before: Mapping[str, Json], after: Mapping[str, Json], facts: PlatformFacts
    ) -> None:
        self._platform = platform
        self._before = before
        self._after = after
        self._origins = Origins(facts)
        self._facts = facts

    def base(self) -> Iterator[Drift]:
        before, after = self._before["base"], self._after["base"]
        for key in ("digest", "name"):
            if before[key] != after[key]:
                origin = self._origins.of_setting("labels", f"org.opencontainers.image.base.{key}")
                yield self._drift(Part.BASE, (key,), f"base {key}", before[key], after[key], origin)
        there = diff_ids(self._facts)
        for position, locked in enumerate(before["diff_ids"] or ()):
            actual = there[position] if position < len(there) else None
            if actual != locked:  # whatever is above it follows from that
                origin = self._origins.of_layer(None if actual is None else position)
                yield self._drift(Part.BASE, ("diff_ids", position), f"base layer {position}", locked, actual, origin)
                return

    def config(self) -> Iterator[Drift]:
        before, after = self._before["config"], self._after["config"]
        for key in sorted(before):
            old, new = before[key], after[key]
            if key in _NAMED:
                for name in sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)):
                    origin = self._origins.of_setting(key, name) if name in new else None
                    yield self._drift(
                        Part.CONFIG, (key, name), f"{_NAMED[key]} {name}", old.get(name), new.get(name), origin
                    )
            elif key in _SETS:
                for position, value in _gone(old, new):
                    yield self._element(Part.CONFIG, (key, position), _SETS[key], value, None, None)
                for value in _come(old, new):
                    origin = self._origins.of_setting(key, value)
                    yield self._element(Part.CONFIG, (key, END), _SETS[key], None, value, origin)
            elif old != new:
                origin = self._origins.of_setting(key) if new else None
                yield self._drift(Part.CONFIG, (key,), key.replace("_", " "), old or None, new or None, origin)

    def executables(self) -> Iterator[Drift]:
        before, after = self._before["executables"], self._after["executables"]
        for position, path in _gone(before, after):
            yield self._element(Part.EXECUTABLES, (position,), "executable", path, None, self._origins.of_file(path))
        for path in _come(before, after):
            yield self._element(Part.EXECUTABLES, (END,), "executable", None, path, self._origins.of_file(path))

    def packages(self) -> Iterator[Drift]:
        before = self._before["packages"]
        for change in package_changes(before, self._after["packages"]):
            yield self._made(
                Part.PACKAGES,
                (END,) if change.before is None else (before.index(change.before),),
                place=f"/packages/{change.unversioned}",
                name=f"package {change.name}",
                before=change.before,
                after=change.after,
                shown=change.versions,
                origin=self._origins.of_package(change.after or change.before or ""),
                package=change,
            )

    def setid(self) -> Iterator[Drift]:
        before, after = self._before["setid"], self._after["setid"]
        for path in sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)):
            origin = self._origins.of_file(path)
            yield self._drift(Part.SETID, (path,), f"set-id file {path}", before.get(path), after.get(path), origin)

    def size(self, fits: SizeFits) -> Iterator[Drift]:
        before, after = self._before["size"], self._after["size"]
        for key in sorted(before):
            if not fits(key, before[key], after[key]):
                yield self._drift(Part.SIZE, (key,), f"{key} size", before[key], after[key], None)

    def _element(
        self, part: Part, steps: Steps, name: str, before: str | None, after: str | None, origin: Origin | None
    ) -> Drift:
        """Of an array that is a set: what is in it is its own name."""
        value = before or after or ""
        return self._made(
            part,
            steps,
            place=_place(part, (*steps[:-1], value)),
            name=f"{name} {value}",
            before=before,
            after=after,
            shown=(None, None),
            origin=origin,
        )

    def _drift(self, part: Part, steps: Steps, name: str, before: Json, after: Json, origin: Origin | None) -> Drift:
        return self._made(
            part,
            steps,
            place=_place(part, steps),
            name=name,
            before=before,
            after=after,
            shown=(_shown(before), _shown(after)),
            origin=origin,
        )

    def _made(
        self,
        part: Part,
        steps: Steps,
        *,
        place: str,
        name: str,
        before: Json,
        after: Json,
        shown: tuple[str | None, str | None],
        origin: Origin | None,
        package: PackageChange | None = None,
    ) -> Drift:
        if before is None:
            kind, message = DriftKind.ADDED, f"{_words(name, shown[1])} is new"
        elif after is None:
            kind, message = DriftKind.REMOVED, f"{_words(name, shown[0])} is gone"
        else:
            kind, message = DriftKind.CHANGED, f"{name} was {shown[0]} and is {shown[1]}"
        return Drift(
            kind=kind,
            part=part,
            platform=self._platform,
            pointer=pointer("platforms", self._platform, part.value, *steps),
            place=place,
            name=name,
            expected=before,
            actual=after,
            package=package,
            origin=origin,
            message=message,
        )


def _gone(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[int, str]]:
    there = frozenset(after)
    return ((position, value) for position, value in enumerate(before) if value not in there)


def _come(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    there = frozenset(before)
    return (value for value in after if value not in there)


def _place(part: Part, steps: Steps) -> str:
    return "".join(f"/{str(step).removeprefix('/')}" for step in (part.value, *steps))


def _words(name: str, value: str | None) -> str:
    return name if value is None else f"{name} {value}"


def _shown(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
