"""Commands that deploy send the spans of what they delivered, and of nothing else; spans decide nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest.adapters.clock import SystemClock
from attest.adapters.ledger import open_ledger, parse_address
from attest.cli.spans import traced
from tests.cli.observed import Watched
from tests.core.make_delivery import Book
from tests.core.make_story import Story, of
from tests.parts.process import free_port
from tests.test_spans import Collector, collector

__all__ = ["collector"]


def two() -> Book:
    """Two deliveries."""
    book = Story()
    book.again(of(1))
    book.again(of(2), "failed")
    return book


def deliver(folder: Path, *, fail: bool = False) -> None:
    """A command that finds one delivery in the ledger, and makes another."""
    whole, before = two(), two()
    before.records = before.records[:5]
    place = Watched(folder, before)
    with (
        open_ledger(parse_address(f"sqlite:///{place.ledger}"), clock=SystemClock()) as ledger,
        traced("staging", ledger),
    ):
        ledger.restore(whole.records)
        if fail:
            raise KeyboardInterrupt


def test_what_was_delivered_is_sent(collector: Collector, tmp_path: Path) -> None:
    """One delivery, with its steps; the one that was there before is not sent again."""
    deliver(tmp_path)
    roots = [span for span in collector.spans() if not span.parent_span_id]
    assert [(span.name, span.status.message) for span in roots] == [("deploy staging", "unhealthy")]


def test_a_command_that_breaks_off_sends_too(collector: Collector, tmp_path: Path) -> None:
    """What had ended before is told; the command ends as it would have."""
    with pytest.raises(KeyboardInterrupt):
        deliver(tmp_path, fail=True)
    assert len(collector.requests) == 1


def test_nothing_new_is_nothing_to_send(collector: Collector, tmp_path: Path) -> None:
    """A command after which no delivery has ended asks the collector nothing."""
    place = Watched(tmp_path, two())
    with (
        open_ledger(parse_address(f"sqlite:///{place.ledger}"), clock=SystemClock()) as ledger,
        traced("staging", ledger),
    ):
        pass
    assert collector.requests == []


def test_a_collector_that_is_away_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is told of on standard error, in one line of ours."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("attest.adapters.spans._SECONDS", 1.0)
    deliver(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("staging: the collector did not take the spans")


def test_without_an_endpoint_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And nothing is said."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    deliver(tmp_path)
    assert capsys.readouterr().err == ""
