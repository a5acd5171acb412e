"""The fast-check lane of the sample service: its source, alone."""

from __future__ import annotations

import json
from pathlib import Path

from render import page, render, total_seconds


def test_total_seconds() -> None:
    """A playlist plays as long as its tracks."""
    assert total_seconds([{"seconds": 200}, {"seconds": 41}]) == 241


def test_titles_are_escaped() -> None:
    """What stands in a title is no markup."""
    assert "<li>a &amp; b</li>" in page([{"title": "a & b", "seconds": 1}])


def test_both_files_are_written(tmp_path: Path) -> None:
    """The page and the playlist stand beside each other."""
    render(tmp_path)
    assert json.loads((tmp_path / "playlist.json").read_text())["seconds"] == 241
    assert (tmp_path / "index.html").read_text().startswith("<!doctype html>")
