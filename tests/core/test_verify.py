"""Verification: one negative for each step, the seal, and that nothing around the signature matters."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import pickle
from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from attest.core.envelope import pae, read_bundle
from attest.core.oci import IN_TOTO
from attest.core.predicates import PROVENANCE_V1, TEST_RESULT, Result, Source
from attest.core.reference import digest_of
from attest.core.statement import TYPE_V01, TYPE_V1
from attest.core.verify import Keyring, Rejected, Unreadable, VerifiedStatement, verify
from tests.core import make

CI, FOREIGN = make.party("ci"), make.party("foreign")
RING = Keyring([make.party("other", "ed25519").trusted, CI.trusted, make.party("third", "ecdsa-p384").trusted])
SUBJECT = make.digest("image app")
PAYLOAD = make.payload([SUBJECT], make.context())


def signed(payload: bytes, *, payload_type: str = IN_TOTO, over: bytes | None = None, who: make.Party = CI) -> bytes:
    """A bundle around a payload; `over` is what was signed instead of its encoding."""
    signature = who.sign(pae(payload_type, payload) if over is None else over)
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": who.trusted.hint}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        },
    }
    return json.dumps(document).encode()


def changed(**members: Any) -> bytes:
    """The valid Statement with members changed, before it is signed; `...` takes one out."""
    document = {**json.loads(PAYLOAD), **members}
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


def with_annotations(**annotations: Any) -> bytes:
    subject = json.loads(PAYLOAD)["subject"][0]
    return changed(subject=[{**subject, "annotations": {**subject["annotations"], **annotations}}])


def test_a_valid_bundle_is_verified() -> None:
    """What a trusted key signed comes out whole: the exact bytes, the Statement, the key, the result, the digest."""
    content = make.bundle(CI, PAYLOAD)
    outcome = verify(content, RING)
    assert isinstance(outcome, VerifiedStatement)
    assert outcome.bundle == digest_of(content)
    assert outcome.payload == PAYLOAD
    assert outcome.statement.digests == {SUBJECT}
    assert outcome.statement.context == make.context()
    assert outcome.credential == CI.trusted
    assert (outcome.result, outcome.sources, outcome.trusted_times) == (Result.PASSED, (), ())


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"])
def test_every_algorithm_verifies_a_bundle(algorithm: str) -> None:
    """A bundle by any supported key is verified under it."""
    who = make.party("any", algorithm)
    assert isinstance(verify(make.bundle(who, PAYLOAD), Keyring([who.trusted])), VerifiedStatement)


def test_sources_of_a_provenance_come_with_it() -> None:
    """A verified provenance carries the sources that its predicate names."""
    workflow = {"workflow": {"repository": make.REPOSITORY, "ref": "refs/heads/main"}}
    predicate = {"buildDefinition": {"externalParameters": workflow}}
    payload = make.payload([SUBJECT], make.context(), predicate_type=PROVENANCE_V1, predicate=predicate)
    outcome = make.verified(CI, payload)
    assert outcome.result is None
    assert outcome.sources == (Source(repository=make.REPOSITORY, ref="refs/heads/main"),)


# Steps 1 and 2: no trusted key, no evidence


@pytest.mark.parametrize(
    "content",
    [
        signed(PAYLOAD, who=FOREIGN),
        signed(PAYLOAD, over=pae(IN_TOTO, PAYLOAD + b" ")),
        signed(PAYLOAD, over=pae("application/json", PAYLOAD)),
        signed(PAYLOAD, over=PAYLOAD),
        signed(PAYLOAD, over=base64.b64encode(PAYLOAD)),
        signed(b"not JSON", who=FOREIGN),
    ],
    ids=["foreign-key", "other-bytes", "other-type", "no-encoding", "base64-signed", "foreign-junk"],
)
def test_steps_1_and_2_a_foreign_signature_is_rejected(content: bytes) -> None:
    """A signature that no key of the policy made over exactly these bytes is no evidence, whatever it is about."""
    outcome = verify(content, RING)
    assert outcome == Rejected(
        bundle=digest_of(content), reason="foreign-key", message="no key of this policy made its signature"
    )


def test_an_empty_keyring_verifies_nothing() -> None:
    """Without keys nothing is evidence."""
    assert isinstance(verify(make.bundle(CI, PAYLOAD), Keyring([])), Rejected)


@pytest.mark.parametrize(("content", "reason"), [(b"", "bundle-invalid"), (b"{}", "bundle-invalid")])
def test_what_is_no_bundle_is_rejected(content: bytes, reason: str) -> None:
    """Bytes that are no bundle are rejected with the reason of the reader."""
    outcome = verify(content, RING)
    assert isinstance(outcome, Rejected)
    assert (outcome.bundle, outcome.reason) == (digest_of(content), reason)


# Steps 3 to 7: a trusted key signed it, and it is not what may be signed


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (signed(PAYLOAD, payload_type="application/vnd.in-toto+json "), "payload-type", "is not application/vnd.in"),
        (signed(PAYLOAD, payload_type="application/json"), "payload-type", "payloadType 'application/json' is not"),
        (signed(PAYLOAD, payload_type=""), "payload-type", "payloadType '' is not"),
        (signed(b""), "statement-invalid", "not strict JSON"),
        (signed(PAYLOAD + b"x"), "statement-invalid", "not strict JSON"),
        (signed(PAYLOAD.replace(b'{"_type"', b'{"_type":1,"_type"', 1)), "statement-invalid", "stands twice"),
        (signed(b"[]"), "statement-invalid", "not a JSON object"),
        (signed(changed(_type="https://in-toto.io/Statement/v2")), "statement-invalid", "_type 'https"),
        (signed(changed(_type=...)), "statement-invalid", "_type None is"),
        (signed(changed(predicateType="")), "statement-invalid", "no predicateType"),
        (signed(changed(predicateType=...)), "statement-invalid", "no predicateType"),
        (signed(changed(subject=[])), "statement-invalid", "no subject"),
        (signed(changed(subject=[{"digest": {"sha256": SUBJECT}}])), "statement-invalid", "malformed sha256"),
        (signed(changed(subject=[{"digest": {"sha256": "A" * 64}}])), "statement-invalid", "malformed sha256"),
        (signed(with_annotations(**{"attest-gate/lane": "No Lane"})), "statement-invalid", "is no lane"),
        (signed(with_annotations(**{"attest-gate/commit": 1})), "statement-invalid", "is not a string"),
        (signed(with_annotations(**{"attest-gate/other": "x"})), "statement-invalid", "unknown annotation"),
        (signed(changed(predicate={"result": "passed", "configuration": []})), "predicate-invalid", "'passed'"),
        (signed(changed(predicate={"result": [], "configuration": []})), "predicate-invalid", "an array"),
        (signed(changed(predicate={"result": "PASSED"})), "predicate-invalid", "without configuration"),
    ],
)
def test_steps_3_to_7_a_trusted_signature_over_something_else_is_unreadable(
    content: bytes, reason: str, message: str
) -> None:
    """Each later step has its own refusal, which names the key, so that the image can be refused."""
    outcome = verify(content, RING)
    assert isinstance(outcome, Unreadable)
    assert outcome.reason == reason
    assert message in outcome.message
    assert outcome.credential == CI.trusted
    assert outcome.bundle == digest_of(content)
    assert outcome.payload == digest_of(read_bundle(content).payload)


def test_the_predicate_is_read_for_its_own_type_alone() -> None:
    """What would be no test-result may stand in a predicate of another type."""
    payload = changed(predicateType="https://example.org/t", predicate={"result": []})
    assert isinstance(verify(signed(payload), RING), VerifiedStatement)
    assert json.loads(PAYLOAD)["predicateType"] == TEST_RESULT


@pytest.mark.parametrize("kind", [TYPE_V1, TYPE_V01])
def test_both_statement_versions_verify(kind: str) -> None:
    """cosign's v0.1 is verified as v1 is."""
    assert isinstance(verify(signed(changed(_type=kind)), RING), VerifiedStatement)


# Nothing around the signature matters


@pytest.mark.parametrize("hint", ["", "nonsense", FOREIGN.trusted.hint, RING.keys[0].hint, None, 5, {}, ...])
@pytest.mark.parametrize("keyid", [..., "", "nonsense", CI.trusted.fingerprint, 5, None])
def test_hints_never_decide(hint: Any, keyid: Any) -> None:
    """With the hint or keyid swapped, malformed or removed the same key is found and the same Statement verified."""
    bundle = json.loads(make.bundle(CI, PAYLOAD))
    bundle["verificationMaterial"] = {} if hint is ... else {"publicKey": {"hint": hint}}
    if keyid is not ...:
        bundle["dsseEnvelope"]["signatures"][0]["keyid"] = keyid
    outcome = verify(json.dumps(bundle).encode(), RING)
    assert isinstance(outcome, VerifiedStatement)
    assert (outcome.credential, outcome.payload) == (CI.trusted, PAYLOAD)


def test_a_hint_makes_nobody_trusted() -> None:
    """A foreign signature with the hint of a trusted key is rejected."""
    assert isinstance(verify(make.bundle(FOREIGN, PAYLOAD, hint=CI.trusted.hint), RING), Rejected)


def test_both_base64_alphabets_verify() -> None:
    """A bundle in the URL-safe alphabet holds the same signature over the same bytes."""
    payload = make.payload([SUBJECT], make.context(job="\u00ff\u00fe~~~???>>>"))
    bundle = json.loads(make.bundle(CI, payload))
    envelope = bundle["dsseEnvelope"]
    envelope["payload"] = envelope["payload"].replace("+", "-").replace("/", "_")
    envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"].replace("+", "-").replace("/", "_")
    assert json.dumps(bundle).encode() != make.bundle(CI, payload)
    outcome = verify(json.dumps(bundle).encode(), RING)
    assert isinstance(outcome, VerifiedStatement)
    assert outcome.payload == payload


def test_a_legacy_envelope_is_verified() -> None:
    """A bare envelope is read only where the caller says that it is one, and a bundle only where it does not."""
    bundle = make.bundle(CI, PAYLOAD)
    envelope = json.dumps(json.loads(bundle)["dsseEnvelope"]).encode()
    outcome = verify(envelope, RING, legacy=True)
    assert isinstance(outcome, VerifiedStatement)
    assert outcome.payload == PAYLOAD
    assert isinstance(verify(envelope, RING), Rejected)
    assert isinstance(verify(bundle, RING, legacy=True), Rejected)


class Counting:
    """Stands where a key's cryptography is: it verifies nothing, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def verify(self, *_: object) -> None:
        self.asked += 1
        raise InvalidSignature


def test_the_hinted_key_is_tried_first_and_none_twice() -> None:
    """A right hint saves trying the others, a wrong one costs one attempt, and without one each key is tried once."""
    counting = Counting()
    decoy = dataclasses.replace(FOREIGN.trusted, check=counting.verify)
    ring = Keyring([decoy, CI.trusted])
    for hint, attempts in [(CI.trusted.hint, 0), (decoy.hint, 1), ("", 1), ("nonsense", 1)]:
        counting.asked = 0
        assert isinstance(verify(make.bundle(CI, PAYLOAD, hint=hint), ring), VerifiedStatement)
        assert counting.asked == attempts
    counting.asked = 0
    assert isinstance(verify(make.bundle(FOREIGN, PAYLOAD), ring), Rejected)
    assert counting.asked == 1


def test_a_keyring_holds_each_key_once() -> None:
    """A key that is named twice is one key."""
    assert Keyring([CI.trusted, FOREIGN.trusted, CI.trusted]).keys == (CI.trusted, FOREIGN.trusted)


# Time


def test_time_is_the_earliest_that_is_signed_or_trusted() -> None:
    """The Time of evidence under a bare key is its signed finish time, and without one it has none."""
    assert make.verified(CI, PAYLOAD).time == make.NOW - make.HOUR
    assert make.verified(CI, make.payload([SUBJECT], make.context(finished=None))).time is None


@pytest.mark.parametrize("finished", [None, make.NOW])
@pytest.mark.parametrize("earlier", [-1, 0, 1])
def test_a_trusted_time_makes_nothing_younger(finished: Any, earlier: int) -> None:
    """Of the signed and every trusted time the earliest counts, so that stamping anew does not help."""
    statement = verify(make.bundle(CI, make.payload([SUBJECT], make.context(finished=finished))), RING)
    assert isinstance(statement, VerifiedStatement)
    trusted = (make.NOW + timedelta(hours=9), make.NOW - timedelta(hours=earlier))
    object.__setattr__(statement, "trusted_times", trusted)  # more of them than a service would give
    assert statement.time == min((*trusted, finished) if finished else trusted)


# Step 8: the seal


def test_a_verified_statement_cannot_be_made() -> None:
    """The constructor refuses every seal but its own, also one that looks alike."""
    outcome = make.verified(CI, PAYLOAD)
    fields = {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome)}
    for seal in (None, object(), True, outcome):
        with pytest.raises(TypeError, match="made by verify"):
            VerifiedStatement(**fields, seal=seal)
    with pytest.raises(TypeError, match="seal"):
        VerifiedStatement(**fields)


def test_a_verified_statement_cannot_be_changed_or_copied() -> None:
    """Replacing, copying, pickling and assigning are refused: what was verified is what is used (CVE-2026-44309)."""
    outcome = make.verified(CI, PAYLOAD)
    with pytest.raises((TypeError, ValueError), match="seal"):
        dataclasses.replace(outcome, payload=b"other")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="made by verify"):
        dataclasses.replace(outcome, payload=b"other", seal=object())
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not pickled or copied"):
            copied(outcome)
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.payload = b"other"  # type: ignore[misc]
    assert not hasattr(outcome, "__dict__")
    assert not hasattr(outcome, "seal")


def test_a_verified_statement_has_no_subclasses() -> None:
    """A subclass that skips the check cannot be written."""
    with pytest.raises(TypeError, match="no subclasses"):
        type("Forged", (VerifiedStatement,), {"__post_init__": lambda *_: None})
