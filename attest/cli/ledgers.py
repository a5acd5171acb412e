"""The ledgers, heads and keys that a command line names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file
from attest.core import limits
from attest.core.reference import LayoutTag, parse_reference, parse_repository
from attest.errors import DocumentInvalid, KeyUnusable, LedgerError, ReferenceInvalid

if TYPE_CHECKING:
    from attest.adapters.ledger.sqlledger import SqlLedger
    from attest.cli.stores import Stores
    from attest.core.ledger import Head, Record, Unread
    from attest.core.ledgerhead import SignedHead
    from attest.core.reference import Digest
    from attest.core.verify import Keyring
    from attest.ledgerports import Place

_LAYOUT = "oci:"


@contextmanager
def opened(url: str) -> Iterator[SqlLedger]:
    """The ledger that is there.

    Raises:
        UsageError: the text is no URL of a ledger.
        LedgerError: there is none, or it cannot be used.
    """
    from attest.adapters.ledger import open_ledger, parse_address

    with open_ledger(parse_address(url), clock=SystemClock()) as ledger:
        yield ledger


@contextmanager
def everything_in(ledger: str) -> Iterator[Iterator[Record | Unread]]:
    """All that stands in a ledger, or in the file of an export, believed in no way."""
    if "://" in ledger:
        with opened(ledger) as found:
            yield found.unchecked()
        return
    from attest.adapters.ledger.exportfile import export_lines
    from attest.ops.ledger import read_lines

    yield read_lines(export_lines(ledger))


def parse_place(text: str) -> Place:
    """Where signed heads are kept: HOST/REPOSITORY, or oci:PATH.

    Raises:
        ReferenceInvalid: it is neither.
    """
    if text.startswith(_LAYOUT):
        found = parse_reference(text)
        if not isinstance(found, LayoutTag) or found.tag is not None:
            raise ReferenceInvalid(f"{text!r} names more than an image layout", hint="write oci:PATH")
        return found
    return parse_repository(text)


def read_keyring(files: Sequence[str]) -> Keyring:
    """The public keys whose signatures under heads count.

    Raises:
        KeyUnusable: a file holds none.
        DocumentInvalid: one cannot be read.
    """
    from attest.core.keys import KeyInvalid, public_key
    from attest.core.verify import Keyring

    keys = []
    for file in files:
        try:
            keys.append(public_key(read_file(file, limit=limits.KEY_FILE)))
        except KeyInvalid as error:
            raise KeyUnusable(str(error), file=file) from error
    return Keyring(keys)


class KnownHeads:
    """The signed heads that a command line names, read when it is known which ledger they have to be of."""

    def __init__(self, heads: Sequence[str], keys: Sequence[str], stores: Stores) -> None:
        """
        Raises:
            KeyUnusable, DocumentInvalid: a key cannot be read, or a file holds no head that one of them signed.
            ReferenceInvalid: a text is neither a file nor a place.
        """
        self._stores = stores
        self._keyring = read_keyring(keys)
        self._places: list[Place] = []
        self.found: list[tuple[str, SignedHead]] = []
        """Each with the place that it was found in."""
        self.passed_over: list[str] = []
        for text in heads:
            if text.startswith(_LAYOUT) or not Path(text).exists():
                self._places.append(parse_place(text))
            else:
                self.found.append((text, read_head_file(text, self._keyring)))

    def __call__(self, ledger: Digest | None) -> list[Head]:
        """The records that the ledger with this first record must have.

        Raises:
            LedgerError: a place keeps no head of it that counts.
            StoreError, LimitExceeded, DeadlineExceeded: a place could not be read.
        """
        from attest.ops.ledgerhead import heads_in

        for place in self._places:
            if ledger is None:
                raise LedgerError(f"the ledger has no first record by which its heads in {place} could be found")
            heads = heads_in(self._stores, place, ledger, keyring=self._keyring)
            if not heads.kept:
                raise LedgerError(
                    f"{place} keeps no head of this ledger that a given key signed",
                    hint="; ".join(heads.passed_over) or "it may be another ledger, or its first record was replaced",
                )
            self.found += [(kept.place, kept.signed) for kept in heads.kept]
            self.passed_over += heads.passed_over
        return [head for _, signed in self.found for head in signed.known()]


def read_head_file(file: str, keyring: Keyring) -> SignedHead:
    """The signed head in a file.

    Raises:
        DocumentInvalid: it holds none that one of the keys signed.
    """
    from attest.core.ledgerhead import HeadInvalid, read_head

    try:
        return read_head(read_file(file, limit=limits.BUNDLE), keyring)
    except HeadInvalid as error:
        raise DocumentInvalid(f"no signed head: {error}", file=file) from error
