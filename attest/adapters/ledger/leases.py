"""Leases: one deployer at a time for an environment, fenced by a token that only goes up.

The row says who holds the lease. It is taken, renewed and given back in the same transactions under which records are
written, so an append and the question whether the lease is still held are one step. A holder that is gone is
known by the time that the row names; on SQLite, where all holders are on one machine, also by a file lock that the
kernel takes back when a process dies, so that nobody waits for the dead.

Loads SQLAlchemy: imported where a ledger is opened.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, insert, select, update

from attest.adapters.ledger.address import Engine
from attest.adapters.ledger.database import Database
from attest.core.ledger.chain import Entry, Record
from attest.core.statement import format_time, parse_time
from attest.errors import LeaseHeld, LeaseLost, LedgerError, LedgerMisbehaved, LedgerUnreachable
from attest.ports import Clock

_TABLE: Final = Table(
    "attest_lease",
    MetaData(),
    Column("environment", Text, primary_key=True),
    Column("token", BigInteger),
    Column("holder", Text),
    Column("since", Text),
    Column("expires", Text),
    Column("present", BigInteger),
)
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What the table says of a lease."""

    token: int
    holder: str | None
    since: datetime
    expires: datetime
    present: bool
    """Whether the holder has the file lock too: then its death shows."""


class SqlLease:
    """Implements `attest.ledgerports.Lease`. Threads may share it."""

    def __init__(self, leases: Leases, *, environment: str, token: int, since: datetime, ttl: timedelta) -> None:
        self._leases = leases
        self._ttl = ttl
        self.environment: Final = environment
        self.token: Final = token
        self.since: Final = since

    def append(self, entry: Entry) -> Record:
        """As `attest.ledgerports.Lease.append`.

        Raises:
            LeaseLost: somebody else has it, or it was given back. Nothing was recorded.
        """
        if entry.environment != self.environment:
            raise AssertionError(f"a record of {entry.environment} under the lease of {self.environment}")
        with self._leases.database.writing() as connection:
            self._renew(connection)
            return self._leases.append(connection, entry)

    def check(self) -> None:
        """As `attest.ledgerports.Lease.check`.

        Raises:
            LeaseLost: somebody else has it, or it was given back.
        """
        with self._leases.database.writing() as connection:
            self._renew(connection)

    def give_back(self) -> None:
        """Let the next one have it. It is no error if it was lost before."""
        with self._leases.database.writing() as connection:
            mine = (_TABLE.c.environment == self.environment) & (_TABLE.c.token == self.token)
            connection.execute(update(_TABLE).where(mine).values(holder=None))

    def _renew(self, connection: Connection) -> None:
        """What counts is the token: while nobody else took the lease, it is held, however late it is."""
        row = self._leases.row(connection, self.environment)
        if row is None or row.token != self.token or row.holder is None:
            whose = "" if row is None or row.holder is None else f": {row.holder} has it since {format_time(row.since)}"
            raise LeaseLost(
                f"the lease of {self.environment} was lost{whose}",
                hint="nothing more is done; the next command looks at what runs and goes on from there",
            )
        expires = self._leases.now(connection) + self._ttl
        mine = _TABLE.c.environment == self.environment
        connection.execute(update(_TABLE).where(mine).values(expires=format_time(expires)))


class Leases:
    """The leases of one ledger. `append` writes a record in a transaction of `Database.writing`."""

    def __init__(self, database: Database, clock: Clock, append: Callable[[Connection, Entry], Record]) -> None:
        self.database = database
        self.append = append
        self._clock = clock

    @contextmanager
    def hold(self, environment: str, *, holder: str, ttl: timedelta, wait: timedelta) -> Iterator[SqlLease]:
        """The lease for the time of a block, renewed by a thread of its own.

        Raises:
            LeaseHeld: somebody else has it for longer than `wait`.
            LedgerError: the database cannot be used.
        """
        end = time.monotonic() + wait.total_seconds()
        pause = _FIRST_PAUSE
        with self._presence(environment) as presence:
            while isinstance(found := self._take(environment, holder, ttl, presence), _Row):
                left = end - time.monotonic()
                if left <= 0:
                    raise _held(environment, found)
                time.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_PAUSE)
            with _renewed(found, ttl):
                try:
                    yield found
                finally:
                    with suppress(LedgerError):  # it ends by itself, and what the block raised says more
                        found.give_back()

    def now(self, connection: Connection) -> datetime:
        """The time that leases go by."""
        return self.database.now(connection, self._clock.now())

    def row(self, connection: Connection, environment: str) -> _Row | None:
        """What the table says.

        Raises:
            LedgerMisbehaved: nothing that can be read.
        """
        found = connection.execute(select(_TABLE).where(_TABLE.c.environment == environment)).first()
        if found is None:
            return None
        try:
            return _Row(
                token=found.token,
                holder=found.holder,
                since=parse_time(found.since),
                expires=parse_time(found.expires),
                present=bool(found.present),
            )
        except (TypeError, ValueError) as error:
            raise LedgerMisbehaved(f"the lease of {environment} in {self.database.address} cannot be read") from error

    def _take(self, environment: str, holder: str, ttl: timedelta, presence: _Presence) -> SqlLease | _Row:
        """The lease, or who has it."""
        present = presence.claim()
        with self.database.writing() as connection:
            now = self.now(connection)
            row = self.row(connection, environment)
            if row is not None and row.holder is not None and row.expires > now and not (present and row.present):
                return row
            token = 1 if row is None else row.token + 1
            values = {
                "token": token,
                "holder": holder,
                "since": format_time(now),
                "expires": format_time(now + ttl),
                "present": int(present),
            }
            if row is None:
                connection.execute(insert(_TABLE), {"environment": environment, **values})
            else:
                connection.execute(update(_TABLE).where(_TABLE.c.environment == environment).values(values))
        return SqlLease(self, environment=environment, token=token, since=now, ttl=ttl)

    @contextmanager
    def _presence(self, environment: str) -> Iterator[_Presence]:
        match self.database.address.engine:
            case Engine.POSTGRESQL:
                yield _Presence(None)
            case Engine.SQLITE:
                with _lock_file(f"{self.database.address.target}.lease-{_name(environment)}") as descriptor:
                    yield _Presence(descriptor)


class _Presence:
    """The file lock of whoever holds a lease; without a file, nobody knows who lives."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def claim(self) -> bool:
        """Whether the lock is ours now, so that nobody who had it lives."""
        if self._descriptor is None:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _lock_file(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise LedgerUnreachable(f"{path}, which says who deploys, cannot be written: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _name(environment: str) -> str:
    """A name of a file that no environment can choose."""
    return hashlib.sha256(environment.encode("utf-8")).hexdigest()[:16]


@contextmanager
def _renewed(lease: SqlLease, ttl: timedelta) -> Iterator[None]:
    """Keep the lease alive while the block runs. That it was lost is told by the next `append` or `check`."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(ttl.total_seconds() / 3):
            try:
                lease.check()
            except LeaseLost:
                return
            except LedgerError:
                continue

    thread = threading.Thread(target=renew, name="attest-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _held(environment: str, row: _Row) -> LeaseHeld:
    holder = row.holder or ""
    died = "it is taken over as soon as its process ends" if row.present else "if it died, the lease ends then"
    return LeaseHeld(
        f"{holder} holds the lease of {environment} since {format_time(row.since)}, until {format_time(row.expires)}",
        holder=holder,
        since=row.since,
        hint=f"wait for it, which renews the lease while it runs; {died}",
    )
