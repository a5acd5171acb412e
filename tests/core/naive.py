"""A second evaluator, written from the sentences of docs/policy.md alone: slow, plain, and shared with nothing.

It says whether a release passes, and for each lane of each image which states it may have. Where the sentences
leave open which of several states a refused lane is shown in, all of them are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, permutations, product

from attest.core.certificate import Certificate
from attest.core.identity import Credential
from attest.core.policy import Bind, EvidenceAt, Lane, Policy
from attest.core.predicates import TEST_RESULT, Source
from attest.core.reference import Digest, digest_of
from attest.core.release import ChildKind, Release, ReleaseImage
from attest.core.statement import Statement
from attest.core.strictjson import Json
from attest.core.verdict import State
from attest.core.verify import VerifiedStatement


@dataclass(frozen=True, kw_only=True)
class Answer:
    passes: bool
    states: dict[tuple[int, str], set[State]]
    """By position of the image in the release, and name of the lane."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """One signature, from however many bundles."""

    payload: bytes
    credential: Credential
    statement: Statement
    sources: tuple[Source, ...]
    time: datetime | None
    trusted: bool


def merged(found: Iterable[VerifiedStatement]) -> list[Evidence]:
    """Bundles around one signature are one piece of evidence, as old as the oldest of them."""
    wrappings: dict[Key, list[VerifiedStatement]] = {}
    for one in found:
        wrappings.setdefault(key(one), []).append(one)
    evidence = []
    for group in wrappings.values():
        times = [time for one in group if (time := when(one)) is not None]
        evidence.append(
            Evidence(
                payload=group[0].payload,
                credential=group[0].credential,
                statement=group[0].statement,
                sources=group[0].sources,
                time=min(times, default=None),
                trusted=any(len(one.trusted_times) > 0 for one in group),
            )
        )
    return evidence


def when(one: VerifiedStatement) -> datetime | None:
    """The earliest of the signed finish time and every trusted time."""
    times = [*one.trusted_times, *([one.statement.context.finished] if one.statement.context.finished else [])]
    return sorted(times)[0] if times else None


def answer(
    policy: Policy, release: Release, found: Iterable[VerifiedStatement], now: datetime, *, historical: bool = False
) -> Answer:
    """What the sentences say of these verified Statements. Step 0 and unreadable ones: `refused_before`."""
    bundles = list(found)
    if historical:
        bundles = [one for one in bundles if (time := when(one)) is None or time <= now]
    revoked = {key(one) for one in bundles for name in (one.bundle, digest_of(one.payload)) if name in policy.revoked}
    live = [one for one in merged(bundles) if key(one) not in revoked]

    slots = [(number, lane) for number, image in enumerate(release.images) for lane in policy.lanes
             if (image.repository.path.split("/")[-1] if image.repository else "") not in lane.exempt]  # fmt: skip
    counting: dict[tuple[int, str], list[Evidence]] = {}
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

    def signatures(number: int, lane: Lane, target: Digest, values: tuple[str, ...] | None) -> list[Evidence]:
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
            if lane.max_age is None and not lane.trusted_time:
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


Key = tuple[bytes, Credential]


def key(one: VerifiedStatement | Evidence) -> Key:
    """A signature may be wrapped in many bundles; it is one piece of evidence."""
    return one.payload, one.credential


def names(policy: Policy, one: Evidence) -> set[str]:
    if not isinstance(one.credential, Certificate):
        return {name for name, signer in policy.signers.items() if one.credential in signer.keys}
    said = one.credential
    return {
        name
        for name, signer in policy.signers.items()
        if (wanted := signer.identity) is not None
        and (said.issuer, said.identity) == (wanted.issuer, wanted.identity)
        and wanted.repository in (None, said.repository)
        and wanted.ref in (None, said.ref)
        and wanted.commit in (None, said.commit)
        and wanted.trigger in (None, said.trigger)
        and wanted.workflow in (None, said.workflow)
    }


def platforms_of(image: ReleaseImage) -> set[Digest]:
    children = image.stored.children or ()
    return {child.digest for child in children if child.kind is ChildKind.PLATFORM}


def candidates(
    policy: Policy, release: Release, image: ReleaseImage, lane: Lane, live: Sequence[Evidence]
) -> list[Evidence]:
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


def future(one: Evidence, now: datetime) -> bool:
    return one.time is not None and one.time - now > timedelta(seconds=60)


def good(one: Evidence, lane: Lane, image: ReleaseImage, now: datetime) -> bool:
    """Step 3, first sentence, and what it says of the future."""
    predicate = one.statement.predicate
    if lane.predicate_type == TEST_RESULT:
        allowed = ["PASSED", "WARNED"] if lane.allow_warned else ["PASSED"]
        if predicate["result"] not in allowed:
            return False
    return met(one, lane, image) and not future(one, now)


def met(one: Evidence, lane: Lane, image: ReleaseImage) -> bool:
    statement = one.statement
    asked = {"reference": image.reference, "name": image.name, "digest": image.digest}
    said: dict[str, Json] = {}
    if isinstance(one.credential, Certificate):
        fields = ("issuer", "identity", "repository", "commit", "ref", "workflow", "trigger", "run")
        said = {name: getattr(one.credential, name) for name in fields if getattr(one.credential, name) is not None}
    return all(
        condition.holds(predicate=statement.predicate, statement=statement.document, image=asked, certificate=said)
        for condition in lane.where
    )


def badness(one: Evidence, lane: Lane, image: ReleaseImage) -> State:
    predicate = one.statement.predicate
    if lane.predicate_type == TEST_RESULT and predicate["result"] == "FAILED":
        return State.FAILED
    if lane.predicate_type == TEST_RESULT and predicate["result"] == "WARNED" and not lane.allow_warned:
        return State.FAILED
    return State.STALE if met(one, lane, image) else State.UNMET


def closure(policy: Policy, mine: Sequence[Evidence], now: datetime) -> set[tuple[Key, Key]]:
    """Which supersedes which, directly or through others: pairs are added until none is new."""
    pairs = {(key(new), key(old)) for new, old in product(mine, mine) if supersedes(policy, new, old, mine, now)}
    while True:
        more = {(first, last) for first, middle in pairs for other, last in pairs if middle == other} - pairs
        if not more:
            return pairs
        pairs |= more


def supersedes(policy: Policy, new: Evidence, old: Evidence, mine: Sequence[Evidence], now: datetime) -> bool:
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


def fresh(one: Evidence, lane: Lane, now: datetime) -> bool:
    """Step 4."""
    if lane.trusted_time and not one.trusted:
        return False
    return lane.max_age is None or (one.time is not None and one.time >= now - lane.max_age)


def combination(policy: Policy, release: Release, lane: Lane, one: Evidence) -> tuple[str, ...] | None:
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


def party(one: Evidence) -> tuple[str, ...]:
    if isinstance(one.credential, Certificate):
        return ("identity", one.credential.issuer, one.credential.identity)
    return ("key", one.credential.fingerprint)


def enough(policy: Policy, lane: Lane, signed: Sequence[Evidence]) -> bool:
    """Step 6: some choice of as many names, each with a key or an identity of its own."""
    keys = {(name, party(one)) for one in signed for name in names(policy, one) & lane.parties}
    for chosen in combinations(sorted({name for name, _ in keys}), lane.threshold):
        for owned in permutations(sorted({who for _, who in keys}), lane.threshold):
            if all(pair in keys for pair in zip(chosen, owned, strict=True)):
                return True
    return False
