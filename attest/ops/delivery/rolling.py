"""The way back: to the newest release that was healthy here and passes today's policy, or to none."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.delivery.candidates import bounded, candidates
from attest.core.delivery.fields import clipped
from attest.core.delivery.history import Delivery
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Held, Kind, Pass, PassedOver, Planned, RollbackUndecided, Trigger, Verified
from attest.core.delivery.verdicts import record_verdict, why
from attest.core.verdict import Passed, Refused
from attest.core.waiver import Waived
from attest.errors import DeadlineExceeded, InternalError, LimitExceeded, NotFound, StoreError
from attest.ops.delivery.carry import carry_out
from attest.ops.delivery.judging import Judged, gone, judge
from attest.ops.delivery.site import Journal


def roll_back(
    journal: Journal, undone: Delivery, *, trigger: Trigger, reason: str | None = None, to: Delivery | None = None
) -> int | None:
    """Undo a delivery; the number of the rollback, or None where there is nothing to go back to, which is recorded.

    Every image of a candidate is looked at, verified and fetched before one service is touched. One of which an image
    turns out to be gone when it is fetched is given up, which is recorded, and passed over as any other.

    Args:
        journal: Where it is recorded.
        undone: The delivery that changed the environment last.
        trigger: Who wants it.
        reason: What the one who wants it says.
        to: The delivery to whose release to go, and to no other.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided about a candidate, which is recorded.
            Nothing was touched.
    """
    passed_over: list[PassedOver] = []
    site = journal.site
    services = {name: service.repository for name, service in site.environment.services.items()}
    site.tell(f"rolling back delivery {undone.number}")
    for candidate in candidates(journal.here, services, undone=undone):
        if to is not None and _release(journal, candidate) != to.release.key:
            continue
        if isinstance(candidate, PassedOver):
            _pass(journal, candidate, passed_over)
            continue
        try:
            judged = _try(journal, candidate, passed_over)
        except (StoreError, LimitExceeded, DeadlineExceeded) as error:
            listed, rest = bounded(passed_over)
            undecided = RollbackUndecided(
                reverts=undone.number,
                deployment=candidate.number,
                trigger=trigger,
                passed_over=listed,
                passed_over_rest=rest,
                message=clipped(str(error)),
                reason=reason,
            )
            journal.write(undecided)
            raise
        if judged is None:
            continue
        number = _go(journal, candidate, judged, undone, passed_over, trigger, reason)
        given_up = journal.delivery(number)
        if given_up.phase is not Phase.SUPERSEDED:
            return number
        _pass(journal, PassedOver(deployment=candidate.number, reason=Pass.GONE, message=given_up.message), passed_over)
    message = "there is no release to go back to" if to is None else f"there is no way back to delivery {to.number}"
    if passed_over:
        message = f"{message}: {passed_over[0].message}" if len(passed_over) == 1 else message
    listed, rest = bounded(passed_over)
    held = Held(
        reverts=undone.number,
        trigger=trigger,
        passed_over=listed,
        passed_over_rest=rest,
        message=clipped(message),
        reason=reason,
    )
    journal.write(held)
    site.tell(f"{message}; what runs stays, and automatic deployments are held")
    return None


def _release(journal: Journal, candidate: Delivery | PassedOver) -> str:
    number = candidate.deployment if isinstance(candidate, PassedOver) else candidate.number
    return journal.delivery(number).release.key


def _try(journal: Journal, candidate: Delivery, passed_over: list[PassedOver]) -> Judged | None:
    """The verdict of a candidate that may run; of any other, None, and why it was passed over."""
    site, here = journal.site, journal.here
    site.tell(f"verifying the release of delivery {candidate.number}")
    missing = gone(site, candidate.release)
    if missing is None:
        try:
            judged = judge(
                site,
                candidate.release,
                remembered=journal.remembered,
                aged_at=here.aged_at(candidate.release),
                everywhere=False,
            )
        except NotFound:
            missing = gone(site, candidate.release)
            if missing is None:
                raise
    if missing is not None:
        _pass(journal, PassedOver(deployment=candidate.number, reason=Pass.GONE, message=clipped(missing)), passed_over)
        return None
    match judged.verdict:
        case Passed():
            return judged
        case Waived():
            raise InternalError("a waiver on the way back, where nobody presents one")
        case Refused() as refused:
            over = PassedOver(deployment=candidate.number, reason=Pass.REFUSED, message=why(refused))
    _pass(journal, over, passed_over)
    return None


def _pass(journal: Journal, over: PassedOver, passed_over: list[PassedOver]) -> None:
    passed_over.append(over)
    told = f"passing over the release of delivery {over.deployment} ({over.reason}): {over.message}"
    journal.site.tell(told)


def _go(
    journal: Journal,
    candidate: Delivery,
    judged: Judged,
    undone: Delivery,
    passed_over: Sequence[PassedOver],
    trigger: Trigger,
    reason: str | None,
) -> int:
    site = journal.site
    passed = judged.verdict
    assert isinstance(passed, Passed)  # noqa: S101 - what `_try` gives
    aged_at = journal.here.aged_at(candidate.release)
    listed, rest = bounded(passed_over)
    number = journal.write(
        Planned(
            kind=Kind.ROLLBACK,
            trigger=trigger,
            release=candidate.release,
            document=site.environment.digest,
            reverts=undone.number,
            passed_over=listed,
            passed_over_rest=rest,
            reason=reason,
            version=site.version,
        )
    )
    site.tell(f"going back to the release of delivery {candidate.number}")
    verdict = record_verdict(passed, site.policy, aged_at=aged_at)
    journal.write(Verified(deployment=number, verdict=verdict, names=dict(judged.names)))
    carry_out(passed, journal, number)
    return number
