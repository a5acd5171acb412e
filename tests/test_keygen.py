"""Key pairs that `attest keygen` writes."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.keys import ALGORITHMS, Algorithm, generate, load_signer
from attest.errors import KeyUnusable, UsageError
from tests.openssl_keys import (
    SECRET,
    assert_signs_for,
    never,
    openssl,
)

PROJECT = Path(__file__).resolve().parents[1]
_PASS_IN = ["-passin", f"pass:{SECRET.decode()}"]


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
