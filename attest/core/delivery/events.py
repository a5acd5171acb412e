"""CDEvents of what a ledger tells, as CloudEvents.

Source: CDEvents 0.5.1 (spec.md, cloudevents-binding.md), CloudEvents 1.0.2 in JSON, purl-spec type `oci`.

Every event follows from one record, and is the same each time it is made: its `id` is made of the record's hash. So
whoever gets one twice can tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from attest.core.delivery.history import Delivery, History
from attest.core.delivery.records import Applying, DeliveryRecord, Kind, Refused, Succeeded, Verified
from attest.core.delivery.timeline import Incident, Timeline, timeline
from attest.core.delivery.verdicts import RecordedEvidence, RecordedImage, RecordedVerdict
from attest.core.reference import Digest, RegistryImage
from attest.core.statement import format_time
from attest.core.strictjson import Json

VERSION: Final = "0.5.1"
"""Of CDEvents."""

_OUTCOMES: Final[Mapping[str | None, str]] = {"PASSED": "success", "WARNED": "success", "FAILED": "failure"}
"""Of a test suite run; any other result is no test's, and makes no such event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event, and the record that it follows from."""

    seq: int
    """Of the record."""
    id: str
    document: dict[str, Json]
    """In the JSON format of CloudEvents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far the events of a ledger were told."""

    seq: int
    """The last record all of whose events were told."""
    hash: Digest
    """Its hash: another ledger with as many records is another ledger."""


class _Said(NamedTuple):
    """An event without its envelope."""

    type: str
    subject: str
    content: dict[str, Json]
    time: datetime | None = None
    """When it happened, where that is not when it was recorded."""
    custom: dict[str, Json] | None = None


def purl(image: RegistryImage) -> str:
    """The package URL of an image: its name and its digest, and not where it is kept, since promotion changes that."""
    return f"pkg:oci/{quote(image.repository.name, safe='')}@{quote(image.digest, safe='')}"


def default_source(environment: str) -> str:
    """What names the producer of an environment's events, where nobody says otherwise."""
    return f"/attest/environments/{quote(environment, safe='')}"


def events(history: History, environment: str, *, source: str) -> tuple[CloudEvent, ...]:
    """All events of an environment, in the order of their records.

    Args:
        history: What the ledger tells.
        environment: Its name.
        source: A URI reference that names the producer.
    """
    line = timeline(history, environment)
    telling = _Telling(line)
    found: list[CloudEvent] = []
    for one in line.records:
        for place, said in enumerate(telling.of(one)):
            found.append(_envelope(one, said, place, telling.chain(one), source))
    return tuple(found)


def _envelope(one: DeliveryRecord, said: _Said, place: int, chain: str, source: str) -> CloudEvent:
    made = _uuid(f"{one.record.hash} {place}")
    time = format_time(one.record.time if said.time is None else said.time)
    data: dict[str, Json] = {
        "context": {
            "specversion": VERSION,
            "id": made,
            "source": source,
            "type": said.type,
            "timestamp": time,
            "chainId": chain,
        },
        "subject": {"id": said.subject, "source": source, "content": said.content},
        "customData": {"attest": {"seq": one.record.seq, "actor": one.record.actor, **(said.custom or {})}},
        "customDataContentType": "application/json",
    }
    document: dict[str, Json] = {
        "specversion": "1.0",
        "id": made,
        "source": source,
        "type": said.type,
        "subject": said.subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return CloudEvent(seq=one.record.seq, id=made, document=document)


def _uuid(text: str) -> str:
    """A UUID in the form of version 4 (RFC 9562, 5.4) whose bits are those of a hash instead of random ones."""
    digits = hashlib.sha256(text.encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


class _Telling:
    """The walk over the records of an environment: what was told before is not told again."""

    def __init__(self, line: Timeline) -> None:
        self._line = line
        self._began = {incident.record: incident for incident in line.incidents}
        self._over: dict[int, list[Incident]] = {}
        for incident in line.incidents:
            if incident.resolution is not None:
                self._over.setdefault(incident.resolution, []).append(incident)
        self._hashes = {one.record.seq: one.record.hash for one in line.records}
        self._images: set[Digest] = set()
        self._evidence: set[tuple[Digest, Digest]] = set()
        self._applied: dict[str, Digest] = {}
        """What each service was last told to run."""
        self._before: dict[int, Mapping[str, Digest]] = {}
        """The same before each delivery that changed something."""

    def chain(self, one: DeliveryRecord) -> str:
        """What all events of a delivery have in common, and no others."""
        number = getattr(one.payload, "deployment", None) or one.record.seq
        return _uuid(f"{self._hashes[number]} chain")

    def of(self, one: DeliveryRecord) -> Iterator[_Said]:
        """What a record is worth telling."""
        match one.payload:
            case Verified() | Refused() as payload if payload.verdict is not None:
                yield from self._vouched(payload.verdict)
            case Applying(deployment=number) if number not in self._before:
                release = self._line.here.deliveries[number].release
                self._before[number] = dict(self._applied)
                self._applied |= {service: image.digest for service, image in release.services.items()}
            case Succeeded() as payload:
                yield from self._succeeded(self._line.here.deliveries[payload.deployment])
            case _:
                pass
        if one.record.seq in self._began:
            yield self._incident("detected", self._began[one.record.seq])
        for incident in self._over.get(one.record.seq, ()):
            yield self._incident("resolved", incident)

    def _vouched(self, verdict: RecordedVerdict) -> Iterator[_Said]:
        for image in verdict.images:
            if image.image.digest not in self._images:
                self._images.add(image.image.digest)
                content: dict[str, Json] = {}
                custom: dict[str, Json] = {"image": str(image.image)}
                yield _Said("dev.cdevents.artifact.published.0.3.0", purl(image.image), content, custom=custom)
            yield from self._signed(image)

    def _signed(self, image: RecordedImage) -> Iterator[_Said]:
        for lane in image.lanes:
            for evidence in reversed(lane.evidence):  # the oldest first
                if (image.image.digest, evidence.digest) in self._evidence:
                    continue
                self._evidence.add((image.image.digest, evidence.digest))
                yield from self._evidenced(image.image, lane.lane, evidence)

    def _evidenced(self, image: RegistryImage, lane: str, evidence: RecordedEvidence) -> Iterator[_Said]:
        custom: dict[str, Json] = {
            "image": str(image),
            "lane": lane,
            "signers": list(evidence.signers),
            "source": dict(evidence.source),
        }
        # The ledger keeps bundles by their digests; whoever wants the signature itself pulls the bundle by it.
        signature: dict[str, Json] = {"signature": evidence.digest}
        yield _Said("dev.cdevents.artifact.signed.0.3.0", purl(image), signature, evidence.time, custom)
        outcome = _OUTCOMES.get(evidence.result)
        if outcome is not None:
            run: dict[str, Json] = {
                "outcome": outcome,
                "environment": self._environment(),
                "testSuite": {"id": lane, "name": lane},
            }
            subject = f"{evidence.digest}/{image.digest}"
            yield _Said("dev.cdevents.testsuiterun.finished.0.3.0", subject, run, evidence.time, custom)

    def _succeeded(self, delivery: Delivery) -> Iterator[_Said]:
        before = self._before[delivery.number]
        for service, image in delivery.release.services.items():
            what = _change(delivery.kind, before.get(service), image.digest)
            if what is not None:
                content: dict[str, Json] = {"environment": self._environment(), "artifactId": purl(image)}
                subject = f"{self._line.here.name}/{service}"
                yield _Said(f"dev.cdevents.service.{what}.0.3.0", subject, content, custom=_of(delivery, image))

    def _incident(self, what: str, incident: Incident) -> _Said:
        here = self._line.here
        delivery = None if incident.deployment is None else here.deliveries[incident.deployment]
        content: dict[str, Json] = {"environment": self._environment()}
        if what == "detected":
            content["description"] = incident.message
        if len(incident.services) == 1:
            (service,) = incident.services
            content["service"] = {"id": f"{here.name}/{service}"}
            image = None if delivery is None else delivery.release.services.get(service)
            if image is not None:
                content["artifactId"] = purl(image)
        custom: dict[str, Json] = {"trouble": str(incident.trouble), "services": list(incident.services)}
        subject = _uuid(f"{self._hashes[incident.record]} incident")
        return _Said(f"dev.cdevents.incident.{what}.0.3.0", subject, content, custom=custom)

    def _environment(self) -> dict[str, Json]:
        return {"id": self._line.here.name}


def _change(kind: Kind, before: Digest | None, now: Digest) -> str | None:
    """What happened to a service; None where it was told to run this already."""
    if kind is Kind.REPAIR or before is None:
        return "deployed"
    if before == now:
        return None
    return "rolledback" if kind is Kind.ROLLBACK else "upgraded"


def _of(delivery: Delivery, image: RegistryImage) -> dict[str, Json]:
    return {
        "deployment": delivery.number,
        "kind": str(delivery.kind),
        "image": str(image),
        "commit": delivery.release.commit,
        "reverts": delivery.planned.reverts,
    }
