"""Drift: how an image differs from what was locked, and which layer and build step brought each difference."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from attest.core.image.change import Change, ChangeKind, Changes, change
from attest.core.image.facts import ImageFacts, PlatformFacts
from attest.core.image.origin import Origin, Origins
from attest.core.image.packagechange import PackageChange
from attest.core.jsonpointer import pointer
from attest.core.lock.document import ContractLock, LockedBase, LockedContract, LockedPlatform, platform_document
from attest.core.lock.locked import diff_ids, locked_platform, platforms_by_name, unread_packages, unread_words
from attest.core.strictjson import Json
from attest.errors import Undecided


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference between a lock and an image."""

    kind: ChangeKind
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
            kind=ChangeKind.CHANGED,
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
                kind=ChangeKind.ADDED if added else ChangeKind.REMOVED,
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
    changes = Changes(
        before=platform_document(locked),
        after=platform_document(locked_platform(facts)),
        origins=Origins(facts),
    )
    found: dict[Part, Callable[[], Iterator[Change]]] = {
        Part.BASE: lambda: _base(changes, facts),
        Part.CONFIG: changes.config,
        Part.EXECUTABLES: changes.executables,
        Part.PACKAGES: changes.packages,
        Part.SETID: changes.setid,
        Part.SIZE: lambda: _size(changes, size_fits),
    }
    for part, of_part in found.items():
        if part in parts:
            yield from (_drift(name, part, change) for change in of_part())


def base_update(platform: str, before: LockedBase, after: LockedBase) -> Iterator[Drift]:
    """How what is locked of a base differs from what was."""
    for key, name in (("diff_ids", "list of base layers"), ("digest", "base digest"), ("name", "base name")):
        old, new = getattr(before, key), getattr(after, key)
        if old != new:
            yield _drift(platform, Part.BASE, change((key,), name, _listed(old), _listed(new), None))


def _base(changes: Changes, facts: PlatformFacts) -> Iterator[Change]:
    before, after = changes.before["base"], changes.after["base"]
    # What is claimed of the digest is worth nothing where the layers are known. Builders that keep a layer for each
    # step claim that of the image before the last step, which is another one in every build.
    claims = ("name",) if before["diff_ids"] is not None else ("digest", "name")
    for key in claims:
        if before[key] != after[key]:
            origin = changes.origins.of_setting("labels", f"org.opencontainers.image.base.{key}")
            yield change((key,), f"base {key}", before[key], after[key], origin)
    there = diff_ids(facts)
    for position, locked in enumerate(before["diff_ids"] or ()):
        actual = there[position] if position < len(there) else None
        if actual != locked:  # whatever is above it follows from that
            origin = changes.origins.of_layer(None if actual is None else position)
            yield change(("diff_ids", position), f"base layer {position}", locked, actual, origin)
            return


def _listed(value: str | tuple[str, ...] | None) -> Json:
    return list(value) if isinstance(value, tuple) else value


def _size(changes: Changes, fits: SizeFits | None) -> Iterator[Change]:
    for each in changes.size():
        if fits is not None and not fits(str(each.steps[0]), each.before, each.after):
            yield each


def _drift(platform: str, part: Part, found: Change) -> Drift:
    return Drift(
        kind=found.kind,
        part=part,
        platform=platform,
        pointer=pointer("platforms", platform, part.value, *found.steps),
        place="".join(f"/{str(step).removeprefix('/')}" for step in (part.value, *found.key)),
        name=found.name,
        expected=found.before,
        actual=found.after,
        package=found.package,
        origin=found.origin,
        message=found.message,
    )
