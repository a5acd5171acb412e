"""A test report beside an image: an artifact without a subject, under a tag that follows from both digests.

It is no attestation, so no list of referrers names it and no reader of attestations meets it. Sources: image-spec v1.1,
"Guidelines for Artifact Usage"; the tags of `attest.core.referrers`.
"""

from __future__ import annotations

import json
from typing import Final

from attest.core.oci import EMPTY, EMPTY_BLOB, EMPTY_DIGEST, MANIFEST, Descriptor, Index, Manifest, OciInvalid
from attest.core.reference import Digest, digest_of
from attest.core.referrers import fallback_tag

TYPE: Final = "application/vnd.attest-gate.report.v1"
"""The artifact type."""
IMAGE: Final = "attest-gate/image"
"""The annotation of the manifest that names the image."""
_HEX: Final = 40


def report_tag(image: Digest, report: Digest) -> str:
    """The tag of a report: whoever knows both digests finds it without a list. It fits the 128 characters of a tag."""
    return f"{fallback_tag(image)}.report-{report.removeprefix('sha256:')[:_HEX]}"


def write_manifest(*, report: bytes, media_type: str, image: Digest) -> bytes:
    """The manifest of a test report that is kept beside an image (image-spec, "Guidelines for Artifact Usage").

    The same report of the same image always has the same manifest.
    """
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": TYPE,
        "config": {"mediaType": EMPTY, "digest": EMPTY_DIGEST, "size": len(EMPTY_BLOB)},
        "layers": [{"mediaType": media_type, "digest": digest_of(report), "size": len(report)}],
        "annotations": {IMAGE: image},
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def read_manifest(manifest: Manifest | Index, *, image: Digest, report: Digest) -> Descriptor:
    """The report in a manifest that is kept for this image.

    Raises:
        OciInvalid: it is no such manifest, or of another image or report.
    """
    if not isinstance(manifest, Manifest) or manifest.artifact_type != TYPE or len(manifest.layers) != 1:
        raise OciInvalid("not a test report")
    if manifest.annotations.get(IMAGE) != image or manifest.layers[0].digest != report:
        raise OciInvalid(f"not the report {report} of {image}")
    return manifest.layers[0]
