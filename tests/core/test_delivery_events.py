"""CDEvents: every event is what the published schemas say, and says what happened once."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from attest.core.delivery.events import CloudEvent, default_source, events, purl
from attest.core.delivery.fold import fold
from attest.core.delivery.records import Applying, Kind, Observation, Probing
from attest.core.delivery.services import RecordedService
from attest.core.environment.targets import Match
from attest.core.verdict import State
from tests.core.make import NOW
from tests.core.make_delivery import ENVIRONMENT, Book, release, seen, verified
from tests.core.make_story import Story, about, of, story

SCHEMAS: Final = Path(__file__).resolve().parent.parent / "data" / "cdevents"
SOURCE: Final = "https://git.example.org/plex/environments"


def validators() -> dict[str, Draft202012Validator]:
    """The schema of each type of event, as published."""
    documents = [json.loads(file.read_text()) for file in sorted(SCHEMAS.rglob("*.json"))]
    registry: Registry[Any] = Registry().with_resources(
        [(document["$id"], Resource.from_contents(document)) for document in documents]
    )
    checker = FormatChecker()
    return {
        document["properties"]["context"]["properties"]["type"]["default"]: Draft202012Validator(
            document, registry=registry, format_checker=checker
        )
        for document in documents
        if "context" in document.get("properties", {})
    }


VALIDATORS: Final = validators()


def told(book: Book, environment: str = ENVIRONMENT) -> tuple[CloudEvent, ...]:
    """The events of a ledger."""
    return events(fold(book), environment, source=SOURCE)


def short(event: CloudEvent) -> str:
    """`service.deployed`."""
    return ".".join(event.document["type"].split(".")[2:4])


def data(event: CloudEvent) -> dict[str, Any]:
    """The CDEvent in it."""
    found: dict[str, Any] = event.document["data"]
    return found


def of_services(book: Book) -> list[tuple[str, str, str]]:
    """What happened to which service, and which image of it: in order."""
    return [
        (
            short(event).partition(".")[2],
            event.document["subject"].partition("/")[2],
            data(event)["subject"]["content"]["artifactId"],
        )
        for event in told(book)
        if short(event).startswith("service.")
    ]


# ---- schemas


def test_every_event_is_what_its_schema_says() -> None:
    """Every type that there is occurs in the story, and every event of it is valid."""
    found = told(story())
    assert {event.document["type"] for event in found} == set(VALIDATORS)
    for event in found:
        assert list(VALIDATORS[event.document["type"]].iter_errors(data(event))) == []


def test_a_wrong_event_is_noticed() -> None:
    """The schemas refuse an event that lacks what they require, or has what they do not know."""
    for event in told(story()):
        validator = VALIDATORS[event.document["type"]]
        broken = json.loads(json.dumps(data(event)))
        broken["context"]["links"] = ["surplus"]
        assert not validator.is_valid(broken)
        broken = json.loads(json.dumps(data(event)))
        broken["subject"]["content"]["surplus"] = 1
        assert not validator.is_valid(broken)


def test_the_envelope_repeats_the_event() -> None:
    """CloudEvents 1.0 with the attributes that the binding of CDEvents gives them, and nothing besides."""
    for event in told(story()):
        context, subject = data(event)["context"], data(event)["subject"]
        assert event.document == {
            "specversion": "1.0",
            "id": context["id"],
            "source": SOURCE,
            "type": context["type"],
            "subject": subject["id"],
            "time": context["timestamp"],
            "datacontenttype": "application/json",
            "data": data(event),
        }
        assert context["specversion"] == "0.5.1"


# ---- identity


def test_an_event_is_the_same_each_time() -> None:
    """Events of a longer ledger begin with those of a shorter one, byte for byte; no id occurs twice."""
    book, shorter = story(), Story()
    found = told(book)
    assert len({event.id for event in found}) == len(found)
    assert [event.seq for event in found] == sorted(event.seq for event in found)
    for length in (0, 5, 12, 30):
        shorter.records = book.records[:length]
        part = told(shorter)
        assert part == tuple(event for event in found if event.seq <= length)


def test_ids_are_uuids() -> None:
    """Ids and chains have the form of version 4."""
    for event in told(story()):
        for text in (event.id, data(event)["context"]["chainId"]):
            made = uuid.UUID(text)
            assert (str(made), made.version, made.variant) == (text, 4, uuid.RFC_4122)


def test_another_ledger_has_other_ids() -> None:
    """Two ledgers that tell nearly the same have no event id in common."""
    ids = [{event.id for event in told(story(reason))} for reason in ("the first", "the very first")]
    assert ids[0].isdisjoint(ids[1])


def test_a_delivery_is_one_chain() -> None:
    """All events of a delivery share a chain, and no other delivery has it."""
    chains: dict[str, set[int]] = {}
    for event in told(story()):
        number = data(event)["customData"]["attest"].get("deployment")
        if number is not None:
            chains.setdefault(data(event)["context"]["chainId"], set()).add(number)
    assert chains
    assert all(len(numbers) == 1 for numbers in chains.values())


# ---- what is told


def test_services_are_deployed_upgraded_and_rolled_back() -> None:
    """The first time, with another image, and back again; a service that stays as it was is not told of."""
    book = Book()
    one, two = (release(number, services=("api", "web")) for number in (1, 2))
    mixed = two.model_copy(update={"services": {"api": one.services["api"], "web": two.services["web"]}})
    book.deliver(one)
    changed = book.deliver(mixed)
    book.deliver(one, kind=Kind.ROLLBACK, reverts=changed)
    book.deliver(one)
    book.deliver(one, kind=Kind.REPAIR)
    api, web, other = purl(one.services["api"]), purl(one.services["web"]), purl(two.services["web"])
    assert of_services(book) == [
        ("deployed", "api", api),
        ("deployed", "web", web),
        ("upgraded", "web", other),
        ("rolledback", "web", web),
        ("deployed", "api", api),
        ("deployed", "web", web),
    ]


def test_a_rollback_is_told_though_the_failure_was_not() -> None:
    """What failed was told to the target: going back from it is a rollback, to the image that succeeded last."""
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    book.deliver(release(1), kind=Kind.ROLLBACK, reverts=bad)
    assert [what for what, _, _ in of_services(book)] == ["deployed", "rolledback"]


def test_a_delivery_that_was_applied_twice_is_told_once() -> None:
    """One that was interrupted while it was applied, and applied again, changes its services once."""
    book = Book()
    book.deliver(release(1))
    number = book.deliver(release(2), "applying")
    book.write(verified(number, release(2)))
    book.write(Applying(deployment=number))
    book.write(Probing(deployment=number))
    book.end(number, release(2), "succeeded")
    assert [what for what, _, _ in of_services(book)] == ["deployed", "upgraded"]


def test_evidence_is_told_once() -> None:
    """Each image is published, each bundle signed, each test run finished once, however often it is verified."""
    book = Book()
    for _ in range(3):
        book.deliver(release(1), verdicts=about(release(1)))
    found = [event for event in told(book) if not short(event).startswith("service.")]
    assert [short(event) for event in found] == [
        "artifact.published",
        "artifact.signed",
        "testsuiterun.finished",
        "artifact.signed",
        "testsuiterun.finished",
        "artifact.signed",
    ]
    lanes = [data(event)["customData"]["attest"].get("lane") for event in found]
    assert lanes == [None, "e2e", "e2e", "e2e", "e2e", "build"]


@pytest.mark.parametrize(("state", "outcome"), [(State.PRESENT, "success"), (State.FAILED, "failure")])
def test_a_test_run_has_its_outcome_and_time(state: State, outcome: str) -> None:
    """A run happened when it was signed; where nobody says when, it is told at the time of its record."""
    book = Book()
    book.deliver(release(1), verdicts=about(release(1), state))
    runs = [event for event in told(book) if short(event) == "testsuiterun.finished"]
    assert [data(event)["subject"]["content"]["outcome"] for event in runs] == ["success", outcome]
    assert [event.document["time"] for event in runs] == ["2026-07-01T12:00:02.000000Z", "2026-07-01T12:00:00.000000Z"]
    assert data(runs[1])["subject"]["content"]["testSuite"] == {"id": "e2e", "name": "e2e"}
    assert NOW.isoformat() == "2026-07-01T12:00:00+00:00"


def test_a_refusal_tells_its_evidence_and_nothing_of_services() -> None:
    """What was refused published and signed something, and deployed nothing."""
    book = Story()
    book.refuse(of(1), verified(1, of(1), **about(of(1), State.FAILED)).verdict)
    kinds = {short(event) for event in told(book)}
    assert kinds == {"artifact.published", "artifact.signed", "testsuiterun.finished"}


def test_incidents_are_detected_and_resolved() -> None:
    """With one subject for both; what is only observed to be right is none."""
    found = [event for event in told(story()) if short(event).startswith("incident.")]
    words = [short(event).partition(".")[2] for event in found]
    assert words == ["detected", "resolved"] * 3 + ["detected"]
    subjects = [event.document["subject"] for event in found]
    assert subjects[0] == subjects[1] != subjects[2] == subjects[3]
    drift = data(found[2])["subject"]["content"]
    assert drift == {
        "environment": {"id": ENVIRONMENT},
        "description": "not what should run: web",
        "service": {"id": f"{ENVIRONMENT}/web"},
        "artifactId": purl(of(2).services["web"]),
    }
    assert "description" not in data(found[3])["subject"]["content"]


def test_drift_of_what_nobody_deployed_names_no_image() -> None:
    """An observation without a delivery, or of a service that it has not, is an incident all the same."""
    stranger: dict[str, RecordedService] = {"app": seen(release(9).services["app"].digest, Match.OTHER)}
    book = Book()
    book.write(Observation(deployment=None, services=stranger, drift=("app",)))
    (event,) = told(book)
    assert "artifactId" not in data(event)["subject"]["content"]
    book = Book()
    number = book.deliver(release(1))
    book.write(Observation(deployment=number, services=stranger, drift=("other",)))
    assert "artifactId" not in data(told(book)[-1])["subject"]["content"]


# ---- names


def test_a_purl_names_image_and_digest() -> None:
    """The type is oci, the digest is percent-encoded, and where it is kept does not matter."""
    image = release(1).services["app"]
    assert purl(image) == f"pkg:oci/app@sha256%3A{image.digest.removeprefix('sha256:')}"


def test_a_source_is_a_uri_reference() -> None:
    """Whatever the environment is called."""
    assert default_source("staging") == "/attest/environments/staging"
    assert default_source("a b/c?d") == "/attest/environments/a%20b%2Fc%3Fd"


def test_other_environments_are_not_told_of() -> None:
    """The events of an environment are its own."""
    assert told(story(), "production") == ()
