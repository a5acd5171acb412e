"""Where ledgers of the tests are, and what a test does to their databases behind the ledger's back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from attest.adapters.ledger import Address, Engine, create_ledger, open_ledger, parse_address
from attest.adapters.ledger.sqlledger import SqlLedger
from attest.core.ledger.chain import Entry, Record
from tests.core.make import NOW

TRIGGERS: Final = {
    Engine.SQLITE: ("attest_record_update", "attest_record_delete", "attest_record_insert"),
    Engine.POSTGRESQL: ("attest_record_change", "attest_record_insert"),
}


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until it is set, and then goes on by a second with every look."""

    time: datetime = NOW
    step: timedelta = field(default=timedelta(seconds=1))

    def now(self) -> datetime:
        """The time, which is a little later after that."""
        self.time += self.step
        return self.time


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database for one ledger."""

    url: str

    @property
    def address(self) -> Address:
        """The URL, parsed."""
        return parse_address(self.url)

    @property
    def sqlite(self) -> bool:
        """Whether it is a file."""
        return self.address.engine is Engine.SQLITE

    def create(self, **options: Any) -> SqlLedger:
        """Make a ledger there, or open the one that there is."""
        return create_ledger(self.address, clock=options.pop("clock", None) or SetClock(), **options)

    def open(self, **options: Any) -> SqlLedger:
        """Open the ledger that is there."""
        return open_ledger(self.address, clock=options.pop("clock", None) or SetClock(), **options)

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement as an administrator of the database, who knows nothing of ledgers; `?` is a parameter."""
        if self.sqlite:
            with closing(sqlite3.connect(self.address.target)) as file, file:
                return list(file.execute(statement, parameters).fetchall())
        with psycopg.connect(self.url) as server:
            cursor = server.execute(statement.replace("?", "%s").encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def tamper(self, statement: str, *parameters: object) -> None:
        """The same with the triggers out of the way, as a hostile administrator does it."""
        for trigger in TRIGGERS[self.address.engine]:
            on = "" if self.sqlite else " ON attest_record"
            self.execute(f"DROP TRIGGER IF EXISTS {trigger}{on}")
        self.execute(statement, *parameters)


def sqlite_place(folder: Path) -> Place:
    """A place for a ledger in a file."""
    return Place(url=f"sqlite:///{folder}/ledger.db")


def entry(number: int = 0, **changes: Any) -> Entry:
    """What is to be recorded."""
    members = {"type": "deploy.verified", "environment": "staging", "actor": "ci", "payload": {"n": number}}
    return Entry(**(members | changes))


def fill(ledger: SqlLedger, length: int) -> list[Record]:
    """Append so many records; what was acknowledged."""
    return [ledger.append(entry(number)) for number in range(1, length + 1)]


def numbers(records: Iterable[Record]) -> list[int]:
    """The numbers of the records."""
    return [record.seq for record in records]
