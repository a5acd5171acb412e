"""Work on several images at once, and the channel to the thread that waits for it: order, errors, bounds, no leaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.ops.parallel import Abandoned, Channel, Work, each

PATIENCE = 20.0
"""Seconds after which something counts as stuck; no test measures how long it takes."""


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """A thread that does this."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    """Whether a thread comes to its end."""
    thread.join(PATIENCE)
    return not thread.is_alive()


# ---- each


@pytest.mark.parametrize("count", [1, 2, 8, 9, 40])
def test_results_have_the_order_of_the_items(count: int) -> None:
    """However many items there are and whichever is done first, results stand in the order of the items."""
    release = [threading.Event() for _ in range(count)]

    def work(number: int) -> int:
        if number % 8 < 7 and number + 1 < count:
            assert release[number].wait(PATIENCE)  # each behind its successor
        if number:
            release[number - 1].set()
        return number * number

    assert each(work, range(count)) == [number * number for number in range(count)]


def test_the_first_error_in_order_is_raised_and_all_are_run() -> None:
    """Of several errors the one of the first item is raised, though it comes last, and no item is left out."""
    later = threading.Event()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            assert later.wait(PATIENCE)
            raise ValueError("of the first")
        if number == 20:
            later.set()
            raise KeyError("of the second")
        return number

    with pytest.raises(ValueError, match="of the first"):
        each(work, range(21))
    assert sorted(begun) == list(range(21))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_no_error_is_lost_in_a_thread(error: type[BaseException]) -> None:
    """What ends a thread, even what is no Exception, is raised where the results are asked for."""

    def work(_: int) -> None:
        raise error

    with pytest.raises(error):
        each(work, (1, 2))


def test_work_is_no_reason_to_stay() -> None:
    """Work begins at once, in threads that do not keep the process alive, eight of them at most."""
    go = threading.Event()
    before = set(threading.enumerate())
    begun = threading.Semaphore(0)

    def work(number: int) -> int:
        begun.release()
        assert go.wait(PATIENCE)
        return number

    running = Work(work, range(30))
    for _ in range(8):
        assert begun.acquire(timeout=PATIENCE)
    threads = set(threading.enumerate()) - before
    assert [thread.daemon for thread in threads] == [True] * 8
    go.set()
    assert running.results() == list(range(30))
    assert all(map(ended, threads))


# ---- the channel


def fill(channel: Channel[int], weights: Sequence[int], sent: list[int]) -> None:
    """Send the numbers of the weights, keep a note of each that was let in, and end."""
    try:
        for number, weight in enumerate(weights):
            channel.put(number, weight=weight)
            sent.append(number)
    finally:
        channel.end()


@given(weights=st.lists(st.integers(0, 20), max_size=30), room=st.integers(0, 40))
def test_values_arrive_whole_and_what_waits_is_bounded(weights: list[int], room: int) -> None:
    """Every value arrives, once and in order; what was sent and not taken is never heavier than there is room for."""
    channel: Channel[int] = Channel(senders=1, room=room)
    sent: list[int] = []
    thread = in_thread(lambda: fill(channel, weights, sent))
    taken: list[int] = []
    for numbers in channel:
        waiting = [one for one in list(sent) if one > numbers[-1]]
        for together in (waiting, numbers):
            assert len(together) <= 1 or sum(weights[one] for one in together) <= room
        taken += numbers
    assert taken == list(range(len(weights)))
    assert ended(thread)


def test_a_sender_waits_for_room_and_goes_on() -> None:
    """Where nobody takes anything, a sender gets no further than the room; it goes on once something is taken."""
    channel: Channel[int] = Channel(senders=1, room=10)
    sent: list[int] = []
    thread = in_thread(lambda: fill(channel, [4] * 100, sent))
    thread.join(0.2)  # it could send all of them many times over
    assert sent == [0, 1]
    values = iter(channel)
    assert next(values) == [0, 1]
    assert list(chain.from_iterable(values)) == list(range(2, 100))
    assert ended(thread)


def test_a_value_heavier_than_the_room_waits_alone() -> None:
    """A value that is heavier than the room is handed on all the same: the room bounds what waits beside it."""
    channel: Channel[int] = Channel(senders=1, room=10)
    sent: list[int] = []
    thread = in_thread(lambda: fill(channel, [3, 50, 3], sent))
    assert list(chain.from_iterable(channel)) == [0, 1, 2]
    assert ended(thread)


def test_the_end_comes_with_the_last_sender() -> None:
    """One of several senders that ends, even with an error, does not end the channel for the others."""
    channel: Channel[str] = Channel(senders=2, room=10)
    channel.end()

    def send() -> None:
        channel.put("late", weight=1)
        channel.end()

    thread = in_thread(send)
    assert list(channel) == [["late"]]
    assert ended(thread)


def test_abandoning_frees_whoever_waits() -> None:
    """Senders that wait for room, and those that come later, are told that nobody takes anything any more."""
    channel: Channel[int] = Channel(senders=2, room=1)
    told: list[str] = []

    def send() -> None:
        try:
            for _ in range(3):
                channel.put(1, weight=1)
        except Abandoned:
            told.append("told")

    threads = [in_thread(send), in_thread(send)]
    threads[0].join(0.1)
    channel.abandon()
    assert all(map(ended, threads))
    assert told == ["told", "told"]
    with pytest.raises(Abandoned):
        channel.put(1, weight=0)
