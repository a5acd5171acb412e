"""Public keys that a person has chosen to trust. The algorithm comes from the key, never from the message.

Algorithms (sigstore `protobuf-specs`, algorithm registry; RFC 8032; FIPS 186-5): ECDSA P-256 with SHA-256 and
P-384 with SHA-384, signatures in ASN.1 DER; Ed25519 over the message itself; RSA of 2048 to 8192 bits,
PKCS #1 v1.5 with SHA-256.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from attest.core.reference import Digest, digest_of

SUPPORTED = "ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"

_P25519 = 2**255 - 19


class KeyInvalid(ValueError):
    """The bytes are no public key that may be trusted."""


PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key. Equal keys have equal fingerprints, however they were written down."""

    fingerprint: Digest
    """SHA-256 of the DER SubjectPublicKeyInfo."""
    hint: str
    """The same hash in base64: `verificationMaterial.publicKey.hint` of a bundle."""
    algorithm: str
    key: PublicKey = field(repr=False, compare=False)

    check: Callable[[bytes, bytes], None] = field(repr=False, compare=False)
    """Raises InvalidSignature unless the signature over the message was made with this key."""

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature over the message was made with this key."""
        try:
            self.check(signature, message)
        except InvalidSignature:
            return False
        return True


def public_key(pem: bytes) -> TrustedKey:
    """The public key in a PEM file.

    Raises:
        KeyInvalid: no PEM public key, an algorithm or size that is not supported, or an Ed25519 key of low order or
            in a form that is not canonical, under which anything verifies (RFC 8032 5.1.3).
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyInvalid(f"no PEM public key can be read; supported is {SUPPORTED}") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _ECDSA:
        algorithm = f"ecdsa-{_NAMES[key.curve.name]}"
        check = _ecdsa(key, _ECDSA[key.curve.name])
    elif isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        _refuse_low_order(raw)
        algorithm, check = "ed25519", key.verify
    elif isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        algorithm, check = f"rsa-{key.key_size}", _rsa(key)
    else:
        raise KeyInvalid(f"an algorithm or size that is not supported; supported is {SUPPORTED}")
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    fingerprint = digest_of(der)
    hint = base64.b64encode(bytes.fromhex(fingerprint.removeprefix("sha256:"))).decode("ascii")
    return TrustedKey(fingerprint=fingerprint, hint=hint, algorithm=algorithm, key=key, check=check)


def _ecdsa(key: ec.EllipticCurvePublicKey, algorithm: ec.ECDSA) -> Callable[[bytes, bytes], None]:
    return lambda signature, message: key.verify(signature, message, algorithm)


def _rsa(key: rsa.RSAPublicKey) -> Callable[[bytes, bytes], None]:
    return lambda signature, message: key.verify(signature, message, _PKCS1V15, _SHA256)


def _refuse_low_order(raw: bytes) -> None:
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P25519:
        raise KeyInvalid("an Ed25519 key that is not in canonical form")
    if y in _LOW_ORDER:
        raise KeyInvalid("an Ed25519 key of low order, under which anything verifies")


def _order_eight() -> int:
    """The y of the points of order eight: they double to order four, so 2y^2 = 1 + dx^2y^2 with x^2 = y^2 / ... .

    On -x^2 + y^2 = 1 + d x^2 y^2 doubling gives y = 0 exactly where x^2 + y^2 = 0, that is x^2 = -y^2; put in the
    curve's equation: d y^4 + 2 y^2 - 1 = 0.
    """
    p = _P25519
    d = -121665 * pow(121666, -1, p) % p
    root = _sqrt((1 + d) % p)
    squares = [(sign * root - 1) * pow(d, -1, p) % p for sign in (1, -1)]
    return next(_sqrt(square) for square in squares if pow(square, (p - 1) // 2, p) == 1)


def _sqrt(square: int) -> int:
    """A square root modulo 2^255 - 19 (RFC 8032 5.1.3, step 3)."""
    p = _P25519
    root = pow(square, (p + 3) // 8, p)
    return root if root * root % p == square else root * pow(2, (p - 1) // 4, p) % p


_SHA256 = hashes.SHA256()
_PKCS1V15 = padding.PKCS1v15()
_ECDSA = {"secp256r1": ec.ECDSA(_SHA256), "secp384r1": ec.ECDSA(hashes.SHA384())}
_NAMES = {"secp256r1": "p256", "secp384r1": "p384"}
_EIGHT = _order_eight()
_LOW_ORDER = frozenset({0, 1, _P25519 - 1, _EIGHT, _P25519 - _EIGHT})
