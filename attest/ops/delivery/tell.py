"""Tell others what a ledger tells: each event once, as far as that can be known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from attest.core.delivery.events import CloudEvent, Position
from attest.core.ledger.chain import Record
from attest.errors import LedgerError


class Remembers(Protocol):
    """Keeps how far was told."""

    def held(self) -> AbstractContextManager[Position | None]:
        """The position; nobody else tells for the time of the block."""
        ...

    def move(self, position: Position) -> None:
        """Remember that everything up to there was told."""
        ...


class Hears(Protocol):
    """Takes events."""

    def tell(self, events: Sequence[CloudEvent]) -> int:
        """Take the events of one record; how many were new. When it returns it has them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of the events of a ledger."""

    new: int
    """Told now."""
    before: int
    """Told earlier."""


def tell(records: Sequence[Record], events: Sequence[CloudEvent], *, cursor: Remembers, sink: Hears) -> Told:
    """Tell what was not told yet, record by record, and remember each.

    Args:
        records: All records of the ledger.
        events: Those of them that are to be told, in the order of their records.
        cursor: What remembers.
        sink: What takes them.

    Raises:
        LedgerError: the ledger is another one than was told of before, or was cut off.
        UsageError, DocumentInvalid, ServiceFailed, DeadlineExceeded: cursor or sink did not do their part.
    """
    hashes = {record.seq: record.hash for record in records}
    with cursor.held() as position:
        if position is not None and hashes.get(position.seq) != position.hash:
            raise LedgerError(
                f"record {position.seq}, which was told of before, is not in this ledger",
                hint="the ledger was replaced or cut off; `attest ledger verify` looks, another --cursor begins anew",
            )
        done = 0 if position is None else position.seq
        waiting = [event for event in events if event.seq > done]
        new = 0
        for seq, group in itertools.groupby(waiting, key=lambda event: event.seq):
            new += sink.tell(list(group))
            cursor.move(Position(seq=seq, hash=hashes[seq]))
        return Told(new=new, before=len(events) - len(waiting))
