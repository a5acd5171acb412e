"""Independent readers agree: in-toto's own Statement type, and sigstore's own bundle type."""

from __future__ import annotations

from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from sigstore_models.bundle.v1 import Bundle

from attest.core.envelope import pae
from attest.core.predicates import TEST_RESULT
from attest.core.statement import PREFIX, TYPE_V1
from tests.core import make

SUBJECTS = [make.digest("one"), make.digest("two")]
PAYLOAD = make.payload(SUBJECTS, make.context("e2e", dirty=True))


def test_in_toto_reads_our_statements() -> None:
    """in-toto's protobuf type accepts and validates what is written, with every subject and annotation."""
    parsed = Statement.copy_from_pb(json_format.Parse(PAYLOAD, statement_pb2.Statement()))
    parsed.validate()
    assert (parsed.pb.type, parsed.pb.predicate_type) == (TYPE_V1, TEST_RESULT)
    assert ["sha256:" + subject.digest["sha256"] for subject in parsed.pb.subject] == SUBJECTS
    for subject in parsed.pb.subject:
        assert subject.annotations[PREFIX + "lane"] == "e2e"
        assert subject.annotations[PREFIX + "dirty"] == "true"
    assert parsed.pb.predicate["result"] == "PASSED"


def test_we_read_what_in_toto_writes() -> None:
    """What in-toto's type serialises is read as the same Statement."""
    parsed = json_format.Parse(PAYLOAD, statement_pb2.Statement())
    written = json_format.MessageToJson(parsed).encode()
    ours, theirs = make.verified(make.party("ci"), PAYLOAD), make.verified(make.party("ci"), written)
    assert theirs.statement.digests == ours.statement.digests
    assert theirs.statement.context == ours.statement.context
    assert theirs.statement.predicate_type == ours.statement.predicate_type
    assert theirs.result is ours.result


def test_sigstore_reads_our_bundles() -> None:
    """sigstore's model of a bundle accepts ours, and holds the same payload, hint and valid signature."""
    who = make.party("ci")
    parsed = Bundle.from_json(make.bundle(who, PAYLOAD))
    assert parsed.media_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert parsed.dsse_envelope is not None
    assert parsed.dsse_envelope.payload == PAYLOAD
    assert parsed.verification_material.public_key is not None
    assert parsed.verification_material.public_key.hint == who.trusted.hint
    (signature,) = parsed.dsse_envelope.signatures
    assert who.trusted.verifies(signature.sig, pae(parsed.dsse_envelope.payload_type, PAYLOAD))


def test_sigstore_writes_the_same_bundle() -> None:
    """Read and written again by sigstore's model, a bundle of ours is byte for byte what it was."""
    bundle = make.bundle(make.party("ci"), PAYLOAD)
    assert Bundle.from_json(bundle).to_json().encode() == bundle
