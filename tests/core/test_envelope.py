"""Bundles and DSSE envelopes: what is read, what is refused with which code, and what exactly is signed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.envelope import Envelope, EnvelopeInvalid, pae, read_bundle, read_envelope, write_bundle
from attest.core.oci import BUNDLE, IN_TOTO


def document(**changes: Any) -> dict[str, Any]:
    """A bundle as JSON, with members of its envelope changed; None takes one out."""
    envelope: dict[str, Any] = {
        "payload": base64.b64encode(b"payload").decode(),
        "payloadType": IN_TOTO,
        "signatures": [{"sig": base64.b64encode(b"signature").decode()}],
    }
    envelope |= changes
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": "hint"}},
        "dsseEnvelope": {name: value for name, value in envelope.items() if value is not None},
    }


def read(bundle: Any) -> Envelope:
    return read_bundle(json.dumps(bundle).encode())


def test_pae_is_that_of_the_specification() -> None:
    """The encoding is byte for byte the test vector of DSSE's protocol.md."""
    encoded = pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@pytest.mark.parametrize(
    ("payload_type", "payload", "encoded"),
    [
        ("é", b"x", b"DSSEv1 2 \xc3\xa9 1 x"),
        ("t", "é😀".encode(), b"DSSEv1 1 t 6 \xc3\xa9\xf0\x9f\x98\x80"),
        ("", b"", b"DSSEv1 0  0 "),
        ("t", b"\x00\xff\n", b"DSSEv1 1 t 3 \x00\xff\n"),
    ],
)
def test_pae_counts_bytes(payload_type: str, payload: bytes, encoded: bytes) -> None:
    """Lengths count bytes and not characters, for the type as for the payload, which may be any bytes."""
    assert pae(payload_type, payload) == encoded


@given(st.text(), st.binary(), st.text(), st.binary())
def test_pae_is_injective(first_type: str, first: bytes, second_type: str, second: bytes) -> None:
    """Two different pairs of type and payload never encode alike."""
    same = (first_type, first) == (second_type, second)
    try:
        assert (pae(first_type, first) == pae(second_type, second)) == same
    except UnicodeEncodeError:
        assert any("\ud800" <= character <= "\udfff" for character in first_type + second_type)


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=80), st.text(max_size=20))
def test_what_is_written_is_read_back(payload: bytes, signature: bytes, hint: str) -> None:
    """A written bundle reads as the same payload, signature and hint, of the in-toto type."""
    envelope = read_bundle(write_bundle(payload=payload, signature=signature, hint=hint))
    assert envelope == Envelope(payload_type=IN_TOTO, payload=payload, signature=signature, hint=hint)


def test_a_bundle_is_written_as_cosign_reads_it() -> None:
    """The written bundle has the v0.3 media type, the hint, exactly one signature and no keyid."""
    written = json.loads(write_bundle(payload=b"p", signature=b"s", hint="h"))
    assert written == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "h"}, "tlogEntries": []},
        "dsseEnvelope": {"payload": "cA==", "payloadType": IN_TOTO, "signatures": [{"sig": "cw=="}]},
    }


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
    ],
)
def test_every_form_of_the_media_type_is_read(media_type: str) -> None:
    """Bundles with the current and with the older media types are read."""
    assert read({**document(), "mediaType": media_type}).payload == b"payload"


@pytest.mark.parametrize("media_type", [None, 3, "", "application/json", "x application/vnd.dev.sigstore.bundle"])
def test_another_media_type_is_refused(media_type: Any) -> None:
    """What does not say that it is a Sigstore bundle is none."""
    with pytest.raises(EnvelopeInvalid, match="is no Sigstore bundle") as caught:
        read({**document(), "mediaType": media_type})
    assert caught.value.code == "bundle-invalid"


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        ({**document(), "messageSignature": {}}, "a signature over a message"),
        ({**document(), "dsseEnvelope": None}, "holds no DSSE envelope"),
        ({**document(), "dsseEnvelope": []}, "holds no DSSE envelope"),
        ({"mediaType": BUNDLE}, "holds no DSSE envelope"),
    ],
)
def test_a_bundle_of_something_else_is_not_an_attestation(bundle: Any, message: str) -> None:
    """A bundle without an envelope, or with a message signature beside one, has a code of its own."""
    with pytest.raises(EnvelopeInvalid, match=message) as caught:
        read(bundle)
    assert caught.value.code == "not-an-attestation"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not strict JSON"), (b"[]", "not a JSON object"), (b'{"a":1,"a":1}', "stands twice"), (b"\xff", "UTF-8")],
)
def test_what_is_no_json_object_is_refused(content: bytes, message: str) -> None:
    """Bundles and envelopes are strict JSON objects."""
    for reader in (read_bundle, read_envelope):
        with pytest.raises(EnvelopeInvalid, match=message) as caught:
            reader(content)
        assert caught.value.code == "bundle-invalid"


def test_size_is_limited_exactly() -> None:
    """A bundle of 8 MiB is read and one more byte refuses it, before it is parsed."""
    content = json.dumps(document()).encode()
    assert read_bundle(content + b" " * (limits.BUNDLE - len(content))).payload == b"payload"
    with pytest.raises(EnvelopeInvalid, match="more than 8388608 bytes") as caught:
        read_bundle(content + b" " * (limits.BUNDLE - len(content) + 1))
    assert caught.value.code == "bundle-too-large"


@pytest.mark.parametrize("payload_type", [None, 1, ["a"], {}])
def test_an_envelope_without_a_payload_type_is_refused(payload_type: Any) -> None:
    """The payload type is a string."""
    with pytest.raises(EnvelopeInvalid, match="the envelope has no payloadType") as caught:
        read(document(payloadType=payload_type))
    assert caught.value.code == "bundle-invalid"


@pytest.mark.parametrize(
    "signatures", [None, [], {}, "sig", [{"sig": "cw=="}, {"sig": "cw=="}], [["sig", "cw=="]], [None]]
)
def test_an_envelope_has_exactly_one_signature(signatures: Any) -> None:
    """None, two, or something that is no signature: nobody has to choose which one counts."""
    with pytest.raises(EnvelopeInvalid, match="not exactly one signature") as caught:
        read(document(signatures=signatures))
    assert caught.value.code == "bundle-invalid"


@pytest.mark.parametrize("member", ["payload", "sig"])
@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "a",
        "ab",
        "abc",
        "abc==",
        "ab==\n",
        " ab==",
        "a b=",
        "ab=c",
        "=",
        "====",
        "YR==",
        "YWJ=",
        "+_==",
        "+_aa",
        "+-aa",
        "/_aa",
        "/-aa",
        "YQ",
        "é",
        "ab%3D",
    ],
)
def test_only_canonical_base64_is_read(member: str, text: Any) -> None:
    """Junk, white space, missing or surplus padding, stray bits and mixed alphabets are refused, and named."""
    bundle = document(signatures=[{"sig": text}]) if member == "sig" else document(payload=text)
    with pytest.raises(EnvelopeInvalid, match=f"{member} is not") as caught:
        read(bundle)
    assert caught.value.code == "bundle-invalid"


@given(st.binary(max_size=64))
def test_both_base64_alphabets_are_read(data: bytes) -> None:
    """The standard and the URL-safe alphabet read as the same bytes (DSSE envelope.md)."""
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        assert read(document(payload=encode(data).decode())).payload == data
        assert read(document(signatures=[{"sig": encode(data).decode()}])).signature == data


@pytest.mark.parametrize(
    "material",
    [None, [], "x", {}, {"publicKey": None}, {"publicKey": []}, {"publicKey": {"hint": 1}}, {"certificate": {}}],
)
def test_a_bundle_without_a_hint_is_read(material: Any) -> None:
    """The hint is optional, and a malformed one is none: it never decides anything."""
    assert read({**document(), "verificationMaterial": material}).hint is None


def test_a_bare_envelope_is_read() -> None:
    """What cosign stored before v3 is an envelope without a bundle, and so without a hint."""
    envelope = read_envelope(json.dumps(document()["dsseEnvelope"]).encode())
    assert envelope == Envelope(payload_type=IN_TOTO, payload=b"payload", signature=b"signature", hint=None)


@pytest.mark.parametrize("changes", [{"payload": ""}, {"payloadType": ""}])
def test_empty_bytes_may_be_signed_too(changes: dict[str, str]) -> None:
    """An empty payload or type is read, so that a trusted signature over it is seen and refuses the image."""
    envelope = read(document(**changes))
    assert b"" in (envelope.payload, envelope.payload_type.encode())
