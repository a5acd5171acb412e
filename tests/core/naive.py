"""A second evaluator, written from the sentences of docs/policy.md alone: slow, plain, and shared with nothing.

It says whether a release passes, and for each lane of each image which states it may have. Where the sentences
leave open which of several states a refused lane is shown in, all of them are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, permutations, product

from attest.core.policy import Bind, EvidenceAt, Lane, Policy
from attest.core.predicates import TEST_RESULT
from attest.core.reference import Digest, digest_of
from attest.core.release import ChildKind, Release, ReleaseImage
from attest.core.verdict import State
from attest.core.verify import VerifiedStatement


@dataclass(frozen=True, kw_only=True)
class Answer:
    passes: bool
    states: dict[tuple[int, str], set[State]]
    """By position of the image in the release, and name of the lane."""


def answer(
    policy: Policy, release: Release, found: Iterable[VerifiedStatement], now: datetime, *, historical: bool = False
) -> Answer:
    """What the sentences say of these verified Statements. Step 0 and unreadable ones: `refused_before`."""
    evidence = list(found)
    if historical:
        evidence = [one for one in evidence if one.time is None or one.time <= now]
    revoked = {key(one) for one in evidence for name in (one.bundle, digest_of(one.payload)) if name in policy.revoked}
    evidence = list({key(one): one for one in evidence}.values())
    live = [one for one in evidence if key(one) not in revoked]

    slots = [(number, lane) for number, image in enumerate(release.images) for lane in policy.lanes
             if (image.repository.path.split("/")[-1] if image.repository else "") not in lane.exempt]  # fmt: skip
    counting: dict[tuple[int, str], list[VerifiedStatement]] = {}
    blocked: dict[tuple[int, str], set[State]] = {}
    for number, lane in slots:
        image = release.images[number]
        mine = candidates(policy, release, image, lane, live)
        if historical:
            mine = [one for one in mine if one.time is not None or not good(one, lane, image, now)]
        bad = [one for one in mine if not good(one, lane, image, now)]
        better = closure(policy, mine, now)
        counting[number, lane.name] = [
            one for one in mine if good(one, lane, image, now) and all((key(one), key(old)) in better for old in bad)
        ]
        if bad and not counting[number, lane.name]:
            blocked[number, lane.name] = {badness(one, lane, image) for one in bad}

    def signatures(number: int, lane: Lane, target: Digest, values: tuple[str, ...] | None) -> list[VerifiedStatement]:
        """The evidence that counts for a digest in one combination; None is for an unbound lane."""
        return [
            one
            for one in counting[number, lane.name]
            if target in one.statement.digests
            and one.credential.fingerprint not in policy.revoked
            and fresh(one, lane, now)
            and combination(policy, release, lane, one) == (() if values is None else values)
        ]

    def present(number: int, lane: Lane, values: tuple[str, ...] | None) -> bool:
        return all(
            enough(policy, lane, signatures(number, lane, target, values))
            for target in targets(policy, release.images[number], lane)
        )

    worlds = {
        world
        for number, lane in slots
        if not lane.unbound
        for one in counting[number, lane.name]
        if (world := combination(policy, release, lane, one)) is not None
    } | {("nothing",)}
    bound = [(number, lane) for number, lane in slots if not lane.unbound]
    passes = (
        all(any(number == other for other, _ in slots) for number in range(len(release.images)))
        and bool(release.images)
        and all(present(number, lane, None) for number, lane in slots if lane.unbound)
        and (not bound or any(all(present(number, lane, world) for number, lane in bound) for world in worlds))
    )
    states = {}
    for number, lane in slots:
        if (number, lane.name) in blocked:
            states[number, lane.name] = blocked[number, lane.name]
        elif passes or (lane.unbound and present(number, lane, None)):
            states[number, lane.name] = {State.PRESENT}
        else:
            could = {State.MISSING, State.UNTRUSTED, State.STALE, State.MISMATCHED, State.REVOKED}
            if not lane.unbound and any(present(number, lane, world) for world in worlds):
                could.add(State.PRESENT)
            if lane.max_age is None:
                could.discard(State.STALE)
            if not policy.revoked:
                could.discard(State.REVOKED)
            states[number, lane.name] = could
    return Answer(passes=passes, states=states)


def refused_before(policy: Policy, release: Release, now: datetime) -> bool:
    """Step 0, without the serial."""
    if policy.expires is not None and policy.expires <= now:
        return True
    for image in release.images:
        place = str(image.repository) if image.repository else None
        if place is None or not any(
            place == pattern or (pattern[-2:] == "/*" and place.startswith(pattern[:-1]) and place != pattern[:-1])
            for pattern in policy.images
        ):
            return True
        if image.digest in policy.revoked:
            return True
        children = image.stored.children
        if children is not None:
            if policy.platforms is None:
                return True
            if any(child.kind is ChildKind.INDEX or child.digest in policy.revoked for child in children):
                return True
        if policy.platforms is not None:
            if children is None:
                there = [image.stored.platform]
            else:
                there = [child.platform for child in children if child.kind is ChildKind.PLATFORM]
            if sorted(map(str, there)) != sorted(map(str, policy.platforms.only)):
                return True
    return False


def key(one: VerifiedStatement) -> tuple[bytes, Digest]:
    """A signature may be wrapped in many bundles; it is one piece of evidence."""
    return one.payload, one.credential.fingerprint


def names(policy: Policy, one: VerifiedStatement) -> set[str]:
    return {name for name, signer in policy.signers.items() if one.credential in signer.keys}


def platforms_of(image: ReleaseImage) -> set[Digest]:
    children = image.stored.children or ()
    return {child.digest for child in children if child.kind is ChildKind.PLATFORM}


def candidates(
    policy: Policy, release: Release, image: ReleaseImage, lane: Lane, live: Sequence[VerifiedStatement]
) -> list[VerifiedStatement]:
    """Step 2."""
    mine = []
    for one in live:
        statement = one.statement
        if statement.predicate_type != lane.predicate_type or not names(policy, one) & lane.parties:
            continue
        if statement.context.lane != (None if lane.unlabelled else lane.name):
            continue
        if lane.joint:
            subjects = statement.document["subject"]
            wanted = {other.digest for other in release.images}
            if {"sha256:" + str(subject["digest"].get("sha256")) for subject in subjects} != wanted:
                continue
        elif not statement.digests & ({image.digest} | platforms_of(image)):
            continue
        mine.append(one)
    return mine


def future(one: VerifiedStatement, now: datetime) -> bool:
    return one.time is not None and one.time - now > timedelta(seconds=60)


def good(one: VerifiedStatement, lane: Lane, image: ReleaseImage, now: datetime) -> bool:
    """Step 3, first sentence, and what it says of the future."""
    predicate = one.statement.predicate
    if lane.predicate_type == TEST_RESULT:
        allowed = ["PASSED", "WARNED"] if lane.allow_warned else ["PASSED"]
        if predicate["result"] not in allowed:
            return False
    return met(one, lane, image) and not future(one, now)


def met(one: VerifiedStatement, lane: Lane, image: ReleaseImage) -> bool:
    statement = one.statement
    asked = {"reference": image.reference, "name": image.name, "digest": image.digest}
    return all(
        condition.holds(predicate=statement.predicate, statement=statement.document, image=asked, certificate={})
        for condition in lane.where
    )


def badness(one: VerifiedStatement, lane: Lane, image: ReleaseImage) -> State:
    predicate = one.statement.predicate
    if lane.predicate_type == TEST_RESULT and predicate["result"] == "FAILED":
        return State.FAILED
    if lane.predicate_type == TEST_RESULT and predicate["result"] == "WARNED" and not lane.allow_warned:
        return State.FAILED
    return State.STALE if met(one, lane, image) else State.UNMET


def closure(
    policy: Policy, mine: Sequence[VerifiedStatement], now: datetime
) -> set[tuple[tuple[bytes, Digest], tuple[bytes, Digest]]]:
    """Which supersedes which, directly or through others: pairs are added until none is new."""
    pairs = {(key(new), key(old)) for new, old in product(mine, mine) if supersedes(policy, new, old, mine, now)}
    while True:
        more = {(first, last) for first, middle in pairs for other, last in pairs if middle == other} - pairs
        if not more:
            return pairs
        pairs |= more


def supersedes(
    policy: Policy, new: VerifiedStatement, old: VerifiedStatement, mine: Sequence[VerifiedStatement], now: datetime
) -> bool:
    """Step 3, "new supersedes old". What a revoked key signed counts for nothing, so it supersedes nothing."""
    if new.time is None or old.time is None or not new.time > old.time or future(new, now):
        return False
    if new.credential.fingerprint in policy.revoked:
        return False
    a, b = new.statement.context, old.statement.context
    one_repository = a.repository is not None and a.repository == b.repository
    same_run = one_repository and a.run_id is not None and a.run_id == b.run_id
    if same_run:
        if None in (a.job, b.job, a.run_attempt, b.run_attempt) or a.job != b.job:
            return False
        assert a.run_attempt is not None
        assert b.run_attempt is not None
        stands = [one.statement.context for one in mine]
        shards = [c for c in stands if (c.repository, c.run_id, c.job, c.run_attempt)
                  == (b.repository, b.run_id, b.job, b.run_attempt)]  # fmt: skip
        return a.run_attempt > b.run_attempt and len(shards) < 2
    if one_repository and a.run_id and b.run_id and a.run_id.isdecimal() and b.run_id.isdecimal():
        return int(a.run_id) > int(b.run_id)
    return a.started is not None and a.started > old.time


def fresh(one: VerifiedStatement, lane: Lane, now: datetime) -> bool:
    """Step 4."""
    return lane.max_age is None or (one.time is not None and one.time >= now - lane.max_age)


def combination(policy: Policy, release: Release, lane: Lane, one: VerifiedStatement) -> tuple[str, ...] | None:
    """Step 5: the values that `bind` names, () for an unbound lane; None where its source is not the right one."""
    context = one.statement.context
    if context.dirty and not lane.allow_dirty:
        return None
    places = [context] if lane.source_from_statement else [context, *one.sources]
    values: dict[Bind, str | None] = {}
    for name in (Bind.REPOSITORY, Bind.COMMIT, Bind.REF):
        said = {getattr(place, name.value) for place in places} - {None}
        if len(said) > 1:
            return None
        values[name] = said.pop() if said else None
    repository, commit, ref = values[Bind.REPOSITORY], values[Bind.COMMIT], values[Bind.REF]
    named = [
        (repository, repository == policy.source.repository, True),
        (commit, commit == release.commit, release.commit is not None),
        (ref, any(ref == one or (one.endswith("/*") and str(ref).startswith(one[:-1]) and ref != one[:-1])
                  for one in policy.source.refs or ()), policy.source.refs is not None),
    ]  # fmt: skip
    for value, right, compared in named:
        if compared and not right and not (lane.unbound and value is None):
            return None
    if lane.unbound:
        return ()
    run = None if context.run_id is None or repository is None else repository + " run " + context.run_id
    values[Bind.RUN] = run
    wanted = [values[name] for name in policy.source.bind]
    return None if None in wanted else tuple(str(value) for value in wanted)


def targets(policy: Policy, image: ReleaseImage, lane: Lane) -> set[Digest]:
    """Step 0, the last sentence: the digests that a lane is asked of."""
    if image.stored.children is None or policy.platforms is None or lane.joint:
        return {image.digest}
    match policy.platforms.evidence:
        case EvidenceAt.INDEX:
            return {image.digest}
        case EvidenceAt.EACH:
            return platforms_of(image) or {image.digest}
        case EvidenceAt.BOTH:
            return platforms_of(image) | {image.digest}


def enough(policy: Policy, lane: Lane, signed: Sequence[VerifiedStatement]) -> bool:
    """Step 6: some choice of as many names, each with a key of its own."""
    keys = {(name, one.credential.fingerprint) for one in signed for name in names(policy, one) & lane.parties}
    for chosen in combinations(sorted({name for name, _ in keys}), lane.threshold):
        for owned in permutations(sorted({fingerprint for _, fingerprint in keys}), lane.threshold):
            if all(pair in keys for pair in zip(chosen, owned, strict=True)):
                return True
    return False
