"""Opening ledgers, and making them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from attest.adapters.ledger.address import Address
from attest.ports import Clock

if TYPE_CHECKING:
    from attest.adapters.ledger.sqlledger import SqlLedger

PATIENCE: Final = timedelta(seconds=60)
"""How long to wait for a database that others are busy with."""


def open_ledger(address: Address, *, clock: Clock, patience: timedelta = PATIENCE) -> SqlLedger:
    """The ledger that is there; `attest.ledgerports.Ledger`. Use it in a `with` block, or close it.

    Raises:
        LedgerAbsent: there is none. It is not made on the way: a ledger that somebody deleted looks the same.
        LedgerUnreachable: its database cannot be reached, or stays busy for longer than `patience`.
        LedgerMisbehaved: its tables are of another version.
    """
    from attest.adapters.ledger.database import Database
    from attest.adapters.ledger.sqlledger import SqlLedger

    database = Database(address, patience=patience)
    try:
        database.check_version()
    except BaseException:
        database.close()
        raise
    return SqlLedger(database, clock)


def create_ledger(address: Address, *, clock: Clock, patience: timedelta = PATIENCE) -> SqlLedger:
    """The ledger, made if there is none, its tables brought up to date if they are older. Its records stay.

    Raises:
        UsageError: the file cannot be made.
        LedgerUnreachable, LedgerMisbehaved: as for `open_ledger`; or the database forbids making tables.
    """
    from attest.adapters.ledger.database import Database
    from attest.adapters.ledger.sqlledger import SqlLedger

    database = Database(address, patience=patience)
    try:
        database.create(clock.now())
    except BaseException:
        database.close()
        raise
    return SqlLedger(database, clock)
