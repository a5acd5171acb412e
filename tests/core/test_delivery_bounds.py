"""What one record of a delivery holds at most, and what it says of the rest: nothing is too long to be recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attest.core import limits
from attest.core.canonicaljson import canonical
from attest.core.delivery.candidates import LISTED, bounded
from attest.core.delivery.fields import DETAIL
from attest.core.delivery.fold import fold
from attest.core.delivery.history import History
from attest.core.delivery.metrics import metrics
from attest.core.delivery.records import (
    AnyPayload,
    Cause,
    Failed,
    Held,
    Kind,
    Pass,
    PassedOver,
    PassedOverRest,
    RollbackUndecided,
    Trigger,
    entry_of,
    read_delivery,
)
from attest.core.delivery.records import (
    Refused as RefusedStep,
)
from attest.core.delivery.services import record_services
from attest.core.delivery.verdicts import ROOM, Decision, RecordedVerdict, record_verdict
from attest.core.delivery.view import history_document, rest_in_words, status
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import Match
from attest.core.ledger.chain import next_record
from attest.core.policy import Policy
from attest.core.verdict import ImageVerdict, Refused
from tests.core import make
from tests.core.make import NOW, digest
from tests.core.make_delivery import ACTOR, ENVIRONMENT, Book, planned, release, verdict, verified, waived
from tests.core.make_delivery import image as reference
from tests.core.test_delivery_decisions import environment
from tests.core.test_delivery_records import crowd
from tests.core.test_delivery_view import schema

WORST = "\x01" * DETAIL
"""Text of which each character takes six bytes in a record."""


def over(count: int, *, message: str = WORST) -> list[PassedOver]:
    """So many releases that were passed over, the newest first; every other one is gone, the others are refused."""
    reasons = (Pass.GONE, Pass.REFUSED)
    return [PassedOver(deployment=10 * (count - n), reason=reasons[n % 2], message=message) for n in range(count)]


def size(payload: AnyPayload) -> int:
    """Bytes of a record's payload; it can be recorded, and reads as what it is."""
    record = next_record(None, entry_of(payload, environment=ENVIRONMENT, actor=ACTOR), time=NOW)
    read = read_delivery(record)
    assert read is not None
    assert read.payload == payload
    return len(canonical(dict(record.payload)))


# ---- releases that were passed over


@pytest.mark.parametrize("count", [0, 1, LISTED])
def test_so_many_are_listed(count: int) -> None:
    """Up to the bound each is listed, and there is no rest."""
    assert bounded(over(count)) == (tuple(over(count)), None)


def test_the_rest_is_counted_and_can_be_found() -> None:
    """The newest are listed; of the others it says how many, why, and between which deliveries they are."""
    whole = over(LISTED + 3)
    listed, rest = bounded(whole)
    assert listed == tuple(whole[:LISTED])
    assert rest == PassedOverRest(count=3, newest=30, oldest=10, reasons={Pass.GONE: 2, Pass.REFUSED: 1})
    assert rest_in_words(rest) == "3 more, of the deliveries 10 to 30: 2 gone, 1 refused"


def test_a_way_back_past_thousands_can_be_recorded() -> None:
    """5,000 releases with the worst of messages fit into each record that names them, with room for a release."""
    listed, rest = bounded(over(5_000))
    services = tuple(f"service-{n}" for n in range(500))
    for payload in (
        planned(release(1, services=services), Kind.ROLLBACK, reverts=3, passed_over=listed, passed_over_rest=rest),
        Held(reverts=1, trigger=Trigger.EXPLICIT, passed_over=listed, message=WORST, passed_over_rest=rest),
        RollbackUndecided(
            reverts=2,
            deployment=1,
            trigger=Trigger.EXPLICIT,
            passed_over=listed,
            message=WORST,
            passed_over_rest=rest,
        ),
    ):
        assert size(payload) < limits.RECORD // 2


def gone_back(count: int) -> History:
    """A rollback past so many releases, and one that found nothing."""
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    listed, rest = bounded(over(count, message="deleted"))
    last = book.deliver(
        release(1), "failed", kind=Kind.ROLLBACK, reverts=bad, passed_over=listed, passed_over_rest=rest
    )
    nothing = Held(
        reverts=last, trigger=Trigger.EXPLICIT, passed_over=listed, passed_over_rest=rest, message="there is nothing"
    )
    book.write(nothing)
    return fold(book)


def test_the_rest_is_told() -> None:
    """In documents of the published schema, and in the words of the history."""
    document = history_document(gone_back(LISTED + 3), ENVIRONMENT)
    assert [error.message for error in schema("history").iter_errors(document)] == []
    told = document["entries"]
    assert told[2]["passed_over_rest"] == {"count": 3, "newest": 30, "oldest": 10, "reasons": {"gone": 2, "refused": 1}}
    assert told[0]["passed_over_rest"] is None
    held = told[3]
    assert (held["what"], held["passed_over"], held["passed_over_rest"]) == (
        "held",
        told[2]["passed_over"],
        told[2]["passed_over_rest"],
    )
    assert len(held["passed_over"]) == LISTED


# ---- verdicts


def large(images: int, lanes: int, *, bundles: int = 0, good: int = 0) -> tuple[Refused, Policy]:
    """A verdict on so many images of so many lanes.

    The first lane of each is present, by so many bundles, the others are missing; for the first images, so many of them
    as are `good`, all of them are present.
    """
    policy = make.policy([make.lane("other"), make.lane("test")])
    about = [make.context(run_id=f"{100 + n}", ref="refs/heads/" + "y" * 400) for n in range(max(1, bundles))]
    signed = [make.bundle(make.party("ci"), make.payload([make.image().digest], one)) for one in about]
    made = make.decide(policy, make.release(), *signed)
    assert isinstance(made, Refused)
    (image,) = made.findings.images
    missing, present = image.lanes
    names = [f"lane-{n}-{'x' * 40}" for n in range(lanes - 1)]
    first = present._replace(evidence=present.evidence[:bundles])

    def of(number: int) -> ImageVerdict:
        where = reference("app", number)
        one = present if number < good else missing
        whole = (first, *(one._replace(lane=name) for name in names))
        return replace(image, image=str(where), digest=where.digest, lanes=whole)

    return Refused(findings=replace(made.findings, images=tuple(map(of, range(images))))), policy


def worst_end(verdict: RecordedVerdict) -> Failed:
    """The end of a delivery about which there is as much to say as there can be."""
    names = tuple(f"s{n}" for n in range(200))
    sick = dict.fromkeys(names, ProbeResult(health=Health.UNHEALTHY, detail=WORST, looks=1, streak=0))
    found = dict.fromkeys(names, Match.OTHER)
    services = record_services({name: crowd(name, 20, 8, WORST) for name in names}, found, probes=sick, soaks=sick)
    return Failed(deployment=1, message=WORST, services=services, rollback=True, verdict=verdict)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "lanes", "bundles"), [(2, 3, 20), (40, 30, 16), (40, 60, 0), (300, 30, 0), (2000, 1, 1)]
)
def test_whatever_the_verdict_an_end_can_be_recorded(images: int, lanes: int, bundles: int) -> None:
    """With the worst of what was seen beside it; what was left out is counted, and what decides is there."""
    made, policy = large(images, lanes, bundles=bundles)
    recorded = record_verdict(made, policy, aged_at=NOW)
    assert size(worst_end(recorded)) < limits.RECORD
    assert len(canonical(recorded.model_dump(mode="json"))) <= ROOM
    assert len(recorded.images) + recorded.more == images
    assert all(len(one.lanes) + one.more == lanes for one in recorded.images)
    assert (recorded.decision, recorded.policy.digest, recorded.aged_at) == (Decision.REFUSED, policy.digest, NOW)
    for one in recorded.images[:50]:
        for lane in one.lanes:
            assert len(lane.evidence) + lane.more == (bundles if lane.lane == "test" else 0)


def test_what_is_wrong_is_what_is_kept() -> None:
    """Of more images than fit those that did not pass are kept, of more lanes those that are not present."""
    made, policy = large(200, 200, good=199)
    recorded = record_verdict(made, policy, aged_at=None)
    assert recorded.more > 0
    assert recorded.images[0].image.digest == reference("app", 199).digest
    assert recorded.images[0].more > 0
    assert {lane.state for lane in recorded.images[0].lanes} == {"missing"}


def test_one_verdict_is_recorded_in_one_way() -> None:
    """Twice the same verdict is twice the same record, and a small one is recorded whole, in the policy's order."""
    made, policy = large(40, 30, bundles=16)
    assert record_verdict(made, policy, aged_at=None) == record_verdict(made, policy, aged_at=None)
    made, policy = large(3, 4)
    recorded = record_verdict(made, policy, aged_at=None)
    assert [one.image.digest for one in recorded.images] == [one.digest for one in made.findings.images]
    for one, whole in zip(recorded.images, made.findings.images, strict=True):
        assert [lane.lane for lane in one.lanes] == [lane.lane for lane in whole.lanes]
    assert (recorded.more, recorded.more_refusals, recorded.more_inputs) == (0, 0, 0)


@pytest.mark.parametrize(
    ("decision", "more", "result"),
    [
        (Decision.PASSED, 1, "passed"),
        (Decision.WAIVED, 1, "waived"),
        (Decision.REFUSED, 1, "refused"),
        (Decision.PASSED, 0, "refused"),
    ],
)
def test_an_image_that_was_left_out_is_counted(decision: Decision, more: int, result: str) -> None:
    """By the verdict on all of them; where none was left out, an image that nobody looked at did not pass."""
    book = Book()
    number = book.write(planned(release(1), waiver=digest("waiver") if decision is Decision.WAIVED else None))
    if decision is Decision.REFUSED:
        refused = verdict(decision, more=more)
        book.write(RefusedStep(deployment=number, cause=Cause.POLICY, message="no", verdict=refused))
    else:
        of = waived(number, release(1)) if decision is Decision.WAIVED else verified(number, release(1))
        book.write(of.model_copy(update={"verdict": of.verdict.model_copy(update={"more": more})}))
    history = fold(book)
    shown = status(environment(), history.of(ENVIRONMENT), None, now=NOW)
    families = {one.name: one for one in metrics(environment(), history, shown, observed=None, version="1")}
    counted = {value.labels[2]: value.value for value in families["attest_verify_total"].values if value.value}
    assert counted == {result: 1}
