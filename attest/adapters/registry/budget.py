"""How much evidence a command may still read, over all of its images."""

from __future__ import annotations

import threading

from attest.core import limits
from attest.errors import LimitExceeded


class Budget:
    """`limits.EVIDENCE` bytes, spent by several threads."""

    def __init__(self) -> None:
        self._left = limits.EVIDENCE
        self._lock = threading.Lock()

    def spend(self, size: int) -> None:
        """Take `size` bytes before they are read.

        Raises:
            LimitExceeded: there are not so many left.
        """
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise LimitExceeded(f"all evidence together is larger than {limits.EVIDENCE} bytes")
