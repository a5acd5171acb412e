"""Several processes at one ledger, and processes and servers that are killed in the middle of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.core.ledger.chain import Record, breaches
from attest.errors import LedgerUnreachable
from tests.ledger.places import Place, entry, fill
from tests.parts import postgres as postgres_part
from tests.parts.find import PROJECT

WRITERS = 8


@contextlib.contextmanager
def writers(place: Place, count: int, *, number: int = WRITERS) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that have opened the ledger and begin together."""
    command = [sys.executable, "-m", "tests.ledger.writer", place.url]
    with contextlib.ExitStack() as stack:
        processes = []
        for one in range(number):
            process = subprocess.Popen(
                [*command, f"writer-{one}", str(count)], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        yield processes


def acknowledged(process: subprocess.Popen[bytes], *, at_most: int | None = None) -> list[tuple[int, int, str]]:
    """What a writer said was acknowledged: its own count, number and hash of the record."""
    found = []
    assert process.stdout is not None
    for line in process.stdout:
        if not line.endswith(b"\n"):
            break  # it was killed in the middle of a word
        own, seq, digest = line.decode().split()
        found.append((int(own), int(seq), digest))
        if at_most is not None and len(found) == at_most:
            break
    return found


def check(records: list[Record], by_writer: list[list[tuple[int, int, str]]]) -> None:
    """The ledger is one whole chain and holds all that was acknowledged, of each writer in its order."""
    assert list(breaches(records)) == []
    held = {record.seq: record for record in records}
    for name, said in enumerate(by_writer):
        for own, seq, digest in said:
            record = held[seq]
            assert (record.actor, record.payload, record.hash) == (f"writer-{name}", {"n": own}, digest)
        own_order = [record.payload["n"] for record in records if record.actor == f"writer-{name}"]
        assert own_order == list(range(len(own_order)))


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 1000])
def test_eight_processes_make_one_chain(count: int, place: Place) -> None:
    """Eight processes that append at once make one chain without a gap or a fork, with each record of each of them."""
    place.create().close()
    with writers(place, count) as processes:
        by_writer = [acknowledged(process) for process in processes]
        assert [process.wait() for process in processes] == [0] * WRITERS
    with place.open() as ledger:
        records = list(ledger.records())
    assert len(records) == WRITERS * count
    assert [len(said) for said in by_writer] == [count] * WRITERS
    check(records, by_writer)


@pytest.mark.slow
def test_making_it_at_once_makes_one(place: Place) -> None:
    """Eight processes that make the ledger at once all get it, and it is one ledger."""
    code = (
        "import sys; from attest.adapters.clock import SystemClock as C;"
        "from attest.adapters.ledger import create_ledger as c, parse_address as p;"
        "from attest.core.ledger.chain import Entry as E;"
        "c(p(sys.argv[1]), clock=C()).append(E(type='made', environment='e', actor='a', payload={}))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, place.url], cwd=PROJECT) for _ in range(WRITERS)]
    assert [process.wait() for process in started] == [0] * WRITERS
    with place.open() as ledger:
        assert len(list(ledger.records())) == WRITERS


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_killed_writer_loses_nothing(after: int, place: Place) -> None:
    """Writers that are killed in the middle of appending leave a whole chain with all that was acknowledged."""
    place.create().close()
    with writers(place, 100_000, number=3) as processes:
        by_writer = [acknowledged(process, at_most=after) for process in processes]
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        by_writer = [said + acknowledged(process) for said, process in zip(by_writer, processes, strict=True)]
    with place.open() as ledger:
        records = list(ledger.records())
        assert all(len(said) >= after for said in by_writer)
        # What was not acknowledged may be there as well: one record of each writer at the most.
        assert len(records) - sum(map(len, by_writer)) in range(4)
        check(records, by_writer)
        assert ledger.append(entry(1)).seq == len(records) + 1


@pytest.mark.parts
def test_a_killed_server_loses_nothing() -> None:
    """PostgreSQL that is killed in the middle of appends, and started again, has all that was acknowledged."""
    with postgres_part.data_folder() as folder:
        with postgres_part.running(folder) as server:
            database = server.make_database()
            place = Place(url=server.url(database))
            place.create().close()
            with writers(place, 100_000, number=3) as processes:
                by_writer = [acknowledged(process, at_most=20) for process in processes]
                os.kill(server.pid, signal.SIGKILL)
                by_writer = [said + acknowledged(process) for said, process in zip(by_writer, processes, strict=True)]
                assert all(process.wait() != 0 for process in processes)
            with pytest.raises(LedgerUnreachable, match="cannot be used"):
                place.open()
        with postgres_part.running(folder) as server, Place(url=server.url(database)).open() as ledger:
            check(list(ledger.records()), by_writer)


def test_the_disk_is_waited_for(tmp_path: Path) -> None:
    """Every connection to a SQLite ledger is in WAL mode and synchronous FULL, in which a commit waits for the disk."""
    place = Place(url=f"sqlite:///{tmp_path}/ledger.db")
    with place.create() as ledger:
        fill(ledger, 1)
    with place.open() as ledger:
        database = ledger._database
        with database.writing() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.parts
def test_the_servers_disk_is_waited_for(postgres: postgres_part.Postgres) -> None:
    """A PostgreSQL database that is set to acknowledge early does not for us."""
    database = postgres.make_database()
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = off".encode())
    with Place(url=postgres.url(database)).create() as ledger, ledger._database.writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
