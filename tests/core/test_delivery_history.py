"""The fold of a ledger's records: what should run, what did, and what may not again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from attest.core.delivery.fold import Fold, fold
from attest.core.delivery.history import EnvironmentHistory
from attest.core.delivery.machine import ALLOWED, ENDS, UNFINISHED, Phase, TransitionInvalid, step
from attest.core.delivery.records import (
    AnyPayload,
    Applying,
    Cause,
    DeliveryInvalid,
    Erred,
    Failed,
    Frozen,
    Held,
    Kind,
    Observation,
    Probing,
    PromotionWaived,
    Refused,
    Released,
    RollbackUndecided,
    Stage,
    Succeeded,
    Superseded,
    Trigger,
    Unfrozen,
)
from attest.core.delivery.verdicts import Decision
from attest.core.ledger.chain import Entry
from tests.core.make import NOW, digest
from tests.core.make_delivery import (
    ENVIRONMENT,
    SECOND,
    Book,
    planned,
    policy,
    release,
    seen,
    services,
    verdict,
    verified,
    waived,
    waiver,
)


def here(book: Book, environment: str = ENVIRONMENT) -> EnvironmentHistory:
    """An environment, as its records leave it."""
    return fold(book).of(environment)


def held(number: int) -> Held:
    """There is nothing to go back to."""
    return Held(reverts=number, trigger=Trigger.EXPLICIT, passed_over=(), message="nothing")


def undecided(number: int, candidate: int) -> RollbackUndecided:
    """Nobody could say whether the release of the candidate may run."""
    return RollbackUndecided(
        reverts=number, deployment=candidate, trigger=Trigger.EXPLICIT, passed_over=(), message="unreachable"
    )


# ---- the table of states


def test_only_what_the_table_allows_follows() -> None:
    """Every pair of states is either in the table, or an error that names both."""
    for before in Phase:
        for after in Phase:
            if after in ALLOWED[before]:
                assert step(before, after) is after
            else:
                with pytest.raises(TransitionInvalid, match=f"{before} cannot become {after}"):
                    step(before, after)


def test_every_state_can_be_reached_and_left_or_is_an_end() -> None:
    """No state of the table is cut off, and what is unfinished can always be brought to an end."""
    reached = {Phase.PLANNED}
    for _ in Phase:
        reached |= {after for before in reached for after in ALLOWED[before]}
    assert reached == set(Phase)
    assert {Phase.REFUSED, Phase.ROLLED_BACK, Phase.SUPERSEDED} == ENDS
    for phase in UNFINISHED:
        assert ALLOWED[phase] - UNFINISHED


# ---- one delivery


def test_an_empty_ledger_says_nothing() -> None:
    """Nothing is desired, applied, good, held, frozen, bad or unfinished where nothing was recorded."""
    empty = here(Book())
    assert empty == EnvironmentHistory(name=ENVIRONMENT)
    assert (empty.unfinished, empty.interrupted_rollback, empty.verified_good) == (None, None, None)
    assert empty.aged_at(release()) is None


@pytest.mark.parametrize(
    ("end", "touched", "healthy", "unfinished"),
    [
        ("planned", False, False, True),
        ("verified", False, False, True),
        ("refused frozen", False, False, False),
        ("superseded", False, False, False),
        ("applying", True, False, True),
        ("probing", True, False, True),
        ("succeeded", True, True, False),
        ("failed", True, False, False),
        ("error", True, False, False),
    ],
)
def test_a_delivery_is_what_its_last_record_says(end: str, touched: bool, healthy: bool, unfinished: bool) -> None:
    """State, what was touched, and whether somebody is still at work, follow from the records alone."""
    book = Book()
    number = book.deliver(release(), end)
    environment = here(book)
    delivery = environment.deliveries[number]
    assert delivery.phase == end.partition(" ")[0]
    assert (delivery.touched, delivery.healthy, delivery.is_unfinished) == (touched, healthy, unfinished)
    assert (environment.current is not None) is touched
    assert (environment.unfinished == delivery) is unfinished
    assert (environment.applied is not None) is (end in {"probing", "succeeded", "failed", "error"})
    assert (environment.verified_good == delivery) is healthy
    assert delivery.changed == book.time
    assert delivery.since == NOW + SECOND
    assert delivery.cause == (Cause.FROZEN if end.startswith("refused") else None)


def test_what_was_seen_at_its_end() -> None:
    """The last observation is that of the end of a delivery, or one that was recorded by itself."""
    book = Book()
    number = book.deliver(release())
    environment = here(book)
    assert environment.seen is not None
    assert (environment.seen.deployment, environment.seen.drift) == (number, None)
    assert environment.seen.services == services(release())
    book.write(Observation(deployment=number, services={"app": seen(digest("x"))}, drift=("app",)))
    environment = here(book)
    assert environment.seen is not None
    assert environment.seen.drift == ("app",)
    book.write(Observation(deployment=None, services={}, drift=()))
    assert here(book).seen is not None
    book.deliver(release(2), "error")
    assert here(book).seen == fold(book.records[:7]).of(ENVIRONMENT).seen  # nobody looked


def test_trouble_of_the_target_is_kept_until_the_end() -> None:
    """What the tool complained about is said while it is not known what became of it, and not after."""
    book = Book()
    number = book.deliver(release(), "applying")
    book.write(Probing(deployment=number, trouble="it ended with 1"))
    assert here(book).deliveries[number].message == "it ended with 1"
    book.end(number, release(), "succeeded")
    assert here(book).deliveries[number].message == ""


def test_what_was_interrupted_goes_on() -> None:
    """A delivery that was found half applied is verified again, and is the same delivery."""
    book = Book()
    number = book.deliver(release(), "probing")
    book.write(verified(number, release()))
    environment = here(book)
    assert environment.deliveries[number].touched
    assert environment.current == environment.unfinished
    book.write(verified(number, release()))
    book.write(Applying(deployment=number))
    book.write(Probing(deployment=number))
    book.end(number, release(), "succeeded")
    assert here(book).verified_good == here(book).current
    again = book.deliver(release(2), "probing")
    book.write(verified(again, release(2)))
    refused = verdict(Decision.REFUSED)
    book.write(Failed(deployment=again, message="refused today", services={}, rollback=True, verdict=refused))
    delivery = here(book).deliveries[again]
    assert (delivery.phase, delivery.verdict, delivery.wants_rollback) == (Phase.FAILED, refused, True)


# ---- one after another


def test_a_later_delivery_supersedes() -> None:
    """What changed the environment before gives way when the next one begins to change it, not earlier."""
    book = Book()
    first = book.deliver(release(1))
    second = book.deliver(release(2), "verified")
    assert here(book).deliveries[first].phase is Phase.SUCCEEDED
    book.write(Applying(deployment=second))
    environment = here(book)
    assert (environment.deliveries[first].phase, environment.deliveries[first].by) == (Phase.SUPERSEDED, second)
    assert environment.current is not None
    assert environment.current.number == second
    assert environment.verified_good == environment.deliveries[first]


def test_what_was_refused_changes_nothing() -> None:
    """A refused delivery leaves what should run, and what was good last, as they were."""
    book = Book()
    book.deliver(release(1))
    before = here(book)
    book.deliver(release(2), "refused policy")
    after = here(book)
    assert (after.current, after.applied, after.verified_good) == (before.current, before.applied, before.verified_good)


def test_a_failure_marks_its_release() -> None:
    """The release of a failed delivery is marked since then, whoever brings it, until somebody lifts that."""
    book = Book()
    number = book.deliver(release(1), "failed")
    environment = here(book)
    (bad,) = environment.bad.values()
    assert (bad.key, bad.deployment, bad.since, bad.message) == (release(1).key, number, book.time, "unhealthy")
    assert environment.interrupted_rollback == environment.current
    book.write(Released(hold=False, releases=(release(1).key,), reason="it was the database"))
    assert here(book).bad == {}


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("end", ["superseded", "error"])
def test_a_rollback_that_touched_nothing_still_stands(trigger: Trigger, end: str) -> None:
    """One that somebody asked for holds automatic deployments, though it was given up; nothing is marked by it."""
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2))
    back = book.deliver(release(1), "verified", kind=Kind.ROLLBACK, reverts=bad, trigger=trigger)
    if end == "error":
        book.write(Erred(deployment=back, stage=Stage.PREPARING, message="no room"))
    else:
        book.write(Superseded(deployment=back, message="given up"))
    environment = here(book)
    assert (environment.current, environment.bad) == (environment.deliveries[bad], {})
    held = None if environment.hold is None else environment.hold.deployment
    assert held == (back if trigger is Trigger.EXPLICIT else None)


def test_a_rollback_undoes_marks_and_holds() -> None:
    """From the moment in which it changes the environment; the end of it is that of what it undoes."""
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    back = book.deliver(release(1), "verified", kind=Kind.ROLLBACK, reverts=bad)
    assert here(book).hold is None
    assert here(book).deliveries[bad].phase is Phase.FAILED
    book.write(Applying(deployment=back))
    environment = here(book)
    assert (environment.deliveries[bad].phase, environment.deliveries[bad].by) == (Phase.ROLLING_BACK, back)
    assert environment.interrupted_rollback is None
    assert environment.hold is not None
    assert environment.hold.deployment == back
    book.write(Probing(deployment=back))
    book.end(back, release(1), "succeeded")
    environment = here(book)
    assert environment.deliveries[bad].phase is Phase.ROLLED_BACK
    assert environment.verified_good == environment.deliveries[back]
    assert set(environment.bad) == {release(2).key}
    book.write(Released(hold=True, releases=(), reason="mended"))
    assert here(book).hold is None
    assert set(here(book).bad) == {release(2).key}
    later = book.deliver(release(3))
    assert here(book).deliveries[back].phase is Phase.SUPERSEDED
    assert here(book).deliveries[back].by == later


@pytest.mark.parametrize("end", ["failed", "error"])
def test_a_rollback_that_fails_is_not_undone_by_itself(end: str) -> None:
    """What it should have undone is `rollback-failed`, and the next rollback undoes the rollback."""
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    back = book.deliver(release(1), "probing", kind=Kind.ROLLBACK, reverts=bad)
    final: AnyPayload = Erred(deployment=back, stage=Stage.PROBING, message="nobody knows")
    if end == "failed":
        final = Failed(deployment=back, message="unhealthy", services={}, rollback=False)
    book.write(final)
    environment = here(book)
    assert environment.deliveries[bad].phase is Phase.ROLLBACK_FAILED
    assert environment.interrupted_rollback is None
    assert environment.current == environment.deliveries[back]


def test_a_rollback_of_what_was_good_marks_it_by_name() -> None:
    """An explicit rollback marks the release that it undoes, and says who wanted it."""
    book = Book()
    book.deliver(release(1))
    good = book.deliver(release(2))
    back = book.deliver(release(1), kind=Kind.ROLLBACK, reverts=good)
    environment = here(book)
    assert environment.bad[release(2).key].message == "rolled back by somebody"
    assert environment.verified_good == environment.deliveries[back]


def test_a_rollback_that_was_refused_touches_neither() -> None:
    """What was planned and given up, or could not be decided, leaves what it should have undone as it was."""
    for end in ("planned", "superseded"):
        book = Book()
        book.deliver(release(1))
        bad = book.deliver(release(2), "failed")
        back = book.deliver(release(1), end, kind=Kind.ROLLBACK, reverts=bad)
        if end == "planned":
            book.write(Erred(deployment=back, stage=Stage.VERIFYING, message="unreachable"))
        environment = here(book)
        assert environment.deliveries[bad].phase is Phase.FAILED
        assert environment.interrupted_rollback == environment.deliveries[bad]


def test_nothing_to_go_back_to_is_held() -> None:
    """What should be undone stays, marked; automatic deployments wait; a second attempt may say the same."""
    book = Book()
    number = book.deliver(release(1), "failed")
    for _ in range(2):
        seq = book.write(held(number))
        environment = here(book)
        assert environment.deliveries[number].phase is Phase.HELD
        assert environment.hold is not None
        assert environment.hold.deployment == seq
        assert environment.interrupted_rollback is None
    book.deliver(release(2))
    assert here(book).deliveries[number].phase is Phase.SUPERSEDED
    assert here(book).hold is not None


def test_a_rollback_that_nobody_could_decide_changes_nothing() -> None:
    """What was current stays so, unmarked; nothing is held, and nothing is owed that was not owed before."""
    book = Book()
    first = book.deliver(release(1))
    second = book.deliver(release(2))
    before = here(book)
    book.write(undecided(second, first))
    assert here(book) == before


def test_after_a_rollback_nothing_of_what_it_undid_gives_way() -> None:
    """A delivery after a completed rollback supersedes the rollback alone."""
    book = Book()
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    book.deliver(release(1), kind=Kind.ROLLBACK, reverts=bad)
    book.deliver(release(3))
    assert here(book).deliveries[bad].phase is Phase.ROLLED_BACK


def test_freezes_come_and_go() -> None:
    """A later freeze takes the place of an earlier one, and an end ends it."""
    book = Book()
    book.write(Frozen(until=None, reason="first"))
    book.write(Frozen(until=NOW, reason="second"))
    frozen = here(book).frozen
    assert frozen is not None
    assert (frozen.reason, frozen.until, frozen.since, frozen.actor) == ("second", NOW, book.time, "somebody")
    book.write(Unfrozen(reason="over"))
    assert here(book).frozen is None


# ---- waivers, ages, policies


def test_what_ran_by_a_waiver_is_never_good() -> None:
    """A waived delivery may be healthy, and is no last verified good, and measures no age."""
    book = Book()
    number = book.write(planned(release(1), waiver=digest("waiver")))
    book.write(waived(number, release(1)))
    book.write(Applying(deployment=number))
    book.write(Probing(deployment=number))
    book.end(number, release(1), "succeeded")
    environment = here(book)
    assert environment.deliveries[number].healthy
    assert environment.deliveries[number].waived
    assert environment.verified_good is None
    assert environment.healthy == frozenset()
    assert environment.aged_at(release(1)) is None


def test_a_waiver_that_was_not_needed_takes_nothing_away() -> None:
    """What passed although a waiver was named for it is as good as any other."""
    book = Book()
    number = book.deliver(release(1), waiver=digest("waiver"))
    environment = here(book)
    assert not environment.deliveries[number].waived
    assert environment.verified_good == environment.deliveries[number]


def test_what_passes_when_it_is_finished_is_good() -> None:
    """Interrupted by a waiver, finished with all of its evidence: the last verdict is what counts."""
    book = Book()
    number = book.write(planned(release(1), waiver=digest("waiver")))
    book.write(waived(number, release(1)))
    book.write(Applying(deployment=number))
    book.write(verified(number, release(1)))
    book.write(Applying(deployment=number))
    book.write(Probing(deployment=number))
    book.end(number, release(1), "succeeded")
    assert here(book).verified_good is not None


def test_a_promotion_by_a_waiver_changes_nothing() -> None:
    """It is told, and nothing runs by it."""
    book = Book()
    book.deliver(release(1))
    before = here(book)
    book.write(
        PromotionWaived(images=tuple(release(2).services.values()), policy=policy(), lacking=("e2e",), waiver=waiver())
    )
    assert here(book) == before
    assert len(fold(book).records) == 6


def test_age_is_measured_at_the_newest_verdict_without_that_rule() -> None:
    """On the way back; and only to a release that was healthy here."""
    book = Book()
    early, late = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    book.deliver(release(1), verdicts={"time": early})
    book.deliver(release(2), verdicts={"time": NOW}, end="error")
    assert here(book).aged_at(release(1)) == early
    assert here(book).aged_at(release(2)) is None
    book.deliver(release(1), verdicts={"time": late, "aged_at": early}, kind=Kind.REPAIR)
    assert here(book).aged_at(release(1)) == early
    book.deliver(release(1), verdicts={"time": late})
    assert here(book).aged_at(release(1)) == late


def test_the_highest_serial_of_each_policy_is_remembered() -> None:
    """Across environments, from refusals too; another policy of the same serial changes nothing."""
    book = Book()
    assert fold(book).policies == {}
    book.deliver(release(1), verdicts={"policy": policy(5)})
    book.deliver(release(1), verdicts={"policy": policy(4)})
    book.deliver(release(1), verdicts={"policy": policy(5, at=digest("forged"))})
    assert fold(book).policies["staging"].serial == 5
    assert fold(book).policies["staging"].digest == digest("policy 5")
    other = Book("production")
    other.records, other.head = list(book.records), book.head
    number = other.write(planned(release(1)))
    refused = verdict(Decision.REFUSED, policy=policy(9))
    other.write(Refused(deployment=number, cause=Cause.POLICY, message="no", verdict=refused))
    other.deliver(release(1), verdicts={"policy": policy(1, name="another")})
    assert {name: one.serial for name, one in fold(other).policies.items()} == {"staging": 9, "another": 1}


def test_records_are_followed_one_by_one() -> None:
    """What follows from the records so far is known at each of them, and is what a fold of all says at the end."""
    book = Book()
    book.deliver(release(1), verdicts={"policy": policy(5)})
    book.deliver(release(2), "failed")
    whole = Fold()
    assert whole.policy("staging") is None
    for position, record in enumerate(book.records, 1):
        whole.follow(record)
        assert whole.of(ENVIRONMENT) == fold(book.records[:position]).of(ENVIRONMENT)
    assert whole.history() == fold(book)
    assert whole.policy("staging") == fold(book).policies["staging"]
    assert whole.of("production") == EnvironmentHistory(name="production")


def _undecided(end: str = "error") -> Book:
    """Release 2, and a rollback from it to release 1 that ended so."""
    book = Book()
    book.deliver(release(1))
    undone = book.deliver(release(2))
    book.deliver(release(1), end, kind=Kind.ROLLBACK, reverts=undone)
    return book


@pytest.mark.parametrize(("end", "undecided"), [("error", True), ("failed", False), ("succeeded", False)])
def test_a_rollback_that_nobody_could_tell_of(end: str, undecided: bool) -> None:
    """It is known as long as it changed the environment last and neither succeeded nor failed."""
    book = _undecided(end)
    environment = here(book)
    assert environment.undecided_rollback == (environment.current if undecided else None)
    book.deliver(release(3), "error")
    assert here(book).undecided_rollback is None


@pytest.mark.parametrize(
    ("of", "kind", "again"),
    [(1, Kind.REPAIR, True), (2, Kind.REPAIR, False), (1, Kind.DEPLOY, False)],
)
def test_what_brings_an_undecided_rollback_again(of: int, kind: Kind, again: bool) -> None:
    """A repair of the same release is on the way back as that was, however often; nothing else is."""
    book = _undecided()
    for _ in range(2):
        number = book.deliver(release(of), "error", kind=kind)
        environment = here(book)
        assert environment.deliveries[number].way_back is again
        assert environment.undecided_rollback == (environment.current if again else None)
        assert release(1).key not in environment.bad


def test_a_repair_of_a_rollback_that_succeeded_is_not_on_the_way_back() -> None:
    """What was confirmed came to its end; a repair of it later is one like any other."""
    book = _undecided("succeeded")
    number = book.deliver(release(1), "error", kind=Kind.REPAIR)
    assert not here(book).deliveries[number].way_back


def test_environments_do_not_meet() -> None:
    """What happens in one environment says nothing about another of the same ledger."""
    book = Book()
    book.deliver(release(1))
    number = book.write(planned(release(2)), environment="production")
    history = fold(book)
    assert history.of("production").unfinished is not None
    assert history.of(ENVIRONMENT).unfinished is None
    assert set(history.environments) == {ENVIRONMENT, "production"}
    book.write(Applying(deployment=number))
    with pytest.raises(DeliveryInvalid, match="no delivery"):
        fold(book)


def test_foreign_records_are_passed_over() -> None:
    """Records of another family stand in the same ledger and change nothing."""
    book = Book()
    book.deliver(release(1))
    before = here(book)
    book.entry(Entry(type="promotion.done", environment=ENVIRONMENT, actor="a", payload={}))
    assert here(book) == before
    assert len(fold(book).records) == 5


# ---- what cannot be true


def _after(end: str, *more: AnyPayload, **changes: Any) -> Book:
    book = Book()
    book.deliver(release(1), end, **changes)
    for payload in more:
        book.write(payload)
    return book


@pytest.mark.parametrize(
    ("book", "message"),
    [
        (_after("planned", planned(release(2))), "delivery 1 is not finished"),
        (_after("applying", planned(release(2))), "delivery 1 is not finished"),
        (_after("planned", Applying(deployment=1)), "planned cannot become applying"),
        (_after("planned", Applying(deployment=7)), "there is no delivery 7"),
        (_after("succeeded", Applying(deployment=1)), "delivery 1 is succeeded"),
        (_after("refused policy", verified(1, release(1))), "delivery 1 is refused"),
        (_after("verified", Succeeded(deployment=1, services={})), "verified cannot become succeeded"),
        (_after("applying", Superseded(deployment=1, message="x")), "it cannot be given up"),
        (_after("verified", Failed(deployment=1, message="x", services={}, rollback=True)), "nothing was changed"),
        (_after("applying", Refused(deployment=1, cause=Cause.POLICY, message="x")), "applying cannot become refused"),
        (_after("planned", verified(1, release(1), decision=Decision.REFUSED)), "its verdict is a refusal"),
        (_after("planned", waived(1, release(1))), "was not planned with the waiver"),
        (_after("planned", waived(1, release(1)), waiver=digest("another")), "was not planned with the waiver"),
        (
            _after("planned", verified(1, release(1), decision=Decision.WAIVED), waiver=digest("waiver")),
            "was not planned with the waiver",
        ),
        (_after("succeeded", planned(release(1), Kind.REPAIR, waiver=digest("waiver"))), "is for a deployment"),
        (
            _after("succeeded", planned(release(2), Kind.ROLLBACK, reverts=1, waiver=digest("waiver"))),
            "is for a deployment",
        ),
        (_after("planned", verified(1, release(1, services=("other",)))), "names other services"),
        (_after("succeeded", planned(release(2), Kind.ROLLBACK)), "a rollback undoes a delivery"),
        (_after("succeeded", planned(release(2), reverts=1)), "nothing else does"),
        (_after("succeeded", planned(release(2), Kind.ROLLBACK, reverts=9)), "there is no delivery 9"),
        (_after("refused policy", planned(release(2), Kind.ROLLBACK, reverts=1)), "is not the one that changed"),
        (_after("succeeded", planned(release(1), Kind.ROLLBACK, reverts=1)), "it would bring what it undoes"),
        (_after("probing", held(1)), "delivery 1 is not finished"),
        (_after("refused policy", held(1)), "is not the one that changed"),
        (_after("succeeded", held(9)), "there is no delivery 9"),
        (_after("succeeded", undecided(9, 1)), "there is no delivery 9"),
        (_after("succeeded", undecided(1, 9)), "there is no delivery 9"),
        (_after("succeeded", Observation(deployment=9, services={}, drift=())), "there is no delivery 9"),
    ],
)
def test_what_cannot_be_true_ends_the_fold(book: Book, message: str) -> None:
    """A record that contradicts those before it is an error, and never passed over."""
    with pytest.raises(DeliveryInvalid, match=rf"record {len(book.records)} \(.*\) cannot be true: .*{message}"):
        fold(book)
