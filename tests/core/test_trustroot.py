"""Keys and ids of logs, and what becomes of a trusted root when a key is rotated."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x448

from attest.core.trust.root import (
    authority_of,
    certificate_bytes,
    certificate_fingerprint,
    certificate_of_der,
    certificates_of_pem,
    key_bytes,
    key_details,
    key_of,
    log_ids,
    log_of,
    origin_of,
    succeed,
)
from attest.core.trust.window import Window
from tests.core.make_trust import (
    DAY,
    NOW,
    OPEN,
    START,
    anonymous,
    authority,
    chain,
    ct_log,
    log,
    log_key,
    p256,
    pem,
    root,
    rsa_key,
    stamper,
)

DER = serialization.Encoding.DER


@pytest.mark.parametrize(
    ("curve", "named"),
    [
        (ec.SECP256R1(), "PKIX_ECDSA_P256_SHA_256"),
        (ec.SECP384R1(), "PKIX_ECDSA_P384_SHA_384"),
        (ec.SECP521R1(), "PKIX_ECDSA_P521_SHA_512"),
    ],
)
def test_a_curve_names_its_hash(curve: ec.EllipticCurve, named: str) -> None:
    """Each curve has one name, with the hash that goes with it."""
    assert key_details(ec.generate_private_key(curve).public_key()) == named


def test_other_keys_have_names_too() -> None:
    """Ed25519 and RSA of the usual sizes have names."""
    assert key_details(log_key().public_key()) == "PKIX_ED25519"
    assert key_details(rsa_key().public_key()) == "PKIX_RSA_PKCS1V15_2048_SHA256"


def test_a_key_without_a_name_is_refused() -> None:
    """Neither an unusual curve nor an unusual size has a name, and the error says which have."""
    with pytest.raises(ValueError, match="secp256k1; P-256, P-384 and P-521 are verified"):
        key_details(ec.generate_private_key(ec.SECP256K1()).public_key())
    with pytest.raises(ValueError, match="1024 bits; 2048, 3072 and 4096 are verified"):
        key_details(rsa_key(1024).public_key())


def test_only_public_keys_of_logs_are_read() -> None:
    """Bytes that are no key, and keys of other algorithms, are refused."""
    key = p256().public_key()
    assert key_of(key_bytes(key)) == key
    with pytest.raises(ValueError, match="no public key in DER"):
        key_of(b"\x30\x00")
    other = x448.X448PrivateKey.generate().public_key()
    with pytest.raises(ValueError, match="neither ECDSA, Ed25519 nor RSA"):
        key_of(other.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def test_the_ids_of_a_log() -> None:
    """RFC 6962 hashes the key, a signed note its origin too, which for ECDSA it does not."""
    key = log_key().public_key()
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert log_ids(key, "log.example.org") == (
        hashlib.sha256(key_bytes(key)).digest(),
        hashlib.sha256(b"log.example.org\n\x01" + raw).digest(),
    )
    ecdsa = p256().public_key()
    assert log_ids(ecdsa, "a") == log_ids(ecdsa, "b") == (hashlib.sha256(key_bytes(ecdsa)).digest(),) * 2
    rsa_public = rsa_key().public_key()
    assert log_ids(rsa_public, "a") == (
        hashlib.sha256(key_bytes(rsa_public)).digest(),
        hashlib.sha256(b"a\n\xffPKIX-RSA-PKCS#1v1.5" + key_bytes(rsa_public)).digest(),
    )


def test_an_origin_is_a_host_name() -> None:
    """A log's origin has neither port nor path; text that is no address has none."""
    assert origin_of("https://Rekor.example.org:8443/x") == "rekor.example.org"
    assert origin_of("nothing") == origin_of("https://[x") == ""


def test_an_authority_is_named_as_its_root() -> None:
    """Organization and common name come from the root; a name without them leaves them empty."""
    made = authority_of("https://fulcio.example.org", chain(), OPEN)
    assert (made.organization, made.common_name, made.window) == ("tests", "test root", OPEN)
    nameless = authority_of("https://fulcio.example.org", (anonymous(),), OPEN)
    assert (nameless.organization, nameless.common_name) == ("", "")


def test_certificates_are_read_whole() -> None:
    """Certificates are read from DER and PEM; what is none, or has a field that cannot be read, is refused."""
    issued, above = chain()
    assert certificate_of_der(certificate_bytes(issued)) == issued
    assert certificates_of_pem(pem((issued, above))) == (issued, above)
    version = certificate_bytes(issued).replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"), 1)
    for wrong in (b"", version):
        with pytest.raises(ValueError, match=r"^no X\.509 certificate$"):
            certificate_of_der(wrong)
    with pytest.raises(ValueError, match=r"^no X\.509 certificate$"):
        certificates_of_pem(b"")


def test_a_certificate_is_known_by_its_hash() -> None:
    """The fingerprint is SHA-256 over the DER certificate."""
    certificate = chain()[0]
    assert certificate_bytes(certificate) == certificate.public_bytes(DER)
    expected = hashlib.sha256(certificate.public_bytes(DER)).hexdigest()
    assert certificate_fingerprint(certificate) == f"sha256:{expected}"


def test_a_log_is_known_by_its_key_in_one_form() -> None:
    """A key that a document has as PKCS #1 has the same fingerprint as in the usual form."""
    key = rsa_key().public_key()
    usual = log_of("https://ct.example.org", key, b"x", OPEN)
    old = replace(usual, key=key.public_bytes(DER, serialization.PublicFormat.PKCS1), details="PKCS1_RSA_PKCS1V5")
    assert usual.fingerprint == old.fingerprint == f"sha256:{hashlib.sha256(key_bytes(key)).hexdigest()}"


def test_nothing_changes_while_nothing_is_rotated() -> None:
    """Services that answer as before leave the root as it was, with its old windows."""
    old = root()
    again = root(certificate_authorities=(authority(window=Window(start=NOW)),), logs=(log(window=Window(start=NOW)),))
    assert succeed(old, again, until=NOW) == old


def test_a_rotated_key_ends_the_window_before_it() -> None:
    """The old key keeps its window up to the end, the new one follows; what did not change stays open."""
    new = log(window=Window(start=NOW), number=1)
    after = succeed(root(), root(logs=(new,)), until=NOW)
    assert after.logs == (log(window=Window(start=START, end=NOW)), new)
    assert after.certificate_authorities == root().certificate_authorities
    assert after.timestamp_authorities == (stamper(),)


def test_a_rotated_chain_ends_the_window_before_it() -> None:
    """The same for an authority."""
    new = authority(window=Window(start=NOW), name="next")
    after = succeed(root(), root(certificate_authorities=(new,)), until=NOW)
    assert after.certificate_authorities == (authority(window=Window(start=START, end=NOW)), new)


def test_what_ended_before_keeps_its_end() -> None:
    """A window that ended earlier is not made longer; one that would end later ends now."""
    earlier = log(window=Window(start=START, end=NOW - DAY), number=1)
    later = log(window=Window(start=START, end=NOW + DAY), number=2)
    new = log(window=Window(start=NOW), number=3)
    after = succeed(root(logs=(earlier, later)), root(logs=(new,)), until=NOW)
    assert after.logs == (earlier, replace(later, window=Window(start=START, end=NOW)), new)


def test_a_service_elsewhere_ends_nothing() -> None:
    """A service at another address stands beside those that were there."""
    elsewhere = ct_log("https://ct.example.org/2027", Window(start=NOW))
    elsewhere = replace(elsewhere, log_id=b"another")
    after = succeed(root(), root(ct_logs=(elsewhere,)), until=NOW)
    assert after.ct_logs == (ct_log(), elsewhere)


def test_a_key_that_comes_back_gets_a_window_of_its_own() -> None:
    """A key whose window ended is added again, for the times from now on."""
    ended = log(window=Window(start=START, end=NOW - DAY))
    back = log(window=Window(start=NOW))
    assert succeed(root(logs=(ended,)), root(logs=(back,)), until=NOW).logs == (ended, back)


def test_several_chains_of_one_service_stay() -> None:
    """What a service still answers with does not end because it answers with more."""
    new = tuple(authority(window=Window(start=NOW), name=name) for name in ("next", "third"))
    after = succeed(root(), root(certificate_authorities=(authority(window=Window(start=NOW)), *new)), until=NOW)
    assert after.certificate_authorities == (authority(), *new)


def test_a_retired_address_ends() -> None:
    """What was at an address that is used no more ends, though nothing new is there; the rest stays open."""
    moved = log("https://rekor2.example.org", window=Window(start=NOW), number=1)
    retired = frozenset({"https://rekor.example.org"})
    after = succeed(root(), root(logs=(moved,)), until=NOW, retired=retired)
    assert after.logs == (log(window=Window(start=START, end=NOW)), moved)
    assert (after.ct_logs, after.certificate_authorities) == (root().ct_logs, root().certificate_authorities)


def test_nothing_is_at_a_retired_address() -> None:
    """An address that the old root does not have is refused, since somebody meant another one."""
    with pytest.raises(ValueError, match=r"nothing in it is at https://other\.example\.org"):
        succeed(root(), root(), until=NOW, retired=frozenset({"https://other.example.org"}))


def test_a_window_without_a_start_can_end() -> None:
    """A window that was always open ends as well."""
    always = log(window=Window())
    new = log(window=Window(start=NOW), number=1)
    after = succeed(root(logs=(always,)), root(logs=(new,)), until=NOW)
    assert after.logs[0].window == Window(end=NOW)


def test_a_window_may_end_as_it_begins() -> None:
    """A key that is replaced in the second in which it began has a window of one moment."""
    coming = log(window=Window(start=NOW))
    after = succeed(root(logs=(coming,)), root(logs=(log(number=1, window=Window(start=NOW)),)), until=NOW)
    assert after.logs[0].window == Window(start=NOW, end=NOW)


def test_a_window_cannot_end_before_it_begins() -> None:
    """An end before the beginning is refused, and says whose."""
    coming = log(window=Window(start=NOW + timedelta(hours=1)))
    with pytest.raises(ValueError, match=r"the window of https://rekor\.example\.org begins after the time"):
        succeed(root(logs=(coming,)), root(logs=(log(number=1),)), until=NOW)
