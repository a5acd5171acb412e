"""Private keys as cosign keeps them: PKCS #8 in NaCl's secretbox, its key made by scrypt from the passphrase.

The format is that of go-securesystemslib's `encrypted` package, in PEM: a JSON object with the parameters of
scrypt (RFC 7914), a salt, a nonce and the ciphertext, each of the last three in base64.
"""

from __future__ import annotations

import base64
from typing import Final

from attest.core.strictjson import Json, JsonInvalid, loads

_MEMORY: Final = 256 * 1024 * 1024
"""Bytes that scrypt may take; the strongest setting of the format takes half of that."""
_PARALLEL: Final = 4


class SealInvalid(ValueError):
    """The content is not in the format, or asks for more work than we are willing to do."""


class WrongPassphrase(ValueError):
    """The passphrase does not open it."""


def unseal(content: bytes, passphrase: bytes) -> bytes:
    """The DER bytes of the PKCS #8 key.

    Raises:
        SealInvalid: the content is malformed.
        WrongPassphrase: the passphrase, or a byte of the ciphertext, is wrong.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        document = loads(content)
    except JsonInvalid as error:
        raise SealInvalid(f"not strict JSON: {error}") from error
    kdf, cipher = _object(document, "kdf"), _object(document, "cipher")
    if kdf.get("name") != "scrypt" or cipher.get("name") != "nacl/secretbox":
        raise SealInvalid(f"{kdf.get('name')!r} with {cipher.get('name')!r}, not scrypt with nacl/secretbox")
    parameters = _object(kdf, "params")
    n, r, p = (_number(parameters, name) for name in ("N", "r", "p"))
    if n & (n - 1) or n < 2 or 128 * n * r > _MEMORY or p > _PARALLEL:
        raise SealInvalid(f"scrypt with N={n}, r={r}, p={p} is not computed here")
    salt, nonce = _bytes(kdf, "salt"), _bytes(cipher, "nonce")
    if len(nonce) != SecretBox.NONCE_SIZE:
        raise SealInvalid(f"a nonce of {len(nonce)} bytes")
    key = Scrypt(salt=salt, length=SecretBox.KEY_SIZE, n=n, r=r, p=p).derive(passphrase)
    try:
        return bytes(SecretBox(key).decrypt(_bytes(document, "ciphertext"), nonce))
    except CryptoError as error:
        raise WrongPassphrase from error


def _object(document: Json, name: str) -> dict[str, Json]:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, dict):
        raise SealInvalid(f"{name!r} is not an object")
    return value


def _number(document: dict[str, Json], name: str) -> int:
    value = document.get(name)
    if type(value) is not int or value < 1:
        raise SealInvalid(f"{name!r} is not a positive number")
    return value


def _bytes(document: dict[str, Json], name: str) -> bytes:
    text = document.get(name)
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]  # what is no text raises TypeError
    except (TypeError, ValueError) as error:
        raise SealInvalid(f"{name!r} is not base64") from error
