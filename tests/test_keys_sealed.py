"""Private keys in the form of cosign, made here so that every part of it can be wrong."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from nacl.secret import SecretBox

from attest.adapters.keys import generate, load_signer
from attest.errors import KeyUnusable
from tests.openssl_keys import (
    GENERATE,
    SECRET,
    assert_signs_for,
    key_pair,
    write,
)

PROJECT = Path(__file__).resolve().parents[1]


def sealed(private: bytes, **changes: Any) -> bytes:
    """A private key sealed as cosign seals it, with weaker scrypt, and any part of the document changed."""
    loaded = serialization.load_pem_private_key(private, None)
    der = loaded.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    salt, nonce, n = b"s" * 32, b"n" * 24, 1024
    secret = Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(changes.pop("passphrase", SECRET))

    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    document: dict[str, Any] = {
        "kdf": {"name": "scrypt", "params": {"N": n, "r": 8, "p": 1}, "salt": encoded(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": encoded(nonce)},
        "ciphertext": encoded(SecretBox(secret).encrypt(changes.pop("plain", der), nonce).ciphertext),
    }
    label = changes.pop("label", "ENCRYPTED SIGSTORE PRIVATE KEY")
    for path, value in changes.items():
        *parents, name = path.split("__")
        parent = document
        for step in parents:
            parent = parent[step]
        parent[name] = value
    lines = base64.encodebytes(json.dumps(document).encode()).decode()
    return f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n".encode()


@pytest.mark.parametrize(
    ("algorithm", "label", "secret"),
    [
        *((algorithm, "ENCRYPTED SIGSTORE PRIVATE KEY", SECRET) for algorithm in GENERATE),
        ("ecdsa-p256", "ENCRYPTED COSIGN PRIVATE KEY", SECRET),
        ("ecdsa-p256", "ENCRYPTED SIGSTORE PRIVATE KEY", b""),
    ],
)
def test_what_cosign_writes_is_read(tmp_path: Path, algorithm: str, label: str, secret: bytes) -> None:
    """Both labels that cosign has used, every algorithm that it imports, and the empty passphrase of many pipelines."""
    private, public = key_pair(algorithm)
    path = write(tmp_path / "cosign.key", sealed(private, label=label, passphrase=secret))
    assert_signs_for(load_signer(path, lambda: secret), public)


@pytest.mark.parametrize("wrong", [b"wrong", b""])
def test_a_wrong_passphrase_of_cosigns_key_is_an_unusable_key(tmp_path: Path, wrong: bytes) -> None:
    """The seal tells whether the passphrase is right."""
    path = write(tmp_path / "cosign.key", sealed(key_pair("ecdsa-p256")[0]))
    with pytest.raises(KeyUnusable, match="wrong"):
        load_signer(path, lambda: wrong)
    with pytest.raises(KeyUnusable, match="there is no passphrase"):
        load_signer(path, None)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"kdf": None}, "'kdf' is not an object"),
        ({"kdf__name": "pbkdf2"}, "'pbkdf2' with 'nacl/secretbox'"),
        ({"kdf__params": []}, "'params' is not an object"),
        ({"kdf__params__N": 2**40}, "is not computed here"),
        ({"kdf__params__N": 1000}, "is not computed here"),
        ({"kdf__params__N": 1}, "is not computed here"),
        ({"kdf__params__N": 0}, "'N' is not a positive number"),
        ({"kdf__params__N": True}, "'N' is not a positive number"),
        ({"kdf__params__r": 2**20}, "is not computed here"),
        ({"kdf__params__p": 2**20}, "is not computed here"),
        ({"kdf__salt": 7}, "'salt' is not base64"),
        ({"cipher__name": "aes"}, "'scrypt' with 'aes'"),
        ({"cipher__nonce": "AAAA"}, "a nonce of 3 bytes"),
        ({"cipher__nonce": "ä"}, "'nonce' is not base64"),
        ({"ciphertext": None}, "'ciphertext' is not base64"),
        ({"ciphertext": ""}, "wrong"),
        ({"plain": b"not a key"}, "no private key can be read"),
    ],
)
def test_a_malformed_key_of_cosigns_kind_is_refused(tmp_path: Path, changes: dict[str, Any], error: str) -> None:
    """Every field is checked, and scrypt is not run with what would take gigabytes."""
    path = write(tmp_path / "cosign.key", sealed(key_pair("ecdsa-p256")[0], **changes))
    with pytest.raises(KeyUnusable, match=error):
        load_signer(path, lambda: SECRET)


@pytest.mark.parametrize("body", [b"%%%", base64.b64encode(b"{"), base64.b64encode(b"[]"), b""])
def test_a_seal_that_is_no_document_is_refused(tmp_path: Path, body: bytes) -> None:
    """Broken base64 and broken JSON are errors of the key file."""
    label = b"ENCRYPTED SIGSTORE PRIVATE KEY"
    path = write(tmp_path / "cosign.key", b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, body, label))
    with pytest.raises(KeyUnusable, match=r"not a key as cosign writes it|no private key can be read"):
        load_signer(path, lambda: SECRET)


def test_what_opens_cosigns_keys_is_loaded_for_them_only(tmp_path: Path) -> None:
    """Signing with a key of our own does not import NaCl."""
    made = generate("inspector", tmp_path, "ecdsa-p256", None)
    program = (
        "import sys; from pathlib import Path; from attest.adapters.keys import load_signer; "
        "load_signer(Path(sys.argv[1]), None).sign(b''); sys.exit('nacl' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program, str(made.private)], cwd=PROJECT, check=False)
    assert result.returncode == 0
