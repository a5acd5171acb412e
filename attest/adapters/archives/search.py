"""Searching the bytes of an archive for secrets while they pass by, and telling in which member they are.

The archive is searched as a whole, in large pieces: image layers have many small files. A match is looked at again
within its member alone (`attest.core.image.secretscan.confirm`), so none is made up of two files.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from attest.core.image.layercontent import SecretPlace
from attest.core.image.secretscan import AFTER, ANCHOR, BEFORE, PROGRAMS, confirm
from attest.errors import LimitExceeded

_MOST: Final = 200_000
"""Places of one layer that are looked at. An honest gigabyte has about a hundred; more take long."""


class _Candidate(NamedTuple):
    at: int
    """In the archive."""
    buffer: bytes
    start: int
    """Where the buffer begins in the archive."""


class _Range(NamedTuple):
    start: int
    end: int
    member: int
    program: bool


@functools.cache
def _finder() -> Callable[[bytes, int, int], int]:
    """Where the next match of the anchor begins in a text, from a position on and before an end; -1 for none."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 64 << 20
    pattern = re2.compile(ANCHOR, options)

    def find(text: bytes, start: int, end: int) -> int:
        match = pattern.search(text, start, end)
        return -1 if match is None else int(match.start())

    return find


class SecretSearch:
    """Searches one archive: hand it every piece of it, in order, and every file, before the piece behind its end."""

    def __init__(self, *, what: str) -> None:
        self._what = what
        self._find = _finder()
        self._buffer = b""
        self._start = 0
        """Where the buffer begins in the archive."""
        self._searched = 0
        """Up to where the archive was searched."""
        self._candidates: deque[_Candidate] = deque()
        self._ranges: deque[_Range] = deque()
        self._count = 0
        self._found: dict[tuple[int, str], SecretPlace] = {}

    def piece(self, piece: bytes) -> None:
        """The next bytes of the archive."""
        keep = max(0, min(len(self._buffer), self._start + len(self._buffer) - self._searched + BEFORE))
        dropped = len(self._buffer) - keep
        self._buffer = self._buffer[dropped:] + piece
        self._start += dropped
        self._search(len(self._buffer) - AFTER)

    def file(self, *, start: int, size: int, member: int, first: bytes) -> None:
        """Where the content of a file is, and how it begins. The rest may still have to come."""
        if size:
            self._ranges.append(_Range(start, start + size, member, first.startswith(PROGRAMS)))

    def finish(self) -> tuple[SecretPlace, ...]:
        """The archive is at its end: all that was found, in the order of its members."""
        self._search(len(self._buffer))
        self._settle()
        return tuple(self._found[key] for key in sorted(self._found))

    def _search(self, end: int) -> None:
        """Search the buffer for matches that begin before `end`."""
        at = self._searched - self._start
        while at < end:
            found = self._find(self._buffer, at, len(self._buffer))
            if found < 0 or found >= end:
                break
            self._count += 1
            if self._count > _MOST:
                raise LimitExceeded(f"{self._what} has more than {_MOST} places that look like secrets")
            self._candidates.append(_Candidate(self._start + found, self._buffer, self._start))
            at = found + 1
        self._searched = max(self._searched, self._start + max(end, 0))
        self._settle()

    def _settle(self) -> None:
        """Look at the candidates whose members are known, and forget the members that are done."""
        while self._candidates:
            candidate = self._candidates[0]
            while self._ranges and self._ranges[0].end <= candidate.at:
                self._ranges.popleft()
            if not self._ranges:
                return  # its file is not known yet, or it is in no file at all
            if self._ranges[0].start <= candidate.at:
                self._look(candidate, self._ranges[0])
            self._candidates.popleft()
        while self._ranges and self._ranges[0].end <= self._searched:
            self._ranges.popleft()

    def _look(self, candidate: _Candidate, within: _Range) -> None:
        low = max(within.start, candidate.at - BEFORE)
        high = min(within.end, candidate.at + AFTER)
        window = candidate.buffer[max(0, low - candidate.start) : high - candidate.start]
        rule = confirm(window, candidate.at - max(low, candidate.start), program=within.program)
        if rule is None or (within.member, rule) in self._found:
            return
        line = None
        if within.start >= candidate.start and b"\0" not in window:
            line = 1 + candidate.buffer.count(b"\n", within.start - candidate.start, candidate.at - candidate.start)
        self._found[within.member, rule] = SecretPlace(member=within.member, rule=rule, line=line)
