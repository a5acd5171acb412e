"""Things made once for a whole test run, however many workers share it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder of this test run that all its workers see."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def make_once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name`, filled by the first caller with `make`; the others wait for it.

    `make` gets a path that does not exist yet. Where it raises, the next caller tries again.
    """
    made = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = folder / f"{name}.done"
        if not marker.exists():
            shutil.rmtree(made, ignore_errors=True)
            make(made)
            marker.touch()
    return made
