"""What every check is handed: one platform of an image, and what it may be compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from attest.core.contract.claims import BuildClaim
from attest.core.contract.finding import Finding, FoundLayer, Lock, Standing
from attest.core.contract.tree import Tree
from attest.core.image.facts import ImageFacts, PlatformFacts, Unread, View
from attest.core.oci import Platform
from attest.core.reference import Digest

BASELINE = "baseline"
"""The place of a finding that no baseline was given, or not for this platform; so with the others."""
LOCK = "lock"
CI_IMAGE = "ci-image"
PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One platform of an image before one check."""

    check: str
    facts: PlatformFacts
    tree: Tree
    baseline: ImageFacts | None
    ci_image: ImageFacts | None
    lock: Lock | None
    claims: tuple[BuildClaim, ...]
    base_digests: frozenset[Digest] | None
    """The bases that the contract allows; None where it does not say."""

    def violation(self, place: str, message: str, layer: int | None = None) -> Finding:
        """Something that the contract forbids."""
        return self._finding(Standing.VIOLATION, place, message, layer)

    def undecided(self, place: str, message: str, layer: int | None = None) -> Finding:
        """Something that nobody can decide."""
        return self._finding(Standing.UNDECIDED, place, message, layer)

    def unread(self, *what: str, views: tuple[View, ...] = (View.EFFECTIVE,)) -> Iterator[Finding]:
        """What is there of these kinds and could not be read."""
        return (self._cannot_read(one) for one in self.facts.unread if one.what in what and one.view in views)

    def _cannot_read(self, one: Unread) -> Finding:
        hidden = "" if one.view is View.EFFECTIVE else ", which a later layer hides,"
        return self.undecided(one.path, f"{one.path}{hidden} could not be read: {one.reason}", one.layer)

    def _finding(self, standing: Standing, place: str, message: str, layer: int | None) -> Finding:
        return Finding(
            check=self.check,
            platform=self.facts.platform,
            place=place,
            message=message,
            standing=standing,
            layer=FoundLayer.of(self.facts, layer),
        )


def on_platform(image: ImageFacts, platform: Platform) -> PlatformFacts | None:
    """The image's part for a platform; None where it has none."""
    wanted = _normal(platform)
    return next((facts for facts in image.platforms if _normal(facts.platform) == wanted), None)


def _normal(platform: Platform) -> tuple[str, str, str | None]:
    """A platform in its one form: builders write the usual variant of an architecture or leave it out."""
    usual = {"amd64": "v1", "arm64": "v8", "arm": "v7"}.get(platform.architecture)
    return (platform.os, platform.architecture, None if platform.variant == usual else platform.variant)
