"""Which verified Statements can fill a lane, which of them are good, and which the others leave standing.

Steps 2 to 4 of the evaluation (docs/policy.md, "Evaluation").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from attest.core import limits
from attest.core.failures import failures
from attest.core.identity import Credential, certificate_document
from attest.core.policy import Lane, Policy
from attest.core.predicates import Result
from attest.core.reference import Digest, digest_of
from attest.core.release import ReleaseImage
from attest.core.statement import Context, format_time
from attest.core.verdict import Reason, State
from attest.core.verify import VerifiedStatement

_SKEW = timedelta(seconds=limits.CLOCK_SKEW)


class Item(NamedTuple):
    """A verified Statement with all that a lane asks of it. One signed payload by one key is one item,

    however many bundles wrap it: what stands around the signature is nobody's word. What a certificate says is
    somebody's, so the same key under another certificate is another item.
    """

    verified: VerifiedStatement
    found_on: frozenset[Digest]
    names: frozenset[str]
    """The policy's signers whose signature it is."""
    revoked: bool
    key_revoked: bool
    time: datetime | None
    """The Time of the evidence (docs/policy.md): of one signature in several bundles, the earliest."""
    time_is_trusted: bool
    """A trusted service vouches for a time."""
    ahead: bool
    """Its time is further in the future than a clock may be wrong."""

    @property
    def context(self) -> Context:
        """The signed context."""
        return self.verified.statement.context


class Fault(NamedTuple):
    """Why an item does not fill a lane."""

    state: State
    reason: Reason
    message: str


class Blocked(NamedTuple):
    """What stands against a lane on an image, whatever else is good."""

    fault: Fault
    items: tuple[Item, ...]


def collect(
    policy: Policy, found: Iterable[tuple[VerifiedStatement, frozenset[Digest]]], now: datetime
) -> tuple[Item, ...]:
    """The items among verified Statements, each of which comes with the images on which it was found."""
    groups: dict[tuple[bytes, Credential], list[tuple[VerifiedStatement, frozenset[Digest]]]] = {}
    for one in sorted(found, key=_by_bundle):  # the order of finding decides nothing
        groups.setdefault((one[0].payload, one[0].credential), []).append(one)
    latest = now + _SKEW
    return tuple([_item(policy, group, latest) for group in groups.values()])


def _by_bundle(found: tuple[VerifiedStatement, frozenset[Digest]]) -> Digest:
    return found[0].bundle


def _item(policy: Policy, group: Sequence[tuple[VerifiedStatement, frozenset[Digest]]], latest: datetime) -> Item:
    verified, found_on = group[0]
    time, trusted = verified.time, bool(verified.trusted_times)
    if len(group) > 1:  # one signature, wrapped more than once
        time = min((one.time for one, _ in group if one.time is not None), default=None)
        trusted = any(one.trusted_times for one, _ in group)
        found_on = found_on.union(*(images for _, images in group))
    names = policy.names_of(verified.credential)
    revoked = bool(policy.revoked) and _is_revoked(policy, verified.payload, [one.bundle for one, _ in group])
    key_revoked = verified.credential.fingerprint in policy.revoked
    return Item(verified, found_on, names, revoked, key_revoked, time, trusted, time is not None and time > latest)


def _is_revoked(policy: Policy, payload: bytes, bundles: Iterable[Digest]) -> bool:
    """A bundle can be wrapped anew around the same signature; so its payload's digest revokes it as well."""
    return not policy.revoked.isdisjoint({*bundles, digest_of(payload)})


def is_candidate(item: Item, lane: Lane, digests: frozenset[Digest], subjects: frozenset[Digest]) -> bool:
    """Step 2: of the lane's predicate type and signer, labelled with the lane, and about one of the digests

    (for a joint lane: about exactly the images of the release).
    """
    statement = item.verified.statement
    return (
        statement.predicate_type == lane.predicate_type
        and statement.context.lane == lane.label
        and not item.revoked
        and not item.names.isdisjoint(lane.parties)
        and (statement.is_exactly_about(subjects) if lane.joint else not statement.digests.isdisjoint(digests))
    )


def judge(item: Item, lane: Lane, image: ReleaseImage) -> Fault | None:
    """Step 3: None for a good candidate, else what is bad about it."""
    verified = item.verified
    if verified.result is Result.FAILED:
        message = f"it {_when(item)} says FAILED{failures(verified.statement.predicate)}"
        return Fault(state=State.FAILED, reason=Reason.RESULT_FAILED, message=message)
    if verified.result is Result.WARNED and not lane.allow_warned:
        message = f"it {_when(item)} says WARNED, which this lane does not allow"
        return Fault(state=State.FAILED, reason=Reason.RESULT_WARNED, message=message)
    for condition in lane.where:
        if not condition.holds(
            predicate=verified.statement.predicate,
            statement=verified.statement.document,
            image={"reference": image.reference, "name": image.name, "digest": image.digest},
            certificate=certificate_document(verified.credential),
        ):
            message = f"what was signed {_when(item)} does not meet: {condition.text}"
            return Fault(state=State.UNMET, reason=Reason.CONDITION_UNMET, message=message)
    if item.ahead:
        message = f"what was signed is dated {_when(item)}, which has not come yet; look at the clock of its lane"
        return Fault(state=State.STALE, reason=Reason.IN_THE_FUTURE, message=message)
    return None


def weigh(candidates: Sequence[Item], lane: Lane, image: ReleaseImage) -> tuple[tuple[Item, ...], Blocked | None]:
    """Step 3: the good candidates that supersede every bad one, or what stands in their way."""
    faults = {id(item): judge(item, lane, image) for item in candidates}
    if not any(faults.values()):
        return tuple(candidates), None
    good = [item for item in candidates if faults[id(item)] is None]
    bad = [item for item in candidates if faults[id(item)] is not None]
    order = _Order(candidates)
    counting = tuple(item for item in good if all(order.superseded(old, by=item) for old in bad))
    if counting:
        return counting, None
    standing = [item for item in bad if not any(order.superseded(item, by=new) for new in good)] or bad
    newest = [item for item in standing if not any(order.superseded(item, by=new) for new in standing)]
    worst = min(newest, key=lambda item: _SEVERITY[_fault(faults, item).reason])
    fault = _fault(faults, worst)
    if worst.time is None:
        message = f"{fault.message}; it has no time, so only listing {worst.verified.bundle} in `revoked` removes it"
        fault = Fault(state=fault.state, reason=fault.reason, message=message)
    return (), Blocked(fault=fault, items=tuple(newest))


def fresh(item: Item, lane: Lane, at: datetime) -> Fault | None:
    """Step 4, and whether the key is still good: None, or why this good candidate does not count.

    `at` is where `max-age` is measured.
    """
    if item.key_revoked:
        message = f"the key {item.verified.credential.fingerprint} that signed it is revoked"
        return Fault(state=State.REVOKED, reason=Reason.KEY_REVOKED, message=message)
    if lane.trusted_time and not item.time_is_trusted:
        message = "no trusted service vouches for its time, and this lane says `time: trusted`"
        return Fault(state=State.STALE, reason=Reason.TIME_UNTRUSTED, message=message)
    if lane.max_age is None:
        return None
    if item.time is None:
        message = "it carries no time, and this lane has a max-age"
        return Fault(state=State.STALE, reason=Reason.NO_TIME, message=message)
    if at - item.time > lane.max_age:
        message = f"it was signed {_when(item)}, longer ago than {lane.max_age}"
        return Fault(state=State.STALE, reason=Reason.TOO_OLD, message=message)
    return None


_SEVERITY: Mapping[Reason, int] = {
    Reason.RESULT_FAILED: 0,
    Reason.RESULT_WARNED: 1,
    Reason.CONDITION_UNMET: 2,
    Reason.IN_THE_FUTURE: 3,
}
"""What `judge` finds, the worst first: how a bundle is wrapped must not decide which of them is told."""


def _fault(faults: Mapping[int, Fault | None], item: Item) -> Fault:
    fault = faults[id(item)]
    assert fault is not None  # noqa: S101 - only ever asked of bad candidates
    return fault


def _when(item: Item) -> str:
    return "without a time" if item.time is None else f"at {format_time(item.time)}"


class _Order:
    """Which candidates supersede which (step 3, "new supersedes old"), directly or through others.

    Sets of candidates are bits of an integer, so that a thousand candidates take a fraction of a second.
    """

    def __init__(self, candidates: Sequence[Item]) -> None:
        jobs = Counter(map(_job, candidates))
        shards = frozenset(job for job, count in jobs.items() if count > 1)
        oldest_first = sorted((item for item in candidates if item.time is not None), key=_time)
        self._bit = {id(item): 1 << place for place, item in enumerate(oldest_first)}
        self._reach: dict[int, int] = {}
        for place, new in enumerate(oldest_first):
            reach = 0
            for old in reversed(oldest_first[:place]):
                bit = self._bit[id(old)]
                if not reach & bit and _supersedes(new, old, shards):
                    reach |= bit | self._reach[id(old)]
            self._reach[id(new)] = reach

    def superseded(self, old: Item, *, by: Item) -> bool:
        """Whether the one takes the place of the other. What has no time never does, and never loses its own."""
        return bool(self._reach.get(id(by), 0) & self._bit.get(id(old), 0))


_Job = tuple[str | None, str | None, str | None, int | None]


def _supersedes(new: Item, old: Item, shards: frozenset[_Job]) -> bool:
    if new.ahead or new.key_revoked or _time(new) <= _time(old):
        return False
    mine, other = new.context, old.context
    if mine.repository == other.repository and mine.repository is not None:
        if mine.run_id is not None and mine.run_id == other.run_id:  # a. the same run
            return (
                mine.job is not None
                and mine.job == other.job
                and mine.run_attempt is not None
                and other.run_attempt is not None
                and mine.run_attempt > other.run_attempt
                and _job(old) not in shards
            )
        if mine.run_number is not None and other.run_number is not None:  # b. a later run
            return mine.run_number > other.run_number
    return mine.started is not None and mine.started > _time(old)  # c. runs that cannot be compared


def _time(item: Item) -> datetime:
    assert item.time is not None  # noqa: S101 - what has no time has no place in the order
    return item.time


def _job(item: Item) -> _Job:
    context = item.context
    return (context.repository, context.run_id, context.job, context.run_attempt)
