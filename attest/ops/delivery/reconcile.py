"""Compare what runs with what should, and repair it, or only say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from attest.core.delivery.candidates import unlike
from attest.core.delivery.fields import clipped
from attest.core.delivery.gates import obstacle
from attest.core.delivery.history import Delivery, EnvironmentHistory
from attest.core.delivery.machine import Phase
from attest.core.delivery.outcome import matches
from attest.core.delivery.records import Kind, Observation, Planned, Trigger
from attest.core.delivery.records import Refused as RefusedStep
from attest.core.delivery.services import record_services
from attest.core.environment.targets import Match, Observed
from attest.errors import UsageError
from attest.ops.delivery.deploy import Done, roll_back_owed, verify_and_carry_out
from attest.ops.delivery.settle import settle
from attest.ops.delivery.site import Journal, Site, journal, read_history


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What was found, and what was done about it."""

    current: Delivery
    """What should run."""
    found: Mapping[str, Match]
    """How each service stood to that."""
    observed: Mapping[str, Observed]
    unfinished: Delivery | None = None
    """What somebody is at work on, or was interrupted in."""
    settled: tuple[Delivery, ...] = ()
    repair: Done | None = None
    """None where nothing was to be repaired."""

    @property
    def drift(self) -> tuple[str, ...]:
        """The services that did not run what they should."""
        return tuple(name for name, match in self.found.items() if match is not Match.SAME)


def reconcile(site: Site, *, trigger: Trigger) -> Reconciled:
    """Finish what was interrupted, then have run what should, where something else does.

    What ended as an error is brought again too where somebody asks for it: nobody could tell that it is well, though
    it may run. A timer does not, which would fill the ledger for as long as nobody can tell.

    What should run passes today's policy again, or nothing is touched.

    Raises:
        UsageError: nothing was ever deployed there, or the environment has other services since.
        NotObserved: the target does not say what runs.
        LeaseHeld, LedgerError, StoreError, DocumentInvalid, TargetFailed: as for `attest.ops.delivery.deploy`.
    """
    with journal(site) as book:
        settled = settle(book)
        found = _compare(site, book.here)
        _record(book, found)
        undecided = found.current.phase is Phase.ERROR and trigger is Trigger.EXPLICIT
        repair = _repair(book, found, trigger) if found.drift or undecided else None
        return replace(
            found,
            current=book.delivery(found.current.number),
            settled=tuple(map(book.delivery, settled)),
            repair=repair,
        )


def compare(site: Site) -> Reconciled:
    """What `reconcile` would find; nothing is changed, recorded, or waited for.

    Raises:
        UsageError, NotObserved, LedgerError: as for `reconcile`.
    """
    history, _ = read_history(site.ledger)
    return _compare(site, history.of(site.environment.name))


def _compare(site: Site, here: EnvironmentHistory) -> Reconciled:
    current = here.current
    if current is None:
        raise UsageError(f"nothing was ever deployed to {site.environment.name}", hint="deploy a release first")
    services = {name: service.repository for name, service in site.environment.services.items()}
    difference = unlike(current.release, services)
    if difference is not None:
        problem = f"what was deployed to {site.environment.name} is for other services: {difference}"
        raise UsageError(problem, hint="deploy a release of the services that it has today")
    site.tell("observing what runs")
    observed = site.target.observe()
    found = matches(observed, {name: frozenset(one) for name, one in current.names.items()})
    return Reconciled(current=current, found=found, observed=observed, unfinished=here.unfinished)


def _record(book: Journal, found: Reconciled) -> None:
    """Record what was seen, where it is another thing than was seen before: a timer must not fill the ledger."""
    seen, number = book.here.seen, found.current.number
    if seen is not None and seen.deployment == number and (seen.drift or ()) == found.drift:
        return
    services = record_services(found.observed, found.found)
    book.write(Observation(deployment=number, services=services, drift=found.drift))


def _repair(book: Journal, found: Reconciled, trigger: Trigger) -> Done:
    site = book.site
    why = f"drift of {', '.join(found.drift)}"
    if not found.drift:
        why = f"nobody could tell what delivery {found.current.number} came to"
    site.tell(f"repairing: {why}")
    planned = Planned(
        kind=Kind.REPAIR,
        trigger=trigger,
        release=found.current.release,
        document=site.environment.digest,
        reason=clipped(why),
        version=site.version,
    )
    number = book.write(planned)
    stopped = obstacle(planned, book.here, site.environment, now=site.clock.now())
    if stopped is not None:
        book.write(RefusedStep(deployment=number, cause=stopped.cause, message=clipped(stopped.message)))
        return Done(delivery=book.delivery(number), hold=book.here.hold, obstacle=stopped)
    verdict = verify_and_carry_out(book, number)
    rollback = roll_back_owed(book, number)
    return Done(
        delivery=book.delivery(number),
        rollback=None if rollback is None else book.delivery(rollback),
        hold=book.here.hold,
        verdict=verdict,
    )
