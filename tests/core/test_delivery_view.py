"""How an environment stands, and what happened there, for people and scripts."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from attest.core.delivery.fold import fold
from attest.core.delivery.history import Delivery
from attest.core.delivery.records import (
    Applying,
    Frozen,
    Held,
    Kind,
    Observation,
    Pass,
    PassedOver,
    PromotionWaived,
    Released,
    RollbackUndecided,
    Trigger,
    Unfrozen,
)
from attest.core.delivery.verdicts import record_verdict
from attest.core.delivery.view import Event, Status, entries, history_document, status, status_document
from attest.core.environment.targets import Instance, Match, Observed, RunState
from tests.core import make, make_delivery
from tests.core.make import NOW
from tests.core.make_delivery import ENVIRONMENT, Book, planned, release, seen
from tests.core.test_delivery_decisions import environment


def schema(name: str) -> Draft202012Validator:
    """A published schema."""
    document = json.loads((resources.files("attest") / "schemas" / f"{name}.v1.json").read_text())
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def observed(number: int, service: str = "app") -> dict[str, Observed]:
    """One container of a release."""
    digests = frozenset({release(number, services=(service,)).services[service].digest})
    instance = Instance(name=f"{service}-1", state=RunState.RUNNING, digests=digests)
    return {service: Observed(service=service, instances=(instance,))}


def shown(book: Book, *services: str, look: dict[str, Observed] | None = None, **more: Any) -> Status:
    """The status of an environment."""
    return status(environment(*services), fold(book).of(ENVIRONMENT), look, now=NOW, **more)


def full() -> Book:
    """A ledger in which everything happened once."""
    book = Book()
    first = book.deliver(release(1))
    book.write(Frozen(until=None, reason="holidays"))
    book.write(Frozen(until=NOW, reason="holidays"))
    book.write(Unfrozen(reason="back"))
    bad = book.deliver(release(2), "failed")
    over = (PassedOver(deployment=first, reason=Pass.GONE, message="deleted"),)
    book.deliver(release(1), kind=Kind.ROLLBACK, reverts=bad, passed_over=over, reason="slow")
    book.write(Released(hold=True, releases=(), reason="mended"))
    book.write(Released(hold=False, releases=(release(2).key,), reason="mended"))
    book.deliver(release(3), "refused policy")
    last = book.deliver(release(4), "error")
    book.write(Observation(deployment=last, services={"app": seen(release(1).services["app"].digest)}, drift=("app",)))
    book.write(Observation(deployment=last, services={}, drift=()))
    book.write(Held(reverts=last, trigger=Trigger.EXPLICIT, passed_over=(), message="nothing"))
    return book


def test_what_should_run_and_does() -> None:
    """Desired, applied, good and observed are the same where all went well; then the environment is settled."""
    book = Book()
    book.deliver(release(1))
    found = shown(book, look=observed(1))
    (service,) = found.services
    wanted = release(1).services["app"]
    assert (service.desired, service.applied, service.verified_good) == (wanted, wanted, wanted)
    assert (service.match, service.drifted, found.drift, found.is_settled) == (Match.SAME, False, (), True)


def test_drift_is_what_runs_instead() -> None:
    """A service that runs another image has drifted, and is named."""
    book = Book()
    book.deliver(release(1))
    found = shown(book, look=observed(2))
    assert (found.drift, found.is_settled, found.services[0].match) == (("app",), False, Match.OTHER)


@pytest.mark.parametrize("end", ["applying", "failed", "error"])
def test_what_runs_is_not_enough(end: str) -> None:
    """An environment whose last delivery is unfinished or ended badly is not settled, whatever runs."""
    book = Book()
    book.deliver(release(1), end)
    assert not shown(book, look=observed(1)).is_settled


def test_while_something_is_planned_it_is_not_settled() -> None:
    """A delivery that is planned waits for somebody."""
    book = Book()
    book.deliver(release(1))
    book.deliver(release(2), "planned")
    assert not shown(book, look=observed(1)).is_settled


def test_desired_applied_and_good_part() -> None:
    """What was begun, what the target took, and what was good last are three things while a delivery goes on."""
    book = Book()
    book.deliver(release(1))
    book.deliver(release(2), "probing")
    (service,) = shown(book).services
    assert service.desired == release(2).services["app"]
    assert service.applied == release(2).services["app"]
    assert service.verified_good == release(1).services["app"]
    book = Book()
    book.deliver(release(1))
    again = book.deliver(release(2), "verified")
    book.write(Applying(deployment=again))
    (service,) = shown(book).services
    assert service.desired == release(2).services["app"]
    assert service.applied == release(1).services["app"]


def test_nobody_looked_or_could() -> None:
    """Without a look nothing is said to match, and nothing to have drifted; trouble is told."""
    book = Book()
    book.deliver(release(1))
    found = shown(book)
    assert (found.services[0].match, found.services[0].observed, found.drift) == (None, None, ())
    assert not found.is_settled
    assert shown(book, look=None, trouble="no engine").trouble == "no engine"
    assert not shown(book, look=observed(1), trouble="no engine").is_settled


def test_nothing_was_ever_deployed() -> None:
    """An empty history has services, and nothing that they should run."""
    (service,) = shown(Book(), look=observed(1)).services
    assert (service.desired, service.applied, service.verified_good, service.match) == (None, None, None, None)
    assert service.observed is not None


def test_a_service_that_is_newer_than_the_release() -> None:
    """A service that the environment got since then should run nothing yet."""
    book = Book()
    book.deliver(release(1))
    found = shown(book, "app", "web", look=observed(1))
    assert [one.desired is None for one in found.services] == [False, True]
    assert not found.is_settled


@pytest.mark.slow
@pytest.mark.parametrize("evidence", [True, False])
def test_the_status_is_what_its_schema_says(evidence: bool) -> None:
    """For an empty environment, one in which everything happened, and one with a verdict."""
    books = [Book(), full(), Book()]
    books[2].deliver(release(1), "failed")
    frozen = Book()
    frozen.write(Frozen(until=None, reason="holidays"))
    for book in (*books, frozen):
        for look in (None, observed(1), {}):
            document = status_document(shown(book, look=look), evidence=evidence)
            assert list(schema("status").iter_errors(document)) == []
            assert ("verdict" in document) is evidence
    assert status_document(shown(full()), evidence=False)["hold"] is not None
    assert status_document(shown(books[2]), evidence=False)["bad"]
    assert (
        status_document(shown(frozen), evidence=False)["frozen"]
        == "frozen by somebody until somebody ends it: holidays"
    )


def test_the_history_is_what_its_schema_says() -> None:
    """Everything that happened stands in it in its order, deliveries with their verdicts."""
    book = full()
    document = history_document(fold(book), ENVIRONMENT)
    assert list(schema("history").iter_errors(document)) == []
    assert [one["what"] for one in document["entries"]] == [
        "delivery",
        "frozen",
        "frozen",
        "unfrozen",
        "delivery",
        "delivery",
        "released",
        "released",
        "delivery",
        "delivery",
        "observed",
        "observed",
        "held",
    ]
    numbers = [one["deployment"] for one in document["entries"]]
    assert numbers == sorted(numbers)
    assert history_document(fold(Book()), ENVIRONMENT)["entries"] == []


def test_a_history_is_of_one_environment() -> None:
    """What happened elsewhere does not stand in it."""
    book = full()
    book.write(Frozen(until=None, reason="elsewhere"), environment="production")
    found = entries(fold(book), "production")
    assert [type(one) for one in found] == [Event]
    assert len(entries(fold(book), ENVIRONMENT)) == 13
    assert isinstance(entries(fold(book), ENVIRONMENT)[0], Delivery)


def test_a_recorded_verdict_is_what_the_schema_says() -> None:
    """A verdict with lanes, evidence and rejected bundles stands in the history as its schema has it."""
    policy = make.policy([make.lane("test")])
    signed = make.bundle(make.party("ci"), make.payload([make.image().digest], make.context()))
    made = make.decide(policy, make.release(), signed, make.bundle(make.party("eve"), b"{}"))
    recorded = record_verdict(made, policy, aged_at=NOW)  # type: ignore[arg-type]
    book = Book()
    changes = {name: getattr(recorded, name) for name in ("policy", "time", "aged_at", "images", "inputs")}
    book.deliver(release(1), verdicts=changes)
    document = history_document(fold(book), ENVIRONMENT)
    assert list(schema("history").iter_errors(document)) == []
    assert document["entries"][0]["verdict"]["images"][0]["lanes"][0]["evidence"][0]["signers"] == ["ci"]
    document["entries"][0]["verdict"]["images"][0]["surplus"] = 1
    assert not schema("history").is_valid(document)


def test_a_rollback_that_nobody_could_decide_is_told() -> None:
    """The history says which release could not be decided, and why."""
    book = Book()
    first, second = book.deliver(release(1)), book.deliver(release(2))
    book.write(
        RollbackUndecided(
            reverts=second, deployment=first, trigger=Trigger.EXPLICIT, passed_over=(), message="unreachable"
        )
    )
    document = history_document(fold(book), ENVIRONMENT)
    assert list(schema("history").iter_errors(document)) == []
    told = document["entries"][-1]
    assert (told["what"], told["message"]) == (
        "undecided",
        f"delivery {second} is not undone: the release of delivery {first} could not be decided: unreachable",
    )


def test_what_a_waiver_let_through_is_told() -> None:
    """A promotion by a waiver is an event; a delivery by one says so, in the history and in the status."""
    book = Book()
    images = tuple(release(1).services.values())
    book.write(
        PromotionWaived(images=images, policy=make_delivery.policy(), lacking=("e2e",), waiver=make_delivery.waiver())
    )
    number = book.write(planned(release(1), waiver=make.digest("waiver")))
    book.write(make_delivery.waived(number, release(1)))
    book.write(Applying(deployment=number))
    document: Any = history_document(fold(book), ENVIRONMENT)
    assert list(schema("history").iter_errors(document)) == []
    event, delivery = document["entries"]
    assert event["what"] == "waived"
    for said in (str(images[0]), "without e2e", "by boss", "OPS-7", "login is broken"):
        assert said in event["message"]
    assert delivery["waiver"] == delivery["waived"]["digest"] == make.digest("waiver")
    assert delivery["waived"]["signers"] == ["boss"]
    told: Any = status_document(shown(book), evidence=True)
    assert list(schema("status").iter_errors(told)) == []
    assert told["current"]["waived"]["reason"] == "login is broken"
    assert told["verdict"]["decision"] == "waived"
    assert told["verified_good"] is None
