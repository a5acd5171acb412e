"""Check ledgers and their exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from attest.core.ledger.chain import Breach, Chain, Head, Record, RecordInvalid, Unread, breaches, head_of, read_record
from attest.errors import DocumentInvalid
from attest.ledgerports import Ledger

MOST: Final = 1_000
"""Breaches that are told of one ledger; it is broken by the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found of a ledger that was read to its end, or to more breaches than anybody reads."""

    records: int
    """How many were read."""
    head: Head | None
    """The last that was read."""
    breaches: tuple[Breach, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.breaches


def check(found: Iterable[Record | Unread], *, known: Iterable[Head] = ()) -> Checked:
    """Follow the chain from its first record to its last, and compare it with the heads that are known of it."""
    count = 0
    last: Record | None = None

    def counted() -> Iterator[Record | Unread]:
        nonlocal count, last
        for one in found:
            count += 1
            last = one if isinstance(one, Record) else last
            yield one

    wrong = tuple(islice(breaches(counted(), known=known), MOST))
    return Checked(records=count, head=None if last is None else head_of(last), breaches=wrong)


def read_lines(lines: Iterable[bytes]) -> Iterator[Record | Unread]:
    """What the lines of an export say, one after the other."""
    for line in lines:
        try:
            yield read_record(line)
        except RecordInvalid as error:
            yield Unread(problem=f"it is no record: {error}")


def restore(ledger: Ledger, lines: Iterable[bytes], *, file: str) -> int:
    """Take the records of an export over, all of them or none; how many are new.

    Raises:
        DocumentInvalid: a line is no record in canonical form, or breaks the chain.
        LedgerBroken: the ledger holds other records than these.
        LedgerError: it cannot be used.
    """
    return ledger.restore(_sound(lines, file))


def _sound(lines: Iterable[bytes], file: str) -> Iterator[Record]:
    following = Chain()
    for number, found in enumerate(read_lines(lines), start=1):
        for breach in following.follow(found):
            raise DocumentInvalid(breach.message, file=file, line=number, hint="nothing was imported")
        if isinstance(found, Record):
            yield found
