"""The way back: to the newest release that was healthy here and passes today's policy, or to none."""

from __future__ import annotations

from attest.core.delivery.candidates import candidates
from attest.core.delivery.fields import clipped
from attest.core.delivery.history import Delivery
from attest.core.delivery.records import Held, Kind, Pass, PassedOver, Planned, RollbackUndecided, Trigger, Verified
from attest.core.delivery.verdicts import record_verdict, why
from attest.core.verdict import Passed, Refused
from attest.core.waiver import Waived
from attest.errors import DeadlineExceeded, InternalError, LimitExceeded, StoreError
from attest.ops.delivery.carry import carry_out
from attest.ops.delivery.judging import Judged, gone, judge
from attest.ops.delivery.site import Journal


def roll_back(
    journal: Journal, undone: Delivery, *, trigger: Trigger, reason: str | None = None, to: Delivery | None = None
) -> int | None:
    """Undo a delivery; the number of the rollback, or None where there is nothing to go back to, which is recorded.

    Every image of a candidate is looked at, and all of it verified, before one service is touched.

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
            passed_over.append(candidate)
            site.tell(_told(candidate))
            continue
        try:
            judged = _try(journal, candidate, passed_over)
        except (StoreError, LimitExceeded, DeadlineExceeded) as error:
            undecided = RollbackUndecided(
                reverts=undone.number,
                deployment=candidate.number,
                trigger=trigger,
                passed_over=tuple(passed_over),
                message=clipped(str(error)),
                reason=reason,
            )
            journal.write(undecided)
            raise
        if judged is not None:
            return _go(journal, candidate, judged, undone, tuple(passed_over), trigger, reason)
    message = "there is no release to go back to" if to is None else f"there is no way back to delivery {to.number}"
    if passed_over:
        message = f"{message}: {passed_over[0].message}" if len(passed_over) == 1 else message
    held = Held(
        reverts=undone.number, trigger=trigger, passed_over=tuple(passed_over), message=clipped(message), reason=reason
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
    if missing is not None:
        over = PassedOver(deployment=candidate.number, reason=Pass.GONE, message=clipped(missing))
    else:
        judged = judge(
            site,
            candidate.release,
            remembered=journal.remembered,
            aged_at=here.aged_at(candidate.release),
            everywhere=False,
        )
        match judged.verdict:
            case Passed():
                return judged
            case Waived():
                raise InternalError("a waiver on the way back, where nobody presents one")
            case Refused() as refused:
                over = PassedOver(deployment=candidate.number, reason=Pass.REFUSED, message=why(refused))
    passed_over.append(over)
    site.tell(_told(over))
    return None


def _told(over: PassedOver) -> str:
    return f"passing over the release of delivery {over.deployment} ({over.reason}): {over.message}"


def _go(
    journal: Journal,
    candidate: Delivery,
    judged: Judged,
    undone: Delivery,
    passed_over: tuple[PassedOver, ...],
    trigger: Trigger,
    reason: str | None,
) -> int:
    site = journal.site
    passed = judged.verdict
    assert isinstance(passed, Passed)  # noqa: S101 - what `_try` gives
    aged_at = journal.here.aged_at(candidate.release)
    number = journal.write(
        Planned(
            kind=Kind.ROLLBACK,
            trigger=trigger,
            release=candidate.release,
            document=site.environment.digest,
            reverts=undone.number,
            passed_over=passed_over,
            reason=reason,
            version=site.version,
        )
    )
    site.tell(f"going back to the release of delivery {candidate.number}")
    verdict = record_verdict(passed, site.policy, aged_at=aged_at)
    journal.write(Verified(deployment=number, verdict=verdict, names=dict(judged.names)))
    carry_out(passed, journal, number)
    return number
