"""Other programs, asked for an answer: given so much time and so many bytes, and stopped with all that they started.

For the tools of a deployment and for hooks. A lane's command, whose output is passed on, is `attest.adapters.process`.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Final

from attest.errors import TargetFailed

LIMIT: Final = 64 * 1024 * 1024
"""Bytes of an answer that are read, where nothing else is said."""
_SAID: Final = 600
"""Characters of what a program complained about that are repeated."""
_KEPT: Final = 16 * 1024
_GRACE: Final = 10.0
_LINGER: Final = 2.0
"""Seconds that output is waited for once the program has ended: what it left behind may hold the pipe for ever."""
_POLL: Final = 0.1
_HOLDER: Final = (
    *(sys.executable, "-I", "-S", "-c"),
    "import subprocess, sys; code = subprocess.call(sys.argv[1:]); sys.exit(code if code >= 0 else 128 - code)",
)
"""A process between, which holds a lock. The program must not: what it starts, a container's monitor, outlives it."""
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a program ended, and what it printed."""

    status: int | None
    """Its exit code; negative where a signal ended it; None where its time was over, and it was ended."""
    output: bytes
    complaint: bytes
    """The end of its standard error."""
    seconds: float
    """How long it might take."""

    @property
    def said(self) -> str:
        """What it complained about, else what it printed, on one line and cut: for a message."""
        return " ".join((self.complaint or self.output).decode(errors="replace").split())[-_SAID:]


def ask_program(
    argv: Sequence[str],
    *,
    who: str,
    seconds: float,
    standard_input: bytes = b"",
    limit: int = LIMIT,
    folder: str | None = None,
    environment: Mapping[str, str] | None = None,
    hold: Sequence[int] = (),
) -> Answer:
    """Run a program to its end, however it ends, or until its time is over. No shell reads its words.

    Args:
        argv: The program and its arguments.
        who: What it is called in errors.
        seconds: How long it may take; after that its whole process group is ended.
        standard_input: What it reads.
        limit: Bytes of standard output; one more ends it.
        folder: Where it runs.
        environment: Its variables; those of this process where none are given.
        hold: Open files that are held open as long as it runs: the lock of `alone_in`.

    Raises:
        TargetFailed: it cannot be started, or prints too much.
    """
    try:
        process = subprocess.Popen(
            [*(_HOLDER if hold else ()), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=None if environment is None else dict(environment),
            process_group=0,
            pass_fds=hold,
        )
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise TargetFailed(f"{who} cannot be run: {said}") from error
    try:
        with process:
            try:
                return _converse(process, who=who, seconds=seconds, standard_input=standard_input, limit=limit)
            finally:
                _end(process)
    except OSError as error:
        raise TargetFailed(f"{who} cannot be listened to: {error.strerror or error}") from error


@contextmanager
def alone_in(folder: str, *, who: str, seconds: float) -> Iterator[Sequence[int]]:
    """Keep others of our kind out of a folder, and wait for those that are in it; for `hold`.

    A program that is asked with `hold` keeps the lock when this process is killed: nobody starts the same beside it.

    Args:
        folder: What is locked; nothing is written there.
        who: Who would be in it, for the error.
        seconds: How long to wait.

    Raises:
        TargetFailed: somebody is still in it, or it cannot be opened.
    """
    end = time.monotonic() + seconds
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TargetFailed(f"the folder {folder} cannot be opened: {error.strerror}") from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    problem = f"{who} of another command still runs in {folder} after {seconds:g} s"
                    raise TargetFailed(problem, hint="wait until it has ended, or end it, and try again") from None
                time.sleep(_POLL)
            except OSError:
                break  # a file system without locks, as some networks' are: the lease of the ledger has to do
        yield (descriptor,)
    finally:
        os.close(descriptor)


def require_success(answer: Answer, who: str, *, hint: str | None = None) -> bytes:
    """What a program printed that ended with 0.

    Raises:
        TargetFailed: it ended otherwise, or not in time.
    """
    if answer.status is None:
        said = f"; it said: {answer.said}" if answer.said else ""
        raise TargetFailed(f"{who} did not end within {answer.seconds:g} s{said}", hint=hint)
    if answer.status != 0:
        ended = f"ended with {answer.status}" if answer.status > 0 else f"was ended by signal {-answer.status}"
        raise TargetFailed(f"{who} {ended}: {answer.said or 'it said nothing'}", hint=hint)
    return answer.output


def _converse(
    process: subprocess.Popen[bytes], *, who: str, seconds: float, standard_input: bytes, limit: int
) -> Answer:
    """Write and read at once, so that neither side waits for the other."""
    end = time.monotonic() + seconds
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    output, complaint, unsent = bytearray(), bytearray(), memoryview(standard_input)
    with selectors.DefaultSelector() as waiting:
        for stream in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
        waiting.register(process.stdin, selectors.EVENT_WRITE)
        waiting.register(process.stdout, selectors.EVENT_READ)
        waiting.register(process.stderr, selectors.EVENT_READ)
        linger: float | None = None
        while any(key.events == selectors.EVENT_READ for key in waiting.get_map().values()):
            if linger is None and process.poll() is not None:
                linger = time.monotonic() + _LINGER
            left = (end if linger is None else min(end, linger)) - time.monotonic()
            if left <= 0:
                break
            for key, _ in waiting.select(min(left, 0.2)):
                if key.fileobj is process.stdin:
                    unsent = _send(waiting, process.stdin, unsent)
                else:
                    stream = process.stdout if key.fileobj is process.stdout else process.stderr
                    _receive(waiting, stream, output if stream is process.stdout else complaint)
            del complaint[:-_KEPT]
            if len(output) > limit:
                raise TargetFailed(f"{who} printed more than {limit} bytes")
    status: int | None = None
    with suppress(subprocess.TimeoutExpired):
        status = process.wait(max(0.0, end - time.monotonic()))
    return Answer(status=status, output=bytes(output), complaint=bytes(complaint), seconds=seconds)


def _send(waiting: selectors.BaseSelector, stream: IO[bytes], unsent: memoryview) -> memoryview:
    try:
        unsent = unsent[os.write(stream.fileno(), unsent[:_CHUNK]) :] if unsent else unsent
    except BlockingIOError:
        return unsent
    except BrokenPipeError:  # it does not read what it is told, which is its own affair
        unsent = unsent[:0]
    if not unsent:
        waiting.unregister(stream)
        with suppress(BrokenPipeError):
            stream.close()
    return unsent


def _receive(waiting: selectors.BaseSelector, stream: IO[bytes], into: bytearray) -> None:
    try:
        piece = os.read(stream.fileno(), _CHUNK)
    except BlockingIOError:
        return
    into += piece
    if not piece:
        waiting.unregister(stream)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what did not end by itself, with all that it started: asked first, then by force."""
    if process.returncode is not None:
        return  # what ended may leave servers behind, as engines do
    _signal(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
