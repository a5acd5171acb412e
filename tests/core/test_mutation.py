"""The tests of the core notice when the core is broken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutation import TRUSTED


@pytest.mark.fuzz
@pytest.mark.parametrize("module", TRUSTED)
def test_at_least_95_of_100_mutants_are_noticed(module: str) -> None:
    """Of the ways to break one node of the module, its tests notice 95 %; the others are printed."""
    done = subprocess.run([sys.executable, "-m", "tests.mutation", module], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
