"""Commands that are killed with SIGKILL: at a request that reached a registry, or at a change of the file system.

A process that has loaded attest already forks for each command, so that a command costs no start of Python and a test
can kill one at every step.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.cli.running import clean_environment
from tests.parts.delay import Delayed
from tests.parts.registry import Registry
from tests.project import ROOT

_SERVER = """
import importlib, json, os, sys, time

for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
from attest.cli.main import run

def mortal(left):
    def wrap(name):
        whole = getattr(os, name)
        def call(*arguments, **named):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)
            return whole(*arguments, **named)
        setattr(os, name, call)
    for name in ("fsync", "replace", "unlink", "link", "mkdir"):
        wrap(name)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environment"])
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        while not os.path.exists(order["go"]):
            time.sleep(0.002)
        if order["changes"] is not None:
            mortal(order["changes"])
        code = 70
        try:
            code = run(order["arguments"])
        finally:
            sys.stdout.flush()
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_LOADED = (
    "attest.cli.promote",
    "attest.cli.moving",
    "attest.adapters.registry.copying",
    "attest.adapters.registry.publishing",
    "attest.adapters.layout.copying",
    "attest.adapters.keys",
    "attest.adapters.documents",
    "attest.adapters.conditions",
    "attest.core.policydocument",
    "attest.cli.signers",
    "attest.cli.deploy",
    "attest.cli.sites",
    "attest.ops.delivery.deploy",
    "attest.adapters.ledger",
)

KILLED = -signal.SIGKILL


class Deadly(Delayed):
    """A registry behind a proxy that kills a process in the moment in which it has done what a request asked for."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        super().__init__(registry, directory, 0)
        self._victim: int | None = None
        self._left = 0
        self._arming = threading.Lock()

    def arm(self, victim: int, *, after: int) -> None:
        """Kill this process at its request number `after`, before it has the answer."""
        with self._arming:
            self._victim, self._left = victim, after

    def disarm(self) -> None:
        """Kill nobody."""
        with self._arming:
            self._victim = None

    def hold(self) -> None:
        """One request was done."""
        with self._arming:
            self._left -= 1
            if self._victim is not None and self._left == 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._victim, signal.SIGKILL)


@dataclass(slots=True, kw_only=True)
class Commands:
    """Runs commands, each in a fork of a process that has attest loaded."""

    folder: Path
    environment: Mapping[str, str]
    _process: subprocess.Popen[str]

    def run(
        self, arguments: Sequence[object], *, proxy: Deadly | None = None, after: int = 0, changes: int | None = None
    ) -> int:
        """The exit code, or `KILLED`: at request `after` of the proxy, or behind so many `changes` of files."""
        go = self.folder / "go"
        go.unlink(missing_ok=True)
        order = {
            "arguments": [str(one) for one in arguments],
            "cwd": str(self.folder),
            "environment": dict(clean_environment(self.folder, **self.environment)),
            "output": str(self.output),
            "go": str(go),
            "changes": changes,
        }
        self._pipe(self._process.stdin).write(json.dumps(order) + "\n")
        self._pipe(self._process.stdin).flush()
        child = int(self._pipe(self._process.stdout).readline())
        if proxy is not None:
            if after:
                proxy.arm(child, after=after)
            else:
                proxy.disarm()
        go.touch()
        code = int(self._pipe(self._process.stdout).readline())
        if proxy is not None:
            proxy.disarm()
        return code

    @property
    def output(self) -> Path:
        """What the last command printed."""
        return self.folder / "output.txt"

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream


@contextlib.contextmanager
def commands(folder: Path, environment: Mapping[str, str]) -> Iterator[Commands]:
    """Commands that run in a folder; the process that forks them is ended with the block."""
    arguments = [sys.executable, "-c", _SERVER, json.dumps(_LOADED)]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Commands(folder=folder, environment=environment, _process=process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)
