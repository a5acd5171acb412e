"""Trusted roots, signing configurations and client trust configurations as JSON: strictly read, and written.

Source: sigstore `protobuf-specs`, `sigstore_trustroot.proto` and `sigstore_common.proto`, in their JSON form. Members
that the specification does not have are refused, as the Sigstore clients do.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa

from attest.core.document import Path, show
from attest.core.statement import parse_time
from attest.core.strictjson import Json, JsonInvalid, loads, shown
from attest.core.trust.root import (
    Authority,
    Log,
    Selector,
    Service,
    SigningConfig,
    TrustedRoot,
    certificate_bytes,
    certificate_of_der,
    key_details,
    key_of,
    origin_of,
)
from attest.core.trust.window import Window

if TYPE_CHECKING:  # loaded where a certificate is read, as in attest.core.certificate
    from cryptography import x509

TRUSTED_ROOT: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
SIGNING_CONFIG: Final = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
TRUST_CONFIG: Final = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"

_T = TypeVar("_T")
_HASHES: Final = frozenset({"SHA2_256", "SHA2_384", "SHA2_512"})
_SELECTORS: Final = frozenset({"ALL", "ANY", "EXACT"})
_NANOSECONDS = re.compile(r"(\.[0-9]{6})[0-9]{3}Z")


class TrustInvalid(ValueError):
    """The document is not what it should be; the message begins with the place of what is wrong."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{show(path)}: {problem}" if path else problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDocument:
    """What a file holds: a trusted root, a signing configuration, or both."""

    media_type: str
    root: TrustedRoot | None
    signing: SigningConfig | None


def read_trust(content: bytes) -> TrustDocument:
    """The trusted root, signing configuration or client trust configuration that the bytes are.

    Raises:
        TrustInvalid: they are none of these, or a member is missing, unknown or of the wrong form.
    """
    try:
        value = loads(content)
    except JsonInvalid as error:
        raise TrustInvalid((), f"not JSON: {error}") from error
    match value:
        case {"mediaType": str(media_type)}:
            pass
        case _:
            raise TrustInvalid((), "no JSON object with a mediaType")
    if media_type == TRUSTED_ROOT:
        return TrustDocument(media_type=media_type, root=_root(value, ()), signing=None)
    if media_type == SIGNING_CONFIG:
        return TrustDocument(media_type=media_type, root=None, signing=_signing(value, ()))
    if media_type == TRUST_CONFIG:
        both = _members(value, (), {"mediaType", "trustedRoot", "signingConfig"})
        return TrustDocument(
            media_type=media_type,
            root=_root(_required(both, (), "trustedRoot"), ("trustedRoot",)),
            signing=_signing(_required(both, (), "signingConfig"), ("signingConfig",)),
        )
    raise TrustInvalid(
        ("mediaType",), f"{shown(media_type)} is none of {TRUSTED_ROOT}, {SIGNING_CONFIG} and {TRUST_CONFIG}"
    )


def root_document(root: TrustedRoot) -> dict[str, Json]:
    """The trusted root as a JSON object; every list is there, also the empty ones, which some clients insist on."""
    return {
        "mediaType": TRUSTED_ROOT,
        "tlogs": [_log_document(log) for log in root.logs],
        "certificateAuthorities": [_authority_document(one) for one in root.certificate_authorities],
        "ctlogs": [_log_document(log) for log in root.ct_logs],
        "timestampAuthorities": [_authority_document(one) for one in root.timestamp_authorities],
    }


def signing_document(signing: SigningConfig) -> dict[str, Json]:
    """The signing configuration as a JSON object."""
    document: dict[str, Json] = {
        "mediaType": SIGNING_CONFIG,
        "caUrls": [_service_document(one) for one in signing.certificate_authorities],
        "oidcUrls": [_service_document(one) for one in signing.issuers],
        "rekorTlogUrls": [_service_document(one) for one in signing.logs],
        "tsaUrls": [_service_document(one) for one in signing.timestamp_authorities],
    }
    for name, selector in (("rekorTlogConfig", signing.log_selector), ("tsaConfig", signing.timestamp_selector)):
        if selector is not None:
            document[name] = _without_none({"selector": selector.selector, "count": selector.count})
    return document


def config_document(root: TrustedRoot, signing: SigningConfig) -> dict[str, Json]:
    """Both as a client trust configuration, which is what signers are given."""
    return {
        "mediaType": TRUST_CONFIG,
        "trustedRoot": root_document(root),
        "signingConfig": signing_document(signing),
    }


def write_trust(document: Mapping[str, Json]) -> bytes:
    """The bytes of a document's file: indented, so that a change of it can be reviewed."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


# ---- reading


def _root(value: Json, path: Path) -> TrustedRoot:
    names = {"mediaType", "tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"}
    members = _members(value, path, names)
    _media_type(members, path, TRUSTED_ROOT)
    return TrustedRoot(
        certificate_authorities=_list(members, path, "certificateAuthorities", _authority),
        logs=_list(members, path, "tlogs", _log),
        ct_logs=_list(members, path, "ctlogs", _log),
        timestamp_authorities=_list(members, path, "timestampAuthorities", _authority),
    )


def _signing(value: Json, path: Path) -> SigningConfig:
    names = {"mediaType", "caUrls", "oidcUrls", "rekorTlogUrls", "rekorTlogConfig", "tsaUrls", "tsaConfig"}
    members = _members(value, path, names)
    _media_type(members, path, SIGNING_CONFIG)
    return SigningConfig(
        certificate_authorities=_list(members, path, "caUrls", _service),
        issuers=_list(members, path, "oidcUrls", _service),
        logs=_list(members, path, "rekorTlogUrls", _service),
        timestamp_authorities=_list(members, path, "tsaUrls", _service),
        log_selector=_optional(members, path, "rekorTlogConfig", _selector),
        timestamp_selector=_optional(members, path, "tsaConfig", _selector),
    )


def _authority(value: Json, path: Path) -> Authority:
    members = _members(value, path, {"subject", "uri", "certChain", "validFor", "operator"})
    subject_path = (*path, "subject")
    subject = _members(_required(members, path, "subject"), subject_path, {"organization", "commonName"})
    chain_path = (*path, "certChain")
    chain = _members(_required(members, path, "certChain"), chain_path, {"certificates"})
    certificates = _list(chain, chain_path, "certificates", _certificate)
    if not certificates:
        raise TrustInvalid((*chain_path, "certificates"), "empty")
    return Authority(
        url=_optional(members, path, "uri", _text) or "",
        chain=certificates,
        window=_window(_required(members, path, "validFor"), (*path, "validFor")),
        organization=_optional(subject, subject_path, "organization", _text) or "",
        common_name=_optional(subject, subject_path, "commonName", _text) or "",
        operator=_optional(members, path, "operator", _text),
    )


def _certificate(value: Json, path: Path) -> x509.Certificate:
    members = _members(value, path, {"rawBytes"})
    der = _bytes(_required(members, path, "rawBytes"), (*path, "rawBytes"))
    try:
        return certificate_of_der(der)
    except ValueError:
        raise TrustInvalid((*path, "rawBytes"), "no X.509 certificate in DER") from None


def _log(value: Json, path: Path) -> Log:
    names = {"baseUrl", "hashAlgorithm", "publicKey", "logId", "checkpointKeyId", "operator"}
    members = _members(value, path, names)
    hash_algorithm = _text(_required(members, path, "hashAlgorithm"), (*path, "hashAlgorithm"))
    if hash_algorithm not in _HASHES:
        raise TrustInvalid((*path, "hashAlgorithm"), f"{shown(hash_algorithm)} is none of {', '.join(sorted(_HASHES))}")
    key_path = (*path, "publicKey")
    key = _members(_required(members, path, "publicKey"), key_path, {"rawBytes", "keyDetails", "validFor"})
    details = _text(_required(key, key_path, "keyDetails"), (*key_path, "keyDetails"))
    der = _bytes(_required(key, key_path, "rawBytes"), (*key_path, "rawBytes"))
    try:
        loaded = key_of(der)
        expected = key_details(loaded)
    except ValueError as error:
        raise TrustInvalid((*key_path, "rawBytes"), str(error)) from error
    if details != expected and not (details == "PKCS1_RSA_PKCS1V5" and isinstance(loaded, rsa.RSAPublicKey)):
        raise TrustInvalid((*key_path, "keyDetails"), f"{shown(details)}, and the key is {expected}")
    return Log(
        url=_optional(members, path, "baseUrl", _text) or "",
        key=der,
        details=details,
        log_id=_log_id(_required(members, path, "logId"), (*path, "logId")),
        window=_optional(key, key_path, "validFor", _window) or Window(),
        hash_algorithm=hash_algorithm,
        checkpoint_key_id=_optional(members, path, "checkpointKeyId", _log_id),
        operator=_optional(members, path, "operator", _text),
    )


def _log_id(value: Json, path: Path) -> bytes:
    return _bytes(_required(_members(value, path, {"keyId"}), path, "keyId"), (*path, "keyId"))


def _service(value: Json, path: Path) -> Service:
    members = _members(value, path, {"url", "majorApiVersion", "validFor", "operator"})
    url = _text(_required(members, path, "url"), (*path, "url"))
    if not url.startswith(("http://", "https://")) or not origin_of(url):
        raise TrustInvalid((*path, "url"), f"{shown(url)} is no http or https address")
    version = _required(members, path, "majorApiVersion")
    if type(version) is not int or version < 1:
        raise TrustInvalid((*path, "majorApiVersion"), f"{shown(version)} is no version from 1 on")
    return Service(
        url=url,
        version=version,
        window=_optional(members, path, "validFor", _window) or Window(),
        operator=_text(_required(members, path, "operator"), (*path, "operator")),
    )


def _selector(value: Json, path: Path) -> Selector:
    members = _members(value, path, {"selector", "count"})
    selector = _text(_required(members, path, "selector"), (*path, "selector"))
    if selector not in _SELECTORS:
        raise TrustInvalid((*path, "selector"), f"{shown(selector)} is none of {', '.join(sorted(_SELECTORS))}")
    count = members.get("count")
    if (count is not None and (type(count) is not int or count < 1)) or (count is None) == (selector == "EXACT"):
        raise TrustInvalid((*path, "count"), "EXACT needs how many, from 1 on, and the others have none")
    return Selector(selector=selector, count=count)


def _window(value: Json, path: Path) -> Window:
    members = _members(value, path, {"start", "end"})
    start = _time(_required(members, path, "start"), (*path, "start"))
    end = _optional(members, path, "end", _time)
    if end is not None and end < start:
        raise TrustInvalid(path, "it ends before it starts")
    return Window(start=start, end=end)


def _media_type(members: Mapping[str, Json], path: Path, expected: str) -> None:
    if _required(members, path, "mediaType") != expected:
        raise TrustInvalid((*path, "mediaType"), f"{shown(members['mediaType'])} is not {expected}")


def _members(value: Json, path: Path, names: set[str]) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise TrustInvalid(path, f"{shown(value)} is no object")
    for name in value:
        if name not in names:
            raise TrustInvalid(path, f"there is no member {shown(name)}; there are {', '.join(sorted(names))}")
    return value


def _required(members: Mapping[str, Json], path: Path, name: str) -> Json:
    if name not in members:
        raise TrustInvalid(path, f"{name} is missing")
    return members[name]


def _optional(members: Mapping[str, Json], path: Path, name: str, read: Callable[[Json, Path], _T]) -> _T | None:
    return read(members[name], (*path, name)) if name in members else None


def _list(members: Mapping[str, Json], path: Path, name: str, read: Callable[[Json, Path], _T]) -> tuple[_T, ...]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise TrustInvalid((*path, name), f"{shown(value)} is no list")
    return tuple(read(item, (*path, name, at)) for at, item in enumerate(value))


def _text(value: Json, path: Path) -> str:
    if not isinstance(value, str):
        raise TrustInvalid(path, f"{shown(value)} is no text")
    return value


def _bytes(value: Json, path: Path) -> bytes:
    try:
        return base64.b64decode(_text(value, path).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise TrustInvalid(path, "not base64") from None


def _time(value: Json, path: Path) -> datetime:
    try:
        return parse_time(_NANOSECONDS.sub(r"\1Z", _text(value, path)))
    except TrustInvalid:
        raise
    except ValueError as error:
        raise TrustInvalid(path, str(error)) from error


# ---- writing


def _authority_document(authority: Authority) -> dict[str, Json]:
    document: dict[str, Any] = {
        "subject": {"organization": authority.organization, "commonName": authority.common_name},
        "uri": authority.url,
        "certChain": {"certificates": [{"rawBytes": _base64(certificate_bytes(one))} for one in authority.chain]},
        "validFor": _window_document(authority.window),
        "operator": authority.operator,
    }
    return _without_none(document)


def _log_document(log: Log) -> dict[str, Json]:
    window = _window_document(log.window) or None
    key = _without_none({"rawBytes": _base64(log.key), "keyDetails": log.details, "validFor": window})
    checkpoint = log.checkpoint_key_id
    document = {
        "baseUrl": log.url,
        "hashAlgorithm": log.hash_algorithm,
        "publicKey": key,
        "logId": {"keyId": _base64(log.log_id)},
        "checkpointKeyId": None if checkpoint is None else {"keyId": _base64(checkpoint)},
        "operator": log.operator,
    }
    return _without_none(document)


def _service_document(service: Service) -> dict[str, Json]:
    document = {
        "url": service.url,
        "majorApiVersion": service.version,
        "validFor": _window_document(service.window) or None,
        "operator": service.operator,
    }
    return _without_none(document)


def _window_document(window: Window) -> dict[str, Json]:
    return _without_none({name: write_time(time) for name, time in (("start", window.start), ("end", window.end))})


def write_time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, with the fraction of a second only where there is one (proto3 JSON, `Timestamp`)."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _without_none(document: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in document.items() if value is not None}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
