"""Private keys that the real cosign wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from attest.adapters.keys import load_signer
from attest.core.keys import public_key
from attest.errors import KeyUnusable
from tests.parts.cosign import Cosign
from tests.parts.find import require
from tests.parts.process import Command, plain_environment, run

pytestmark = pytest.mark.parts

MESSAGE = b"a message"


@pytest.mark.parametrize("password", ["correct horse: ü", ""])
def test_a_key_pair_that_cosign_generated_is_used(tmp_path: Path, password: str) -> None:
    """With and without a passphrase, the signer of `cosign.key` signs for `cosign.pub`."""
    pair = Cosign(tmp_path / "cosign").generate_key_pair(password=password)
    assert b"ENCRYPTED SIGSTORE PRIVATE KEY" in pair.private.read_bytes()
    signer = load_signer(pair.private, password.encode)
    trusted = public_key(pair.public.read_bytes())
    assert signer.fingerprint == trusted.fingerprint
    assert trusted.verifies(signer.sign(MESSAGE), MESSAGE)
    with pytest.raises(KeyUnusable, match="the passphrase is wrong"):
        load_signer(pair.private, lambda: b"wrong")


@pytest.mark.parametrize(
    "make",
    [
        ["genpkey", "-algorithm", "ed25519"],
        ["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"],
        ["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ],
    ids=["ed25519", "rsa", "p384"],
)
def test_a_key_that_cosign_imported_is_used(tmp_path: Path, make: list[str]) -> None:
    """Keys of other algorithms, which cosign takes over from openssl, are the same keys afterwards."""
    pem = tmp_path / "openssl.pem"
    command = Command(
        arguments=[require("openssl"), *make, "-out", str(pem)],
        environment=plain_environment(tmp_path),
        directory=tmp_path,
    )
    run(command)
    pair = Cosign(tmp_path / "cosign").import_key_pair(pem, "imported", password="a password")
    signer = load_signer(pair.private, lambda: b"a password")
    key = serialization.load_pem_private_key(pem.read_bytes(), None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert signer.fingerprint == public_key(public).fingerprint
    assert public_key(pair.public.read_bytes()).verifies(signer.sign(MESSAGE), MESSAGE)
