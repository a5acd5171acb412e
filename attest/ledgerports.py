"""What the verbs need of a ledger, as Protocols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from attest.copyports import CopyStore
from attest.core.ledger.chain import Entry, Head, Record, Unread
from attest.core.reference import LayoutTag, Repository, TagReferences

Place = Repository | LayoutTag
"""Where signed heads are kept: a repository, or an image layout, which a tag without a name stands for."""


class Lease(Protocol):
    """The right to change one environment, held by one deployer at a time.

    It is kept alive as long as its block runs, and ends with it. It carries a fencing token: whoever lost the lease can
    record nothing more under it, however late it wakes up.
    """

    @property
    def environment(self) -> str:
        """What it is the lease of."""
        ...

    @property
    def token(self) -> int:
        """The fencing token: higher than that of every lease of this environment before."""
        ...

    @property
    def since(self) -> datetime:
        """When it was taken."""
        ...

    def append(self, entry: Entry) -> Record:
        """As `Ledger.append`, of an entry for this environment, if the lease is still held at that very moment.

        Raises:
            attest.errors.LeaseLost: it is not. Nothing was recorded.
        """
        ...

    def check(self) -> None:
        """Ask, before something is done to the environment, whether the lease is still held; if so it is renewed.

        Raises:
            attest.errors.LeaseLost: it is not.
        """
        ...


class Ledger(Protocol):
    """An append-only chain of records. Each method raises `attest.errors.LedgerError` where it cannot do its part."""

    def append(self, entry: Entry) -> Record:
        """Record something that needs no lease, a refusal for example. When it returns, the record is durable."""
        ...

    def records(self, *, environment: str | None = None, after: int = 0) -> Iterator[Record]:
        """The records in their order, those after the number `after`, of all environments or of one.

        The chain is checked from the first record on, whatever is asked for: a record that is gone may be the one that
        says no. So read to the end before you decide. What is read is the ledger of one moment.

        Raises:
            attest.errors.LedgerBroken: at the first record that breaks the chain; it is not given.
        """
        ...

    def unchecked(self) -> Iterator[Record | Unread]:
        """All records as they stand there, for whoever looks for everything that is wrong with them."""
        ...

    def head(self) -> Head | None:
        """The last record now, whose own hash was checked; None of an empty ledger.

        Raises:
            attest.errors.LedgerBroken: it is not what was written.
        """
        ...

    def lease(self, environment: str, *, holder: str, ttl: timedelta, wait: timedelta) -> AbstractContextManager[Lease]:
        """The lease of an environment for the time of a block.

        Args:
            environment: What is changed.
            holder: Who holds it, for people who wait for it.
            ttl: How long it outlives its holder, if the holder cannot give it back; renewed while the block runs.
            wait: How long to wait for another holder.

        Raises:
            attest.errors.LeaseHeld: somebody else still holds it; the error says who, and since when.
        """
        ...

    def restore(self, records: Iterable[Record]) -> int:
        """Take over records as they were exported, all of them or none; how many are new.

        What the ledger holds already must be the same, up to where it ends.

        Raises:
            attest.errors.LedgerBroken: they are no whole chain, or another one than is held here.
        """
        ...


class HeadStore(CopyStore, Protocol):
    """A store that keeps signed heads."""

    def tags(self, prefix: TagReferences) -> frozenset[str]:
        """All tags in the place of this one that begin with it; none where there is no such place yet.

        Raises:
            attest.errors.StoreError, attest.errors.LimitExceeded: they could not be listed.
        """
        ...
