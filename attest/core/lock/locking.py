"""Locking an image, and asking later whether it is still what was locked.

`make_lock` and `update_lock` make the document (`attest.core.lock.document`), `compare` finds the drift
(`attest.core.lock.drift`), and `ImageLock` is what the checks of a contract ask (`attest.core.contract.finding.Lock`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from attest.core.contract.finding import LOCK_DRIFT, Finding, FoundLayer, Standing
from attest.core.image.facts import ImageFacts, PlatformFacts, Sizes
from attest.core.lock.document import (
    SIZE_LIMIT,
    ContractLock,
    LockedBase,
    LockedContract,
    LockedPlatform,
    lock_document,
    lock_json,
    lock_schema,
    read_lock,
)
from attest.core.lock.drift import (
    EVERY_PART,
    Drift,
    Part,
    SizeFits,
    base_update,
    compare,
    image_drift,
    platform_drift,
)
from attest.core.lock.locked import (
    diff_ids,
    locked_platform,
    platforms_by_name,
    refuse_unread,
    unread_packages,
    unread_words,
)
from attest.core.oci import Platform
from attest.errors import UsageError

__all__ = [
    "EVERY_PART",
    "SIZE_LIMIT",
    "ContractLock",
    "Drift",
    "ImageLock",
    "LockedContract",
    "Part",
    "SizeFits",
    "compare",
    "lock_document",
    "lock_json",
    "lock_schema",
    "make_lock",
    "read_lock",
    "refuse_unread",
    "update_drift",
    "update_lock",
]


def make_lock(facts: ImageFacts, *, contract: LockedContract, baseline: ImageFacts | None = None) -> ContractLock:
    """The lock of an image as it is. With the image that it was built on, the layers of that are locked as its base.

    Raises:
        Undecided: something that a container sees could not be read, or the image has one platform twice.
        UsageError: it was not built on `baseline`.
    """
    refuse_unread(facts)
    bases = None if baseline is None else platforms_by_name(baseline)
    platforms: dict[str, LockedPlatform] = {}
    for name, platform in platforms_by_name(facts).items():
        base = None
        if baseline is not None and bases is not None:
            if name not in bases:
                raise UsageError(f"the baseline has nothing for {name}")
            base = _proven(name, platform, baseline, bases[name])
        platforms[name] = locked_platform(platform, base=base)
    return ContractLock(contract=contract, platforms=platforms)


def update_lock(
    lock: ContractLock,
    facts: ImageFacts,
    *,
    contract: LockedContract,
    baseline: ImageFacts | None = None,
    parts: frozenset[Part] = EVERY_PART,
) -> ContractLock:
    """The lock with these parts of it as they are in an image now.

    Without `PLATFORMS` among the parts no platform comes or goes. Layers of a base stay locked without `baseline`, as
    long as the image still begins with them.

    Raises:
        Undecided, UsageError: as `make_lock`.
        UsageError: the image no longer begins with the base that is locked, and `baseline` does not say what it begins
            with.
    """
    new = make_lock(facts, contract=contract, baseline=baseline).platforms
    by_name = platforms_by_name(facts)
    platforms: dict[str, LockedPlatform] = {}
    for name in sorted(new if Part.PLATFORMS in parts else lock.platforms):
        if name not in new:
            platforms[name] = lock.platforms[name]
            continue
        after = new[name]
        before = lock.platforms.get(name, after)
        if Part.BASE in parts and baseline is None:
            after = replace(after, base=_same_base(name, before.base, after.base, by_name[name]))
        taken = {part.value: getattr(after, part.value) for part in parts & _OF_PLATFORM}
        platforms[name] = replace(before, **taken)
    return ContractLock(contract=contract if Part.CONTRACT in parts else lock.contract, platforms=platforms)


def update_drift(
    before: ContractLock, after: ContractLock, facts: ImageFacts, *, parts: frozenset[Part] = EVERY_PART
) -> tuple[Drift, ...]:
    """What is in a lock that was updated from an image, and was not before; sizes to the byte."""
    by_content = compare(
        before,
        facts,
        contract=after.contract,
        parts=parts - {Part.BASE},
        size_fits=lambda _, old, new: old == new,
    )
    by_base = [
        drift
        for name in sorted(before.platforms.keys() & after.platforms.keys())
        for drift in base_update(name, before.platforms[name].base, after.platforms[name].base)
    ]
    return (*by_content, *by_base)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLock:
    """A lock as the checks of a contract ask it: `attest.core.contract.finding.Lock`."""

    lock: ContractLock
    contract: LockedContract | None = None
    """The contract of the checks, if that the lock was made under another one is a finding as well."""

    def sizes(self, platform: Platform) -> Sizes | None:
        """As `attest.core.contract.finding.Lock.sizes`."""
        locked = self.lock.platforms.get(str(platform))
        if locked is None:
            return None
        return Sizes(compressed=locked.size.compressed, unpacked=locked.size.unpacked, wasted=locked.size.wasted)

    def findings(self, facts: ImageFacts) -> Sequence[Finding]:
        """As `attest.core.contract.finding.Lock.findings`. Sizes may differ: the check `size.delta` says how far.

        Raises:
            Undecided: the image has one platform twice.
        """
        return tuple(self._findings(facts))

    def _findings(self, facts: ImageFacts) -> Iterator[Finding]:
        for drift in image_drift(self.lock, facts, contract=self.contract, parts=EVERY_PART):
            yield _finding(drift, None)
        for name, platform in platforms_by_name(facts).items():
            locked = self.lock.platforms.get(name)
            if locked is None:
                continue
            parts = EVERY_PART
            for unread in unread_packages(platform):
                parts = EVERY_PART - {Part.PACKAGES}
                yield Finding(
                    check=LOCK_DRIFT,
                    platform=platform.platform,
                    place="/packages",
                    message=f"packages cannot be compared: {unread_words(unread)}",
                    standing=Standing.UNDECIDED,
                    layer=FoundLayer.of(platform, unread.layer),
                )
            for drift in platform_drift(name, locked, platform, parts=parts):
                yield _finding(drift, platform.platform)


_OF_PLATFORM: Final = EVERY_PART - {Part.CONTRACT, Part.PLATFORMS}
"""The parts that are members of a `LockedPlatform`, by their names."""


def _proven(name: str, image: PlatformFacts, baseline: ImageFacts, base: PlatformFacts) -> LockedBase:
    """What is locked of a base that is at hand.

    Raises:
        UsageError: the image does not begin with its layers.
    """
    wanted, there = diff_ids(base), diff_ids(image)
    if there[: len(wanted)] != wanted:
        raise UsageError(f"the image was not built on the baseline: {name} does not begin with its layers")
    return LockedBase(name=image.base.name, digest=baseline.digest, diff_ids=wanted)


def _same_base(name: str, before: LockedBase, after: LockedBase, facts: PlatformFacts) -> LockedBase:
    if before.diff_ids is None:
        return after
    if diff_ids(facts)[: len(before.diff_ids)] != before.diff_ids:
        raise UsageError(
            f"{name} no longer begins with the layers of the base that is locked",
            hint="name the image that it was built on with --baseline",
        )
    return replace(after, digest=before.digest, diff_ids=before.diff_ids)


def _finding(drift: Drift, platform: Platform | None) -> Finding:
    layer = None if drift.origin is None else drift.origin.found
    step = "" if drift.origin is None or layer is not None else f", by {drift.origin}"
    return Finding(
        check=LOCK_DRIFT,
        platform=platform,
        place=drift.place,
        message=f"{drift.message}{step}",
        standing=Standing.VIOLATION,
        layer=layer,
    )
