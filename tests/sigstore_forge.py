"""Sigstore bundles made of keys alone, at the instance of tests/sigstore_instance.py. Every single thing can be wrong.

`Recipe()` is a bundle as it should be; `dataclasses.replace` spoils one thing of it, and what hangs on that thing is
still made rightly. Nothing runs, nothing is random or of the clock: the same recipe gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sigstore_instance import (
    AT,
    CA,
    CT,
    MINUTE,
    REKOR_V1,
    REKOR_V2,
    SHA256,
    TSA,
    Authority,
    Log,
    PrivateKey,
    b64,
    key_usage,
    p256,
    sign,
    spki,
    tlv,
    trusted_root,
    utf8,
)

__all__ = [
    "AT",
    "BUNDLE",
    "CLAIMS",
    "IDENTITY",
    "IN_TOTO",
    "ISSUER",
    "MINUTE",
    "PAYLOAD",
    "Authority",
    "Certificate",
    "Log",
    "Recipe",
    "b64",
    "canonical",
    "leaf_hash",
    "node_hash",
    "pae",
    "sign",
    "trusted_root",
    "utf8",
]
"""Its own names, and what every bundle has to do with of the instance."""

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO: Final = "application/vnd.in-toto+json"
ISSUER: Final = "https://git.example.org/api/actions"
IDENTITY: Final = "https://git.example.org/plex/playlist/.forgejo/workflows/check.yml@refs/heads/main"
PAYLOAD: Final = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "image", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {"result": "PASSED", "configuration": []},
    }
).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's encoding of what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


CLAIMS: Final[Mapping[str, bytes]] = {
    "1": ISSUER.encode(),
    "8": utf8(ISSUER),
    "12": utf8("https://git.example.org/plex/playlist"),
    "13": utf8("c" * 40),
    "14": utf8("refs/heads/main"),
    "18": utf8(IDENTITY),
    "20": utf8("push"),
    "21": utf8("https://git.example.org/plex/playlist/actions/runs/7"),
}
"""Extensions below Fulcio's arc, by their last number."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A recipe for a signing certificate."""

    ca: Authority = CA
    issuer: Authority | None = None
    """Whose name stands in it as the issuer's, if it is not the one that signs it."""
    key: Any = field(default_factory=lambda: p256("job").public_key())
    not_before: datetime = AT
    not_after: datetime = AT + 10 * MINUTE
    digital_signature: bool = True
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING
    names: Sequence[x509.GeneralName] | None = (x509.UniformResourceIdentifier(IDENTITY),)
    claims: Mapping[str, bytes] = field(default_factory=lambda: CLAIMS)
    ct_logs: Sequence[Log] = (CT,)
    """Those whose promises it holds."""
    ct_key: PrivateKey | None = None
    """The key that made them, if it is not the log's."""

    @cached_property
    def made(self) -> x509.Certificate:
        """The certificate."""
        promises = [self._promise(log) for log in self.ct_logs]
        if not promises:
            return self._signed(None)
        serialized = b"".join(struct.pack(">H", len(one)) + one for one in promises)
        return self._signed(tlv(0x04, struct.pack(">H", len(serialized)) + serialized))

    @property
    def der(self) -> bytes:
        """The certificate, in DER."""
        return self.made.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate, in PEM."""
        return self.made.public_bytes(serialization.Encoding.PEM)

    def _signed(self, promises: bytes | None) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name((self.issuer or self.ca).chain[0].subject)
            .public_key(self.key)
            .serial_number(4711)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
            .add_extension(key_usage(sign=self.digital_signature, certify=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key((self.issuer or self.ca).key.public_key()), False
            )
        )
        if self.usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([self.usage]), critical=False)
        if self.names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.names), critical=True)
        for number, value in self.claims.items():
            claim = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(claim, value), critical=False)
        if promises is not None:
            listed = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), promises)
            builder = builder.add_extension(listed, critical=False)
        return builder.sign(self.ca.key, SHA256, ecdsa_deterministic=True)

    def _promise(self, log: Log) -> bytes:
        """A signed certificate timestamp of the certificate without any (RFC 6962 3.2)."""
        tbs = self._signed(None).tbs_certificate_bytes
        milliseconds = int(self.not_before.timestamp() * 1000)
        signed = struct.pack(">BBQH", 0, 0, milliseconds, 1) + hashlib.sha256(spki(self.ca.key)).digest()
        signature = sign(self.ct_key or log.key, signed + len(tbs).to_bytes(3, "big") + tbs + b"\0\0")
        head = struct.pack(">B32sQH", 0, log.id, milliseconds, 0)
        return head + struct.pack(">BBH", 4, 3, len(signature)) + signature


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe for a bundle: a keyless one, or with `hint` one of a managed key."""

    kind: str = "dsse"
    """The kind of its log entry: dsse or intoto (Rekor v1), or hashedrekord (Rekor v2)."""
    certificate: Certificate = Certificate()
    hint: str | None = None
    payload: bytes = PAYLOAD
    payload_type: str = IN_TOTO
    signer: ec.EllipticCurvePrivateKey = field(default_factory=lambda: p256("job"))
    signature: bytes | None = None
    """What stands in the envelope instead of the signer's signature."""
    stamps: Sequence[tuple[Authority, datetime]] | None = None
    """Timestamps over the signature; by default one under Rekor v2, and none under v1, whose log says a time itself."""
    stamped: bytes | None = None
    """What is timestamped instead of the signature."""
    log: Log | None = None
    log_id: bytes | None = None
    integrated: datetime | None = AT + MINUTE
    """When a Rekor v1 log says to have taken it."""
    promised: bool = True
    promise_key: PrivateKey | None = None
    logged_payload: bytes | None = None
    logged_signature: bytes | None = None
    logged_verifier: bytes | None = None
    """In PEM (Rekor v1); what the entry is about, where that is not this envelope."""
    body: bytes | None = None
    proof: bool = True
    leaf: bytes | None = None
    """What the inclusion proof is for, if not the entry's body."""
    origin: str | None = None
    checkpoint_key: PrivateKey | None = None
    checkpoint_root: bytes | None = None
    checkpoint_size: int | None = None

    @property
    def v2(self) -> bool:
        """Whether the log is a Rekor v2."""
        return self.kind == "hashedrekord"

    @property
    def its_log(self) -> Log:
        """The log of its entry."""
        return self.log or (REKOR_V2 if self.v2 else REKOR_V1)

    @cached_property
    def its_signature(self) -> bytes:
        """The signature in the envelope."""
        return self.signature or sign(self.signer, pae(self.payload_type, self.payload))

    @cached_property
    def its_body(self) -> bytes:
        """What was logged, as canonical JSON."""
        if self.body is not None:
            return self.body
        payload = self.payload if self.logged_payload is None else self.logged_payload
        signature = self.its_signature if self.logged_signature is None else self.logged_signature
        verifier = self.certificate.pem if self.logged_verifier is None else self.logged_verifier
        hashed = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
        version, spec = "0.0.1", {}
        match self.kind:
            case "dsse":
                spec = {
                    "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
                    "payloadHash": hashed,
                    "signatures": [{"signature": b64(signature), "verifier": b64(verifier)}],
                }
            case "intoto":
                version = "0.0.2"
                only = {"publicKey": b64(verifier), "sig": b64(b64(signature).encode())}
                envelope = {"payloadType": self.payload_type, "signatures": [only]}
                spec = {"content": {"envelope": envelope, "hash": hashed, "payloadHash": hashed}}
            case _:
                version = "0.0.2"
                digest = hashlib.sha256(pae(self.payload_type, payload)).digest()
                certificate = x509.load_pem_x509_certificate(verifier).public_bytes(serialization.Encoding.DER)
                made_by = {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "x509Certificate": {"rawBytes": b64(certificate)},
                }
                record = {
                    "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
                    "signature": {"content": b64(signature), "verifier": made_by},
                }
                spec = {"hashedRekordV002": record}
        return canonical({"apiVersion": version, "kind": self.kind, "spec": spec})

    @cached_property
    def document(self) -> dict[str, Any]:
        """The bundle, as JSON to be spoiled further."""
        material: dict[str, Any] = {"tlogEntries": [self._entry()]}
        if self.hint is None:
            material["certificate"] = {"rawBytes": b64(self.certificate.der)}
        else:
            material["publicKey"] = {"hint": self.hint}
        stamps = self.stamps if self.stamps is not None else [(TSA, AT + MINUTE)] if self.v2 else []
        if stamps:
            over = self.its_signature if self.stamped is None else self.stamped
            responses = [{"signedTimestamp": b64(tsa.timestamp(over, at))} for tsa, at in stamps]
            material["timestampVerificationData"] = {"rfc3161Timestamps": responses}
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": b64(self.payload),
                "payloadType": self.payload_type,
                "signatures": [{"sig": b64(self.its_signature)}],
            },
        }

    @property
    def content(self) -> bytes:
        """The bundle."""
        return json.dumps(self.document).encode()

    def _entry(self) -> dict[str, Any]:
        log, index = self.its_log, 2
        log_id = log.id if self.log_id is None else self.log_id
        entry: dict[str, Any] = {
            "logIndex": str(index),
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": self.kind, "version": "0.0.1" if self.kind == "dsse" else "0.0.2"},
            "canonicalizedBody": b64(self.its_body),
        }
        if self.proof:
            entry["inclusionProof"] = self._proof(index)
        if not self.v2 and self.integrated is not None:
            seconds = int(self.integrated.timestamp())
            entry["integratedTime"] = str(seconds)
            if self.promised:
                promise = {
                    "body": b64(self.its_body),
                    "integratedTime": seconds,
                    "logID": log_id.hex(),
                    "logIndex": index,
                }
                signed = sign(self.promise_key or log.key, canonical(promise))
                entry["inclusionPromise"] = {"signedEntryTimestamp": b64(signed)}
        return entry

    def _proof(self, index: int) -> dict[str, Any]:
        """The third leaf of five: its neighbour, the two before, and the fifth (RFC 6962 2.1.1)."""
        leaves = [leaf_hash(f"leaf {i}".encode()) for i in range(5)]
        leaves[index] = leaf_hash(self.its_body if self.leaf is None else self.leaf)
        pair, other = node_hash(leaves[0], leaves[1]), node_hash(leaves[2], leaves[3])
        root = node_hash(node_hash(pair, other), leaves[4])
        return {
            "logIndex": str(index),
            "rootHash": b64(root),
            "treeSize": "5",
            "hashes": [b64(leaves[3]), b64(pair), b64(leaves[4])],
            "checkpoint": {"envelope": self._checkpoint(root)},
        }

    def _checkpoint(self, root: bytes) -> str:
        log = self.its_log
        origin = log.origin if self.origin is None else self.origin
        size = 5 if self.checkpoint_size is None else self.checkpoint_size
        note = f"{origin}\n{size}\n{b64(root if self.checkpoint_root is None else self.checkpoint_root)}\n"
        signature = sign(self.checkpoint_key or log.key, note.encode())
        return f"{note}\n\u2014 {origin.partition(' - ')[0]} {b64(log.id[:4] + signature)}\n"


def canonical(document: Any) -> bytes:
    """JSON without white space and with sorted members (RFC 8785, for plain ASCII)."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def leaf_hash(data: bytes) -> bytes:
    """A leaf of a Merkle tree."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """A node of a Merkle tree."""
    return hashlib.sha256(b"\1" + left + right).digest()
