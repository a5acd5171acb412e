"""Verification of bundles that an identity signed, and of the trusted times of those that a key signed.

The trust is a test's own; the signatures over the envelopes are real.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from attest.core.certificate import Certified, Uncertified
from attest.core.envelope import read_bundle
from attest.core.predicates import PROVENANCE_V1, Result, Source
from attest.core.reference import digest_of
from attest.core.verify import Keyring, Rejected, Unreadable, VerifiedStatement, verify, verify_all
from tests.core import make
from tests.core.make_identity import (
    ISSUER,
    SEEN,
    WORKFLOW,
    Believing,
    Refusing,
    certificate,
    certified,
    identity,
    keyring,
    stamped,
)

JOB, CI, STRANGER = make.party("job"), make.party("ci"), make.party("stranger")
SUBJECT = make.digest("image app")
PAYLOAD = make.payload([SUBJECT], make.context())
FINISHED = make.NOW - make.HOUR


def changed(**members: Any) -> bytes:
    """The valid Statement with members changed, before it is signed."""
    return json.dumps({**json.loads(PAYLOAD), **members}).encode()


# The good path


def test_what_an_identity_signed_is_verified() -> None:
    """It comes out whole: the bytes, the Statement, the certificate, its source beside the others, and the times."""
    content = certified(JOB, PAYLOAD)
    outcome = verify(content, keyring())
    assert isinstance(outcome, VerifiedStatement)
    assert (outcome.bundle, outcome.payload) == (digest_of(content), PAYLOAD)
    assert outcome.statement.digests == {SUBJECT}
    assert outcome.statement.context == make.context()
    assert outcome.credential == certificate(JOB)
    assert outcome.credential.fingerprint == JOB.trusted.fingerprint
    assert outcome.result is Result.PASSED
    assert outcome.sources == (Source(repository=make.REPOSITORY, commit=make.COMMIT, ref="refs/heads/main"),)
    assert outcome.trusted_times == (SEEN,)


def test_the_sources_of_a_predicate_come_first() -> None:
    """A provenance under an identity names both its own sources and that of the certificate."""
    workflow = {"workflow": {"repository": make.REPOSITORY, "ref": "refs/tags/v1"}}
    predicate = {"buildDefinition": {"externalParameters": workflow}}
    payload = make.payload([SUBJECT], make.context(), predicate_type=PROVENANCE_V1, predicate=predicate)
    outcome = verify(certified(JOB, payload), keyring())
    assert isinstance(outcome, VerifiedStatement)
    own, of_certificate = outcome.sources
    assert (own.ref, of_certificate.ref) == ("refs/tags/v1", "refs/heads/main")


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"])
def test_the_key_of_a_certificate_may_be_of_any_algorithm(algorithm: str) -> None:
    """The certificate's key says how its signature is verified."""
    assert isinstance(verify(certified(make.party("job", algorithm), PAYLOAD), keyring()), VerifiedStatement)


def test_every_identity_of_the_keyring_is_trusted() -> None:
    """It suffices to be one of several identities, whose claims are then demanded too."""
    others = {"a": identity(identity="a"), "b": identity(trigger="push"), "c": identity(issuer="https://c.example.org")}
    assert isinstance(verify(certified(JOB, PAYLOAD), keyring(others)), VerifiedStatement)
    del others["b"]
    assert isinstance(verify(certified(JOB, PAYLOAD), keyring(others)), Rejected)


# What is no evidence


def test_without_trust_no_identity_is_believed() -> None:
    """A keyring of keys, of identities without trust, or of trust without identities rejects every certificate."""
    content = certified(JOB, PAYLOAD)
    for ring in (
        Keyring([JOB.trusted]),
        Keyring([JOB.trusted], identities={"e2e": identity()}),
        Keyring([JOB.trusted], trust=Believing()),
    ):
        assert verify(content, ring) == Rejected(
            bundle=digest_of(content),
            reason="foreign-identity",
            message="signed by an identity, and this policy trusts keys alone",
        )


@pytest.mark.parametrize("code", Uncertified)
def test_what_is_not_certified_is_rejected_with_its_reason(code: Uncertified) -> None:
    """The code and the words of the trust are those of the rejection."""
    content = certified(JOB, PAYLOAD)
    outcome = verify(content, keyring(trust=Refusing(code)))
    assert outcome == Rejected(
        bundle=digest_of(content), reason=code.value, message=f"refused, all {len(content)} bytes"
    )


def test_a_certificate_whose_key_did_not_sign_is_rejected() -> None:
    """What the trust certified is checked against the envelope that was read here, whatever the trust had read."""
    content = certified(STRANGER, PAYLOAD, says=certificate(JOB))
    outcome = verify(content, keyring())
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.message) == (
        "signature-invalid",
        "its certificate's key did not make its signature",
    )


@pytest.mark.parametrize("member", ["payload", "payloadType"])
def test_the_signature_is_over_payload_and_type(member: str) -> None:
    """An envelope whose payload or type was changed after signing is rejected, though its certificate is good."""
    bundle = json.loads(certified(JOB, PAYLOAD))
    other = base64.b64encode(PAYLOAD + b" ").decode() if member == "payload" else "application/json"
    bundle["dsseEnvelope"][member] = other
    outcome = verify(json.dumps(bundle).encode(), keyring())
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "signature-invalid"


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ({"issuer": "https://evil.example.org"}, "issuer-differs"),
        ({"identity": f"{WORKFLOW}x"}, "certificate-ref-differs"),
        ({"identity": "e2e@example.org"}, "identity-differs"),
        ({"identity": "e2e@example.org", "trigger": "schedule"}, "foreign-identity"),
    ],
)
def test_a_foreign_identity_is_rejected(says: dict[str, Any], reason: str) -> None:
    """A certificate that is good and nobody's is no evidence, and it is told how it is no signer's."""
    demanded = {"e2e": identity(trigger="push")}
    outcome = verify(certified(JOB, PAYLOAD, says=certificate(JOB, **says)), keyring(demanded))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == reason


def test_a_key_of_the_policy_does_not_stand_in_for_its_certificate() -> None:
    """A bundle that a certificate signed is none of a key's, also where a policy trusts that very key."""
    outcome = verify(
        certified(JOB, PAYLOAD, says=certificate(JOB, issuer="https://evil.example.org")), keyring({}, JOB)
    )
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "foreign-identity"


@pytest.mark.parametrize("hint", [{}, {"hint": JOB.trusted.hint}, None, "x"])
def test_a_bundle_names_a_key_or_a_certificate(hint: Any) -> None:
    """One that names both would have two answers, and is none, whatever the key's hint is; a null names nothing."""
    outcome = verify(certified(JOB, PAYLOAD, publicKey=hint), keyring({"e2e": identity()}, JOB))
    if hint is None:
        assert isinstance(outcome, VerifiedStatement)
        return
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.message) == ("bundle-invalid", "the bundle names a key and a certificate")


@pytest.mark.parametrize("material", [{"certificate": None}, {"certificate": {}}, {"x509CertificateChain": None}])
def test_whatever_names_a_certificate_is_not_a_keys(material: dict[str, Any]) -> None:
    """A bundle with the member of a certificate, empty or null too, is for the trust to judge and for no key."""
    bundle = json.loads(make.bundle(CI, PAYLOAD))
    bundle["verificationMaterial"] = material
    outcome = verify(
        json.dumps(bundle).encode(), keyring({"e2e": identity()}, CI, trust=Refusing(Uncertified.TIME_MISSING))
    )
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "time-missing"


def test_no_trust_is_asked_of_a_bare_envelope() -> None:
    """A legacy envelope has no place for a certificate: only a key can have signed it."""
    envelope = json.dumps(json.loads(certified(JOB, PAYLOAD))["dsseEnvelope"]).encode()
    trust = Believing()
    outcome = verify(envelope, keyring(trust=trust), legacy=True)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, trust.asked) == ("foreign-key", [])


# What an identity signed, and is no statement


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (certified(JOB, PAYLOAD, payload_type="application/json"), "payload-type"),
        (certified(JOB, b"junk"), "statement-invalid"),
        (certified(JOB, changed(subject=[])), "statement-invalid"),
        (certified(JOB, changed(predicate={"result": "passed", "configuration": []})), "predicate-invalid"),
    ],
)
def test_what_an_identity_signed_and_nobody_can_read_is_unreadable(content: bytes, reason: str) -> None:
    """It refuses as it does under a key, names who signed, and can be revoked by what was signed."""
    outcome = verify(content, keyring())
    assert isinstance(outcome, Unreadable)
    assert (outcome.reason, outcome.credential) == (reason, certificate(JOB))
    assert outcome.bundle == digest_of(content)
    assert outcome.payload == digest_of(read_bundle(content).payload)


def test_a_stranger_makes_nothing_unreadable() -> None:
    """Junk under a certificate of nobody's is only rejected."""
    content = certified(JOB, b"junk", says=certificate(JOB, issuer="https://evil.example.org"))
    assert isinstance(verify(content, keyring()), Rejected)


# Trusted times


@pytest.mark.parametrize("before", [-1, 1])
def test_the_earliest_time_of_an_identity_counts(before: int) -> None:
    """Of the signed finish time and the verified times the earliest is the Time."""
    times = (FINISHED + 5 * make.HOUR, FINISHED - before * make.HOUR)
    outcome = verify(certified(JOB, PAYLOAD, times=times), keyring())
    assert isinstance(outcome, VerifiedStatement)
    assert outcome.trusted_times == times
    assert outcome.time == min(FINISHED, *times)


def test_an_identity_without_a_context_has_the_time_that_it_was_seen() -> None:
    """Without a signed finish time the trusted one is all there is."""
    outcome = verify(certified(JOB, make.payload([SUBJECT], make.context(finished=None))), keyring())
    assert isinstance(outcome, VerifiedStatement)
    assert outcome.time == SEEN


@pytest.mark.parametrize("before", [-1, 1])
def test_the_trusted_times_of_a_key_come_from_the_trust(before: int) -> None:
    """A witnessed signature of a key has the times that the trust vouches for, of which the earliest counts."""
    times = (FINISHED - before * make.HOUR, FINISHED + 3 * make.HOUR)
    trust = Believing()
    outcome = verify(stamped(CI, PAYLOAD, *times), keyring({}, CI, trust=trust))
    assert isinstance(outcome, VerifiedStatement)
    assert (outcome.credential, outcome.trusted_times, trust.asked) == (CI.trusted, times, ["times"])
    assert outcome.time == min(FINISHED, *times)
    assert outcome.sources == ()


@pytest.mark.parametrize(
    "material",
    [
        {"tlogEntries": [{}]},
        {"timestampVerificationData": {}},
        {"timestampVerificationData": {"rfc3161Timestamps": []}, "tlogEntries": []},
    ],
)
def test_the_trust_is_asked_of_what_is_witnessed(material: dict[str, Any]) -> None:
    """Where there are log entries or timestamps the trust says what they are worth; nothing is worth no time."""
    trust = Believing()
    outcome = verify(stamped(CI, PAYLOAD, **material), keyring({}, CI, trust=trust))
    assert isinstance(outcome, VerifiedStatement)
    assert (outcome.trusted_times, outcome.time, trust.asked) == ((), FINISHED, ["times"])


def test_nobody_is_asked_about_a_key_that_nobody_witnessed() -> None:
    """Without log entries and timestamps there is nothing to ask, so a root that is fetched is not fetched."""
    trust = Believing()
    for content in (stamped(CI, PAYLOAD), stamped(CI, PAYLOAD, tlogEntries=[]), make.bundle(CI, PAYLOAD)):
        outcome = verify(content, keyring({}, CI, trust=trust))
        assert isinstance(outcome, VerifiedStatement)
        assert outcome.trusted_times == ()
    assert trust.asked == []


def test_without_trust_no_witness_is_believed() -> None:
    """Timestamps of services that nobody trusts are no times, and the evidence has its own."""
    outcome = verify(stamped(CI, PAYLOAD, FINISHED - make.HOUR), Keyring([CI.trusted]))
    assert isinstance(outcome, VerifiedStatement)
    assert (outcome.trusted_times, outcome.time) == ((), FINISHED)


def test_a_foreign_key_is_not_asked_about() -> None:
    """Times are asked for after the signature was verified, so that a stranger's bundle costs nothing."""
    trust = Believing()
    outcome = verify(stamped(STRANGER, PAYLOAD, FINISHED), keyring({}, CI, trust=trust))
    assert isinstance(outcome, Rejected)
    assert trust.asked == []


def test_nothing_is_certified_without_a_time() -> None:
    """A certificate that nobody saw at any time is no value at all."""
    with pytest.raises(ValueError, match="without a verified time"):
        Certified(certificate=certificate(JOB), times=())


# Many at once


def test_all_outcomes_come_in_the_order_of_the_bundles() -> None:
    """Each bundle, whatever becomes of it, has its outcome in its place, and the one that it has alone."""
    bundles = [
        (make.bundle(CI, PAYLOAD), False),
        (b"junk", False),
        (certified(JOB, PAYLOAD), False),
        (make.bundle(STRANGER, PAYLOAD), False),
        (json.dumps(json.loads(make.bundle(CI, PAYLOAD))["dsseEnvelope"]).encode(), True),
        (certified(JOB, b"junk"), False),
        (certified(STRANGER, PAYLOAD, says=certificate(JOB)), False),
        (stamped(CI, PAYLOAD, SEEN), False),
        (make.bundle(CI, PAYLOAD), True),
    ]
    ring = keyring({"e2e": identity()}, CI)
    for chosen in (bundles, bundles[::-1], [], bundles[1:2]):
        outcomes = verify_all(chosen, ring)
        assert [one.bundle for one in outcomes] == [digest_of(content) for content, _ in chosen]
        for one, (content, legacy) in zip(outcomes, chosen, strict=True):
            alone = verify(content, ring, legacy=legacy)
            assert type(one) is type(alone)
            assert getattr(one, "reason", None) == getattr(alone, "reason", None)
            assert getattr(one, "credential", None) == getattr(alone, "credential", None)
    kinds = [type(one).__name__ for one in verify_all(iter(bundles), ring)]
    assert kinds == [
        *("VerifiedStatement", "Rejected", "VerifiedStatement", "Rejected", "VerifiedStatement"),
        *("Unreadable", "Rejected", "VerifiedStatement", "Rejected"),
    ]


def test_the_double_says_what_a_certificate_would() -> None:
    """The trust of these tests hands on what it was given: issuer, identity and times, and nothing made up."""
    outcome = Believing().certify(certified(JOB, PAYLOAD, times=(datetime(2026, 1, 1, tzinfo=UTC),)))
    assert (outcome.certificate.issuer, outcome.certificate.identity) == (ISSUER, WORKFLOW)
    assert outcome.times == (datetime(2026, 1, 1, tzinfo=UTC),)
