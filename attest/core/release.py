"""A release: the images that are decided about together, as a store has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from attest.core.oci import Descriptor, Platform
from attest.core.reference import Digest, Repository


class ChildKind(StrEnum):
    """What a child of an image index is."""

    PLATFORM = "platform"
    ATTESTATION = "attestation"
    """BuildKit's unsigned attestation manifest: no platform, and no evidence."""
    INDEX = "index"
    """An index in an index, which no policy allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChild:
    """A child of an image index. `platform` is what the index says of it."""

    digest: Digest
    platform: Platform | None
    kind: ChildKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image as a store has it; every manifest named here was read and its digest checked."""

    descriptor: Descriptor
    """Media type, digest and size of the image's manifest."""
    children: tuple[StoredChild, ...] | None
    """Of an image index; None for a plain manifest."""
    platform: Platform | None
    """Of a plain manifest, from its configuration, where the reader was asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseImage:
    """One image of a release. `reference` is how the user named it, `repository` what policies compare."""

    reference: str
    repository: Repository | None
    """None for an OCI layout of which nobody said which repository it stands for."""
    stored: StoredImage

    @property
    def digest(self) -> Digest:
        """The digest that was asked for."""
        return self.stored.descriptor.digest

    @property
    def name(self) -> str:
        """The last component of the repository, by which a policy's `except` names it; empty without one."""
        return self.repository.name if self.repository is not None else ""

    @property
    def platforms(self) -> tuple[tuple[Digest, Platform | None], ...]:
        """The runnable platforms: the children of an index, or the plain manifest itself."""
        if self.stored.children is None:
            return ((self.digest, self.stored.platform),)
        return tuple(
            (child.digest, child.platform) for child in self.stored.children if child.kind is ChildKind.PLATFORM
        )

    @property
    def digests(self) -> frozenset[Digest]:
        """Of the image and of all of its platforms."""
        return frozenset({self.digest, *(digest for digest, _ in self.platforms)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Images that are promoted together or not at all. `commit` is what a release file names, if there is one."""

    images: tuple[ReleaseImage, ...]
    commit: str | None = None

    @property
    def subjects(self) -> frozenset[Digest]:
        """What a joint lane's statement has to be about, exactly."""
        return frozenset(image.digest for image in self.images)
