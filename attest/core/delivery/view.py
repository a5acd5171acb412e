"""An environment for people and scripts: what should run, what does, and everything that ever happened there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from attest.core.delivery.gates import freeze
from attest.core.delivery.history import Delivery, EnvironmentHistory, History
from attest.core.delivery.outcome import matches
from attest.core.delivery.records import (
    AnyPayload,
    DeliveryRecord,
    Frozen,
    Held,
    Observation,
    PassedOver,
    PassedOverRest,
    PromotionWaived,
    Released,
    RollbackUndecided,
    Unfrozen,
)
from attest.core.environment.definition import Environment
from attest.core.environment.targets import Match, Observed, describe
from attest.core.reference import RegistryImage
from attest.core.statement import format_time
from attest.core.strictjson import Json

STATUS: Final = "attest.status/v1"
HISTORY: Final = "attest.history/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service: what should run, what was told to the target, what runs, and what was good last."""

    name: str
    desired: RegistryImage | None
    """None where nothing was ever deployed, or the service is newer than that."""
    applied: RegistryImage | None
    verified_good: RegistryImage | None
    observed: Observed | None
    """None where nobody looked, or the target does not say."""
    match: Match | None
    """How what runs stands to what should; None without either."""

    @property
    def drifted(self) -> bool:
        """Whether something was seen, and it is not what should run."""
        return self.match is not None and self.match is not Match.SAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """An environment at one moment."""

    environment: str
    time: datetime
    history: EnvironmentHistory
    services: tuple[ServiceStatus, ...]
    frozen: str | None
    """Why nothing is deployed now."""
    trouble: str | None
    """Why nobody knows what runs."""

    @property
    def drift(self) -> tuple[str, ...]:
        """The services that do not run what they should."""
        return tuple(one.name for one in self.services if one.drifted)

    @property
    def is_settled(self) -> bool:
        """Whether everything was seen to run as it should, and nothing waits for somebody."""
        history = self.history
        return (
            self.trouble is None
            and all(one.match is Match.SAME for one in self.services)
            and history.unfinished is None
            and history.current is not None
            and history.current.healthy
        )


def status(
    environment: Environment,
    history: EnvironmentHistory,
    observed: Mapping[str, Observed] | None,
    *,
    now: datetime,
    trouble: str | None = None,
) -> Status:
    """How an environment stands; `observed` is None where nobody looked, or `trouble` says why nothing was seen."""
    current, applied, good = history.current, history.applied, history.verified_good
    names = {} if current is None else {name: frozenset(one) for name, one in current.names.items()}
    found = {} if observed is None else matches(observed, names)
    services = tuple(
        ServiceStatus(
            name=name,
            desired=_image(current, name),
            applied=_image(applied, name),
            verified_good=_image(good, name),
            observed=None if observed is None else observed.get(name),
            match=found.get(name),
        )
        for name in environment.services
    )
    return Status(
        environment=environment.name,
        time=now,
        history=history,
        services=services,
        frozen=freeze(history, environment, now=now),
        trouble=trouble,
    )


def _image(delivery: Delivery | None, service: str) -> RegistryImage | None:
    return None if delivery is None else delivery.release.services.get(service)


def status_document(shown: Status, *, evidence: bool) -> dict[str, Json]:
    """The status as JSON values; the schema is `attest/schemas/status.v1.json`.

    With `evidence`, what the last verdict on the current delivery rests on is in it, lane by lane.
    """
    history = shown.history
    document: dict[str, Json] = {
        "schema": STATUS,
        "environment": shown.environment,
        "time": format_time(shown.time),
        "settled": shown.is_settled,
        "drift": list(shown.drift),
        "trouble": shown.trouble,
        "current": _maybe(history.current),
        "unfinished": _maybe(history.unfinished),
        "undone": _maybe(history.undone),
        "verified_good": _maybe(history.verified_good),
        "hold": None,
        "frozen": shown.frozen,
        "bad": [
            {
                "release": one.key,
                "deployment": one.deployment,
                "since": format_time(one.since),
                "message": one.message,
            }
            for one in history.bad.values()
        ],
        "services": {one.name: _service(one) for one in shown.services},
    }
    if history.hold is not None:
        document["hold"] = {
            "since": format_time(history.hold.since),
            "deployment": history.hold.deployment,
            "message": history.hold.message,
        }
    if evidence:
        verdict = None if history.current is None else history.current.verdict
        document["verdict"] = None if verdict is None else verdict.model_dump(mode="json")
    return document


def _service(one: ServiceStatus) -> dict[str, Json]:
    return {
        "desired": _text(one.desired),
        "applied": _text(one.applied),
        "verified_good": _text(one.verified_good),
        "match": None if one.match is None else str(one.match),
        "observed": None if one.observed is None else describe(one.observed),
    }


def _text(image: RegistryImage | None) -> str | None:
    return None if image is None else str(image)


def _maybe(delivery: Delivery | None) -> dict[str, Json] | None:
    return None if delivery is None else delivery_document(delivery)


def delivery_document(one: Delivery) -> dict[str, Json]:
    """One delivery as JSON values."""
    planned = one.planned
    return {
        "deployment": one.number,
        "kind": str(one.kind),
        "trigger": str(planned.trigger),
        "state": str(one.phase),
        "actor": one.actor,
        "since": format_time(one.since),
        "changed": format_time(one.changed),
        "release": {
            "key": one.release.key,
            "commit": one.release.commit,
            "services": {name: str(image) for name, image in one.release.services.items()},
        },
        "touched": one.touched,
        "healthy": one.healthy,
        "reverts": planned.reverts,
        "undoes": one.undoes,
        "by": one.by,
        "waiver": planned.waiver,
        "waived": _waived(one),
        "reason": planned.reason,
        "cause": None if one.cause is None else str(one.cause),
        "message": one.message,
        **_passed_over(planned.passed_over, planned.passed_over_rest),
        "policy": None if one.verdict is None else one.verdict.policy.model_dump(mode="json"),
    }


def _waived(one: Delivery) -> Json:
    """The waiver by which it may run; None where it passed, or was refused."""
    waiver = None if one.verdict is None else one.verdict.waiver
    return None if waiver is None else waiver.model_dump(mode="json")


def _passed_over(listed: tuple[PassedOver, ...], rest: PassedOverRest | None) -> dict[str, Json]:
    return {
        "passed_over": [
            {"deployment": one.deployment, "reason": str(one.reason), "message": one.message} for one in listed
        ],
        "passed_over_rest": None if rest is None else rest.model_dump(mode="json"),
    }


def rest_in_words(rest: PassedOverRest) -> str:
    """The releases that a record counts and does not list, for people."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in rest.reasons.items())
    return f"{rest.count} more, of the deliveries {rest.oldest} to {rest.newest}: {reasons}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something else that happened: a freeze, a hold, its end, a look at what runs."""

    number: int
    time: datetime
    actor: str
    what: str
    message: str
    passed_over: tuple[PassedOver, ...] = ()
    """Of a rollback that came to nothing: the releases that it did not take, the newest of them."""
    passed_over_rest: PassedOverRest | None = None


Entry = Delivery | Event


def entries(history: History, environment: str) -> tuple[Entry, ...]:
    """Everything that happened in an environment, in the order in which it began."""
    here = history.of(environment)
    found: dict[int, Entry] = dict(here.deliveries)
    for record in history.records:
        if record.record.environment == environment:
            found |= {event.number: event for event in _events(record)}
    return tuple(found[number] for number in sorted(found))


def _events(one: DeliveryRecord) -> Iterator[Event]:
    said = _said(one.payload)
    if said is not None:
        record, payload = one.record, one.payload
        event = Event(number=record.seq, time=record.time, actor=record.actor, what=said[0], message=said[1])
        if isinstance(payload, Held | RollbackUndecided):
            event = replace(event, passed_over=payload.passed_over, passed_over_rest=payload.passed_over_rest)
        yield event


def _said(payload: AnyPayload) -> tuple[str, str] | None:
    match payload:
        case Frozen():
            until = "" if payload.until is None else f" until {format_time(payload.until)}"
            return "frozen", f"nothing is deployed{until}: {payload.reason}"
        case Unfrozen():
            return "unfrozen", payload.reason
        case Held():
            return "held", f"delivery {payload.reverts} cannot be undone: {payload.message}"
        case RollbackUndecided():
            which = f"the release of delivery {payload.deployment}"
            message = f"delivery {payload.reverts} is not undone: {which} could not be decided: {payload.message}"
            return "undecided", message
        case Released():
            what = "the hold" if payload.hold else f"the mark on {len(payload.releases)} releases"
            return "released", f"{what} was lifted: {payload.reason}"
        case PromotionWaived():
            waiver = payload.waiver
            lanes, who = ", ".join(payload.lacking), ", ".join(waiver.signers)
            images = ", ".join(map(str, payload.images))
            return "waived", f"{images} promoted without {lanes}, by {who}: {waiver.ticket}, {waiver.reason}"
        case Observation():
            drift = ", ".join(payload.drift)
            return "observed", f"not what should run: {drift}" if drift else "everything runs as it should"
        case _:
            return None


def history_document(history: History, environment: str) -> dict[str, Json]:
    """The history as JSON values; the schema is `attest/schemas/history.v1.json`."""
    return {"schema": HISTORY, "environment": environment, "entries": list(map(_entry, entries(history, environment)))}


def _entry(entry: Entry) -> dict[str, Json]:
    if isinstance(entry, Delivery):
        verdict = None if entry.verdict is None else entry.verdict.model_dump(mode="json")
        return {"what": "delivery", "verdict": verdict, **delivery_document(entry)}
    return {
        "what": entry.what,
        "deployment": entry.number,
        "time": format_time(entry.time),
        "actor": entry.actor,
        "message": entry.message,
        **_passed_over(entry.passed_over, entry.passed_over_rest),
    }
