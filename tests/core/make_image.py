"""Facts of images for tests: real layers, stacked as `attest image facts` stacks them, without a store."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attest.core.image.config import read_config
from attest.core.image.facts import ImageFacts, LayerFacts, PlatformFacts
from attest.core.image.layercontent import LayerContent
from attest.core.image.stack import Stack, kept_bytes
from attest.core.image.tarball import Member, TarReader
from attest.core.oci import INDEX, MANIFEST, Descriptor, Manifest
from attest.core.reference import digest_of
from tests.layerstacks import File, tar

Layer = tuple[str, Sequence[File]]
"""The build step that made a layer, and its members."""


def dpkg(**versions: str) -> File:
    """The database of these Debian packages."""
    paragraphs = (
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
        for name, version in versions.items()
    )
    return File("var/lib/dpkg/status", "".join(paragraphs).encode())


def image(
    *layers: Layer,
    config: Mapping[str, Any] | None = None,
    steps: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
    platform: str = "linux/amd64",
) -> PlatformFacts:
    """The facts of an image of these layers; `steps` are those of the build that made none, after them."""
    system, architecture = platform.split("/")
    archives = [tar(members) for _, members in layers]
    document = {
        "os": system,
        "architecture": architecture,
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [digest_of(archive) for archive in archives]},
        "history": [
            *({"created_by": step} for step, _ in layers),
            *({"created_by": step, "empty_layer": True} for step in steps),
        ],
    }
    content = json.dumps(document).encode()
    read = read_config(content)
    manifest = Manifest(
        media_type=MANIFEST,
        config=Descriptor(media_type="c", digest=digest_of(content), size=len(content)),
        layers=(),
        subject=None,
        artifact_type=None,
        annotations=dict(annotations or {}),
    )
    stack = Stack(read_rpm=lambda _: [])
    found = []
    for position, archive in enumerate(archives):
        described = _layer(archive)
        blob = digest_of(archive + b"as it is stored")
        found.append(
            LayerFacts(
                position=position,
                digest=blob,
                diff_id=digest_of(archive),
                media_type="l",
                compressed=len(archive) // 2,
                unpacked=stack.add(described, blob),
                entries=len(described.members),
                created_by=read.created_by(position),
            )
        )
    return stack.facts(manifest=manifest, digest=digest_of(content + b"m"), config=read, layers=tuple(found))


def whole(*platforms: PlatformFacts) -> ImageFacts:
    """An index of these images."""
    digest = digest_of("".join(platform.manifest for platform in platforms).encode())
    return ImageFacts(digest=digest, media_type=INDEX, platforms=platforms)


def _layer(archive: bytes) -> LayerContent:
    stream = io.BytesIO(archive)
    reader = TarReader(stream.read, lambda size: len(stream.read(size)))
    members: list[Member] = []
    kept = {}
    while (member := reader.next()) is not None:
        if kept_bytes(member.name) is not None and member.size:
            kept[len(members)] = reader.content(member)
        members.append(member)
    return LayerContent(members=tuple(members), kept=kept, secrets=(), unpacked=0)
