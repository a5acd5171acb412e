"""Deploy a release, and roll one back."""

from __future__ import annotations

from dataclasses import dataclass

from attest.core.delivery.candidates import unlike
from attest.core.delivery.fields import clipped
from attest.core.delivery.gates import Obstacle, obstacle
from attest.core.delivery.history import Delivery, Hold
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import (
    Cause,
    DeliveredRelease,
    Erred,
    Kind,
    Planned,
    Stage,
    Trigger,
    Verified,
)
from attest.core.delivery.records import (
    Refused as RefusedStep,
)
from attest.core.delivery.verdicts import record_verdict, why
from attest.core.verdict import Passed, Refused
from attest.core.waiver import Allowed, Answer, Presented, Waived
from attest.errors import AttestError, UsageError
from attest.ops.delivery.carry import carry_out
from attest.ops.delivery.judging import gone, judge
from attest.ops.delivery.rolling import roll_back
from attest.ops.delivery.settle import settle, settle_for_rollback
from attest.ops.delivery.site import Journal, Site, journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants to run."""

    release: DeliveredRelease
    trigger: Trigger
    reason: str | None = None
    presented: Presented | None = None
    """A waiver by which it may run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command did to an environment."""

    delivery: Delivery | None
    """What was asked for, as it stands; None where there was nothing to go back to."""
    settled: tuple[Delivery, ...] = ()
    """What others had left unfinished, as it stands."""
    rollback: Delivery | None = None
    """What undid it at once."""
    hold: Hold | None = None
    """The hold that stands at the end."""
    obstacle: Obstacle | None = None
    """What stood in its way before any evidence was looked at."""
    verdict: Answer | None = None
    """Today's verdict on it, where there is one."""


def deploy(site: Site, wanted: Wanted) -> Done:
    """Have a release run, if today's policy lets it pass and nothing else stands in its way.

    Raises:
        LeaseHeld: somebody else is at work there.
        LedgerError: the ledger cannot be written or believed. Nothing was touched.
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided. Nothing was touched.
        DocumentInvalid, TargetFailed: it cannot be applied there. Nothing was touched.
    """
    with journal(site) as book:
        settled = settle(book, presented=wanted.presented)
        finished = _finished_now(book, settled, wanted)
        if finished is not None:
            return _done(book, finished, settled[:-1])
        planned = Planned(
            kind=Kind.DEPLOY,
            trigger=wanted.trigger,
            release=wanted.release,
            document=site.environment.digest,
            waiver=None if wanted.presented is None else wanted.presented.waiver.digest,
            reason=wanted.reason,
            version=site.version,
        )
        number = book.write(planned)
        stopped = obstacle(planned, book.here, site.environment, now=site.clock.now())
        if stopped is not None:
            book.write(RefusedStep(deployment=number, cause=stopped.cause, message=clipped(stopped.message)))
            return _done(book, number, settled, stopped=stopped)
        verdict = verify_and_carry_out(book, number, wanted.presented)
        return _done(book, number, settled, rollback=roll_back_owed(book, number), verdict=verdict)


def rollback(site: Site, *, reason: str | None = None, to: int | None = None) -> Done:
    """Undo what changed the environment last: back to the newest release that was healthy and passes today's policy.

    Where that was a rollback of which nobody could tell what it came to, what it brought is brought again: it is not
    known to be bad. Where an image of that is gone, it goes further back.

    Args:
        site: The environment.
        reason: What the one who wants it says.
        to: The number of the delivery to whose release to go, and to no other.

    Raises:
        UsageError: nothing was ever deployed there, or `to` is no delivery that could be gone back to; or what would
            be brought again is for other services than the environment has today.
        LeaseHeld, LedgerError, StoreError, DocumentInvalid, TargetFailed: as for `deploy`.
    """
    with journal(site) as book:
        target = None if to is None else book.here.deliveries.get(to)
        if to is not None and target is None:
            hint = "`attest history` lists them by their numbers"
            raise UsageError(f"there is no delivery {to} in {site.environment.name}", hint=hint)
        finished = settle_for_rollback(book)
        if finished is not None:
            return _done(book, finished, ())
        undone = book.here.current
        if undone is None:
            raise UsageError(f"nothing was ever deployed to {site.environment.name}", hint="deploy a release first")
        if target is not None and target.release.key == undone.release.key:
            raise UsageError(f"delivery {to} brought what would be rolled back", hint="leave --to out, or name another")
        undecided = book.here.undecided_rollback
        if undecided is not None and target is None:
            missing = gone(site, undecided.release)
            if missing is None:
                return _bring_again(book, undecided, reason)
            site.tell(f"what rollback {undecided.number} brought cannot be brought again: {missing}")
        number = roll_back(book, undone, trigger=Trigger.EXPLICIT, reason=reason, to=target)
        return _done(book, number, ())


def _bring_again(book: Journal, undecided: Delivery, reason: str | None) -> Done:
    """What a rollback brought, once more: nobody could tell that it is bad. No freeze stops it, as none stopped that.

    Raises:
        UsageError: it is for other services than the environment has today.
    """
    site = book.site
    services = {name: service.repository for name, service in site.environment.services.items()}
    difference = unlike(undecided.release, services)
    if difference is not None:
        problem = f"what rollback {undecided.number} brought is for other services: {difference}"
        raise UsageError(problem, hint=f"{_FURTHER}, or deploy a release of the services that it has today")
    site.tell(f"nobody could tell what rollback {undecided.number} came to; bringing the same release again")
    planned = Planned(
        kind=Kind.REPAIR,
        trigger=Trigger.EXPLICIT,
        release=undecided.release,
        document=site.environment.digest,
        reason=reason,
        version=site.version,
    )
    number = book.write(planned)
    verdict = verify_and_carry_out(book, number)
    if isinstance(verdict, Refused):
        site.tell(f"today's policy refuses what the rollback brought; {_FURTHER}")
    return _done(book, number, (), verdict=verdict)


_FURTHER = "`attest rollback --to NUMBER` goes to the release of another delivery"


def verify_and_carry_out(book: Journal, number: int, presented: Presented | None = None) -> Allowed | Refused:
    """From `planned` to the end of a deployment or a repair; only a deployment may have a waiver.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided, which is recorded.
    """
    site = book.site
    delivery = book.delivery(number)
    repair = delivery.kind is Kind.REPAIR
    aged_at = book.here.aged_at(delivery.release) if repair else None
    remembered = book.remembered
    site.tell("verifying the release")
    try:
        judged = judge(
            site,
            delivery.release,
            remembered=remembered,
            aged_at=aged_at,
            everywhere=not repair,
            presented=presented,
        )
    except AttestError as error:
        book.write(Erred(deployment=number, stage=Stage.VERIFYING, message=clipped(error.message)))
        raise
    recorded = record_verdict(judged.verdict, site.policy, aged_at=aged_at)
    match judged.verdict:
        case Refused() as refused:
            step = RefusedStep(deployment=number, cause=Cause.POLICY, message=why(refused), verdict=recorded)
            book.write(step)
        case Passed() | Waived() as passed:
            _tell(site, passed, presented)
            book.write(Verified(deployment=number, verdict=recorded, names=dict(judged.names)))
            carry_out(passed, book, number)
    return judged.verdict


def _tell(site: Site, passed: Allowed, presented: Presented | None) -> None:
    match passed:
        case Waived():
            lanes, who = ", ".join(passed.lacking), ", ".join(passed.signers)
            site.tell(f"WAIVED: {lanes}, by {who} ({passed.waiver.ticket}: {passed.waiver.reason})")
        case Passed():
            if presented is not None:
                site.tell("it passes by itself; the waiver is not used")


def roll_back_owed(book: Journal, number: int) -> int | None:
    """Undo a delivery that failed, where that is to follow by itself; the number of the rollback."""
    owed = book.here.interrupted_rollback
    if owed is None or owed.number != number:
        return None
    return roll_back(book, owed, trigger=Trigger.AUTOMATIC)


def _finished_now(book: Journal, settled: tuple[int, ...], wanted: Wanted) -> int | None:
    """What was asked for, where finishing what was interrupted has just done it."""
    last = book.delivery(settled[-1]) if settled else None
    if last is None or last.phase is not Phase.SUCCEEDED or last.kind is not Kind.DEPLOY:
        return None
    return last.number if last.release == wanted.release else None


def _done(
    book: Journal,
    number: int | None,
    settled: tuple[int, ...],
    *,
    rollback: int | None = None,
    stopped: Obstacle | None = None,
    verdict: Answer | None = None,
) -> Done:
    return Done(
        delivery=None if number is None else book.delivery(number),
        settled=tuple(map(book.delivery, settled)),
        rollback=None if rollback is None else book.delivery(rollback),
        hold=book.here.hold,
        obstacle=stopped,
        verdict=verdict,
    )
