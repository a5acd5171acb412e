"""Deliveries and troubles in time: when each thing began, when it ended, and what it first came to.

`attest.core.delivery.history` says how things stand. This says how they went, from the same records, for figures,
events and pictures. Times are those of the writers' clocks, which may be wrong: a span of time that would be negative
is unknown, and never counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attest.core.delivery.history import Delivery, EnvironmentHistory, History
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import (
    Applying,
    DeliveryRecord,
    Erred,
    Failed,
    Held,
    Kind,
    Observation,
    Planned,
    Probing,
    Refused,
    Step,
    Succeeded,
    Superseded,
    Verified,
)
from attest.core.delivery.services import RecordedService
from attest.core.environment.health import Health
from attest.core.environment.targets import Match


class Trouble(StrEnum):
    """What is wrong with an environment."""

    FAILURE = "failure"
    """A release failed there, or is being undone by somebody, or should be and cannot."""
    DRIFT = "drift"
    """Something runs that should not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a delivery went. `delivery` is how it stands, which later deliveries change; this they do not."""

    delivery: Delivery
    steps: tuple[tuple[Phase, datetime], ...]
    """Each state that it reached, and when for the first time, from `planned` on."""
    result: Phase | None
    """What it first came to: `succeeded`, `failed`, `error`, `refused` or `superseded`. None while it goes on."""
    ended: datetime | None

    @property
    def number(self) -> int:
        """Of the record that planned it."""
        return self.delivery.number

    @property
    def duration(self) -> timedelta | None:
        """From its plan to its end; None where it goes on, or the clocks disagree."""
        return None if self.ended is None else between(self.delivery.since, self.ended)

    def when(self, phase: Phase) -> datetime | None:
        """When it first reached a state."""
        return next((time for reached, time in self.steps if reached is phase), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A time in which an environment was known not to be as it should."""

    trouble: Trouble
    record: int
    """The record that shows it."""
    deployment: int | None
    """The delivery that it is about."""
    since: datetime
    message: str
    services: tuple[str, ...]
    """The services that were seen to be unwell, or to run something else; none where that is not known."""
    ended: datetime | None = None
    resolution: int | None = None
    """The record that ends it; None while it lasts."""

    @property
    def duration(self) -> timedelta | None:
        """How long it lasted; None where it lasts, or the clocks disagree."""
        return None if self.ended is None else between(self.since, self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything in time that a ledger tells of one environment."""

    here: EnvironmentHistory
    records: tuple[DeliveryRecord, ...]
    """Those of this environment."""
    courses: tuple[Course, ...]
    """In the order in which they were planned."""
    incidents: tuple[Incident, ...]
    """In the order in which they began."""


def between(start: datetime, end: datetime) -> timedelta | None:
    """The time from one moment to another; None where the second is before the first."""
    return None if end < start else end - start


def timeline(history: History, environment: str) -> Timeline:
    """How an environment went."""
    here = history.of(environment)
    records = tuple(one for one in history.records if one.record.environment == environment)
    folding = _Folding()
    for one in records:
        folding.follow(one)
    courses = tuple(_course(delivery, folding.steps[number]) for number, delivery in here.deliveries.items())
    return Timeline(here=here, records=records, courses=courses, incidents=tuple(folding.incidents))


_STATES: Final[Mapping[type[Step], Phase]] = {
    Verified: Phase.VERIFIED,
    Applying: Phase.APPLYING,
    Probing: Phase.PROBING,
    Refused: Phase.REFUSED,
    Succeeded: Phase.SUCCEEDED,
    Failed: Phase.FAILED,
    Erred: Phase.ERROR,
    Superseded: Phase.SUPERSEDED,
}
_RESULTS: Final = frozenset({Phase.REFUSED, Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR, Phase.SUPERSEDED})


def _course(delivery: Delivery, steps: Mapping[Phase, datetime]) -> Course:
    result = next((phase for phase in steps if phase in _RESULTS), None)
    return Course(
        delivery=delivery,
        steps=tuple(steps.items()),
        result=result,
        ended=None if result is None else steps[result],
    )


@dataclass(slots=True, kw_only=True)
class _Folding:
    """The walk over the records, in their order."""

    steps: dict[int, dict[Phase, datetime]] = field(default_factory=dict)
    planned: dict[int, Planned] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)
    open: dict[Trouble, int] = field(default_factory=dict)
    """Where in `incidents` the one of each trouble stands that lasts."""

    def follow(self, one: DeliveryRecord) -> None:
        """One more record."""
        record, payload = one.record, one.payload
        match payload:
            case Planned():
                self.planned[record.seq] = payload
                self.steps[record.seq] = {Phase.PLANNED: record.time}
            case Step():
                self.steps[payload.deployment].setdefault(_STATES[type(payload)], record.time)
                self._step(one, payload)
            case Held():
                self._begin(Trouble.FAILURE, one, payload.reverts, payload.message)
            case Observation() if payload.drift:
                names = ", ".join(payload.drift)
                message = f"not what should run: {names}"
                self._begin(Trouble.DRIFT, one, payload.deployment, message, payload.drift)
            case Observation():
                self._end(Trouble.DRIFT, one)
            case _:
                pass

    def _step(self, one: DeliveryRecord, payload: Step) -> None:
        match payload:
            case Applying():
                planned = self.planned[payload.deployment]
                if planned.kind is Kind.ROLLBACK:
                    message = planned.reason or f"delivery {planned.reverts} is rolled back"
                    self._begin(Trouble.FAILURE, one, planned.reverts, message)
            case Failed():
                self._begin(Trouble.FAILURE, one, payload.deployment, payload.message, unwell(payload.services))
            case Succeeded():
                for trouble in Trouble:
                    self._end(trouble, one)
            case _:
                pass

    def _begin(
        self,
        trouble: Trouble,
        one: DeliveryRecord,
        deployment: int | None,
        message: str,
        services: tuple[str, ...] = (),
    ) -> None:
        if trouble in self.open:
            return
        self.open[trouble] = len(self.incidents)
        incident = Incident(
            trouble=trouble,
            record=one.record.seq,
            deployment=deployment,
            since=one.record.time,
            message=message,
            services=services,
        )
        self.incidents.append(incident)

    def _end(self, trouble: Trouble, one: DeliveryRecord) -> None:
        place = self.open.pop(trouble, None)
        if place is None:
            return
        before = self.incidents[place]
        self.incidents[place] = Incident(
            trouble=before.trouble,
            record=before.record,
            deployment=before.deployment,
            since=before.since,
            message=before.message,
            services=before.services,
            ended=one.record.time,
            resolution=one.record.seq,
        )


def unwell(services: Mapping[str, RecordedService]) -> tuple[str, ...]:
    """The services of an observation that do not run what they should, or are not healthy."""
    return tuple(_unwell(services))


def _unwell(services: Mapping[str, RecordedService]) -> Iterator[str]:
    for name, seen in services.items():
        looks = (seen.probe, seen.soak)
        if seen.match is not Match.SAME or any(
            look is not None and look.health is not Health.HEALTHY for look in looks
        ):
            yield name
