"""What services say of themselves is believed only in the form of their APIs, and where it fits together."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, x448

from attest.core.trust.answers import (
    AnswerInvalid,
    Chain,
    check_certificate_chain,
    check_timestamp_chain,
    read_chain,
    read_checkpoint,
    read_key,
    read_trust_bundle,
    same_key,
)
from tests.core.make_trust import DAY, NOW, START, chain, checkpoint, key_pem, log_key, p256, pem, rsa_key


def bundle(*chains: Chain) -> bytes:
    """What Fulcio answers: each certificate a text of its own."""
    listed = [{"certificates": [pem((one,)).decode() for one in each]} for each in chains]
    return json.dumps({"chains": listed}).encode()


def test_a_trust_bundle_has_chains() -> None:
    """Each chain is read in its order, also where one text holds several certificates."""
    assert read_trust_bundle(bundle(chain("a"), chain("b"))) == (chain("a"), chain("b"))
    together = json.dumps({"chains": [{"certificates": [pem(chain("a")).decode()]}]}).encode()
    assert read_trust_bundle(together) == (chain("a"),)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<html>", "no JSON: "),
        (b"[]", "no chains in it"),
        (b"{}", "no chains in it"),
        (b'{"chains": []}', "no chains in it"),
        (b'{"chains": [1]}', "a chain without certificates"),
        (b'{"chains": [{"certificates": []}]}', "a chain without certificates"),
        (b'{"chains": [{"certificates": [1]}]}', "a chain without certificates"),
        (b'{"chains": [{"certificates": ["x"]}]}', "no PEM certificates"),
    ],
)
def test_garbage_is_no_trust_bundle(content: bytes, problem: str) -> None:
    """Anything else than chains of certificates is refused."""
    with pytest.raises(AnswerInvalid) as caught:
        read_trust_bundle(content)
    assert str(caught.value).startswith(problem)


def test_a_chain_is_pem() -> None:
    """Certificates are read in their order; no certificate is no chain."""
    assert read_chain(pem(chain())) == chain()
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(AnswerInvalid, match="no PEM certificates"):
            read_chain(content)


def test_a_key_is_pem() -> None:
    """A key of a log is read from PEM, as what it is."""
    key = p256().public_key()
    assert same_key(read_key(key_pem(key)), key)
    assert not same_key(read_key(key_pem(key)), log_key().public_key())


def test_other_keys_are_refused() -> None:
    """No PEM, and keys that no client verifies with, are refused with what they are."""
    for content in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(AnswerInvalid, match=r"^no PEM public key$"):
            read_key(content)
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    other = x448.X448PrivateKey.generate().public_key().public_bytes(*spki)
    with pytest.raises(AnswerInvalid, match="neither ECDSA, Ed25519 nor RSA"):
        read_key(other)
    with pytest.raises(AnswerInvalid, match="neither ECDSA, Ed25519 nor RSA"):
        read_key(dsa.generate_private_key(1024).public_key().public_bytes(*spki))
    with pytest.raises(AnswerInvalid, match="an RSA key of 1024 bits"):
        read_key(key_pem(rsa_key(1024).public_key()))


def test_a_checkpoint_is_signed_by_its_log() -> None:
    """The log's own signature verifies under its key, for Ed25519 and ECDSA."""
    for key in (log_key(), p256()):
        read = read_checkpoint(checkpoint(key))
        assert read.origin == "rekor.example.org"
        assert read.signed_by(key.public_key())


def test_a_cosigned_checkpoint_is_signed_too() -> None:
    """The signature of a witness beside the log's changes nothing."""
    witness = checkpoint(log_key(1), name="witness.example.org").split(b"\n\n")[1]
    assert read_checkpoint(checkpoint(log_key()) + witness).signed_by(log_key().public_key())


def test_a_checkpoint_of_somebody_else_is_not_signed() -> None:
    """Another key, another name, another key id and another text do not verify, nor does what cannot be checked."""
    key = log_key()
    assert not read_checkpoint(checkpoint(log_key(1))).signed_by(key.public_key())
    assert not read_checkpoint(checkpoint(key, name="other.example.org")).signed_by(key.public_key())
    assert not read_checkpoint(checkpoint(key, key_id=b"four")).signed_by(key.public_key())
    assert not read_checkpoint(checkpoint(key).replace(b"\n7\n", b"\n8\n")).signed_by(key.public_key())
    ecdsa = p256()
    assert not read_checkpoint(checkpoint(ecdsa).replace(b"\n7\n", b"\n8\n")).signed_by(ecdsa.public_key())
    assert not read_checkpoint(checkpoint(rsa_key())).signed_by(rsa_key().public_key())


ROOT = base64.b64encode(bytes(32))
NOTE = b"a\n7\n" + ROOT + b"\n\n\xe2\x80\x94 a AAAAAAAA\n"
"""A checkpoint, as small as it can be."""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        NOTE + b"x",
        NOTE.replace(b"\n7\n", b"\n07\n"),
        NOTE.replace(b"\n7\n", b"\nx\n"),
        NOTE.replace(b"\n7\n", b"\n\xd9\xa7\n"),
        NOTE.replace(b"a\n7", b"\n7"),
        NOTE.replace(ROOT, b"AAAA"),
        NOTE.replace(ROOT, b""),
        NOTE.replace(ROOT, b"!" * 43 + b"="),
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace(b"\xe2\x80\x94", b"-"),
        NOTE.replace(b"\x94 a AAAAAAAA", b"\x94 AAAAAAAA"),
        NOTE.replace(b"AAAAAAAA\n", b"AAAA\n"),
        NOTE.replace(b"AAAAAAAA\n", b"AAAAAAA\n"),
        NOTE.partition(b"\xe2")[0],
    ],
)
def test_garbage_is_no_checkpoint(content: bytes) -> None:
    """Text that is not origin, size, hash and signatures is no checkpoint."""
    with pytest.raises(AnswerInvalid, match="no checkpoint"):
        read_checkpoint(content)


def test_a_small_checkpoint_is_one() -> None:
    """What the refused ones above differ from is a checkpoint."""
    read = read_checkpoint(NOTE)
    assert (read.origin, read.signatures) == ("a", (("a", bytes(4), bytes(2)),))
    assert read.text == NOTE.partition(b"\n\n")[0] + b"\n"
    longer = read_checkpoint(NOTE.replace(b"\n\n", b"\nmore\n\n", 1).replace(b"\n7\n", b"\n0\n"))
    assert longer.text.endswith(b"\nmore\n")


def test_chains_that_fit() -> None:
    """A chain of an authority, a root alone, and a chain for timestamps pass."""
    check_certificate_chain(chain(), NOW)
    check_certificate_chain(chain()[1:], NOW)
    check_timestamp_chain(chain("tsa", stamping=True), NOW)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (chain()[:1], "CN=test,O=tests (sha256:HASH...) is no root, and nothing follows it"),
        ((chain()[0], chain("other")[1]), "CN=test,O=tests (sha256:HASH...) is not issued by the next one"),
        (chain("plain", leaf_ca=False), "CN=plain,O=tests (sha256:HASH...) is no certificate authority"),
        (chain("weak", root_ca=False), "CN=weak root,O=tests (sha256:HASH...) is no certificate authority"),
        (chain("bare", root_ca=None), "CN=bare root,O=tests (sha256:HASH...) is no certificate authority"),
        (chain("ended", end=NOW - DAY), "CN=ended,O=tests (sha256:HASH...) is not valid at this time"),
        (chain("later", start=NOW + DAY), "CN=later,O=tests (sha256:HASH...) is not valid at this time"),
    ],
)
def test_chains_that_do_not_fit(wrong: Chain, problem: str) -> None:
    """A chain that is broken, over or of no authority is refused, and the certificate is named."""
    import re

    with pytest.raises(AnswerInvalid) as caught:
        check_certificate_chain(wrong, NOW)
    assert re.sub(r"sha256:[0-9a-f]{12}", "sha256:HASH", str(caught.value)) == f"the certificate {problem}"


def test_the_ends_belong_to_a_certificate() -> None:
    """A certificate is valid at its first and its last second, and not a moment later."""
    last = chain("ended", end=NOW - DAY)
    check_certificate_chain(last, START)
    check_certificate_chain(last, NOW - DAY)
    with pytest.raises(AnswerInvalid):
        check_certificate_chain(last, NOW - DAY + timedelta(seconds=1))


def test_a_timestamp_chain_holds_together_too() -> None:
    """A chain for timestamps that is over, or broken, is refused like any other."""
    with pytest.raises(AnswerInvalid, match="is not valid at this time"):
        check_timestamp_chain(chain("ended tsa", stamping=True, end=NOW - DAY), NOW)
    with pytest.raises(AnswerInvalid, match="is not issued by the next one"):
        check_timestamp_chain((chain("tsa", stamping=True)[0], chain()[1]), NOW)


@pytest.mark.parametrize(
    "wrong", [chain(), chain("lax", stamping=True, critical=False), chain("busy", stamping=True, also=True)]
)
def test_only_a_certificate_for_timestamps_stamps(wrong: Chain) -> None:
    """Without the extended key usage, with another beside it, or where it is not critical, it is no such chain."""
    with pytest.raises(AnswerInvalid, match="is not for timestamps alone"):
        check_timestamp_chain(wrong, NOW)


def test_a_note_without_base64_padding_is_refused() -> None:
    """Base64 is read strictly, in the hash and in signatures."""
    good = checkpoint(log_key())
    root = base64.b64encode(bytes(32))
    with pytest.raises(AnswerInvalid):
        read_checkpoint(good.replace(root, root.rstrip(b"=")))
