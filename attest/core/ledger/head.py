"""Signed heads: an in-toto Statement that a ledger had this record at its end, and the artifact that carries it.

A hash chain says what is wrong before its last record, and nothing of records that were cut off behind it. A signed
head, kept where who holds the ledger cannot take it away, does. Sources: in-toto attestation spec v1 (`statement.md`);
image-spec v1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from attest.core.canonicaljson import LARGEST
from attest.core.ledger.chain import Head
from attest.core.oci import BUNDLE, EMPTY, EMPTY_BLOB, EMPTY_DIGEST, MANIFEST, Descriptor, Index, Manifest, OciInvalid
from attest.core.reference import Digest, digest_of, is_digest
from attest.core.statement import NO_CONTEXT, format_time, parse_time, write_statement
from attest.core.strictjson import Json, shown
from attest.core.verify import Keyring, VerifiedStatement, verify

PREDICATE: Final = "https://attest-gate.dev/ledger-head/v1"
"""The predicate type."""
TYPE: Final = "application/vnd.attest-gate.ledger-head.v1"
"""The artifact type."""
TAGS: Final = "ledger-"
"""What the tags of all heads begin with."""
_ID: Final = 16
_DIGITS: Final = 16
_TAG: Final = re.compile(f"{TAGS}[0-9a-f]{{{_ID}}}-(?P<seq>[0-9]{{{_DIGITS}}})-[0-9a-f]{{{_ID}}}")
_MEMBERS: Final = frozenset({"ledger", "seq", "hash", "time", "signed"})


class HeadInvalid(ValueError):
    """The bytes are no head that one of the given keys signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """What a signer saw: this ledger ended with this record."""

    ledger: Digest
    """The hash of the ledger's first record: which ledger it is."""
    head: Head
    signed: datetime
    """When, by the signer's clock."""

    def known(self) -> tuple[Head, ...]:
        """The records that the ledger must have: its first, and this one."""
        return (Head(seq=1, hash=self.ledger, time=self.head.time), self.head)


def write_head(signed: SignedHead) -> bytes:
    """The payload to sign: a Statement about the head's hash."""
    return write_statement(
        subjects={signed.head.hash: "ledger head"},
        context=NO_CONTEXT,
        predicate_type=PREDICATE,
        predicate={
            "ledger": signed.ledger,
            "seq": signed.head.seq,
            "hash": signed.head.hash,
            "time": format_time(signed.head.time),
            "signed": format_time(signed.signed),
        },
    )


def read_head(bundle: bytes, keyring: Keyring) -> SignedHead:
    """The head in a bundle that one of these keys signed.

    Raises:
        HeadInvalid: none of them did, or what was signed is no head.
    """
    outcome = verify(bundle, keyring)
    if not isinstance(outcome, VerifiedStatement):
        raise HeadInvalid(outcome.message)
    statement = outcome.statement
    if statement.predicate_type != PREDICATE:
        raise HeadInvalid(f"a statement of type {statement.predicate_type}, and no head of a ledger")
    predicate = statement.predicate
    if predicate.keys() != _MEMBERS:
        raise HeadInvalid(f"a head has not exactly {', '.join(sorted(_MEMBERS))}")
    ledger, digest, seq = (_digest(predicate["ledger"]), _digest(predicate["hash"]), predicate["seq"])
    if type(seq) is not int or not 1 <= seq <= LARGEST:
        raise HeadInvalid(f"seq {shown(seq)} is no number from 1")
    if not statement.is_exactly_about(frozenset({digest})):
        raise HeadInvalid("the statement is about something else than its head")
    head = Head(seq=seq, hash=digest, time=_time(predicate["time"]))
    return SignedHead(ledger=ledger, head=head, signed=_time(predicate["signed"]))


def head_tag(signed: SignedHead, bundle: bytes) -> str:
    """The tag of a head: which ledger, which number, which bundle. Two bundles never have the same one."""
    ledger, carried = (digest.removeprefix("sha256:")[:_ID] for digest in (signed.ledger, digest_of(bundle)))
    return f"{TAGS}{ledger}-{signed.head.seq:0{_DIGITS}d}-{carried}"


def newest_first(tags: Iterable[str]) -> list[str]:
    """Those of the tags that are tags of heads, of whatever ledger, the highest number first."""
    numbers = {tag: int(found["seq"]) for tag in tags if (found := _TAG.fullmatch(tag)) is not None}
    return sorted(numbers, key=lambda tag: (-numbers[tag], tag))


def write_head_manifest(bundle: bytes) -> bytes:
    """The manifest of the artifact that carries a head."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": TYPE,
        "config": {"mediaType": EMPTY, "digest": EMPTY_DIGEST, "size": len(EMPTY_BLOB)},
        "layers": [{"mediaType": BUNDLE, "digest": digest_of(bundle), "size": len(bundle)}],
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def read_head_manifest(manifest: Manifest | Index) -> Descriptor:
    """The bundle in such a manifest.

    Raises:
        OciInvalid: it is no such manifest.
    """
    if not isinstance(manifest, Manifest) or manifest.artifact_type != TYPE or len(manifest.layers) != 1:
        raise OciInvalid("no signed head of a ledger")
    return manifest.layers[0]


def _digest(value: Json) -> Digest:
    if not isinstance(value, str) or not is_digest(value):
        raise HeadInvalid(f"{shown(value)} is no sha256 digest")
    return Digest(value)


def _time(value: Json) -> datetime:
    if not isinstance(value, str):
        raise HeadInvalid(f"{shown(value)} is no time")
    try:
        return parse_time(value)
    except ValueError as error:
        raise HeadInvalid(str(error)) from error
