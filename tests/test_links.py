"""Materials and products, as in-toto records them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from attest.adapters.links import record_artifacts
from attest.core import limits
from attest.errors import DocumentInvalid


def sha256(content: bytes) -> str:
    """How attest writes a digest."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files, one below, and a repository's own folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src" / "below").mkdir(parents=True)
    (tmp_path / "src" / "a").write_bytes(b"a\r\n")
    (tmp_path / "src" / "below" / "b.pyc").write_bytes(b"b")
    (tmp_path / "src" / ".git").mkdir()
    (tmp_path / "src" / ".git" / "HEAD").write_bytes(b"ref")
    return tmp_path


def test_files_and_folders_are_hashed(here: Path) -> None:
    """Each file by its path, bytes as they are, nothing left out but .git."""
    found = {"src/a": sha256(b"a\r\n"), "src/below/b.pyc": sha256(b"b")}
    assert record_artifacts(["src"]) == found
    assert record_artifacts(["./src/a", "src/below/"]) == found
    assert record_artifacts([str(here / "src" / "a")]) == {str(here / "src" / "a"): sha256(b"a\r\n")}
    assert record_artifacts([]) == {}


def test_a_name_with_a_colon_is_a_file(here: Path) -> None:
    """What in-toto would take for another kind of artifact is a file of that name."""
    for name in ("dir:src", "file:x", "ostree:y"):
        (here / name).write_bytes(name.encode())
        assert record_artifacts([name]) == {name: sha256(name.encode())}


def test_what_is_not_there_is_an_error(here: Path) -> None:
    """in-toto leaves it out; nobody may take that for a material that was looked at."""
    with pytest.raises(DocumentInvalid, match="absent: not there"):
        record_artifacts(["src", "absent"])
    (here / "dangling").symlink_to("absent")
    with pytest.raises(DocumentInvalid, match="dangling: not there"):
        record_artifacts(["dangling"])


def test_links_to_files_are_followed_and_links_to_folders_are_not(here: Path) -> None:
    """A link in a folder has the content behind it; a link that leads up does not go round in circles."""
    (here / "src" / "link").symlink_to("a")
    (here / "src" / "below" / "up").symlink_to("..")
    assert set(record_artifacts(["src"])) == {"src/a", "src/link", "src/below/b.pyc"}


def test_too_many_files_are_refused_before_they_are_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than a Link can name are an error that says what to do."""
    monkeypatch.setattr(limits, "ARTIFACTS", 1)
    with pytest.raises(DocumentInvalid, match="src: more than 1 files"):
        record_artifacts(["src"])
    assert here.exists()


def test_a_name_that_is_not_utf8_cannot_be_signed(here: Path) -> None:
    """JSON has no way to say it."""
    (here / os.fsdecode(b"src/\xff")).touch()
    with pytest.raises(DocumentInvalid, match="udcff: its name is not UTF-8"):
        record_artifacts(["src"])
