"""A rollback that nobody could tell of is brought again: what becomes of the delivery that it undoes."""

from __future__ import annotations

import pytest

from attest.core.delivery.fold import fold
from attest.core.delivery.history import Delivery, EnvironmentHistory
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Applying, Erred, Kind, Probing, Stage
from tests.core.make_delivery import ENVIRONMENT, Book, planned, release, verified


def here(book: Book) -> EnvironmentHistory:
    """The environment, as its records leave it."""
    return fold(book).of(ENVIRONMENT)


def undecided(book: Book) -> tuple[int, int]:
    """Release 1, and release 2, which failed; nobody could tell what its rollback came to: the numbers of both."""
    book.deliver(release(1))
    bad = book.deliver(release(2), "failed")
    return bad, book.deliver(release(1), "error", kind=Kind.ROLLBACK, reverts=bad)


@pytest.mark.parametrize(
    ("end", "phase"),
    [
        ("verified", Phase.ROLLBACK_FAILED),
        ("applying", Phase.ROLLING_BACK),
        ("probing", Phase.ROLLING_BACK),
        ("succeeded", Phase.ROLLED_BACK),
        ("failed", Phase.ROLLBACK_FAILED),
        ("error", Phase.ROLLBACK_FAILED),
    ],
)
def test_what_it_undoes_follows_it(end: str, phase: Phase) -> None:
    """Brought again, it takes back what the first one should have, step by step, and is named as what did so."""
    book = Book()
    bad, rollback = undecided(book)
    assert here(book).deliveries[bad].phase is Phase.ROLLBACK_FAILED
    again = book.deliver(release(1), end, kind=Kind.REPAIR)
    found = here(book)
    assert found.deliveries[bad].phase is phase
    assert found.deliveries[bad].by == (rollback if end == "verified" else again)
    assert [found.deliveries[number].undoes for number in (bad, rollback, again)] == [None, bad, bad]
    assert set(found.bad) == ({release(1).key} if end == "failed" else set()) | {release(2).key}


def test_however_often_it_is_brought_again() -> None:
    """The third and the fourth time it is still the way back from the same delivery."""
    book = Book()
    bad, _ = undecided(book)
    for end in ("error", "error", "succeeded"):
        last = book.deliver(release(1), end, kind=Kind.REPAIR)
    found = here(book)
    assert (found.deliveries[bad].phase, found.deliveries[bad].by) == (Phase.ROLLED_BACK, last)
    assert _undone(found) == found.deliveries[bad]


def test_an_interruption_of_it_takes_nothing_back_twice() -> None:
    """Verified and applied anew after a crash, it goes on; ended as an error, it has not undone anything."""
    book = Book()
    bad, _ = undecided(book)
    number = book.write(planned(release(1), Kind.REPAIR))
    for _ in range(2):
        book.write(verified(number, release(1)))
        book.write(Applying(deployment=number))
        assert here(book).deliveries[bad].phase is Phase.ROLLING_BACK
    book.write(Probing(deployment=number))
    book.write(Erred(deployment=number, stage=Stage.INTERRUPTED, message="other services"))
    assert here(book).deliveries[bad].phase is Phase.ROLLBACK_FAILED


def test_what_takes_the_place_of_an_undecided_rollback_undoes_nothing() -> None:
    """A deployment of the same release, and a repair of another rollback, leave it as nobody could tell it."""
    book = Book()
    bad, _ = undecided(book)
    later = book.deliver(release(1))
    assert here(book).deliveries[bad].phase is Phase.ROLLBACK_FAILED
    assert here(book).deliveries[later].undoes is None
    repair = book.deliver(release(1), kind=Kind.REPAIR)
    assert here(book).deliveries[repair].undoes is None
    assert _undone(here(book)) is None


def _undone(found: EnvironmentHistory) -> Delivery | None:
    """What the delivery that changed the environment last undoes."""
    return found.undone
