"""What stands beside the envelope in a Sigstore bundle, as bytes that nobody has verified yet.

Sources: `sigstore_bundle.proto` and `sigstore_rekor.proto` of protobuf-specs, in the JSON of protobuf; Rekor's signed
entry timestamp (`rekor/pkg/log`: RFC 8785 of four members); transparency-dev's checkpoint (c2sp.org/tlog-checkpoint).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attest.core.envelope import EnvelopeInvalid
from attest.core.strictjson import Json, loads, shown

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999; later ones are no times of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The signed head of a log: who says so, how large the tree is, and who signed that."""

    origin: str
    size: int
    signers: tuple[tuple[str, bytes], ...]
    """The name on each line with a signature, and the first four bytes of it, which hint at the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """An entry of a transparency log, as the bundle tells it."""

    log_id: bytes
    index: int
    kind: str
    version: str
    body: bytes
    """What was logged, in the canonical form that the log hashed."""
    integrated: datetime | None
    """When a Rekor v1 log says to have taken it; worth something under its promise alone."""
    promise: bytes | None
    """The log's signature over `promised`."""
    tree_size: int | None
    """The size of the tree of the inclusion proof; None where there is no proof."""
    checkpoint: str | None

    def promised(self) -> bytes:
        """What a Rekor v1 log's promise is a signature of (RFC 8785 of plain ASCII is sorted and has no spaces).

        Raises:
            ValueError: it names no time, so nothing was promised.
        """
        if self.integrated is None:
            raise ValueError("the entry names no integrated time")
        document = {
            "body": base64.b64encode(self.body).decode("ascii"),
            "integratedTime": (self.integrated - _EPOCH) // timedelta(seconds=1),
            "logID": self.log_id.hex(),
            "logIndex": self.index,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """All of a bundle's `verificationMaterial` but the hint at a key."""

    certificate: bytes | None
    """The signing certificate, in DER."""
    timestamps: tuple[bytes, ...]
    """RFC 3161 responses, in DER."""
    entries: tuple[LogEntry, ...]


def read_material(content: bytes) -> Material:
    """The verification material of a bundle that `read_bundle` has read.

    Raises:
        EnvelopeInvalid: `bundle-invalid`: something in it is not what the bundle's specification says.
    """
    material = _object(loads(content), "verificationMaterial")
    stamps = _object(material, "timestampVerificationData", {})
    return Material(
        certificate=_certificate(material),
        timestamps=tuple(_bytes(_each(one), "signedTimestamp") for one in _list(stamps, "rfc3161Timestamps")),
        entries=tuple(_entry(_each(one)) for one in _list(material, "tlogEntries")),
    )


def read_checkpoint(text: str) -> Checkpoint:
    """Origin, size and signers of a checkpoint, whose signatures and root hash others look at.

    Raises:
        ValueError: it is no signed note that begins with an origin and a size.
    """
    note, blank, signatures = text.partition("\n\n")
    origin, size, *_ = *note.split("\n"), ""
    lines = signatures.split("\n")
    if not blank or not origin or not _DECIMAL.fullmatch(size) or lines.pop() or not lines:
        raise ValueError("the checkpoint is no signed note that begins with an origin and a size")
    return Checkpoint(origin=origin, size=int(size), signers=tuple(_signer(line) for line in lines))


_DECIMAL: Final = re.compile("0|[1-9][0-9]{0,18}")
_SIGNED: Final = re.compile(r"\u2014 (?P<name>\S+) (?P<signature>[A-Za-z0-9+/]+={0,2})")


def _signer(line: str) -> tuple[str, bytes]:
    found = _SIGNED.fullmatch(line)
    if found is None:
        raise ValueError("a line of the checkpoint is no signature")
    signature = binascii.a2b_base64(found["signature"])
    if len(signature) < 5 or base64.b64encode(signature).decode("ascii") != found["signature"]:
        raise ValueError("a signature of the checkpoint is not canonical base64 of a key's hint and more")
    return found["name"], signature[:4]


def _certificate(material: dict[str, Any]) -> bytes | None:
    """The certificate of a bundle v0.3, or the first of the chain that earlier ones have."""
    if material.get("certificate") is not None:
        return _bytes(_object(material, "certificate"), "rawBytes")
    if material.get("x509CertificateChain") is None:
        return None
    chain = _list(_object(material, "x509CertificateChain"), "certificates")
    if not chain:
        raise _invalid("the certificate chain is empty")
    return _bytes(_each(chain[0]), "rawBytes")


def _entry(entry: dict[str, Any]) -> LogEntry:
    kind = _object(entry, "kindVersion")
    promise = _object(entry, "inclusionPromise", {})
    proof = _object(entry, "inclusionProof", {})
    checkpoint = _object(proof, "checkpoint", {})
    # Protobuf leaves a number out that is zero; no log took anything in 1970.
    seconds = _number(entry, "integratedTime", 0)
    if seconds > _LATEST:
        raise _invalid(f"integratedTime {seconds} is no time")
    return LogEntry(
        log_id=_bytes(_object(entry, "logId"), "keyId"),
        index=_number(entry, "logIndex", 0),
        kind=_text(kind, "kind"),
        version=_text(kind, "version"),
        body=_bytes(entry, "canonicalizedBody"),
        integrated=_EPOCH + timedelta(seconds=seconds) if seconds else None,
        promise=_bytes(promise, "signedEntryTimestamp") if promise else None,
        tree_size=_number(proof, "treeSize", 0) if proof else None,
        checkpoint=_text(checkpoint, "envelope") if checkpoint else None,
    )


def _invalid(message: str) -> EnvelopeInvalid:
    return EnvelopeInvalid("bundle-invalid", message)


def _each(value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{shown(value)} stands where an object has to")
    return value


def _object(parent: dict[str, Any], name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    value = parent.get(name)
    if value is None and default is not None:  # protobuf's JSON may say null for what is absent
        return default
    if not isinstance(value, dict):
        raise _invalid(f"{name} is not an object")
    return value


def _list(parent: dict[str, Any], name: str) -> list[Json]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _invalid(f"{name} is not an array")
    return value


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str):
        raise _invalid(f"{name} is not a string")
    return value


def _number(parent: dict[str, Any], name: str, default: int) -> int:
    """A 64-bit number, which the JSON of protobuf writes as a string."""
    value = parent.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise _invalid(f"{name} is not a number in a string")
    return int(value)


def _bytes(parent: dict[str, Any], name: str) -> bytes:
    """Standard base64 that encodes to the same text again, and not of nothing."""
    text = _text(parent, name)
    try:
        value = binascii.a2b_base64(text)
    except ValueError as error:
        raise _invalid(f"{name} is not base64") from error
    if not value or base64.b64encode(value).decode("ascii") != text:
        raise _invalid(f"{name} is not canonical base64")
    return value
