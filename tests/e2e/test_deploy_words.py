"""What the commands about an environment say, to people and to scripts, and who may do something at the same time."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator

from attest.adapters.clock import SystemClock
from attest.adapters.ledger import open_ledger, parse_address
from tests.cli.running import Ended, clean_environment
from tests.e2e.staging import ENVIRONMENT, HOOK, Staging, make_ledger, staging
from tests.faulty_service import Asked, FaultyService, Handler, says
from tests.parts.postgres import OWNER, PASSWORD, Postgres
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]


@pytest.fixture
def site(olareg: Registry, tmp_path: Path) -> Iterator[Staging]:
    """An environment with one service, to which nothing was deployed."""
    with staging(tmp_path, olareg) as made:
        yield made


def valid(ended: Ended, name: str) -> bool:
    """Whether a command printed one document of a published schema."""
    schema = json.loads((resources.files("attest") / "schemas" / f"{name}.v1.json").read_text())
    problems = [error.message for error in Draft202012Validator(schema).iter_errors(ended.document)]
    assert problems == []
    return True


def test_every_document_is_what_its_schema_says(site: Staging) -> None:
    """deploy, rollback, reconcile, status and history, where it went well, was refused, rolled back and held."""
    json_format = ("--format", "json")
    site.release(1)
    assert valid(site.deploy(1, *json_format), "delivery")
    assert valid(site.rollback(*json_format), "delivery")  # nothing to go back to
    site.release(2)
    assert valid(site.deploy(2, "--automatic", *json_format), "delivery")  # held
    assert valid(site.deploy(2, *json_format), "delivery")
    site.release(3, sick=True)
    assert valid(site.deploy(3, *json_format), "delivery")  # rolled back
    site.release(4, lanes=())
    assert valid(site.deploy(4, *json_format), "delivery")  # refused
    assert valid(site.attest("reconcile", ENVIRONMENT, *json_format), "reconcile")
    site.tamper("app", "sha256:" + "0" * 64)
    assert valid(site.status("--evidence"), "status")
    assert valid(site.attest("reconcile", ENVIRONMENT, *json_format), "reconcile")
    site.fault("silent")
    unseen = site.status()
    assert unseen.code == 3
    assert valid(unseen, "status")
    assert site.status("--recorded").code == 0
    assert valid(site.attest("history", ENVIRONMENT, *json_format), "history")
    for verb, more in (("freeze", ()), ("unfreeze", ()), ("release-hold", ())):
        ended = site.attest(verb, ENVIRONMENT, "--reason", "so", *more, *json_format)
        assert ended.code == 0, ended.err
        assert ended.document["environment"] == "staging"


def test_what_people_read(site: Staging) -> None:
    """States, numbers, images, reasons and what to do next stand in the text of each command."""
    assert "nothing was ever deployed" in site.attest("status", ENVIRONMENT).out
    site.release(1)
    ended = site.deploy(1, "--reason", "the first", "--actor", "alice")
    assert ended.out.splitlines()[0] == "succeeded  delivery 1 (deploy)"
    assert site.images(1)[0] in ended.out
    assert [line.removeprefix("staging: ") for line in ended.err.splitlines()] == [
        "verifying the release",
        "fetching images",
        "applying",
        "observing what runs",
        "probing",
        "it runs, confirmed by digest, and is healthy",
    ]
    site.release(2, sick=True)
    ended = site.deploy(2)
    assert "rolled-back  delivery 6 (deploy)  app: " in ended.out
    assert "succeeded  delivery 11 (rollback of delivery 6)" in ended.out
    assert "automatic deployments are held" in ended.out
    status = site.attest("status", ENVIRONMENT, "--evidence").out
    for words in (
        "held since",
        "bad since delivery 6",
        "desired",
        "applied",
        "good last",
        "observed",
        "verdict passed",
    ):
        assert words in status
    assert "present  e2e" in status
    history = site.attest("history", ENVIRONMENT).out
    for words in ("alice, explicit: the first", "superseded  delivery 1 (deploy)", "automatic"):
        assert words in history
    again = site.deploy(2)
    assert "next: deploy one that is mended, or lift the mark: attest release-hold FILE --release 6" in again.out
    clean = site.attest("reconcile", ENVIRONMENT)
    assert "everything runs as it should; current is delivery 11" in clean.out
    lifted = site.attest("release-hold", ENVIRONMENT, "--reason", "so")
    assert lifted.out == "automatic deployments to staging may go on\n"
    lifted = site.attest("release-hold", ENVIRONMENT, "--release", "6", "--reason", "so")
    assert lifted.out == "the release of delivery 6 may be deployed again\n"
    assert site.attest("release-hold", ENVIRONMENT, "--reason", "so").code == 2
    frozen = site.attest("freeze", ENVIRONMENT, "--reason", "holidays", "--until", "2099-01-01T00:00:00Z")
    assert frozen.out == "staging is frozen until 2099-01-01T00:00:00.000000Z: holidays\n"
    site.attest("history", ENVIRONMENT)
    assert "frozen: nothing is deployed until 2099" in site.attest("history", ENVIRONMENT).out


def test_what_the_target_says_cannot_speak_to_the_terminal(site: Staging) -> None:
    """Escape sequences and workflow commands in what a hook says are shown as what they are."""
    hostile = HOOK.replace('"state": "running"', '"state": "running", "detail": "\\x1b[31m::set-output name=x::y"')
    (site.folder / "hook.py").write_text(hostile)
    site.release(1)
    assert site.deploy(1).code == 0
    for ended in (site.attest("status", ENVIRONMENT), site.attest("history", ENVIRONMENT)):
        assert ended.code == 0
        assert "\x1b" not in ended.out
    assert "\\u001b[31m" in site.attest("status", ENVIRONMENT).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", ENVIRONMENT),
        ("deploy", ENVIRONMENT, "registry.example.org/other@sha256:" + "0" * 64),
        ("deploy", ENVIRONMENT, "oci:layout@sha256:" + "0" * 64),
        ("deploy", ENVIRONMENT, "--release", "release.yaml"),
        ("deploy", "absent.yaml", "registry.example.org/other@sha256:" + "0" * 64),
        ("deploy", ENVIRONMENT, "IMAGE", "--reason", ""),
        ("deploy", ENVIRONMENT, "IMAGE", "--reason", "half a character \udc80"),
        ("deploy", ENVIRONMENT, "IMAGE", "--actor", "a\nb"),
        ("freeze", ENVIRONMENT, "--reason", "x", "--until", "tomorrow"),
        ("rollback", ENVIRONMENT, "--to", "0"),
        ("status", "absent.yaml"),
        ("history", "policy.yaml"),
    ],
)
def test_a_wrong_command_line_touches_and_records_nothing(site: Staging, arguments: tuple[str, ...]) -> None:
    """What cannot be meant is exit 2, before anything is asked or written."""
    site.release(1)
    ended = site.attest(*[site.images(1)[0] if one == "IMAGE" else one for one in arguments])
    assert ended.code == 2, ended.err
    assert ended.err.startswith("error: ")
    assert site.records() == []
    assert site.asked() == []


def test_without_a_ledger_nothing_is_done(site: Staging) -> None:
    """A ledger that is not there is never made on the way: it may have been deleted."""
    site.release(1)
    (site.folder / "ledger.db").unlink()
    ended = site.deploy(1)
    assert ended.code == 3, ended.err
    assert site.asked() == []
    assert not (site.folder / "ledger.db").exists()


def test_one_deployer_at_a_time(site: Staging) -> None:
    """While somebody holds the environment, another says who and since when, and touches nothing; or waits."""
    site.release(1)
    address = parse_address(f"sqlite:///{site.folder / 'ledger.db'}")
    minute = timedelta(minutes=1)
    with (
        open_ledger(address, clock=SystemClock()) as ledger,
        ledger.lease("staging", holder="alice", ttl=minute, wait=timedelta(0)),
    ):
        ended = site.deploy(1, "--wait", "0")
        assert ended.code == 3, ended.err
        assert "alice" in ended.err
        assert site.attest("freeze", ENVIRONMENT, "--reason", "x", "--wait", "0").code == 3
        assert site.asked() == []
        waiting = subprocess.Popen(
            [sys.executable, "-m", "attest", "deploy", ENVIRONMENT, *site.images(1), "--wait", "60"],
            cwd=site.folder,
            env=clean_environment(site.folder, **site.scene.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(2)
        assert waiting.poll() is None
        assert site.asked() == []
    assert waiting.wait(120) == 0
    assert site.runs(1)


def test_two_deployers_at_once_make_one_history(site: Staging) -> None:
    """Commands that run at the same time come one after the other: no fork, no lost record, one release runs."""
    for number in (1, 2, 3):
        site.release(number)
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "attest", "deploy", ENVIRONMENT, *site.images(number), "--wait", "120"],
            cwd=site.folder,
            env=clean_environment(site.folder, **site.scene.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in (1, 2, 3)
    ]
    assert [command.wait(180) for command in commands] == [0, 0, 0]
    assert sorted(site.states()) == [("deploy", "succeeded"), ("deploy", "superseded"), ("deploy", "superseded")]
    assert len(site.records()) == 15
    assert any(site.runs(number) for number in (1, 2, 3))


def test_machines_share_a_ledger(olareg: Registry, postgres: Postgres, tmp_path: Path) -> None:
    """Two folders with one ledger in PostgreSQL: what the one deployed the other knows, rolls back, and is refused."""
    url = f"postgresql://{OWNER}@127.0.0.1:{postgres.port}/{postgres.make_database()}"
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with staging(tmp_path / "one", olareg) as one, staging(tmp_path / "other", olareg) as other:
        shutil.rmtree(tmp_path / "other" / "keys")
        shutil.copytree(tmp_path / "one" / "keys", tmp_path / "other" / "keys")
        other.prefix = one.prefix
        for site in (one, other):
            site.ledger = url
            site.scene.environment["PGPASSWORD"] = PASSWORD
            site.policy()
            site.write()
        assert one.scene.attest("ledger", "init", url).code == 0
        for number in (1, 2):
            one.release(number)
            ended = one.deploy(number)
            assert ended.code == 0, ended.err
        other.releases = one.releases
        (tmp_path / "other" / "running.json").write_text((tmp_path / "one" / "running.json").read_text())
        assert other.status().code == 0
        assert other.rollback().code == 0
        assert other.runs(1)
        assert one.deploy(2).code == 1  # it was rolled back, by whomever
        assert one.states() == other.states()


def test_the_head_of_the_ledger_is_signed_and_compared(olareg: Registry, tmp_path: Path) -> None:
    """Behind every command the head is pushed; a ledger that lost its end, or is another, is refused at the start."""
    with staging(tmp_path, olareg) as site:
        heads = olareg.fresh_repository()
        site.write(signer=f", signer: keys/gate.key, head: {heads}")
        site.release(1)
        ended = site.deploy(1)
        assert ended.code == 0, ended.err
        assert "signing the head" in ended.err
        verified = site.scene.attest(
            "ledger", "verify", "sqlite:///ledger.db", "--head", heads, "--key", "keys/gate.pub"
        )
        assert verified.code == 0, verified.err
        site.release(2)
        assert site.deploy(2).code == 0
        assert _cut(tmp_path / "ledger.db", keep=7)
        before = site.asked()
        ended = site.deploy(1)
        assert ended.code == 3, ended.out
        assert "signed heads" in ended.err
        assert site.asked() == before
        # A new ledger in the place of the old one is no way around it.
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        make_ledger(tmp_path / "ledger.db")
        site.write()
        assert site.deploy(1).code == 0
        site.write(signer=f", signer: keys/gate.key, head: {heads}")
        before = site.asked()
        assert site.deploy(2).code == 3
        assert site.asked() == before


def test_a_place_that_lost_all_heads_is_told_of(olareg: Registry, tmp_path: Path) -> None:
    """Where a ledger with records has no signed head to be compared with, that is said; a new ledger needs none."""
    lost = "keeps no signed head of it"
    with staging(tmp_path, olareg) as site:
        site.write(signer=f", signer: keys/gate.key, head: {olareg.fresh_repository()}")
        site.release(1)
        for _ in range(2):
            ended = site.deploy(1)
            assert (ended.code, lost in ended.err) == (0, False), ended.err
        site.write(signer=f", signer: keys/gate.key, head: {olareg.fresh_repository()}")
        ended = site.deploy(1)
        assert (ended.code, lost in ended.err) == (0, True), ended.err


@pytest.mark.parametrize("verb", ["deploy", "rollback", "reconcile"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_what_was_done_is_told_though_the_head_cannot_be_pushed(
    verb: str, output: str, olareg: Registry, tmp_path: Path
) -> None:
    """What was delivered is printed first, as the only document; then the error on standard error, with 3."""
    with FaultyService(answer=_read_only).running() as service, staging(tmp_path, olareg) as site:
        for number in (1, 2):
            site.release(number)
            if verb != "deploy":
                assert site.deploy(number).code == 0
        if verb == "reconcile":
            site.tamper("app", "sha256:" + "0" * 64)
        site.write(signer=f", signer: keys/gate.key, head: {urlsplit(service.url).netloc}/heads")
        options = ("--format", output)
        ended = site.deploy(2, *options) if verb == "deploy" else site.attest(verb, ENVIRONMENT, *options)
        assert ended.code == 3, ended.err
        assert any(line.startswith("error: ") for line in ended.err.splitlines()), ended.err
        assert site.runs(1 if verb == "rollback" else 2)
        if output == "json":
            assert valid(ended, "reconcile" if verb == "reconcile" else "delivery")
            done = ended.document["repair"] if verb == "reconcile" else ended.document
            assert done["delivery"]["state"] == "succeeded"
        else:
            assert "succeeded  delivery" in ended.out


def test_a_freeze_is_told_though_the_head_cannot_be_pushed(olareg: Registry, tmp_path: Path) -> None:
    """It stands, and is said to, in the one document that is printed; the error is on standard error, with 3."""
    with FaultyService(answer=_read_only).running() as service, staging(tmp_path, olareg) as site:
        site.write(signer=f", signer: keys/gate.key, head: {urlsplit(service.url).netloc}/heads")
        ended = site.attest("freeze", ENVIRONMENT, "--reason", "holidays", "--format", "json")
        assert (ended.code, ended.document["frozen"]) == (3, True)
        assert "error: " in ended.err


def test_what_fails_before_anything_is_done_is_the_document(olareg: Registry, tmp_path: Path) -> None:
    """Where heads cannot even be read nothing is done, and the error is what is printed."""
    with FaultyService(answer=says(403, {"errors": []})).running() as service, staging(tmp_path, olareg) as site:
        site.release(1)
        site.write(signer=f", signer: keys/gate.key, head: {urlsplit(service.url).netloc}/heads")
        ended = site.deploy(1, "--format", "json")
        assert (ended.code, ended.document["error"]) == (3, "access-denied")
        assert site.asked() == []


def _read_only(handler: Handler, asked: Asked) -> None:
    """A registry that holds nothing, and takes nothing."""
    says(404 if asked.method in ("GET", "HEAD") else 403, {"errors": []})(handler, asked)


def _cut(file: Path, *, keep: int) -> bool:
    """Take the end of a ledger away, as somebody who owns the database can."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            database.execute(f'DROP TRIGGER "{name}"')
        (table,) = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if "seq" in [column[1] for column in database.execute(f'PRAGMA table_info("{name}")')]
        ]
        deleted = database.execute(f'DELETE FROM "{table}" WHERE seq > ?', (keep,)).rowcount
        database.commit()
    return bool(deleted)
