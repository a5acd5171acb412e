"""The keys and certificates of a private Sigstore, in the files that its services read."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

_BEFORE = datetime.timedelta(days=1)
_AFTER = datetime.timedelta(days=365)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A key, the chain over it from its own certificate up to the root, and the PEM files of both."""

    key: ec.EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]
    key_file: Path
    chain_file: Path


def make_certificate_authority(directory: Path, name: str = "fulcio") -> Authority:
    """An intermediate authority for code signing, under a root of its own."""
    root_key, root = _root(f"{name} root", path_length=1)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(f"{name} intermediate", root.subject, key.public_key(), root_key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return _write(directory, name, key, [builder.sign(root_key, hashes.SHA256()), root])


def make_timestamp_authority(directory: Path, name: str = "tsa") -> Authority:
    """A certificate for signing timestamps and nothing else (RFC 3161, section 2.3), under a root of its own."""
    root_key, root = _root(f"{name} root", path_length=0)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, root.subject, key.public_key(), root_key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    stamping: list[ObjectIdentifier] = [ExtendedKeyUsageOID.TIME_STAMPING]
    builder = builder.add_extension(x509.ExtendedKeyUsage(stamping), critical=True)
    return _write(directory, name, key, [builder.sign(root_key, hashes.SHA256()), root])


def write_log_key(path: Path) -> ed25519.Ed25519PublicKey:
    """Make the Ed25519 key of a log, write it as PEM, and return its public half."""
    key = ed25519.Ed25519PrivateKey.generate()
    _write_key(path, key)
    return key.public_key()


def write_public_key(path: Path, key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> Path:
    """Write a public key as PEM."""
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path


def _root(name: str, *, path_length: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(name, subject, key.public_key(), key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return key, builder.sign(key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "attest tests")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(directory: Path, name: str, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]) -> Authority:
    chain_file = directory / f"{name}.crt"
    chain_file.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
    key_file = directory / f"{name}.key"
    _write_key(key_file, key)
    return Authority(key=key, chain=chain, key_file=key_file, chain_file=chain_file)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
    plain = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    path.chmod(0o600)
