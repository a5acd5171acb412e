"""The ledgers, heads and keys that a command line names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attest.adapters.clock import SystemClock
from attest.adapters.files import is_there, read_file
from attest.core import limits
from attest.core.reference import LayoutTag, parse_reference, parse_repository
from attest.errors import DocumentInvalid, KeyUnusable, LedgerError, ReferenceInvalid

if TYPE_CHECKING:
    from attest.adapters.ledger.sqlledger import SqlLedger
    from attest.cli.stores import Stores
    from attest.core.ledger.chain import Head, Record, Unread
    from attest.core.ledger.head import SignedHead
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHeads:
    """The signed heads that a command line names."""

    found: tuple[tuple[str, SignedHead], ...]
    """Each with the file or the tag that it was found in."""
    passed_over: tuple[str, ...]
    """What has the tag of a head and counts for nothing."""

    def records(self) -> list[Head]:
        """The records that the ledger must have."""
        return [head for _, signed in self.found for head in signed.known()]


def read_heads(heads: Sequence[str], keys: Sequence[str], stores: Stores) -> KnownHeads:
    """The heads that files and places hold.

    Raises:
        KeyUnusable, DocumentInvalid: a key cannot be read, or a file holds no head that one of them signed.
        ReferenceInvalid: a text is neither a file nor a place.
        LedgerError: a place keeps no head that counts.
        StoreError, LimitExceeded, DeadlineExceeded: a place could not be read.
    """
    from attest.ops.ledgerhead import heads_in

    keyring = read_keyring(keys)
    found: list[tuple[str, SignedHead]] = []
    passed_over: list[str] = []
    for text in heads:
        if not text.startswith(_LAYOUT) and is_there(text):
            found.append((text, read_head_file(text, keyring)))
            continue
        place = parse_place(text)
        kept = heads_in(stores, place, keyring=keyring)
        if not kept.kept:
            hint = "; ".join(kept.passed_over) or "nobody signed one, or somebody took them away"
            raise LedgerError(f"{place} keeps no head of a ledger that a given key signed", hint=hint)
        found += [(one.place, one.signed) for one in kept.kept]
        passed_over += kept.passed_over
    return KnownHeads(found=tuple(found), passed_over=tuple(passed_over))


def read_head_file(file: str, keyring: Keyring) -> SignedHead:
    """The signed head in a file.

    Raises:
        DocumentInvalid: it holds none that one of the keys signed.
    """
    from attest.core.ledger.head import HeadInvalid, read_head

    try:
        return read_head(read_file(file, limit=limits.BUNDLE), keyring)
    except HeadInvalid as error:
        raise DocumentInvalid(f"no signed head: {error}", file=file) from error
