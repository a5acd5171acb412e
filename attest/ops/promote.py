"""Promote a release: move what passed, decide about it again where it is then, and give it its tags last.

1. the destinations are places that the policy speaks for;   2. the verdict at the source is `Passed`, or `Waived`;
3. no tag stands for another image;                          4. images and everything attached to them are copied;
5. the verdict at the destination is one of these, too;      6. the receipt is attached;    7. the tags are written.

Up to 3 nothing is changed. What ends later leaves content that no tag names, and the same command goes on there. Where
the verdict at the destination is a refusal, nothing gets a receipt or a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from attest.copyports import CopyStore
from attest.core.envelope import EnvelopeInvalid, read_bundle
from attest.core.evaluate import Remembered
from attest.core.policy import Policy
from attest.core.predicates import SUMMARY
from attest.core.promotion.copyplan import CopyPlan
from attest.core.promotion.destination import Place, TagFormat, commit_of
from attest.core.reference import Digest, ImageReference, TagReferences, digest_of
from attest.core.release import StoredImage
from attest.core.statement import read_statement
from attest.core.verdict import Passed, PassedThen, Refused
from attest.core.waiver import Allowed, Answer, Presented, Waived
from attest.errors import InternalError, TagTaken
from attest.ops.copy import Copied, Tally, carry, discover
from attest.ops.named import Named
from attest.ops.parallel import each
from attest.ops.reading import Reading
from attest.ops.receipt import find_receipt, write_receipt
from attest.ops.verify import Question, verify, verify_waived
from attest.ports import Attached, Clock, Reads, Signer

_RECEIPT: Final = 64 * 1024
"""Bytes of a bundle that may be an earlier receipt of ours."""
_RECEIPTS: Final = 256
"""So many of them are looked at; behind them a new one is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One image of the release, and where it goes."""

    source: Named
    place: Place

    @property
    def digest(self) -> Digest:
        """Of the image, at both ends."""
        return self.source.reference.digest

    @property
    def destination(self) -> Named:
        """The image as it will be named."""
        return Named(reference=self.place.image(self.digest), repository=self.place.repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiving:
    """A waiver that is presented, and how it is recorded that something goes by it."""

    presented: Presented
    record: Callable[[Waived], None]
    """Durable when it returns; what goes by the waiver happens after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a promotion is to do, besides which images."""

    policy: Policy
    policy_uri: str
    """How receipts name the policy."""
    tag_format: TagFormat
    platforms: bool
    """Whether the policy names platforms."""
    commit: str | None = None
    """The source commit that a release file names."""
    remembered: Remembered | None = None
    waiving: Waiving | None = None
    """A waiver by which lanes may be lacking."""
    signer: Signer | None = None
    """Of the receipt, where there is to be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One image at its destination. `tag` is None where the verdict there let nothing get one."""

    move: Move
    copied: Copied
    tag: TagReferences | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """How a promotion ended that moved something."""

    verdict: Answer
    """On the images at their destinations."""
    images: tuple[Delivered, ...]
    receipt: Digest | None
    """The bundle of the receipt that is attached to each of them."""


def promote(
    passed: Allowed,
    moves: Sequence[Move],
    task: Task,
    *,
    source: CopyStore,
    target: CopyStore,
    clock: Clock,
    tally: Tally,
) -> Promotion:
    """Steps 3 to 7 for a release that has passed, or was waived; `target` may write.

    What goes by a waiver is recorded before step 4; what only the destination lacks, before step 6.

    Raises:
        UsageError: no tag can be written in this format.
        LedgerError: that it goes by a waiver cannot be recorded.
        TagTaken: a tag stands for another image. Before anything moved, unless somebody wrote it meanwhile.
        StoreError, LimitExceeded, DeadlineExceeded: it was broken off, and may be done again.
    """
    if [image.digest for image in passed.findings.images] != [move.digest for move in moves]:
        raise InternalError("the verdict is about other images than would be promoted")
    commit = task.commit or commit_of(task.policy, passed.findings)
    tags = [task.tag_format.tag(move.digest, commit) for move in moves]
    targets = [target.copy_target(move.destination.reference) for move in moves]
    for move, there, tag in zip(moves, targets, tags, strict=True):
        present = there.tagged(tag)
        if present not in (None, move.digest):
            raise TagTaken(
                f"{move.place.tag(tag)} stands for {present}, not {move.digest}; nothing was moved",
                hint="a tag of a promotion is never moved; find out who wrote it, or use another --tag-format",
            )
    _record(task, passed)
    tally.stage = "looking for what there is to copy"
    sources = [source.copy_source(move.source.reference) for move in moves]
    first = [discover(one) for one in sources]
    tally.stage = "copying"
    for plan in first:
        tally.expect(plan.size)
    carried = [carry(one, there, plan, tally) for one, there, plan in zip(sources, targets, first, strict=True)]
    plans = [plan for plan, _ in carried]
    tally.stage = "verifying at the destination"
    overheard = _Overheard(store=target)
    verdict = _verify_there(overheard, moves, task, clock)
    receipt = None
    match verdict:
        case Passed() | Waived():
            if isinstance(verdict, Waived) and not set(verdict.lacking) <= _lacking(passed):
                _record(task, verdict)
            receipt = _attach_receipt(verdict, moves, plans, overheard.bundles, task, target)
            tally.stage = "writing tags"
            for there, tag, plan in zip(targets, tags, plans, strict=True):
                there.tag(tag, plan.image)
        case Refused() | PassedThen():
            pass
    images = tuple(
        Delivered(move=move, copied=one, tag=move.place.tag(tag) if isinstance(verdict, Passed | Waived) else None)
        for move, (_, one), tag in zip(moves, carried, tags, strict=True)
    )
    return Promotion(verdict=verdict, images=images, receipt=receipt)


def _lacking(allowed: Allowed) -> frozenset[str]:
    return frozenset(allowed.lacking) if isinstance(allowed, Waived) else frozenset()


def decide(reading: Reading, task: Task, *, clock: Clock) -> Answer:
    """The verdict on the images that are being read, at their source or at their destination.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided.
    """
    if task.waiving is None:
        question = Question(commit=task.commit, remembered=task.remembered)
        return verify(reading, task.policy, question, clock=clock)
    return verify_waived(
        reading, task.policy, task.waiving.presented, commit=task.commit, remembered=task.remembered, clock=clock
    )


def _record(task: Task, verdict: Allowed) -> None:
    """Have it recorded where something goes by a waiver, before it does."""
    if isinstance(verdict, Waived):
        if task.waiving is None:
            raise InternalError("a waiver that nobody presented")
        task.waiving.record(verdict)


def _verify_there(store: Reads, moves: Sequence[Move], task: Task, clock: Clock) -> Answer:
    with Reading(store, [move.destination for move in moves], platforms=task.platforms) as reading:
        return decide(reading, task, clock=clock)


def _attach_receipt(
    verdict: Allowed,
    moves: Sequence[Move],
    plans: Sequence[CopyPlan],
    overheard: Sequence[bytes],
    task: Task,
    target: CopyStore,
) -> Digest | None:
    """Have a receipt at every destination: one that says the same and is there already, else a new one."""
    if task.signer is None:
        return None
    bundle = find_receipt(overheard, verdict, key=task.signer.public, policy_uri=task.policy_uri)
    if bundle is None:
        bundle = write_receipt(verdict, signer=task.signer, policy_uri=task.policy_uri)
    # The time in the manifest is that of the receipt, so that attaching it again makes the same manifest.
    created = str(read_statement(read_bundle(bundle).payload).predicate["timeVerified"])

    def publish(one: tuple[Move, CopyPlan]) -> None:
        move, plan = one
        target.publish(move.destination.reference, plan.image, bundle, predicate_type=SUMMARY, created=created)

    each(publish, list(zip(moves, plans, strict=True)))
    return digest_of(bundle)


@dataclass(slots=True, kw_only=True)
class _Overheard:
    """Reads for a verification, and keeps what may be earlier receipts."""

    store: Reads
    bundles: list[bytes] = field(default_factory=list)

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """As `attest.ports.Reads.read`."""

        def hear(attached: Attached) -> None:
            if (
                len(attached.content) <= _RECEIPT
                and len(self.bundles) < _RECEIPTS
                and _may_be_receipt(attached.content)
            ):
                self.bundles.append(attached.content)
            receive(attached)

        return self.store.read(image, platform=platform, receive=hear)


def _may_be_receipt(content: bytes) -> bool:
    try:
        return SUMMARY.encode() in read_bundle(content).payload
    except EnvelopeInvalid:
        return False
