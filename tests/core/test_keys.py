"""Keys that may be trusted, those that may not, and what their signatures are worth."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, utils, x25519

from attest.core.keys import KeyInvalid, public_key
from tests.core import make

P = 2**255 - 19
EIGHT = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
"""The y of a point of order eight, as the literature lists its encoding."""
SUPPORTED = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-4096"]


def ed25519_pem(raw: bytes) -> bytes:
    """A PEM file with these 32 bytes as its Ed25519 key (RFC 8410)."""
    der = bytes.fromhex("302a300506032b6570032100") + raw
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("algorithm", SUPPORTED)
def test_a_key_verifies_what_it_signed_and_nothing_else(algorithm: str) -> None:
    """Its own signature verifies; over another message, cut, extended, or by another key it does not."""
    mine, other = make.party("mine", algorithm), make.party("other", algorithm)
    signature = mine.sign(b"message")
    assert mine.trusted.algorithm == algorithm
    assert mine.trusted.verifies(signature, b"message")
    for wrong in (
        b"",
        signature[:-1],
        signature + b"\0",
        signature[::-1],
        b"\0" * len(signature),
        other.sign(b"message"),
    ):
        assert not mine.trusted.verifies(wrong, b"message")
    assert not mine.trusted.verifies(signature, b"message ")
    assert not other.trusted.verifies(signature, b"message")


def test_no_key_verifies_what_another_algorithm_signed() -> None:
    """The algorithm is the key's own: a signature by any other supported key is just invalid (CVE-2022-29217)."""
    parties = [make.party("mine", algorithm) for algorithm in SUPPORTED]
    for signer in parties:
        verifiers = [verifier for verifier in parties if verifier.trusted.verifies(signer.sign(b"m"), b"m")]
        assert verifiers == [signer]


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ecdsa-p384"])
def test_the_hash_belongs_to_the_curve(algorithm: str) -> None:
    """P-256 takes SHA-256 and P-384 takes SHA-384; the same key with another hash does not verify."""
    who = make.party("mine", algorithm)
    assert isinstance(who.private, ec.EllipticCurvePrivateKey)
    right, wrong = (
        (hashes.SHA256(), hashes.SHA384()) if algorithm.endswith("256") else (hashes.SHA384(), hashes.SHA256())
    )
    assert who.trusted.verifies(who.private.sign(b"m", ec.ECDSA(right)), b"m")
    assert not who.trusted.verifies(who.private.sign(b"m", ec.ECDSA(wrong)), b"m")


def test_an_ecdsa_signature_in_raw_form_is_refused() -> None:
    """A signature is ASN.1 DER; the same numbers in IEEE P1363 form are not one."""
    who = make.party("mine")
    r, s = utils.decode_dss_signature(who.sign(b"m"))
    assert who.trusted.verifies(utils.encode_dss_signature(r, s), b"m")
    assert not who.trusted.verifies(r.to_bytes(32, "big") + s.to_bytes(32, "big"), b"m")


def test_rsa_is_pkcs1_v15_with_sha256_alone() -> None:
    """PSS, and PKCS #1 v1.5 with another hash, do not verify under an RSA key."""
    who = make.party("mine", "rsa-2048")
    assert isinstance(who.private, rsa.RSAPrivateKey)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    assert not who.trusted.verifies(who.private.sign(b"m", pss, hashes.SHA256()), b"m")
    assert not who.trusted.verifies(who.private.sign(b"m", padding.PKCS1v15(), hashes.SHA512()), b"m")


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519", "rsa-2048"])
def test_the_fingerprint_is_the_hash_of_the_der(algorithm: str) -> None:
    """Fingerprint and hint are SHA-256 of the DER SubjectPublicKeyInfo, in hexadecimal and in base64."""
    who = make.party("mine", algorithm)
    der = who.private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert who.trusted.fingerprint == "sha256:" + hashlib.sha256(der).hexdigest()
    assert base64.b64decode(who.trusted.hint) == hashlib.sha256(der).digest()


def test_a_key_is_the_same_however_it_is_written() -> None:
    """CRLF lines, text before the block and a compressed point give an equal key."""
    private = make.party("mine").private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    plain = make.pem(private.public_key())
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    der = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point
    compressed = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"
    forms = [plain, plain.replace(b"\n", b"\r\n"), b"a comment\n" + plain, compressed]
    assert {public_key(form) for form in forms} == {make.party("mine").trusted}


@pytest.mark.parametrize(
    "key",
    [
        ec.derive_private_key(7, ec.SECP521R1()).public_key(),
        ec.derive_private_key(7, ec.SECP256K1()).public_key(),
        ed448.Ed448PrivateKey.from_private_bytes(b"\7" * 57).public_key(),
        x25519.X25519PrivateKey.from_private_bytes(b"\7" * 32).public_key(),
        dsa.generate_private_key(1024).public_key(),
    ],
    ids=["p521", "secp256k1", "ed448", "x25519", "dsa"],
)
def test_other_algorithms_are_refused(key: object) -> None:
    """A curve or an algorithm that is not on the list is refused when it is loaded."""
    with pytest.raises(KeyInvalid, match="not supported; supported is ECDSA P-256 or P-384"):
        public_key(make.pem(key))


@pytest.mark.parametrize(("bits", "accepted"), [(2047, False), (2048, True), (8192, True), (8193, False)])
def test_rsa_sizes_are_limited_exactly(bits: int, accepted: bool) -> None:
    """RSA keys have 2048 to 8192 bits; a modulus one bit shorter or longer is refused."""
    pem = make.pem(rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key())
    if accepted:
        assert public_key(pem).algorithm == f"rsa-{bits}"
    else:
        with pytest.raises(KeyInvalid, match="size that is not supported"):
            public_key(pem)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, P - 1, EIGHT, P - EIGHT])
def test_low_order_ed25519_keys_are_refused(y: int, sign: int) -> None:
    """Every canonical encoding of the eight points of low order, under which anything verifies, is refused."""
    with pytest.raises(KeyInvalid, match="of low order"):
        public_key(ed25519_pem((y | sign << 255).to_bytes(32, "little")))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("above", range(19))
def test_ed25519_keys_that_are_not_canonical_are_refused(above: int, sign: int) -> None:
    """All encodings with a y of 2^255 - 19 or more are refused, those of low order among them."""
    with pytest.raises(KeyInvalid, match="not in canonical form"):
        public_key(ed25519_pem((P + above | sign << 255).to_bytes(32, "little")))


def test_neighbours_of_refused_ed25519_keys_are_read() -> None:
    """Only the points of low order are refused: what is next to them in number is read."""
    for y in (2, P - 2, EIGHT + 1, EIGHT - 1, P - EIGHT + 1, P - EIGHT - 1):
        assert public_key(ed25519_pem(y.to_bytes(32, "little"))).algorithm == "ed25519"


def test_the_low_order_points_are_what_they_are_called() -> None:
    """A signature that nobody made verifies under such a key for every message, so refusing it is no formality."""
    assert (
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
        == P - EIGHT
    )
    forged = (1).to_bytes(32, "little") + bytes(32)
    identity = ed25519.Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    identity.verify(forged, b"anything at all")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no key",
        b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ed25519_pem(b"short"),
        ed25519.Ed25519PrivateKey.from_private_bytes(b"\7" * 32).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
    ids=["empty", "text", "no-bytes", "no-der", "short", "private"],
)
def test_what_is_no_public_key_is_refused(text: bytes) -> None:
    """Text, broken DER and a private key are refused with a message that says what is supported."""
    with pytest.raises(KeyInvalid, match="no PEM public key can be read; supported is"):
        public_key(text)
