"""What somebody who was interrupted left behind: look at what runs, say what was found, and finish it or undo it."""

from __future__ import annotations

from attest.core.delivery.candidates import unlike
from attest.core.delivery.fields import clipped
from attest.core.delivery.history import Delivery
from attest.core.delivery.machine import Phase
from attest.core.delivery.outcome import matches
from attest.core.delivery.records import Erred, Failed, Kind, Observation, Stage, Superseded, Trigger, Verified
from attest.core.delivery.services import record_services
from attest.core.delivery.verdicts import record_verdict, why
from attest.core.environment.targets import Match
from attest.core.verdict import Passed, Refused
from attest.core.waiver import Presented, Waived
from attest.ops.delivery.carry import carry_out
from attest.ops.delivery.judging import gone, judge
from attest.ops.delivery.rolling import roll_back
from attest.ops.delivery.site import Journal, Site


def settle(journal: Journal, *, presented: Presented | None = None) -> tuple[int, ...]:
    """Bring to an end what was interrupted; the numbers of the deliveries that it took.

    What was planned and touched nothing is given up. What may have changed the environment is verified again, and
    goes on from the start; where today's policy refuses it, it is a failure like any other. What was to run by a waiver
    goes on by that one, where it is `presented` again. What cannot go on, since an image is gone or the environment has
    other services, is an error: nobody can tell what it is.

    Raises:
        NotObserved: the target does not say what runs. Nothing was changed.
        StoreError: it could not be decided whether it may go on. Nothing was changed.
    """
    settled = list(_settle_last(journal, presented))
    owed = journal.here.interrupted_rollback
    if owed is not None:
        number = roll_back(journal, owed, trigger=Trigger.AUTOMATIC)
        settled += [] if number is None else [number]
    return tuple(settled)


def settle_for_rollback(journal: Journal) -> int | None:
    """The same where the environment is to be rolled back: nothing is finished only to be undone.

    A rollback that was interrupted is finished, and its number returned: that is what was asked for. So is one that
    was brought again.
    """
    last = journal.here.unfinished
    if last is None or not last.touched or last.way_back:
        _settle_last(journal)
        return last.number if last is not None and last.touched else None
    _look(journal, last)
    message = f"it was interrupted while {last.phase}, and is rolled back instead of finished"
    journal.write(Erred(deployment=last.number, stage=Stage.INTERRUPTED, message=message))
    return None


def _settle_last(journal: Journal, presented: Presented | None = None) -> tuple[int, ...]:
    last = journal.here.unfinished
    if last is None:
        return ()
    if last.touched:
        _finish(journal, last, presented)
    else:
        message = f"it was interrupted while {last.phase}, before anything was touched"
        journal.write(Superseded(deployment=last.number, message=message))
        journal.site.tell(f"delivery {last.number} is given up: {message}")
    return (last.number,)


def _finish(journal: Journal, last: Delivery, presented: Presented | None) -> None:
    site = journal.site
    _look(journal, last)
    here = journal.here
    why_not = _cannot_go_on(site, last)
    if why_not is not None:
        message = clipped(f"it was interrupted, and {why_not}")
        journal.write(Erred(deployment=last.number, stage=Stage.INTERRUPTED, message=message))
        site.tell(f"delivery {last.number} is left as it is: {message}")
        return
    way_back = last.kind is not Kind.DEPLOY
    aged_at = here.aged_at(last.release) if way_back else None
    remembered = journal.remembered
    again = presented if presented is not None and presented.waiver.digest == last.planned.waiver else None
    judged = judge(site, last.release, remembered=remembered, aged_at=aged_at, everywhere=not way_back, presented=again)
    verdict = record_verdict(judged.verdict, site.policy, aged_at=aged_at)
    match judged.verdict:
        case Passed() | Waived() as passed:
            journal.write(Verified(deployment=last.number, verdict=verdict, names=dict(judged.names)))
            if carry_out(passed, journal, last.number) is Phase.SUCCEEDED:
                site.tell(f"delivery {last.number} is finished")
        case Refused() as refused:
            message = clipped(f"it was interrupted, and today's policy refuses it: {why(refused)}")
            rollback = site.environment.automatic_rollback and not last.way_back
            seen = dict(here.seen.services) if here.seen is not None else {}
            failed = Failed(deployment=last.number, message=message, services=seen, rollback=rollback, verdict=verdict)
            journal.write(failed)
            site.tell(f"delivery {last.number} failed: {message}")


def _cannot_go_on(site: Site, last: Delivery) -> str | None:
    """Why a delivery can never be finished; None where it may be.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be found out.
    """
    services = {name: service.repository for name, service in site.environment.services.items()}
    difference = unlike(last.release, services)
    if difference is not None:
        return f"the environment has other services since: {difference}"
    missing = gone(site, last.release)
    return None if missing is None else f"cannot be finished: {missing}"


def _look(journal: Journal, last: Delivery) -> None:
    """Observe, record and say what was found."""
    site = journal.site
    site.tell(f"delivery {last.number} ({last.kind}) was interrupted while {last.phase}; looking at what runs")
    observed = site.target.observe()
    found = matches(observed, {name: frozenset(digests) for name, digests in last.names.items()})
    drift = tuple(name for name, match in found.items() if match is not Match.SAME)
    services = record_services(observed, found)
    journal.write(Observation(deployment=last.number, services=services, drift=drift))
    for name, match in found.items():
        site.tell(f"{name}: {_FOUND[match]}")


_FOUND = {
    Match.SAME: "runs the image of this delivery",
    Match.OTHER: "runs another image",
    Match.FAILED: "has the image of this delivery, and ended as it should not",
    Match.WAITING: "has the image of this delivery, and does not run yet",
    Match.ABSENT: "does not run",
    Match.UNKNOWN: "runs nobody knows what",
}
