"""A small Sigstore made of keys alone: authority, CT log, Rekor v1 and v2, timestamps. Every single thing can be wrong.

`Recipe()` is a bundle as it should be; `dataclasses.replace` spoils one thing of it, and what hangs on that thing is
still made rightly. Nothing runs, nothing is random or of the clock: the same recipe gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AT: Final = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
"""When the forge's signatures are made."""
MINUTE: Final = timedelta(minutes=1)
YEAR: Final = timedelta(days=365)
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
ROOT: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
IN_TOTO: Final = "application/vnd.in-toto+json"
ISSUER: Final = "https://git.example.org/api/actions"
IDENTITY: Final = "https://git.example.org/plex/playlist/.forgejo/workflows/check.yml@refs/heads/main"
SHA256: Final = hashes.SHA256()
ECDSA: Final = ec.ECDSA(SHA256, deterministic_signing=True)
PAYLOAD: Final = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "image", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {"result": "PASSED", "configuration": []},
    }
).encode()

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


# DER (X.690), as much of it as certificates' extensions and timestamps need.


def tlv(tag: int, *contents: bytes) -> bytes:
    """One element: its tag, its length in the shortest form, its content."""
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*contents: bytes) -> bytes:
    """A SEQUENCE."""
    return tlv(0x30, *contents)


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytearray([first * 40 + second])
    for part in rest:
        septets = [part & 0x7F]
        while part := part >> 7:
            septets.append(0x80 | part & 0x7F)
        content += bytes(reversed(septets))
    return tlv(0x06, bytes(content))


def utf8(text: str) -> bytes:
    """A UTF8String."""
    return tlv(0x0C, text.encode())


def spki(key: Any) -> bytes:
    """A public key as DER SubjectPublicKeyInfo."""
    public = key.public_key() if hasattr(key, "public_key") else key
    der: bytes = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der


def sign(key: PrivateKey, message: bytes) -> bytes:
    """A signature by a P-256 or an Ed25519 key."""
    return key.sign(message) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(message, ECDSA)


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's encoding of what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@cache
def p256(name: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of this name."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1, ec.SECP256R1())


@cache
def ed(name: str) -> ed25519.Ed25519PrivateKey:
    """The Ed25519 key of this name."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


# Authorities and logs.


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A root and what it certifies: an issuing certificate (Fulcio), or one that signs timestamps."""

    name: str
    timestamping: bool = False
    not_before: datetime = AT - YEAR
    not_after: datetime = AT + YEAR
    leaf_not_after: datetime | None = None
    """The end of the lower certificate, if it is another."""
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING
    between: bool = False
    """Whether a certificate stands between the two."""
    alone: bool = False
    """Whether the lower certificate signs itself, and there is no other."""

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The key of the lower certificate."""
        return p256(self.name)

    @cached_property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The lower certificate first, the root last."""
        if self.alone:
            return (self._lower("lower"),)
        if not self.between:
            return self._lower("root"), self._root()
        middle = self._authority(self._builder("middle", "root", p256(f"{self.name} middle"), self.not_after), "root")
        return self._lower("middle"), middle, self._root()

    def _root(self) -> x509.Certificate:
        return self._authority(self._builder("root", "root", p256(f"{self.name} root"), self.not_after), "root")

    def _authority(self, builder: x509.CertificateBuilder, above: str) -> x509.Certificate:
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=2), critical=True)
            .add_extension(_key_usage(sign=False, certify=True), critical=True)
            .sign(p256(f"{self.name} {above}"), SHA256, ecdsa_deterministic=True)
        )

    def _lower(self, issuer: str) -> x509.Certificate:
        above = self.key if issuer == "lower" else p256(f"{self.name} {issuer}")
        builder = self._builder("lower", issuer, self.key, self.leaf_not_after or self.not_after).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False
        )
        if self.timestamping:
            return (
                builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_key_usage(sign=True, certify=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([self.usage]), critical=True)
                .sign(above, SHA256, ecdsa_deterministic=True)
            )
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(sign=False, certify=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .sign(above, SHA256, ecdsa_deterministic=True)
        )

    def _builder(self, subject: str, issuer: str, key: PrivateKey, end: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(f"{self.name} {subject}"))
            .issuer_name(_name(f"{self.name} {issuer}"))
            .public_key(key.public_key())
            .serial_number(int.from_bytes(hashlib.sha256(f"{self.name} {subject}".encode()).digest()[:8], "big") >> 1)
            .not_valid_before(self.not_before)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    def described(self, *, start: datetime | None = None, end: datetime | None = None) -> dict[str, Any]:
        """As a trusted root has it."""
        certificates = [{"rawBytes": b64(one.public_bytes(serialization.Encoding.DER))} for one in self.chain]
        return {
            "subject": {"organization": "forge", "commonName": self.name},
            "uri": f"https://{self.name}.example.org",
            "certChain": {"certificates": certificates},
            "validFor": _window(start or AT - YEAR, end),
        }

    def timestamp(self, message: bytes, at: datetime, *, status: int = 0, digest: str = "sha256") -> bytes:
        """A timestamp response over the message (RFC 3161 2.4.2, RFC 5652 5)."""
        algorithm = sequence(oid({"sha256": "2.16.840.1.101.3.4.2.1", "sha1": "1.3.14.3.2.26"}[digest]))
        sha256 = sequence(oid("2.16.840.1.101.3.4.2.1"))
        info = sequence(
            integer(1),
            oid("1.3.6.1.4.1.57264.2"),
            sequence(algorithm, tlv(0x04, hashlib.new(digest, message).digest())),
            integer(int.from_bytes(hashlib.sha256(message).digest()[:8], "big")),
            tlv(0x18, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode()),
        )
        lower = self.chain[0]
        certificate = hashlib.sha256(lower.public_bytes(serialization.Encoding.DER)).digest()
        attributes = sorted(
            [
                sequence(oid("1.2.840.113549.1.9.3"), tlv(0x31, oid(_TST_INFO))),
                sequence(oid("1.2.840.113549.1.9.4"), tlv(0x31, tlv(0x04, hashlib.sha256(info).digest()))),
                sequence(
                    oid("1.2.840.113549.1.9.16.2.47"), tlv(0x31, sequence(sequence(sequence(tlv(0x04, certificate)))))
                ),
            ]
        )
        signer = sequence(
            integer(1),
            sequence(lower.issuer.public_bytes(), integer(lower.serial_number)),
            sha256,
            tlv(0xA0, *attributes),
            sequence(oid("1.2.840.10045.4.3.2")),
            tlv(0x04, sign(self.key, tlv(0x31, *attributes))),
        )
        signed = sequence(
            integer(3),
            tlv(0x31, sha256),
            sequence(oid(_TST_INFO), tlv(0xA0, tlv(0x04, info))),
            tlv(0xA0, lower.public_bytes(serialization.Encoding.DER)),
            tlv(0x31, signer),
        )
        token = sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed))
        return sequence(sequence(integer(status)), token)


_TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"


@dataclass(frozen=True, kw_only=True)
class Log:
    """A transparency log: of certificates, Rekor v1 (P-256), or Rekor v2 (Ed25519)."""

    host: str
    v2: bool = False
    tree: int | None = None
    """The tree's number, which the origin of a Rekor v1 log has behind the host."""
    named: bytes | None = None
    """An id that does not follow from its key."""

    @cached_property
    def key(self) -> PrivateKey:
        """The log's key."""
        return ed(self.host) if self.v2 else p256(self.host)

    @cached_property
    def id(self) -> bytes:
        """The log's id (RFC 6962 3.2; c2sp.org/signed-note for Ed25519)."""
        if self.named is not None:
            return self.named
        if self.v2:
            return hashlib.sha256(self.host.encode() + b"\n\x01" + spki(self.key)[-32:]).digest()
        return hashlib.sha256(spki(self.key)).digest()

    @property
    def origin(self) -> str:
        """The first line of its checkpoints."""
        return self.host if self.tree is None else f"{self.host} - {self.tree}"

    def described(self, *, start: datetime | None = None, end: datetime | None = None) -> dict[str, Any]:
        """As a trusted root has it."""
        return {
            "baseUrl": f"https://{self.host}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(self.key)),
                "keyDetails": "PKIX_ED25519" if self.v2 else "PKIX_ECDSA_P256_SHA_256",
                "validFor": _window(start or AT - YEAR, end),
            },
            "logId": {"keyId": b64(self.id)},
        }


CA: Final = Authority(name="fulcio")
TSA: Final = Authority(name="timestamps", timestamping=True)
CT: Final = Log(host="ct.example.org")
REKOR_V1: Final = Log(host="rekor.example.org", tree=1193050959916656506)
REKOR_V2: Final = Log(host="log2026.example.org", v2=True)


def trusted_root(
    *,
    authorities: Sequence[dict[str, Any]] | None = None,
    logs: Sequence[dict[str, Any]] | None = None,
    ct_logs: Sequence[dict[str, Any]] | None = None,
    timestamping: Sequence[dict[str, Any]] | None = None,
    **changes: Any,
) -> bytes:
    """The forge's trusted root, with other parts if they are given, and with members changed."""
    document = {
        "mediaType": ROOT,
        "tlogs": [REKOR_V1.described(), REKOR_V2.described()] if logs is None else list(logs),
        "certificateAuthorities": [CA.described()] if authorities is None else list(authorities),
        "ctlogs": [CT.described()] if ct_logs is None else list(ct_logs),
        "timestampAuthorities": [TSA.described()] if timestamping is None else list(timestamping),
    }
    return json.dumps(document | changes).encode()


def _window(start: datetime, end: datetime | None) -> dict[str, str]:
    window = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return window if end is None else window | {"end": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, sign: bool, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        key_cert_sign=certify,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


# The bundle.

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
            .add_extension(_key_usage(sign=self.digital_signature, certify=False), critical=True)
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
