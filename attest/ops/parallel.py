"""The same for several images at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 8


def each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results in the order of the items. All are run to their end; the first error in that order is raised."""
    if len(items) == 1:
        return [function(items[0])]
    from concurrent.futures import ThreadPoolExecutor  # one image needs none, and need not load it

    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        return list(pool.map(function, items))
