"""Carry out a delivery that passed: tell the target, find out by digest what runs, and whether it stays healthy.

Each record is durable before what it announces is done. What was told to a target is believed when it is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from attest.core.delivery.fields import clipped
from attest.core.delivery.history import Delivery
from attest.core.delivery.machine import Phase
from attest.core.delivery.outcome import UNCONFIRMED, Outcome, conclude, matches, restarted, unconfirmed
from attest.core.delivery.records import Applying, Erred, Failed, Kind, Probing, Stage, Succeeded, Superseded
from attest.core.delivery.services import RecordedService, record_services
from attest.core.environment.definition import EnvironmentService, OneShot
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import Observed
from attest.core.reference import Digest
from attest.core.waiver import Allowed
from attest.errors import (
    AttestError,
    DeadlineExceeded,
    DocumentInvalid,
    InternalError,
    LeaseLost,
    LimitExceeded,
    StoreError,
    TargetFailed,
)
from attest.ops.delivery.judging import cannot_be_had
from attest.ops.delivery.site import Journal, Site, plan_of
from attest.ops.parallel import each

_POLL: Final = 1.0
"""Seconds between two looks at what runs."""

_Results = Mapping[str, ProbeResult]


def carry_out(passed: Allowed, journal: Journal, number: int) -> Phase:
    """Have the release of a delivery run, which was recorded as verified; how it ended is recorded.

    A rollback that touched nothing yet is given up, `superseded`, where an image of it turns out to be gone.

    Raises:
        DocumentInvalid: a file that the environment names does not allow it; nothing was touched.
        TargetFailed: an image cannot be had, or the target not be reached; nothing was touched.
        LeaseLost: somebody else may change the environment by now.
    """
    site = journal.site
    delivery = journal.delivery(number)
    images = delivery.release.services
    if {image.digest for image in passed.findings.images} != {image.digest for image in images.values()}:
        raise InternalError("the verdict is about other images than would be delivered")
    plan = plan_of(delivery.release)
    if not _prepare(journal, number):
        return Phase.SUPERSEDED
    journal.lease.check()
    journal.write(Applying(deployment=number))
    site.tell("applying")
    trouble: str | None = None
    try:
        site.target.apply(plan)
    except DocumentInvalid as error:
        journal.write(Erred(deployment=number, stage=Stage.APPLYING, message=clipped(error.message)))
        raise
    except AttestError as error:
        trouble = clipped(error.message)  # what runs decides
        site.tell(f"the target says: {error.message}")
    journal.write(Probing(deployment=number, trouble=trouble))
    return _probe(journal, number, trouble)


def _prepare(journal: Journal, number: int) -> bool:
    """Fetch what is needed; False where the delivery was given up instead."""
    site = journal.site
    site.tell("fetching images")
    delivery = journal.delivery(number)
    try:
        site.target.prepare(plan_of(delivery.release))
    except AttestError as error:
        missing = _missing(site, delivery) if isinstance(error, TargetFailed) else None
        if missing is None and delivery.touched:
            raise  # it was applied before, by somebody who was interrupted: the next command tries again
        if missing is not None and delivery.kind is Kind.ROLLBACK and not delivery.touched:
            journal.write(Superseded(deployment=number, message=clipped(missing)))
            return False
        message = "; ".join(filter(None, (missing, error.message)))
        journal.write(Erred(deployment=number, stage=Stage.PREPARING, message=clipped(message)))
        raise
    return True


def _missing(site: Site, delivery: Delivery) -> str | None:
    """What of a release is gone; None where nothing is, or nobody can tell.

    Whatever else kept the target from fetching it, a full disk or a registry that it may not read, is no fault of the
    release, and no reason to go back further.
    """
    try:
        return cannot_be_had(site, delivery.release)
    except (StoreError, LimitExceeded, DeadlineExceeded):
        return None


def _probe(journal: Journal, number: int, trouble: str | None) -> Phase:
    """From `probing` to the end."""
    site = journal.site
    names = {name: frozenset(digests) for name, digests in journal.delivery(number).names.items()}
    services = {name: site.environment.services[name] for name in names}
    probes: _Results = {}
    soaks: _Results = {}
    observed: Mapping[str, Observed] = {}
    try:
        observed = _confirm(journal, names, services)
        found = matches(observed, names)
        problem = unconfirmed(found, observed)
        if problem is None:
            site.tell("probing")
            probes = _look(journal, site.prober.settle, list(names))
            before = observed = site.target.observe()
            anew = frozenset[str]()
            if all(one.health is Health.HEALTHY for one in probes.values()):
                if any(service.soak for service in services.values()):
                    site.tell("healthy; it has to stay so")
                soaks = _look(journal, site.prober.soak, list(names))
                observed = site.target.observe()
                anew = frozenset(
                    name
                    for name in names
                    if name in before and name in observed and restarted(before[name], observed[name])
                )
            found = matches(observed, names)
            outcome = conclude(found, observed=observed, probes=probes, soaks=soaks, anew=anew)
        else:
            outcome = Outcome(phase=Phase.ERROR, message=problem, stage=Stage.CONFIRMING)
    except LeaseLost:
        raise
    except AttestError as error:
        found = matches(observed, names)
        outcome = Outcome(phase=Phase.ERROR, message=error.message, stage=Stage.CONFIRMING)
    recorded = record_services(observed, found, probes=probes, soaks=soaks)
    _end(journal, number, outcome, recorded, trouble)
    return outcome.phase


def _confirm(
    journal: Journal, names: Mapping[str, frozenset[Digest]], services: Mapping[str, EnvironmentService]
) -> Mapping[str, Observed]:
    """Look until every service runs the image that it should, or none of that is to be expected any more."""
    site = journal.site
    site.tell("observing what runs")
    patience = max(_patience(service) for service in services.values())
    for look in range(math.ceil(patience / _POLL) + 1):
        if look:
            site.pause(_POLL)
        observed = site.target.observe()
        if UNCONFIRMED.isdisjoint(matches(observed, names).values()):
            break
    return observed


def _patience(service: EnvironmentService) -> float:
    health = service.health
    return (health.timeout if isinstance(health, OneShot) else health.rule.timeout).total_seconds()


def _look(journal: Journal, look: Callable[[str], ProbeResult], services: list[str]) -> _Results:
    """Ask about all services at once; then see whether we still may change anything."""
    results = dict(zip(services, each(look, services), strict=True))
    journal.lease.check()
    return results


def _end(
    journal: Journal, number: int, outcome: Outcome, services: dict[str, RecordedService], trouble: str | None
) -> None:
    site = journal.site
    message = clipped("; ".join(filter(None, (outcome.message, trouble))))
    match outcome.phase:
        case Phase.SUCCEEDED:
            journal.write(Succeeded(deployment=number, services=services))
            site.tell("it runs, confirmed by digest, and is healthy")
        case Phase.FAILED:
            # A rollback that fails is not rolled back in its turn: that could go on for ever.
            rollback = site.environment.automatic_rollback and not journal.delivery(number).way_back
            journal.write(Failed(deployment=number, message=message, services=services, rollback=rollback))
            site.tell(f"failed: {message}")
        case _:
            journal.write(Erred(deployment=number, stage=outcome.stage, message=message, services=services))
            site.tell(f"could not be decided: {message}")
