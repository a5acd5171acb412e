"""Private key files that openssl and step wrote, and what is no private key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from attest.adapters.keys import KeySigner, generate, load_signer
from attest.core import limits
from attest.errors import KeyUnusable
from attest.ports import Signer
from tests.openssl_keys import (
    FORMS,
    GENERATE,
    MESSAGE,
    SECRET,
    assert_signs_for,
    check,
    key_pair,
    never,
    openssl,
    write,
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", GENERATE)
def test_what_openssl_and_step_write_is_read(tmp_path: Path, algorithm: str, form: str) -> None:
    """Every supported algorithm in every form: the signer signs for the public key that openssl derives."""
    if algorithm == "ed25519" and form.startswith("traditional"):
        form = "pkcs8"  # RFC 8410 has no other
    encrypted, convert = FORMS[form]
    private, public = key_pair(algorithm)
    path = write(tmp_path / "a.key", openssl(*convert, stdin=private))
    asked: list[int] = []

    def passphrase() -> bytes:
        asked.append(1)
        return SECRET

    signer: Signer = load_signer(path, passphrase)
    assert isinstance(signer, KeySigner)
    assert_signs_for(signer, public)
    assert signer.public.algorithm == algorithm
    assert len(asked) == encrypted


@pytest.mark.parametrize("form", [form for form, (encrypted, _) in FORMS.items() if encrypted])
@pytest.mark.parametrize("wrong", [b"wrong", b"", b"a" * 5000, b"\xff\0"])
def test_a_wrong_passphrase_is_an_unusable_key(tmp_path: Path, form: str, wrong: bytes) -> None:
    """A wrong, empty or endless passphrase, in every encrypted form, is one clear error."""
    path = write(tmp_path / "a.key", openssl(*FORMS[form][1], stdin=key_pair("ecdsa-p256")[0]))
    with pytest.raises(KeyUnusable, match="wrong"):
        load_signer(path, lambda: wrong)


@pytest.mark.parametrize("form", [form for form, (encrypted, _) in FORMS.items() if encrypted])
def test_an_encrypted_key_without_a_passphrase_is_unusable(tmp_path: Path, form: str) -> None:
    """Where nothing can give a passphrase the error says that one is needed."""
    path = write(tmp_path / "a.key", openssl(*FORMS[form][1], stdin=key_pair("ecdsa-p256")[0]))
    with pytest.raises(KeyUnusable, match="encrypted, and there is no passphrase"):
        load_signer(path, None)


def test_parameters_and_certificates_beside_the_key_are_passed_over(tmp_path: Path) -> None:
    """`openssl ecparam -genkey` writes the curve first; people keep certificates and remarks in the file."""
    private, public = key_pair("ecdsa-p256")
    parameters = openssl("ecparam", "-name", "prime256v1")
    assert parameters.startswith(b"-----BEGIN EC PARAMETERS-----")
    remarks = b"Bag Attributes: none\r\n" + parameters + private.replace(b"\n", b"\r\n") + public
    assert_signs_for(load_signer(write(tmp_path / "a.key", remarks), never), public)


def test_signatures_do_not_fit_another_message(tmp_path: Path) -> None:
    """The check of these tests can fail."""
    made = generate("inspector", tmp_path, "ecdsa-p256", None)
    signature = load_signer(made.private, never).sign(MESSAGE + b" ")
    with pytest.raises(InvalidSignature):
        check(serialization.load_pem_public_key(made.public.read_bytes()), signature)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ecparam", "-name", "secp521r1", "-genkey", "-noout"],
        ["ecparam", "-name", "secp256k1", "-genkey", "-noout"],
        ["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"],
        ["genpkey", "-algorithm", "ed448"],
        ["genpkey", "-algorithm", "x25519"],
    ],
)
def test_an_algorithm_that_is_not_supported_is_named_with_those_that_are(tmp_path: Path, arguments: list[str]) -> None:
    """Other curves, short RSA keys and keys that cannot sign are refused when they are loaded."""
    path = write(tmp_path / "a.key", openssl(*arguments))
    with pytest.raises(KeyUnusable, match="supported is ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"):
        load_signer(path, never)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "no PEM at all"),
        (b"\0\xff" * 100, "no PEM at all"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "no PEM at all"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no PEM at all"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key can be read"),
        (b"-----BEGIN EC PRIVATE KEY-----\n%%%\n-----END EC PRIVATE KEY-----\n", "no private key can be read"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no private key, but PUBLIC KEY"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA\n-----END OPENSSH PRIVATE KEY-----\n", "OpenSSH's own format"),
        (b"-----BEGIN DSA PRIVATE KEY-----\nAA\n-----END DSA PRIVATE KEY-----\n", "DSA PRIVATE KEY is no kind of key"),
        (b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n" * 2, "holds 2 private keys"),
    ],
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes, error: str) -> None:
    """Each defect of a key file has its own sentence, after the file's name."""
    path = write(tmp_path / "a.key", content)
    with pytest.raises(KeyUnusable, match=error) as caught:
        load_signer(path, never)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_unreadable_key_file_is_refused(tmp_path: Path) -> None:
    """A path to nothing, a folder, a path no system has, and a file of too many bytes are clear errors."""
    large = write(tmp_path / "large.key", b"a" * (limits.KEY_FILE + 1))
    for path, error in [
        (tmp_path / "missing.key", "No such file"),
        (tmp_path, "Is a directory"),
        (Path("a\0b"), "null byte"),
        (large, "at most 65536 bytes"),
        (Path("/dev/zero"), "at most 65536 bytes"),
    ]:
        with pytest.raises(KeyUnusable, match=error):
            load_signer(path, never)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_key_that_others_may_read_is_used_with_a_warning(tmp_path: Path, mode: int, warned: bool) -> None:
    """A secret that an orchestrator mounted for everybody to read still signs, and the caller can say so."""
    path = write(tmp_path / "a.key", key_pair("ecdsa-p256")[0])
    path.chmod(mode)
    warnings = load_signer(path, never).warnings
    assert len(warnings) == warned
    assert not warned or f"mode {mode:04o}" in warnings[0]


def test_a_key_comes_through_a_pipe(tmp_path: Path) -> None:
    """`--key <(...)` keeps a key off the disk."""
    private, public = key_pair("ecdsa-p256")
    reading, writing = os.pipe()
    os.write(writing, private)
    os.close(writing)
    try:
        signer = load_signer(Path(f"/dev/fd/{reading}"), never)
    finally:
        os.close(reading)
    assert_signs_for(signer, public)
    assert signer.warnings == ()
    assert list(tmp_path.iterdir()) == []


def test_a_signer_does_not_show_its_key(tmp_path: Path) -> None:
    """Printed in a log by mistake, a signer gives nothing away."""
    made = generate("inspector", tmp_path, "ecdsa-p256", None)
    shown = repr(load_signer(made.private, never))
    assert "_key" not in shown
    assert "PrivateKey" not in shown
