"""Keyless bundles: for each step of verifying one, what fails it, with the step's own code."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import NotCertified
from tests.sigstore_asking import ALL, ROOT, V1, Change, certify, code_of, entry_of, spoiled
from tests.sigstore_forge import PAYLOAD, Certificate, Recipe, canonical, pae
from tests.sigstore_instance import (
    AT,
    CA,
    CT,
    MINUTE,
    REKOR_V1,
    REKOR_V2,
    TSA,
    YEAR,
    Authority,
    Log,
    b64,
    p256,
    sign,
    trusted_root,
)

EVIL_CA = Authority(name="evil")
EVIL_LOG = Log(host="evil.example.org")
EVIL_TSA = Authority(name="evil timestamps", timestamping=True)


@pytest.fixture(scope="module")
def trust() -> SigstoreTrust:
    """The forge's own trusted root."""
    return SigstoreTrust(ROOT)


# Step 1: the bundle.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"[]",
        b"{}",
        Recipe().content[:-1],
        Recipe().content.replace(b'"mediaType"', b'"mediaType": "x", "mediaType"'),
        spoiled(Recipe(), lambda one: one.update(mediaType="application/vnd.dev.sigstore.bundle.v9+json")),
        spoiled(Recipe(), lambda one: one.pop("verificationMaterial")),
        spoiled(Recipe(), lambda one: one.pop("dsseEnvelope")),
        spoiled(Recipe(), lambda one: one.update(surprise=1)),
        spoiled(Recipe(), lambda one: one["dsseEnvelope"]["signatures"].append({"sig": "AAAA"})),
        spoiled(Recipe(), lambda one: entry_of(one).pop("logId")),
        spoiled(Recipe(), lambda one: entry_of(one).update(integratedTime="1" * 19)),
        spoiled(Recipe(), lambda one: entry_of(one)["inclusionProof"].update(logIndex="5")),
        spoiled(Recipe(), lambda one: entry_of(one)["inclusionProof"].update(hashes="text")),
        spoiled(Recipe(), lambda one: entry_of(one)["kindVersion"].update(version="0.0.9")),
    ],
)
def test_step_1_what_is_no_bundle_is_refused(content: bytes) -> None:
    """What either reader, ours or the library's, does not take for a bundle is none."""
    assert code_of(content) == "bundle-invalid"


@pytest.mark.parametrize("kind", ALL)
def test_step_1_two_spellings_are_refused(kind: str) -> None:
    """The library reads members under a second name as well: whatever it reads there has to be what we read."""
    other = Recipe(kind=kind, payload=PAYLOAD + b" ").document
    for spelled, member in (("dsse_envelope", "dsseEnvelope"), ("verification_material", "verificationMaterial")):
        document = Recipe(kind=kind).document | {spelled: other[member]}
        with pytest.raises(NotCertified):
            SigstoreTrust(ROOT).certify(json.dumps(document).encode())


def test_step_1_a_managed_key_is_no_certificate() -> None:
    """A bundle that a key signed has nothing to certify."""
    assert code_of(Recipe(hint="hint").content) == "certificate-missing"


@pytest.mark.parametrize("kind", ALL)
def test_step_1_exactly_one_log_entry(kind: str) -> None:
    """None, or two of which one might be of something else."""
    assert code_of(spoiled(Recipe(kind=kind), lambda one: one["verificationMaterial"].update(tlogEntries=[]))) == (
        "log-entry-missing"
    )
    doubled = spoiled(Recipe(kind=kind), lambda one: one["verificationMaterial"]["tlogEntries"].append(entry_of(one)))
    assert code_of(doubled) == "log-entry-missing"


@pytest.mark.parametrize("kind", ALL)
def test_step_1_an_inclusion_proof_with_a_checkpoint(kind: str) -> None:
    """A promise alone is no inclusion, and a proof without its checkpoint proves nothing."""
    assert code_of(Recipe(kind=kind, proof=False).content) == "inclusion-missing"
    bare = spoiled(Recipe(kind=kind), lambda one: entry_of(one)["inclusionProof"].pop("checkpoint"))
    assert code_of(bare) == "inclusion-missing"


# Step 2: what the certificate says.


@pytest.mark.parametrize("kind", ALL)
def test_step_2_a_certificate_without_an_identity_is_refused(kind: str) -> None:
    """tests/core/test_certificate.py has every way; here, that the step is taken."""
    assert code_of(Recipe(kind=kind, certificate=Certificate(claims={})).content) == "certificate-invalid"


# Step 3: a trusted time.


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(integrated=None),
        Recipe(promised=False),
        Recipe(kind="intoto", promised=False),
        Recipe(kind="hashedrekord", stamps=[]),
    ],
)
def test_step_3_no_time_is_refused(recipe: Recipe) -> None:
    """Without timestamp and promise nobody knows when it was signed; an unpromised time is none."""
    assert code_of(recipe.content) == "time-missing"


V2 = Recipe(kind="hashedrekord")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(kind="hashedrekord", stamps=[(EVIL_TSA, AT + MINUTE)]),
        Recipe(kind="hashedrekord", stamps=[(Authority(name="timestamps"), AT + MINUTE)]),
        Recipe(kind="hashedrekord", stamped=b"another signature"),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT + MINUTE)] * 2),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT + n * MINUTE / 60) for n in range(33)]),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT + 2 * YEAR)]),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT - 2 * YEAR)]),
        Recipe(kind="dsse", stamps=[(TSA, AT + MINUTE)] * 2),
        Recipe(kind="intoto", stamps=[(TSA, AT + MINUTE)] * 2),
    ],
)
def test_step_3_a_timestamp_that_does_not_hold_is_refused(recipe: Recipe) -> None:
    """Another authority, another signature, one twice, too many, and one whose own certificate was not valid."""
    assert code_of(recipe.content) == "timestamp-invalid"


@pytest.mark.parametrize(
    "response",
    [
        TSA.timestamp(V2.its_signature, AT + MINUTE, status=2),
        TSA.timestamp(V2.its_signature, AT + MINUTE, digest="sha1"),
        TSA.timestamp(V2.its_signature, AT + MINUTE) + b"\0",
        b"junk",
    ],
)
def test_step_3_a_response_that_is_no_timestamp_is_refused(response: bytes) -> None:
    """Not granted (RFC 3161 2.4.2), over SHA-1, followed by more, and no response at all."""
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": b64(response)}]}
    content = spoiled(V2, lambda one: one["verificationMaterial"].update(timestampVerificationData=stamps))
    assert code_of(content) == "timestamp-invalid"


@pytest.mark.parametrize("kind", V1)
def test_step_3_junk_beside_a_promise_is_refused(kind: str) -> None:
    """What is no timestamp response refuses the bundle, even where there is a time without it."""
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": b64(b"junk")}]}
    content = spoiled(
        Recipe(kind=kind), lambda one: one["verificationMaterial"].update(timestampVerificationData=stamps)
    )
    assert code_of(content) == "timestamp-invalid"


@pytest.mark.parametrize(
    "timestamping",
    [
        [],
        [EVIL_TSA.described()],
        [TSA.described(start=AT + 2 * MINUTE)],
        [TSA.described(end=AT)],
        [Authority(name="timestamps", timestamping=True, usage=ExtendedKeyUsageOID.CODE_SIGNING).described()],
        [TSA.described() | {"certChain": {"certificates": TSA.described()["certChain"]["certificates"][:1]}}],
    ],
    ids=["none", "another", "begins later", "ended", "another usage", "without its root"],
)
def test_step_3_an_authority_that_was_not_valid_is_not_asked(timestamping: list[dict[str, Any]]) -> None:
    """A root without it, with another, before its window, after it, of another usage, or without its root."""
    assert code_of(V2.content, trusted_root(timestamping=timestamping)) == "timestamp-invalid"


def test_step_3_every_certificate_of_the_authority_is_valid() -> None:
    """The signing certificate outlives its issuer: a timestamp after the issuer's end is none."""
    tsa = Authority(name="short", timestamping=True, not_after=AT, leaf_not_after=AT + YEAR)
    recipe = Recipe(kind="hashedrekord", stamps=[(tsa, AT + MINUTE)])
    assert code_of(recipe.content, trusted_root(timestamping=[tsa.described()])) == "timestamp-invalid"


def test_step_3_an_authority_that_certifies_itself_is_none() -> None:
    """RFC 3161 asks for a certificate with one purpose: one that is its own root has two."""
    tsa = Authority(name="alone", timestamping=True, alone=True)
    recipe = Recipe(kind="hashedrekord", stamps=[(tsa, AT + MINUTE)])
    assert code_of(recipe.content, trusted_root(timestamping=[tsa.described()])) == "timestamp-invalid"


def test_step_3_a_chain_may_have_more_certificates() -> None:
    """What stands between the signing certificate and the root is used to get from one to the other."""
    tsa = Authority(name="long", timestamping=True, between=True)
    recipe = Recipe(kind="hashedrekord", stamps=[(tsa, AT + MINUTE)])
    assert certify(recipe, trusted_root(timestamping=[tsa.described()])).times == (AT + MINUTE,)


def test_step_3_a_time_needs_the_roots_authority_even_beside_a_promise() -> None:
    """A timestamp that nobody in the root can judge refuses, as it does in sigstore's own clients."""
    recipe = Recipe(stamps=[(TSA, AT + MINUTE)])
    assert code_of(recipe.content, trusted_root(timestamping=[])) == "timestamp-invalid"


# Step 4: the certificate was valid at each time.


@pytest.mark.parametrize(
    "recipe",
    [
        *(Recipe(kind=kind, integrated=AT - MINUTE) for kind in V1),
        *(Recipe(kind=kind, integrated=AT + 11 * MINUTE) for kind in V1),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT - MINUTE)]),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT + 11 * MINUTE)]),
        Recipe(kind="hashedrekord", stamps=[(TSA, AT + MINUTE), (TSA, AT + 11 * MINUTE)]),
        *(Recipe(kind=kind, stamps=[(TSA, AT + 11 * MINUTE)]) for kind in V1),
        *(Recipe(kind=kind, stamps=[(TSA, AT + MINUTE)], integrated=AT + 11 * MINUTE) for kind in V1),
    ],
)
def test_step_4_a_certificate_used_outside_its_time_is_refused(recipe: Recipe) -> None:
    """Each verified time, from whichever source, lies in the ten minutes of the certificate."""
    assert code_of(recipe.content) == "certificate-expired"


@pytest.mark.parametrize("at", [AT, AT + 10 * MINUTE])
@pytest.mark.parametrize("kind", V1)
def test_step_4_both_ends_belong_to_the_certificates_time(kind: str, at: Any, trust: SigstoreTrust) -> None:
    """RFC 5280 4.1.2.5: the period includes both its ends."""
    assert trust.certify(Recipe(kind=kind, integrated=at).content).times == (at,)


# Step 5: the root's windows.


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "window",
    [{"start": AT + 2 * MINUTE}, {"start": AT - YEAR, "end": AT}],
    ids=["begins later", "ended"],
)
def test_step_5_what_was_not_valid_then_is_not_asked(kind: str, window: dict[str, Any]) -> None:
    """Authority, log and certificate transparency log: each has to be valid at the verified time."""
    log = Recipe(kind=kind).its_log
    for root in (
        trusted_root(authorities=[CA.described(**window)]),
        trusted_root(authorities=[EVIL_CA.described(), CA.described(**window)]),
        trusted_root(logs=[log.described(**window)]),
        trusted_root(ct_logs=[CT.described(**window)]),
    ):
        assert code_of(Recipe(kind=kind).content, root) == "root-window"
    inside = {"start": AT + MINUTE, "end": AT + MINUTE}
    root = trusted_root(
        authorities=[CA.described(**inside)], logs=[log.described(**inside)], ct_logs=[CT.described(**inside)]
    )
    assert certify(Recipe(kind=kind), root).times == (AT + MINUTE,)


@pytest.mark.parametrize("kind", ALL)
def test_step_5_every_certificate_of_the_authority_is_valid(kind: str) -> None:
    """A root certificate that had ended makes the whole authority one that had (CVE-2026-24122)."""
    ca = Authority(name="ended above", not_after=AT, leaf_not_after=AT + YEAR)
    recipe = Recipe(kind=kind, certificate=Certificate(ca=ca))
    assert code_of(recipe.content, trusted_root(authorities=[ca.described(), CA.described()])) == "root-window"


@pytest.mark.parametrize("kind", ALL)
def test_step_5_the_log_is_the_one_named(kind: str) -> None:
    """A log that the root does not have, and one whose name the entry usurps."""
    other = REKOR_V1 if kind == "hashedrekord" else REKOR_V2
    assert code_of(Recipe(kind=kind).content, trusted_root(logs=[other.described()])) == "log-unknown"
    assert code_of(Recipe(kind=kind, log_id=b"\0" * 32).content) == "log-unknown"
    assert code_of(Recipe(kind=kind, log_id=other.id).content) == "checkpoint-invalid"


@pytest.mark.parametrize("kind", ALL)
def test_step_5_no_key_but_that_of_the_log_named_is_tried(kind: str) -> None:
    """Where the library does not know a log's id it tries every key of the root: a retired one is not among them."""
    retired, named = Log(host="retired.example.org", v2=True), Log(host="named.example.org", v2=True, named=b"n" * 32)
    logs = [named.described(), retired.described(end=AT), REKOR_V1.described(), REKOR_V2.described()]
    ct_logs = [Log(host="ct2.example.org", named=b"m" * 32).described(), CT.described(end=AT)]
    root = trusted_root(logs=logs, ct_logs=ct_logs)
    good = Certificate(ct_logs=(Log(host="ct2.example.org", named=b"m" * 32),))
    stolen = dataclasses.replace(good, ct_key=CT.key)
    assert certify(Recipe(kind=kind, certificate=good), root).times
    assert code_of(Recipe(kind=kind, certificate=stolen).content, root) == "sct-invalid"
    recipe = Recipe(kind=kind, certificate=good, log=named, stamps=[(TSA, AT + MINUTE)], promised=False)
    assert certify(recipe, root).times
    assert code_of(dataclasses.replace(recipe, checkpoint_key=retired.key).content, root) == "checkpoint-invalid"


# Steps 6 to 13.


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"certificate": Certificate(ca=EVIL_CA)}, "chain-invalid"),
        ({"certificate": Certificate(ca=EVIL_CA, issuer=CA)}, "chain-invalid"),
        ({"certificate": Certificate(ct_logs=())}, "sct-invalid"),
        ({"certificate": Certificate(ct_logs=(CT, CT))}, "sct-invalid"),
        ({"certificate": Certificate(ct_logs=(EVIL_LOG,))}, "sct-invalid"),
        ({"certificate": Certificate(ct_key=p256("evil"))}, "sct-invalid"),
        ({"certificate": Certificate(digital_signature=False)}, "usage-invalid"),
        ({"certificate": Certificate(usage=None)}, "usage-invalid"),
        ({"certificate": Certificate(usage=ExtendedKeyUsageOID.CLIENT_AUTH)}, "usage-invalid"),
        ({"leaf": b"another entry"}, "inclusion-invalid"),
        ({"origin": "other.example.org"}, "checkpoint-invalid"),
        ({"origin": "other.example.org - 1193050959916656506"}, "checkpoint-invalid"),
        ({"checkpoint_key": p256("evil")}, "checkpoint-invalid"),
        ({"checkpoint_root": b"\0" * 32}, "checkpoint-invalid"),
        ({"checkpoint_size": 6}, "checkpoint-invalid"),
        ({"signer": p256("evil")}, "signature-invalid"),
        ({"signature": b"junk"}, "signature-invalid"),
        ({"logged_payload": PAYLOAD + b" "}, "log-entry-differs"),
        ({"logged_signature": b"another"}, "log-entry-differs"),
        ({"logged_verifier": Certificate(not_after=AT + 9 * MINUTE).pem}, "log-entry-differs"),
        ({"body": b"{}"}, "log-entry-differs"),
        ({"body": b"junk"}, "log-entry-differs"),
    ],
)
def test_steps_6_to_13_refuse_with_their_own_code(kind: str, changes: dict[str, Any], code: str) -> None:
    """Whatever one thing is wrong, the bundle is refused, and for that very reason."""
    assert code_of(dataclasses.replace(Recipe(kind=kind), **changes).content) == code


@pytest.mark.parametrize("kind", ALL)
def test_step_6_a_key_of_another_certificate_is_no_signer(kind: str) -> None:
    """A good certificate of somebody else, put in place of the signer's, does not make it theirs."""
    other = Certificate(key=p256("somebody else").public_key())
    recipe = Recipe(kind=kind)
    content = spoiled(recipe, lambda one: one["verificationMaterial"].update(certificate={"rawBytes": b64(other.der)}))
    assert code_of(content) == "signature-invalid"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda proof: proof["hashes"].reverse(), "inclusion-invalid"),
        (lambda proof: proof["hashes"].pop(), "inclusion-invalid"),
        (lambda proof: proof["hashes"].append(b64(b"\0" * 32)), "inclusion-invalid"),
        (lambda proof: proof.update(hashes=[]), "inclusion-invalid"),
        (lambda proof: proof.update(logIndex="1"), "inclusion-invalid"),
        (lambda proof: proof.update(rootHash=b64(b"\0" * 32)), "inclusion-invalid"),
        (lambda proof: proof["checkpoint"].update(envelope="junk"), "checkpoint-invalid"),
        (lambda proof: proof["checkpoint"].update(envelope="log\n5\n\n\n"), "checkpoint-invalid"),
        (
            lambda proof: proof["checkpoint"].update(envelope=proof["checkpoint"]["envelope"].partition("\u2014")[0]),
            "checkpoint-invalid",
        ),
        (
            lambda proof: proof["checkpoint"].update(
                envelope=proof["checkpoint"]["envelope"].replace("\u2014 ", "\u2014 other.")
            ),
            "checkpoint-invalid",
        ),
    ],
)
def test_steps_9_and_10_refuse_a_proof_of_another_tree(kind: str, change: Change, code: str) -> None:
    """Hashes, index, root hash and checkpoint belong together."""
    content = spoiled(Recipe(kind=kind), lambda one: change(entry_of(one)["inclusionProof"]))
    assert code_of(content) == code


@pytest.mark.parametrize("kind", V1)
@pytest.mark.parametrize("stamps", [[], [(TSA, AT + MINUTE)]])
def test_step_11_a_promise_has_to_hold(kind: str, stamps: list[Any]) -> None:
    """A promise by another key, or for another time or index, refuses, also where a timestamp gives a time."""
    assert code_of(Recipe(kind=kind, stamps=stamps, promise_key=p256("evil")).content) == "promise-invalid"
    moved = str(int((AT + 2 * MINUTE).timestamp()))
    recipe = Recipe(kind=kind, stamps=stamps)
    assert code_of(spoiled(recipe, lambda one: entry_of(one).update(integratedTime=moved))) == "promise-invalid"
    assert code_of(spoiled(recipe, lambda one: entry_of(one).update(logIndex="3"))) == "promise-invalid"


def test_step_11_rekor_v2_promises_nothing() -> None:
    """A time beside a Rekor v2 entry is none, not even if the log's own key signed it."""
    seconds = int(AT.timestamp())
    promised = {"body": b64(V2.its_body), "integratedTime": seconds, "logID": REKOR_V2.id.hex(), "logIndex": 2}
    promise = {"signedEntryTimestamp": b64(sign(REKOR_V2.key, canonical(promised)))}
    content = spoiled(V2, lambda one: entry_of(one).update(integratedTime=str(seconds), inclusionPromise=promise))
    assert code_of(content) == "promise-invalid"


@pytest.mark.parametrize("kind", ALL)
def test_step_12_payload_and_type_are_both_signed(kind: str) -> None:
    """A payload or a payload type that is not what was signed is refused."""
    recipe = Recipe(kind=kind)
    assert code_of(spoiled(recipe, lambda one: one["dsseEnvelope"].update(payload=b64(PAYLOAD + b" ")))) == (
        "signature-invalid"
    )
    assert code_of(spoiled(recipe, lambda one: one["dsseEnvelope"].update(payloadType="text/plain"))) == (
        "signature-invalid"
    )


@pytest.mark.parametrize(
    ("kind", "code"), [("dsse", "not-certified"), ("hashedrekord", "log-entry-differs"), ("intoto", None)]
)
def test_step_12_lengths_count_bytes(kind: str, code: str | None) -> None:
    """The library counts characters, DSSE bytes: of a type outside of ASCII neither reading alone is enough."""
    text = "application/x-é"
    by_characters = f"DSSEv1 {len(text)} {text} ".encode() + b"%d %b" % (len(PAYLOAD), PAYLOAD)
    wrong = Recipe(kind=kind, payload_type=text, signature=sign(p256("job"), by_characters))
    assert code_of(wrong.content) in {"signature-invalid", "log-entry-differs"}
    right = Recipe(kind=kind, payload_type=text)
    if code is None:
        assert certify(right).times  # the library has no part in this kind of entry
    else:
        assert code_of(right.content) == code


@pytest.mark.parametrize("kind", ALL)
def test_step_13_a_second_signature_is_not_the_logged_one(kind: str) -> None:
    """ECDSA makes many signatures over the same bytes: the one in the log is the one in the envelope, or neither."""
    again = p256("job").sign(pae(Recipe().payload_type, PAYLOAD), ec.ECDSA(hashes.SHA256()))
    recipe = Recipe(kind=kind, signature=again, logged_signature=Recipe().its_signature)
    assert code_of(recipe.content) == "log-entry-differs"


@pytest.mark.parametrize("kind", ALL)
def test_step_13_the_body_is_of_the_version_that_the_bundle_says(kind: str) -> None:
    """A body of another version of its type may mean something else by the same words."""
    good = Recipe(kind=kind)
    body = canonical(json.loads(good.its_body) | {"apiVersion": "0.0.7"})
    assert code_of(dataclasses.replace(good, signature=good.its_signature, body=body).content) == "log-entry-differs"


@pytest.mark.parametrize(("kind", "version"), [("rekord", "0.0.1"), ("hashedrekord", "0.0.1"), ("intoto", "0.0.1")])
def test_step_13_an_entry_of_another_type_is_refused(kind: str, version: str) -> None:
    """An entry that is of no attestation's type is of none."""

    def change(document: dict[str, Any]) -> None:
        entry_of(document)["kindVersion"] = {"kind": kind, "version": version}

    stamped = Recipe(promised=False, integrated=None, stamps=[(TSA, AT + MINUTE)])
    assert code_of(spoiled(stamped, change)) == "log-entry-differs"
