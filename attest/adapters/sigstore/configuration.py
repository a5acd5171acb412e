"""Which services sign, and under which trusted root: a client trust configuration.

Sources: `sigstore_trustroot.proto` of protobuf-specs (ClientTrustConfig v0.1, SigningConfig v0.2: the newest version
of an operator's services, those in their time, as many as the selector says).
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attest.adapters.sigstore.exchange import Network, Service, is_safe
from attest.adapters.sigstore.roots import PUBLIC_GOOD as REPOSITORY
from attest.adapters.sigstore.roots import SIGNING_CONFIG, TRUSTED_ROOT, fetch
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import DocumentInvalid, ServiceFailed

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig, SigningConfig

_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


class LogVersion(enum.Enum):
    """Which protocol a transparency log speaks."""

    REKOR_V1 = 1
    REKOR_V2 = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What signs, in the words of one client trust configuration."""

    file: str
    """What the configuration is called in errors."""
    trusted_root: bytes = field(repr=False)
    """The bytes of the trusted root in it."""
    authority: Service
    log: Service
    log_version: LogVersion
    timestamps: tuple[Service, ...]
    """Each of them is asked for a timestamp."""

    def names(self) -> dict[str, str]:
        """Name and address of each, in the order in which they are asked."""
        several = len(self.timestamps) > 1
        stamps = {
            f"{service.name} {number}" if several else service.name: service.url
            for number, service in enumerate(self.timestamps, 1)
        }
        return {self.authority.name: self.authority.url, **stamps, self.log.name: self.log.url}


def read_services(content: bytes, *, file: str) -> Services:
    """The services of a client trust configuration that are in their time at this moment.

    Raises:
        DocumentInvalid: the bytes are no such configuration, one of its kinds of services has none in its time, an
            address is neither https nor on loopback, it asks for several logs, or for none that tells the time.
    """
    try:
        document = loads(content)
    except JsonInvalid as error:
        raise _invalid(f"not strict JSON: {error}", file) from error
    config = _parsed(content, document, file)
    try:
        signing = config.signing_config
    except ValueError as error:  # as many as the selector asks for are not there
        raise _invalid(f"its signing configuration: {error}", file) from error
    except Exception as error:
        raise _no_service(error, file) from error
    return _selected(signing, document, file)


def public_good(cache: Path, network: Network, *, url: str = REPOSITORY, bootstrap: bytes | None = None) -> Services:
    """The services of the public-good instance, or of another that publishes them in the same way, through TUF.

    Raises:
        UsageError, ServiceFailed, DocumentInvalid: as `attest.adapters.sigstore.roots.fetch` and `read_services`.
    """
    names = (TRUSTED_ROOT, SIGNING_CONFIG)
    try:
        fetched = fetch(names, cache=cache, deadline=network.deadline, url=url, bootstrap=bootstrap)
    except ServiceFailed as error:
        raise ServiceFailed(error.message, hint="--trust-config FILE names services of your own") from error
    parts = []
    for name in names:
        try:
            parts.append(loads(fetched.files[name]))
        except JsonInvalid as error:
            raise _invalid(f"{name} is not strict JSON: {error}", url) from error
    both = {"mediaType": _MEDIA_TYPE, "trustedRoot": parts[0], "signingConfig": parts[1]}
    return read_services(json.dumps(both).encode(), file=url)


def _parsed(content: bytes, document: Json, file: str) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig

    if not isinstance(document, dict):
        raise _invalid("not a JSON object", file)
    if "signingConfig" not in document or "trustedRoot" not in document:
        raise _invalid("it has no trustedRoot, or no signingConfig", file)
    try:
        return ClientTrustConfig.from_json(content.decode("utf-8"))
    except ValueError as error:
        where = ""
        errors = getattr(error, "errors", None)
        if callable(errors):  # pydantic's: where it is wrong is worth telling, what stands there is not
            where = " at " + ".".join(map(str, errors()[0]["loc"]))
        raise _invalid(f"it does not have the form of one{where}", file) from error


def _no_service(error: Exception, file: str) -> DocumentInvalid:
    from sigstore.errors import Error

    if not isinstance(error, Error):
        raise error
    return _invalid(f"its signing configuration: {error}", file)


def _selected(signing: SigningConfig, document: Json, file: str) -> Services:
    from sigstore._internal.rekor.client_v2 import RekorV2Client

    logs = signing.get_tlogs()
    if len(logs) != 1:
        raise _invalid(f"it asks for entries in {len(logs)} logs, and verifiers take a bundle with exactly one", file)
    version = LogVersion.REKOR_V2 if isinstance(logs[0], RekorV2Client) else LogVersion.REKOR_V1
    address: str = logs[0].url.removesuffix(f"/api/v{version.value}")  # type: ignore[attr-defined]  # both have it
    stamps = tuple(Service(name="timestamp authority", url=client.url) for client in signing.get_tsas())
    if not stamps and document["signingConfig"].get("tsaUrls"):
        raise _invalid("none of its timestamp authorities is in its time", file)
    if not stamps and version is LogVersion.REKOR_V2:
        raise _invalid("a Rekor v2 log tells no time, and it names no timestamp authority that does", file)
    services = Services(
        file=file,
        trusted_root=json.dumps(document["trustedRoot"], separators=(",", ":")).encode(),
        authority=Service(name="certificate authority", url=signing.get_fulcio().url),
        log=Service(name="transparency log", url=address),
        log_version=version,
        timestamps=stamps,
    )
    for service in (services.authority, services.log, *stamps):
        if not is_safe(service.url):
            raise _invalid(f"the address of its {service.name} is neither https nor on loopback", file)
    return services


def _invalid(message: str, file: str) -> DocumentInvalid:
    return DocumentInvalid(
        f"no client trust configuration that can be used: {message}",
        file=file,
        hint=None if "://" in file else f"attest trust show {file} says what is in it",
    )
