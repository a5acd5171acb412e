"""Making a key pair: `NAME.key` for the one who signs, `NAME.pub` for every policy."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from attest.core.keys import public_key
from attest.core.reference import Digest
from attest.errors import KeyUnusable, UsageError

Algorithm = Literal["ecdsa-p256", "ed25519"]

ALGORITHMS: Final[tuple[Algorithm, ...]] = ("ecdsa-p256", "ed25519")
"""What `generate` makes; the first is what everybody else reads too."""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_PASSPHRASE: Final = 1023
_PRIVATE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A key pair that has just been written."""

    private: Path
    public: Path
    fingerprint: Digest
    """SHA-256 of the DER public key, as a policy's `revoked` names it."""


def generate(name: str, directory: Path, algorithm: Algorithm, passphrase: bytes | None) -> Generated:
    """Write a new key pair into `directory`, which is made where it is missing.

    The private key is PKCS #8 in PEM (RFC 5958), encrypted with the passphrase (PBES2, RFC 8018) unless that is
    None, and readable by its owner alone from the first moment. Both files are whole and on the disk, or neither is
    there.

    Raises:
        UsageError: the name is no safe file name, the passphrase is empty or endless, or one of the files exists.
        KeyUnusable: a file cannot be written.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of a key",
            hint="at most 64 letters, digits, and . _ - between them; it becomes NAME.key and NAME.pub",
        )
    if passphrase == b"":
        raise UsageError("the passphrase is empty", hint="--no-password writes a key without one, and says so")
    if passphrase is not None and len(passphrase) > _PASSPHRASE:
        raise UsageError(f"a passphrase has at most {_PASSPHRASE} bytes")  # OpenSSL's own bound
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    match algorithm:
        case "ecdsa-p256":
            key = ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case _:
            raise UsageError(f"{algorithm!r} keys are not made here", hint=f"choose one of {', '.join(ALGORITHMS)}")
    encryption: serialization.KeySerializationEncryption = (
        serialization.NoEncryption() if passphrase is None else serialization.BestAvailableEncryption(passphrase)
    )
    private_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    _write_both((private, private_pem, _PRIVATE_MODE), (public, public_pem, _PUBLIC_MODE))
    return Generated(private=private, public=public, fingerprint=public_key(public_pem).fingerprint)


def _write_both(*files: tuple[Path, bytes, int]) -> None:
    """Write new files, all of them or none."""
    made: list[Path] = []
    path = files[0][0].parent
    try:
        path.mkdir(parents=True, exist_ok=True)
        for path, _, _ in files:  # a look at all of them first: most collisions then touch nothing
            if os.path.lexists(path):
                raise FileExistsError
        for path, content, mode in files:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, mode), "wb") as file:
                made.append(path)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except BaseException as error:
        for written in made:
            with contextlib.suppress(OSError):
                written.unlink()
        if isinstance(error, FileExistsError):
            raise UsageError(
                f"{path} exists, and keys are never overwritten",
                hint="choose another name, or move the old pair away; policies may still name its public key",
            ) from error
        if isinstance(error, OSError):
            raise KeyUnusable(f"cannot be written: {error.strerror}", file=str(path)) from error
        raise
