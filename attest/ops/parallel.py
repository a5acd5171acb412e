"""The same for several images at once, and what is handed from those threads to the one that waits for it.

Threads are daemons: when the user gives up, or when something else has decided already, nobody waits for a store that
does not answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Final, Generic, NoReturn, TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS: Final = "attest-work"
"""The name of the threads that are started here."""
_WORKERS: Final = 8


def each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results in the order of the items. All are run to their end; the first error in that order is raised."""
    if len(items) == 1:
        return [function(items[0])]
    return Work(function, items).results()


class Work(Generic[R]):
    """A function on several items, run by threads of its own from the moment that this is made."""

    def __init__(self, function: Callable[[T], R], items: Sequence[T]) -> None:
        self._count = len(items)
        self._outcomes: SimpleQueue[tuple[int, Callable[[], R]]] = SimpleQueue()
        waiting = deque(enumerate(items))
        for _ in range(min(_WORKERS, len(items))):
            threading.Thread(target=self._serve, args=(function, waiting), name=THREADS, daemon=True).start()

    def results(self) -> list[R]:
        """Wait for all; then as `each`. To be asked once."""
        outcomes = dict(self._outcomes.get() for _ in range(self._count))
        return [outcomes[position]() for position in range(self._count)]

    def _serve(self, function: Callable[[T], R], waiting: deque[tuple[int, T]]) -> None:
        while waiting:
            try:
                position, item = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            self._outcomes.put((position, _outcome(function, item)))


def _outcome(function: Callable[[T], R], item: T) -> Callable[[], R]:
    """What returns the result, or raises the error, in whichever thread asks for it."""
    try:
        result = function(item)
    except BaseException as error:  # noqa: BLE001  (it is raised again by `results`)
        return _raiser(error)
    return lambda: result


def _raiser(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


class Abandoned(Exception):
    """Nobody takes from the channel any more: whoever puts something in should stop."""


class Channel(Generic[T]):
    """Hands values from several threads to one, which may come late: what waits is bounded, and then senders wait."""

    def __init__(self, *, senders: int, room: int) -> None:
        """`room` bounds the sum of the weights of what waits; a value that is heavier waits alone."""
        self._senders = senders
        self._room = room
        self._waiting: deque[tuple[T, int]] = deque()
        self._held = 0
        self._abandoned = False
        self._changed = threading.Condition()

    def put(self, value: T, *, weight: int) -> None:
        """Send a value, as soon as there is room for it.

        Raises:
            Abandoned: nobody will take it.
        """
        with self._changed:
            while self._waiting and self._held + weight > self._room and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise Abandoned
            self._waiting.append((value, weight))
            self._held += weight
            self._changed.notify_all()

    def end(self) -> None:
        """One sender has sent all that it had."""
        with self._changed:
            self._senders -= 1
            self._changed.notify_all()

    def abandon(self) -> None:
        """Take nothing any more: what waits is forgotten, and senders are told."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Sequence[T]]:
        """All that waits, whenever something does, until every sender has ended; for one thread."""
        while True:
            with self._changed:
                while not self._waiting and self._senders:
                    self._changed.wait()
                if not self._waiting:
                    return
                values = [value for value, _ in self._waiting]
                self._waiting.clear()
                self._held = 0
                self._changed.notify_all()
            yield values
