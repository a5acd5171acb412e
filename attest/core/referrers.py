"""How attestations hang on an image: which manifests carry bundles, and the tags of the fallback scheme.

A registry without the referrers API keeps a list of referrers under the tag `sha256-<hex>` (distribution-spec
v1.1, "Referrers Tag Schema"). Writing that list is read-modify-write without a lock, so parallel writers lose
each other's entries. Therefore every attestation of ours also has a tag of its own under the same prefix: one
atomic write that nobody else's write can undo. Readers take the union; writers merge it back into the list, for
tools that know the list only. Why not only the list: docs/decisions/0004-publication.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from attest.core import oci
from attest.core.reference import Digest, digest_of

_OWN: Final = ".attest-"
_OWN_HEX: Final = 40
_OWN_TAIL = re.compile(rf"[0-9a-f]{{{_OWN_HEX}}}")
_COMPANION_TAIL = re.compile(r"[A-Za-z0-9._-]{1,56}")
"""With the fallback tag and a dot in front it fits the 128 characters of a tag."""


def fallback_tag(subject: Digest) -> str:
    """The tag of the fallback list of referrers."""
    return subject.replace(":", "-")


def legacy_tag(subject: Digest) -> str:
    """The tag under which cosign before v3 kept attestations."""
    return f"{fallback_tag(subject)}.att"


def own_tag(subject: Digest, manifest: Digest) -> str:
    """The tag that only this attestation of this subject has. It fits the 128 characters of a tag."""
    return f"{fallback_tag(subject)}{_OWN}{manifest.removeprefix('sha256:')[:_OWN_HEX]}"


def is_own_tag(subject: Digest, tag: str) -> bool:
    """Whether a tag is the own tag of some attestation of this subject."""
    prefix = f"{fallback_tag(subject)}{_OWN}"
    return tag.startswith(prefix) and _OWN_TAIL.fullmatch(tag, len(prefix)) is not None


def is_companion_tag(subject: Digest, tag: str) -> bool:
    """Whether a text is a tag below the subject's fallback tag: of cosign before v3, of a report, an own one.

    It is a tag and nothing else: what a store lists may be any text, and would lead elsewhere as part of a URL.
    """
    prefix = f"{fallback_tag(subject)}."
    return tag.startswith(prefix) and _COMPANION_TAIL.fullmatch(tag, len(prefix)) is not None


def tag_names(tag: str, manifest: Digest) -> bool:
    """Whether an own tag is the one of this manifest."""
    return tag.endswith(_OWN + manifest.removeprefix("sha256:")[:_OWN_HEX])


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLayer:
    """A layer that holds a Sigstore bundle, or with `legacy` a bare DSSE envelope of cosign before v3."""

    descriptor: oci.Descriptor
    legacy: bool


def bundle_layers(manifest: oci.Manifest) -> tuple[BundleLayer, ...]:
    """The layers of an attached manifest that may be evidence; empty for an SBOM, a signature image and the like."""
    found = []
    for layer in manifest.layers:
        if layer.media_type.startswith(oci.BUNDLE_PREFIX):
            found.append(BundleLayer(descriptor=layer, legacy=False))
        elif layer.media_type == oci.DSSE_ENVELOPE:
            found.append(BundleLayer(descriptor=layer, legacy=True))
    return tuple(found)


def referrer_descriptor(content: bytes, manifest: oci.Manifest) -> dict[str, Any]:
    """A manifest's entry in a list of referrers: with its artifact type and all of its annotations."""
    entry: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": digest_of(content),
        "size": len(content),
        "artifactType": manifest.artifact_type or manifest.config.media_type,
    }
    if manifest.annotations:
        entry["annotations"] = dict(manifest.annotations)
    return entry


def merged_index(present: Mapping[str, Any] | None, entries: Iterable[Mapping[str, Any]]) -> bytes | None:
    """The fallback list with these entries added, or None where it has them all.

    Entries and members that others wrote stay as they are; `present` is the parsed list, already checked.
    """
    document: dict[str, Any] = dict(present or {"schemaVersion": 2, "mediaType": oci.INDEX})
    manifests = list(document.get("manifests", []))
    known = {item["digest"] for item in manifests}
    missing = [entry for digest, entry in {entry["digest"]: entry for entry in entries}.items() if digest not in known]
    if not missing and present is not None:
        return None
    document["manifests"] = manifests + missing
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
