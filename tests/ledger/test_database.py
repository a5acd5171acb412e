"""The database under a ledger: where it is, and every way in which it fails, in our words."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import exc

from attest.adapters.ledger import Engine, parse_address
from attest.adapters.ledger.database import Database
from attest.errors import AttestError, LedgerAbsent, LedgerMisbehaved, LedgerUnreachable, UsageError
from tests.core.make import NOW
from tests.ledger.places import Place, entry, fill, sqlite_place
from tests.parts.find import PROJECT
from tests.parts.postgres import Postgres

SOON = timedelta(milliseconds=200)


# ---- addresses


@pytest.mark.parametrize(
    ("text", "engine", "target", "name"),
    [
        ("sqlite:///a/b.db", Engine.SQLITE, "a/b.db", "sqlite:///a/b.db"),
        ("sqlite:////a/b c#.db", Engine.SQLITE, "/a/b c#.db", "sqlite:////a/b c#.db"),
        ("postgresql://h/d", Engine.POSTGRESQL, "postgresql://h/d", "postgresql://h/d"),
        ("postgres://h:5/d", Engine.POSTGRESQL, "postgresql://h:5/d", "postgresql://h:5/d"),
        (
            "postgresql://u:p%40@h/d?sslmode=verify-full&password=x",
            Engine.POSTGRESQL,
            "postgresql://u:p%40@h/d?sslmode=verify-full&password=x",
            "postgresql://u@h/d",
        ),
        ("postgresql:///d?host=/run", Engine.POSTGRESQL, "postgresql:///d?host=/run", "postgresql:///d"),
    ],
)
def test_an_address_is_read(text: str, engine: Engine, target: str, name: str) -> None:
    """Each form of a URL leads to its database; printed, it has no password and nothing that may hold one."""
    address = parse_address(text)
    assert (address.engine, address.target, str(address)) == (engine, target, name)
    assert target not in repr(address) or "u:" not in target


def test_a_relative_path_is_in_the_folder_that_is_given(tmp_path: Path) -> None:
    """A document's relative path is looked up beside the document; an absolute one stays."""
    assert parse_address("sqlite:///x.db", folder=tmp_path).target == f"{tmp_path}/x.db"
    assert parse_address("sqlite:////x.db", folder=tmp_path).target == "/x.db"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ledger.db",
        "sqlite:ledger.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=memory",
        "sqlite:///a\0b",
        "postgresql://h",
        "postgresql://h/",
        "postgresql://h:port/d",
        "postgresql://h:0/d",
        "postgresql://[h/d",
        "mysql://u:geheim@h/d",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Whatever names no file and no database is refused, and a password in it is not repeated."""
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b.db", "a#b.db", "a%41.db", "ä.db", "x&cache=shared"])
def test_a_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    """A name that would mean something in a URI is the name of the file."""
    place = Place(url=f"sqlite:///{tmp_path}/{name}")
    with place.create() as ledger:
        fill(ledger, 1)
    assert (tmp_path / name).is_file()
    with place.open() as ledger:
        assert len(list(ledger.records())) == 1


# ---- failures


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """Where nothing listens the ledger is unreachable, whatever is done with it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = Place(url=f"postgresql://me:geheim@127.0.0.1:{taken.getsockname()[1]}/db")
        for use in (place.open, place.create):
            with pytest.raises(LedgerUnreachable, match="cannot be used") as caught:
                use()
            assert "geheim" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parts
def test_a_wrong_password_or_database_is_unreachable(postgres: Postgres) -> None:
    """A server that does not let us in is told as such, without the password."""
    for url in (postgres.url("postgres", password="geheim"), postgres.url("nowhere")):
        with pytest.raises(LedgerUnreachable, match=r"authentication failed|does not exist") as caught:
            Place(url=url).open()
        assert "geheim" not in str(caught.value)


@pytest.mark.parts
def test_a_server_that_ends_a_connection_is_unreachable_once(postgres: Postgres) -> None:
    """A connection that the server ended is an error once; the next time there is a new one."""
    place = Place(url=postgres.url(postgres.make_database()))
    with place.create() as ledger:
        fill(ledger, 1)
        place.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'attest'")
        with pytest.raises(LedgerUnreachable):
            ledger.append(entry(2))
        assert ledger.append(entry(3)).seq == 2


def test_a_busy_ledger_is_waited_for_and_then_given_up(place: Place) -> None:
    """A writer that never ends makes others give up after their patience; nothing of theirs is recorded."""
    place.create().close()
    with place.open() as holder, place.open(patience=SOON) as other:
        with holder._database.writing(), pytest.raises(LedgerUnreachable, match=r"locked|timeout"):
            other.append(entry(1))
        assert other.append(entry(2)).seq == 1


def test_a_folder_that_is_not_there_is_2(tmp_path: Path) -> None:
    """A ledger cannot be made in a folder that is not there; opening one there finds none."""
    place = Place(url=f"sqlite:///{tmp_path}/no/ledger.db")
    with pytest.raises(UsageError, match="no ledger can be made"):
        place.create()
    with pytest.raises(LedgerAbsent):
        place.open()


def test_a_file_that_cannot_be_looked_at_is_unreachable(tmp_path: Path) -> None:
    """Where it cannot be found out whether there is a file, the ledger is unreachable, and never absent."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnreachable, match="cannot be read"):
        Place(url=f"sqlite:///{tmp_path}/file/ledger.db").open()


def test_a_folder_in_place_of_a_file_is_unreachable(tmp_path: Path) -> None:
    """A folder with the name of a ledger is none."""
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerUnreachable, match="cannot be used"):
        sqlite_place(tmp_path).open()


def test_an_empty_file_holds_no_ledger(tmp_path: Path) -> None:
    """A file of no bytes is no ledger, and opening it makes none of it."""
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerAbsent):
        sqlite_place(tmp_path).open()
    assert (tmp_path / "ledger.db").stat().st_size == 0


def test_a_file_that_went_away_is_not_made_again(tmp_path: Path) -> None:
    """A ledger whose file is deleted between two looks is an error, and no new file stands in its place."""
    place = sqlite_place(tmp_path)
    place.create().close()
    database = Database(place.address, patience=SOON)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(LedgerUnreachable, match="unable to open"), database.writing():
        raise AssertionError
    database.close()
    assert list(tmp_path.iterdir()) == []


def test_another_programs_database_holds_no_ledger(tmp_path: Path) -> None:
    """A database without our tables holds no ledger; made there, the ledger lives beside the others' tables."""
    place = sqlite_place(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.execute("CREATE TABLE other (x)")
    with pytest.raises(LedgerAbsent, match="holds no ledger"):
        place.open()
    with place.create() as ledger:
        assert fill(ledger, 1)[0].seq == 1
    assert place.execute("SELECT count(*) FROM other") == [(0,)]


@pytest.mark.parametrize(
    "raised",
    [
        exc.OperationalError("SELECT geheim", {}, sqlite3.OperationalError("gone")),
        exc.InterfaceError("SELECT geheim", {}, sqlite3.InterfaceError("gone")),
        exc.IntegrityError("SELECT geheim", {}, sqlite3.IntegrityError("gone")),
        exc.DatabaseError("SELECT geheim", {}, sqlite3.DatabaseError("gone")),
        exc.ProgrammingError("SELECT geheim", {}, sqlite3.ProgrammingError("gone")),
        exc.TimeoutError("QueuePool limit"),
        exc.ResourceClosedError("closed"),
        exc.InvalidRequestError("wrong"),
    ],
)
def test_every_foreign_exception_is_ours(raised: Exception, tmp_path: Path) -> None:
    """Whatever SQLAlchemy raises becomes an error of a ledger, which shows no statement."""
    database = Database(sqlite_place(tmp_path).address, patience=SOON)
    database.create(NOW)
    for transaction in (database.reading, database.writing):
        with pytest.raises((LedgerUnreachable, LedgerMisbehaved)) as caught, transaction():
            raise raised
        assert "geheim" not in str(caught.value)
        assert isinstance(caught.value, AttestError)
    database.close()


# ---- the role that may only insert


def grants() -> list[str]:
    """The statements of docs/ledger.md that make a role for deployers."""
    text = (PROJECT / "docs/ledger.md").read_text()
    block = text.partition("```sql\n")[2].partition("```")[0]
    return [statement.strip() for statement in block.split(";") if statement.strip()]


@pytest.mark.parts
def test_the_documented_role_can_record_and_nothing_else(postgres: Postgres) -> None:
    """The role that the documentation makes can do all that deployers do, and can change, remove and unlock nothing."""
    import psycopg

    owner = Place(url=postgres.url(postgres.make_database()))
    owner.create().close()
    name = f"role_{os.getpid()}"
    for statement in grants():
        owner.execute(statement.replace("deployer", name).replace("'...'", "'correct horse'"))
    deployer = Place(url=owner.url.replace("owner:", f"{name}:"))
    try:
        with deployer.open() as ledger:
            with ledger.lease("staging", holder="x", ttl=timedelta(minutes=1), wait=timedelta(0)) as lease:
                lease.append(entry(1))
            fill(ledger, 2)
            assert len(list(ledger.records())) == 3
        for statement in (
            "UPDATE attest_record SET actor = 'x'",
            "DELETE FROM attest_record",
            "TRUNCATE attest_record",
            "DROP TABLE attest_record",
            "DROP TRIGGER attest_record_change ON attest_record",
            "ALTER TABLE attest_record DISABLE TRIGGER ALL",
            "SET session_replication_role = replica",
            "DELETE FROM attest_lease",
            "INSERT INTO attest_schema VALUES (9, 'x')",
            "CREATE OR REPLACE FUNCTION attest_record_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                deployer.execute(statement)
        fresh = Place(url=postgres.url(postgres.make_database(), user=name))
        with pytest.raises(LedgerMisbehaved, match="permission denied"):
            fresh.create()
    finally:
        owner.execute(f"DROP OWNED BY {name}")
        owner.execute(f"DROP ROLE {name}")
