"""Reading a private key file that openssl, step, cosign or attest wrote, and signing with it."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from attest.adapters.keys.sealed import SealInvalid, WrongPassphrase, unseal
from attest.core import limits
from attest.core.keys import SUPPORTED, KeyInvalid, TrustedKey, public_key
from attest.core.reference import Digest
from attest.errors import KeyUnusable

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n(.*?)-----END \1-----", re.DOTALL)
_SEALED: Final = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_PLAIN_PEM: Final = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY")
_READABLE_BY_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH

_PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySigner:
    """A private key that signs; `attest.ports.Signer`."""

    public: TrustedKey
    """The public half. It verifies what `sign` makes."""
    warnings: tuple[str, ...]
    """What is unwise about the key file, in sentences, without its name."""
    _key: _PrivateKey = field(repr=False, compare=False)

    @property
    def hint(self) -> str:
        """Base64 of the SHA-256 of the DER public key."""
        return self.public.hint

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of the DER public key."""
        return self.public.fingerprint

    def sign(self, message: bytes) -> bytes:
        """The signature: ECDSA in ASN.1 DER with the hash of the curve's size, pure Ed25519, or RSA PKCS #1 v1.5."""
        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            sha2 = hashes.SHA256() if key.curve.name == "secp256r1" else hashes.SHA384()
            return key.sign(message, ec.ECDSA(sha2))
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def load_signer(path: Path, passphrase: Callable[[], bytes] | None) -> KeySigner:
    """The signer of a private key file.

    `passphrase` is asked, once, if the key is encrypted, and not otherwise.

    Raises:
        KeyUnusable: the file cannot be read, holds no private key or several, its passphrase is wrong or not known,
            or the algorithm is not supported.
        AttestError: whatever `passphrase` raises.
    """
    content, warnings = _read(path)
    label, block, body = _only_private_key(content, path)
    if label in _SEALED:
        key = _unsealed(body, _ask(passphrase, path), path)
    elif label == "ENCRYPTED PRIVATE KEY" or b"\nProc-Type: 4,ENCRYPTED" in b"\n" + body:
        key = _decoded(block, _ask(passphrase, path), path)
    else:
        key = _decoded(block, None, path)
    if not isinstance(key, _PrivateKey):
        raise KeyUnusable(f"an algorithm that is not supported; supported is {SUPPORTED}", file=str(path))
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        public = public_key(pem)
    except KeyInvalid as error:
        raise KeyUnusable(str(error), file=str(path)) from error
    return KeySigner(public=public, warnings=warnings, _key=key)


def _read(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The content, and what is unwise about the file. A pipe will do: `--key <(...)` keeps a key off the disk."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(limits.KEY_FILE + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise KeyUnusable(f"the key file cannot be read: {said}", file=str(path)) from error
    if len(content) > limits.KEY_FILE:
        raise KeyUnusable(f"a key file has at most {limits.KEY_FILE} bytes", file=str(path))
    if stat.S_ISREG(mode) and mode & _READABLE_BY_OTHERS:
        return content, (f"others than its owner may read the private key (mode {stat.S_IMODE(mode):04o})",)
    return content, ()


def _only_private_key(content: bytes, path: Path) -> tuple[str, bytes, bytes]:
    """Label, whole block and body of the one private key; parameters and certificates beside it are passed over."""
    blocks = [(match[1].decode("ascii"), match[0] + b"\n", match[2]) for match in _BLOCK.finditer(content)]
    private = [block for block in blocks if block[0].endswith("PRIVATE KEY")]
    match [label for label, _, _ in private]:
        case []:
            labels = " and ".join(sorted({label for label, _, _ in blocks})) or "no PEM at all"
            raise KeyUnusable(f"the file holds no private key, but {labels}", file=str(path))
        case [label] if label in _SEALED or label in _PLAIN_PEM:
            return private[0]
        case ["OPENSSH PRIVATE KEY"]:
            raise KeyUnusable(
                "a key in OpenSSH's own format is not read", file=str(path), hint="make one with: attest keygen NAME"
            )
        case [label]:
            raise KeyUnusable(f"{label} is no kind of key that is read; supported is {SUPPORTED}", file=str(path))
        case several:
            raise KeyUnusable(f"the file holds {len(several)} private keys, and only one can be meant", file=str(path))


def _ask(passphrase: Callable[[], bytes] | None, path: Path) -> bytes:
    if passphrase is None:
        raise KeyUnusable("the key is encrypted, and there is no passphrase", file=str(path))
    return passphrase()


def _decoded(pem: bytes, passphrase: bytes | None, path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, passphrase)
    except UnsupportedAlgorithm as error:
        raise KeyUnusable(f"an algorithm that is not supported; supported is {SUPPORTED}", file=str(path)) from error
    except (ValueError, TypeError) as error:  # TypeError: an empty passphrase
        if passphrase is None:
            raise KeyUnusable(f"no private key can be read; supported is {SUPPORTED}", file=str(path)) from error
        raise _wrong_passphrase(path, passphrase) from error


def _unsealed(body: bytes, passphrase: bytes, path: Path) -> PrivateKeyTypes:
    try:
        sealed = base64.b64decode(b"".join(body.split()), validate=True)
        return serialization.load_der_private_key(unseal(sealed, passphrase), None)
    except WrongPassphrase as error:
        raise _wrong_passphrase(path, passphrase) from error
    except SealInvalid as error:
        raise KeyUnusable(f"not a key as cosign writes it: {error}", file=str(path)) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"no private key can be read; supported is {SUPPORTED}", file=str(path)) from error


def _wrong_passphrase(path: Path, passphrase: bytes) -> KeyUnusable:
    problem = "the passphrase is wrong" if passphrase else "the passphrase is empty, and wrong"
    return KeyUnusable(problem, file=str(path), hint="or the file is damaged, or encrypted in a way that is not read")
