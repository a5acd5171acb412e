"""Whole processes, as a user's shell starts them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.parts.process import Command

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_SECONDS: Final = 600


class BenchError(Exception):
    """Something that is measured did not do what it is measured for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A process that has ended as it should: what it took, and what it printed."""

    seconds: float
    """From the start of the program to its end, by the clock on the wall."""
    processor_seconds: float
    peak_bytes: int
    """The most memory that it had resident; what is below some 10 MB cannot be told from the launcher's own."""
    out: str
    err: str


def run(command: Command, *, code: int = 0) -> Finished:
    """Run a program to its end.

    Raises:
        BenchError: it ended with another exit code.
    """
    arguments = [str(argument) for argument in command.arguments]
    with tempfile.TemporaryDirectory(prefix="attest-bench-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        order = {
            "arguments": arguments,
            "environment": dict(command.environment),
            "directory": str(command.directory),
            "out": str(out),
            "err": str(err),
        }
        launched = subprocess.run(
            [sys.executable, "-I", "-S", _LAUNCH],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if launched.returncode != 0:
            raise BenchError(f"{' '.join(arguments)} could not be started:\n{launched.stderr}")
        taken = json.loads(launched.stdout)
        printed, complained = out.read_text(errors="replace"), err.read_text(errors="replace")
    if taken.pop("code") != code:
        raise BenchError(f"{' '.join(arguments)} did not end with {code}:\n{(complained + printed)[-4000:]}")
    return Finished(out=printed, err=complained, **taken)


def timed(*commands: Command) -> Callable[[], float]:
    """Something to interleave: these programs one after the other, and the seconds that they took together."""
    return lambda: sum(run(command).seconds for command in commands)


def attest_program() -> Path:
    """The installed command `attest` of the Python that runs the benchmark.

    Raises:
        BenchError: it is not installed there.
    """
    program = Path(sys.executable).with_name("attest")
    if not program.exists():
        raise BenchError(f"{program} is not there; `make setup` installs it")
    return program
