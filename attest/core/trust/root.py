"""Whom Sigstore's signers ask and its verifiers believe: trusted roots, signing configurations, and their rotation.

Source: sigstore `protobuf-specs`, `sigstore_trustroot.proto`. The documents are `attest.core.trust.document`.
What a trusted root means for verifying is not decided here; this is for people who set services up and rotate keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from attest.core.keys import PublicKey
from attest.core.trust.window import Window

if TYPE_CHECKING:  # loaded where a certificate is read, as in attest.core.certificate
    from cryptography import x509

_CURVES: Final[Mapping[str, str]] = {
    "secp256r1": "PKIX_ECDSA_P256_SHA_256",
    "secp384r1": "PKIX_ECDSA_P384_SHA_384",
    "secp521r1": "PKIX_ECDSA_P521_SHA_512",
}
_RSA_BITS: Final = (2048, 3072, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate or timestamp authority: its chain, from the certificate that signs up to the root."""

    url: str
    chain: tuple[x509.Certificate, ...]
    window: Window
    """When it is to be believed; both ends belong to it."""
    organization: str = ""
    common_name: str = ""
    operator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A transparency log, or a certificate transparency log."""

    url: str
    key: bytes = field(repr=False)
    """DER, as the document has it."""
    details: str
    """The key's algorithm, as `PublicKeyDetails` names it."""
    log_id: bytes
    window: Window
    hash_algorithm: str = "SHA2_256"
    checkpoint_key_id: bytes | None = None
    operator: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER public key (SubjectPublicKeyInfo, also where the document has it as PKCS #1)."""
        return f"sha256:{hashlib.sha256(key_bytes(key_of(self.key))).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoot:
    """Whom a verifier believes, and from when to when."""

    certificate_authorities: tuple[Authority, ...]
    logs: tuple[Log, ...]
    ct_logs: tuple[Log, ...]
    timestamp_authorities: tuple[Authority, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that a signer asks."""

    url: str
    version: int
    """The major version of its API."""
    window: Window
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """How many of several services a signer asks: `ALL`, `ANY` (one of them), or `EXACT`ly `count`."""

    selector: str
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningConfig:
    """Which services a signer asks."""

    certificate_authorities: tuple[Service, ...]
    issuers: tuple[Service, ...]
    logs: tuple[Service, ...]
    timestamp_authorities: tuple[Service, ...]
    log_selector: Selector | None
    timestamp_selector: Selector | None


def authority_of(url: str, chain: tuple[x509.Certificate, ...], window: Window) -> Authority:
    """An authority at an address, named as its root certificate is."""
    from cryptography.x509.oid import NameOID

    names = {
        oid: next((str(one.value) for one in chain[-1].subject.get_attributes_for_oid(oid)), "")
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
    }
    return Authority(
        url=url,
        chain=chain,
        window=window,
        organization=names[NameOID.ORGANIZATION_NAME],
        common_name=names[NameOID.COMMON_NAME],
    )


def log_of(url: str, key: PublicKey, log_id: bytes, window: Window) -> Log:
    """A log with this key.

    Raises:
        ValueError: the key is of an algorithm that the Sigstore clients do not verify with.
    """
    return Log(url=url, key=key_bytes(key), details=key_details(key), log_id=log_id, window=window)


def key_details(key: PublicKey) -> str:
    """How `PublicKeyDetails` names the algorithm of a key.

    Raises:
        ValueError: it has no name that the Sigstore clients verify with.
    """
    match key:
        case ed25519.Ed25519PublicKey():
            return "PKIX_ED25519"
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
            return f"PKIX_RSA_PKCS1V15_{key.key_size}_SHA256"
        case ec.EllipticCurvePublicKey():
            raise ValueError(f"an ECDSA key on {key.curve.name}; P-256, P-384 and P-521 are verified")
        case _:
            raise ValueError(f"an RSA key of {key.key_size} bits; 2048, 3072 and 4096 are verified")


def key_of(der: bytes) -> PublicKey:
    """The public key of DER bytes.

    Raises:
        ValueError: there is none in them, or one of an algorithm that logs do not use.
    """
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("no public key in DER") from None
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise ValueError("neither ECDSA, Ed25519 nor RSA")
    return key


def key_bytes(key: PublicKey) -> bytes:
    """A public key as DER (SubjectPublicKeyInfo)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def log_ids(key: PublicKey, origin: str) -> tuple[bytes, bytes]:
    """Both ids that a log with this key may have: that of the key alone, and that of the key under the origin.

    The first is RFC 6962, section 3.2, which certificate transparency logs and Rekor v1 use; the second is the key id
    of a C2SP signed note, in full, which Rekor v2 uses. For ECDSA both are the same.
    """
    alone = hashlib.sha256(key_bytes(key)).digest()
    name = origin.encode() + b"\n"
    match key:
        case ed25519.Ed25519PublicKey():
            raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return alone, hashlib.sha256(name + b"\x01" + raw).digest()
        case rsa.RSAPublicKey():
            return alone, hashlib.sha256(name + b"\xffPKIX-RSA-PKCS#1v1.5" + key_bytes(key)).digest()
        case _:
            return alone, alone


def origin_of(url: str) -> str:
    """The origin that clients expect in a Rekor v2 log's checkpoints: the host name of its address, without port.

    Empty where the text is no address.
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def certificate_of_der(der: bytes) -> x509.Certificate:
    """The certificate in DER, every field of which can be read.

    Raises:
        ValueError: there is none.
    """
    from cryptography import x509

    return _read_through(lambda: [x509.load_der_x509_certificate(der)])[0]


def certificates_of_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in PEM, every field of which can be read; at least one.

    Raises:
        ValueError: there is none, or one cannot be read.
    """
    from cryptography import x509

    return _read_through(lambda: x509.load_pem_x509_certificates(pem))


def _read_through(load: Callable[[], list[x509.Certificate]]) -> tuple[x509.Certificate, ...]:
    """Certificates, after all of each was read: the library reads most fields only when they are asked for."""
    from cryptography import x509

    try:
        certificates = tuple(load())
        for one in certificates:
            _ = one.subject.rfc4514_string(), one.issuer, one.extensions
            _ = one.not_valid_before_utc, one.not_valid_after_utc
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ValueError("no X.509 certificate") from error
    return certificates


def certificate_bytes(certificate: x509.Certificate) -> bytes:
    """A certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def certificate_fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER certificate."""
    return f"sha256:{hashlib.sha256(certificate_bytes(certificate)).hexdigest()}"


def succeed(
    old: TrustedRoot, new: TrustedRoot, *, until: datetime, retired: frozenset[str] = frozenset()
) -> TrustedRoot:
    """What the services answer now, after what a root had before.

    What the old root has stays as it is. Where a service at the same address now has another key, or an address is
    `retired`, the old window ends at `until`, unless it ended before; what is new is added.

    Raises:
        ValueError: nothing is at a retired address, or a window that would have to end begins after `until`.
    """
    known = {
        one.url
        for entries in (old.certificate_authorities, old.logs, old.ct_logs, old.timestamp_authorities)
        for one in entries
    }
    for url in sorted(retired - known):
        raise ValueError(f"nothing in it is at {url}")
    how = _Succession(until=until, retired=retired)
    return TrustedRoot(
        certificate_authorities=_succeed(how, old.certificate_authorities, new.certificate_authorities, _chain),
        logs=_succeed(how, old.logs, new.logs, _log_identity),
        ct_logs=_succeed(how, old.ct_logs, new.ct_logs, _log_identity),
        timestamp_authorities=_succeed(how, old.timestamp_authorities, new.timestamp_authorities, _chain),
    )


_Entry = TypeVar("_Entry", Authority, Log)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Succession:
    until: datetime
    retired: frozenset[str]


def _succeed(
    how: _Succession, old: tuple[_Entry, ...], new: tuple[_Entry, ...], identity: Callable[[_Entry], object]
) -> tuple[_Entry, ...]:
    """The entries of one kind, the old ones first."""
    served = [identity(one) for one in new]
    rekeyed = {one.url for one in new} | how.retired
    still_open = [identity(one) for one in old if one.window.end is None]
    entries: list[_Entry] = []
    for one in old:
        ends = one.url in rekeyed and identity(one) not in served
        entries.append(replace(one, window=_ended(one.window, one.url, how.until)) if ends else one)
    entries += [one for one in new if identity(one) not in still_open]
    return tuple(entries)


def _ended(window: Window, url: str, until: datetime) -> Window:
    if window.end is not None and window.end <= until:
        return window
    if window.start is not None and window.start > until:
        raise ValueError(f"the window of {url} begins after the time at which it would end")
    return Window(start=window.start, end=until)


def _chain(authority: Authority) -> object:
    return authority.chain


def _log_identity(log: Log) -> object:
    return log.key, log.log_id
