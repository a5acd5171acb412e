"""Whether a service is healthy: so many successes in a row, and what it means that there were none.

`UNHEALTHY` says that the release is bad, `ERROR` that nobody can tell. Only the first is a reason to roll back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum


class Health(StrEnum):
    """What one look at a service, or a whole probe, found."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    """The service was reached, or is known not to be there, and does not do what it should: the release is bad."""
    ERROR = "error"
    """It could not be found out: the release may be good or bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a service."""

    health: Health
    detail: str
    """What was seen, for people; it may hold foreign text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRule:
    """When a service counts as healthy."""

    successes: int
    """Looks in a row that have to find it healthy."""
    timeout: timedelta
    """For all of them together."""
    interval: timedelta
    """From the end of one look to the start of the next."""
    patience: timedelta
    """For one look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe, or the soak after it, came to."""

    health: Health
    detail: str
    """Of the look that decided."""
    looks: int
    """How many there were."""
    streak: int
    """How many of the last of them found the service healthy."""

    def then(self, look: Look) -> ProbeResult:
        """The result after one more look; what is not yet enough is what the look itself says."""
        streak = self.streak + 1 if look.health is Health.HEALTHY else 0
        return replace(self, health=look.health, detail=look.detail, looks=self.looks + 1, streak=streak)


NOT_LOOKED = ProbeResult(health=Health.ERROR, detail="nobody looked", looks=0, streak=0)
"""Before the first look."""


def is_settled(result: ProbeResult, rule: ProbeRule) -> bool:
    """Whether there were enough successes in a row."""
    return result.streak >= rule.successes


def timed_out(result: ProbeResult, rule: ProbeRule) -> ProbeResult:
    """The result of a probe whose time is over before it was settled.

    The last look decides between `UNHEALTHY` and `ERROR`. Where that one was a success, there were too few in a row,
    so the service is not healthy for long enough at a time: `UNHEALTHY`, unless the time was over after the very first.
    """
    seconds = f"{rule.timeout.total_seconds():g} s"
    if result.health is not Health.HEALTHY:
        return replace(result, detail=f"not healthy within {seconds}; at last: {result.detail}")
    few = f"{result.streak} of {rule.successes} successes in a row within {seconds}"
    never_failed = result.streak == result.looks
    return replace(result, health=Health.ERROR if never_failed else Health.UNHEALTHY, detail=few)
