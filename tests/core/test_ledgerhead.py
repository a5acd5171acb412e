"""Signed heads: what a signer vouches for, and what is no head."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attest.core.envelope import pae, write_bundle
from attest.core.ledger.chain import Head, head_of
from attest.core.ledger.head import (
    PREDICATE,
    TAGS,
    TYPE,
    HeadInvalid,
    SignedHead,
    head_tag,
    newest_first,
    read_head,
    read_head_manifest,
    write_head,
    write_head_manifest,
)
from attest.core.oci import BUNDLE, IN_TOTO, OciInvalid, parse_manifest
from attest.core.reference import Digest, digest_of
from attest.core.statement import NO_CONTEXT, read_statement, write_statement
from attest.core.verify import Keyring
from tests.core.make import NOW, Party, party
from tests.core.test_ledger import ledger

RECORDS = ledger(3)
SIGNED = SignedHead(ledger=RECORDS[0].hash, head=head_of(RECORDS[2]), signed=NOW)
KEYRING = Keyring([party("deployer").trusted])


def bundle_of(payload: bytes, signer: Party | None = None) -> bytes:
    """A bundle of a payload, signed by the deployer unless somebody else is named."""
    who = signer or party("deployer")
    return write_bundle(payload=payload, signature=who.sign(pae(IN_TOTO, payload)), hint=who.trusted.hint)


def payload(**changes: Any) -> bytes:
    """The payload of a head with other members of the predicate; None takes one away."""
    predicate = dict(read_statement(write_head(SIGNED)).predicate) | changes
    return write_statement(
        subjects={SIGNED.head.hash: "ledger head"},
        context=NO_CONTEXT,
        predicate_type=PREDICATE,
        predicate={name: value for name, value in predicate.items() if value is not None},
    )


def test_a_signed_head_is_read_back() -> None:
    """What was signed is read under the signer's key, and is a Statement about the hash of the head."""
    assert read_head(bundle_of(write_head(SIGNED)), KEYRING) == SIGNED
    statement = read_statement(write_head(SIGNED))
    assert statement.is_exactly_about(frozenset({SIGNED.head.hash}))
    assert statement.predicate == {
        "ledger": RECORDS[0].hash,
        "seq": 3,
        "hash": RECORDS[2].hash,
        "time": "2026-07-01T12:00:03.000000Z",
        "signed": "2026-07-01T12:00:00.000000Z",
    }


def test_it_says_which_records_the_ledger_must_have() -> None:
    """A head knows the first record of its ledger, and the one that it names."""
    assert [(head.seq, head.hash) for head in SIGNED.known()] == [(1, RECORDS[0].hash), (3, RECORDS[2].hash)]


def test_a_strangers_head_is_none() -> None:
    """A head under another key, or no bundle at all, says nothing."""
    with pytest.raises(HeadInvalid, match="no key"):
        read_head(bundle_of(write_head(SIGNED), party("stranger")), KEYRING)
    with pytest.raises(HeadInvalid):
        read_head(b"{}", KEYRING)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seq": 0}, "no number from 1"),
        ({"seq": True}, "no number from 1"),
        ({"seq": 2**53}, "no number from 1"),
        ({"seq": "3"}, "no number from 1"),
        ({"hash": digest_of(b"x")}, "about something else"),
        ({"hash": 7}, "no sha256 digest"),
        ({"ledger": "sha256:0"}, "no sha256 digest"),
        ({"time": "now"}, "is no time"),
        ({"signed": 5}, "is no time"),
        ({"signed": None}, "not exactly"),
        ({"more": 1}, "not exactly"),
    ],
)
def test_what_is_no_head_is_refused(changes: dict[str, Any], said: str) -> None:
    """A trusted signature over something that is no head is refused with the reason."""
    with pytest.raises(HeadInvalid, match=said):
        read_head(bundle_of(payload(**changes)), KEYRING)


def test_another_statement_is_no_head() -> None:
    """A statement of another type, under the right key, is no head: a lane's key cannot be used for one by mistake."""
    document = json.loads(write_head(SIGNED)) | {"predicateType": "https://slsa.dev/provenance/v1"}
    with pytest.raises(HeadInvalid, match="and no head of a ledger"):
        read_head(bundle_of(json.dumps(document).encode()), KEYRING)


def test_the_newest_tag_is_known_by_its_number() -> None:
    """Tags of heads are told from others and ordered by number, whatever ledger they are of; two bundles have two."""
    tags = []
    for seq, ledger_hash in ((2, "f"), (10, "0"), (9_000_000_000_000_000, "a")):
        signed = SignedHead(
            ledger=Digest("sha256:" + ledger_hash * 64), head=Head(seq=seq, hash=SIGNED.head.hash, time=NOW), signed=NOW
        )
        tags.append(head_tag(signed, b"bundle"))
    others = ["latest", "ledger-", "ledger-v2", tags[0] + "0", tags[0].upper(), "x" + tags[0]]
    assert newest_first([*tags, *others]) == tags[::-1]
    assert all(tag.startswith(TAGS) and len(tag) <= 128 for tag in tags)
    assert head_tag(SIGNED, b"one") != head_tag(SIGNED, b"two")


def test_an_artifact_carries_the_bundle() -> None:
    """The manifest of a head names its bundle, and has no subject: no reader of attestations meets it."""
    bundle = bundle_of(write_head(SIGNED))
    manifest = write_head_manifest(bundle)
    layer = read_head_manifest(parse_manifest(manifest))
    assert (layer.digest, layer.size, layer.media_type) == (digest_of(bundle), len(bundle), BUNDLE)
    document = json.loads(manifest)
    assert document["artifactType"] == TYPE
    assert "subject" not in document


@pytest.mark.parametrize(
    "changes", [{"artifactType": "application/x"}, {"layers": []}, {"manifests": [], "layers": None, "config": None}]
)
def test_another_artifact_carries_no_head(changes: dict[str, Any]) -> None:
    """A manifest of another kind, or an index, is no artifact of a head."""
    document = json.loads(write_head_manifest(b"bundle")) | changes
    if "manifests" in changes:
        document["mediaType"] = "application/vnd.oci.image.index.v1+json"
    content = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
    with pytest.raises(OciInvalid, match="no signed head"):
        read_head_manifest(parse_manifest(content))
