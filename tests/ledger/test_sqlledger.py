"""The ledger in a database: what is appended stays, in its order, and what was tampered with is never believed."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import psycopg
import pytest

from attest.adapters.ledger.migrations import LATEST
from attest.adapters.ledger.sqlledger import SqlLedger
from attest.core.ledger.chain import GENESIS, Fault, Record, breaches, hash_of, head_of, read_record, write_record
from attest.errors import LedgerAbsent, LedgerBroken, LedgerMisbehaved
from tests.core.make import NOW
from tests.ledger.places import Place, SetClock, entry, fill, numbers

REFUSED = r"append-only|follows the last"
COLUMNS = ("time", "type", "environment", "actor", "payload", "prev_hash", "hash")


# ---- append and read


def test_what_is_appended_is_read_back(place: Place, ledger: SqlLedger) -> None:
    """Records come back as they were acknowledged, from another connection too, as one whole chain."""
    assert (ledger.head(), list(ledger.records())) == (None, [])
    made = fill(ledger, 5)
    with place.open() as other:
        assert list(other.records()) == made
        assert other.head() == head_of(made[-1])
    assert numbers(made) == [1, 2, 3, 4, 5]
    assert made[0].prev_hash == GENESIS
    assert list(breaches(made)) == []


def test_every_text_is_kept(ledger: SqlLedger) -> None:
    """Names beyond ASCII, and in payloads every character that a string can have, come back as they were."""
    payload = {"\x00\u2028\U0001f600": ["\x7f\x9b\\\"'%?:a\ufeff", None, True, -(2**53) + 1], "": {"b": {}}}
    made = ledger.append(entry(environment="hôtel 'x'; --", actor="Zoë 😀 %(n)s", payload=payload))
    assert list(ledger.records()) == [made]
    assert made.payload == payload


def test_records_of_one_environment(ledger: SqlLedger) -> None:
    """Records can be had of one environment, and from after a number, in their order."""
    for number in range(6):
        ledger.append(entry(number, environment="staging" if number % 2 else "production"))
    assert numbers(ledger.records(environment="staging")) == [2, 4, 6]
    assert numbers(ledger.records(environment="staging", after=2)) == [4, 6]
    assert numbers(ledger.records(after=4)) == [5, 6]
    assert numbers(ledger.records(environment="nowhere")) == []


def test_reading_sees_one_moment(place: Place, ledger: SqlLedger) -> None:
    """What is appended while somebody reads is no part of what he reads."""
    fill(ledger, 3)
    reading = ledger.records()
    assert next(reading).seq == 1
    with place.open() as other:
        other.append(entry(9))
    assert numbers(reading) == [2, 3]
    assert numbers(ledger.records()) == [1, 2, 3, 4]


def test_times_may_go_back(place: Place) -> None:
    """A clock that goes back keeps nobody from recording: the order is that of the numbers."""
    clock = SetClock()
    with place.create(clock=clock) as ledger:
        first = ledger.append(entry(1))
        clock.time = NOW.replace(year=2020)
        second = ledger.append(entry(2))
        assert second.time < first.time
        assert list(ledger.records()) == [first, second]


# ---- making and opening


def test_a_ledger_is_not_made_by_opening_it(place: Place) -> None:
    """Where there is no ledger, opening one is an error, again and again, and leaves nothing behind."""
    for _ in range(2):
        with pytest.raises(LedgerAbsent, match="no ledger") as caught:
            place.open()
        assert "attest ledger init" in (caught.value.hint or "")
    if place.sqlite:
        assert list(Path(place.address.target).parent.iterdir()) == []


def test_making_it_twice_keeps_what_is_there(place: Place) -> None:
    """A ledger that is made once more keeps its records."""
    with place.create() as ledger:
        made = fill(ledger, 2)
    with place.create() as again:
        assert list(again.records()) == made


def test_an_older_ledger_is_brought_up_to_date(place: Place) -> None:
    """Tables of version 1 are refused until the ledger is made again; then all of it is there and more can be done."""
    from attest.adapters.ledger.database import Database
    from attest.adapters.ledger.open import PATIENCE

    database = Database(place.address, patience=PATIENCE)
    database.create(NOW, upto=1)
    made = SqlLedger(database, SetClock()).append(entry(1))
    database.close()
    with pytest.raises(LedgerMisbehaved, match=f"version 1, and this attest needs {LATEST}"):
        place.open()
    with place.create() as ledger:
        assert list(ledger.records()) == [made]
    with place.open() as ledger:
        assert ledger.append(entry(2)).prev_hash == made.hash
    applied = place.execute("SELECT version, applied FROM attest_schema ORDER BY version")
    assert [version for version, _ in applied] == list(range(1, LATEST + 1))


@pytest.mark.parametrize("version", [LATEST + 1, 0])
def test_tables_of_an_unknown_version_are_refused(version: int, place: Place, ledger: SqlLedger) -> None:
    """Tables that a newer attest made, or that name no version, are neither read nor changed."""
    if version == 0:
        place.execute("DELETE FROM attest_schema")
    else:
        place.execute("INSERT INTO attest_schema (version, applied) VALUES (?, 'now')", version)
    del ledger
    for use in (place.open, place.create):
        with pytest.raises(LedgerMisbehaved, match=r"and this attest knows|does not say of which version"):
            use()


# ---- the database itself refuses


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE attest_record SET actor = 'mallory' WHERE seq = 2",
        "UPDATE attest_record SET seq = 9 WHERE seq = 3",
        "DELETE FROM attest_record WHERE seq = 3",
        "DELETE FROM attest_record",
        "INSERT INTO attest_record SELECT seq + 3, time, type, environment, actor, payload, prev_hash, hash"
        " FROM attest_record WHERE seq = 1",
        "INSERT INTO attest_record SELECT 9, time, type, environment, actor, payload, hash, 'sha256:x'"
        " FROM attest_record WHERE seq = 3",
    ],
)
def test_the_database_refuses(statement: str, place: Place, ledger: SqlLedger) -> None:
    """A statement that would change, remove or fork records is refused by the database, whoever sends it."""
    made = fill(ledger, 3)
    with pytest.raises((psycopg.Error, sqlite3.Error), match=REFUSED):
        place.execute(statement)
    assert list(ledger.records()) == made


def test_the_database_refuses_to_forget_everything(place: Place, ledger: SqlLedger) -> None:
    """TRUNCATE on PostgreSQL and INSERT OR REPLACE on SQLite, which pass by other triggers, are refused too."""
    made = fill(ledger, 3)
    statement = "TRUNCATE attest_record"
    if place.sqlite:
        statement = (
            "INSERT OR REPLACE INTO attest_record SELECT seq, time, type, environment, 'mallory', payload, prev_hash,"
            " hash FROM attest_record WHERE seq = 3"
        )
    with pytest.raises((psycopg.Error, sqlite3.Error), match=REFUSED):
        place.execute(statement)
    assert list(ledger.records()) == made


# ---- tampering


def tampered(column: str) -> str:
    """Another value for a column, of its own form."""
    values = {"time": "2026-01-01T00:00:00.000000Z", "payload": '{"n":77}', "hash": "sha256:" + "1" * 64}
    return values.get(column, values["hash"] if column == "prev_hash" else "x")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("seq", [2, 4])
def test_a_changed_record_is_not_believed(column: str, seq: int, place: Place, ledger: SqlLedger) -> None:
    """Whichever column of whichever record was changed: nothing from there on is read, whatever is asked for."""
    fill(ledger, 4)
    place.tamper(f"UPDATE attest_record SET {column} = ? WHERE seq = ?", tampered(column), seq)
    reading = ledger.records(environment="somewhere else", after=4)
    with pytest.raises(LedgerBroken, match=f"record {seq}"):
        next(reading)
    found = list(breaches(ledger.unchecked()))
    assert found[0].seq == seq
    assert found[0].fault is Fault.CHANGED


def test_nothing_is_put_behind_a_changed_record(place: Place, ledger: SqlLedger) -> None:
    """Where the last record was changed, nothing is appended: the new record would vouch for it."""
    fill(ledger, 3)
    place.tamper("UPDATE attest_record SET actor = 'mallory' WHERE seq = 3")
    with pytest.raises(LedgerBroken, match="record 3: its content was changed"):
        ledger.append(entry())
    with pytest.raises(LedgerBroken, match="record 3: its content was changed"):
        ledger.head()
    assert place.execute("SELECT max(seq) FROM attest_record") == [(3,)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("payload", '{"n": 3}'),
        ("payload", "no JSON"),
        ("payload", '{"n":1.5}'),
        ("payload", "[]"),
        ("time", "yesterday"),
        ("type", ""),
        ("hash", "sha256:" + "X" * 64),
    ],
)
def test_what_is_no_record_is_not_believed(column: str, value: str, place: Place, ledger: SqlLedger) -> None:
    """A row that holds no record, or not in canonical form, is found where it stands, first or last."""
    fill(ledger, 3)
    place.tamper(f"UPDATE attest_record SET {column} = ? WHERE seq = 3", value)
    with pytest.raises(LedgerBroken, match="record 3: "):
        list(ledger.records())
    with pytest.raises(LedgerBroken, match="the last record of"):
        ledger.head()
    assert [breach.fault for breach in breaches(ledger.unchecked())] == [Fault.UNREADABLE]


def test_a_removed_record_is_missed(place: Place, ledger: SqlLedger) -> None:
    """A record that is gone from the middle is missed, also by who asks for what stands after it."""
    fill(ledger, 4)
    place.tamper("DELETE FROM attest_record WHERE seq = 2")
    with pytest.raises(LedgerBroken, match="record 2 is gone"):
        list(ledger.records(after=3))


def test_a_forged_record_is_found(place: Place, ledger: SqlLedger) -> None:
    """A record that was forged with a hash of its own is found by the record after it."""
    made = fill(ledger, 3)
    forged = hash_of(dataclasses.replace(made[1], actor="mallory"))
    place.tamper("UPDATE attest_record SET actor = ?, hash = ? WHERE seq = 2", "mallory", forged)
    with pytest.raises(LedgerBroken, match="record 3: it follows a record of hash"):
        list(ledger.records())


# ---- restoring


def exported(ledger: SqlLedger) -> list[Record]:
    """What an export of the ledger holds, written and read."""
    return [read_record(write_record(record)) for record in ledger.records()]


@pytest.fixture
def elsewhere(place: Place, request: pytest.FixtureRequest) -> Place:
    """A second place of the same kind, with nothing in it."""
    if place.sqlite:
        return Place(url=place.url.replace("ledger.db", "other.db"))
    server = request.getfixturevalue("postgres")
    return Place(url=server.url(server.make_database()))


def test_an_export_is_restored(ledger: SqlLedger, elsewhere: Place) -> None:
    """A ledger that was exported and imported elsewhere has the same records and hashes, and goes on from there."""
    fill(ledger, 5)
    with elsewhere.create() as restored:
        assert restored.restore(exported(ledger)) == 5
        assert list(restored.records()) == list(ledger.records())
        assert restored.append(entry(6)).seq == 6
        assert restored.restore(exported(ledger)) == 0


def test_restoring_goes_on_where_it_ended(ledger: SqlLedger, elsewhere: Place) -> None:
    """A copy that has the beginning takes the rest."""
    fill(ledger, 3)
    with elsewhere.create() as copy:
        assert copy.restore(exported(ledger)) == 3
        fill(ledger, 4)
        assert copy.restore(exported(ledger)) == 4
        assert list(copy.records()) == list(ledger.records())


def test_another_ledger_is_not_mixed_in(ledger: SqlLedger, elsewhere: Place) -> None:
    """Records of another ledger are refused, and those that would fit at the end are not taken either."""
    fill(ledger, 4)
    with elsewhere.create() as other:
        kept = other.append(entry(99))
        with pytest.raises(LedgerBroken, match="holds another record 1"):
            other.restore(exported(ledger))
        assert list(other.records()) == [kept]


@pytest.mark.parametrize("gone", [0, 2])
def test_a_broken_export_is_not_restored(gone: int, ledger: SqlLedger, elsewhere: Place) -> None:
    """Of records that are no whole chain none is taken, also none of those before the gap."""
    fill(ledger, 4)
    records = exported(ledger)
    del records[gone]
    with elsewhere.create() as other:
        with pytest.raises(LedgerBroken, match="nothing was imported"):
            other.restore(records)
        assert list(other.records()) == []


def test_nothing_is_restored_into_a_broken_ledger(place: Place, ledger: SqlLedger) -> None:
    """A ledger whose own records are changed takes none."""
    fill(ledger, 4)
    records = exported(ledger)
    place.tamper("UPDATE attest_record SET actor = 'mallory' WHERE seq = 2")
    with pytest.raises(LedgerBroken, match="record 2"):
        ledger.restore(records)
