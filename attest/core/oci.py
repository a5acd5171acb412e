"""OCI manifests, indexes and descriptors, read strictly from bytes whose digest has been checked.

Sources: OCI image-spec v1.1 ("Image Manifest", "Image Index", "Content Descriptors"), distribution-spec v1.1
("Listing Referrers", "Referrers Tag Schema"), and Docker's manifest v2 schema 2.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from attest.core.reference import Digest, digest_of, is_digest
from attest.core.strictjson import Json, JsonInvalid, loads, shown

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_PREFIX: Final = "application/vnd.dev.sigstore.bundle"
DSSE_ENVELOPE: Final = "application/vnd.dsse.envelope.v1+json"
IN_TOTO: Final = "application/vnd.in-toto+json"

MANIFEST_TYPES: Final = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST)
"""What an Accept header asks for, in this order."""

EMPTY_BLOB: Final = b"{}"
EMPTY_DIGEST: Final = digest_of(EMPTY_BLOB)

_MAX_SIZE = 2**63 - 1
_DESCRIPTOR: Final = ("mediaType", "digest", "size", "platform", "artifactType", "annotations", "data", "urls")
_PLATFORM: Final = ("os", "architecture", "variant")
_DOCUMENT: Final = (
    *("schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers"),
    *("subject", "artifactType", "annotations"),
)


class OciInvalid(ValueError):
    """The bytes are no manifest or index that the image-spec allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """An operating system and an architecture, with a variant where one is given (image-spec, "Image Index")."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a piece of content is, how large it is in bytes, and its digest."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None

    def describes(self, content: bytes) -> bool:
        """Whether these bytes are exactly what is described."""
        return len(content) == self.size and digest_of(content) == self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest; an attestation in a registry is one too."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An image index, or a list of referrers."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None


def parse_manifest(content: bytes, *, media_type: str | None = None) -> Manifest | Index:
    """The manifest or index that the bytes are. `media_type` is what somebody claimed that they are.

    Raises:
        OciInvalid: not strict JSON, both a manifest and an index (CVE-2021-41190), of another type than claimed,
            or of a type that is neither.
    """
    try:
        document = loads(content)
    except JsonInvalid as error:
        raise OciInvalid(f"not strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise OciInvalid("not a JSON object")
    refuse_other_spellings(document, _DOCUMENT, "the document")
    named = document.get("mediaType", media_type)
    if named not in MANIFEST_TYPES:
        raise OciInvalid(f"media type {shown(named)} is no manifest that is read here")
    if media_type is not None and media_type != named:
        raise OciInvalid(f"served as {media_type}, but says that it is {named}")
    version = document.get("schemaVersion")
    if type(version) is not int or version != 2:
        raise OciInvalid("schemaVersion is not 2")
    subject = _optional_descriptor(document, "subject")
    if named in (INDEX, DOCKER_LIST):
        _refuse_members(document, named, "config", "layers", "fsLayers")
        return Index(media_type=named, manifests=_descriptors(document, "manifests"), subject=subject)
    _refuse_members(document, named, "manifests", "fsLayers")
    return Manifest(
        media_type=named,
        config=_descriptor(document.get("config"), "config"),
        layers=_descriptors(document, "layers"),
        subject=subject,
        artifact_type=_optional_text(document, "artifactType", "manifest"),
        annotations=_annotations(document),
    )


def parse_platform(text: str) -> Platform:
    """`os/architecture` or `os/architecture/variant`.

    Raises:
        ValueError: it is neither.
    """
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ValueError(f"{text!r} is no platform; write os/architecture, as in linux/amd64")
    return Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else None)


def config_platform(config: bytes) -> Platform:
    """The platform that an image's configuration names (image-spec, "Image Configuration").

    Raises:
        OciInvalid: it names none.
    """
    try:
        document = loads(config)
    except JsonInvalid as error:
        raise OciInvalid(f"the image configuration is not strict JSON: {error}") from error
    return _platform(document, "the image configuration")


def is_buildkit_attestation(child: Descriptor, manifest: Manifest) -> bool:
    """Whether a child of an index is BuildKit's attestation manifest: no platform, and no evidence either."""
    return (
        child.platform == Platform(os="unknown", architecture="unknown")
        and child.annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        and bool(manifest.layers)
        and all(layer.media_type == "application/vnd.in-toto+json" for layer in manifest.layers)
    )


def attestation_manifest(
    *, bundle: bytes, subject: Descriptor, predicate_type: str, created: str, inline: bool
) -> bytes:
    """The manifest that attaches a bundle to a subject, in the form that cosign v3 and GitHub write.

    `created` is an RFC 3339 time. With `inline` the bundle also stands in the layer descriptor's `data`
    (image-spec, "Embedded Content"), which saves readers a request.
    """
    layer: dict[str, Json] = {"mediaType": BUNDLE, "digest": digest_of(bundle), "size": len(bundle)}
    if inline:
        layer["data"] = base64.b64encode(bundle).decode("ascii")
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": EMPTY, "digest": EMPTY_DIGEST, "size": len(EMPTY_BLOB)},
        "layers": [layer],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
            "org.opencontainers.image.created": created,
        },
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def refuse_other_spellings(item: dict[str, Json], names: Iterable[str], where: str) -> None:
    """Refuse members that have one of these names but for the case of letters.

    Engines written in Go take them for the member itself, and the last of several counts (encoding/json, "Unmarshal":
    "preferring an exact match but also accepting a case-insensitive match"). Here they would be members that nobody
    knows, so what an engine runs would not be what was looked at.

    Raises:
        OciInvalid: there is one.
    """
    known = {name.casefold(): name for name in names}  # as Go folds, the long s and the Kelvin sign among it
    for key in item:
        name = known.get(key.casefold(), key)
        if name != key:
            raise OciInvalid(f"{where} has a member {shown(key)}, which some readers take for {name!r}")


def _refuse_members(document: dict[str, Json], media_type: str, *names: str) -> None:
    for name in names:
        if name in document:
            raise OciInvalid(f"{name!r} has no place in {media_type}")


def _descriptors(document: dict[str, Json], name: str) -> tuple[Descriptor, ...]:
    items = document.get(name)
    if not isinstance(items, list):
        raise OciInvalid(f"{name!r} is not an array")
    return tuple(_descriptor(item, f"{name}[{position}]") for position, item in enumerate(items))


def _optional_descriptor(document: dict[str, Json], name: str) -> Descriptor | None:
    item = document.get(name)
    return None if item is None else _descriptor(item, name)


def _descriptor(item: Json, where: str) -> Descriptor:
    if not isinstance(item, dict):
        raise OciInvalid(f"{where} is not a descriptor")
    refuse_other_spellings(item, _DESCRIPTOR, where)
    media_type, digest, size = item.get("mediaType"), item.get("digest"), item.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise OciInvalid(f"{where} has no mediaType")
    if not isinstance(digest, str) or not is_digest(digest):
        raise OciInvalid(f"{where} has no sha256 digest")
    if type(size) is not int or not 0 <= size <= _MAX_SIZE:
        raise OciInvalid(f"{where} has no size")
    platform = item.get("platform")
    return Descriptor(
        media_type=media_type,
        digest=Digest(digest),
        size=size,
        platform=None if platform is None else _platform(platform, f"{where}.platform"),
        artifact_type=_optional_text(item, "artifactType", where),
        annotations=_annotations(item),
        data=_data(item, where),
    )


def _data(item: dict[str, Json], where: str) -> bytes | None:
    text = item.get("data")
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise OciInvalid(f"{where}.data is not base64") from error


def _platform(item: Json, where: str) -> Platform:
    if not isinstance(item, dict):
        raise OciInvalid(f"{where} is not an object")
    refuse_other_spellings(item, _PLATFORM, where)
    system, architecture = item.get("os"), item.get("architecture")
    if not isinstance(system, str) or not isinstance(architecture, str) or not system or not architecture:
        raise OciInvalid(f"{where} names no os and architecture")
    return Platform(os=system, architecture=architecture, variant=_optional_text(item, "variant", where))


def _optional_text(item: dict[str, Json], name: str, where: str) -> str | None:
    text = item.get(name)
    if text is not None and not isinstance(text, str):
        raise OciInvalid(f"{where}.{name} is not a string")
    return text or None


def _annotations(item: dict[str, Json]) -> Mapping[str, str]:
    annotations = item.get("annotations")
    if annotations is None:
        return {}
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        raise OciInvalid("annotations are not strings by name")
    return annotations
