"""Places for ledgers: a file, and a database of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.adapters.ledger.sqlledger import SqlLedger
from tests.ledger.places import Place, sqlite_place


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.parts)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of database in turn, with nothing in it."""
    if request.param == "sqlite":
        return sqlite_place(tmp_path)
    server = request.getfixturevalue("postgres")
    return Place(url=server.url(server.make_database()))


@pytest.fixture
def ledger(place: Place) -> Iterator[SqlLedger]:
    """An empty ledger in each kind of database."""
    with place.create() as made:
        yield made
