"""OCI image layouts made from bytes, for tests that need one with a defect, or without any program."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

Entry = dict[str, Any]
"""A descriptor, as it stands in JSON."""


class Layout:
    """A layout that is being made. Each method that stores content returns its descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs = path / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.write_index([])

    def write_index(self, entries: list[Entry], **members: Any) -> None:
        """Write `index.json` with these entries, and any other members."""
        document = {"schemaVersion": 2, "manifests": entries, **members}
        (self.path / "index.json").write_text(json.dumps(document))

    def read_index(self) -> dict[str, Any]:
        """What `index.json` says now."""
        document: dict[str, Any] = json.loads((self.path / "index.json").read_bytes())
        return document

    def add(self, entry: Entry, *, name: str | None = None, **members: Any) -> Entry:
        """Add an entry to `index.json`, under a reference name and with any other members."""
        added = {**entry, **members}
        if name is not None:
            added["annotations"] = {REF_NAME: name}
        document = self.read_index()
        self.write_index([*document.pop("manifests"), added])
        return added

    def blob(self, content: bytes, media_type: str = "application/octet-stream") -> Entry:
        """Store bytes."""
        hex_digest = hashlib.sha256(content).hexdigest()
        (self._blobs / hex_digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{hex_digest}", "size": len(content)}

    def file_of(self, digest: str) -> Path:
        """Where a blob is."""
        return self._blobs / digest.removeprefix("sha256:")

    def manifest(self, layers: list[Entry], *, config: Entry | None = None, **members: Any) -> Entry:
        """Store an image manifest."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config or self.blob(b"{}", EMPTY),
            "layers": layers,
            **members,
        }
        return self.blob(json.dumps(document).encode(), MANIFEST)

    def image(self, content: str = "an application", *, architecture: str = "amd64") -> Entry:
        """Store an image for a platform, with one layer."""
        config = {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}}
        return self.manifest(
            [self.blob(content.encode(), "application/vnd.oci.image.layer.v1.tar")],
            config=self.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        )

    def index(self, children: list[Entry], **members: Any) -> Entry:
        """Store an image index."""
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children, **members}
        return self.blob(json.dumps(document).encode(), INDEX)

    def referrer(self, subject: Entry, *bundles: bytes, media_type: str = BUNDLE, **members: Any) -> Entry:
        """Store a manifest that attaches bundles to a subject."""
        layers = [self.blob(bundle, media_type) for bundle in bundles]
        return self.manifest(layers, subject=subject, artifactType=media_type, **members)
