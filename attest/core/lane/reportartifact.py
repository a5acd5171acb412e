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
_HEX: Final = 40


def report_tag(image: Digest, report: Digest) -> str:
    """The tag of a report: whoever knows both digests finds it without a list. It fits the 128 characters of a tag."""
    return f"{fallback_tag(image)}.report-{report.removeprefix('sha256:')[:_HEX]}"


def write_manifest(*, report: bytes, media_type: str) -> bytes:
    """The manifest of a test report that is kept beside an image (image-spec, "Guidelines for Artifact Usage").

    The same report always has the same manifest, beside whatever image it is kept.
    """
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": TYPE,
        "config": {"mediaType": EMPTY, "digest": EMPTY_DIGEST, "size": len(EMPTY_BLOB)},
        "layers": [{"mediaType": media_type, "digest": digest_of(report), "size": len(report)}],
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def read_manifest(manifest: Manifest | Index, *, report: Digest) -> Descriptor:
    """The report in its manifest.

    Raises:
        OciInvalid: it is no such manifest, or of another report.
    """
    if not isinstance(manifest, Manifest) or manifest.artifact_type != TYPE or len(manifest.layers) != 1:
        raise OciInvalid("not a test report")
    if manifest.layers[0].digest != report:
        raise OciInvalid(f"not the report {report}")
    return manifest.layers[0]
