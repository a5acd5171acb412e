"""What a Fulcio certificate says about the job that held its key, and what certifying a bundle gives.

Sources: Fulcio's `docs/oid-info.md` (the extensions below 1.3.6.1.4.1.57264.1), RFC 5280 4.2.1.6 (the subject
alternative name), X.690 (DER). Nothing here decides whether a certificate is to be believed; that is `Trust.certify`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization

from attest.core.keys import KeyInvalid, TrustedKey, public_key
from attest.core.reference import Digest
from attest.core.strictjson import shown

if TYPE_CHECKING:  # loaded where a certificate is read: verifying with keys needs no X.509
    from cryptography import x509


class Uncertified(StrEnum):
    """Why a bundle's certificate says nothing about its signer. Stable: docs/reasons.md has a sentence for each."""

    BUNDLE_INVALID = "bundle-invalid"
    CERTIFICATE_MISSING = "certificate-missing"
    CERTIFICATE_INVALID = "certificate-invalid"
    LOG_ENTRY_MISSING = "log-entry-missing"
    INCLUSION_MISSING = "inclusion-missing"
    TIME_MISSING = "time-missing"
    TIMESTAMP_INVALID = "timestamp-invalid"
    CERTIFICATE_EXPIRED = "certificate-expired"
    ROOT_WINDOW = "root-window"
    LOG_UNKNOWN = "log-unknown"
    CHAIN_INVALID = "chain-invalid"
    SCT_INVALID = "sct-invalid"
    USAGE_INVALID = "usage-invalid"
    INCLUSION_INVALID = "inclusion-invalid"
    CHECKPOINT_INVALID = "checkpoint-invalid"
    PROMISE_INVALID = "promise-invalid"
    SIGNATURE_INVALID = "signature-invalid"
    LOG_ENTRY_DIFFERS = "log-entry-differs"
    NOT_CERTIFIED = "not-certified"


class NotCertified(ValueError):
    """A bundle whose certificate is not to be believed: `code` says for which reason, the message says more."""

    def __init__(self, code: Uncertified, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a signing certificate says. None is what it leaves unsaid, never an empty string."""

    issuer: str
    """Who issued the job's identity token (the `iss` claim), as it is written there."""
    identity: str
    """The one subject alternative name: of a job, the address of its workflow file at a ref."""
    repository: str | None = None
    """The source repository's address."""
    commit: str | None = None
    """The commit that the job ran on."""
    ref: str | None = None
    """The ref that the job ran on."""
    workflow: str | None = None
    """The address of the workflow that began the run (Fulcio's build config URI)."""
    trigger: str | None = None
    """The event that began the run."""
    run: str | None = None
    """The address of the run."""
    key: TrustedKey = field(repr=False)
    """The public key that it certifies, whose algorithm is its own."""

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of the DER public key, as `revoked` of a policy names it."""
        return self.key.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A certificate that was verified with everything around it, and when its signature was seen."""

    certificate: Certificate
    times: tuple[datetime, ...]
    """Verified times of the signature, in UTC; at least one."""

    def __post_init__(self) -> None:
        if not self.times:
            raise ValueError("nothing is certified without a verified time")


_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_ARC: Final = "1.3.6.1.4.1.57264.1."
_LEGACY_ISSUER: Final = _ARC + "1"
_OTHER_NAME: Final = _ARC + "7"
_ISSUER: Final = _ARC + "8"
_REPOSITORY: Final = _ARC + "12"
_COMMIT: Final = _ARC + "13"
_REF: Final = _ARC + "14"
_WORKFLOW: Final = _ARC + "18"
_TRIGGER: Final = _ARC + "20"
_RUN: Final = _ARC + "21"


def read_certificate(der: bytes) -> Certificate:
    """What the DER certificate says, which nobody has verified yet.

    Raises:
        NotCertified: `certificate-invalid`: no X.509 certificate, no issuer or two that differ, not exactly one
            subject alternative name of a kind that Fulcio writes, an extension that is not what `oid-info.md` says
            it is, or a public key that may not be trusted.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _invalid(f"no X.509 certificate can be read: {shown(str(error))}") from error
    except x509.UnsupportedGeneralNameType as error:
        raise _invalid("its subject alternative name is of a kind that cannot be read") from error
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        trusted = public_key(pem)
    except KeyInvalid as error:
        raise _invalid(f"its public key: {error}") from error
    values = {
        extension.oid.dotted_string: extension.value.value
        for extension in extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    return Certificate(
        issuer=_issuer(values),
        identity=_identity(extensions),
        repository=_text(values, _REPOSITORY),
        commit=_text(values, _COMMIT),
        ref=_text(values, _REF),
        workflow=_text(values, _WORKFLOW),
        trigger=_text(values, _TRIGGER),
        run=_text(values, _RUN),
        key=trusted,
    )


def _invalid(message: str) -> NotCertified:
    return NotCertified(Uncertified.CERTIFICATE_INVALID, f"the certificate: {message}")


def _issuer(values: dict[str, bytes]) -> str:
    current, legacy = _text(values, _ISSUER), _legacy(values)
    if current is None and legacy is None:
        raise _invalid("it names no issuer of an identity token")
    if current is not None and legacy is not None and current != legacy:
        raise _invalid(f"it names two issuers, {shown(current)} and {shown(legacy)}")
    return current or legacy or ""


def _legacy(values: dict[str, bytes]) -> str | None:
    """The issuer in the extension that came first: its value is the bare string, in no ASN.1 at all."""
    value = values.get(_LEGACY_ISSUER)
    if value is None:
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"extension {_LEGACY_ISSUER} is not UTF-8") from error
    return _said(text, _LEGACY_ISSUER)


def _text(values: dict[str, bytes], oid: str) -> str | None:
    value = values.get(oid)
    return None if value is None else _utf8_string(value, f"extension {oid}")


def _utf8_string(value: bytes, where: str) -> str:
    from cryptography.hazmat import asn1

    try:
        text = asn1.decode_der(str, value)
    except ValueError as error:
        raise _invalid(f"{where} is not a DER UTF8String") from error
    return _said(text, where)


def _said(text: str, where: str) -> str:
    """A value that is there says something: Fulcio leaves out what is empty, and no claim holds a control character."""
    if not text:
        raise _invalid(f"{where} is empty")
    if _CONTROL.search(text):
        raise _invalid(f"{where} holds a control character")
    return text


def _identity(extensions: x509.Extensions) -> str:
    from cryptography import x509

    try:
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound as error:
        raise _invalid("it has no subject alternative name") from error
    match names:
        case [x509.UniformResourceIdentifier(value=text) | x509.RFC822Name(value=text)]:
            return _said(text, "the subject alternative name")
        case [x509.OtherName() as name] if name.type_id.dotted_string == _OTHER_NAME:
            return _utf8_string(name.value, "the subject alternative name")
        case [_]:
            raise _invalid("its subject alternative name is neither a URI, an e-mail address nor Fulcio's own")
        case _:
            raise _invalid(f"it has {len(names)} subject alternative names, not exactly one")
