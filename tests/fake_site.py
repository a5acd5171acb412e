"""A site of fakes around a real ledger, for deliveries under faults that real parts do not show at will."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attest.adapters.ledger import create_ledger, parse_address
from attest.core import oci
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import DeliveredRelease, Trigger
from attest.core.environment.definition import Environment
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import DesiredImage, Instance, Observed, RunState
from attest.core.ledger.chain import Entry, Head, Record
from attest.core.predicates import Result
from attest.core.promotion.copyplan import FOREIGN_LAYERS
from attest.core.reference import Digest, ImageReference, RegistryImage, Repository, digest_of
from attest.core.release import StoredImage
from attest.errors import LeaseLost, NotFound, Unreachable
from attest.ledgerports import Lease, Ledger
from attest.ops.delivery.deploy import Done, Wanted, deploy
from attest.ops.delivery.site import Site
from attest.ports import Attached
from tests.core import make
from tests.core.make import NOW
from tests.core.make_delivery import release
from tests.core.test_delivery_decisions import environment

SOURCE = Repository(host="registry.example.org", path="plex/source")


class Clock:
    """A second later at each look."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        """The time."""
        self.time += timedelta(seconds=1)
        return self.time


@dataclass(slots=True)
class FakeStore:
    """Images with evidence, as a store would have them."""

    bundles: dict[RegistryImage, list[bytes]] = field(default_factory=dict)
    broken: set[Repository] = field(default_factory=set)
    indexes: set[Digest] = field(default_factory=set)
    lost: set[Digest] = field(default_factory=set)
    """Blobs that were deleted."""
    remembered: set[Digest] = field(default_factory=set)
    """Blobs that were deleted, and that the store says it has."""

    def _find(self, wanted: ImageReference) -> list[bytes]:
        assert isinstance(wanted, RegistryImage)
        if wanted.repository in self.broken:
            raise Unreachable(f"{wanted.repository.host} does not answer")
        if wanted not in self.bundles:
            raise NotFound(f"{wanted} is not there")
        return self.bundles[wanted]

    def read(self, wanted: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:  # noqa: ARG002
        """As `attest.ports.Store`."""
        for content in self._find(wanted):
            manifest = make.digest("referrer")
            attached = Attached(
                subject=wanted.digest, manifest=manifest, digest=digest_of(content), content=content, legacy=False
            )
            receive(attached)
        described = oci.Descriptor(media_type=oci.MANIFEST, digest=wanted.digest, size=1)
        return StoredImage(descriptor=described, children=None, platform=None)

    def describe(self, wanted: ImageReference) -> oci.Descriptor:
        """As `attest.ports.Store`."""
        self._find(wanted)
        return oci.Descriptor(media_type=oci.MANIFEST, digest=wanted.digest, size=1)

    def manifest(self, wanted: ImageReference) -> oci.Manifest | oci.Index:
        """As `attest.ports.Store`."""
        self._find(wanted)
        assert isinstance(wanted, RegistryImage)
        if wanted.digest in self.indexes:
            children = [RegistryImage(repository=wanted.repository, digest=make.digest(f"child {n}")) for n in range(3)]
            for child in children[:2]:
                self.bundles.setdefault(child, [])
            described = [oci.Descriptor(media_type=oci.MANIFEST, digest=child.digest, size=1) for child in children]
            notes = {"vnd.docker.reference.type": "attestation-manifest"}
            described[2] = replace(described[2], annotations=notes)
            return oci.Index(media_type=oci.INDEX, manifests=tuple(described))
        layers = [oci.Descriptor(media_type="layer", digest=make.digest(f"layer of {wanted.digest}"), size=1)]
        layers.append(replace(layers[0], media_type=min(FOREIGN_LAYERS), digest=make.digest("foreign")))
        return oci.Manifest(
            media_type=oci.MANIFEST,
            config=oci.Descriptor(media_type="config", digest=make.digest("config"), size=1),
            layers=tuple(layers),
            subject=None,
            artifact_type=None,
            annotations={},
        )

    def holds(self, wanted: ImageReference, blob: oci.Descriptor) -> bool:
        """As `attest.ports.LayerStore`."""
        self._find(wanted)
        return blob.digest not in {*self.lost, make.digest("foreign")}

    def stream(self, wanted: ImageReference, blob: oci.Descriptor) -> Iterator[bytes]:
        """As `attest.ports.LayerStore`."""
        self._find(wanted)
        if blob.digest in {*self.lost, *self.remembered, make.digest("foreign")}:
            raise NotFound(f"{blob.digest} is not there")
        yield b"x"

    def aliases(self, wanted: ImageReference) -> frozenset[Digest]:
        """As `attest.ports.Store`."""
        self._find(wanted)
        return frozenset({wanted.digest})


@dataclass(slots=True)
class FakeTarget:
    """One container for each service. What it does wrong is set from outside."""

    running: dict[str, Instance] = field(default_factory=dict)
    applied: list[dict[str, RegistryImage]] = field(default_factory=list)
    late: int = 0
    """So many looks later than it was told, it runs."""
    waiting: dict[str, Instance] = field(default_factory=dict)
    on_prepare: Callable[[], None] = lambda: None
    on_observe: Callable[[], None] = lambda: None
    state: RunState = RunState.RUNNING

    def prepare(self, plan: Sequence[DesiredImage]) -> None:  # noqa: ARG002 - the port's signature
        """As `attest.targetports.Target`."""
        self.on_prepare()

    def apply(self, plan: Sequence[DesiredImage]) -> None:
        """As `attest.targetports.Target`."""
        self.applied.append({one.service: one.reference for one in plan})
        for one in plan:
            self.waiting[one.service] = Instance(
                name=one.service,
                state=self.state,
                digests=frozenset({one.reference.digest}),
                started=f"{len(self.applied)}",
            )

    def observe(self) -> Mapping[str, Observed]:
        """As `attest.targetports.Target`."""
        self.on_observe()
        if self.late:
            self.late -= 1
        else:
            self.running.update(self.waiting)
            self.waiting = {}
        return {
            name: Observed(service=name, instances=(self.running[name],) if name in self.running else ())
            for name in ("app",)
        }


@dataclass(slots=True)
class FakeProber:
    """Says what it was told to say of each image."""

    target: FakeTarget
    sick: set[Digest] = field(default_factory=set)
    health: Health = Health.HEALTHY
    on_soak: Callable[[], None] = lambda: None

    def settle(self, service: str) -> ProbeResult:
        """As `attest.targetports.Prober`."""
        digests = self.target.running[service].digests
        health = self.health if digests.isdisjoint(self.sick) else Health.UNHEALTHY
        return ProbeResult(health=health, detail=f"it is {health}", looks=1, streak=1)

    def soak(self, service: str) -> ProbeResult:
        """As `attest.targetports.Prober`."""
        self.on_soak()
        return self.settle(service)


@dataclass(slots=True)
class LosingLease:
    """A lease that is lost at its check number `at`."""

    lease: Lease
    at: int

    environment = property(lambda self: self.lease.environment)
    token = property(lambda self: self.lease.token)
    since = property(lambda self: self.lease.since)

    def append(self, entry: Entry) -> Record:
        """As `attest.ledgerports.Lease`."""
        return self.lease.append(entry)

    def check(self) -> None:
        """As `attest.ledgerports.Lease`."""
        self.at -= 1
        if self.at < 0:
            raise LeaseLost("somebody else may have it")


@dataclass(slots=True)
class LosingLedger:
    """A ledger whose leases are lost."""

    ledger: Ledger
    at: int

    def append(self, entry: Entry) -> Record:
        """As `attest.ledgerports.Ledger`."""
        return self.ledger.append(entry)

    def records(self, *, environment: str | None = None, after: int = 0) -> Iterator[Record]:
        """As `attest.ledgerports.Ledger`."""
        return self.ledger.records(environment=environment, after=after)

    def head(self) -> Head | None:
        """As `attest.ledgerports.Ledger`."""
        return self.ledger.head()

    @contextlib.contextmanager
    def lease(self, environment: str, *, holder: str, ttl: timedelta, wait: timedelta) -> Iterator[Lease]:
        """As `attest.ledgerports.Ledger`."""
        with self.ledger.lease(environment, holder=holder, ttl=ttl, wait=wait) as lease:
            yield LosingLease(lease, self.at)

    def restore(self, records: Any) -> int:
        """As `attest.ledgerports.Ledger`."""
        return self.ledger.restore(records)


@dataclass(slots=True, kw_only=True)
class World:
    """A site of fakes around a real ledger."""

    site: Site
    store: FakeStore
    target: FakeTarget
    prober: FakeProber
    told: list[str]
    pauses: list[float]

    def publish(self, number: int, *, result: Result = Result.PASSED, at: Repository | None = None) -> DeliveredRelease:
        """A release whose image is there, with what a lane says about it now."""
        of = release(number)
        (one,) = of.services.values()
        where = one if at is None else replace(one, repository=at)
        now = self.site.clock.now()
        about = make.context(run_id=f"{(now - NOW).seconds}", started=now - timedelta(seconds=1), finished=now)
        signed = make.bundle(make.party("ci"), make.payload([one.digest], about, result=result))
        self.store.bundles.setdefault(where, []).append(signed)
        return of

    def deploy(self, number: int, **changes: Any) -> Done:
        """Deploy a release that was published."""
        return deploy(self.changed(**changes), Wanted(release=release(number), trigger=Trigger.EXPLICIT))

    def changed(self, **changes: Any) -> Site:
        """The site with something else in it."""
        return replace(self.site, **changes)

    def runs(self) -> Digest:
        """What runs."""
        (digest,) = self.target.running["app"].digests
        return digest

    def types(self) -> list[str]:
        """The types of all records."""
        return [record.type for record in self.site.ledger.records()]


def with_evidence(*repositories: Repository) -> Environment:
    """The environment, with these in `evidence`."""
    return replace(environment(), evidence=repositories)


def ended(done: Done) -> Phase:
    """The state of what was asked for."""
    assert done.delivery is not None
    return done.delivery.phase


@contextlib.contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """An environment to which nothing was deployed, and releases 1 to 3 for it; its ledger is in the folder."""
    target, store = FakeTarget(), FakeStore()
    prober, clock = FakeProber(target), Clock()
    told: list[str] = []
    pauses: list[float] = []
    with create_ledger(parse_address(f"sqlite:///{folder / 'ledger.db'}"), clock=clock) as ledger:
        site = Site(
            environment=environment(),
            policy=make.policy([make.lane("test")]),
            ledger=ledger,
            target=target,
            prober=prober,
            open_store=lambda: store,  # type: ignore[arg-type,return-value]
            clock=clock,
            pause=pauses.append,
            tell=told.append,
            actor="somebody",
            version="1",
            wait=timedelta(0),
        )
        made = World(site=site, store=store, target=target, prober=prober, told=told, pauses=pauses)
        for number in (1, 2, 3):
            made.publish(number)
        yield made
