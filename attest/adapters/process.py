"""A lane's command as a process group of its own: its output untouched, its end told exactly, stopped as a whole.

The command inherits standard output and error as they are, so a terminal stays one. A terminal as standard input it
does not get: it runs beside the terminal's foreground, where asking a person would stop it for ever.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

from attest.core.lane.outcome import Ended
from attest.errors import UsageError

TIMED_OUT: Final = 124
"""The status of a command that was stopped because its time was over, as timeout(1) has it."""
GRACE: Final = 10.0
"""Seconds between asking the group to end and ending it."""

_BY_SIGNAL: Final = 128
_HANDED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE: Final = 3
"""The third time that we are told to stop, the group is ended by force."""
_POLL: Final = 0.05


def find_program(argv: Sequence[str]) -> str:
    """The program that a command names, found before anything else is done.

    Raises:
        UsageError: there is no command, or it cannot be run.
    """
    if not argv or not argv[0]:
        raise UsageError("no command to run", hint="it stands after --: attest run IMAGE ... -- COMMAND ARGUMENTS")
    found = shutil.which(argv[0])
    if found is None:
        raise UsageError(
            f"the command {argv[0]!r} is no program that can be run here", hint="look at PATH, and its mode"
        )
    return found


def run_command(
    argv: Sequence[str],
    *,
    timeout: float | None,
    grace: float = GRACE,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end, however long it takes, or until `timeout` seconds have passed.

    When they have, its whole group gets SIGTERM and, `grace` seconds later, SIGKILL; then the status is 124. SIGINT,
    SIGTERM and SIGHUP that this process gets meanwhile are handed on to the group, and told in what is returned: a
    command that was told to stop has not passed, whatever it ends with.

    Raises:
        UsageError: it could not be started.
    """
    with _Handing() as handing:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL if _asks_a_person() else None,
                env=None if environment is None else dict(environment),
                process_group=0,
            )
        except (OSError, ValueError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise UsageError(f"the command {argv[0]!r} could not be started: {said}") from error
        try:
            handing.to(process.pid)
            timed_out = not _wait(process, timeout)
            if timed_out:
                _stop(process, grace)
        except BaseException:
            _signal(process.pid, signal.SIGKILL)
            raise
        finally:
            code = process.wait()
    ended_by = -code if code < 0 else None
    return Ended(
        status=TIMED_OUT if timed_out else code if ended_by is None else _BY_SIGNAL + ended_by,
        signal=None if ended_by is None else _name(ended_by),
        timed_out=timed_out,
        interrupted=_name(handing.received[0]) if handing.received else None,
    )


class _Handing:
    """While it is entered, signals that tell us to stop go to the command's group, and are remembered."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._group: int | None = None
        self._before: dict[int, Any] = {}

    def to(self, group: int) -> None:
        """Where they go from now on, those too that came already."""
        self._group = group
        for number in self.received:
            _signal(group, number)

    def __enter__(self) -> _Handing:
        if threading.current_thread() is threading.main_thread():
            for number in _HANDED_ON:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:  # as under nohup, which the command inherits
                    self._before[number] = before
                    signal.signal(number, self._handle)
            # The command may print to a terminal that wants only its foreground to (`stty tostop`).
            self._before[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received.append(number)
        if self._group is not None:
            _signal(self._group, signal.SIGKILL if len(self.received) >= _PATIENCE else number)


def _asks_a_person() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _wait(process: subprocess.Popen[bytes], seconds: float | None) -> bool:
    """Whether the process ends within so many seconds. It is not reaped, so that its group keeps its number."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.returncode is not None
    if seconds is None:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return True
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(_POLL, left))
    return True


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a group: asked first, then by force, also whom its first process leaves behind."""
    _signal(process.pid, signal.SIGTERM)
    _wait(process, grace)
    _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
