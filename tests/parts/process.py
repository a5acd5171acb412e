"""A server as a child process: started on a free loopback port, waited for, always stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02
_PORT_TRIES = 5


class PartError(Exception):
    """A part did not do what the tests need of it; the message ends with what it printed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run: its arguments, its whole environment and its working directory."""

    arguments: Sequence[str | Path]
    environment: Mapping[str, str]
    directory: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: the port it answers on, its process id and the file with what it printed."""

    port: int
    pid: int
    log: Path


def plain_environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of the user's but PATH and the locale: no proxies, no credentials."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(home), **more}


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(command: Callable[[int], Command], *, answers: Callable[[int], bool], log: Path) -> Iterator[Server]:
    """Run the server that `command` describes for a port until the block ends.

    `answers` says whether it is up at that port; it may raise OSError while nothing listens. Where another
    program took the port in between, another port is tried. Raises PartError with the log's end when the
    server never comes up. The whole process group is gone afterwards, also when the block raises.
    """
    for _ in range(_PORT_TRIES):
        port = free_port()
        process = _start(command(port), log)
        try:
            if _comes_up(process, port, answers, log):
                yield Server(port=port, pid=process.pid, log=log)
                return
            if not _address_was_taken(log):
                raise PartError(f"{process.args!r} ended with {process.returncode}:\n{tail(log)}")
        finally:
            _stop(process)
    raise PartError(f"found no free port:\n{tail(log)}")


def run(command: Command, *, seconds: float = 120.0, standard_input: bytes = b"") -> bytes:
    """Run a program to its end and return its standard output; PartError where it fails or takes too long."""
    result = attempt(command, seconds=seconds, standard_input=standard_input)
    if result.returncode != 0:
        said = (result.stderr + result.stdout).decode(errors="replace")[-4000:]
        raise PartError(f"{_shown(command)} ended with {result.returncode}:\n{said}")
    return result.stdout


def attempt(
    command: Command, *, seconds: float = 120.0, standard_input: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, however it ends; PartError only where it takes too long."""
    process = subprocess.Popen(
        [str(argument) for argument in command.arguments],
        env=dict(command.environment),
        cwd=command.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(standard_input, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise PartError(f"{_shown(command)} took more than {seconds} s") from None
    finally:
        _stop(process)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def tail(log: Path, *, characters: int = 4000) -> str:
    """The end of what a server printed."""
    return log.read_text(errors="replace")[-characters:] if log.exists() else "(it printed nothing)"


def _shown(command: Command) -> str:
    return " ".join(str(argument) for argument in command.arguments)


def _start(command: Command, log: Path) -> subprocess.Popen[bytes]:
    # A test run that is killed outright cannot clean up: the kernel then ends the server with its parent.
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    with log.open("wb") as output:
        return subprocess.Popen(
            [*guard, *(str(argument) for argument in command.arguments)],
            env=dict(command.environment),
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _comes_up(process: subprocess.Popen[bytes], port: int, answers: Callable[[int], bool], log: Path) -> bool:
    """Whether the server answers; False when it ended, so that a stranger on its port counts for nothing."""
    deadline = time.monotonic() + _START_SECONDS
    reason = "it answers something else"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        try:
            if answers(port):
                return process.poll() is None
        except OSError as error:
            reason = str(error)
        time.sleep(_POLL_SECONDS)
    raise PartError(f"{process.args!r} is not up on port {port} after {_START_SECONDS} s ({reason}):\n{tail(log)}")


def _address_was_taken(log: Path) -> bool:
    return "address already in use" in tail(log)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group politely, then by force; a group that is gone already is fine."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
