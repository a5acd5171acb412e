"""Measuring on a machine that is never quiet: contestants take turns, and what counts is their ratio."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The same thing measured several times; what the numbers mean is up to whoever measured."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest value."""
        return max(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times the second the first is: of the medians, and in the best and the worst round."""

    median: float
    low: float
    high: float


def ratio(first: Samples, second: Samples) -> Ratio:
    """The ratio of two contestants that ran in the same rounds.

    Raises:
        ValueError: they did not run equally often, or the second took no time.
    """
    pairs = zip(first.values, second.values, strict=True)
    if min(second.values) <= 0:
        raise ValueError("nothing can be compared with something that takes no time")
    rounds = [one / other for one, other in pairs]
    return Ratio(median=first.median / second.median, low=min(rounds), high=max(rounds))


def interleave(rounds: int, *contestants: Callable[[], float]) -> tuple[Samples, ...]:
    """Let each contestant run once to warm up, then all of them in turn, A B A B, so many rounds."""
    for contestant in contestants:
        contestant()
    taken: Sequence[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        for values, contestant in zip(taken, contestants, strict=True):
            values.append(contestant())
    return tuple(Samples(values=tuple(values)) for values in taken)
