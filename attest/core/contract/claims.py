"""What a provenance says of the build of an image, as far as a contract compares it.

Here it is a claim like a label: it can only add a violation or name a target. Whether it is signed, and by whom, is
for a policy to say (the build lane).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from attest.core.lane.buildfacts import read_provenance
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildClaim:
    """What one provenance says."""

    place: str
    """Where it was found, for people: the digest of its bundle, or a file."""
    target: str | None
    """The build target, the stage that the image is; None where it does not say."""
    bases: frozenset[Digest]
    """Images that it calls a base of the build (docs/provenance.md)."""
    images: frozenset[Digest]
    """All images that went into the build, with the bases."""


def read_claim(predicate_type: str, predicate: Mapping[str, Json], *, place: str) -> BuildClaim:
    """What a SLSA provenance, attest's own or BuildKit's, says of the build.

    Raises:
        FactsInvalid: it is of another type, or malformed (`attest.core.lane.buildfacts`).
    """
    facts = read_provenance(predicate_type, predicate, place=place)
    bases = frozenset(_bases(predicate))
    images = frozenset(
        Digest(digest)
        for material in facts.materials
        if material.is_image and is_digest(digest := f"sha256:{material.digest.get('sha256')}")
    )
    return BuildClaim(place=place, target=facts.target, bases=bases, images=bases | images)


def _bases(predicate: Mapping[str, Json]) -> Iterator[Digest]:
    definition = predicate.get("buildDefinition")
    dependencies = definition.get("resolvedDependencies") if isinstance(definition, dict) else None
    for item in dependencies if isinstance(dependencies, list) else ():
        if isinstance(item, dict) and item.get("name") == "base":
            digests = item.get("digest")
            text = f"sha256:{digests.get('sha256')}" if isinstance(digests, dict) else ""
            if is_digest(text):
                yield Digest(text)
