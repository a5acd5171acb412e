"""`attest metrics`, `attest events` and `attest history` on a real ledger."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.observed import Watched
from tests.cli.running import COMMAND, clean_environment
from tests.core.make_delivery import Book
from tests.core.make_story import Story, of, story
from tests.parts.process import free_port
from tests.parts.web import request


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """An environment in which everything happened, and what should runs."""
    made = Watched(tmp_path, story())
    made.run({name: image.digest for name, image in of(6).services.items()})
    return made


def damage(ledger: Path) -> None:
    """Change a record behind the ledger's back."""
    with sqlite3.connect(ledger) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        (table,) = next(
            row for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if "record" in row[0]
        )
        database.execute(f"UPDATE {table} SET actor = 'else' WHERE seq = 3")
    database.close()


def sample(metrics: str, name: str) -> dict[str, float]:
    """The series of a name, by their labels as they are written."""
    found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", metrics, re.M)
    return {labels: float(value) for labels, value in found}


# ---- metrics


def test_metrics_are_printed(watched: Watched) -> None:
    """What is counted from the ledger, and what was seen to run just now."""
    ended = watched.attest("metrics")
    assert ended.code == 0, ended.err
    assert sample(ended.out, "attest_ledger_ok") == {'{environment="staging"}': 1}
    assert sample(ended.out, "attest_observation_ok") == {'{environment="staging"}': 1}
    assert set(sample(ended.out, "attest_drift").values()) == {0}
    watched.run({"api": of(1).services["api"].digest, "web": of(6).services["web"].digest})
    drift = sample(watched.attest("metrics").out, "attest_drift")
    assert drift == {
        '{environment="staging",service="api"}': 1,
        '{environment="staging",service="web"}': 0,
    }


def test_without_a_look_nothing_is_asked(watched: Watched) -> None:
    """With --recorded the target is not asked, and its silence does not matter."""
    (watched.folder / "hook.py").unlink()
    ended = watched.attest("metrics", "--recorded")
    assert (ended.code, ended.err) == (0, "")
    assert sample(ended.out, "attest_observation_ok") == {}
    ended = watched.attest("metrics")
    assert ended.code == 3
    assert "staging:" in ended.err
    assert sample(ended.out, "attest_observation_ok") == {'{environment="staging"}': 0}
    assert sample(ended.out, "attest_drift") == {}


def test_a_ledger_that_is_broken_says_so_and_nothing_else(watched: Watched) -> None:
    """One number says that it is not right; no counter pretends that nothing happened."""
    damage(watched.ledger)
    ended = watched.attest("metrics")
    assert ended.code == 3
    assert sample(ended.out, "attest_ledger_ok") == {'{environment="staging"}': 0}
    names = re.findall(r"^# TYPE (\S+)", ended.out, re.M)
    assert names == ["attest_build_info", "attest_ledger_ok"]
    watched.ledger.unlink()
    assert watched.attest("metrics").out == ended.out


def test_a_textfile_is_written_whole(watched: Watched) -> None:
    """It holds what would be printed, and replaces what was there; nothing else stays in the folder."""
    folder = watched.folder / "collector"
    folder.mkdir()
    (folder / "attest.prom").write_text("old")
    ended = watched.attest("metrics", "--textfile", "collector/attest.prom", "--recorded")
    assert (ended.code, ended.out) == (0, "")
    assert (folder / "attest.prom").read_text() == watched.attest("metrics", "--recorded").out
    assert [file.name for file in folder.iterdir()] == ["attest.prom"]
    damage(watched.ledger)
    assert watched.attest("metrics", "--textfile", "collector/attest.prom").code == 3
    assert sample((folder / "attest.prom").read_text(), "attest_ledger_ok") == {'{environment="staging"}': 0}


def test_wrong_command_lines(watched: Watched) -> None:
    """Two ways out at once, an address that is none, a folder that is not there."""
    for options in (
        ("--textfile", "f", "--listen", ":0"),
        ("--listen", "nowhere"),
        ("--textfile", "no/f", "--recorded"),
    ):
        ended = watched.attest("metrics", *options)
        assert (ended.code, ended.out) == (2, ""), options
        assert "hint" in ended.err or "cannot be written" in ended.err


def test_metrics_are_served_until_interrupted(watched: Watched) -> None:
    """A real process answers scrapes, sees what changes in the ledger, and ends at SIGINT."""
    port = free_port()
    arguments = [*COMMAND, "metrics", "staging.yaml", "--recorded", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        arguments, cwd=watched.folder, env=clean_environment(watched.folder), stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            assert f"http://127.0.0.1:{port}/metrics".encode() in process.stderr.readline()
            first = request("GET", f"http://127.0.0.1:{port}/metrics").body.decode()
            assert sample(first, "attest_ledger_ok") == {'{environment="staging"}': 1}
            damage(watched.ledger)
            second = request("GET", f"http://127.0.0.1:{port}/metrics").body.decode()
            assert sample(second, "attest_ledger_ok") == {'{environment="staging"}': 0}
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()


# ---- events


def test_events_are_told_once(watched: Watched) -> None:
    """The first run tells all, the second nothing, and a longer ledger what is new."""
    ended = watched.attest("events", "--to", "events.jsonl", "--format", "json")
    assert ended.code == 0, ended.err
    lines = (watched.folder / "events.jsonl").read_text().splitlines()
    assert ended.document == {
        "schema": "attest.events/v1",
        "environment": "staging",
        "to": "events.jsonl",
        "told": len(lines),
        "before": 0,
    }
    assert {json.loads(line)["source"] for line in lines} == {"/attest/environments/staging"}
    again = watched.attest("events", "--to", "events.jsonl")
    assert (again.code, again.out) == (0, "")
    assert again.err == f"staging: 0 events told to events.jsonl, {len(lines)} before\n"
    assert (watched.folder / "events.jsonl.cursor").exists()


def test_a_replaced_ledger_is_noticed(watched: Watched) -> None:
    """Events of another ledger are told nowhere: exit 3."""
    watched.attest("events", "--to", "events.jsonl")
    before = (watched.folder / "events.jsonl").read_bytes()
    other = Story()
    other.again(of(1))
    watched.record(other)
    ended = watched.attest("events", "--to", "events.jsonl")
    assert ended.code == 3
    assert "is not in this ledger" in ended.err
    assert (watched.folder / "events.jsonl").read_bytes() == before


def test_an_endpoint_that_is_not_there_is_3(watched: Watched) -> None:
    """Nothing was told, and it is said which event was not; its cursor would stand beside the environment."""
    url = f"http://127.0.0.1:{free_port()}/"
    ended = watched.attest("events", "--to", url, "--timeout", "2")
    assert ended.code == 3
    assert not (watched.folder / "staging.yaml.cursor").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--to", "http://events.example.org/"),
        ("--to", "ftp://events.example.org/"),
        ("--to", "f", "--token-file", "t"),
        ("--to", "f", "--source", "two words"),
        ("--to", "f", "--cursor", "no/such/folder"),
        (),
    ],
)
def test_wrong_command_lines_of_events(watched: Watched, options: tuple[str, ...]) -> None:
    """Each is exit 2, and nothing is told."""
    ended = watched.attest("events", *options)
    assert (ended.code, ended.out) == (2, "")
    assert not (watched.folder / "f").exists()


# ---- history


def test_the_history_ends_with_figures(watched: Watched) -> None:
    """Text ends with the four, JSON has them as its schema says, over as many days as are asked for."""
    ended = watched.attest("history", "--days", "3650")
    assert ended.code == 0, ended.err
    assert "change failure rate   50% (2 of 4)" in ended.out
    assert "recovery              44 s, median of 2" in ended.out
    document = watched.attest("history", "--format", "json", "--days", "3650").document
    schema = json.loads((resources.files("attest") / "schemas" / "history.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    assert document["figures"]["deployments"] == 3
    document["figures"]["surplus"] = 1
    assert not Draft202012Validator(schema).is_valid(document)


def test_an_empty_history_has_figures_of_nothing(tmp_path: Path) -> None:
    """Nothing is shown as nothing, not as zero seconds."""
    ended = Watched(tmp_path, Book()).attest("history")
    assert "change lead time      no change, median" in ended.out
    assert "change failure rate   none ended (0 of 0)" in ended.out


def test_the_page_is_printed(watched: Watched) -> None:
    """One HTML document with the head of the ledger; the tests of the page itself are elsewhere."""
    ended = watched.attest("history", "--format", "html")
    assert ended.code == 0, ended.err
    assert ended.out.rstrip().endswith("</html>")
    assert watched.book.head is not None
    assert watched.book.head.hash in ended.out
    assert "nothing here was asked of the place" in ended.out


def test_a_broken_ledger_has_no_history(watched: Watched) -> None:
    """No page is made of what cannot be believed: exit 3, and nothing on standard output."""
    damage(watched.ledger)
    ended = watched.attest("history", "--format", "html")
    assert (ended.code, ended.out) == (3, "")
