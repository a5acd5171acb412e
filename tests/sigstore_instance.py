"""The instance of which bundles are forged: authorities and logs made of keys alone, and the trusted root of them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
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
ROOT: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
SHA256: Final = hashes.SHA256()
ECDSA: Final = ec.ECDSA(SHA256, deterministic_signing=True)

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
            .add_extension(key_usage(sign=False, certify=True), critical=True)
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
                .add_extension(key_usage(sign=True, certify=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([self.usage]), critical=True)
                .sign(above, SHA256, ecdsa_deterministic=True)
            )
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(sign=False, certify=True), critical=True)
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


def key_usage(*, sign: bool, certify: bool) -> x509.KeyUsage:
    """A key usage of signing data, certificates, or both."""
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
