"""Content for a registry, made from bytes and pushed without the adapter under test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from attest.core import oci
from attest.core.oci import Descriptor
from attest.core.reference import Digest, RegistryImage, digest_of, parse_repository
from attest.core.referrers import fallback_tag
from tests.parts.registry import Registry

PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
CREATED = "2026-01-02T03:04:05Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An image in a registry; `descriptor` is of its manifest."""

    image: RegistryImage
    descriptor: Descriptor


def config(architecture: str = "amd64") -> bytes:
    """An image configuration."""
    return json.dumps({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers"}}).encode()


def manifest_of(configuration: bytes, **more: object) -> bytes:
    """A plain image manifest without layers."""
    document = {
        "schemaVersion": 2,
        "mediaType": oci.MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(configuration),
            "size": len(configuration),
        },
        "layers": [],
        **more,
    }
    return json.dumps(document).encode()


def index_of(*children: dict[str, object]) -> bytes:
    """An image index."""
    return json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": list(children)}).encode()


def entry(content: bytes, *, media_type: str = oci.MANIFEST, **more: object) -> dict[str, object]:
    """A descriptor of some content, as it stands in JSON."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def described(content: bytes, media_type: str = oci.MANIFEST) -> Descriptor:
    """A descriptor of some content."""
    return Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))


def push_blob(registry: Registry, repository: str, content: bytes) -> Digest:
    """Upload a blob; `repository` is as `Registry.fresh_repository` gives it."""
    path = repository.removeprefix(registry.host + "/")
    started = registry.ask("POST", f"/v2/{path}/blobs/uploads/")
    assert started.status == 202, started
    location = urlsplit(started.headers["location"])
    query = f"{location.query}&" if location.query else ""
    digest = digest_of(content)
    ended = registry.ask(
        "PUT",
        f"{location.path}?{query}digest={digest}",
        body=content,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert ended.status == 201, ended
    return digest


def push_manifest(
    registry: Registry, repository: str, content: bytes, *, tag: str | None = None, media_type: str = oci.MANIFEST
) -> Digest:
    """Push a manifest by its digest, or by a tag."""
    path = repository.removeprefix(registry.host + "/")
    digest = digest_of(content)
    answer = registry.ask(
        "PUT", f"/v2/{path}/manifests/{tag or digest}", body=content, headers={"Content-Type": media_type}
    )
    assert answer.status == 201, answer
    return digest


def push_image(registry: Registry, repository: str, *, architecture: str = "amd64") -> Pushed:
    """Push a plain image."""
    configuration = config(architecture)
    manifest = manifest_of(configuration)
    push_blob(registry, repository, configuration)
    digest = push_manifest(registry, repository, manifest)
    image = RegistryImage(repository=parse_repository(repository), digest=digest)
    return Pushed(image=image, descriptor=described(manifest))


def push_attestation(
    registry: Registry, pushed: Pushed, bundle: bytes, *, inline: bool = False, created: str = CREATED
) -> bytes:
    """Push an attestation of an image as others do, but list it nowhere; its manifest."""
    repository = str(pushed.image.repository)
    push_blob(registry, repository, bundle)
    push_blob(registry, repository, oci.EMPTY_BLOB)
    manifest = oci.attestation_manifest(
        bundle=bundle, subject=pushed.descriptor, predicate_type=PREDICATE_TYPE, created=created, inline=inline
    )
    push_manifest(registry, repository, manifest)
    return manifest


def push_fallback(registry: Registry, pushed: Pushed, *manifests: bytes) -> None:
    """Write the list at the fallback tag."""
    push_manifest(
        registry,
        str(pushed.image.repository),
        index_of(*(entry(manifest) for manifest in manifests)),
        tag=fallback_tag(pushed.image.digest),
        media_type=oci.INDEX,
    )
