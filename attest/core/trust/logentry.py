"""Whether an entry of a Rekor v1 log is of exactly this envelope.

Any entry of a log proves that something was logged; an attacker can log what they like and show that (CVE-2022-36056,
CVE-2026-22703). Sources: Rekor's `pkg/types/dsse/v0.0.1` and `pkg/types/intoto/v0.0.2` schemas. The body keeps a hash
of the payload, the signature, and in PEM what verified it; the hash of the whole envelope, which is over JSON that
nobody else can write again, proves nothing more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from attest.core.certificate import NotCertified, Uncertified
from attest.core.envelope import Envelope
from attest.core.material import LogEntry
from attest.core.strictjson import Json, JsonInvalid, loads, shown


def logged_verifier(entry: LogEntry, envelope: Envelope) -> bytes:
    """What verified the signature when it was logged, in PEM: a certificate or a public key.

    Raises:
        NotCertified: `log-entry-differs`: the entry is of another kind, or of another payload or signature.
    """
    body = _body(entry)
    match entry.kind, entry.version:
        case "dsse", "0.0.1":
            spec, signature = _object(body, "spec"), envelope.signature
            logged, verifier = _only(spec, "signature", "verifier")
        case "intoto", "0.0.2":
            spec = _object(_object(body, "spec"), "content")
            # The type keeps base64 in base64: the JSON of a byte string that holds the DSSE field as it stands.
            signature = base64.b64encode(envelope.signature)
            logged, verifier = _only(_object(spec, "envelope"), "sig", "publicKey")
            if _object(spec, "envelope").get("payloadType") != envelope.payload_type:
                raise _differs("it is of another payloadType")
        case _:
            raise _differs(f"its kind is {shown(entry.kind)} {shown(entry.version)}, not that of an attestation")
    hashed = _object(spec, "payloadHash")
    if hashed.get("algorithm") != "sha256" or hashed.get("value") != hashlib.sha256(envelope.payload).hexdigest():
        raise _differs("it is of another payload")
    if logged != signature:
        raise _differs("it is of another signature")
    return verifier


def _body(entry: LogEntry) -> dict[str, Any]:
    try:
        body = loads(entry.body)
    except JsonInvalid as error:
        raise _differs(f"its body is not strict JSON: {error}") from error
    if not isinstance(body, dict) or (body.get("kind"), body.get("apiVersion")) != (entry.kind, entry.version):
        raise _differs("its body is of another kind than the bundle says")
    return body


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise _differs(f"its body has no {name}")
    return value


def _only(parent: dict[str, Any], signature: str, verifier: str) -> tuple[bytes, bytes]:
    """The one signature in the body, and what verified it."""
    match parent.get("signatures"):
        case [dict() as only]:
            return _base64(only.get(signature), signature), _base64(only.get(verifier), verifier)
        case _:
            raise _differs("its body has not exactly one signature")


def _base64(text: Json, name: str) -> bytes:
    if not isinstance(text, str):
        raise _differs(f"its {name} is not base64")
    try:
        value = binascii.a2b_base64(text)
    except ValueError as error:
        raise _differs(f"its {name} is not base64") from error
    if base64.b64encode(value).decode("ascii") != text:
        raise _differs(f"its {name} is not canonical base64")
    return value


def _differs(message: str) -> NotCertified:
    return NotCertified(Uncertified.LOG_ENTRY_DIFFERS, f"the log entry is not of this envelope: {message}")
