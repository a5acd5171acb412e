"""The history of an environment as a page shows it: what is drawn where on its time line, and what stands below.

Everything here is values; `attest/templates/history.html.j2` makes a page of them. Texts are as they were recorded: who
writes them somewhere makes them harmless there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from attest.core.delivery.dora import WINDOW, Dora, figures
from attest.core.delivery.history import Delivery, EnvironmentHistory, History
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import AnyPayload, Applying, Frozen, Held, Kind, Released, Unfrozen
from attest.core.delivery.timeline import Course, Timeline, timeline
from attest.core.delivery.view import Entry, entries
from attest.core.ledger.chain import Head

WIDTH: Final = 880
"""Of the time line, where the deliveries need no more."""
GAP: Final = 22
"""Between the marks of two deliveries at least."""

_SECOND: Final = timedelta(seconds=1)
_STEPS: Final = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 5, 15, 60, 180, 360, 720, 1440, 2880, 10_080, 43_200, 129_600, 525_600)
)
_TICKS: Final = 9
_TICK_GAP: Final = 84


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment that is written below the time line."""

    x: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Something that lasted."""

    x: float
    width: float
    kind: str
    """Its class: `good`, `bad`, `undone`, `unknown`, `busy`, `failure`, `drift`, `frozen` or `held`."""
    title: str
    number: int | None = None
    """The delivery that it is about."""
    text: str = ""
    """What stands in it, where there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A delivery, where it was planned."""

    x: float
    number: int
    kind: Kind
    state: str
    """What it first came to, or its state while it goes on."""
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The time line. Time runs evenly between two moments at which something happened; where much did, it is wider."""

    width: float
    ticks: tuple[Tick, ...]
    releases: tuple[Bar, ...]
    """What the environment was told to run, and how that went."""
    marks: tuple[Mark, ...]
    troubles: tuple[Bar, ...]
    stops: tuple[Bar, ...]
    """Holds and freezes that somebody ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything on the page of one environment."""

    environment: str
    time: datetime
    """When it was made."""
    head: Head | None
    """The last record of the ledger, which stands for all of them."""
    here: EnvironmentHistory
    figures: Dora
    drawing: Drawing | None
    """None where nothing was ever planned."""
    entries: tuple[Entry, ...]
    """Everything that happened, the newest first."""
    courses: dict[int, Course]
    """How each delivery went, by its number."""


def page(history: History, environment: str, *, head: Head | None, now: datetime, window: timedelta = WINDOW) -> Page:
    """The page of an environment."""
    line = timeline(history, environment)
    return Page(
        environment=environment,
        time=now,
        head=head,
        here=line.here,
        figures=figures(line, now=now, window=window),
        drawing=_drawing(line, now) if line.courses else None,
        entries=tuple(reversed(entries(history, environment))),
        courses={course.number: course for course in line.courses},
    )


class Scale:
    """Where each moment stands, from left to right."""

    def __init__(self, times: Sequence[datetime], apart: frozenset[datetime]) -> None:
        """For these moments, of which those in `apart` keep their distance from the one before."""
        self._times = sorted(set(times))
        span = max(self._times[-1] - self._times[0], _SECOND)
        self._places: list[float] = []
        for time in self._times:
            even = WIDTH * ((time - self._times[0]) / span)
            least = self._places[-1] + (GAP if time in apart else 1) if self._places else 0
            self._places.append(max(even, least))

    @property
    def width(self) -> float:
        """Of all of it."""
        return self._places[-1]

    def __call__(self, time: datetime) -> float:
        """Where a moment stands; what is outside stands at the end."""
        after = bisect_right(self._times, time)
        if after == 0:
            return 0
        if after == len(self._times):
            return self.width
        begin, end = self._times[after - 1], self._times[after]
        left, right = self._places[after - 1], self._places[after]
        return left + (right - left) * ((time - begin) / (end - begin))

    def ticks(self) -> Iterator[Tick]:
        """Round moments, as many as there is room for."""
        first, last = self._times[0], self._times[-1]
        step = next((step for step in _STEPS if (last - first) / step <= _TICKS), _STEPS[-1])
        form = "%Y-%m-%d" if step >= timedelta(days=1) else "%m-%d %H:%M"
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        time = midnight + step * -((midnight - first) // step)
        free = 0.0
        while time <= last:
            x = self(time)
            if x >= free and x <= self.width - _TICK_GAP / 2:
                yield Tick(x=x, text=time.strftime(form))
                free = x + _TICK_GAP
            time += step


def _drawing(line: Timeline, now: datetime) -> Drawing:
    stops = list(_stops(line, now))
    planned = [course.delivery.since for course in line.courses]
    times = [now, *planned]
    times += [course.ended for course in line.courses if course.ended is not None]
    times += [time for incident in line.incidents for time in (incident.since, incident.ended) if time is not None]
    times += [time for begin, end, _, _ in stops for time in (begin, end)]
    scale = Scale([time for time in times if time <= now] or [now], frozenset(planned))
    return Drawing(
        width=round(scale.width, 1),
        ticks=tuple(Tick(x=round(tick.x, 1), text=tick.text) for tick in scale.ticks()),
        releases=tuple(_releases(line, scale, now)),
        marks=tuple(
            Mark(
                x=round(scale(course.delivery.since), 1),
                number=course.number,
                kind=course.delivery.kind,
                state=str(course.result or course.delivery.phase),
                title=title_of(course),
            )
            for course in line.courses
        ),
        troubles=tuple(
            _bar(scale, incident.since, incident.ended or now, str(incident.trouble), incident.message)
            for incident in line.incidents
        ),
        stops=tuple(_bar(scale, begin, end, kind, why) for begin, end, kind, why in stops),
    )


def title_of(course: Course) -> str:
    """A delivery in a line."""
    delivery = course.delivery
    what = str(delivery.kind)
    if delivery.undoes is not None:
        what = (
            f"{what} of {delivery.undoes}" if delivery.kind is Kind.ROLLBACK else f"{what}, to undo {delivery.undoes}"
        )
    result = str(course.result or delivery.phase)
    later = "" if result == delivery.phase else f", now {delivery.phase}"
    message = f": {delivery.message}" if delivery.message else ""
    return f"{delivery.number} {what} {result}{later}{message}"


def _bar(scale: Scale, begin: datetime, end: datetime, kind: str, title: str, number: int | None = None) -> Bar:
    x = scale(begin)
    width = max(scale(end) - x, 2)
    return Bar(x=round(x, 1), width=round(width, 1), kind=kind, title=title, number=number)


_LETTER: Final = 7.5
"""How wide a letter is in a bar."""


def _releases(line: Timeline, scale: Scale, now: datetime) -> Iterator[Bar]:
    """What the environment was told to run, one after the other, each until it was told something else."""
    told = [(course, began) for course in line.courses if (began := course.when(Phase.APPLYING)) is not None]
    ends = [*(began for _, began in told[1:]), now]
    for (course, began), end in zip(told, ends, strict=False):  # one end too many where nothing was told
        bar = _bar(scale, began, max(began, end), _colour(course), title_of(course), course.number)
        text = release_name(course.delivery)
        yield replace(bar, text=text) if bar.width >= _LETTER * (len(text) + 1) else bar


_UNDONE: Final = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.HELD})


def _colour(course: Course) -> str:
    match course.result:
        case Phase.SUCCEEDED:
            return "undone" if course.delivery.phase in _UNDONE else "good"
        case Phase.FAILED:
            return "bad"
        case None:
            return "busy"
        case _:
            return "unknown"


def release_name(delivery: Delivery) -> str:
    """A short name of a release: its commit, else its key."""
    commit = delivery.release.commit
    return commit[:9] if commit is not None else delivery.release.key.removeprefix("sha256:")[:9]


def _stops(line: Timeline, now: datetime) -> Iterator[tuple[datetime, datetime, str, str]]:
    """When somebody let nothing be deployed, and when automatic deployments were held."""
    frozen: tuple[datetime, datetime | None, str] | None = None
    for one in line.records:
        time, payload = one.record.time, one.payload
        if isinstance(payload, Frozen | Unfrozen) and frozen is not None:
            yield _freeze(*frozen, end=time)
            frozen = None
        if isinstance(payload, Frozen):
            frozen = (time, payload.until, payload.reason)
    if frozen is not None:
        yield _freeze(*frozen, end=now)
    yield from _holds(line, now)


def _freeze(
    begin: datetime, until: datetime | None, reason: str, *, end: datetime
) -> tuple[datetime, datetime, str, str]:
    return begin, end if until is None else max(begin, min(until, end)), "frozen", f"frozen: {reason}"


def _holds(line: Timeline, now: datetime) -> Iterator[tuple[datetime, datetime, str, str]]:
    why = "automatic deployments held"
    begun: datetime | None = None
    for one in line.records:
        time, payload = one.record.time, one.payload
        if isinstance(payload, Released) and payload.hold:
            if begun is not None:
                yield begun, max(begun, time), "held", why
            begun = None
        elif begun is None and (isinstance(payload, Held) or _goes_back(line, payload)):
            begun = time
    if begun is not None:
        yield begun, max(begun, now), "held", why


def _goes_back(line: Timeline, payload: AnyPayload) -> bool:
    """Whether it is the moment at which a rollback changes the environment, which holds automatic deployments."""
    return isinstance(payload, Applying) and line.here.deliveries[payload.deployment].kind is Kind.ROLLBACK


_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def span(value: timedelta) -> str:
    """So much time, for people: `44 s`, `31 min`, `2.5 h`, `3.1 d`."""
    seconds = value.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size:
            amount = seconds / size
            return f"{amount:.0f} {unit}" if amount >= 10 else f"{amount:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"
