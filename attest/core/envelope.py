"""Sigstore bundles and DSSE envelopes, as bytes that nobody has verified yet.

Sources: sigstore bundle v0.3 (protobuf-specs, `sigstore_bundle.proto`), DSSE v1.0.2 (`protocol.md`,
`envelope.md`). An envelope here has exactly one signature: M of N is M bundles.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from attest.core import limits
from attest.core.oci import BUNDLE, BUNDLE_PREFIX, IN_TOTO
from attest.core.strictjson import Json, JsonInvalid, loads, shown


class EnvelopeInvalid(ValueError):
    """The bytes are no bundle with one DSSE envelope. `code` is the stable reason for listing it as rejected."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Envelope(NamedTuple):
    """A DSSE envelope: `signature` is over `pae(payload_type, payload)`. `hint` only says where to look first."""

    payload_type: str
    payload: bytes
    signature: bytes
    hint: str | None
    certified: bool = False
    """The bundle names a certificate, not a key, as what made the signature."""
    witnessed: bool = False
    """The bundle has log entries or timestamps, for whoever can verify them."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's Pre-Authentication Encoding; lengths count bytes (DSSE `protocol.md`, "Signature Definition")."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def write_bundle(*, payload: bytes, signature: bytes, hint: str) -> bytes:
    """A Sigstore bundle v0.3 of an in-toto Statement under a managed key.

    The DSSE `keyid` is left out: cosign skips a signature whose keyid is not the one that it computes itself. The
    empty `tlogEntries` is there for sigstore-python, whose reader asks for it.
    """
    document = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": base64.b64encode(signature).decode("ascii")}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def read_bundle(content: bytes) -> Envelope:
    """The envelope in a Sigstore bundle.

    Raises:
        EnvelopeInvalid: too large, not strict JSON, not a bundle, or not of exactly one DSSE envelope with exactly
            one signature.
    """
    bundle = _object(content)
    media_type = bundle.get("mediaType")
    if not isinstance(media_type, str) or not media_type.startswith(BUNDLE_PREFIX):
        raise EnvelopeInvalid("bundle-invalid", f"media type {shown(media_type)} is no Sigstore bundle")
    if "messageSignature" in bundle:
        raise EnvelopeInvalid("not-an-attestation", "a signature over a message, not an attestation")
    envelope = bundle.get("dsseEnvelope")
    if not isinstance(envelope, dict):
        raise EnvelopeInvalid("not-an-attestation", "the bundle holds no DSSE envelope")
    return _envelope(envelope, bundle.get("verificationMaterial"))


def read_envelope(content: bytes) -> Envelope:
    """The bare DSSE envelope that cosign before v3 stored.

    Raises:
        EnvelopeInvalid: as `read_bundle`.
    """
    return _envelope(_object(content), None)


def _object(content: bytes) -> dict[str, Any]:
    if len(content) > limits.BUNDLE:
        raise EnvelopeInvalid("bundle-too-large", f"more than {limits.BUNDLE} bytes")
    try:
        document = loads(content)
    except JsonInvalid as error:
        raise EnvelopeInvalid("bundle-invalid", f"not strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise EnvelopeInvalid("bundle-invalid", "not a JSON object")
    return document


def _envelope(envelope: dict[str, Any], material: Json) -> Envelope:
    hint, certified, witnessed = None, False, False
    if isinstance(material, dict):
        key = material.get("publicKey")
        hint = key.get("hint") if isinstance(key, dict) else None
        certified = "certificate" in material or "x509CertificateChain" in material
        if certified and key is not None:  # one of them, `sigstore_bundle.proto` says; two would be two answers
            raise EnvelopeInvalid("bundle-invalid", "the bundle names a key and a certificate")
        witnessed = bool(material.get("tlogEntries")) or "timestampVerificationData" in material
    payload_type, signatures = envelope.get("payloadType"), envelope.get("signatures")
    if not isinstance(payload_type, str):
        raise EnvelopeInvalid("bundle-invalid", "the envelope has no payloadType")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise EnvelopeInvalid("bundle-invalid", "the envelope has not exactly one signature")
    payload = _base64(envelope.get("payload"), "payload")
    signature = _base64(signatures[0].get("sig"), "sig")
    hint = hint if isinstance(hint, str) else None
    return Envelope(payload_type, payload, signature, hint, certified, witnessed)


_URL_SAFE = str.maketrans("-_", "+/")


def _base64(text: Json, name: str) -> bytes:
    """Either alphabet (DSSE `envelope.md`), one at a time, and only what encodes to the same text again: padded, with

    no stray bits and no white space (RFC 4648 3.3 and 3.5).
    """
    if not isinstance(text, str):
        raise EnvelopeInvalid("bundle-invalid", f"{name} is not base64")
    standard = text
    if "-" in text or "_" in text:
        standard = text.translate(_URL_SAFE)
        if "+" in text or "/" in text:
            raise EnvelopeInvalid("bundle-invalid", f"{name} is not base64 of one alphabet")
    try:
        data = binascii.a2b_base64(standard, strict_mode=True)
    except ValueError as error:
        raise EnvelopeInvalid("bundle-invalid", f"{name} is not base64") from error
    if standard.endswith("="):  # only the last group can have bits to spare, where it is padded
        rest = data[(len(data) - 1) // 3 * 3 :]
        if binascii.b2a_base64(rest, newline=False).decode("ascii") != standard[-4:]:
            raise EnvelopeInvalid("bundle-invalid", f"{name} is not canonical base64")
    return data
