"""Deliveries under faults that real parts do not show at will: a lost lease, a slow target, a crash within a soak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Cause, DeliveredRelease, Frozen, Kind, Pass, Trigger
from attest.core.environment.health import Health
from attest.core.environment.targets import Match, Observed, RunState
from attest.core.ledger.chain import Entry
from attest.core.predicates import Result
from attest.core.reference import Digest, Repository
from attest.core.verdict import Passed
from attest.errors import (
    InternalError,
    LeaseLost,
    LedgerMisbehaved,
    NotFound,
    NotObserved,
    TargetFailed,
    Unreachable,
    UsageError,
)
from attest.ops.delivery.carry import carry_out
from attest.ops.delivery.deploy import Wanted, deploy, rollback
from attest.ops.delivery.reconcile import reconcile
from attest.ops.delivery.site import Journal, journal
from tests.core import make
from tests.core.make_delivery import image, release
from tests.core.test_delivery_decisions import environment
from tests.fake_site import (
    SOURCE,
    FakeTarget,
    LosingLedger,
    World,
    ended,
    open_world,
    with_evidence,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An environment to which nothing was deployed, and releases 1 to 3 for it."""
    with open_world(tmp_path) as made:
        yield made


def test_a_lease_that_is_lost_before_the_target_is_told(world: World) -> None:
    """Whoever lost the lease tells the target nothing, and records nothing more."""
    with pytest.raises(LeaseLost):
        world.deploy(1, ledger=LosingLedger(world.site.ledger, 0))
    assert world.target.applied == []
    assert world.types() == ["deployment.planned", "deployment.verified"]
    assert ended(world.deploy(1)) is Phase.SUCCEEDED
    assert world.types()[2] == "deployment.superseded"


def test_a_lease_that_is_lost_while_it_is_probed(world: World) -> None:
    """Behind each probe the lease is asked about; what is found then is for the next deployer to finish."""
    with pytest.raises(LeaseLost):
        world.deploy(1, ledger=LosingLedger(world.site.ledger, 1))
    assert world.types()[-1] == "deployment.probing"
    done = world.deploy(1)
    assert (ended(done), done.settled) == (Phase.SUCCEEDED, ())
    assert any("was interrupted while probing" in text for text in world.told)


def test_a_target_may_take_its_time(world: World) -> None:
    """What does not run yet is looked at again, until the time of its probe is over."""
    world.deploy(1)
    world.target.late = 1
    assert ended(world.deploy(2)) is Phase.SUCCEEDED
    assert world.pauses == [1.0]
    world.target.late = 99
    assert ended(world.deploy(3)) is Phase.ERROR
    assert len(world.pauses) == 2


def test_a_service_that_crashes_within_its_soak(world: World) -> None:
    """Started anew while it had to stay healthy, it failed, although it is healthy at the end; and is rolled back."""
    world.deploy(1)

    def crash() -> None:
        one = world.target.running["app"]
        if one.digests == {image("app", 2).digest}:
            world.target.running["app"] = replace(one, started="anew")

    world.prober.on_soak = crash
    done = world.deploy(2)
    assert ended(done) is Phase.ROLLED_BACK
    assert done.rollback is not None
    assert done.rollback.phase is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest


def test_a_probe_that_could_not_be_made_rolls_nothing_back(world: World) -> None:
    """Where nobody can tell how healthy a release is, it stays, and nothing is marked."""
    world.deploy(1)
    world.prober.health = Health.ERROR
    done = world.deploy(2)
    assert (ended(done), done.rollback, done.hold) == (Phase.ERROR, None, None)
    assert world.runs() == image("app", 2).digest
    world.prober.health = Health.HEALTHY
    assert ended(world.deploy(2)) is Phase.SUCCEEDED


def test_what_does_not_go_on_running_failed(world: World) -> None:
    """A container of the right image that waits to run for ever is a bad release, though its probe was healthy."""
    world.target.state = RunState.WAITING
    assert ended(world.deploy(1)) is Phase.HELD


def test_a_target_that_says_nothing_while_it_is_observed(world: World) -> None:
    """That the target does not say what runs is an error of the delivery, and recorded."""

    def silent() -> None:
        raise NotObserved("no answer")

    world.target.on_observe = silent
    assert ended(world.deploy(1)) is Phase.ERROR
    world.target.on_observe = lambda: None
    found = reconcile(world.site, trigger=Trigger.AUTOMATIC)
    assert (found.drift, found.repair) == ((), None)
    assert world.types()[-2:] == ["deployment.error", "environment.observed"]


def test_what_nobody_could_tell_of_is_brought_again(world: World) -> None:
    """Where somebody asks for it, and not a timer, what may run well is confirmed and probed once more."""
    world.prober.health = Health.ERROR
    assert ended(world.deploy(1)) is Phase.ERROR
    world.prober.health = Health.HEALTHY
    assert reconcile(world.site, trigger=Trigger.AUTOMATIC).repair is None
    found = reconcile(world.site, trigger=Trigger.EXPLICIT)
    assert (found.drift, found.current.phase) == ((), Phase.SUPERSEDED)
    assert found.repair is not None
    assert found.repair.delivery is not None
    assert (found.repair.delivery.kind, found.repair.delivery.phase) == (Kind.REPAIR, Phase.SUCCEEDED)
    assert reconcile(world.site, trigger=Trigger.EXPLICIT).repair is None


def test_a_rollback_that_reconcile_brings_again_is_the_way_back(world: World) -> None:
    """What the undecided rollback was to undo is undone by it."""
    undecided(world)
    found = reconcile(world.site, trigger=Trigger.EXPLICIT)
    assert found.repair is not None
    assert ended(found.repair) is Phase.SUCCEEDED
    with journal(world.site) as book:
        assert book.here.undone is not None
        assert (book.here.undone.phase, book.here.undone.release) == (Phase.ROLLED_BACK, release(2))


def test_an_image_that_cannot_be_fetched_when_it_is_finished(world: World) -> None:
    """What was interrupted stays unfinished while the target cannot go on with it, and is finished when it can."""
    with pytest.raises(LeaseLost):
        world.deploy(1, ledger=LosingLedger(world.site.ledger, 1))

    def failing() -> None:
        raise TargetFailed("no space")

    world.target.on_prepare = failing
    for _ in range(2):
        with pytest.raises(TargetFailed):
            world.deploy(1)
    assert world.types()[-1] == "deployment.verified"
    world.target.on_prepare = lambda: None
    assert ended(world.deploy(1)) is Phase.SUCCEEDED
    assert world.types().count("deployment.planned") == 1


def test_what_was_interrupted_and_is_refused_since_is_rolled_back(world: World) -> None:
    """A failure signed while nobody was at work: the half applied release fails, and the good one comes back."""
    world.deploy(1)
    with pytest.raises(LeaseLost):
        world.deploy(2, ledger=LosingLedger(world.site.ledger, 1))
    world.publish(2, result=Result.FAILED)
    done = rollback_or_settle(world)
    assert done == [Phase.SUPERSEDED, Phase.ROLLED_BACK, Phase.SUCCEEDED]
    assert world.runs() == image("app", 1).digest


def rollback_or_settle(world: World) -> list[Phase]:
    """What a command that settles leaves behind: the states of all deliveries."""
    reconcile(world.site, trigger=Trigger.EXPLICIT)
    with journal(world.site) as book:
        return [one.phase for one in book.here.deliveries.values()]


def test_what_was_interrupted_in_another_environment_of_today(world: World) -> None:
    """A half applied release for other services than there are today is not finished: nobody can tell what it is."""
    world.deploy(1)
    with pytest.raises(LeaseLost):
        world.deploy(2, ledger=LosingLedger(world.site.ledger, 1))
    moved = environment()
    elsewhere = replace(moved.services["app"], repository=SOURCE)
    site = world.changed(environment=replace(moved, services={"app": elsewhere}))
    world.publish(3, at=SOURCE)
    (one,) = release(3).services.values()
    wanted = DeliveredRelease(commit=None, services={"app": replace(one, repository=SOURCE)})
    done = deploy(site, Wanted(release=wanted, trigger=Trigger.EXPLICIT))
    assert ended(done) is Phase.SUCCEEDED
    assert [delivery.phase for delivery in done.settled] == [Phase.SUPERSEDED]
    assert any("has other services since" in text for text in world.told)


def test_a_registry_that_does_not_answer_is_no_reason_to_go_back_further(world: World) -> None:
    """Undecided about a candidate: nothing is touched, no older release taken, and that alone is recorded."""
    for number in (1, 2, 3):
        world.deploy(number)
    before = world.types()
    world.store.broken.add(image("app", 2).repository)
    with pytest.raises(Unreachable):
        rollback(world.site)
    assert world.types() == [*before, "environment.undecided"]
    assert world.runs() == image("app", 3).digest


@pytest.mark.parametrize("index", [False, True])
def test_a_layer_that_is_gone_is_a_release_that_is_gone(world: World, index: bool) -> None:
    """A release that lacks a layer, on any platform, is passed over; layers that are never pushed do not count."""
    for number in (1, 2, 3):
        world.deploy(number)
    digest = image("app", 2).digest
    if index:
        world.store.indexes.add(digest)
    world.store.lost.add(make.digest(f"layer of {make.digest('child 1') if index else digest}"))
    done = rollback(world.site)
    assert ended(done) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest
    assert done.delivery is not None
    (over,) = done.delivery.planned.passed_over
    assert (over.reason, "no longer has" in over.message) == (Pass.GONE, True)


def test_statements_of_buildkit_are_not_looked_for(world: World) -> None:
    """An index is whole where its platforms are, though an attestation manifest that stands among them is gone."""
    for number in (1, 2):
        world.deploy(number)
    world.store.indexes.add(image("app", 1).digest)
    assert ended(rollback(world.site)) is Phase.SUCCEEDED


def test_evidence_is_read_everywhere(world: World) -> None:
    """A failure in a repository of `evidence` refuses; one that cannot be reached decides nothing."""
    asked = with_evidence(SOURCE)
    with pytest.raises(NotFound, match="has none of the images"):
        world.deploy(1, environment=asked)
    world.publish(1, at=SOURCE)
    assert ended(world.deploy(1, environment=asked)) is Phase.SUCCEEDED
    world.publish(1, at=SOURCE, result=Result.FAILED)
    assert ended(world.deploy(1, environment=asked)) is Phase.REFUSED
    world.store.broken.add(SOURCE)
    with pytest.raises(Unreachable):
        world.deploy(1, environment=asked)


def test_what_was_cleaned_up_at_the_source_is_no_obstacle_to_the_way_back(world: World) -> None:
    """A rollback does not demand that `evidence` still knows the image; an unreachable place still stops it."""
    world.deploy(1)
    world.deploy(2)
    site = world.changed(environment=with_evidence(SOURCE))
    assert ended(rollback(site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest
    world.deploy(3)
    world.store.broken.add(SOURCE)
    with pytest.raises(Unreachable):
        rollback(site)
    assert world.runs() == image("app", 3).digest


def test_evidence_is_expected_everywhere_when_a_deployment_is_finished(world: World) -> None:
    """An interrupted deployment is finished on the evidence that a new one would need, and else left undecided."""
    world.deploy(1)
    with pytest.raises(LeaseLost):
        world.deploy(2, ledger=LosingLedger(world.site.ledger, 1))
    assert world.types()[-1] == "deployment.probing"
    nowhere = Repository(host="registry.example.org", path="plex/spelt-wrong")
    with pytest.raises(NotFound, match="spelt-wrong"):
        world.deploy(2, environment=with_evidence(nowhere))
    assert len(world.target.applied) == 2
    assert ended(rollback(world.changed(environment=with_evidence(nowhere)))) is Phase.SUCCEEDED


def test_the_place_pulled_from_may_stand_in_evidence(world: World) -> None:
    """A repository that is both is read once, and knows the image."""
    site = world.changed(environment=with_evidence(image("app", 1).repository))
    done = deploy(site, Wanted(release=release(1), trigger=Trigger.EXPLICIT))
    assert ended(done) is Phase.SUCCEEDED


def test_a_verdict_about_other_images_carries_nothing_out(world: World) -> None:
    """What applies takes a `Passed`, and checks that it is about exactly what it applies."""
    world.deploy(1)
    policy = make.policy([make.lane("test")])
    signed = make.bundle(make.party("ci"), make.payload([make.image().digest], make.context()))
    other = make.decide(policy, make.release(), signed)
    assert isinstance(other, Passed)
    with journal(world.site) as book, pytest.raises(InternalError, match="other images"):
        carry_out(other, book, 1)
    assert len(world.target.applied) == 1


def test_a_ledger_that_says_what_cannot_be_true_is_believed_in_nothing(world: World) -> None:
    """A record that somebody put there, whole as it is in its chain, ends every command."""
    entry = Entry(
        type="deployment.succeeded", environment="staging", actor="x", payload={"deployment": 7, "services": {}}
    )
    world.site.ledger.append(entry)
    with pytest.raises(LedgerMisbehaved, match="cannot be believed"):
        world.deploy(1)
    assert world.target.applied == []


def test_a_rollback_that_fails_stays(world: World) -> None:
    """No rollback of a rollback by itself; the next explicit one undoes it and goes further back."""
    for number in (1, 2, 3):
        world.deploy(number)
    world.prober.sick = {image("app", 2).digest}
    done = rollback(world.site)
    assert (ended(done), done.rollback) == (Phase.FAILED, None)
    assert world.runs() == image("app", 2).digest
    with journal(world.site) as book:
        assert book.here.interrupted_rollback is None  # nor does the next command think that one is due
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest


def test_a_failed_rollback_ends_an_automatic_one(world: World) -> None:
    """Where what was good before is not any more, both are marked, and what runs is said to have failed."""
    world.deploy(1)
    world.prober.sick = {image("app", 1).digest, image("app", 2).digest}
    done = world.deploy(2)
    assert ended(done) is Phase.ROLLBACK_FAILED
    assert done.rollback is not None
    assert done.rollback.phase is Phase.FAILED
    assert len(world.target.applied) == 3


def test_a_rollback_that_was_planned_is_given_up_and_made_anew(world: World) -> None:
    """A rollback that was interrupted before it touched anything does not count."""
    world.deploy(1)
    world.deploy(2)
    with pytest.raises(LeaseLost):
        rollback(world.changed(ledger=LosingLedger(world.site.ledger, 0)))
    assert world.runs() == image("app", 2).digest
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest


def test_a_rollback_that_was_interrupted_is_not_displaced(world: World) -> None:
    """Given up before it touched anything, what somebody asked for still keeps automatic deployments waiting."""
    world.deploy(1)
    world.deploy(2)
    with pytest.raises(LeaseLost):
        rollback(world.changed(ledger=LosingLedger(world.site.ledger, 0)))
    automatic = Wanted(release=release(3), trigger=Trigger.AUTOMATIC)
    done = deploy(world.site, automatic)
    assert ended(done) is Phase.REFUSED
    assert done.obstacle is not None
    assert done.obstacle.cause is Cause.HELD
    assert world.runs() == image("app", 2).digest
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest


def test_a_rollback_whose_image_cannot_be_fetched_is_not_displaced(world: World) -> None:
    """A rollback that ended before it touched anything keeps automatic deployments waiting, as a finished one does."""
    world.deploy(1)
    world.deploy(2)

    def fail() -> None:
        raise TargetFailed("no room")

    world.target.on_prepare = fail
    with pytest.raises(TargetFailed):
        rollback(world.site)
    world.target.on_prepare = lambda: None
    assert ended(deploy(world.site, Wanted(release=release(3), trigger=Trigger.AUTOMATIC))) is Phase.REFUSED
    assert ended(world.deploy(3)) is Phase.SUCCEEDED  # a person may go past it


def test_a_repair_that_fails_is_rolled_back(world: World) -> None:
    """What should run, runs again and is not healthy any more: it goes back to the release before it."""
    world.deploy(1)
    world.deploy(2)
    world.target.running["app"] = replace(world.target.running["app"], digests=frozenset({make.digest("evil")}))
    world.prober.sick = {image("app", 2).digest}
    found = reconcile(world.site, trigger=Trigger.AUTOMATIC)
    assert found.repair is not None
    assert ended(found.repair) is Phase.ROLLED_BACK
    assert world.runs() == image("app", 1).digest


def test_the_journal_reads_what_it_writes(world: World) -> None:
    """Each record that is written is in the history at once."""
    world.deploy(1)
    with journal(world.site) as book:
        assert isinstance(book, Journal)
        assert book.here.current == book.delivery(1)


def undecided(world: World) -> None:
    """Releases 1 and 2, and a rollback from 2 of which nobody can tell what it came to."""
    world.deploy(1)
    world.deploy(2)
    world.prober.health = Health.ERROR
    assert ended(rollback(world.site)) is Phase.ERROR
    world.prober.health = Health.HEALTHY


def test_a_rollback_that_nobody_could_tell_of_is_brought_again(world: World) -> None:
    """A second `attest rollback` brings the same release, marks nothing more, and goes no further back."""
    undecided(world)
    done = rollback(world.site, reason="once more")
    assert done.delivery is not None
    assert (ended(done), done.delivery.kind, done.delivery.planned.reason) == (
        Phase.SUCCEEDED,
        Kind.REPAIR,
        "once more",
    )
    assert world.runs() == image("app", 1).digest
    with journal(world.site) as book:
        assert set(book.here.bad) == {release(2).key}
        assert book.here.current == done.delivery
    assert done.hold is not None  # of the first rollback


def test_however_often_nobody_can_tell(world: World) -> None:
    """The third one brings it again too, and so does one behind a repair that `attest reconcile` made."""
    undecided(world)
    world.prober.health = Health.ERROR
    assert ended(rollback(world.site)) is Phase.ERROR
    world.target.running["app"] = replace(world.target.running["app"], digests=frozenset({make.digest("evil")}))
    found = reconcile(world.site, trigger=Trigger.AUTOMATIC)
    assert found.repair is not None
    assert ended(found.repair) is Phase.ERROR
    world.prober.health = Health.HEALTHY
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest


def test_a_rollback_that_is_brought_again_and_fails_stays(world: World) -> None:
    """Now it is known to be bad: it is not rolled back by itself, and the next one goes further back."""
    world.deploy(3)
    undecided(world)
    world.prober.sick = {image("app", 1).digest}
    done = rollback(world.site)
    assert (ended(done), done.rollback) == (Phase.FAILED, None)
    assert world.runs() == image("app", 1).digest
    with journal(world.site) as book:
        assert book.here.interrupted_rollback is None
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 3).digest


def test_a_rollback_that_is_brought_again_and_interrupted(world: World) -> None:
    """The third one finishes the second; where today's policy refuses it by then, it failed, and nothing follows."""
    undecided(world)
    with pytest.raises(LeaseLost):
        rollback(world.changed(ledger=LosingLedger(world.site.ledger, 1)))
    assert world.types()[-1] == "deployment.probing"
    planned = world.types().count("deployment.planned")
    done = rollback(world.site)
    assert (ended(done), world.types().count("deployment.planned")) == (Phase.SUCCEEDED, planned)


def test_a_rollback_that_is_brought_again_and_refused_when_it_is_finished(world: World) -> None:
    """Interrupted, and refused by today's policy since: it failed, no rollback follows by itself, and none is due."""
    world.deploy(3)
    undecided(world)
    with pytest.raises(LeaseLost):
        rollback(world.changed(ledger=LosingLedger(world.site.ledger, 1)))
    world.publish(1, result=Result.FAILED)
    done = rollback(world.site)
    assert (ended(done), done.rollback) == (Phase.FAILED, None)
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 3).digest


def test_a_rollback_that_is_brought_again_meets_no_freeze(world: World) -> None:
    """It is the rollback that somebody asked for, so it is exempt as that was."""
    undecided(world)
    with journal(world.site) as book:
        book.write(Frozen(until=None, reason="holidays"))
    assert ended(rollback(world.site)) is Phase.SUCCEEDED


def test_a_rollback_that_today_refuses_to_bring_again(world: World) -> None:
    """Nothing is touched or marked, and it is said how to go elsewhere; `--to` does."""
    world.deploy(3)
    undecided(world)
    world.publish(1, result=Result.FAILED)
    done = rollback(world.site)
    assert ended(done) is Phase.REFUSED
    assert any("--to" in text for text in world.told)
    with journal(world.site) as book:
        assert set(book.here.bad) == {release(2).key}
    assert ended(rollback(world.site, to=1)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 3).digest


def test_a_repair_of_a_rollback_that_succeeded_is_undone_as_any_other(world: World) -> None:
    """What was confirmed once is no undecided rollback: a later repair that errs is gone back from."""
    world.deploy(3)
    world.deploy(1)
    world.deploy(2)
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    world.target.running["app"] = replace(world.target.running["app"], digests=frozenset({make.digest("evil")}))
    world.prober.health = Health.ERROR
    reconcile(world.site, trigger=Trigger.AUTOMATIC)
    world.prober.health = Health.HEALTHY
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 3).digest


def test_a_rollback_of_other_services_than_today_is_not_brought_again(world: World) -> None:
    """Nothing is touched, marked or recorded: it says that the release does not fit, and what does."""
    undecided(world)
    before = world.types()
    moved = environment()
    elsewhere = replace(moved.services["app"], repository=SOURCE)
    with pytest.raises(UsageError, match="is for other services") as raised:
        rollback(world.changed(environment=replace(moved, services={"app": elsewhere})))
    assert "--to" in (raised.value.hint or "")
    assert world.types() == before


def _names(number: int) -> frozenset[Digest]:
    """63 digests that no other number has."""
    return frozenset(make.digest(f"{number} {name}") for name in range(63))


@dataclass(slots=True)
class Crowd(FakeTarget):
    """As many instances as a hook may tell of, each with as many digests, and as much to say."""

    def observe(self) -> Mapping[str, Observed]:
        """As `attest.targetports.Target`."""
        (one,) = FakeTarget.observe(self)["app"].instances or (None,)
        if one is None:
            return {"app": Observed(service="app", instances=())}
        instances = tuple(
            replace(one, name=f"app-{number}", digests=one.digests | _names(number), detail="\x01" * 1024)
            for number in range(1000)
        )
        return {"app": Observed(service="app", instances=instances)}


def test_the_outcome_of_a_crowd_can_be_recorded(world: World) -> None:
    """A thousand instances of 64 digests each are observed, compared, and recorded in part: it comes to its end."""
    crowd = Crowd()
    world.prober.target = crowd
    assert ended(world.deploy(1, target=crowd)) is Phase.SUCCEEDED
    with journal(world.site) as book:
        assert book.here.current is not None
        seen = book.here.current.services["app"]
    assert seen.match is Match.SAME
    assert len(seen.instances) + seen.more == 1000
