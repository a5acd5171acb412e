"""The database under a ledger: its transactions, its version, and its errors in our words.

Loads SQLAlchemy: imported where a ledger is opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, QueuePool, create_engine, event, exc, make_url, text
from sqlalchemy import Engine as SqlEngine

from attest.adapters.ledger.address import Address, Engine
from attest.adapters.ledger.migrations import LATEST, MIGRATIONS
from attest.core.statement import format_time, parse_time
from attest.errors import LedgerAbsent, LedgerMisbehaved, LedgerUnreachable, UsageError

_LOCK: Final = int.from_bytes(b"attestlg", "big")
"""The advisory lock under which a PostgreSQL ledger is written."""
_CONNECT_SECONDS: Final = 10
_INIT: Final = "`attest ledger init` makes a ledger, and brings an older one up to date"


class Database:
    """Connections to one database. Threads may share it."""

    def __init__(self, address: Address, *, patience: timedelta) -> None:
        self.address = address
        self._patience = patience
        match address.engine:
            case Engine.SQLITE:
                self._engine = _sqlite(Path(address.target), patience)
            case Engine.POSTGRESQL:
                self._engine = _postgresql(address.target, patience)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database.

        Raises:
            LedgerUnreachable, LedgerMisbehaved: what the database answered, in our words.
        """
        with self._translated(), self._engine.connect() as connection, connection.begin():
            if self.address.engine is Engine.POSTGRESQL:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that nobody else writes beside. When the block has ended, what it wrote is durable.

        SQLite: BEGIN IMMEDIATE, and in WAL mode with synchronous=FULL a commit waits for the disk. PostgreSQL: an
        advisory lock until the commit, which synchronous_commit makes wait for the disk. Under READ COMMITTED each
        statement after the lock sees what the last holder of the lock committed.
        """
        writing = self._engine.execution_options(attest_writing=True)
        with self._translated(), writing.connect() as connection, connection.begin():
            if self.address.engine is Engine.POSTGRESQL:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection

    def now(self, connection: Connection, ours: datetime) -> datetime:
        """The time that leases go by: on PostgreSQL the server's, which all deployers share."""
        match self.address.engine:
            case Engine.SQLITE:
                return ours
            case Engine.POSTGRESQL:
                found = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
                assert isinstance(found, datetime)  # noqa: S101 - what psycopg makes of a timestamptz
                return parse_time(format_time(found))

    def check_version(self) -> None:
        """Whether the tables are those that this version of attest works with.

        Raises:
            LedgerAbsent: there are none.
            LedgerMisbehaved: they are of another version.
        """
        if self.address.engine is Engine.SQLITE and not _is_there(Path(self.address.target)):
            raise LedgerAbsent(f"there is no ledger at {self.address}", hint=_INIT)
        with self.reading() as connection:
            version = self._version(connection)
        if version == 0:
            raise LedgerAbsent(f"the database {self.address} holds no ledger", hint=_INIT)
        if version > LATEST:
            raise LedgerMisbehaved(
                f"the ledger {self.address} has tables of version {version}, and this attest knows {LATEST}",
                hint="a newer attest made it; use that one",
            )
        if version < LATEST:
            raise LedgerMisbehaved(
                f"the ledger {self.address} has tables of version {version}, and this attest needs {LATEST}", hint=_INIT
            )

    def create(self, now: datetime, *, upto: int = LATEST) -> None:
        """Make the tables, or those of them that are not there yet, up to the version `upto`.

        Raises:
            UsageError: the file cannot be made.
            LedgerMisbehaved: the tables are of a later version, or the database forbids making them.
        """
        if self.address.engine is Engine.SQLITE:
            _make_file(Path(self.address.target), self._patience)
        with self.writing() as connection:
            version = self._version(connection)
            for migration in MIGRATIONS:
                if version < migration.number <= upto:
                    for statement in migration.statements[self.address.engine]:
                        connection.exec_driver_sql(statement)
                    connection.execute(
                        text("INSERT INTO attest_schema (version, applied) VALUES (:version, :applied)"),
                        {"version": migration.number, "applied": format_time(now)},
                    )
        if upto == LATEST:
            self.check_version()

    def _version(self, connection: Connection) -> int:
        match self.address.engine:
            case Engine.SQLITE:
                known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'attest_schema'"
            case Engine.POSTGRESQL:
                known = "SELECT 1 WHERE to_regclass('attest_schema') IS NOT NULL"
        if connection.execute(text(known)).first() is None:
            return 0
        found = connection.execute(text("SELECT max(version) FROM attest_schema")).scalar()
        if type(found) is not int or found < 1:
            raise LedgerMisbehaved(f"the ledger {self.address} does not say of which version its tables are")
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Every exception of SQLAlchemy, and so of the drivers, as ours; none shows a statement or a password."""
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError) as error:
            raise LedgerUnreachable(f"the ledger {self.address} cannot be used: {_words(error)}") from error
        except exc.TimeoutError as error:
            raise LedgerUnreachable(f"the ledger {self.address} has no connection to spare") from error
        except exc.SQLAlchemyError as error:
            raise LedgerMisbehaved(f"the ledger {self.address} refused: {_words(error)}") from error


def _sqlite(path: Path, patience: timedelta) -> SqlEngine:
    # mode=rw: a file that is not there is an error, and never a new ledger
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=patience.total_seconds(),
            isolation_level=None,  # BEGIN is ours
            check_same_thread=False,  # a connection changes hands between threads, and is never in two
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("attest_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: str, patience: timedelta) -> SqlEngine:
    import psycopg  # noqa: F401 - SQLAlchemy would name it in an error that speaks of modules

    milliseconds = int(patience.total_seconds() * 1000)
    arguments: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": "attest",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "prepare_threshold": None,  # a pooler may hand the next statement to another session
    }
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args=arguments,
        isolation_level="READ COMMITTED",
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # For each transaction, since a pooler between us and the server may change what a session is.
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = {milliseconds}; SET LOCAL statement_timeout = {milliseconds};"
            " SET LOCAL synchronous_commit = on"
        )

    return engine


def _is_there(path: Path) -> bool:
    """Whether there is a file that is more than its name: an empty one holds nothing."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerUnreachable(f"the ledger {path} cannot be read: {error.strerror}") from error


def _make_file(path: Path, patience: timedelta) -> None:
    """Make the database in WAL mode, which stays with the file."""
    try:
        connection = sqlite3.connect(path, timeout=patience.total_seconds(), isolation_level=None)
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UsageError(f"no ledger can be made at {path}: {error}") from error


def _words(error: exc.SQLAlchemyError) -> str:
    """The first line of what the driver said."""
    said = str(getattr(error, "orig", None) or error)
    return said.strip().split("\n")[0]
