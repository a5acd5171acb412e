"""The clock of this machine."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """`attest.ports.Clock` as the machine has it."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)
