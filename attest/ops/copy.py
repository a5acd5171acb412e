"""Copy an image with everything that is attached to it, so that it may be broken off anywhere and done again.

What there is to copy is found out first, and the steps follow from it (`attest.core.promotion.copyplan`). Each step
looks whether it is done already. Blobs flow through in pieces; of manifests one is held at a time for each thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from attest.copyports import CopySource, CopyTarget, Held, Moved
from attest.core.oci import Descriptor
from attest.core.promotion.checkedblob import BlobDiffers, checked
from attest.core.promotion.copyplan import MANIFESTS, CopyInvalid, CopyPlan, Listed, Part, part_of, plan_copy
from attest.core.reference import Digest
from attest.errors import LimitExceeded, StoreError, StoreMisbehaved
from attest.ops.parallel import each

_ROUNDS: Final = 5
"""How often the source is looked at again."""
_BLOBS: Final = 3
"""Blobs on their way at once: each holds two ranges of 4 MiB in memory, and a few pieces of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What there was to copy of one image, and what of it had to be moved."""

    manifests: int
    referrers: int
    blobs: Mapping[Moved, int]
    sent: int
    """Bytes of blobs that were uploaded."""

    def behind(self, earlier: Copied, *, blobs: int) -> Copied:
        """The two together, where this one copied the same and more; `blobs` is how many there are."""
        moved = {way: earlier.blobs[way] + self.blobs[way] for way in (Moved.UPLOADED, Moved.MOUNTED)}
        return Copied(
            manifests=self.manifests,
            referrers=self.referrers,
            blobs={**moved, Moved.PRESENT: blobs - sum(moved.values())},
            sent=earlier.sent + self.sent,
        )


@dataclass(slots=True)
class Tally:
    """How far a copy is; written by its threads and read by whoever shows it."""

    stage: str = "reading the evidence"
    """What is done now, for people."""
    total: int = 0
    """Bytes of all blobs, as far as they are known."""
    _moved: dict[Digest, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def done(self) -> int:
        """Bytes of blobs that need not be moved any more."""
        with self._lock:
            return sum(self._moved.values())

    def expect(self, size: int) -> None:
        """So many more bytes are to be moved."""
        with self._lock:
            self.total += size

    def set(self, blob: Digest, size: int) -> None:
        """So many bytes of a blob are there."""
        with self._lock:
            self._moved[blob] = size


def discover(source: CopySource, *, known: CopyPlan | None = None) -> CopyPlan:
    """Find out what there is to copy: the image, what is attached to it and to its platforms, and to that.

    Manifests of a plan that is `known` are not read again: they are what their digests say. What is attached is asked.

    Raises:
        StoreError: something could not be listed or read; nothing is passed over.
        LimitExceeded: there is more than is copied.
    """
    read = {} if known is None else {part.digest: part for wave in known.waves for part in wave}
    root = _part(source.image()) if known is None else read[known.image.digest]
    found = _Found(image=root.digest, parts={root.digest: root})
    waiting = [root]
    while waiting:
        children: list[Descriptor] = [child for part in waiting for child in part.children]
        for part, listed in zip(waiting, each(partial(_listing, source), waiting), strict=True):
            found.listed[part.digest] = listed
            children += [*listed.referrers, *listed.names.values()]
        waiting = each(lambda one: read.get(one.digest) or _part(source.manifest(one)), found.unknown(children))
        found.parts.update({part.digest: part for part in waiting})
    try:
        return plan_copy(found.image, found.parts, found.listed)
    except CopyInvalid as error:
        raise StoreMisbehaved(f"{found.image} cannot be copied: {error}") from error


@dataclass(slots=True, kw_only=True)
class _Found:
    image: Digest
    parts: dict[Digest, Part]
    listed: dict[Digest, Listed] = field(default_factory=dict)

    def unknown(self, described: Sequence[Descriptor]) -> list[Descriptor]:
        """Those of the descriptors that nobody has read yet, each digest once."""
        new = {one.digest: one for one in described if one.digest not in self.parts}
        if len(self.parts) + len(new) > MANIFESTS:
            raise LimitExceeded(f"{self.image} has more than {MANIFESTS} manifests to copy")
        return list(new.values())


def _part(held: Held) -> Part:
    """A manifest without its bytes, which would add up."""
    return part_of(held.content, held.document)


def _listing(source: CopySource, part: Part) -> Listed:
    return source.attached(part.digest, [child.digest for child in part.children])


def carry(source: CopySource, target: CopyTarget, plan: CopyPlan, tally: Tally) -> tuple[CopyPlan, Copied]:
    """Copy until the source has nothing more: what was attached while layers were on their way goes along.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: as `copy`, or the source does not come to rest.
    """
    copied = copy(source, target, plan, tally)
    for _ in range(_ROUNDS):
        now = discover(source, known=plan)
        if plan.covers(now):
            return plan, copied
        more = copy(source, target, now, tally)
        plan, copied = now, more.behind(copied, blobs=len(now.blobs))
    raise StoreError(
        f"{plan.image.digest} gets new attestations faster than they can be copied", hint="promote it again later"
    )


def copy(source: CopySource, target: CopyTarget, plan: CopyPlan, tally: Tally) -> Copied:
    """Have everything of the plan at the destination, but no tag.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it was broken off. Doing it again goes on where it stopped.
    """
    target.prepare()
    ways = list(_in_turns(partial(_move, source, target, tally), plan.blobs))
    for wave in plan.waves:
        each(lambda part: target.put(source.manifest(part.descriptor)), wave)
    for name, part in plan.names.items():
        target.keep_name(name, part)
    for attachment in plan.attachments:
        target.attach(attachment)
    return Copied(
        manifests=plan.manifests,
        referrers=plan.referrers,
        blobs={way: ways.count(way) for way in Moved},
        sent=sum(blob.size for blob, way in zip(plan.blobs, ways, strict=True) if way is Moved.UPLOADED),
    )


def _in_turns(move: Callable[[Descriptor], Moved], blobs: Sequence[Descriptor]) -> Iterator[Moved]:
    """A few at a time, since what several hold in memory adds up."""
    for start in range(0, len(blobs), _BLOBS):
        yield from each(move, blobs[start : start + _BLOBS])


def _move(source: CopySource, target: CopyTarget, tally: Tally, blob: Descriptor) -> Moved:
    if target.has(blob):
        tally.set(blob.digest, blob.size)
        return Moved.PRESENT

    def pieces() -> Iterator[bytes]:
        size = 0
        try:
            for piece in checked(source.stream(blob), blob):
                yield piece
                size += len(piece)
                tally.set(blob.digest, size)
        except BlobDiffers as error:
            raise StoreMisbehaved(f"the source does not hold the blob {blob.digest}: {error}") from error

    moved = target.take(blob, pieces, origin=source.repository)
    tally.set(blob.digest, blob.size)
    return moved
