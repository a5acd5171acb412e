"""Certificate chains, keys and trust documents, made in memory for the tests of the core."""

from __future__ import annotations

import base64
import functools
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from attest.core.trust.root import (
    Authority,
    Log,
    Selector,
    Service,
    SigningConfig,
    TrustedRoot,
    authority_of,
    log_ids,
    log_of,
    origin_of,
)
from attest.core.trust.window import Window

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
OPEN = Window(start=START)
DAY = timedelta(days=1)
STAMPING: list[ObjectIdentifier] = [ExtendedKeyUsageOID.TIME_STAMPING]


def p256() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def log_key(number: int = 0) -> ed25519.Ed25519PrivateKey:
    """One of several Ed25519 keys."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def chain(
    name: str = "test",
    *,
    stamping: bool = False,
    leaf_ca: bool = True,
    root_ca: bool | None = True,
    start: datetime = START,
    end: datetime = START + timedelta(days=3650),
    critical: bool = True,
    also: bool = False,
) -> tuple[x509.Certificate, x509.Certificate]:
    """A certificate and its root; `root_ca` None leaves the basic constraints out, `also` adds another key usage."""
    root_key, key = p256(), p256()
    root = _certificate(f"{name} root", f"{name} root", root_key, root_key, start, end, ca=root_ca)
    usage = [*STAMPING, *([ExtendedKeyUsageOID.CODE_SIGNING] if also else [])] if stamping else None
    issued = _certificate(
        name, f"{name} root", key, root_key, start, end, ca=leaf_ca and not stamping, usage=usage, critical=critical
    )
    return issued, root


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
    *,
    ca: bool | None,
    usage: list[ObjectIdentifier] | None = None,
    critical: bool = True,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=critical)
    return builder.sign(signer, hashes.SHA256())


def anonymous() -> x509.Certificate:
    """A certificate whose subject is empty."""
    key = p256()
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    builder = builder.public_key(key.public_key()).serial_number(1).not_valid_before(START).not_valid_after(NOW)
    return builder.sign(key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def authority(url: str = "https://fulcio.example.org", window: Window = OPEN, *, name: str = "test") -> Authority:
    """A certificate authority."""
    return authority_of(url, chain(name), window)


def stamper(url: str = "https://tsa.example.org/api/v1/timestamp", window: Window = OPEN) -> Authority:
    """A timestamp authority."""
    return authority_of(url, chain("tsa", stamping=True), window)


def log(url: str = "https://rekor.example.org", window: Window = OPEN, *, number: int = 0) -> Log:
    """A Rekor v2 log."""
    key = log_key(number).public_key()
    return log_of(url, key, log_ids(key, origin_of(url))[1], window)


@functools.cache
def ct_key() -> ec.EllipticCurvePublicKey:
    """The key of a certificate transparency log."""
    return p256().public_key()


def ct_log(url: str = "https://ct.example.org/2026", window: Window = OPEN) -> Log:
    """A certificate transparency log."""
    return log_of(url, ct_key(), log_ids(ct_key(), "")[0], window)


def root(
    *,
    certificate_authorities: tuple[Authority, ...] | None = None,
    logs: tuple[Log, ...] | None = None,
    ct_logs: tuple[Log, ...] | None = None,
    timestamp_authorities: tuple[Authority, ...] | None = None,
) -> TrustedRoot:
    """A trusted root with one of each, but for what is given."""
    return TrustedRoot(
        certificate_authorities=(authority(),) if certificate_authorities is None else certificate_authorities,
        logs=(log(),) if logs is None else logs,
        ct_logs=(ct_log(),) if ct_logs is None else ct_logs,
        timestamp_authorities=(stamper(),) if timestamp_authorities is None else timestamp_authorities,
    )


def service(url: str, version: int = 1, window: Window = OPEN) -> Service:
    """A service of one operator."""
    return Service(url=url, version=version, window=window, operator="example.org")


def signing(
    *,
    logs: tuple[Service, ...] | None = None,
    log_selector: Selector | None = None,
    timestamp_authorities: tuple[Service, ...] | None = None,
) -> SigningConfig:
    """A signing configuration that asks the services of `root`, but for what is given."""
    stamps = (service("https://tsa.example.org/api/v1/timestamp"),)
    return SigningConfig(
        certificate_authorities=(service("https://fulcio.example.org"),),
        issuers=(),
        logs=(service("https://rekor.example.org", 2),) if logs is None else logs,
        timestamp_authorities=stamps if timestamp_authorities is None else timestamp_authorities,
        log_selector=log_selector,
        timestamp_selector=None,
    )


def pem(certificates: tuple[x509.Certificate, ...]) -> bytes:
    """Certificates in PEM."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> bytes:
    """A public key in PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def checkpoint(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    origin: str = "rekor.example.org",
    name: str | None = None,
    key_id: bytes | None = None,
) -> bytes:
    """A signed checkpoint; `name` and `key_id` are what the line with the signature says, where it should lie."""
    text = f"{origin}\n7\n{base64.b64encode(bytes(32)).decode()}\n".encode()
    match key:
        case ed25519.Ed25519PrivateKey():
            signature = key.sign(text)
        case ec.EllipticCurvePrivateKey():
            signature = key.sign(text, ec.ECDSA(hashes.SHA256()))
        case _:
            signature = bytes(256)
    identity = log_ids(key.public_key(), origin)[1][:4] if key_id is None else key_id
    encoded = base64.b64encode(identity + signature).decode()
    return text + f"\n— {origin if name is None else name} {encoded}\n".encode()
