"""Where a delivery happens: the environment and everything that speaks to it, and the journal of one command there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from attest.core.delivery.fold import Fold
from attest.core.delivery.history import Delivery, EnvironmentHistory, History
from attest.core.delivery.records import AnyPayload, DeliveredRelease, DeliveryInvalid, entry_of
from attest.core.environment.definition import Environment
from attest.core.environment.targets import DesiredImage
from attest.core.evaluate import Remembered
from attest.core.ledger.chain import Record, RecordInvalid
from attest.core.policy import Policy
from attest.errors import LedgerMisbehaved, LimitExceeded
from attest.ledgerports import Lease, Ledger
from attest.ports import Clock, LayerStore
from attest.targetports import Prober, Target

LEASE: Final = timedelta(seconds=30)
"""How long a lease outlives a deployer that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One environment, and what the verbs need to change it."""

    environment: Environment
    policy: Policy
    """Today's."""
    ledger: Ledger
    target: Target
    prober: Prober
    open_store: Callable[[], LayerStore]
    """A store with all of its time left: a soak may be longer than any patience with a registry."""
    clock: Clock
    pause: Callable[[float], None]
    """Waits so many seconds."""
    tell: Callable[[str], None]
    """What is being done, for people; it may hold foreign text."""
    actor: str
    """Who does it, for people."""
    version: str
    """Of attest."""
    wait: timedelta
    """How long to wait for another deployer."""


def read_history(ledger: Ledger) -> tuple[History, tuple[Record, ...]]:
    """What a ledger tells, and all of its records.

    Raises:
        attest.errors.LedgerBroken: its records are no whole chain.
        LedgerMisbehaved: they are one, and say what cannot be true.
    """
    whole, records = Fold(), tuple(ledger.records())
    for record in records:
        _follow(whole, record)
    return whole.history(), records


def _follow(whole: Fold, record: Record) -> None:
    try:
        whole.follow(record)
    except DeliveryInvalid as error:
        hint = "somebody wrote to it who should not, or a newer attest did; nothing is done on such a ledger"
        raise LedgerMisbehaved(f"the ledger cannot be believed: {error}", hint=hint) from error


class Journal:
    """The right to change the environment, and what was recorded under it. Every record is durable when it returns."""

    def __init__(self, site: Site, lease: Lease) -> None:
        self.site = site
        self.lease = lease
        self._fold = Fold()
        for record in site.ledger.records():
            _follow(self._fold, record)

    @property
    def here(self) -> EnvironmentHistory:
        """The environment, as it stands."""
        return self._fold.of(self.site.environment.name)

    @property
    def remembered(self) -> Remembered | None:
        """The highest serial of today's policy that the ledger has seen."""
        return self._fold.policy(self.site.policy.name)

    def delivery(self, number: int) -> Delivery:
        """One delivery here, as it stands."""
        return self.here.deliveries[number]

    def write(self, payload: AnyPayload) -> int:
        """Record something; its number.

        Raises:
            attest.errors.LeaseLost: somebody else may change the environment by now.
            LimitExceeded: there is more to be recorded than a record may hold.
        """
        try:
            entry = entry_of(payload, environment=self.site.environment.name, actor=self.site.actor)
        except RecordInvalid as error:
            raise LimitExceeded(f"this cannot be recorded, so it is not done: {error}") from error
        record = self.lease.append(entry)
        _follow(self._fold, record)
        return record.seq


@contextmanager
def journal(site: Site) -> Iterator[Journal]:
    """Hold the environment's lease for the time of a block.

    Raises:
        attest.errors.LeaseHeld: somebody else holds it, and went on for longer than we wait.
    """
    with site.ledger.lease(site.environment.name, holder=site.actor, ttl=LEASE, wait=site.wait) as lease:
        yield Journal(site, lease)


def plan_of(release: DeliveredRelease) -> tuple[DesiredImage, ...]:
    """What each service is to run."""
    return tuple(DesiredImage(service=name, reference=image) for name, image in release.services.items())
