"""Files that a command has to write: what is new, what is old, and what a pattern means."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.adapters.fresh import FreshFiles, read_files
from attest.errors import DocumentInvalid, UsageError

LIMIT = 1000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a command runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rewrite(file: Path) -> None:
    """Write the same bytes at a later time."""
    file.write_text(file.read_text())
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def replace(file: Path) -> None:
    """Put another file of the same bytes and the same time in its place."""
    shutil.copy2(file, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def change(file: Path) -> None:
    """Write other bytes, and set the time back."""
    before = file.stat().st_mtime_ns
    file.write_text("two")
    os.utime(file, ns=(before, before))


@pytest.mark.parametrize("act", [rewrite, replace, change])
def test_a_difference_in_content_file_or_time_makes_it_new(here: Path, act: Callable[[Path], None]) -> None:
    """Each of the three alone is enough, since a command may write the same report twice."""
    file = here / "r.xml"
    file.write_text("one")
    fresh = FreshFiles(["r.xml"], limit=LIMIT)
    act(file)
    assert fresh.read() == (("r.xml", file.read_bytes()),)


def test_what_nobody_touched_is_old(here: Path) -> None:
    """The file that was there before is refused, with its name."""
    (here / "r.xml").write_text("one")
    with pytest.raises(DocumentInvalid, match=r"r\.xml: the command has not written it"):
        FreshFiles(["r.xml"], limit=LIMIT).read()


def test_what_was_not_there_is_new(here: Path) -> None:
    """A file that appears is new; one that does not is an error."""
    fresh = FreshFiles(["r.xml"], limit=LIMIT)
    with pytest.raises(DocumentInvalid, match=r"r\.xml: cannot be read"):
        fresh.read()
    (here / "r.xml").write_text("one")
    assert fresh.read() == (("r.xml", b"one"),)


def test_a_pattern_is_every_file_that_matches(here: Path) -> None:
    """In order, each once, whatever other pattern means it too; an old one among them is refused."""
    (here / "out").mkdir()
    fresh = FreshFiles(["out/*.xml", "out/a.xml", "out/**/*.xml"], limit=LIMIT)
    for name in ("b", "a"):
        (here / "out" / f"{name}.xml").write_text(name)
    assert fresh.read() == (("out/a.xml", b"a"), ("out/b.xml", b"b"))
    with pytest.raises(DocumentInvalid, match="has not written it"):
        FreshFiles(["out/*.xml"], limit=LIMIT).read()


def test_a_pattern_that_nothing_matches_is_an_error(here: Path) -> None:
    """No file at all is no report."""
    (here / "r.txt").touch()
    with pytest.raises(DocumentInvalid, match="no file matches this pattern"):
        read_files(["*.xml"], limit=LIMIT)
    with pytest.raises(DocumentInvalid, match="no file matches this pattern"):
        FreshFiles(["*.xml"], limit=LIMIT).read()


def test_a_file_may_be_called_like_a_pattern(here: Path) -> None:
    """A name with brackets is that file where it is there."""
    (here / "r[1].xml").write_text("one")
    (here / "r1.xml").write_text("other")
    assert read_files(["r[1].xml"], limit=LIMIT) == (("r[1].xml", b"one"),)


@pytest.mark.parametrize("name", ["-", ""])
def test_what_no_command_can_write_is_refused(name: str) -> None:
    """Standard input and no name are no reports of a command."""
    with pytest.raises(UsageError):
        FreshFiles([name], limit=LIMIT)


def test_what_is_no_file_or_too_large_is_an_error(here: Path) -> None:
    """A folder, a pipe and a large file are refused, before the command and after it; nobody waits for the pipe."""
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    (here / "large").write_bytes(bytes(LIMIT + 1))
    for name in ("folder", "pipe", "large"):
        with pytest.raises(DocumentInvalid):
            FreshFiles([name], limit=LIMIT)
        with pytest.raises(DocumentInvalid):
            read_files([name], limit=LIMIT)
