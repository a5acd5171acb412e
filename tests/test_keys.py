"""Key files: what `attest keygen` writes, and what openssl, step and cosign write."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from nacl.secret import SecretBox

from attest.adapters.keys import ALGORITHMS, Algorithm, KeySigner, generate, load_signer, read_passphrase
from attest.core import limits
from attest.errors import DocumentInvalid, KeyUnusable, UsageError
from attest.ports import Signer
from tests.parts.find import require

PROJECT = Path(__file__).resolve().parents[1]
MESSAGE = b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
SECRET = b"correct horse"

GENERATE = {
    "ecdsa-p256": ["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
    "ecdsa-p384": ["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
    "ed25519": ["genpkey", "-algorithm", "ed25519"],
    "rsa-2048": ["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"],
}
"""How openssl makes a key of each supported algorithm; step's files have the same forms."""

_PASS_IN = ["-passin", f"pass:{SECRET.decode()}"]
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


@pytest.fixture(scope="module")
def made() -> Callable[[str], tuple[bytes, bytes]]:
    """The private and public PEM of a key that openssl made, one for each algorithm."""
    keys: dict[str, tuple[bytes, bytes]] = {}

    def make(algorithm: str) -> tuple[bytes, bytes]:
        if algorithm not in keys:
            private = openssl(*GENERATE[algorithm])
            keys[algorithm] = private, openssl("pkey", "-pubout", stdin=private)
        return keys[algorithm]

    return make


# Keys of our own


@pytest.mark.parametrize(("algorithm", "secret"), list(itertools.product(ALGORITHMS, [None, SECRET])))
def test_a_generated_key_signs_and_openssl_reads_it(tmp_path: Path, algorithm: Algorithm, secret: bytes | None) -> None:
    """Both files are what PKCS #8 and SubjectPublicKeyInfo say, and belong together."""
    made = generate("inspector", tmp_path / "keys", algorithm, secret)
    assert (made.private, made.public) == (tmp_path / "keys/inspector.key", tmp_path / "keys/inspector.pub")
    signer = load_signer(made.private, never if secret is None else lambda: SECRET)
    assert_signs_for(signer, made.public.read_bytes())
    assert made.fingerprint == signer.fingerprint
    assert signer.warnings == ()
    label = b"ENCRYPTED PRIVATE KEY" if secret else b"PRIVATE KEY"
    assert made.private.read_bytes().startswith(b"-----BEGIN %s-----" % label)
    assert openssl("pkey", "-in", str(made.private), "-pubout", *_PASS_IN) == made.public.read_bytes()


def test_two_generated_keys_differ(tmp_path: Path) -> None:
    """Each key is a new one."""
    one, two = (generate(name, tmp_path, "ecdsa-p256", None) for name in ("one", "two"))
    assert one.fingerprint != two.fingerprint


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_private_key_is_for_its_owner_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """Whatever the umask, the private file is created with mode 0600, before a byte is in it."""
    modes: list[int] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(umask)
    try:
        made = generate("inspector", tmp_path, "ecdsa-p256", SECRET)
    finally:
        os.umask(before)
    assert modes == [0o600, 0o644 & ~umask]
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ["key", "pub"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_overwritten_and_nothing_is_left(tmp_path: Path, suffix: str, kind: str) -> None:
    """Where either file exists, also as a link to nowhere, it stays as it is and the other is not made."""
    there = tmp_path / f"inspector.{suffix}"
    if kind == "file":
        there.write_bytes(b"mine")
    else:
        there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="never overwritten"):
        generate("inspector", tmp_path, "ecdsa-p256", SECRET)
    assert list(tmp_path.iterdir()) == [there]
    assert kind == "link" or there.read_bytes() == b"mine"


def test_a_file_that_appears_in_between_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creation itself refuses, not only the look before it; the half that was made is taken away."""
    (tmp_path / "inspector.pub").write_bytes(b"mine")
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    with pytest.raises(UsageError, match=r"inspector\.pub exists"):
        generate("inspector", tmp_path, "ecdsa-p256", SECRET)
    assert [path.name for path in tmp_path.iterdir()] == ["inspector.pub"]
    assert (tmp_path / "inspector.pub").read_bytes() == b"mine"


def test_a_failing_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second file cannot be written the first is taken away, and the error names the file."""
    calls: list[int] = []

    def fail(_: int) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyUnusable, match=r"inspector.pub: cannot be written: No space left"):
        generate("inspector", tmp_path, "ecdsa-p256", SECRET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-a", ".a", "a.", "a b", "a\n", "a\0", "ä", "a" * 65])
def test_a_name_that_is_no_safe_file_name_is_refused(tmp_path: Path, name: str) -> None:
    """A key's name cannot lead out of its folder, hide, or look like an option."""
    with pytest.raises(UsageError, match="cannot be the name of a key"):
        generate(name, tmp_path / "keys", "ecdsa-p256", SECRET)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("name", ["a", "inspector-2025", "e2e_ci.v2", "a" * 64])
def test_plain_names_are_accepted(tmp_path: Path, name: str) -> None:
    """Letters, digits, dot, underscore and dash make a name."""
    assert generate(name, tmp_path, "ed25519", None).private.name == f"{name}.key"


def test_an_empty_or_endless_passphrase_makes_no_key(tmp_path: Path) -> None:
    """A key without protection is made only where that was asked for."""
    with pytest.raises(UsageError, match="passphrase is empty"):
        generate("inspector", tmp_path, "ecdsa-p256", b"")
    with pytest.raises(UsageError, match="at most 1023 bytes"):
        generate("inspector", tmp_path, "ecdsa-p256", b"a" * 1024)
    assert list(tmp_path.iterdir()) == []


def test_an_algorithm_that_is_not_made_is_refused(tmp_path: Path) -> None:
    """The error names the algorithms that are."""
    unknown: Any = "rsa-2048"
    with pytest.raises(UsageError) as caught:
        generate("inspector", tmp_path, unknown, SECRET)
    assert caught.value.hint == "choose one of ecdsa-p256, ed25519"


# Keys of others


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", GENERATE)
def test_what_openssl_and_step_write_is_read(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], algorithm: str, form: str
) -> None:
    """Every supported algorithm in every form: the signer signs for the public key that openssl derives."""
    if algorithm == "ed25519" and form.startswith("traditional"):
        form = "pkcs8"  # RFC 8410 has no other
    encrypted, convert = FORMS[form]
    private, public = made(algorithm)
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
def test_a_wrong_passphrase_is_an_unusable_key(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], form: str, wrong: bytes
) -> None:
    """A wrong, empty or endless passphrase, in every encrypted form, is one clear error."""
    path = write(tmp_path / "a.key", openssl(*FORMS[form][1], stdin=made("ecdsa-p256")[0]))
    with pytest.raises(KeyUnusable, match="wrong"):
        load_signer(path, lambda: wrong)


@pytest.mark.parametrize("form", [form for form, (encrypted, _) in FORMS.items() if encrypted])
def test_an_encrypted_key_without_a_passphrase_is_unusable(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], form: str
) -> None:
    """Where nothing can give a passphrase the error says that one is needed."""
    path = write(tmp_path / "a.key", openssl(*FORMS[form][1], stdin=made("ecdsa-p256")[0]))
    with pytest.raises(KeyUnusable, match="encrypted, and there is no passphrase"):
        load_signer(path, None)


def test_parameters_and_certificates_beside_the_key_are_passed_over(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]]
) -> None:
    """`openssl ecparam -genkey` writes the curve first; people keep certificates and remarks in the file."""
    private, public = made("ecdsa-p256")
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
def test_a_key_that_others_may_read_is_used_with_a_warning(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], mode: int, warned: bool
) -> None:
    """A secret that an orchestrator mounted for everybody to read still signs, and the caller can say so."""
    path = write(tmp_path / "a.key", made("ecdsa-p256")[0])
    path.chmod(mode)
    warnings = load_signer(path, never).warnings
    assert len(warnings) == warned
    assert not warned or f"mode {mode:04o}" in warnings[0]


def test_a_key_comes_through_a_pipe(tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]]) -> None:
    """`--key <(...)` keeps a key off the disk."""
    private, public = made("ecdsa-p256")
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


# cosign's keys


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
def test_what_cosign_writes_is_read(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], algorithm: str, label: str, secret: bytes
) -> None:
    """Both labels that cosign has used, every algorithm that it imports, and the empty passphrase of many pipelines."""
    private, public = made(algorithm)
    path = write(tmp_path / "cosign.key", sealed(private, label=label, passphrase=secret))
    assert_signs_for(load_signer(path, lambda: secret), public)


@pytest.mark.parametrize("wrong", [b"wrong", b""])
def test_a_wrong_passphrase_of_cosigns_key_is_an_unusable_key(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], wrong: bytes
) -> None:
    """The seal tells whether the passphrase is right."""
    path = write(tmp_path / "cosign.key", sealed(made("ecdsa-p256")[0]))
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
def test_a_malformed_key_of_cosigns_kind_is_refused(
    tmp_path: Path, made: Callable[[str], tuple[bytes, bytes]], changes: dict[str, Any], error: str
) -> None:
    """Every field is checked, and scrypt is not run with what would take gigabytes."""
    path = write(tmp_path / "cosign.key", sealed(made("ecdsa-p256")[0], **changes))
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


# Passphrases


def test_a_passphrase_comes_from_the_first_place_that_has_one(tmp_path: Path) -> None:
    """The file goes before the environment, that before the terminal; only our own variable is read."""
    file = tmp_path / "password"
    file.write_bytes(b"of the file\n")
    environment = {"ATTEST_KEY_PASSWORD": "of the environment", "COSIGN_PASSWORD": "of cosign"}

    def ask(place: Path | None, variables: dict[str, str]) -> bytes:
        return read_passphrase(password_file=place, environment=variables, prompt=lambda: "of the person ü")

    assert ask(file, environment) == b"of the file"
    assert ask(None, environment) == b"of the environment"
    assert ask(None, {"COSIGN_PASSWORD": "of cosign"}) == "of the person ü".encode()
    assert ask(None, {"ATTEST_KEY_PASSWORD": ""}) == b""


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"a\n", b"a"),
        (b"a", b"a"),
        (b"a\n\n", b"a\n"),
        (b"a\r\n", b"a"),
        (b" a \n", b" a "),
        (b"\n", b""),
        (b"a\r", b"a\r"),
    ],
)
def test_one_line_break_at_the_end_of_a_password_file_is_not_the_passphrase(
    tmp_path: Path, content: bytes, passphrase: bytes
) -> None:
    """Editors end files with a line break; everything else in the file counts."""
    file = tmp_path / "password"
    file.write_bytes(content)
    assert read_passphrase(password_file=file, environment={}, prompt=None) == passphrase


def test_without_a_terminal_a_missing_passphrase_is_an_error_of_usage() -> None:
    """A pipeline does not hang on a prompt, and learns what to set."""
    with pytest.raises(UsageError) as caught:
        read_passphrase(password_file=None, environment={"COSIGN_PASSWORD": "of cosign"}, prompt=None)
    assert "ATTEST_KEY_PASSWORD" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "error"), [("missing", "No such file"), (".", "Is a directory"), ("large", "at most")]
)
def test_an_unreadable_password_file_is_an_error(tmp_path: Path, name: str, error: str) -> None:
    """A password file that is missing, a folder or endless is named, and the environment is not asked instead."""
    (tmp_path / "large").write_bytes(b"a" * (limits.KEY_FILE + 1))
    with pytest.raises(DocumentInvalid, match=error):
        read_passphrase(
            password_file=tmp_path / name, environment={"ATTEST_KEY_PASSWORD": "other"}, prompt=lambda: "other"
        )
