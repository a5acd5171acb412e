"""The metrics of an environment are counted from its ledger, and from nothing else that could be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.delivery.fold import fold
from attest.core.delivery.metrics import Family, Shape, Value, metrics, unbelieved
from attest.core.delivery.records import Frozen, Kind, Observation, RollbackUndecided, Trigger
from attest.core.delivery.verdicts import Decision
from attest.core.delivery.view import status
from attest.core.environment.targets import Match, Observed
from tests.core.make import NOW, digest
from tests.core.make_delivery import ENVIRONMENT, Book, release, seen, verified, waiver
from tests.core.make_story import HOUR, NAMES, Story, about, no, of, story
from tests.core.test_delivery_decisions import environment
from tests.core.test_delivery_view import observed as running


def families(
    book: Book, *names: str, look: Mapping[str, Observed] | None = None, observed: bool | None = None
) -> dict[str, Family]:
    """What is measured, by name."""
    history, place = fold(book), environment(*names)
    shown = status(place, history.of(ENVIRONMENT), look, now=book.time)
    found = metrics(place, history, shown, observed=observed, version="1.0")
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}


def values(family: Family) -> dict[tuple[str, ...], float]:
    """The numbers that are not 0, by their labels without the environment."""
    assert family.labels[0] == "environment"
    assert all(value.labels[0] == ENVIRONMENT for value in family.values)
    assert len({value.labels for value in family.values}) == len(family.values)
    return {value.labels[1:]: value.value for value in family.values if value.value}


def one(family: Family) -> float:
    """The only number of a family."""
    (value,) = family.values
    return value.value


# ---- counters


def test_deployments_are_counted_by_what_they_first_came_to() -> None:
    """What was superseded or rolled back later has succeeded all the same; rollbacks are counted elsewhere."""
    found = families(story(), *NAMES)
    assert values(found["attest_deploy_total"]) == {
        ("deploy", "explicit", "succeeded"): 2,
        ("deploy", "automatic", "succeeded"): 1,
        ("deploy", "automatic", "failed"): 1,
        ("deploy", "automatic", "refused"): 3,
        ("deploy", "explicit", "superseded"): 1,
        ("deploy", "explicit", "error"): 1,
        ("repair", "automatic", "succeeded"): 1,
    }
    assert values(found["attest_deploy_refused_total"]) == {("policy",): 2, ("held",): 1}
    assert values(found["attest_rollback_total"]) == {
        ("automatic", "succeeded"): 1,
        ("explicit", "succeeded"): 1,
        ("explicit", "held"): 1,
    }


def test_a_rollback_that_nobody_could_decide_is_counted() -> None:
    """It has a result of its own, beside those of deliveries."""
    book = Book()
    first, second = book.deliver(release(1)), book.deliver(release(2))
    book.write(
        RollbackUndecided(
            reverts=second, deployment=first, trigger=Trigger.AUTOMATIC, passed_over=(), message="unreachable"
        )
    )
    assert values(families(book)["attest_rollback_total"]) == {("automatic", "undecided"): 1}


def test_counters_begin_with_zero() -> None:
    """Every result that there can be has a series before it happens, so that its first time is seen as a change."""
    found = families(Book())
    counters = [family for family in found.values() if family.shape is Shape.COUNTER]
    assert [len(family.values) for family in counters] == [1, 20, 4, 14]
    assert all(values(family) == {} for family in counters)


@pytest.mark.parametrize("end", ["planned", "verified", "probing"])
def test_what_goes_on_is_not_counted(end: str) -> None:
    """A delivery counts when it has ended; until then it is unfinished."""
    book = Book()
    book.deliver(release(1), end)
    found = families(book)
    assert values(found["attest_deploy_total"]) == {}
    assert found["attest_deploy_duration_seconds"].distributions == ()
    assert one(found["attest_unfinished"]) == 1


def test_verdicts_are_counted_for_each_service() -> None:
    """By result, and the first reason of a refusal; a refusal of the whole release is one of each of its services."""
    found = values(families(story(), *NAMES)["attest_verify_total"])
    assert found == {
        (name, *rest): count
        for name in NAMES
        for rest, count in {
            ("passed", ""): 8,
            ("refused", "result-failed"): 1,
            ("refused", "serial-too-low"): 1,
        }.items()
    }


def test_an_image_that_no_verdict_is_about_did_not_pass() -> None:
    """A verdict that passed and does not name the image of a service is counted as a refusal of it."""
    book = Book()
    book.deliver(release(1), verdicts={"images": ()})
    assert values(families(book)["attest_verify_total"]) == {("app", "refused", ""): 1}


def test_a_waiver_is_no_pass() -> None:
    """An image that runs by a waiver is counted as waived, with what it lacks; nobody takes it for one that passed."""
    book = Book()
    refused = no(release(1))
    changes: dict[str, Any] = {"decision": Decision.WAIVED, "images": refused.images, "waiver": waiver()}
    number = book.deliver(release(1), "planned", waiver=waiver().digest)
    book.write(verified(number, release(1), **changes))
    assert values(families(book)["attest_verify_total"]) == {("app", "waived", "result-failed"): 1}


def test_a_refusal_of_the_image_comes_before_its_lanes() -> None:
    """The reason of an image that is refused itself is that, whatever its lanes are."""
    book = Book()
    refused = no(release(1))
    image = refused.images[0].model_copy(update={"refusals": no(release(1), whole=True).refusals})
    book.deliver(release(1), verdicts={"images": (image,)})
    assert values(families(book)["attest_verify_total"]) == {("app", "refused", "serial-too-low"): 1}


def test_a_service_that_the_environment_had_is_still_counted() -> None:
    """Verdicts on services that the document no longer names do not vanish, for a counter never falls."""
    book = Book()
    book.deliver(release(1), verdicts=about(release(1)))
    assert values(families(book, "other")["attest_verify_total"]) == {("app", "passed", ""): 1}


# ---- histograms


def test_durations_are_of_what_touched_the_environment() -> None:
    """From plan to end, by kind and result; a refusal takes no time that says anything."""
    found = families(story(), *NAMES)["attest_deploy_duration_seconds"]
    by_labels = {one.labels[1:]: one for one in found.distributions}
    assert set(by_labels) == {
        ("deploy", "succeeded"),
        ("deploy", "failed"),
        ("deploy", "error"),
        ("rollback", "succeeded"),
        ("repair", "succeeded"),
    }
    succeeded = by_labels["deploy", "succeeded"]
    assert succeeded.total == 3 * 44
    assert succeeded.counts == (0, 0, 0, 3, 3, 3, 3, 3, 3, 3)
    assert len(succeeded.counts) == len(found.buckets) + 1


def test_lead_and_recovery_are_spread() -> None:
    """A histogram has its series from the start, with nothing in it, and counts what there is."""
    empty = families(Book())
    for name in ("attest_change_lead_time_seconds", "attest_failed_deployment_recovery_seconds"):
        (nothing,) = empty[name].distributions
        assert (nothing.counts[-1], nothing.total) == (0, 0)
    found = families(story(), *NAMES)
    (lead,) = found["attest_change_lead_time_seconds"].distributions
    assert (lead.counts[-1], lead.total) == (3, 3 * 1845)
    (recovery,) = found["attest_failed_deployment_recovery_seconds"].distributions
    assert (recovery.counts[-1], recovery.total) == (2, 87)


def test_a_duration_that_no_clock_can_give_is_left_out() -> None:
    """Where the clock went back, the delivery is counted and its duration is not."""
    book = Story()
    book.again(of(1), seconds=-100)
    found = families(book, *NAMES)
    assert values(found["attest_deploy_total"])
    assert found["attest_deploy_duration_seconds"].distributions == ()


@given(st.lists(st.sampled_from(["succeeded", "failed", "error", "refused policy", "superseded"]), max_size=10))
def test_no_counter_falls(ends: list[str]) -> None:
    """With every record each counter, and each bucket of a histogram, stays or rises, and no series vanishes."""
    book = Book()
    before: dict[Any, float] = {}
    for place, end in enumerate(ends):
        book.deliver(release(place), end)
        now = counted(book)
        assert all(now[key] >= value for key, value in before.items())
        before = now


def counted(book: Book) -> dict[Any, float]:
    """Everything that may only rise."""
    found: dict[Any, float] = {}
    for family in families(book).values():
        for value in family.values if family.shape is Shape.COUNTER else ():
            found[family.name, value.labels] = value.value
        for spread in family.distributions:
            assert list(spread.counts) == sorted(spread.counts)
            found |= {(family.name, spread.labels, place): count for place, count in enumerate(spread.counts)}
    return found


# ---- what runs


def test_digests_say_what_should_run_and_what_does() -> None:
    """Of each service the digests of what should run, was applied, was good last and was seen; and its drift."""
    book = Book()
    book.deliver(release(1))
    book.deliver(release(2), "probing")
    found = families(book, look=running(1), observed=True)
    first, second = (release(number).services["app"].digest for number in (1, 2))
    assert values(found["attest_service_digest_info"]) == {
        ("app", "desired", second): 1,
        ("app", "applied", second): 1,
        ("app", "verified_good", first): 1,
        ("app", "observed", first): 1,
    }
    assert values(found["attest_drift"]) == {("app",): 1}
    assert one(found["attest_observation_ok"]) == 1


def test_without_a_look_the_last_record_counts() -> None:
    """What was seen last is in the ledger: its digests, and whether they were the right ones."""
    book = Book()
    number = book.deliver(release(1))
    assert values(families(book)["attest_drift"]) == {}
    other = digest("something else")
    book.write(Observation(deployment=number, services={"app": seen(other, Match.OTHER)}, drift=("app",)))
    found = families(book, "app", "unseen")
    assert values(found["attest_drift"]) == {("app",): 1}
    assert ("app", "observed", other) in values(found["attest_service_digest_info"])
    assert "attest_observation_ok" not in found


def test_where_nobody_could_look_nothing_is_said() -> None:
    """Neither drift nor its absence, whatever was seen earlier; but that it could not be seen."""
    book = Book()
    book.deliver(release(1))
    found = families(book, observed=False)
    assert found["attest_drift"].values == ()
    assert one(found["attest_observation_ok"]) == 0
    assert not [key for key in values(found["attest_service_digest_info"]) if key[1] == "observed"]


# ---- how it stands


def test_holds_freezes_and_marks_are_shown() -> None:
    """What a person has to end, each as a number of its own."""
    found = families(Book())
    standing = ("attest_held", "attest_frozen", "attest_unfinished", "attest_bad_releases")
    assert [one(found[name]) for name in standing] == [0, 0, 0, 0]
    assert "attest_verified_good_timestamp_seconds" not in found
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    book.deliver(release(1), kind=Kind.ROLLBACK, reverts=bad)
    book.write(Frozen(until=NOW + HOUR, reason="the fair"))
    book.deliver(release(3), "planned")
    found = families(book)
    assert [one(found[name]) for name in standing] == [1, 1, 1, 1]
    good = one(found["attest_verified_good_timestamp_seconds"])
    assert good == fold(book).of(ENVIRONMENT).verified_good.since.timestamp()  # type: ignore[union-attr]
    assert one(found["attest_ledger_records"]) == len(book.records)
    assert one(found["attest_ledger_ok"]) == 1
    book.time += timedelta(hours=2)
    assert one(families(book)["attest_frozen"]) == 0


def test_of_an_unbelieved_ledger_nothing_else_is_said() -> None:
    """There is the version, and that the ledger is not right; no counter that would look as if nothing happened."""
    version, ledger = unbelieved("staging", version="1.0")
    assert version.values == (Value(labels=("1.0",), value=1),)
    assert (ledger.name, ledger.values) == ("attest_ledger_ok", (Value(labels=("staging",), value=0),))


def test_names_are_those_of_prometheus() -> None:
    """Counters end in _total, units are base units, and every family says in a sentence what it is."""
    found = families(story(), *NAMES, observed=True)
    for name, family in found.items():
        assert name.startswith("attest_")
        assert (family.shape is Shape.COUNTER) is name.endswith("_total")
        assert family.help.endswith(".")
        assert all(len(value.labels) == len(family.labels) for value in family.values)
        assert all(len(spread.labels) == len(family.labels) for spread in family.distributions)
