"""What `attest status` and `attest history` say of a way back: what it undoes, and what it passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attest.core.delivery.candidates import LISTED, bounded
from attest.core.delivery.records import Held, Kind, RollbackUndecided, Trigger
from tests.cli.observed import Watched
from tests.core.make_delivery import Book, release
from tests.core.test_delivery_bounds import over

SERVICES = ("api", "web")


def undecided() -> tuple[Book, int]:
    """A release that failed, with its number, and a rollback of it of which nobody could tell what it came to."""
    book = Book()
    book.deliver(release(1, services=SERVICES))
    bad = book.deliver(release(2, services=SERVICES), "failed")
    book.deliver(release(1, services=SERVICES), "error", kind=Kind.ROLLBACK, reverts=bad)
    return book, bad


def test_an_undecided_rollback_and_what_it_undoes(tmp_path: Path) -> None:
    """Both stand in the status, with what to do; brought again and succeeded, the one that failed is rolled back."""
    book, bad = undecided()
    watched = Watched(tmp_path, book)
    said = watched.attest("status", "--recorded")
    assert said.code == 1
    assert f"rollback-failed  delivery {bad} (deploy)" in said.out
    assert "`attest rollback` brings the same release again" in said.out
    again = book.deliver(release(1, services=SERVICES), kind=Kind.REPAIR)
    watched.record(book)
    said = watched.attest("status", "--recorded")
    assert said.code == 0
    assert f"succeeded  delivery {again} (repair, to undo delivery {bad})" in said.out
    assert f"rolled-back  delivery {bad} (deploy)" in said.out
    assert "nobody can tell" not in said.out
    document = watched.attest("status", "--recorded", "--format", "json").document
    assert (document["current"]["undoes"], document["undone"]["deployment"]) == (bad, bad)
    assert (document["undone"]["state"], document["undone"]["by"]) == ("rolled-back", again)
    page = watched.attest("history", "--format", "html").out
    assert f'to undo <a href="#d{bad}">' in page.replace("\n", "")


def test_more_releases_than_are_listed(tmp_path: Path) -> None:
    """The history counts those that a rollback passed over and does not list, in text and on the page."""
    book, _ = undecided()
    listed, rest = bounded(over(LISTED + 3, message="deleted"))
    book.deliver(release(1, services=SERVICES))
    last = book.deliver(release(3, services=SERVICES))
    of = release(1, services=SERVICES)
    book.deliver(of, kind=Kind.ROLLBACK, reverts=last, passed_over=listed, passed_over_rest=rest)
    watched = Watched(tmp_path, book)
    words = "3 more, of the deliveries 10 to 30: 2 gone, 1 refused"
    said = watched.attest("history").out
    assert said.count("passed over delivery") == LISTED
    assert f"passed over {words}; `attest history` tells what became of each" in said
    assert f"Passed over {words}" in watched.attest("history", "--format", "html").out


@pytest.mark.parametrize("what", ["held", "undecided"])
def test_what_a_rollback_that_came_to_nothing_passed_over(tmp_path: Path, what: str) -> None:
    """Which releases it did not take, and why, stands in the history and on the page, though nothing was touched."""
    book = Book()
    first = book.deliver(release(1, services=SERVICES))
    last = book.deliver(release(2, services=SERVICES), "failed")
    listed, rest = bounded(over(LISTED + 1, message="deleted"))
    common: dict[str, Any] = {
        "reverts": last,
        "trigger": Trigger.EXPLICIT,
        "passed_over": listed,
        "passed_over_rest": rest,
    }
    if what == "held":
        book.write(Held(message="nothing", **common))
    else:
        book.write(RollbackUndecided(deployment=first, message="unreachable", **common))
    watched = Watched(tmp_path, book)
    said = watched.attest("history").out
    assert said.count("  passed over delivery") == LISTED
    assert "passed over 1 more, of the deliveries 10 to 10: 1 gone" in said
    page = watched.attest("history", "--format", "html").out
    assert page.count("Passed over <a") == LISTED
    assert "Passed over 1 more" in page
