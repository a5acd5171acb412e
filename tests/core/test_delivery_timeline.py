"""How an environment went in time, and the figures of DORA."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.delivery import dora
from attest.core.delivery.fold import fold
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Failed, Kind, Observation, Trigger
from attest.core.delivery.timeline import Incident, Timeline, Trouble, between, timeline, unwell
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import Match, Observed
from tests.core.make import NOW
from tests.core.make_delivery import ENVIRONMENT, Book, recorded, release
from tests.core.make_story import HOUR, Story, about, of, story


def line_of(book: Book) -> Timeline:
    """How it went."""
    return timeline(fold(book), ENVIRONMENT)


def troubles(book: Book) -> list[Incident]:
    """What was wrong, in order."""
    return list(line_of(book).incidents)


# ---- courses


@pytest.mark.parametrize(
    ("end", "result", "steps"),
    [
        ("planned", None, ["planned"]),
        ("verified", None, ["planned", "verified"]),
        ("probing", None, ["planned", "verified", "applying", "probing"]),
        ("succeeded", Phase.SUCCEEDED, ["planned", "verified", "applying", "probing", "succeeded"]),
        ("failed", Phase.FAILED, ["planned", "verified", "applying", "probing", "failed"]),
        ("error", Phase.ERROR, ["planned", "verified", "applying", "probing", "error"]),
        ("refused policy", Phase.REFUSED, ["planned", "refused"]),
        ("superseded", Phase.SUPERSEDED, ["planned", "superseded"]),
    ],
)
def test_a_course_has_each_state_and_its_time(end: str, result: Phase | None, steps: list[str]) -> None:
    """A delivery reaches its states one second after the other, and ends with the last where that is an end."""
    book = Book()
    book.deliver(release(1), end)
    (course,) = line_of(book).courses
    assert course.result is result
    assert [(str(phase), time) for phase, time in course.steps] == [
        (name, NOW + timedelta(seconds=place)) for place, name in enumerate(steps, start=1)
    ]
    assert course.ended == (None if result is None else course.steps[-1][1])
    assert course.duration == (None if result is None else timedelta(seconds=len(steps) - 1))
    assert course.when(Phase.PLANNED) == NOW + timedelta(seconds=1)
    assert course.when(Phase.HELD) is None


def test_what_comes_later_changes_no_course() -> None:
    """A delivery that was superseded, or rolled back, is still one that succeeded, at its time."""
    book = Book()
    first = book.deliver(release(1))
    second = book.deliver(release(2))
    book.deliver(release(1), kind=Kind.ROLLBACK, reverts=second)
    line = line_of(book)
    assert [course.number for course in line.courses][:2] == [first, second]
    assert [course.delivery.phase for course in line.courses][:2] == [Phase.SUPERSEDED, Phase.ROLLED_BACK]
    assert [course.result for course in line.courses] == [Phase.SUCCEEDED] * 3


def test_a_clock_that_goes_backwards_gives_no_time() -> None:
    """Where a delivery ends before it begins, nobody knows how long it took."""
    book = Story()
    book.again(of(1), seconds=-100)
    (course,) = line_of(book).courses
    assert course.ended is not None
    assert course.duration is None
    assert between(NOW, NOW) == timedelta(0)


def test_other_environments_do_not_count() -> None:
    """The records of another environment are in no course and no incident."""
    book = Book()
    book.deliver(release(1))
    book.environment = "production"
    book.deliver(release(2), "failed")
    line = line_of(book)
    assert len(line.courses) == 1
    assert line.incidents == ()
    assert len(line.records) == 5


# ---- incidents


def test_a_failure_lasts_until_something_succeeds() -> None:
    """From the record of the failure, through a rollback that fails as well, to the next success."""
    book = Story()
    book.again(of(1))
    bad = book.at(1).again(of(2), "failed", seconds=0)
    began = book.time
    book.at(2).again(of(1), "failed", kind=Kind.ROLLBACK, reverts=bad)
    book.at(3).again(of(3), seconds=0)
    (found,) = troubles(book)
    assert (found.trouble, found.deployment, found.message, found.since) == (Trouble.FAILURE, bad, "unhealthy", began)
    assert found.ended == book.time
    assert found.duration == book.time - began
    assert found.resolution == len(book.records)


def test_a_failure_that_lasts_has_no_end() -> None:
    """While nothing has succeeded since, it is neither over nor as long as anything."""
    book = Book()
    book.deliver(release(1), "failed")
    (found,) = troubles(book)
    assert (found.ended, found.resolution, found.duration) == (None, None, None)


@pytest.mark.parametrize("reason", [None, "the login is broken"])
def test_undoing_what_had_succeeded_is_a_failure(reason: str | None) -> None:
    """It begins when the rollback is applied, which is when the ledger is told, and says the reason that was given."""
    book = Story()
    book.again(of(1))
    second = book.again(of(2))
    book.again(of(1), kind=Kind.ROLLBACK, reverts=second, reason=reason)
    (found,) = troubles(book)
    assert (found.deployment, found.message) == (second, reason or f"delivery {second} is rolled back")
    assert found.duration == timedelta(seconds=42)


def test_being_held_is_a_failure() -> None:
    """An environment that should go back and cannot has failed, from that record on."""
    found = troubles(story())
    assert [(one.trouble, one.ended is None) for one in found] == [
        (Trouble.FAILURE, False),
        (Trouble.DRIFT, False),
        (Trouble.FAILURE, False),
        (Trouble.FAILURE, True),
    ]
    assert found[1].services == ("web",)
    assert found[3].message == "there is nothing to go back to"


def test_drift_ends_when_it_is_seen_to() -> None:
    """By an observation without drift, or by a delivery that succeeds; further observations change nothing."""
    book = Book()
    number = book.deliver(release(1))
    wrong = Observation(deployment=number, services={}, drift=("app",))
    right = Observation(deployment=number, services={}, drift=())
    for one in (right, wrong, wrong, right, wrong):
        book.write(one)
    found = troubles(book)
    assert [one.trouble for one in found] == [Trouble.DRIFT] * 2
    assert found[0].duration == timedelta(seconds=2)
    assert found[0].message == "not what should run: app"
    assert found[1].ended is None


def test_who_is_unwell() -> None:
    """A service that runs something else, or whose probe or soak was not healthy; no other."""
    sick = ProbeResult(health=Health.UNHEALTHY, detail="500", looks=1, streak=0)
    well = ProbeResult(health=Health.HEALTHY, detail="", looks=1, streak=1)
    look = Observed(service="any", instances=())
    found = {
        "good": recorded(look, Match.SAME, probe=well, soak=well),
        "unasked": recorded(look, Match.SAME),
        "stranger": recorded(look, Match.OTHER, probe=well),
        "sick": recorded(look, Match.SAME, probe=sick),
        "tired": recorded(look, Match.SAME, probe=well, soak=sick),
    }
    assert unwell(found) == ("stranger", "sick", "tired")
    book = Book()
    number = book.deliver(release(1), "probing")
    book.write(Failed(deployment=number, message="500", services={"app": found["sick"]}, rollback=False))
    assert troubles(book)[0].services == ("app",)


# ---- DORA


def test_the_figures_of_a_story() -> None:
    """Deployments, failures, lead time and recovery are counted by hand and come out the same."""
    book = story()
    found = dora.figures(line_of(book), now=NOW + 72 * HOUR)
    assert (found.deployments, found.failures, found.ended) == (3, 2, 4)
    assert found.failure_rate == 0.5
    assert found.since == NOW + timedelta(seconds=1)
    assert found.frequency == pytest.approx(1.0, rel=1e-3)
    assert found.lead_time == HOUR / 2 + timedelta(seconds=45)
    assert found.recoveries == 2
    assert found.recovery_time == timedelta(seconds=43.5)


def test_without_anything_there_are_no_figures() -> None:
    """An empty ledger has a frequency of nothing, over a day, and no rate and no times."""
    found = dora.figures(line_of(Book()), now=NOW)
    assert (found.deployments, found.ended, found.frequency) == (0, 0, 0)
    assert (found.lead_time, found.failure_rate, found.recovery_time) == (None, None, None)
    assert found.until - found.since == timedelta(days=1)


def test_what_is_outside_the_window_does_not_count() -> None:
    """Only what ended within the window does; an old deployment is the first of its release all the same."""
    book = Story()
    book.again(of(1))
    book.again(of(2), "failed")
    book.at(0.5).again(of(1))
    book.at(100).again(of(1))
    found = dora.figures(line_of(book), now=NOW + 101 * HOUR, window=timedelta(days=2))
    assert (found.deployments, found.failures, found.ended) == (1, 0, 1)
    assert (found.lead_time, found.recoveries) == (None, 0)
    assert found.frequency == 0.5


@pytest.mark.parametrize("end", ["error", "refused policy", "superseded", "planned", "probing"])
def test_what_nobody_can_tell_or_never_ran_is_no_deployment(end: str) -> None:
    """Neither a success nor a failure."""
    book = Book()
    book.deliver(release(1), end)
    found = dora.figures(line_of(book), now=book.time)
    assert (found.deployments, found.failures, found.ended) == (0, 0, 0)


def test_rollbacks_and_repairs_are_no_changes() -> None:
    """They bring nothing new, and neither have a lead time nor count as deployments."""
    book = Story()
    book.again(of(1))
    second = book.again(of(2))
    book.again(of(1), kind=Kind.ROLLBACK, reverts=second)
    book.again(of(1), kind=Kind.REPAIR, trigger=Trigger.AUTOMATIC)
    line = line_of(book)
    assert [course.number for course, _ in dora.lead_times(line)] == [1, second]
    assert dora.figures(line, now=book.time).deployments == 2


def test_a_lead_time_begins_with_the_oldest_evidence() -> None:
    """Evidence without a time gives none, nor does evidence that is younger than the success: a clock was wrong."""
    for time, expected in ((NOW - HOUR, [HOUR + timedelta(seconds=5)]), (None, []), (NOW + HOUR, [])):
        book = Book()
        book.deliver(release(1), verdicts=about(release(1), time=time))
        assert [lead for _, lead in dora.lead_times(line_of(book))] == expected
    book = Book()
    book.deliver(release(1))
    assert list(dora.lead_times(line_of(book))) == []


def test_the_document_has_seconds() -> None:
    """Times are numbers of seconds, and null where there are none."""
    found = dora.document(dora.figures(line_of(story()), now=NOW + 72 * HOUR))
    assert found["change_lead_time_seconds"] == 1845
    assert found["failed_deployment_recovery_seconds"] == 43.5
    assert found["change_failure_rate"] == 0.5
    assert found["until"] == "2026-07-04T12:00:00.000000Z"
    empty = dora.document(dora.figures(line_of(Book()), now=NOW))
    assert [empty[name] for name in ("change_lead_time_seconds", "failed_deployment_recovery_seconds")] == [None, None]


@given(st.lists(st.sampled_from(["succeeded", "failed", "error", "refused policy", "superseded"]), max_size=12))
def test_figures_agree_with_each_other(ends: list[str]) -> None:
    """Whatever happens, failures and successes are those that ended, and a rate lies between none and all."""
    book = Book()
    for place, end in enumerate(ends):
        if release(place).key not in fold(book).of(ENVIRONMENT).bad:
            book.deliver(release(place), end)
    found = dora.figures(line_of(book), now=book.time)
    assert found.deployments == ends.count("succeeded")
    assert found.failures == ends.count("failed")
    assert found.ended == found.deployments + found.failures
    assert found.failure_rate is None or 0 <= found.failure_rate <= 1
    open_now = [one for one in line_of(book).incidents if one.ended is None]
    told = [end for end in ends if end in ("succeeded", "failed")]
    assert bool(open_now) is (bool(told) and told[-1] == "failed")
