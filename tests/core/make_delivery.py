"""Records of deliveries for tests: written as the verbs write them, chained as a ledger chains them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from attest.core.delivery.records import (
    AnyPayload,
    Applying,
    Cause,
    DeliveredRelease,
    Erred,
    Failed,
    Kind,
    Planned,
    Probing,
    Refused,
    Stage,
    Succeeded,
    Superseded,
    Trigger,
    Verified,
    entry_of,
)
from attest.core.delivery.services import RecordedService, record_services
from attest.core.delivery.verdicts import Decision, RecordedPolicy, RecordedVerdict, RecordedWaiver
from attest.core.environment.health import ProbeResult
from attest.core.environment.targets import Instance, Match, Observed, RunState
from attest.core.ledger.chain import Entry, Head, Record, head_of, next_record
from attest.core.reference import Digest, RegistryImage, Repository
from tests.core.make import NOW, digest

ENVIRONMENT: Final = "staging"
ACTOR: Final = "somebody"
SECOND: Final = timedelta(seconds=1)


def release(number: int = 1, *, services: Sequence[str] = ("app",), commit: str | None = None) -> DeliveredRelease:
    """A release that differs from that of any other number in every service."""
    return DeliveredRelease(commit=commit, services={name: image(name, number) for name in services})


def image(service: str, number: int) -> RegistryImage:
    """The image of a service in such a release."""
    repository = Repository(host="registry.example.org", path=f"plex/{service}")
    return RegistryImage(repository=repository, digest=digest(f"{service} {number}"))


def planned(of: DeliveredRelease, kind: Kind = Kind.DEPLOY, **changes: Any) -> Planned:
    """Somebody wants this release."""
    whole: dict[str, Any] = {"trigger": Trigger.EXPLICIT, "document": digest("environment"), "version": "1.0"}
    return Planned(kind=kind, release=of, **(whole | changes))


def policy(serial: int = 7, *, name: str = "staging", at: Digest | None = None) -> RecordedPolicy:
    """The policy of a verdict."""
    content = digest(f"policy {serial}") if at is None else at
    return RecordedPolicy(name=name, serial=serial, digest=content, trusted_root=None)


def verdict(decision: Decision = Decision.PASSED, **changes: Any) -> RecordedVerdict:
    """A verdict of NOW."""
    whole: dict[str, Any] = {
        "policy": policy(),
        "time": NOW,
        "aged_at": None,
        "refusals": (),
        "images": (),
        "inputs": (),
    }
    return RecordedVerdict(decision=decision, **(whole | changes))


def waiver(**changes: Any) -> RecordedWaiver:
    """Boss lets `e2e` be lacking for a day."""
    whole: dict[str, Any] = {
        "digest": digest("waiver"),
        "lanes": ("e2e",),
        "reason": "login is broken",
        "ticket": "OPS-7",
        "not_before": NOW,
        "expires": NOW + timedelta(days=1),
        "signers": ("boss",),
    }
    return RecordedWaiver(**(whole | changes))


def waived(number: int, of: DeliveredRelease) -> Verified:
    """The delivery of this number may run by that waiver."""
    return verified(number, of, decision=Decision.WAIVED, waiver=waiver())


def seen(at: Digest, match: Match = Match.SAME, state: RunState = RunState.RUNNING) -> RecordedService:
    """One container of an image, as it was seen."""
    instance = Instance(name="one", state=state, digests=frozenset({at}))
    return recorded(Observed(service="app", instances=(instance,)), match)


def recorded(
    observed: Observed, match: Match, *, probe: ProbeResult | None = None, soak: ProbeResult | None = None
) -> RecordedService:
    """What is recorded of one service."""
    name = observed.service
    return record_services(
        {name: observed},
        {name: match},
        probes={} if probe is None else {name: probe},
        soaks={} if soak is None else {name: soak},
    )[name]


def services(of: DeliveredRelease, match: Match = Match.SAME) -> Mapping[str, RecordedService]:
    """All services of a release, as they were seen."""
    return {name: seen(one.digest, match) for name, one in of.services.items()}


def verified(number: int, of: DeliveredRelease, *, decision: Decision = Decision.PASSED, **changes: Any) -> Verified:
    """The delivery of this number passed."""
    names: dict[str, tuple[Digest, ...]] = {name: (one.digest,) for name, one in of.services.items()}
    return Verified(deployment=number, verdict=verdict(decision, **changes), names=names)


class Book:
    """A ledger in memory."""

    def __init__(self, environment: str = ENVIRONMENT) -> None:
        self.environment = environment
        self.records: list[Record] = []
        self.time: datetime = NOW
        self.head: Head | None = None

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def write(self, payload: AnyPayload, *, environment: str | None = None) -> int:
        """Record something a second after the last; its number."""
        return self.entry(entry_of(payload, environment=environment or self.environment, actor=ACTOR))

    def entry(self, entry: Entry) -> int:
        """The same of any entry."""
        self.time += SECOND
        record = next_record(self.head, entry, time=self.time)
        self.records.append(record)
        self.head = head_of(record)
        return record.seq

    def deliver(
        self,
        of: DeliveredRelease,
        end: str = "succeeded",
        *,
        kind: Kind = Kind.DEPLOY,
        verdicts: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> int:
        """A whole delivery, to its end or to the state named; its number."""
        number = self.write(planned(of, kind, **changes))
        if end == "planned":
            return number
        if end == "superseded":
            self.write(Superseded(deployment=number, message="given up"))
            return number
        if end.startswith("refused"):
            self.write(Refused(deployment=number, cause=Cause(end.partition(" ")[2]), message="no"))
            return number
        self.write(verified(number, of, **(verdicts or {})))
        for state, step in (("applying", Applying), ("probing", Probing)):
            if end == "verified":
                return number
            self.write(step(deployment=number))
            if end == state:
                return number
        self.end(number, of, end)
        return number

    def end(self, number: int, of: DeliveredRelease, end: str) -> None:
        """The end of a delivery that is being probed."""
        match end:
            case "succeeded":
                self.write(Succeeded(deployment=number, services=dict(services(of))))
            case "failed":
                self.write(Failed(deployment=number, message="unhealthy", services=dict(services(of)), rollback=True))
            case _:
                self.write(Erred(deployment=number, stage=Stage.PROBING, message="nobody knows"))
