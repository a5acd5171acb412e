"""Run a lane's command, and find out what may be signed about it.

In two steps, since what can go wrong cheaply goes wrong before the command is started: `prepare`, then `run_lane`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from attest.core.lane.link import Step, link
from attest.core.lane.observation import ObservationRefused, Seen, match, unchanged
from attest.core.lane.outcome import Decided, Ended, decide
from attest.core.lane.testreport import Empty, Judged, judge
from attest.core.reference import Digest
from attest.core.secrets import find_secret
from attest.core.strictjson import Json
from attest.errors import DocumentInvalid, NotObserved, UsageError
from attest.ports import Clock, Observe, ReadReports, RecordArtifacts, RunCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a lane runs, and what is to be told about it."""

    argv: tuple[str, ...]
    """What the user asked for, and what is signed."""
    executed: tuple[str, ...]
    """What is really started: the same, or what starts it in a container."""
    timeout: float | None
    """Seconds."""
    materials: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What reports have to show."""

    empty: Empty
    min_coverage: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a lane needs of the world. `observe` and `reports` are None where nothing of the kind was asked for."""

    run: RunCommand
    record: RecordArtifacts
    observe: Observe | None
    reports: ReadReports | None
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What was there before the command."""

    images: Mapping[Digest, frozenset[Digest]]
    """Each image that will be signed, with every digest that it may be known by."""
    seen: tuple[Seen, ...]
    materials: Mapping[str, Digest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What happened. Times are UTC."""

    command: Command
    ended: Ended
    started: datetime
    finished: datetime
    materials: Mapping[str, Digest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What may be signed about it."""

    ran: Ran
    products: Mapping[str, Digest]
    seen: tuple[Seen, ...]
    judged: Judged | None
    decided: Decided

    def link(self, lane: str) -> dict[str, Json]:
        """The predicate of the Link."""
        return link(
            Step(
                name=lane,
                command=self.ran.command.argv,
                status=self.ran.ended.status,
                signal=self.ran.ended.signal,
                started=self.ran.started,
                finished=self.ran.finished,
                environment=self.ran.command.environment,
                materials=self.ran.materials,
                products=self.products,
            )
        )


def refuse_secrets(texts: Mapping[str, str]) -> None:
    """Let nothing be signed that is a credential by its form. `texts` has each text by what it is called.

    Raises:
        UsageError: one of them holds one. It is not shown.
    """
    for name, text in texts.items():
        kind = find_secret(text)
        if kind is not None:
            raise UsageError(
                f"{name} holds {kind}, and what is signed is public",
                hint="hand it to the command in a file, or in a variable that no --env names; and replace it, "
                "since whoever sees this command line has it",
            )


def prepare(command: Command, world: World, images: Mapping[Digest, frozenset[Digest]]) -> Ready:
    """Look at what is there before the command runs.

    Raises:
        NotObserved: a container does not run one of the images, or an image runs in none.
        DocumentInvalid: a material is not there or cannot be read.
    """
    return Ready(images=images, seen=_look(world, images), materials=world.record(command.materials))


def run_lane(command: Command, world: World, ready: Ready) -> Ran:
    """Run the command to its end.

    Raises:
        UsageError: it could not be started.
    """
    started = world.clock.now()
    ended = world.run(command.executed, timeout=command.timeout)
    return Ran(
        command=command,
        ended=ended,
        started=started,
        finished=max(started, world.clock.now()),  # a clock may be set back meanwhile
        materials=ready.materials,
    )


def look_again(ran: Ran, world: World, ready: Ready, demands: Demands) -> Found:
    """Find out what may be signed.

    Where the command did not end well the result is FAILED already: reports and products that it did not write, or
    not to their end, are no further error.

    Raises:
        NotObserved: what ran is not what would be signed, all the time.
        DocumentInvalid: the command ended well, but a report or a product is not there, is old or cannot be read.
    """
    seen = _look(world, ready.images)
    try:
        unchanged(ready.seen, seen)
    except ObservationRefused as error:
        raise NotObserved(str(error), hint=_LET_RUN) from error
    judged, trouble = _judge(ran, world, demands)
    return Found(
        ran=ran,
        products=_products(ran, world),
        seen=seen,
        judged=judged,
        decided=decide(ran.ended, judged, trouble=trouble),
    )


_LET_RUN = "let the containers of exactly these images run from before the command until after it"


def _look(world: World, images: Mapping[Digest, frozenset[Digest]]) -> tuple[Seen, ...]:
    if world.observe is None:
        return ()
    try:
        return match(world.observe(), images)
    except ObservationRefused as error:
        raise NotObserved(str(error), hint=_LET_RUN) from error


def _judge(ran: Ran, world: World, demands: Demands) -> tuple[Judged | None, str | None]:
    if world.reports is None:
        return None, None
    try:
        reports = world.reports()
    except DocumentInvalid as error:
        if ran.ended.well:
            raise
        return None, error.message
    return judge(reports, empty=demands.empty, min_coverage=demands.min_coverage), None


def _products(ran: Ran, world: World) -> Mapping[str, Digest]:
    if ran.ended.well:
        return world.record(ran.command.products)
    found: dict[str, Digest] = {}
    for path in ran.command.products:
        with suppress(DocumentInvalid):
            found.update(world.record([path]))
    return found


def told_environment(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may be told, as far as they are set."""
    return {name: environment[name] for name in names if name in environment}
