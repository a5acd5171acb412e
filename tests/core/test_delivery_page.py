"""What is drawn where on a time line."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.delivery.fold import fold
from attest.core.delivery.history import Delivery
from attest.core.delivery.page import GAP, WIDTH, Bar, Drawing, Page, Scale, page, release_name, span
from attest.core.delivery.records import Frozen, Kind, Released, Unfrozen
from tests.core.make import NOW
from tests.core.make_delivery import ENVIRONMENT, Book, release
from tests.core.make_story import HOUR, Story, of, story


def made(book: Book, **more: Any) -> Page:
    """The page of a ledger, a moment after its last record."""
    return page(fold(book), ENVIRONMENT, head=book.head, now=book.time + timedelta(seconds=1), **more)


def drawn(book: Book, now: datetime | None = None) -> Drawing:
    """Its time line."""
    shown = page(fold(book), ENVIRONMENT, head=book.head, now=now or book.time + timedelta(seconds=1))
    assert shown.drawing is not None
    return shown.drawing


def kinds(bars: tuple[Bar, ...]) -> list[str]:
    """Of bars, in order."""
    return [bar.kind for bar in bars]


# ---- the page


def test_everything_that_happened_is_on_the_page() -> None:
    """Deliveries and events, the newest first, with how each delivery went."""
    book = story()
    shown = made(book)
    assert shown.head == book.head
    assert [entry.number for entry in shown.entries] == sorted((entry.number for entry in shown.entries), reverse=True)
    deliveries = [entry.number for entry in shown.entries if isinstance(entry, Delivery)]
    assert sorted(shown.courses) == sorted(deliveries)
    assert shown.figures.deployments == 3
    assert made(book, window=timedelta(days=1)).figures.deployments == 1


def test_an_empty_ledger_has_nothing_to_draw() -> None:
    """There is a page all the same."""
    shown = made(Book())
    assert (shown.drawing, shown.entries, shown.head, shown.here.current) == (None, (), None, None)


# ---- the drawing


def test_every_delivery_has_a_mark() -> None:
    """At its place in time, with what it first came to, and what it is now in words."""
    found = drawn(story()).marks
    assert [(str(mark.kind), mark.state) for mark in found] == [
        ("deploy", "succeeded"),
        ("deploy", "succeeded"),
        ("deploy", "failed"),
        ("rollback", "succeeded"),
        ("deploy", "refused"),
        ("deploy", "refused"),
        ("deploy", "refused"),
        ("repair", "succeeded"),
        ("deploy", "succeeded"),
        ("rollback", "succeeded"),
        ("deploy", "superseded"),
        ("deploy", "error"),
    ]
    assert found[2].title.endswith("deploy failed, now rolled-back: unhealthy")
    assert found[3].title.startswith(f"{found[3].number} rollback of {found[2].number} succeeded")
    assert found[4].title.endswith("refused: held")


def test_releases_follow_each_other() -> None:
    """What the environment was told to run, without a gap from the first on; what was refused or given up is not it."""
    found = drawn(story()).releases
    assert kinds(found) == ["good", "good", "bad", "good", "good", "undone", "good", "unknown"]
    for before, after in itertools.pairwise(found):
        assert after.x == pytest.approx(before.x + before.width, abs=2.1)
    assert found[0].text == "1" * 9
    assert found[2].text == ""  # no room for it


@pytest.mark.parametrize("end", ["planned", "refused policy"])
def test_what_was_never_applied_is_no_release_that_ran(end: str) -> None:
    """Where nothing was told to the target yet, there are marks, and nothing that ran."""
    book = Book()
    book.deliver(release(1), end)
    found = drawn(book)
    assert (len(found.marks), found.releases) == (1, ())


def test_what_goes_on_is_busy() -> None:
    """A delivery that is not over is drawn up to now, and its mark says its state."""
    book = Book()
    book.deliver(release(1), "probing")
    found = drawn(book, NOW + HOUR)
    assert (kinds(found.releases), found.marks[0].state) == (["busy"], "probing")
    assert found.releases[0].x + found.releases[0].width == pytest.approx(found.width, abs=0.2)


def test_troubles_are_drawn_for_as_long_as_they_last() -> None:
    """Failures and drift, one after the other; what lasts ends at the right edge."""
    found = drawn(story(), NOW + 80 * HOUR)
    assert kinds(found.troubles) == ["failure", "drift", "failure", "failure"]
    last = found.troubles[-1]
    assert last.x + last.width == pytest.approx(found.width, abs=0.2)
    assert found.troubles[1].title == "not what should run: web"


def test_holds_and_freezes_are_drawn() -> None:
    """A freeze until it was ended, a hold from the rollback until it was lifted, and one that lasts."""
    found = drawn(story(), NOW + 80 * HOUR).stops
    assert kinds(found) == ["frozen", "held", "held"]
    assert found[0].title == "frozen: the fair"
    assert found[1].x + found[1].width <= found[0].x + 2


def test_freezes_end_in_each_way() -> None:
    """By themselves, by another one, or not at all; the end of none draws nothing."""
    book = Book()
    book.deliver(release(1))
    book.write(Unfrozen(reason="nothing"))
    book.write(Frozen(until=book.time + HOUR, reason="short"))
    book.time += 2 * HOUR
    book.write(Frozen(until=None, reason="long"))
    book.write(Frozen(until=NOW - HOUR, reason="over before it began"))
    book.write(Frozen(until=None, reason="lasting"))
    found = drawn(book, NOW + 4 * HOUR)
    assert [bar.title.removeprefix("frozen: ") for bar in found.stops] == [
        "short",
        "long",
        "over before it began",
        "lasting",
    ]
    short, _, over, lasting = found.stops
    assert short.width < lasting.width
    assert over.width == 2
    assert lasting.x + lasting.width == pytest.approx(found.width, abs=0.2)


def test_a_hold_that_is_lifted_without_one_draws_nothing() -> None:
    """Lifting marks, or a hold that is not there, is no end of anything."""
    book = Book()
    book.deliver(release(1))
    book.write(Released(hold=True, releases=(), reason="none"))
    book.write(Released(hold=False, releases=(), reason="none"))
    assert drawn(book).stops == ()


def test_a_second_rollback_goes_on_with_the_hold() -> None:
    """Automatic deployments are held once, however often there is a rollback."""
    book = Story()
    one = of(1)
    book.again(one)
    for number in (2, 3):
        bad = book.again(of(number), "failed")
        book.again(one, kind=Kind.ROLLBACK, reverts=bad)
    assert kinds(drawn(book).stops) == ["held"]


def test_a_clock_that_goes_backwards_draws_something() -> None:
    """Records whose times go back, or lie ahead, do not break the page; no bar is narrower than can be seen."""
    book = Story()
    book.again(of(1), seconds=-7200)
    bad = book.again(of(2), "failed", seconds=-10)
    book.at(-5).again(of(1), kind=Kind.ROLLBACK, reverts=bad)
    book.write(Released(hold=True, releases=(), reason="mended"))
    for now in (NOW - 10 * HOUR, NOW, NOW + HOUR):
        found = drawn(book, now)
        assert len(found.marks) == 3
        for bar in (*found.releases, *found.troubles, *found.stops):
            assert bar.width >= 2
            assert 0 <= bar.x <= found.width


def test_a_name_of_a_release() -> None:
    """Its commit, else its key."""
    book = Book()
    book.deliver(of(10))
    book.deliver(release(2))
    first, second = fold(book).of(ENVIRONMENT).deliveries.values()
    assert release_name(first) == "a" * 9
    assert release_name(second) == release(2).key.removeprefix("sha256:")[:9]


# ---- the scale


@given(st.lists(st.integers(min_value=0, max_value=10**8), min_size=1, max_size=40), st.integers(0, 10**8))
def test_time_never_runs_backwards(seconds: list[int], other: int) -> None:
    """A later moment is never further left, nothing stands outside, and deliveries keep their distance."""
    times = [NOW + timedelta(seconds=second) for second in seconds]
    scale = Scale(times, frozenset(times))
    places = [scale(time) for time in sorted(set(times))]
    assert places[0] == 0
    assert all(after - before >= GAP - 1e-6 for before, after in itertools.pairwise(places))
    assert 0 <= scale(NOW + timedelta(seconds=other)) <= scale.width
    moments = sorted({*times, NOW + timedelta(seconds=other)})
    along = [scale(time) for time in moments]
    assert along == sorted(along)
    ticks = list(scale.ticks())
    assert all(after.x - before.x >= 84 for before, after in itertools.pairwise(ticks))
    assert len(ticks) <= 11


def test_where_little_happens_time_runs_evenly() -> None:
    """Half of the time is half of the way."""
    scale = Scale([NOW, NOW + HOUR], frozenset())
    assert [scale(NOW), scale(NOW + HOUR / 2), scale(NOW + HOUR)] == [0, WIDTH / 2, WIDTH]
    assert [scale(NOW - HOUR), scale(NOW + 9 * HOUR)] == [0, WIDTH]


@pytest.mark.parametrize(
    ("hours", "texts"),
    [
        (4, ["07-01 12:00", "07-01 13:00", "07-01 14:00", "07-01 15:00"]),
        (24 * 6, ["2026-07-02", "2026-07-03", "2026-07-04", "2026-07-05", "2026-07-06", "2026-07-07"]),
        (24 * 365 * 40, None),
    ],
)
def test_ticks_are_round(hours: int, texts: list[str] | None) -> None:
    """Full hours within a day, days within a month; and something however long it is."""
    ticks = [tick.text for tick in Scale([NOW, NOW + hours * HOUR], frozenset()).ticks()]
    assert ticks == texts if texts is not None else len(ticks) > 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (90, "1.5 min"),
        (1845, "31 min"),
        (9000, "2.5 h"),
        (3600 * 24 * 3.14, "3.1 d"),
        (3600 * 24 * 400, "400 d"),
    ],
)
def test_spans_are_short(seconds: float, text: str) -> None:
    """At most two digits behind which a unit stands, unless there are more days."""
    assert span(timedelta(seconds=seconds)) == text
