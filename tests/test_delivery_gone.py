"""Images that turn out to be gone when they are fetched, and what a registry that does not answer means instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from attest.core import oci
from attest.core.delivery.candidates import LISTED
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Kind, Pass, PassedOver, Trigger
from attest.core.environment.targets import DesiredImage
from attest.core.reference import Digest, ImageReference, RegistryImage
from attest.core.release import StoredImage
from attest.errors import LeaseLost, NotFound, StoreError, TargetFailed, Unreachable
from attest.ops.delivery.deploy import rollback
from attest.ops.delivery.reconcile import reconcile
from attest.ops.delivery.site import Journal, journal
from attest.ports import Attached
from tests.core import make
from tests.core.make_delivery import Book, image, policy, release
from tests.fake_site import FakeStore, FakeTarget, LosingLedger, World, ended, open_world


@dataclass(slots=True)
class Engine(FakeTarget):
    """Fetches what it is told from the store, as an engine does, and cannot do without any of it."""

    store: FakeStore = field(default_factory=FakeStore)

    def prepare(self, plan: Sequence[DesiredImage]) -> None:
        """As `attest.targetports.Target`."""
        self.on_prepare()
        for one in plan:
            try:
                manifest = self.store.manifest(one.reference)
                assert isinstance(manifest, oci.Manifest)
                next(self.store.stream(one.reference, manifest.layers[0]))
            except StoreError as error:
                raise TargetFailed(f"the engine could not pull {one.reference}") from error


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An environment whose target pulls, with releases 1 to 3 deployed one after the other."""
    with open_world(tmp_path) as made:
        made.target = Engine(store=made.store)
        made.prober.target = made.target
        made.site = made.changed(target=made.target)
        for number in (1, 2, 3):
            made.deploy(number)
        yield made


def layer(number: int) -> Digest:
    """The layer of a release's image."""
    return make.digest(f"layer of {image('app', number).digest}")


def phases(world: World) -> list[tuple[Kind, Phase]]:
    """Of all deliveries."""
    return [(one.kind, one.phase) for one in here(world).here.deliveries.values()]


def here(world: World) -> Journal:
    """How things stand."""
    with journal(world.site) as book:
        return book


def passed_over(world: World) -> tuple[PassedOver, ...]:
    """What the delivery that changed the environment last passed over."""
    current = here(world).here.current
    assert current is not None
    return current.planned.passed_over


@pytest.mark.parametrize("trigger", Trigger)
def test_a_layer_that_only_seems_to_be_there(world: World, trigger: Trigger) -> None:
    """A registry that says it has a blob and does not hand it out: the rollback is given up, the older one taken."""
    world.store.remembered.add(layer(2))
    if trigger is Trigger.EXPLICIT:
        assert ended(rollback(world.site)) is Phase.SUCCEEDED
    else:
        world.publish(4)
        world.prober.sick = {image("app", 4).digest}
        assert ended(world.deploy(4)) is Phase.ROLLED_BACK
        world.store.remembered.add(layer(3))
        world.publish(5)
        world.prober.sick = {image("app", 5).digest}
        assert ended(world.deploy(5)) is Phase.ROLLED_BACK
    assert world.runs() == image("app", 1).digest
    given_up, last = phases(world)[-2:]
    assert (given_up, last) == ((Kind.ROLLBACK, Phase.SUPERSEDED), (Kind.ROLLBACK, Phase.SUCCEEDED))
    assert [(one.reason, "no longer has" in one.message) for one in passed_over(world)][-1] == (Pass.GONE, True)
    assert image("app", 2) not in [one["app"] for one in world.target.applied[3:]]
    assert any("passing over the release of delivery 6 (gone)" in text for text in world.told)


@dataclass(slots=True)
class Deleting(FakeStore):
    """Loses an image while its evidence is read."""

    victim: RegistryImage | None = None

    def read(self, wanted: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """As `attest.ports.Store`."""
        if wanted == self.victim:
            self.bundles.pop(wanted, None)
        return FakeStore.read(self, wanted, platform=platform, receive=receive)


def test_an_image_that_is_deleted_while_it_is_verified(world: World) -> None:
    """Gone between the look at it and the verdict, it is passed over as one that was gone before."""
    store = Deleting(bundles=world.store.bundles, victim=image("app", 2))
    site = world.changed(open_store=lambda: store)
    assert ended(rollback(site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest
    assert [(one.deployment, one.reason) for one in passed_over(world)] == [(6, Pass.GONE)]


def test_something_else_that_is_not_there_decides_nothing(world: World) -> None:
    """Where all of the image is there, whatever else was not found is no reason to go back further."""

    @dataclass(slots=True)
    class Confused(FakeStore):
        def read(self, wanted: ImageReference, **_: object) -> StoredImage:
            raise NotFound(f"an attestation of {wanted} is listed, and is not there")

    store = Confused(bundles=world.store.bundles)
    with pytest.raises(NotFound, match="an attestation"):
        rollback(world.changed(open_store=lambda: store))
    assert world.types()[-1] == "environment.undecided"
    assert world.runs() == image("app", 3).digest


@pytest.mark.parametrize("why", ["full", "silent"])
def test_a_target_that_cannot_fetch_what_is_there(world: World, why: str) -> None:
    """A full disk, or a registry that went silent, is no fault of the release: nothing older is taken."""

    def fail() -> None:
        if why == "silent":
            world.store.broken.add(image("app", 2).repository)
        raise TargetFailed("no room")

    world.target.on_prepare = fail
    with pytest.raises(TargetFailed, match="no room"):
        rollback(world.site)
    assert world.types()[-1] == "deployment.error"
    assert phases(world)[-1] == (Kind.ROLLBACK, Phase.ERROR)
    assert world.runs() == image("app", 3).digest
    assert here(world).here.hold is not None


def test_where_nothing_can_be_fetched_it_is_held(world: World) -> None:
    """Each candidate is given up in its turn; in the end what runs stays, and people have to decide."""
    world.store.remembered |= {layer(1), layer(2)}
    done = rollback(world.site)
    assert done.delivery is None
    assert done.hold is not None
    assert world.types()[-1] == "environment.held"
    assert phases(world)[-2:] == [(Kind.ROLLBACK, Phase.SUPERSEDED)] * 2
    assert world.runs() == image("app", 3).digest
    assert len(world.target.applied) == 3


def test_only_that_release_or_none(world: World) -> None:
    """`--to` a release that cannot be fetched goes to no other one."""
    world.store.remembered.add(layer(1))
    assert rollback(world.site, to=1).delivery is None
    assert world.runs() == image("app", 3).digest


def test_a_deployment_that_cannot_be_fetched_is_no_other_one(world: World) -> None:
    """A deployment whose image is gone ends as an error that says so, and nothing else is deployed."""
    world.publish(4)
    world.store.remembered.add(layer(4))
    with pytest.raises(TargetFailed):
        world.deploy(4)
    last = list(here(world).here.deliveries.values())[-1]
    assert (last.phase, "no longer has" in last.message, "could not pull" in last.message) == (Phase.ERROR, True, True)
    assert world.runs() == image("app", 3).digest


class Killed(BaseException):
    """The command ends here."""


@pytest.mark.parametrize("trigger", Trigger)
def test_killed_when_a_release_was_given_up(world: World, trigger: Trigger) -> None:
    """What is recorded by then leads the next command further: the way back is still due, and past the same release."""

    def die(text: str) -> None:
        if "(gone)" in text:
            raise Killed

    world.publish(4)
    world.store.remembered.add(layer(3) if trigger is Trigger.AUTOMATIC else layer(2))
    world.prober.sick = {image("app", 4).digest}
    fails = partial(world.deploy, 4, tell=die)
    with pytest.raises(Killed):
        (fails if trigger is Trigger.AUTOMATIC else partial(rollback, world.changed(tell=die)))()
    assert phases(world)[-1] == (Kind.ROLLBACK, Phase.SUPERSEDED)
    assert here(world).here.unfinished is None
    if trigger is Trigger.AUTOMATIC:
        reconcile(world.site, trigger=Trigger.AUTOMATIC)
        assert world.runs() == image("app", 2).digest
    else:
        assert here(world).here.hold is not None
        assert ended(rollback(world.site)) is Phase.SUCCEEDED
        assert world.runs() == image("app", 1).digest
    assert [one.reason for one in passed_over(world)] == [Pass.GONE]


# ---- what was interrupted, and is gone since


def interrupted(world: World, *, at: int = 1) -> None:
    """A rollback from 3 to 2 that was killed while it was probed."""
    with pytest.raises(LeaseLost):
        rollback(world.changed(ledger=LosingLedger(world.site.ledger, at)))
    assert world.types()[-1] == "deployment.probing"


@pytest.mark.parametrize("part", ["image", "layer", "remembered"])
def test_a_rollback_that_was_interrupted_and_is_gone_since_blocks_nothing(world: World, part: str) -> None:
    """It cannot be finished, which is recorded; the next rollback goes further back, and a deployment goes on."""
    interrupted(world)
    match part:
        case "image":
            del world.store.bundles[image("app", 2)]
        case "layer":
            world.store.lost.add(layer(2))
        case _:
            world.store.remembered.add(layer(2))
    if part == "remembered":
        with pytest.raises(TargetFailed):
            rollback(world.site)
        world.store.lost.add(layer(2))
    else:
        assert ended(rollback(world.site)) is Phase.ERROR
    assert here(world).here.unfinished is None
    assert phases(world)[-2:] == [(Kind.DEPLOY, Phase.ROLLBACK_FAILED), (Kind.ROLLBACK, Phase.ERROR)]
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 1).digest
    assert any("cannot be brought again" in text for text in world.told)


def test_a_deployment_that_was_interrupted_and_is_gone_since(world: World) -> None:
    """It is an error, nobody can tell what runs; the deployment that somebody wants instead is carried out."""
    world.publish(4)
    world.publish(5)
    with pytest.raises(LeaseLost):
        world.deploy(4, ledger=LosingLedger(world.site.ledger, 1))
    world.store.lost.add(layer(4))
    done = world.deploy(5)
    assert (ended(done), [one.phase for one in done.settled]) == (Phase.SUCCEEDED, [Phase.SUPERSEDED])
    assert any("cannot be finished" in text for text in world.told)


def test_a_registry_that_is_silent_leaves_it_interrupted(world: World) -> None:
    """Whether it is gone is not known: nothing is recorded about its end, and it is finished when that is known."""
    interrupted(world)
    world.store.broken.add(image("app", 2).repository)
    with pytest.raises(Unreachable):
        rollback(world.site)
    unfinished = here(world).here.unfinished
    assert unfinished is not None
    assert unfinished.phase is Phase.PROBING
    world.store.broken.clear()
    assert ended(rollback(world.site)) is Phase.SUCCEEDED
    assert world.runs() == image("app", 2).digest


@pytest.mark.slow
def test_a_rollback_past_a_thousand_releases_is_recorded(tmp_path: Path) -> None:
    """Each is looked at and told; the record lists the newest, counts the others, and the rollback comes to its end."""
    book = Book()
    elsewhere = {"policy": policy(name="of-before")}
    numbers = [book.deliver(release(number), verdicts=elsewhere) for number in range(1, 1_101)]
    with open_world(tmp_path) as world:
        world.site.ledger.restore(book.records)
        assert ended(rollback(world.site)) is Phase.SUCCEEDED
        assert world.runs() == image("app", 3).digest
        current = here(world).here.current
        assert current is not None
        listed, rest = current.planned.passed_over, current.planned.passed_over_rest
        assert [one.deployment for one in listed] == numbers[-2 : -2 - LISTED : -1]
        assert rest is not None
        assert (rest.count, rest.newest, rest.oldest) == (1_096 - LISTED, numbers[-2 - LISTED], numbers[3])
        assert rest.reasons == {Pass.GONE: rest.count}
        assert sum("passing over" in text for text in world.told) == 1_096
