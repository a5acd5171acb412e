"""The changes of the story: they fit the example as it is, and what its source checks say of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline import changes
from tests.pipeline.images import PLAYLIST

each_change = pytest.mark.parametrize("name", list(changes.CHANGES))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the example."""
    copy = tmp_path / "checkout"
    shutil.copytree(PLAYLIST, copy, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    return copy


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@each_change
def test_a_change_is_made_and_taken_back(checkout: Path, name: str) -> None:
    """A change touches the files that it names and nothing else, and leaves no trace when it is taken back."""
    before = contents(checkout)
    changes.apply(checkout, name)
    changed = contents(checkout)
    assert {file for file in before if changed[file] != before[file]} == {one.file for one in changes.CHANGES[name]}
    changes.revert(checkout, name)
    assert contents(checkout) == before


def test_the_bad_release_fits_on_the_hot_fix(checkout: Path) -> None:
    """The story makes both, one after the other."""
    changes.apply(checkout, "hot-fix")
    changes.apply(checkout, "bad-release")


@each_change
def test_a_change_is_not_made_twice(checkout: Path, name: str) -> None:
    """Where the text to replace is gone, that is an error, not silence."""
    changes.apply(checkout, name)
    with pytest.raises(ValueError, match="does not have this text once"):
        changes.apply(checkout, name)


@pytest.mark.slow
@each_change
def test_no_change_is_seen_by_the_checks_of_the_source(checkout: Path, name: str) -> None:
    """Linter, formatter and unit tests pass with each change: what is wrong with it is for other lanes to find."""
    changes.apply(checkout, name)
    folder = Path(sys.executable).parent
    environment = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ARTIFACTS": str(checkout.parent),
    }
    done = subprocess.run(
        [checkout / "ci" / "checks"], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
