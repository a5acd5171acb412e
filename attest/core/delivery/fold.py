"""What follows from the records of a ledger.

A fold over all records in their order. It believes nothing that the table of states (`attest.core.delivery.machine`)
does not allow: a record that cannot be true where it stands ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, assert_never

from attest.core.delivery.history import (
    BadRelease,
    Delivery,
    EnvironmentHistory,
    FrozenSince,
    History,
    Hold,
    Seen,
)
from attest.core.delivery.machine import Phase, TransitionInvalid, step
from attest.core.delivery.records import (
    Applying,
    DeliveryInvalid,
    DeliveryRecord,
    Erred,
    Failed,
    Frozen,
    Held,
    Kind,
    Observation,
    Planned,
    Probing,
    PromotionWaived,
    Refused,
    Released,
    RollbackUndecided,
    Step,
    Succeeded,
    Superseded,
    Trigger,
    Unfrozen,
    Verified,
    read_delivery,
)
from attest.core.delivery.verdicts import Decision, RecordedPolicy, RecordedVerdict
from attest.core.evaluate import Remembered
from attest.core.ledger.chain import Record


class Fold:
    """Follows the records of a ledger one after another."""

    __slots__ = ("_environments", "_policies", "_records")

    def __init__(self) -> None:
        self._environments: dict[str, EnvironmentHistory] = {}
        self._policies: dict[str, Remembered] = {}
        self._records: list[DeliveryRecord] = []

    def follow(self, record: Record) -> None:
        """One more record.

        Raises:
            DeliveryInvalid: it is of a delivery and is none, or cannot be true where it stands.
        """
        one = read_delivery(record)
        if one is None:
            return
        try:
            after = _follow(self.of(record.environment), one)
        except (TransitionInvalid, _Impossible) as error:
            raise DeliveryInvalid(f"record {record.seq} ({record.type}) cannot be true: {error}") from error
        self._environments[record.environment] = after
        self._records.append(one)
        verdict = getattr(one.payload, "verdict", None)
        if isinstance(verdict, RecordedVerdict):
            _remember(self._policies, verdict.policy)

    def of(self, environment: str) -> EnvironmentHistory:
        """One environment so far. Its deliveries go on being filled as further records are followed."""
        return self._environments.get(environment) or EnvironmentHistory(name=environment)

    def policy(self, name: str) -> Remembered | None:
        """The highest serial seen so far of the policy of this name, and the digest that it had."""
        return self._policies.get(name)

    def history(self) -> History:
        """Everything so far."""
        return History(
            environments=dict(self._environments), policies=dict(self._policies), records=tuple(self._records)
        )


def fold(records: Iterable[Record]) -> History:
    """The history that the records of a ledger tell.

    Raises:
        DeliveryInvalid: a record of a delivery is none, or cannot be true where it stands.
    """
    whole = Fold()
    for record in records:
        whole.follow(record)
    return whole.history()


class _Impossible(Exception):
    """What a record says contradicts those before it."""


def _remember(policies: dict[str, Remembered], policy: RecordedPolicy) -> None:
    known = policies.get(policy.name)
    if known is None or policy.serial > known.serial:
        policies[policy.name] = Remembered(serial=policy.serial, digest=policy.digest)


def _follow(before: EnvironmentHistory, one: DeliveryRecord) -> EnvironmentHistory:
    """The environment after one more record."""
    record, payload = one.record, one.payload
    match payload:
        case Planned():
            return _plan(before, record, payload)
        case Step():
            return _advance(before, record, payload)
        case Held():
            return _held(before, record, payload)
        case RollbackUndecided():
            _known(before, payload.reverts)
            _known(before, payload.deployment)
            return before
        case Released():
            kept = {key: bad for key, bad in before.bad.items() if key not in payload.releases}
            return replace(before, hold=None if payload.hold else before.hold, bad=kept)
        case Frozen():
            frozen = FrozenSince(since=record.time, until=payload.until, reason=payload.reason, actor=record.actor)
            return replace(before, frozen=frozen)
        case Unfrozen():
            return replace(before, frozen=None)
        case Observation():
            if payload.deployment is not None:
                _known(before, payload.deployment)
            seen = Seen(time=record.time, deployment=payload.deployment, services=payload.services, drift=payload.drift)
            return replace(before, seen=seen)
        case PromotionWaived():
            return before
        case other:
            assert_never(other)


def _known(before: EnvironmentHistory, number: int) -> Delivery:
    delivery = before.deliveries.get(number)
    if delivery is None:
        raise _Impossible(f"there is no delivery {number} in {before.name}")
    return delivery


def _plan(before: EnvironmentHistory, record: Record, payload: Planned) -> EnvironmentHistory:
    if before.unfinished is not None:
        raise _Impossible(f"delivery {before.unfinished.number} is not finished")
    if (payload.reverts is not None) != (payload.kind is Kind.ROLLBACK):
        raise _Impossible("a rollback undoes a delivery, and nothing else does")
    if payload.waiver is not None and payload.kind is not Kind.DEPLOY:
        raise _Impossible("a waiver is for a deployment, and for nothing else")
    if payload.reverts is not None:
        undone = _known(before, payload.reverts)
        if undone != before.current:
            raise _Impossible(f"delivery {undone.number} is not the one that changed the environment last")
        if undone.release.key == payload.release.key:
            raise _Impossible("it would bring what it undoes")
    again = _again(before, payload)
    delivery = Delivery(
        number=record.seq,
        planned=payload,
        actor=record.actor,
        since=record.time,
        changed=record.time,
        way_back=payload.kind is Kind.ROLLBACK or again is not None,
        undoes=payload.reverts if again is None else again.undoes,
    )
    before.deliveries[record.seq] = delivery
    return before


def _again(before: EnvironmentHistory, payload: Planned) -> Delivery | None:
    """The rollback that nobody could tell the end of, where this is the repair of it."""
    undecided = before.undecided_rollback
    if payload.kind is not Kind.REPAIR or undecided is None:
        return None
    return undecided if undecided.release.key == payload.release.key else None


_NEXT: Final[Mapping[type[Step], Phase]] = {
    Verified: Phase.VERIFIED,
    Refused: Phase.REFUSED,
    Applying: Phase.APPLYING,
    Probing: Phase.PROBING,
    Succeeded: Phase.SUCCEEDED,
    Failed: Phase.FAILED,
    Erred: Phase.ERROR,
    Superseded: Phase.SUPERSEDED,
}


def _advance(before: EnvironmentHistory, record: Record, payload: Step) -> EnvironmentHistory:
    delivery = _known(before, payload.deployment)
    if not delivery.is_unfinished:
        raise _Impossible(f"delivery {delivery.number} is {delivery.phase}")
    if isinstance(payload, Superseded) and delivery.touched:
        raise _Impossible("it cannot be given up: the environment was changed for it")
    if isinstance(payload, Failed) and not delivery.touched:
        raise _Impossible("it cannot have failed: nothing was changed for it")
    after = replace(delivery, phase=step(delivery.phase, _NEXT[type(payload)]), changed=record.time)
    match payload:
        case Verified():
            return _verified(before, after, payload)
        case Applying():
            return _applying(before, replace(after, touched=True), record)
        case Probing():
            after = replace(after, message=payload.trouble or "")
            return replace(_changed(before, after), applied=after)
        case Succeeded():
            after = replace(after, healthy=True, message="", services=payload.services)
            return _undone(_changed(before, after, seen=record), after, Phase.ROLLED_BACK, record)
        case Failed():
            after = replace(
                after,
                message=payload.message,
                services=payload.services,
                wants_rollback=payload.rollback,
                verdict=payload.verdict or after.verdict,
            )
            marked = _marked(_changed(before, after, seen=record), after, record, payload.message)
            return _undone(marked, after, Phase.ROLLBACK_FAILED, record)
        case Erred():
            after = replace(after, message=payload.message, services=payload.services)
            seen = record if payload.services else None
            ended = _wished(_changed(before, after, seen=seen), after, record)
            return _undone(ended, after, Phase.ROLLBACK_FAILED, record)
        case Refused():
            after = replace(after, cause=payload.cause, message=payload.message, verdict=payload.verdict)
            return _changed(before, after)
        case _:
            assert isinstance(payload, Superseded)  # noqa: S101 - the last of `_NEXT`
            return _wished(_changed(before, replace(after, message=payload.message)), after, record)


def _wished(before: EnvironmentHistory, after: Delivery, record: Record) -> EnvironmentHistory:
    """A rollback that somebody asked for and that ended before it touched anything: what was asked for still stands."""
    if after.kind is not Kind.ROLLBACK or after.planned.trigger is not Trigger.EXPLICIT or after.touched:
        return before
    message = f"a rollback of delivery {after.planned.reverts} was asked for, and did not come to its end"
    return replace(before, hold=Hold(since=record.time, deployment=after.number, message=message))


def _verified(before: EnvironmentHistory, after: Delivery, payload: Verified) -> EnvironmentHistory:
    waiver = payload.verdict.waiver
    match payload.verdict.decision:
        case Decision.REFUSED:
            raise _Impossible("its verdict is a refusal")
        case Decision.WAIVED if waiver is None or waiver.digest != after.planned.waiver:
            raise _Impossible("it was not planned with the waiver that lets it run")
        case _:
            pass
    if set(payload.names) != set(after.release.services):
        raise _Impossible("it names other services than were planned")
    changed = _changed(before, replace(after, verdict=payload.verdict, names=payload.names))
    if payload.verdict.decision is not Decision.PASSED or payload.verdict.aged_at is not None:
        return changed
    changed.passed[after.release.key] = payload.verdict.time
    return changed


def _applying(before: EnvironmentHistory, after: Delivery, record: Record) -> EnvironmentHistory:
    """It changes the environment now: what did so before it gives way, and a rollback has its consequences."""
    old = before.current
    if old is not None and old.number != after.number and old.phase is not Phase.ROLLED_BACK:
        rollback = after.kind is Kind.ROLLBACK
        phase = step(old.phase, Phase.ROLLING_BACK if rollback else Phase.SUPERSEDED)
        old = replace(old, phase=phase, changed=record.time, by=after.number)
        before = _changed(before, old)
        if rollback:
            before = _marked(before, old, record, old.message or f"rolled back by {record.actor}")
            message = f"delivery {old.number} was rolled back"
            before = replace(before, hold=Hold(since=record.time, deployment=after.number, message=message))
        elif after.undoes is not None:
            undone = before.deliveries[after.undoes]
            phase = step(undone.phase, Phase.ROLLING_BACK)
            before = _changed(before, replace(undone, phase=phase, changed=record.time, by=after.number))
    return replace(_changed(before, after), current=after)


def _undone(before: EnvironmentHistory, after: Delivery, phase: Phase, record: Record) -> EnvironmentHistory:
    """What the end of a rollback, or of one that is brought again, means for the delivery that it undoes."""
    number = after.undoes
    if number is None or not after.touched:
        return before
    undone = before.deliveries[number]
    return _changed(before, replace(undone, phase=step(undone.phase, phase), changed=record.time))


def _held(before: EnvironmentHistory, record: Record, payload: Held) -> EnvironmentHistory:
    if before.unfinished is not None:
        raise _Impossible(f"delivery {before.unfinished.number} is not finished")
    undone = _known(before, payload.reverts)
    if undone != before.current:
        raise _Impossible(f"delivery {undone.number} is not the one that changed the environment last")
    after = replace(undone, phase=step(undone.phase, Phase.HELD), changed=record.time)
    marked = _marked(_changed(before, after), after, record, undone.message or payload.message)
    return replace(marked, hold=Hold(since=record.time, deployment=record.seq, message=payload.message))


def _marked(before: EnvironmentHistory, delivery: Delivery, record: Record, message: str) -> EnvironmentHistory:
    """The same with the release of a delivery marked as bad."""
    key = delivery.release.key
    bad = BadRelease(key=key, release=delivery.release, deployment=delivery.number, since=record.time, message=message)
    return replace(before, bad={**before.bad, key: before.bad.get(key, bad)})


def _changed(before: EnvironmentHistory, delivery: Delivery, *, seen: Record | None = None) -> EnvironmentHistory:
    """The same with another state of one delivery, and with what was seen at its end."""
    before.deliveries[delivery.number] = delivery  # copied for each record, it would take the square of their number
    after = before
    if before.current is not None and before.current.number == delivery.number:
        after = replace(after, current=delivery)
    if before.applied is not None and before.applied.number == delivery.number:
        after = replace(after, applied=delivery)
    if seen is not None:
        what = Seen(time=seen.time, deployment=delivery.number, services=delivery.services, drift=None)
        after = replace(after, seen=what)
    return after
