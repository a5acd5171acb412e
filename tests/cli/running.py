"""Run `attest` with real arguments: in this process where that is enough, else as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from attest.cli.main import run

COMMAND = (sys.executable, "-m", "attest")
SECONDS = 120.0
"""After which a process counts as hanging; no test measures how long it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    raw: bytes
    """Standard output, byte for byte."""
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.raw.decode()

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON object that it is."""
        loaded = json.loads(self.raw)
        assert isinstance(loaded, dict)
        return loaded


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's but PATH: no CI, no credentials, no passphrase, no colour."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def attest(*arguments: object, cwd: Path, stdin: bytes = b"", **environment: str) -> Ended:
    """Run a command in this process, in the folder `cwd`, with nothing of the user's environment."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, clean_environment(cwd, **environment), clear=True),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
    ):
        code = run([str(argument) for argument in arguments])
    return Ended(code=code, raw=_written(out), err=_written(err).decode())


def spawn(
    *arguments: object, cwd: Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None, **more: str
) -> Ended:
    """Run a command as a process of its own; `environment` takes the place of the clean one."""
    done = subprocess.run(
        [*COMMAND, *(str(argument) for argument in arguments)],
        cwd=cwd,
        env=dict(clean_environment(cwd, **more) if environment is None else environment),
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    return Ended(code=done.returncode, raw=done.stdout, err=done.stderr.decode())


@contextlib.contextmanager
def started(*arguments: object, cwd: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs while the block does; it is ended with the block."""
    process = subprocess.Popen(
        [*COMMAND, *(str(argument) for argument in arguments)],
        cwd=cwd,
        env=clean_environment(cwd, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()
