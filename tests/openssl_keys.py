"""Keys that openssl makes, for tests, and what must hold of a signer."""

from __future__ import annotations

import base64
import functools
import hashlib
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from attest.adapters.keys import KeySigner
from tests.parts.find import require

MESSAGE = b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
SECRET = b"correct horse"

GENERATE = {
    "ecdsa-p256": ["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
    "ecdsa-p384": ["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
    "ed25519": ["genpkey", "-algorithm", "ed25519"],
    "rsa-2048": ["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"],
}
"""How openssl makes a key of each supported algorithm; step's files have the same forms."""

_PASS_OUT = ["-passout", f"pass:{SECRET.decode()}"]

FORMS: dict[str, tuple[bool, list[str]]] = {
    "pkcs8": (False, ["pkcs8", "-topk8", "-nocrypt"]),
    "pkcs8-pbes2": (True, ["pkcs8", "-topk8", *_PASS_OUT]),
    "pkcs8-aes128-sha1": (True, ["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1", *_PASS_OUT]),
    "pkcs8-scrypt": (True, ["pkcs8", "-topk8", "-scrypt", *_PASS_OUT]),
    "traditional": (False, ["pkey", "-traditional"]),
    "traditional-aes256": (True, ["pkey", "-traditional", "-aes256", *_PASS_OUT]),
    "traditional-des3": (True, ["pkey", "-traditional", "-des3", *_PASS_OUT]),
}
"""Forms of a private key file: whether it is encrypted, and how openssl converts a key into it."""


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run openssl."""
    program = require("openssl")
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, check=True).stdout


def never() -> bytes:
    """A passphrase that nobody may ask for."""
    raise AssertionError("asked for a passphrase of a key that has none")


def write(path: Path, content: bytes) -> Path:
    """A key file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def check(key: Any, signature: bytes) -> None:
    """Verify a signature over MESSAGE with `cryptography` alone; raises InvalidSignature."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = hashes.SHA256() if key.curve.key_size == 256 else hashes.SHA384()
        key.verify(signature, MESSAGE, ec.ECDSA(algorithm))
    elif isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, MESSAGE)
    else:
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())


def assert_signs_for(signer: KeySigner, public_pem: bytes) -> None:
    """The signer is the private half of this public key, and says so."""
    public = serialization.load_pem_public_key(public_pem)
    check(public, signer.sign(MESSAGE))
    assert signer.public.verifies(signer.sign(MESSAGE), MESSAGE)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert signer.fingerprint == f"sha256:{hashlib.sha256(der).hexdigest()}"
    assert signer.hint == base64.b64encode(hashlib.sha256(der).digest()).decode()


@functools.cache
def key_pair(algorithm: str) -> tuple[bytes, bytes]:
    """The private and public PEM of a key that openssl made, one for each algorithm."""
    private = openssl(*GENERATE[algorithm])
    return private, openssl("pkey", "-pubout", stdin=private)
