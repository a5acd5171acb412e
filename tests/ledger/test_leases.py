"""Leases: one deployer at a time, and whoever lost the lease records nothing more."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from attest.adapters.clock import SystemClock
from attest.adapters.ledger.sqlledger import SqlLedger
from attest.core.ledger.chain import Record
from attest.core.statement import format_time
from attest.errors import LeaseHeld, LeaseLost, LedgerUnreachable
from tests.ledger.places import Place, entry, numbers
from tests.parts.find import PROJECT

LONG = timedelta(minutes=10)
SHORT = timedelta(milliseconds=300)
NONE = timedelta(0)


@pytest.fixture
def ledger(place: Place) -> Iterator[SqlLedger]:
    """An empty ledger that goes by the real clock, as leases do on PostgreSQL in any case."""
    with place.create(clock=SystemClock()) as made:
        yield made


def expire(place: Place) -> None:
    """Make it look as if every lease ran out long ago."""
    place.execute("UPDATE attest_lease SET expires = '2020-01-01T00:00:00.000000Z'")


def test_one_holds_it_and_another_is_told_who(place: Place, ledger: SqlLedger) -> None:
    """While one holds the lease of an environment, another one is told who, and since when."""
    with (
        ledger.lease("staging", holder="job 7 on runner-1", ttl=LONG, wait=NONE) as lease,
        place.open(clock=SystemClock()) as other,
    ):
        with pytest.raises(LeaseHeld) as caught, other.lease("staging", holder="job 8", ttl=LONG, wait=NONE):
            raise AssertionError
        assert caught.value.holder == "job 7 on runner-1"
        assert caught.value.since == lease.since
        assert f"job 7 on runner-1 holds the lease of staging since {format_time(lease.since)}" in str(caught.value)


def test_the_same_program_cannot_hold_it_twice(ledger: SqlLedger) -> None:
    """Two threads of one program are two deployers."""
    with (
        ledger.lease("staging", holder="one", ttl=LONG, wait=NONE),
        pytest.raises(LeaseHeld),
        ledger.lease("staging", holder="two", ttl=LONG, wait=NONE),
    ):
        raise AssertionError


def test_environments_do_not_wait_for_each_other(place: Place, ledger: SqlLedger) -> None:
    """Leases of two environments are held at once, and each records for its own."""
    with (
        ledger.lease("staging", holder="one", ttl=LONG, wait=NONE) as staging,
        place.open(clock=SystemClock()) as other,
        other.lease("production", holder="two", ttl=LONG, wait=NONE) as production,
    ):
        staging.append(entry(1))
        production.append(entry(2, environment="production"))
        with pytest.raises(AssertionError, match="a record of staging under the lease of production"):
            production.append(entry(3))
    assert numbers(ledger.records()) == [1, 2]


def test_the_token_goes_up(ledger: SqlLedger) -> None:
    """Each lease of an environment has a higher token than all before it; other environments count for themselves."""
    tokens = []
    for environment in ("staging", "staging", "production", "staging"):
        with ledger.lease(environment, holder="one", ttl=LONG, wait=NONE) as lease:
            tokens.append(lease.token)
    assert tokens == [1, 2, 1, 3]


def test_it_is_given_back_after_an_error(ledger: SqlLedger) -> None:
    """A block that ends with an exception gives the lease back, and the exception is what is seen."""
    with (
        pytest.raises(RuntimeError, match="of the deployment"),
        ledger.lease("staging", holder="one", ttl=LONG, wait=NONE),
    ):
        raise RuntimeError("of the deployment")
    with ledger.lease("staging", holder="two", ttl=LONG, wait=NONE) as lease:
        assert lease.token == 2


def test_whoever_waits_gets_it(place: Place, ledger: SqlLedger) -> None:
    """A second deployer that waits goes on as soon as the first one has ended, and not before."""
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with place.open(clock=SystemClock()) as other:
            waiting.set()
            with other.lease("staging", holder="second", ttl=LONG, wait=LONG) as lease:
                order.append(f"second {lease.token}")

    thread = threading.Thread(target=second)
    with ledger.lease("staging", holder="first", ttl=LONG, wait=NONE) as lease:
        thread.start()
        assert waiting.wait(60)
        lease.append(entry(1))
        order.append("first")
    thread.join(60)
    assert order == ["first", "second 2"]


def test_an_append_under_a_lost_lease_fails(place: Place, ledger: SqlLedger) -> None:
    """A deployer that slept past its lease, which another took, records nothing and is told who has it."""
    with (
        ledger.lease("staging", holder="sleeper", ttl=LONG, wait=NONE) as lost,
        place.open(clock=SystemClock()) as other,
    ):
        lost.append(entry(1))
        expire(place)
        with other.lease("staging", holder="next", ttl=LONG, wait=NONE) as lease:
            assert lease.token == lost.token + 1
            lease.append(entry(2))
            with pytest.raises(LeaseLost, match="the lease of staging was lost: next has it since"):
                lost.append(entry(3))
            with pytest.raises(LeaseLost):
                lost.check()
            lease.append(entry(4))
        with pytest.raises(LeaseLost, match=r"was lost$"):
            lost.append(entry(5))
    assert [record.payload["n"] for record in ledger.records()] == [1, 2, 4]


def test_giving_back_a_lost_lease_takes_it_from_nobody(place: Place, ledger: SqlLedger) -> None:
    """A deployer that lost its lease and ends does not end the lease of the one who has it now."""
    with contextlib.ExitStack() as first, place.open(clock=SystemClock()) as other:
        first.enter_context(ledger.lease("staging", holder="sleeper", ttl=LONG, wait=NONE))
        expire(place)
        with other.lease("staging", holder="next", ttl=LONG, wait=NONE) as lease:
            first.close()
            assert lease.append(entry(1)).seq == 1


def test_what_ran_out_and_nobody_took_is_still_held(place: Place, ledger: SqlLedger) -> None:
    """A lease whose time is over and that nobody took meanwhile goes on: nobody else was there."""
    with ledger.lease("staging", holder="late", ttl=LONG, wait=NONE) as lease:
        expire(place)
        lease.check()
        assert lease.append(entry(1)).seq == 1
        with (
            place.open(clock=SystemClock()) as other,
            pytest.raises(LeaseHeld),
            other.lease("staging", holder="x", ttl=LONG, wait=NONE),
        ):
            raise AssertionError


def test_it_is_renewed_while_the_block_runs(place: Place, ledger: SqlLedger) -> None:
    """A block that records nothing for long keeps its lease: when it ends moves on, again and again."""
    seen: set[str] = set()
    with ledger.lease("staging", holder="slow", ttl=SHORT, wait=NONE) as lease:
        for _ in range(1_000):
            ((expires,),) = place.execute("SELECT expires FROM attest_lease")
            seen.add(expires)
            if len(seen) == 4:
                break
            time.sleep(0.05)
        assert len(seen) == 4
        lease.check()


def test_a_lease_that_has_ended_is_lost(ledger: SqlLedger) -> None:
    """After its block nothing more is recorded under a lease."""
    with ledger.lease("staging", holder="one", ttl=LONG, wait=NONE) as lease:
        pass
    with pytest.raises(LeaseLost):
        lease.append(entry(1))


def test_a_lease_does_not_stop_what_needs_none(place: Place, ledger: SqlLedger) -> None:
    """A refusal can be recorded while somebody else deploys."""
    with ledger.lease("staging", holder="one", ttl=LONG, wait=NONE) as lease, place.open(clock=SystemClock()) as other:
        refused: Record = other.append(entry(1, type="deploy.refused"))
        assert lease.append(entry(2)).prev_hash == refused.hash


# ---- holders that die

HOLDER = """
import sys, time
from datetime import timedelta
from attest.adapters.clock import SystemClock
from attest.adapters.ledger import open_ledger, parse_address

ledger = open_ledger(parse_address(sys.argv[1]), clock=SystemClock())
ttl = timedelta(seconds=float(sys.argv[2]))
with ledger.lease("staging", holder="the dead", ttl=ttl, wait=timedelta(0)):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def holding(place: Place, ttl: timedelta) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lease of staging."""
    arguments = [sys.executable, "-c", HOLDER, place.url, str(ttl.total_seconds())]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=PROJECT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def test_nobody_waits_for_the_dead(place: Place, ledger: SqlLedger) -> None:
    """The lease of a killed process is free: on SQLite at once, on PostgreSQL when its time is over."""
    ttl = LONG if place.sqlite else timedelta(seconds=2)
    with holding(place, ttl) as process:
        with pytest.raises(LeaseHeld), ledger.lease("staging", holder="next", ttl=LONG, wait=NONE):
            raise AssertionError
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with ledger.lease("staging", holder="next", ttl=LONG, wait=NONE if place.sqlite else LONG) as lease:
            assert lease.token == 2


def test_a_stopped_process_loses_it_and_finds_out(place: Place, ledger: SqlLedger) -> None:
    """A process that stands still loses its lease when its time is over, though it lives."""
    with holding(place, SHORT) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with ledger.lease("staging", holder="next", ttl=LONG, wait=LONG) as lease:
            os.kill(process.pid, signal.SIGCONT)
            assert lease.append(entry(1)).seq == 1


def test_a_lease_that_was_taken_from_the_living_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Who took a lease from a process that stood still has no file lock; that its victim dies frees nothing."""
    place = Place(url=f"sqlite:///{tmp_path}/ledger.db")
    with (
        place.create(clock=SystemClock()) as ledger,
        place.open(clock=SystemClock()) as third,
        holding(place, SHORT) as process,
    ):
        os.kill(process.pid, signal.SIGSTOP)
        with ledger.lease("staging", holder="second", ttl=LONG, wait=LONG):
            process.kill()
            process.wait()
            with (
                pytest.raises(LeaseHeld, match="second holds"),
                third.lease("staging", holder="3", ttl=LONG, wait=NONE),
            ):
                raise AssertionError


def test_a_place_that_takes_no_lock_file_is_an_error(tmp_path: Path) -> None:
    """A lock file that is a link to somewhere else is not followed."""
    place = Place(url=f"sqlite:///{tmp_path}/ledger.db")
    with place.create() as ledger:
        with ledger.lease("staging", holder="one", ttl=LONG, wait=NONE):
            pass
        (lock,) = tmp_path.glob("ledger.db.lease-*")
        lock.unlink()
        lock.symlink_to(tmp_path / "elsewhere")
        with (
            pytest.raises(LedgerUnreachable, match="says who deploys"),
            ledger.lease("staging", holder="one", ttl=LONG, wait=NONE),
        ):
            raise AssertionError
        assert not (tmp_path / "elsewhere").exists()
