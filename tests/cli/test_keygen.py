"""`attest keygen`: pairs that everybody can read, files that nobody else can, and never over another."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.cli.running import attest
from tests.cli.scene import Scene
from tests.cli.terminal import Terminal


def private_key(path: Path, password: bytes | None) -> object:
    """The private key in a PEM file, as another library reads it."""
    return serialization.load_pem_private_key(path.read_bytes(), password)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("ecdsa-p256", ec.EllipticCurvePrivateKey), ("ed25519", ed25519.Ed25519PrivateKey)]
)
def test_a_pair_is_written_encrypted(algorithm: str, kind: type, tmp_path: Path) -> None:
    """The private key is PKCS#8 under the passphrase of the environment, and its public half stands beside it."""
    ended = attest("keygen", "unit", "--algorithm", algorithm, cwd=tmp_path, ATTEST_KEY_PASSWORD="a word")
    assert ended.code == 0, ended.err
    key, public = tmp_path / "keys/unit.key", tmp_path / "keys/unit.pub"
    assert key.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    loaded = private_key(key, b"a word")
    assert isinstance(loaded, kind)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
    expected = loaded.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public.read_bytes() == expected


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_private_key_is_for_its_owner_alone(mask: int, tmp_path: Path) -> None:
    """The private key has mode 0600 whatever the umask says."""
    before = os.umask(mask)
    try:
        assert attest("keygen", "unit", "--no-password", cwd=tmp_path).code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys/unit.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys/unit.pub").stat().st_mode) == 0o644 & ~mask


@pytest.mark.parametrize("there", ["unit.key", "unit.pub"])
@pytest.mark.parametrize("what", ["a file", "a dangling link"])
def test_nothing_is_overwritten(there: str, what: str, tmp_path: Path) -> None:
    """Where one file of the pair exists, even as a dangling link, the command ends with 2 and touches neither."""
    place = tmp_path / "keys" / there
    place.parent.mkdir()
    if what == "a file":
        place.write_text("mine")
    else:
        place.symlink_to("nowhere")
    ended = attest("keygen", "unit", "--no-password", cwd=tmp_path)
    assert ended.code == 2
    assert "exists, and keys are never overwritten" in ended.err
    assert list(place.parent.iterdir()) == [place]
    assert place.is_symlink() or place.read_text() == "mine"


def test_a_password_file_is_read(tmp_path: Path) -> None:
    """--password-file wins over the environment; a line break at its end is no part of the passphrase."""
    (tmp_path / "word").write_bytes(b"from a file\n")
    ended = attest("keygen", "unit", "--password-file", "word", cwd=tmp_path, ATTEST_KEY_PASSWORD="another")
    assert ended.code == 0
    assert private_key(tmp_path / "keys/unit.key", b"from a file")


def test_without_a_passphrase_nothing_is_written(tmp_path: Path) -> None:
    """Where no passphrase is to be had the command ends with 2 and says the ways to give one."""
    ended = attest("keygen", "unit", cwd=tmp_path)
    assert ended.code == 2
    assert "ATTEST_KEY_PASSWORD" in ended.err
    assert "--password-file" in ended.err
    assert not (tmp_path / "keys").exists()


def test_an_empty_passphrase_is_none(tmp_path: Path) -> None:
    """An empty variable is no consent to a key without a passphrase: only --no-password is."""
    ended = attest("keygen", "unit", cwd=tmp_path, ATTEST_KEY_PASSWORD="")
    assert ended.code == 2
    assert "--no-password" in ended.err


def test_no_password_and_a_password_exclude_each_other(tmp_path: Path) -> None:
    """Two answers to one question are an error."""
    (tmp_path / "word").write_text("a word")
    assert attest("keygen", "unit", "--no-password", "--password-file", "word", cwd=tmp_path).code == 2


def test_no_password_means_what_it_says(tmp_path: Path) -> None:
    """--no-password writes the key without encryption, also where a passphrase stands in the environment."""
    assert attest("keygen", "unit", "--no-password", cwd=tmp_path, ATTEST_KEY_PASSWORD="a word").code == 0
    assert private_key(tmp_path / "keys/unit.key", None)


@pytest.mark.parametrize("name", ["../unit", "a/b", ".hidden", "", "a" * 65, "unit\n", "-"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    """A name that would lead elsewhere, or that no file should have, ends with 2."""
    assert attest("keygen", "--no-password", "--", name, cwd=tmp_path).code == 2
    assert list(tmp_path.iterdir()) == []


def test_scripts_get_the_fingerprint(scene: Scene) -> None:
    """--format json names both files and the fingerprint that a policy's `revoked` takes."""
    document = scene.attest("keygen", "new", "--no-password", "--format", "json").document
    assert document["private"] == "keys/new.key"
    assert document["public"] == "keys/new.pub"
    assert document["algorithm"] == "ecdsa-p256"
    text = scene.attest("keygen", "other", "--no-password").out
    assert f"fingerprint  {scene.fingerprint('other')}" in text
    assert document["fingerprint"] == scene.fingerprint("new")


def answer_prompts(arguments: list[str], answers: list[bytes], cwd: Path) -> tuple[int, bytes]:
    """Run a command on a terminal of its own and type the answers; its exit code and all that the terminal showed."""
    with Terminal(arguments, cwd=cwd) as terminal:
        for answer in answers:
            # Not before the space: with it getpass has stopped the echo, and thrown away what was typed too early.
            terminal.read_until(lambda shown: shown.endswith(b": "))
            terminal.type(answer + b"\n")
        return terminal.end()


def test_the_passphrase_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    """On a terminal the passphrase is asked for, and once more, and never echoed."""
    code, shown = answer_prompts(["keygen", "unit"], [b"a word", b"a word"], tmp_path)
    assert code == 0, shown
    assert b"a word" not in shown
    assert private_key(tmp_path / "keys/unit.key", b"a word")


def test_the_passphrase_of_a_key_is_asked_for_when_it_signs(scene: Scene) -> None:
    """`attest sign` asks for the passphrase of an encrypted key on the terminal; a wrong one ends with 2."""
    assert scene.attest("keygen", "locked", ATTEST_KEY_PASSWORD="a word").code == 0
    arguments = [str(one) for one in scene.sign_arguments("unit", "--output", "b.json", "--no-push", key="locked")]
    code, shown = answer_prompts(arguments, [b"a word"], scene.folder)
    assert (code, b"a word" in shown) == (0, False), shown
    code, shown = answer_prompts(arguments, [b"another"], scene.folder)
    assert (code, b"Traceback" in shown) == (2, False), shown
