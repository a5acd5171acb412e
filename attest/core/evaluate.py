"""The evaluation: a policy, a release and its evidence in, a verdict out. No input, no clock, no memory.

The steps are those of docs/policy.md, "Evaluation", numbered where they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from attest.core.binding import (
    EARLIEST,
    Bound,
    Combination,
    best_combination,
    bind,
    difference,
    distinct_signers,
    enough,
)
from attest.core.candidates import Blocked, Fault, Item, collect, fresh, is_candidate, judge, weigh
from attest.core.nearmiss import explain
from attest.core.policy import EvidenceAt, Lane, Policy
from attest.core.reference import Digest
from attest.core.release import ChildKind, Release, ReleaseImage
from attest.core.statement import format_time
from attest.core.verdict import Findings, ImageVerdict, LaneVerdict, Reason, Refusal, State, Verdict, conclude
from attest.core.verify import Outcome, Rejected, Unreadable, VerifiedStatement


class Found(NamedTuple):
    """What verification made of a bundle, and the image that it was found on; None for one that was handed in."""

    outcome: Outcome
    image: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The highest serial seen of a policy of this name, and the digest that it had."""

    serial: int
    digest: Digest


class _Target(NamedTuple):
    """A digest that a lane is asked of: the candidates that count for it, and those that do not, with the reason."""

    digest: Digest
    eligible: Sequence[Bound]
    fallen: Sequence[tuple[Item, Fault]]


class _Case(NamedTuple):
    """One lane of one image."""

    image: ReleaseImage
    lane: Lane
    blocked: Blocked | None
    targets: Sequence[_Target]


class _Scene(NamedTuple):
    """What every lane is decided on."""

    policy: Policy
    release: Release
    subjects: frozenset[Digest]
    items: Sequence[Item]
    labelled: Mapping[str | None, Sequence[Item]]
    """The items by the lane that they name."""
    now: datetime
    historical: bool
    aged_at: datetime
    """Where `max-age` is measured."""


def evaluate(
    policy: Policy,
    release: Release,
    evidence: Sequence[Found],
    *,
    now: datetime,
    remembered: Remembered | None = None,
    demanded: Iterable[Digest] = (),
    historical: bool = False,
    aged_at: datetime | None = None,
) -> Verdict:
    """Whether the release has everything that the policy demands.

    `remembered` is the state of an earlier run, `demanded` the inputs of earlier receipts. With `historical`, `now`
    lies in the past: later evidence is ignored, and of evidence without a time only the bad is kept. `aged_at` is the
    earlier verdict at which `max-age` is measured, on the way back to a release that passed and was healthy.
    """
    findings = find(
        policy,
        release,
        evidence,
        now=now,
        remembered=remembered,
        demanded=demanded,
        historical=historical,
        aged_at=aged_at,
    )
    return conclude(findings, historical=historical)


def find(
    policy: Policy,
    release: Release,
    evidence: Sequence[Found],
    *,
    now: datetime,
    remembered: Remembered | None = None,
    demanded: Iterable[Digest] = (),
    historical: bool = False,
    aged_at: datetime | None = None,
    waived: frozenset[str] = frozenset(),
) -> Findings:
    """Everything that `evaluate` concludes from. Lanes that are `waived` have no say in which combination it is."""
    subjects = release.subjects
    verified: dict[Digest, VerifiedStatement] = {}
    useless: list[Found] = []
    places: dict[Digest, set[Digest]] = {}
    for found in evidence:
        outcome = found.outcome
        if isinstance(outcome, VerifiedStatement):
            verified[outcome.bundle] = outcome
        else:
            useless.append(found)
        places.setdefault(outcome.bundle, set()).update(subjects if found.image is None else (found.image,))
    known = [
        (statement, frozenset(places[bundle]))
        for bundle, statement in verified.items()
        if not (historical and statement.time is not None and statement.time > now)
    ]
    items = collect(policy, known, now)
    labelled: dict[str | None, list[Item]] = {}
    for item in items:
        labelled.setdefault(item.verified.statement.context.lane, []).append(item)
    scene = _Scene(policy, release, subjects, items, labelled, now, historical, aged_at or now)
    cases = [_cases(scene, image) for image in release.images]
    bound = [
        (case.lane, target.eligible)
        for of_image in cases
        for case in of_image
        if not case.lane.unbound
        for target in case.targets
    ]
    needed = [one for one in bound if one[0].name not in waived]
    combination = best_combination(needed) or best_combination(bound)
    images = tuple(
        [
            ImageVerdict(
                image=image.reference,
                digest=image.digest,
                refusals=(*_refusals_of(policy, image, of_image), *_unreadable(policy, release, image, useless)),
                lanes=tuple([_lane_verdict(scene, case, combination) for case in of_image]),
                rejected=_rejected(release, image, useless),
            )
            for image, of_image in zip(release.images, cases, strict=True)
        ]
    )
    trust = policy.keyring.trust
    return Findings(
        policy=policy.name,
        policy_digest=policy.digest,
        serial=policy.serial,
        time=now,
        refusals=(*_refusals(policy, now, remembered), *_withheld(demanded, places)),
        images=images,
        inputs=frozenset(verified),
        trusted_root=trust.digest if trust is not None and policy.public_good else None,
    )


# 0. Before the lanes.


def _refusals(policy: Policy, now: datetime, remembered: Remembered | None) -> Iterator[Refusal]:
    if policy.expires is not None and now >= policy.expires:
        message = f"the policy expired at {format_time(policy.expires)}; its owner has to renew it"
        yield Refusal(reason=Reason.POLICY_EXPIRED, message=message)
    if remembered is None:
        return
    if policy.serial < remembered.serial:
        message = f"serial {policy.serial} of this policy is older than {remembered.serial}, which was seen before"
        yield Refusal(reason=Reason.SERIAL_TOO_LOW, message=message)
    elif policy.serial == remembered.serial and policy.digest != remembered.digest:
        message = f"the policy changed ({remembered.digest} before, {policy.digest} now), but not its serial"
        yield Refusal(reason=Reason.POLICY_CHANGED, message=message)


def _withheld(demanded: Iterable[Digest], found: Iterable[Digest]) -> Iterator[Refusal]:
    present = frozenset(found)
    for digest in sorted(frozenset(demanded)):
        if digest not in present:
            message = f"{digest} was an input of an earlier receipt and is gone; restore it, or find out who removed it"
            yield Refusal(reason=Reason.INPUT_WITHHELD, message=message)


def _refusals_of(policy: Policy, image: ReleaseImage, cases: Sequence[_Case]) -> Iterator[Refusal]:
    if not policy.speaks_for(image.repository):
        place = image.repository or "a layout that stands for no repository (say which with --repository)"
        yield Refusal(reason=Reason.OUTSIDE_POLICY, message=f"the policy's `images` do not name {place}")
    if not cases:
        yield Refusal(reason=Reason.NO_LANE, message=f"no lane of the policy covers {image.name!r}")
    if image.digest in policy.revoked:
        yield Refusal(reason=Reason.IMAGE_REVOKED, message=f"{image.digest} is revoked by the policy")
    for child in image.stored.children or ():
        if child.digest in policy.revoked:
            message = f"the platform {child.platform} ({child.digest}) is revoked by the policy"
            yield Refusal(reason=Reason.PLATFORM_REVOKED, message=message)
        if child.kind is ChildKind.INDEX:
            message = f"{child.digest} is an index within an index"
            yield Refusal(reason=Reason.INDEX_NESTED, message=message)
    yield from _platform_refusals(policy, image)


def _platform_refusals(policy: Policy, image: ReleaseImage) -> Iterator[Refusal]:
    if policy.platforms is None:
        if image.stored.children is not None:
            message = "it is an image index, and the policy has no `platforms` to say which there may be"
            yield Refusal(reason=Reason.PLATFORMS_UNDECLARED, message=message)
        return
    present = [platform for _, platform in image.platforms]
    for listed in policy.platforms.only:
        if listed not in present:
            yield Refusal(reason=Reason.PLATFORM_MISSING, message=f"it has no {listed}, which the policy lists")
    for platform in dict.fromkeys(present):
        if platform not in policy.platforms.only:
            message = f"it has {platform or 'a child without a platform'}, which the policy does not list"
            yield Refusal(reason=Reason.PLATFORM_UNLISTED, message=message)
        if present.count(platform) > 1:
            message = f"it has {platform or 'a child without a platform'} more than once"
            yield Refusal(reason=Reason.PLATFORM_DOUBLED, message=message)


# 1. Verification: what somebody trusted signed and nobody can read refuses; what nobody trusted signed is listed.


def _unreadable(policy: Policy, release: Release, image: ReleaseImage, evidence: Sequence[Found]) -> Iterator[Refusal]:
    unreadable = {
        found.outcome.bundle: found.outcome
        for found in evidence
        if isinstance(found.outcome, Unreadable) and _concerns(found, release, image)
    }
    for bundle, outcome in sorted(unreadable.items()):
        if policy.revoked.isdisjoint({bundle, outcome.payload}):
            names = " or ".join(sorted(policy.names_of(outcome.credential)))
            message = f"{names} signed what is no valid statement ({outcome.message}) in {bundle}"
            yield Refusal(reason=Reason.STATEMENT_UNREADABLE, message=message)


def _rejected(release: Release, image: ReleaseImage, evidence: Sequence[Found]) -> tuple[Rejected, ...]:
    rejected = {
        found.outcome.bundle: found.outcome
        for found in evidence
        if isinstance(found.outcome, Rejected) and _concerns(found, release, image)
    }
    return tuple(rejected[bundle] for bundle in sorted(rejected))


def _concerns(found: Found, release: Release, image: ReleaseImage) -> bool:
    """Whether it was found on this image, or on none of the release in particular."""
    return found.image in image.digests or not any(found.image in other.digests for other in release.images)


# 2. to 4. Candidates, good and bad, fresh.


def _cases(scene: _Scene, image: ReleaseImage) -> Sequence[_Case]:
    """Every lane that covers the image."""
    digests = image.digests
    return [_case(scene, image, digests, lane) for lane in scene.policy.lanes_of(image.name)]


def _case(scene: _Scene, image: ReleaseImage, digests: frozenset[Digest], lane: Lane) -> _Case:
    named = scene.labelled.get(lane.label, ())
    candidates = [item for item in named if is_candidate(item, lane, digests, scene.subjects)]
    if scene.historical:  # nobody knows when evidence without a time came: the bad is kept, the good is not
        candidates = [item for item in candidates if item.time is not None or judge(item, lane, image) is not None]
    counting, blocked = weigh(candidates, lane, image)
    eligible: list[Bound] = []
    fallen: list[tuple[Item, Fault]] = []
    for item in counting:
        outcome = fresh(item, lane, scene.aged_at) or bind(item, lane, scene.policy, scene.release.commit)
        if isinstance(outcome, Fault):
            fallen.append((item, outcome))
        else:
            eligible.append(outcome)
    targets = [
        _Target(
            digest,
            [bound for bound in eligible if digest in bound.item.verified.statement.digests],
            [entry for entry in fallen if digest in entry[0].verified.statement.digests],
        )
        for digest in _asked(scene.policy, lane, image)
    ]
    return _Case(image, lane, blocked, targets)


def _asked(policy: Policy, lane: Lane, image: ReleaseImage) -> tuple[Digest, ...]:
    """The digests that a lane is asked of. Joint lanes are asked of the release's images as given."""
    if policy.platforms is None or policy.platforms.evidence is EvidenceAt.INDEX or lane.joint:
        return (image.digest,)
    platforms = tuple(digest for digest, _ in image.platforms)
    if policy.platforms.evidence is EvidenceAt.EACH:
        return platforms or (image.digest,)
    return tuple(dict.fromkeys((image.digest, *platforms)))


# 5. and 6. Binding, and enough signers.


def _lane_verdict(scene: _Scene, case: _Case, combination: Combination) -> LaneVerdict:
    lane = case.lane
    if case.blocked is not None:
        return _verdict(lane, case.blocked.fault, case.blocked.items)
    evidence: list[Item] = []
    for target in case.targets:
        joined = [bound.item for bound in target.eligible if lane.unbound or bound.combination == combination]
        if not enough(lane, joined):
            fault, closest = _shortfall(scene, case, target, joined, combination)
            return _verdict(lane, fault, closest)
        evidence += joined
    names = sorted(frozenset().union(*[item.names for item in evidence]) & lane.parties)
    fault = Fault(state=State.PRESENT, reason=Reason.PRESENT, message=f"signed by {', '.join(names)}")
    return _verdict(lane, fault, evidence)


def _shortfall(
    scene: _Scene, case: _Case, target: _Target, joined: Sequence[Item], combination: Combination
) -> tuple[Fault, Sequence[Item]]:
    """Why a lane is not present for a digest, though nothing bad stands against it."""
    lane = case.lane
    others = [bound for bound in target.eligible if bound.item not in joined]
    if others and (not joined or enough(lane, [bound.item for bound in target.eligible])):
        newest = max(others, key=lambda bound: _age_key(bound.item))
        return difference(scene.policy, newest.combination, combination), [bound.item for bound in others]
    if joined:
        count = distinct_signers(lane, joined)
        message = f"signed by {count} of the {lane.threshold} signers of {lane.signer} that it needs"
        return Fault(state=State.MISSING, reason=Reason.TOO_FEW_SIGNERS, message=message), joined
    if target.fallen:
        item, fault = max(target.fallen, key=lambda entry: _age_key(entry[0]))
        return fault, [item]
    return explain(scene.policy, scene.release, case.image, lane, target.digest, scene.items)


def _verdict(lane: Lane, fault: Fault, items: Sequence[Item]) -> LaneVerdict:
    if len(items) > 1:  # newest first, and each once: on an index it may have been asked for more than one digest
        items = sorted({id(item): item for item in items}.values(), key=_age_key, reverse=True)
    return LaneVerdict(lane.name, fault.state, fault.reason, fault.message, tuple([item.verified for item in items]))


def _age_key(item: Item) -> tuple[datetime, bytes, Digest]:
    """Sorts by time, evidence without one first, and equals by what was signed and by whom, however it is wrapped."""
    return (item.time or EARLIEST, item.verified.payload, item.verified.credential.fingerprint)
