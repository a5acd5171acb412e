"""What may come next: candidates of a rollback, what stands in the way, what a delivery came to, who gets what."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from attest.core.delivery.candidates import candidates, unlike
from attest.core.delivery.fitting import release_of_file, release_of_images
from attest.core.delivery.fold import fold
from attest.core.delivery.gates import freeze, obstacle
from attest.core.delivery.history import Delivery, EnvironmentHistory
from attest.core.delivery.machine import Phase
from attest.core.delivery.outcome import conclude, matches, restarted, unconfirmed
from attest.core.delivery.records import (
    Applying,
    Cause,
    Frozen,
    Held,
    Kind,
    Pass,
    Probing,
    Stage,
    Trigger,
)
from attest.core.delivery.verdicts import why
from attest.core.environment.definition import (
    Environment,
    EnvironmentService,
    ExecProbe,
    Freeze,
    HookTarget,
    LedgerPlace,
)
from attest.core.environment.fields import LedgerUrl
from attest.core.environment.health import Health, ProbeResult, ProbeRule
from attest.core.environment.targets import Instance, Observed, RunState
from attest.core.reference import LayoutImage, RegistryImage, Repository
from attest.core.releasedocument import ReleaseFile, Service
from attest.core.verdict import Refused
from attest.errors import UsageError
from tests.core import make, make_delivery
from tests.core.make import NOW, digest
from tests.core.make_delivery import ENVIRONMENT, Book, image, planned, release

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
RULE = ProbeRule(successes=1, timeout=SECOND, interval=SECOND, patience=SECOND)


def environment(*names: str, freezes: tuple[Freeze, ...] = ()) -> Environment:
    """An environment with these services, or `app`."""
    services = {
        name: EnvironmentService(
            name=name,
            repository=Repository(host="registry.example.org", path=f"plex/{name}"),
            health=ExecProbe(argv=("true",), rule=RULE),
            soak=timedelta(0),
        )
        for name in names or ("app",)
    }
    return Environment(
        name=ENVIRONMENT,
        digest=digest("environment"),
        policy="policy.yaml",
        evidence=(),
        ledger=LedgerPlace(url=LedgerUrl(url="sqlite:///l.db", file="l.db"), signer=None, head=None),
        target=HookTarget(argv=("hook",), folder=".", timeout=SECOND),
        services=services,
        freezes=freezes,
        automatic_rollback=True,
    )


def here(book: Book) -> EnvironmentHistory:
    """An environment, as its records leave it."""
    return fold(book).of(ENVIRONMENT)


def offered(book: Book, *names: str) -> list[tuple[int, str]]:
    """The candidates of a rollback: numbers, and `good` or why not."""
    history = here(book)
    assert history.current is not None
    services = {name: service.repository for name, service in environment(*names).services.items()}
    return [
        (one.number, "good") if isinstance(one, Delivery) else (one.deployment, str(one.reason))
        for one in candidates(history, services, undone=history.current)
    ]


# ---- candidates


def test_the_newest_comes_first_and_each_once() -> None:
    """Releases that were healthy, newest first, each by its newest healthy delivery; what is undone is not offered."""
    book = Book()
    first, second = book.deliver(release(1)), book.deliver(release(2))
    assert offered(book) == [(first, "good")]
    again, third = book.deliver(release(1)), book.deliver(release(3))
    assert offered(book) == [(again, "good"), (second, "good")]
    book.deliver(release(1), "error")
    assert offered(book) == [(third, "good"), (second, "good")]


def test_what_never_changed_anything_is_no_candidate() -> None:
    """Releases that were refused or given up do not even stand among those passed over."""
    book = Book()
    book.deliver(release(1), "refused policy")
    book.deliver(release(2), "superseded")
    book.deliver(release(3))
    assert offered(book) == []


def test_why_a_release_is_passed_over() -> None:
    """Bad, never healthy, only waived, or not of the services of today: each says which."""
    book = Book()
    good = book.deliver(release(1))
    other = book.deliver(release(2, services=("app", "gone")))
    moved = release(3)
    far = dataclasses.replace(image("app", 3), repository=Repository(host="far.example.org", path="plex/app"))
    elsewhere = book.deliver(moved.model_copy(update={"services": {"app": far}}))
    older = book.deliver(release(4, services=("other",)))
    unknown = book.deliver(release(5), "error")
    bad = book.deliver(release(6), "failed")
    waived = book.write(planned(release(7), waiver=digest("waiver")))
    book.write(make_delivery.waived(waived, release(7)))
    book.write(Applying(deployment=waived))
    book.write(Probing(deployment=waived))
    book.end(waived, release(7), "succeeded")
    book.deliver(release(8))
    assert offered(book) == [
        (waived, Pass.WAIVED),
        (bad, Pass.BAD),
        (unknown, Pass.NOT_HEALTHY),
        (older, Pass.NOT_WHOLE),
        (elsewhere, Pass.NOT_WHOLE),
        (other, Pass.NOT_WHOLE),
        (good, "good"),
    ]


def test_what_was_waived_once_and_passed_once_is_good() -> None:
    """A release that also ran without a waiver is a candidate by that delivery."""
    book = Book()
    passed = book.deliver(release(1))
    waived = book.write(planned(release(1), waiver=digest("waiver")))
    book.write(make_delivery.waived(waived, release(1)))
    book.write(Applying(deployment=waived))
    book.write(Probing(deployment=waived))
    book.end(waived, release(1), "error")
    book.deliver(release(2))
    assert offered(book) == [(passed, "good")]


@pytest.mark.parametrize(
    ("services", "message"),
    [
        (("app", "web"), "it has no web"),
        ((), "it has app, which the environment does not"),
        (("app",), None),
    ],
)
def test_in_what_a_release_does_not_fit(services: tuple[str, ...], message: str | None) -> None:
    """A service too many or too few is named."""
    wanted = {name: Repository(host="registry.example.org", path=f"plex/{name}") for name in services}
    assert unlike(release(1), wanted) == message


# ---- what stands in the way


def cause(book: Book, place: Environment | None = None, **changes: Any) -> Cause | None:
    """What stands in the way of release 9, or of what the changes say."""
    kind = changes.pop("kind", Kind.DEPLOY)
    of = changes.pop("of", release(9))
    found = obstacle(planned(of, kind, **changes), here(book), place or environment(), now=NOW)
    if found is not None:
        assert found.message
        assert found.hint
    return None if found is None else found.cause


def test_nothing_stands_in_the_way_of_the_first() -> None:
    """An empty history forbids nothing."""
    assert cause(Book()) is None
    assert cause(Book(), trigger=Trigger.AUTOMATIC) is None


def test_a_bad_release_stands_in_its_own_way() -> None:
    """Neither deployed nor repaired, by whomever; other releases are free."""
    book = Book()
    book.deliver(release(9), "failed")
    assert cause(book) is Cause.BAD_RELEASE
    assert cause(book, trigger=Trigger.AUTOMATIC) is Cause.BAD_RELEASE
    assert cause(book, kind=Kind.REPAIR) is Cause.BAD_RELEASE
    assert cause(book, of=release(8)) is None


def test_a_hold_stops_what_nobody_watches() -> None:
    """Automatic deployments wait; explicit ones, and repairs of what should run, do not."""
    book = Book()
    number = book.deliver(release(1), "failed")
    book.write(Held(reverts=number, trigger=Trigger.EXPLICIT, passed_over=(), message="nothing"))
    assert cause(book, trigger=Trigger.AUTOMATIC) is Cause.HELD
    assert cause(book) is None
    assert cause(book, trigger=Trigger.AUTOMATIC, kind=Kind.REPAIR) is None


def test_a_freeze_stops_all_but_rollbacks() -> None:
    """Begun by somebody, with or without an end, or by a window of the document; an end that is over is no freeze."""
    for until, expected in ((None, Cause.FROZEN), (NOW + HOUR, Cause.FROZEN), (NOW, None)):
        book = Book()
        book.deliver(release(1))
        book.write(Frozen(until=until, reason="holidays"))
        assert cause(book) is expected
        assert cause(book, kind=Kind.REPAIR) is expected
        assert cause(book, kind=Kind.ROLLBACK, reverts=1) is None
        assert (freeze(here(book), environment(), now=NOW) is not None) is (expected is not None)
    for start, end, expected in (
        (NOW, NOW + HOUR, Cause.FROZEN),
        (NOW - HOUR, NOW, None),
        (NOW + HOUR, NOW + 2 * HOUR, None),
    ):
        window = environment(freezes=(Freeze(start=start, end=end, reason="holidays"),))
        assert cause(Book(), window) is expected


def test_a_bad_release_may_be_gone_back_to_by_nobody() -> None:
    """A rollback meets no obstacle here: that its release is not bad is what its candidates are for."""
    book = Book()
    book.deliver(release(9), "failed")
    assert cause(book, kind=Kind.ROLLBACK, reverts=1) is None


# ---- what it came to

OURS = digest("ours")
NAMES = {"app": frozenset({OURS})}


def observed(*instances: Instance) -> dict[str, Observed]:
    """What was seen of `app`."""
    return {"app": Observed(service="app", instances=instances)}


def instance(at: str = "ours", state: RunState = RunState.RUNNING, **more: Any) -> Instance:
    """One container."""
    return Instance(name="app-1", state=state, digests=frozenset({digest(at)}), **more)


def result(health: Health) -> ProbeResult:
    """What a probe came to."""
    return ProbeResult(health=health, detail=f"it is {health}", looks=1, streak=1)


H, U, E = Health.HEALTHY, Health.UNHEALTHY, Health.ERROR


@pytest.mark.parametrize(
    ("seen", "probe", "soak", "phase", "stage", "message"),
    [
        (instance(), H, H, Phase.SUCCEEDED, Stage.PROBING, ""),
        (instance(), U, None, Phase.FAILED, Stage.PROBING, "app: it is unhealthy"),
        (instance(), H, U, Phase.FAILED, Stage.PROBING, "app: it is unhealthy"),
        (instance(), E, None, Phase.ERROR, Stage.PROBING, "app: it is error; app: nobody looked"),
        (instance(), H, E, Phase.ERROR, Stage.PROBING, "app: it is error"),
        (instance(), None, None, Phase.ERROR, Stage.PROBING, "app: nobody looked"),
        (instance(), H, None, Phase.ERROR, Stage.PROBING, "app: nobody looked"),
        (instance("other"), H, H, Phase.ERROR, Stage.CONFIRMING, "app runs another image (sha256:"),
        (instance("other"), U, U, Phase.ERROR, Stage.CONFIRMING, "app runs another image (sha256:"),
        (instance(state=RunState.UNKNOWN), U, U, Phase.ERROR, Stage.CONFIRMING, "app runs nobody knows what"),
        (instance(state=RunState.ABSENT), H, H, Phase.ERROR, Stage.CONFIRMING, "app does not run"),
        (instance(state=RunState.ABSENT), U, None, Phase.FAILED, Stage.PROBING, "app: it is unhealthy"),
        (instance(state=RunState.EXITED, exit_code=1), H, H, Phase.FAILED, Stage.PROBING, "it ended as it should"),
        (instance(state=RunState.WAITING), H, H, Phase.FAILED, Stage.PROBING, "it does not go on running"),
        (instance(state=RunState.WAITING), E, None, Phase.ERROR, Stage.PROBING, "app: it is error"),
        (None, H, H, Phase.ERROR, Stage.CONFIRMING, "app runs nobody knows what"),
    ],
)
def test_what_follows_from_a_look_and_the_probes(
    seen: Instance | None, probe: Health | None, soak: Health | None, phase: Phase, stage: Stage, message: str
) -> None:
    """Succeeded needs the image, a probe and a soak; something else that runs says nothing about the release."""
    look = {} if seen is None else observed(seen)
    outcome = conclude(
        matches(look, NAMES),
        observed=look,
        probes={} if probe is None else {"app": result(probe)},
        soaks={} if soak is None else {"app": result(soak)},
    )
    assert (outcome.phase, outcome.stage) == (phase, stage)
    assert message in outcome.message
    assert bool(outcome.message) is bool(message)


def test_what_was_started_anew_during_its_soak_failed() -> None:
    """A container that crashed and came back within the soak is not healthy."""
    look = observed(instance())
    found = matches(look, NAMES)
    well = {"app": result(H)}
    outcome = conclude(found, observed=look, probes=well, soaks=well, anew=frozenset({"app"}))
    assert (outcome.phase, outcome.message) == (
        Phase.FAILED,
        "app: it was started anew while it had to stay healthy",
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"started": "1"}, {"started": "1"}, False),
        ({"started": "1"}, {"started": "2"}, True),
        ({"started": "1", "instance": "a"}, {"started": "1", "instance": "b"}, True),
        ({"started": None}, {"started": "2"}, False),
        ({"started": "1"}, {"started": None}, False),
        ({"started": "1"}, {"started": "2", "ends": True}, False),
    ],
)
def test_what_a_second_start_looks_like(before: dict[str, Any], after: dict[str, Any], expected: bool) -> None:
    """Another start or another id under the same name; of what is made to end, that is no matter."""
    one, other = (Observed(service="app", instances=(instance(**fields),)) for fields in (before, after))
    assert restarted(one, other) is expected
    assert restarted(Observed(service="app", instances=()), other) is False


def test_what_is_not_confirmed_is_told_in_words() -> None:
    """Which service, what is wrong, and by which digest or in which words of the target."""
    absent = {"app": Observed(service="app", instances=(), detail="no such service")}
    assert unconfirmed(matches(absent, NAMES), absent) == "app does not run (no such service)"
    assert unconfirmed(matches({}, NAMES), {}) == "app runs nobody knows what"
    assert unconfirmed(matches(observed(instance()), NAMES), observed(instance())) is None


# ---- who gets what


def file_of(*names: str) -> ReleaseFile:
    """A release file that found its images elsewhere."""
    repository = Repository(host="built.example.org", path="ci")
    services = {
        name: Service(image=LayoutImage(path="build", digest=digest(name)), repository=repository) for name in names
    }
    return ReleaseFile(commit=make.COMMIT, services=services)


def test_a_release_file_names_digests() -> None:
    """Each service gets the digest of its name, from the repository that it is bound to, in the environment's order."""
    made = release_of_file(environment("web", "app"), file_of("app", "web"))
    assert made.commit == make.COMMIT
    assert {name: str(one) for name, one in made.services.items()} == {
        "web": f"registry.example.org/plex/web@{digest('web')}",
        "app": f"registry.example.org/plex/app@{digest('app')}",
    }
    assert list(made.services) == ["web", "app"]


@pytest.mark.parametrize(
    ("names", "message"), [(("app",), "no image for web"), (("app", "web", "more"), "a service more")]
)
def test_a_release_file_has_the_services_of_the_environment(names: tuple[str, ...], message: str) -> None:
    """One too few or too many is a usage error that names it."""
    with pytest.raises(UsageError, match=message):
        release_of_file(environment("app", "web"), file_of(*names))


def test_images_go_to_the_services_of_their_repository() -> None:
    """An image is for every service that is bound to its repository."""
    place = environment("app", "web")
    shared = dataclasses.replace(place.services["web"], repository=place.services["app"].repository)
    both = dataclasses.replace(place, services={**place.services, "web": shared})
    assert release_of_images(both, [image("app", 1)]).services == {"app": image("app", 1), "web": image("app", 1)}
    assert release_of_images(place, [image("web", 1), image("app", 2)]).services == {
        "app": image("app", 2),
        "web": image("web", 1),
    }


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([image("app", 1)], "no image is named for web"),
        ([image("app", 1), image("web", 1), image("other", 1)], "the repository of no service"),
        ([image("app", 1), image("web", 1), image("app", 2)], "app would get two images"),
    ],
)
def test_images_that_do_not_fit(images: list[RegistryImage], message: str) -> None:
    """An image for no service, two for one, or none for one: a usage error that says which."""
    with pytest.raises(UsageError, match=message):
        release_of_images(environment("app", "web"), images)


# ---- why it was refused


def test_why_a_release_was_refused_in_one_line() -> None:
    """What refuses the release, the image and the lane, the lanes that are present left out."""
    one = make.image()
    policy = make.policy([make.lane("unit"), make.lane("e2e")], revoked=[one.digest], expires=NOW)
    signed = make.bundle(make.party("ci"), make.payload([one.digest], make.context("unit")))
    made = make.decide(policy, make.release(one), signed)
    assert isinstance(made, Refused)
    text = why(made)
    assert "expired" in text
    assert "is revoked" in text
    assert "e2e is missing" in text
    assert "unit" not in text
