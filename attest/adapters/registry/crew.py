"""Work done by several threads for one that waits: requests in parallel, results in one place.

The thread that calls `run` starts all work and takes every result, so what it builds needs no locks. Threads are
daemons: when a result is an error, or the user gives up, nobody waits for a registry that does not answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from attest.core import limits

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

THREADS: Final = "attest-registry"
"""The name of the threads that are started here."""
_WIDTH: Final = 32
_BUDGET: Final = 64 * limits.MIB


class Crew:
    """Runs work and hands on its results, at most so many at once and so many bytes of results at once."""

    def __init__(self, *, width: int = _WIDTH, budget: int = _BUDGET) -> None:
        self._width = width
        self._budget = budget
        self._waiting: deque[tuple[int, Callable[[], Any], Callable[[Any], None]]] = deque()
        self._in_hand = 0
        self._running = 0
        self._threads = 0
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Callable[[], None]]] = SimpleQueue()

    def submit(self, work: Callable[[], T], done: Callable[[T], None], *, weight: int) -> None:
        """Do `work` in some thread, and call `done` with its result in the thread of `run`.

        `weight` is the size of the result in bytes, or a bound on it: it counts until `done` has returned.
        """
        self._waiting.append((weight, work, done))

    def run(self) -> None:
        """Until nothing is left to do. The first error of any work, or of any `done`, ends it and is raised."""
        try:
            while self._waiting or self._running:
                self._start()
                weight, finish = self._results.get()
                self._running -= 1
                finish()
                self._in_hand -= weight
        finally:
            for _ in range(self._threads):
                self._orders.put(None)

    def _start(self) -> None:
        while self._waiting and self._running < self._width:
            weight, work, done = self._waiting[0]
            if self._running and self._in_hand + weight > self._budget:
                return
            self._waiting.popleft()
            self._running += 1
            self._in_hand += weight
            self._orders.put(self._order(weight, work, done))
            if self._running > self._threads:
                self._threads += 1
                threading.Thread(target=_serve, args=(self._orders,), name=THREADS, daemon=True).start()

    def _order(self, weight: int, work: Callable[[], T], done: Callable[[T], None]) -> Callable[[], None]:
        def order() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  (it is raised again by `run`)
                self._results.put((weight, _raiser(error)))
            else:
                self._results.put((weight, lambda: done(result)))

        return order


def _raiser(error: BaseException) -> Callable[[], None]:
    def finish() -> None:
        raise error

    return finish


def _serve(orders: SimpleQueue[Callable[[], None] | None]) -> None:
    while (order := orders.get()) is not None:
        order()


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """The results of two pieces of work that are done at once.

    Raises:
        Exception: the first error of either, at once.
    """
    firsts: list[A] = []
    seconds: list[B] = []
    crew = Crew(width=2)
    crew.submit(first, firsts.append, weight=0)
    crew.submit(second, seconds.append, weight=0)
    crew.run()
    return firsts[0], seconds[0]
