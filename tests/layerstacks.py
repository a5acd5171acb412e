"""Stacks of layers for tests: written as tar archives, gathered in an OCI image layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

TAG: Final = "t"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class File:
    """A member of a layer, as tarfile is told to write it."""

    name: str
    content: bytes = b""
    mode: int = 0o644
    type: bytes = tarfile.REGTYPE
    link: str = ""
    pax: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    gid: int = 0


def folder(name: str, mode: int = 0o755) -> File:
    """A directory."""
    return File(name, mode=mode, type=tarfile.DIRTYPE)


def symlink(name: str, target: str) -> File:
    """A symbolic link."""
    return File(name, mode=0o777, type=tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str, *, mode: int = 0o644) -> File:
    """A hard link; its mode is that of the file, as archivers write it."""
    return File(name, mode=mode, type=tarfile.LNKTYPE, link=target)


def tar(files: Sequence[File], *, format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002 - tarfile's own word
    """The archive of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for file in files:
            header = tarfile.TarInfo(file.name)
            header.type, header.mode, header.linkname = file.type, file.mode, file.link
            header.uid, header.gid, header.pax_headers = file.uid, file.gid, dict(file.pax)
            header.size = len(file.content)
            archive.addfile(header, io.BytesIO(file.content))
    return stream.getvalue()


def digest(content: bytes) -> str:
    """The digest of these bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An image in a layout."""

    layout: Path
    digest: str

    @property
    def reference(self) -> str:
        """The image as attest names it."""
        return f"oci:{self.layout}@{self.digest}"


def write_layout(
    layout: Path,
    layers: Sequence[bytes],
    *,
    blobs: Sequence[bytes] | None = None,
    media_types: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Written:
    """Write an image of these archives; with `blobs` those are stored in their stead, as if compressed from them."""
    folder_of_blobs = layout / "blobs" / "sha256"
    folder_of_blobs.mkdir(parents=True)

    def stored(content: bytes, media_type: str) -> dict[str, Any]:
        named = digest(content)
        (folder_of_blobs / named.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": named, "size": len(content)}

    document: dict[str, Any] = {
        "os": "linux",
        "architecture": "amd64",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    if history is not None:
        document["history"] = list(history)
    types = media_types or [LAYER] * len(layers)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": stored(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [stored(blob, kind) for blob, kind in zip(blobs or layers, types, strict=True)],
    }
    if annotations is not None:
        manifest["annotations"] = dict(annotations)
    described = stored(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    entry = {**described, "annotations": {"org.opencontainers.image.ref.name": TAG}}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps(index))
    return Written(layout=layout, digest=described["digest"])


def describe_layout(layout: Path, layers: Sequence[tuple[Path, Path]], *, media_type: str) -> Written:
    """Write an image of large layers, archive and blob each in a file, the blobs linked and none of them in memory."""
    written = write_layout(layout, [])
    blobs = layout / "blobs" / "sha256"
    digests = {path: _file_digest(path) for pair in set(layers) for path in pair}
    for blob in {blob for _, blob in layers}:
        (blobs / digests[blob].removeprefix("sha256:")).hardlink_to(blob)

    def stored(content: bytes, kind: str) -> dict[str, Any]:
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": kind, "digest": digest(content), "size": len(content)}

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((blobs / written.digest.removeprefix("sha256:")).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    config["rootfs"]["diff_ids"] = [digests[archive] for archive, _ in layers]
    manifest["config"] = stored(json.dumps(config).encode(), manifest["config"]["mediaType"])
    manifest["layers"] = [
        {"mediaType": media_type, "digest": digests[blob], "size": blob.stat().st_size} for _, blob in layers
    ]
    index["manifests"][0] |= stored(json.dumps(manifest).encode(), manifest["mediaType"])
    (layout / "index.json").write_text(json.dumps(index))
    return Written(layout=layout, digest=index["manifests"][0]["digest"])


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def gzipped(content: bytes) -> bytes:
    """The bytes, compressed by gzip, always alike."""
    return gzip.compress(content, mtime=0)
