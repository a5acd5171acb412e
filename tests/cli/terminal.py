"""A command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.cli.running import COMMAND, SECONDS, clean_environment


class Terminal:
    """A pseudo-terminal with one command on it; what it shows is kept in `shown`."""

    def __init__(self, arguments: Sequence[object], *, cwd: Path, **environment: str) -> None:
        self.shown = b""
        self._leader, follower = pty.openpty()
        self._process = subprocess.Popen(
            [*COMMAND, *(str(argument) for argument in arguments)],
            cwd=cwd,
            env=clean_environment(cwd, **{"TERM": "xterm", **environment}),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._leader)

    def type(self, text: bytes) -> None:
        """Type something."""
        self.shown = b""
        os.write(self._leader, text)

    def read_until(self, enough: Callable[[bytes], bool]) -> None:
        """Read what the terminal shows until it is enough, or the command has ended."""
        while not enough(self.shown):
            ready, _, _ = select.select([self._leader], [], [], SECONDS)
            assert ready, f"nothing more after {self.shown!r}"
            try:
                piece = os.read(self._leader, 65536)
            except OSError:  # the other side is closed
                return
            if not piece:
                return
            self.shown += piece

    def end(self) -> tuple[int, bytes]:
        """Wait for the end: the exit code, and what was shown since the last answer."""
        self.read_until(lambda _: False)
        return self._process.wait(SECONDS), self.shown
