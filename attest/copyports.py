"""What copying an image needs from where it is and from where it goes, as Protocols.

Both sides are untrusted pipes, as every `attest.ports.Store`: manifests and blobs are checked against what named them,
and "absent" is never said where the truth is "could not be read".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from attest.core.oci import Descriptor, Index, Manifest
from attest.core.promotion.copyplan import Attachment, Listed, Part
from attest.core.reference import Digest, ImageReference, Repository, digest_of
from attest.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A manifest or index, and its bytes, whose digest was checked."""

    content: bytes = field(repr=False)
    document: Manifest | Index

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size."""
        return Descriptor(media_type=self.document.media_type, digest=digest_of(self.content), size=len(self.content))


class Moved(Enum):
    """How a blob came to be at the destination."""

    PRESENT = "present"
    """It was there already."""
    UPLOADED = "uploaded"
    MOUNTED = "mounted"
    """The registry took it from another of its repositories; no byte of it was sent."""


class CopySource(Protocol):
    """One image's place, read."""

    @property
    def repository(self) -> Repository | None:
        """The repository that blobs may be mounted from; None for a layout."""
        ...

    def image(self) -> Held:
        """The image's own manifest.

        Raises:
            attest.errors.NotFound: it is not there.
            attest.errors.StoreError: it could not be read.
        """
        ...

    def manifest(self, described: Descriptor) -> Held:
        """What an index or a list names, of the size and type that it names.

        Raises:
            attest.errors.StoreError: it is not there, or could not be read: it may be an attestation.
        """
        ...

    def attached(self, subject: Digest, children: Sequence[Digest]) -> Listed:
        """Everything that is listed as attached to a digest, whatever kind of thing it is.

        `children` are those of an index: some registries answer with them where they should list.

        Raises:
            attest.errors.StoreError, attest.errors.LimitExceeded: it could not be listed.
        """
        ...

    def stream(self, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob, piece by piece. Neither their number nor their digest is checked.

        Raises:
            attest.errors.NotFound: it is not there.
        """
        ...


class CopyTarget(Protocol):
    """Where an image goes. Each method may be called again after it was broken off, and then finishes what it began."""

    def tagged(self, tag: str) -> Digest | None:
        """What a tag stands for now; None where there is no such tag, or no such place yet.

        Raises:
            attest.errors.StoreError: it could not be read.
        """
        ...

    def prepare(self) -> None:
        """Make the place, where it has to be made before something can be put there.

        Raises:
            attest.errors.StoreError: it cannot be made.
        """
        ...

    def has(self, blob: Descriptor) -> bool:
        """Whether a blob is there already.

        Raises:
            attest.errors.StoreError: it could not be found out.
        """
        ...

    def take(self, blob: Descriptor, pieces: Callable[[], Iterator[bytes]], *, origin: Repository | None) -> Moved:
        """Have a blob that is absent: mounted from `origin` where that can be, else from `pieces`, again if need be.

        `pieces` ends with an error instead of its last piece where the bytes are not those of the blob.

        Raises:
            attest.errors.StoreError: it was not taken.
        """
        ...

    def put(self, manifest: Held) -> None:
        """Have a manifest by its digest, read back byte for byte.

        Raises:
            attest.errors.StoreError: it was not taken, or reads otherwise.
        """
        ...

    def attach(self, attachment: Attachment) -> None:
        """Have manifests that are there listed as attached to another, as a verifier and as other tools list.

        Raises:
            attest.errors.NotPublished: they are there and are not listed.
            attest.errors.StoreError: they could not be listed.
        """
        ...

    def keep_name(self, name: str, part: Part) -> None:
        """Have a tag of the fallback scheme stand for a manifest that is there, or for one that holds all of it.

        Raises:
            attest.errors.StoreError: it stands for something else, or could not be written.
        """
        ...

    def tag(self, tag: str, image: Descriptor) -> None:
        """Give the image its tag. One that stands for it already is no error, and no tag is ever moved.

        Raises:
            attest.errors.TagTaken: it stands for something else.
            attest.errors.StoreError: it could not be written, or does not stand.
        """
        ...


class CopyStore(Store, Protocol):
    """A store that images are copied from and to."""

    def copy_source(self, image: ImageReference) -> CopySource:
        """The place of this image, to read from."""
        ...

    def copy_target(self, image: ImageReference) -> CopyTarget:
        """The place where this image will be."""
        ...
