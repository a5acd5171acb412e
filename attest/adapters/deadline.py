"""The end of the whole command, on the monotonic clock."""

from __future__ import annotations

import time

from attest.errors import DeadlineExceeded


class Deadline:
    """A moment after which nothing is waited for any more. Threads may share it."""

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float) -> None:
        """The deadline is `seconds` from now."""
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def __repr__(self) -> str:
        return f"Deadline({self._seconds:g})"

    def remaining(self) -> float:
        """Seconds that are left, more than none.

        Raises:
            DeadlineExceeded: none are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"the command did not finish within {self._seconds:g} s", hint="--timeout SECONDS gives it more time"
            )
        return left

    def allows(self, seconds: float) -> bool:
        """Whether more than so many seconds are left."""
        return self._end - time.monotonic() > seconds
