"""Trusted roots as files: `sigstore_trustroot.proto` of protobuf-specs, in JSON, read by the models of sigstore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from attest.adapters.sigstore.guard import told
from attest.core import limits
from attest.core.keys import KeyInvalid, TrustedKey, public_key
from attest.core.reference import Digest, digest_of
from attest.core.strictjson import JsonInvalid, loads, shown
from attest.core.trust.window import Authority, Log, Window
from attest.errors import DocumentInvalid

if TYPE_CHECKING:
    from cryptography import x509
    from sigstore_models.common.v1 import TimeRange
    from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance
    from sigstore_models.trustroot.v1 import TrustedRoot as Document

_TRUST_CONFIG: Final = "application/vnd.dev.sigstore.clienttrustconfig"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimestampAuthority:
    """An authority of RFC 3161 timestamps, with its certificates from the signing one to the root."""

    authority: Authority
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransparencyLog:
    """A Rekor log, the origins that its checkpoints may name, and its key where it is of a kind that we verify."""

    log: Log
    origins: frozenset[str]
    key: TrustedKey | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrustedRoot:
    """A trusted root, and of each of its parts what one needs to know to choose among them."""

    digest: Digest
    document: Document
    authorities: tuple[Authority, ...]
    chains: tuple[tuple[x509.Certificate, ...], ...]
    """The certificates of each authority."""
    logs: tuple[TransparencyLog, ...]
    ct_logs: tuple[Log, ...]
    timestamping: tuple[TimestampAuthority, ...]


def read_root(content: bytes, *, file: str) -> TrustedRoot:
    """The trusted root that the bytes of a file are.

    Raises:
        DocumentInvalid: they are none, something in it cannot be read, or it lacks what keyless signatures need: a
            certificate authority, a transparency log and a certificate transparency log.
    """
    from sigstore_models.trustroot.v1 import TrustedRoot as Document

    if len(content) > limits.DOCUMENT:
        raise DocumentInvalid(f"a trusted root of more than {limits.DOCUMENT} bytes", file=file)
    try:
        json = loads(content)
    except JsonInvalid as error:
        raise DocumentInvalid(f"no trusted root: not strict JSON: {error}", file=file) from error
    _refuse_other_documents(json, file)
    try:
        document = Document.from_json(content)
    except ValueError as error:
        raise DocumentInvalid(f"no trusted root: {_fault(error)}", file=file) from error
    for name, parts in (
        ("certificate authority", document.certificate_authorities),
        ("transparency log", document.tlogs),
        ("certificate transparency log", document.ctlogs),
    ):
        if not parts:
            raise DocumentInvalid(f"the trusted root has no {name}", file=file, hint=_HINT)
    chains = tuple(_chain(one, file) for one in document.certificate_authorities)
    return TrustedRoot(
        digest=digest_of(content),
        document=document,
        authorities=_authorities(document.certificate_authorities, chains, file),
        chains=chains,
        logs=tuple(_transparency_log(one, file) for one in document.tlogs),
        ct_logs=tuple(_log(one, file) for one in document.ctlogs),
        timestamping=_timestamping(document.timestamp_authorities, file),
    )


_HINT: Final = "`attest trust show FILE` explains a trusted root, `attest trust init` writes one"


def _refuse_other_documents(json: Any, file: str) -> None:
    media_type = json.get("mediaType") if isinstance(json, dict) else None
    if isinstance(media_type, str) and media_type.startswith(_TRUST_CONFIG):
        raise DocumentInvalid(
            "a client trust configuration, where a trusted root is wanted",
            file=file,
            hint="a verifier trusts the object under its `trustedRoot` alone: put that in a file of its own",
        )
    if not isinstance(media_type, str) or not media_type.startswith("application/vnd.dev.sigstore.trustedroot"):
        raise DocumentInvalid(f"no trusted root: its mediaType is {shown(media_type)}", file=file, hint=_HINT)


def _fault(error: ValueError) -> str:
    """The first thing that pydantic has against a document, with its place, and without the document."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return told(error)
    first = errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {first['msg']}"


def _chain(authority: CertificateAuthority, file: str) -> tuple[x509.Certificate, ...]:
    from cryptography.x509 import load_der_x509_certificate

    try:
        chain = tuple(load_der_x509_certificate(one.raw_bytes) for one in authority.cert_chain.certificates)
    except ValueError as error:
        raise DocumentInvalid(f"a certificate of {_name(authority)} cannot be read", file=file) from error
    if not chain:
        raise DocumentInvalid(f"{_name(authority)} has no certificates", file=file)
    return chain


def _authorities(
    documents: Sequence[CertificateAuthority], chains: Sequence[Sequence[x509.Certificate]], file: str
) -> tuple[Authority, ...]:
    return tuple(
        Authority(
            name=_name(document),
            window=_window(document.valid_for, _name(document), file),
            chain=tuple(Window(start=one.not_valid_before_utc, end=one.not_valid_after_utc) for one in chain),
        )
        for document, chain in zip(documents, chains, strict=True)
    )


def _timestamping(documents: Sequence[CertificateAuthority], file: str) -> tuple[TimestampAuthority, ...]:
    chains = [_chain(one, file) for one in documents]
    return tuple(
        TimestampAuthority(authority=authority, chain=chain)
        for authority, chain in zip(_authorities(documents, chains, file), chains, strict=True)
    )


def _transparency_log(document: TransparencyLogInstance, file: str) -> TransparencyLog:
    url = urlsplit(document.base_url)
    return TransparencyLog(
        log=_log(document, file),
        # Rekor v2 says the host of its address without the port, as its clients expect; v1 what it was configured as.
        origins=frozenset(name for name in (url.netloc, url.hostname) if name),
        key=_key(document),
    )


def _key(document: TransparencyLogInstance) -> TrustedKey | None:
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_der_public_key(document.public_key.raw_bytes or b"")
        return public_key(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    except (ValueError, KeyInvalid):
        return None


def _log(document: TransparencyLogInstance, file: str) -> Log:
    name = document.base_url or "a log without address"
    ids = [one.key_id for one in (document.log_id, document.checkpoint_key_id) if one is not None and one.key_id]
    if not ids:
        raise DocumentInvalid(f"{name} has no logId", file=file)
    return Log(name=name, ids=frozenset(ids), window=_window(document.public_key.valid_for, name, file))


def _window(valid_for: TimeRange | None, name: str, file: str) -> Window:
    """The window of an authority or log. A log without one is valid always (`sigstore_common.proto`, PublicKey)."""
    if valid_for is None:
        return Window()
    window = Window(start=valid_for.start, end=valid_for.end)
    for bound in (window.start, window.end):
        if bound is not None and bound.tzinfo is None:
            raise DocumentInvalid(f"validFor of {name} has a time without its offset from UTC", file=file)
    if window.start and window.end and window.end < window.start:
        raise DocumentInvalid(f"validFor of {name} ends before it starts", file=file)
    return window


def _name(authority: CertificateAuthority) -> str:
    return authority.uri or f"{authority.subject.organization} {authority.subject.common_name}"
