"""Sign the head of a ledger, keep it in a registry, and read what is kept there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

from attest.copyports import Held
from attest.core import limits
from attest.core.ledger.chain import Record, breaches, head_of
from attest.core.ledger.head import (
    TAGS,
    HeadInvalid,
    SignedHead,
    head_tag,
    newest_first,
    read_head,
    read_head_manifest,
    write_head,
    write_head_manifest,
)
from attest.core.oci import BUNDLE, EMPTY, EMPTY_BLOB, MANIFEST, Descriptor, OciInvalid, parse_manifest
from attest.core.reference import LayoutTag, RegistryTag, Repository, TagReferences, digest_of
from attest.core.verify import Keyring
from attest.errors import LedgerBroken, LedgerError, LimitExceeded
from attest.ledgerports import HeadStore, Ledger, Place
from attest.ops.parallel import each
from attest.ports import BundleSigner, Clock

_BATCH: Final = 16
"""How many of the newest heads in a place are read."""
_MOST: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHead:
    """A head that somebody trusted signed, and where it is kept."""

    place: str
    """Its tag."""
    signed: SignedHead
    bundle: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The newest heads in one place."""

    kept: tuple[KeptHead, ...]
    """Those that a trusted key signed, the newest first."""
    passed_over: tuple[str, ...]
    """What else has the tag of a head, and why it is none."""


def sign_head(ledger: Ledger, *, signer: BundleSigner, clock: Clock) -> tuple[SignedHead, bytes]:
    """The head of a ledger and a bundle that says so. The whole chain is followed first: a signature vouches for it.

    Raises:
        LedgerBroken: there is something wrong with it.
        LedgerError: it has no record yet, or cannot be read.
        ServiceFailed: a service that has a part in signing did not do it.
    """
    return _sign(*_ends(ledger), signer=signer, clock=clock)


def publish_head(
    ledger: Ledger,
    store: HeadStore,
    place: Place,
    *,
    signer: BundleSigner,
    keyring: Keyring,
    clock: Clock,
) -> KeptHead:
    """Sign the head and keep it in a place, with whose newest heads under these keys the ledger has to agree.

    So a ledger that lost its end is found by the next one who records something, and never vouched for again.

    Raises:
        LedgerBroken: a head that is kept there says otherwise, or the chain is broken. Nothing was signed.
        LedgerError, StoreError, LimitExceeded, DeadlineExceeded: ledger or place could not be used.
    """
    first, last = _ends(ledger)
    agree(ledger, heads_in(store, place, keyring=keyring))
    signed, bundle = _sign(first, last, signer=signer, clock=clock)
    return keep_head(store, place, signed, bundle)


def _ends(ledger: Ledger) -> tuple[Record, Record]:
    """The first and the last record of a ledger whose chain is whole."""
    first: Record | None = None
    last: Record | None = None
    for record in ledger.records():
        first, last = first or record, record
    if first is None or last is None:
        raise LedgerError("the ledger has no record yet, so it has no head to sign")
    return first, last


def _sign(first: Record, last: Record, *, signer: BundleSigner, clock: Clock) -> tuple[SignedHead, bytes]:
    signed = SignedHead(ledger=first.hash, head=head_of(last), signed=clock.now())
    return signed, signer.sign(write_head(signed)).bundle


def agree(ledger: Ledger, heads: Heads) -> None:
    """Let nothing be done with a ledger that does not agree with heads that are known of it.

    Raises:
        LedgerBroken: it does not; the message names the first difference.
    """
    known = [head for kept in heads.kept for head in kept.signed.known()]
    for breach in breaches(ledger.unchecked(), known=known):
        raise LedgerBroken(
            f"the ledger does not agree with its signed heads: {breach}",
            hint="`attest ledger verify LEDGER --head PLACE --key KEY` lists all that is wrong",
        )


def keep_head(store: HeadStore, place: Place, signed: SignedHead, bundle: bytes) -> KeptHead:
    """Push a signed head, blobs first, then the manifest by its digest, then its tag, which is never moved.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be pushed.
    """
    content = write_head_manifest(bundle)
    held = Held(content=content, document=parse_manifest(content, media_type=MANIFEST))
    tag = tag_at(place, head_tag(signed, bundle))
    target = store.copy_target(tag.at(held.descriptor.digest))
    target.prepare()
    for media_type, blob in ((EMPTY, EMPTY_BLOB), (BUNDLE, bundle)):
        described = Descriptor(media_type=media_type, digest=digest_of(blob), size=len(blob))
        if not target.has(described):
            target.take(described, partial(iter, (blob,)), origin=None)
    target.put(held)
    target.tag(head_tag(signed, bundle), held.descriptor)
    return KeptHead(place=str(tag), signed=signed, bundle=bundle)


def heads_in(store: HeadStore, place: Place, *, keyring: Keyring) -> Heads:
    """The newest heads that are kept in a place, of whatever ledger: a place is for one, so another has replaced it.

    Where only strangers' heads are new, older ones count.

    Raises:
        LimitExceeded: so many strangers' heads are there that none of a trusted key could be found.
        StoreError, DeadlineExceeded: they could not be read.
    """
    tags = newest_first(store.tags(tag_at(place, TAGS)))
    kept: list[KeptHead] = []
    passed_over: list[str] = []
    for start in range(0, len(tags), _BATCH):
        if start >= _MOST:
            raise LimitExceeded(f"{place} has more than {_MOST} heads of ledgers, and none that a given key signed")
        batch = [tag_at(place, tag) for tag in tags[start : start + _BATCH]]
        found = each(lambda tag: _kept(store, tag, keyring), batch)
        kept += [one for one in found if isinstance(one, KeptHead)]
        passed_over += [one for one in found if isinstance(one, str)]
        if kept:
            break
    return Heads(kept=tuple(kept), passed_over=tuple(passed_over))


def _kept(store: HeadStore, tag: TagReferences, keyring: Keyring) -> KeptHead | str:
    """The head at a tag, or why there is none that counts. What cannot be read is an error, and never no head."""
    image = tag.at(store.resolve(tag))
    try:
        bundle = store.blob(image, read_head_manifest(store.manifest(image)), limit=limits.BUNDLE)
        signed = read_head(bundle, keyring)
    except (HeadInvalid, OciInvalid) as error:
        return f"{tag}: {error}"
    return KeptHead(place=str(tag), signed=signed, bundle=bundle)


def tag_at(place: Place, tag: str) -> TagReferences:
    """A tag in a place."""
    match place:
        case Repository():
            return RegistryTag(repository=place, tag=tag)
        case LayoutTag():
            return LayoutTag(path=place.path, tag=tag)
        case _:
            assert_never(place)
