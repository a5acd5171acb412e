"""A container image made from bytes, in an OCI image layout (image-spec v1.1): no builder, no base image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any


def write_image(layout: Path, files: dict[str, bytes]) -> str:
    """Write an image with one layer that holds these files; returns the digest of its manifest."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    tar = _tar(files)
    layer = _blob(blobs, gzip.compress(tar, mtime=0))
    config = _blob(
        blobs,
        _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"User": "65532:65532", "Entrypoint": ["/usr/bin/python3", "/app/service.py"]},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
            }
        ),
    )
    manifest = _blob(
        blobs,
        _json(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **layer}],
            }
        ),
    )
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest}
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return str(manifest["digest"])


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _blob(blobs: Path, content: bytes) -> dict[str, Any]:
    hexadecimal = hashlib.sha256(content).hexdigest()
    (blobs / hexadecimal).write_bytes(content)
    return {"digest": f"sha256:{hexadecimal}", "size": len(content)}


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


if __name__ == "__main__":
    import sys

    target = Path(sys.argv[1])
    service = Path(__file__).resolve().parent / "sample" / "service.py"
    print(f"oci:{target}@{write_image(target, {'app/service.py': service.read_bytes()})}")
