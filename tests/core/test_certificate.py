"""What a signing certificate says, and the certificates that say nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from attest.core.certificate import Certified, NotCertified, Uncertified, read_certificate
from attest.core.keys import public_key
from tests.core import make
from tests.sigstore_forge import CLAIMS, IDENTITY, ISSUER, Certificate
from tests.sigstore_instance import p256, tlv, utf8

MODERN = {number: value for number, value in CLAIMS.items() if number != "1"}
OTHER_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")


def refused(der: bytes) -> str:
    """Why the certificate is refused, always with the one code."""
    with pytest.raises(NotCertified) as caught:
        read_certificate(der)
    assert caught.value.code is Uncertified.CERTIFICATE_INVALID
    return str(caught.value)


def with_names(value: bytes) -> bytes:
    """A certificate whose subject alternative name is these bytes."""
    usual = Certificate().made
    builder = (
        x509.CertificateBuilder()
        .subject_name(usual.subject)
        .issuer_name(usual.issuer)
        .public_key(p256("job").public_key())
        .serial_number(1)
        .not_valid_before(usual.not_valid_before_utc)
        .not_valid_after(usual.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), utf8(ISSUER)), False)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), value), critical=True)
    )
    return builder.sign(p256("fulcio"), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_everything_that_it_says_is_read() -> None:
    """Each claim is read from its own extension, and the key is that of the certificate."""
    read = read_certificate(Certificate().der)
    assert read.issuer == ISSUER
    assert read.identity == IDENTITY
    assert read.repository == "https://git.example.org/plex/playlist"
    assert read.commit == "c" * 40
    assert read.ref == "refs/heads/main"
    assert read.workflow == IDENTITY
    assert read.trigger == "push"
    assert read.run == "https://git.example.org/plex/playlist/actions/runs/7"
    assert read.key == public_key(make.pem(p256("job").public_key()))
    assert read.fingerprint == read.key.fingerprint
    assert "key=" not in repr(read)


@pytest.mark.parametrize(
    ("number", "field"),
    [("12", "repository"), ("13", "commit"), ("14", "ref"), ("18", "workflow"), ("20", "trigger"), ("21", "run")],
)
def test_each_claim_has_its_own_number(number: str, field: str) -> None:
    """A changed extension changes exactly its field, and one that is not there leaves None."""
    usual = read_certificate(Certificate().der)
    changed = read_certificate(Certificate(claims={**CLAIMS, number: utf8("other")}).der)
    absent = read_certificate(
        Certificate(claims={other: value for other, value in CLAIMS.items() if other != number}).der
    )
    for name in ("issuer", "identity", "repository", "commit", "ref", "workflow", "trigger", "run"):
        assert getattr(changed, name) == ("other" if name == field else getattr(usual, name))
        assert getattr(absent, name) == (None if name == field else getattr(usual, name))


@pytest.mark.parametrize("claims", [{"1": ISSUER.encode()}, {"8": utf8(ISSUER)}, CLAIMS])
def test_the_issuer_stands_in_either_extension(claims: dict[str, bytes]) -> None:
    """The bare string of the first certificates and the DER string of today's say the same."""
    assert read_certificate(Certificate(claims=claims).der).issuer == ISSUER


def test_two_issuers_are_none() -> None:
    """A certificate whose two issuer extensions differ is refused: each reader would see another one."""
    assert "two issuers" in refused(Certificate(claims={**CLAIMS, "1": b"https://other.example.org"}).der)


def test_no_issuer_is_refused() -> None:
    """Without an issuer an identity is nobody's word."""
    assert "no issuer" in refused(Certificate(claims={"12": utf8("x")}).der)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "not a DER UTF8String"),
        (b"plain text", "not a DER UTF8String"),
        (tlv(0x13, b"printable"), "not a DER UTF8String"),
        (tlv(0x16, b"ia5"), "not a DER UTF8String"),
        (utf8("text") + b"\0", "not a DER UTF8String"),
        (utf8("text")[:-1], "not a DER UTF8String"),
        (b"\x0c\x81\x04text", "not a DER UTF8String"),
        (b"\x2c\x06" + utf8("text"), "not a DER UTF8String"),
        (tlv(0x0C, b"\xff\xfe"), "not a DER UTF8String"),
        (utf8(""), "is empty"),
        (utf8("a\nb"), "control character"),
        (utf8("a\0"), "control character"),
        (utf8("a\x7f"), "control character"),
        (utf8("a\x9b"), "control character"),
    ],
)
@pytest.mark.parametrize("number", ["8", "12", "13", "14", "18", "20", "21"])
def test_a_malformed_claim_refuses(number: str, value: bytes, why: str) -> None:
    """A claim that is not one non-empty DER UTF8String without control characters refuses the whole certificate."""
    message = refused(Certificate(claims={**CLAIMS, number: value}).der)
    assert why in message
    assert f"1.3.6.1.4.1.57264.1.{number} " in message


@pytest.mark.parametrize(("value", "why"), [(b"", "is empty"), (b"\xff", "not UTF-8"), (b"a\x1bb", "control")])
def test_a_malformed_legacy_issuer_refuses(value: bytes, why: str) -> None:
    """The first issuer extension is read as strictly, also beside a good one."""
    assert why in refused(Certificate(claims={"1": value}).der)
    assert why in refused(Certificate(claims={**MODERN, "1": value}).der)


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=300))
def test_claims_are_read_as_they_were_written(text: str) -> None:
    """Any text without control characters comes back unchanged."""
    read = read_certificate(Certificate(claims={"8": utf8(text), "14": utf8(text)}, ct_logs=()).der)
    assert (read.issuer, read.ref) == (text, text)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        (x509.UniformResourceIdentifier(IDENTITY), IDENTITY),
        (x509.RFC822Name("jane@example.org"), "jane@example.org"),
        (x509.OtherName(OTHER_NAME, utf8("jane!example")), "jane!example"),
    ],
)
def test_the_identity_is_the_one_alternative_name(name: x509.GeneralName, identity: str) -> None:
    """A URI, an e-mail address, and Fulcio's own kind for names that are neither."""
    assert read_certificate(Certificate(names=[name]).der).identity == identity


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (None, "no subject alternative name"),
        ([x509.DNSName("example.org")], "neither a URI"),
        ([x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), utf8("x"))], "neither a URI"),
        ([x509.OtherName(OTHER_NAME, tlv(0x13, b"x"))], "not a DER UTF8String"),
        ([x509.OtherName(OTHER_NAME, utf8(""))], "is empty"),
        ([x509.UniformResourceIdentifier("")], "is empty"),
        ([x509.UniformResourceIdentifier("https://a\nb")], "control character"),
        ([x509.UniformResourceIdentifier(IDENTITY)] * 2, "2 subject alternative names"),
        ([x509.UniformResourceIdentifier(IDENTITY), x509.RFC822Name("a@b.c")], "2 subject alternative names"),
    ],
)
def test_another_alternative_name_is_refused(names: list[x509.GeneralName] | None, why: str) -> None:
    """None, two, or one of another kind is no identity; which of two would be meant, nobody could say."""
    assert why in refused(Certificate(names=names).der)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (tlv(0x30), "0 subject alternative names"),
        (tlv(0x30, tlv(0xA5, b"")), "cannot be read"),
        (tlv(0x30, tlv(0x86, b"https://\xff")), "no X.509 certificate"),
        (b"junk", "no X.509 certificate"),
    ],
)
def test_a_malformed_alternative_name_is_refused(value: bytes, why: str) -> None:
    """An empty list, a kind that cannot be read, text that is no IA5 and bytes that are no DER."""
    assert why in refused(with_names(value))


def test_bytes_that_are_no_certificate_are_refused() -> None:
    """Nothing, junk, and every truncation of a certificate."""
    der = Certificate().der
    for cut in (b"", b"junk", der + b"\0", *(der[:length] for length in range(0, len(der), 7))):
        assert "no X.509 certificate" in refused(cut)


def test_an_extension_that_stands_twice_is_refused() -> None:
    """Two commits in one certificate: RFC 5280 4.2 forbids it, and each reader would see another one."""
    der = Certificate(ct_logs=()).der
    commit, ref = (bytes.fromhex(f"2b0601040183bf3001{number}") for number in ("0d", "0e"))
    assert der.count(ref) == 1
    assert "no X.509 certificate" in refused(der.replace(ref, commit))


def test_a_key_that_is_not_supported_is_refused() -> None:
    """The certificate's key has to be one that a policy could name itself."""
    assert "its public key" in refused(Certificate(key=ec.generate_private_key(ec.SECP521R1()).public_key()).der)


def test_a_key_on_an_unknown_curve_is_refused() -> None:
    """A curve that the library does not know is a refusal like the others."""
    p256_curve, unknown = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030177")
    der = Certificate(ct_logs=()).der
    assert der.count(p256_curve) == 1
    assert "no X.509 certificate" in refused(der.replace(p256_curve, unknown))


def test_nothing_is_certified_without_a_time() -> None:
    """`Certified` cannot be made without a verified time."""
    certificate = read_certificate(Certificate().der)
    with pytest.raises(ValueError, match="without a verified time"):
        Certified(certificate=certificate, times=())
    now = datetime(2026, 7, 1, tzinfo=UTC)
    assert Certified(certificate=certificate, times=(now,)).times == (now,)
