"""Compare what runs with what should, and repair it, or only say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attest.core.delivery.candidates import unlike
from attest.core.delivery.fields import clipped
from attest.core.delivery.gates import obstacle
from attest.core.delivery.history import Delivery
from attest.core.delivery.outcome import matches
from attest.core.delivery.records import Kind, Observation, Planned, Trigger
from attest.core.delivery.records import Refused as RefusedStep
from attest.core.delivery.services import record_service
from attest.core.targets import Match, Observed
from attest.errors import UsageError
from attest.ops.delivery.deploy import Done, roll_back_owed, verify_and_carry_out
from attest.ops.delivery.settle import settle
from attest.ops.delivery.site import Journal, Site, journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What was found, and what was done about it."""

    current: Delivery
    """What should run."""
    found: Mapping[str, Match]
    """How each service stood to that."""
    observed: Mapping[str, Observed]
    settled: tuple[Delivery, ...]
    repair: Done | None
    """None where nothing had drifted, or was to be repaired."""

    @property
    def drift(self) -> tuple[str, ...]:
        """The services that did not run what they should."""
        return tuple(name for name, match in self.found.items() if match is not Match.SAME)


def reconcile(site: Site, *, trigger: Trigger) -> Reconciled:
    """Finish what was interrupted, then have run what should, where something else does.

    What should run passes today's policy again, or nothing is touched.

    Raises:
        UsageError: nothing was ever deployed there, or the environment has other services since.
        NotObserved: the target does not say what runs.
        LeaseHeld, LedgerError, StoreError, DocumentInvalid, TargetFailed: as for `attest.ops.delivery.deploy`.
    """
    with journal(site) as book:
        settled = settle(book)
        current, observed, found = _compare(book)
        drift = tuple(name for name, match in found.items() if match is not Match.SAME)
        _record(book, current, observed, found, drift)
        repair = _repair(book, current, trigger, drift) if drift else None
        return Reconciled(
            current=book.delivery(current.number),
            found=found,
            observed=observed,
            settled=tuple(map(book.delivery, settled)),
            repair=repair,
        )


def _compare(book: Journal) -> tuple[Delivery, Mapping[str, Observed], Mapping[str, Match]]:
    site = book.site
    current = book.here.current
    if current is None:
        raise UsageError(f"nothing was ever deployed to {site.environment.name}", hint="deploy a release first")
    services = {name: service.repository for name, service in site.environment.services.items()}
    difference = unlike(current.release, services)
    if difference is not None:
        problem = f"what was deployed to {site.environment.name} is for other services: {difference}"
        raise UsageError(problem, hint="deploy a release of the services that it has today")
    site.tell("observing what runs")
    observed = site.target.observe()
    return current, observed, matches(observed, {name: frozenset(one) for name, one in current.names.items()})


def _record(
    book: Journal,
    current: Delivery,
    observed: Mapping[str, Observed],
    found: Mapping[str, Match],
    drift: tuple[str, ...],
) -> None:
    """Record what was seen, where it is another thing than was seen before: a timer must not fill the ledger."""
    seen = book.here.seen
    if seen is not None and seen.deployment == current.number and (seen.drift or ()) == drift:
        return
    services = {name: record_service(observed[name], match) for name, match in found.items() if name in observed}
    book.write(Observation(deployment=current.number, services=services, drift=drift))


def _repair(book: Journal, current: Delivery, trigger: Trigger, drift: tuple[str, ...]) -> Done:
    site = book.site
    site.tell(f"repairing {', '.join(drift)}")
    planned = Planned(
        kind=Kind.REPAIR,
        trigger=trigger,
        release=current.release,
        document=site.environment.digest,
        reason=clipped(f"drift of {', '.join(drift)}"),
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
