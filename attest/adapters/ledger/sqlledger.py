"""A ledger in a SQL database; `attest.ledgerports.Ledger`.

Loads SQLAlchemy: imported where a ledger is opened.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from typing import Any, Final, Self

from sqlalchemy import BigInteger, Column, Connection, MetaData, Row, Table, Text, insert, select

from attest.adapters.ledger.database import Database
from attest.adapters.ledger.leases import Leases, SqlLease
from attest.core.ledger.chain import (
    Chain,
    Entry,
    Head,
    Record,
    RecordInvalid,
    Unread,
    head_of,
    make_record,
    next_record,
    payload_text,
)
from attest.core.statement import format_time
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import LedgerBroken
from attest.ports import Clock

_RECORDS: Final = Table(
    "attest_record",
    MetaData(),
    Column("seq", BigInteger, primary_key=True),
    Column("time", Text),
    Column("type", Text),
    Column("environment", Text),
    Column("actor", Text),
    Column("payload", Text),
    Column("prev_hash", Text),
    Column("hash", Text),
)
_BATCH: Final = 500
"""Rows that are fetched at once."""


class SqlLedger:
    """Implements `attest.ledgerports.Ledger`. Threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._leases = Leases(database, clock, self._append)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def append(self, entry: Entry) -> Record:
        """As `attest.ledgerports.Ledger.append`.

        Raises:
            LedgerBroken: the last record is not what was written.
            LedgerError: the database cannot be used.
        """
        with self._database.writing() as connection:
            return self._append(connection, entry)

    def records(self, *, environment: str | None = None, after: int = 0) -> Iterator[Record]:
        """As `attest.ledgerports.Ledger.records`."""
        chain = Chain()
        with closing(self.unchecked()) as rows:
            for found in rows:
                record = self._followed(chain, found)
                if record.seq > after and environment in (None, record.environment):
                    yield record

    def unchecked(self) -> Generator[Record | Unread]:
        """As `attest.ledgerports.Ledger.unchecked`."""
        everything = select(_RECORDS).order_by(_RECORDS.c.seq).execution_options(yield_per=_BATCH)
        with self._database.reading() as connection, connection.execute(everything) as rows:
            for row in rows:
                yield _record(row)

    def head(self) -> Head | None:
        """As `attest.ledgerports.Ledger.head`.

        Raises:
            LedgerBroken: the last record is not what was written.
        """
        with self._database.reading() as connection:
            return self._head(connection)

    def lease(
        self, environment: str, *, holder: str, ttl: timedelta, wait: timedelta
    ) -> AbstractContextManager[SqlLease]:
        """As `attest.ledgerports.Ledger.lease`.

        Raises:
            LeaseHeld: somebody else has it for longer than `wait`.
            LedgerError: the database cannot be used.
        """
        return self._leases.hold(environment, holder=holder, ttl=ttl, wait=wait)

    def restore(self, records: Iterable[Record]) -> int:
        """As `attest.ledgerports.Ledger.restore`."""
        new = 0
        with self._database.writing() as connection:
            length = self._length(connection)
            held = self._held(connection, length)
            chain = Chain()
            for record in records:
                for breach in chain.follow(record):
                    raise LedgerBroken(f"nothing was imported: {breach}")
                if record.seq <= length:
                    if next(held).hash != record.hash:
                        raise LedgerBroken(
                            f"nothing was imported: {self._database.address} holds another record {record.seq}",
                            hint="these are two ledgers; import into one that is empty, or was this one",
                        )
                    continue
                connection.execute(insert(_RECORDS), _row(record))
                new += 1
        return new

    def _held(self, connection: Connection, length: int) -> Iterator[Record]:
        """The records that are here already, checked."""
        chain = Chain()
        for first in range(1, length + 1, _BATCH):
            batch = select(_RECORDS).where(_RECORDS.c.seq.between(first, first + _BATCH - 1)).order_by(_RECORDS.c.seq)
            for row in connection.execute(batch).all():
                yield self._followed(chain, _record(row))

    def _append(self, connection: Connection, entry: Entry) -> Record:
        """Append in a transaction of `Database.writing`."""
        record = next_record(self._head(connection), entry, time=self._clock.now())
        connection.execute(insert(_RECORDS), _row(record))
        return record

    def _length(self, connection: Connection) -> int:
        head = self._head(connection)
        return 0 if head is None else head.seq

    def _head(self, connection: Connection) -> Head | None:
        """The last record, whose own hash is checked before anything is put behind it."""
        row = connection.execute(select(_RECORDS).order_by(_RECORDS.c.seq.desc()).limit(1)).first()
        if row is None:
            return None
        found = _record(row)
        if isinstance(found, Unread):
            raise LedgerBroken(f"the last record of the ledger {self._database.address}: {found.problem}", hint=_HINT)
        before = None if found.seq == 1 else Head(seq=found.seq - 1, hash=found.prev_hash, time=found.time)
        return head_of(self._followed(Chain(before), found))

    def _followed(self, chain: Chain, found: Record | Unread) -> Record:
        """The record, if nothing is wrong with it where it stands."""
        for breach in chain.follow(found):
            raise LedgerBroken(f"the ledger {self._database.address} is broken: {breach}", hint=_HINT)
        assert isinstance(found, Record)  # noqa: S101 - what cannot be read is a breach
        return found


_HINT: Final = "`attest ledger verify` lists all that is wrong; nothing is decided from a broken ledger"


def _record(row: Row[Any]) -> Record | Unread:
    """The record in a row; its payload counts only if it is the canonical text of what it says."""
    members: dict[str, Json] = dict(row._mapping)
    if not isinstance(members["payload"], str):
        return Unread(problem="its payload is no text")
    try:
        text = members["payload"].encode("utf-8")
        record = make_record({**members, "payload": loads(text)})
        if payload_text(record.payload) != text:
            return Unread(problem="its payload is not in canonical form (RFC 8785)")
    except (JsonInvalid, RecordInvalid, UnicodeEncodeError) as error:
        return Unread(problem=f"it is no record: {error}")
    return record


def _row(record: Record) -> Mapping[str, Json]:
    return {
        "seq": record.seq,
        "time": format_time(record.time),
        "type": record.type,
        "environment": record.environment,
        "actor": record.actor,
        "payload": payload_text(record.payload).decode("utf-8"),
        "prev_hash": record.prev_hash,
        "hash": record.hash,
    }
