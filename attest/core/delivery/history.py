"""What the records of a ledger tell: what should run in each environment, what did, and what may not again.

`attest.core.delivery.fold` makes it of records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from attest.core.delivery.machine import UNFINISHED, Phase
from attest.core.delivery.records import Cause, DeliveredRelease, DeliveryRecord, Kind, Planned
from attest.core.delivery.services import RecordedService
from attest.core.delivery.verdicts import Decision, RecordedVerdict
from attest.core.evaluate import Remembered
from attest.core.reference import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A deployment, a rollback or a repair, as it stands."""

    number: int
    """Of the record that planned it."""
    planned: Planned
    actor: str
    since: datetime
    """When it was planned."""
    changed: datetime
    """When its state last changed."""
    phase: Phase = Phase.PLANNED
    touched: bool = False
    """Whether the environment was changed for it, or may have been."""
    healthy: bool = False
    """Whether it was confirmed by digest and probed healthy."""
    verdict: RecordedVerdict | None = None
    """The last one on it."""
    names: Mapping[str, tuple[Digest, ...]] = field(default_factory=dict)
    """Of each service: every digest that a container of its image may be known by."""
    services: Mapping[str, RecordedService] = field(default_factory=dict)
    """What was seen at its end."""
    cause: Cause | None = None
    """Why it was refused."""
    message: str = ""
    """What is to be said of how it ended."""
    wants_rollback: bool = False
    """It failed, and a rollback was to follow by itself."""
    by: int | None = None
    """The delivery that undoes or undid it, or took its place."""
    way_back: bool = False
    """Whether it is a rollback, or brings again what a rollback brought that nobody could tell the end of."""
    undoes: int | None = None
    """Of what is a way back: the delivery that it undoes."""

    @property
    def kind(self) -> Kind:
        """What it is for."""
        return self.planned.kind

    @property
    def release(self) -> DeliveredRelease:
        """What it brings."""
        return self.planned.release

    @property
    def waived(self) -> bool:
        """Whether it may run by a waiver alone. A waiver that was named, and not needed, is none."""
        return self.verdict is not None and self.verdict.decision is Decision.WAIVED

    @property
    def is_unfinished(self) -> bool:
        """Whether somebody is at work on it, or was interrupted."""
        return self.phase in UNFINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Automatic deployments wait."""

    since: datetime
    deployment: int
    """The rollback that it comes from; where nothing was found to go back to, the record that says so."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRelease:
    """A release that may not be deployed again before somebody lifts that."""

    key: Digest
    release: DeliveredRelease
    deployment: int
    """The delivery that showed it."""
    since: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenSince:
    """Somebody said that nothing is to be deployed."""

    since: datetime
    until: datetime | None
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen to run, and when."""

    time: datetime
    deployment: int | None
    services: Mapping[str, RecordedService]
    drift: tuple[str, ...] | None
    """None where it was not asked: at the end of a delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHistory:
    """One environment, as its records leave it."""

    name: str
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    """By number, in their order. The fold fills it; nobody else writes."""
    current: Delivery | None = None
    """The last one that changed the environment, or may have: what it brings is what should run."""
    applied: Delivery | None = None
    """The last one that the target took."""
    seen: Seen | None = None
    """The last observation that was recorded."""
    hold: Hold | None = None
    frozen: FrozenSince | None = None
    bad: Mapping[Digest, BadRelease] = field(default_factory=dict)
    """By the key of the release."""
    passed: dict[Digest, datetime] = field(default_factory=dict)
    """Of each release, by its key: its newest verdict that passed with `max-age` measured at its own time."""

    def newest_first(self) -> Iterator[Delivery]:
        """All deliveries, the last one planned first."""
        for number in reversed(list(self.deliveries)):
            yield self.deliveries[number]

    @property
    def unfinished(self) -> Delivery | None:
        """The delivery that somebody is at work on, or was interrupted in."""
        last = next(self.newest_first(), None)
        return last if last is not None and last.is_unfinished else None

    @property
    def interrupted_rollback(self) -> Delivery | None:
        """What failed, and should be rolled back by itself, and is not."""
        current = self.current
        owed = current is not None and current.phase is Phase.FAILED and current.wants_rollback
        return current if owed else None

    @property
    def undecided_rollback(self) -> Delivery | None:
        """The rollback that changed the environment last, where nobody could tell what it came to."""
        current = self.current
        return current if current is not None and current.way_back and current.phase is Phase.ERROR else None

    @property
    def undone(self) -> Delivery | None:
        """What the delivery that changed the environment last undoes; None where that is no way back."""
        number = None if self.current is None else self.current.undoes
        return None if number is None else self.deliveries[number]

    @property
    def healthy(self) -> frozenset[Digest]:
        """Keys of the releases that passed here, without a waiver, and were probed healthy."""
        return frozenset(one.release.key for one in self.deliveries.values() if one.healthy and not one.waived)

    @property
    def verified_good(self) -> Delivery | None:
        """The last delivery that passed, without a waiver, was probed healthy, and whose release nobody marked bad."""
        good = (
            one for one in self.newest_first() if one.healthy and not one.waived and one.release.key not in self.bad
        )
        return next(good, None)

    def aged_at(self, release: DeliveredRelease) -> datetime | None:
        """Where `max-age` is measured on the way back to a release that passed and was healthy here; None for now."""
        return self.passed.get(release.key) if release.key in self.healthy else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All environments of a ledger, and the policies that it has seen."""

    environments: Mapping[str, EnvironmentHistory]
    policies: Mapping[str, Remembered]
    """Of each policy's name: the highest serial seen, and the digest that it had."""
    records: tuple[DeliveryRecord, ...]
    """What it follows from."""

    def of(self, environment: str) -> EnvironmentHistory:
        """One environment; an empty one where nothing was recorded of it."""
        return self.environments.get(environment) or EnvironmentHistory(name=environment)
