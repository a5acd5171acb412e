"""Which store an image lives in, and the images that a command line names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attest.core.reference import (
    Digest,
    ImageReference,
    LayoutImage,
    LayoutTag,
    RegistryImage,
    RegistryTag,
    TagReferences,
    parse_reference,
    parse_repository,
)
from attest.errors import AttestError, TagReference
from attest.ops.named import Named, name_images

if TYPE_CHECKING:
    from attest.adapters.layout import LayoutStore
    from attest.adapters.registry import RegistryStore
    from attest.copyports import CopySource, CopyTarget
    from attest.core.oci import Descriptor, Index, Manifest
    from attest.core.release import StoredImage
    from attest.ports import Attached, Published


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What the command line says about registries."""

    timeout: float
    plain_http: bool
    ca_file: str | None
    token_hosts: Sequence[str]
    push: bool = False


@dataclass(slots=True)
class Stores:
    """`attest.ports.Store` for every kind of reference; an adapter is loaded when an image asks for it."""

    connection: Connection
    _layout: LayoutStore | None = field(default=None, init=False)
    _registry: RegistryStore | None = field(default=None, init=False)

    def open(self, images: Sequence[ImageReference | TagReferences]) -> None:
        """Load what these references need, before several threads ask for it."""
        for image in images:
            self._of(image)

    def resolve(self, tag: TagReferences) -> Digest:
        """As `attest.ports.Store`."""
        return self._of(tag).resolve(tag)

    def describe(self, image: ImageReference) -> Descriptor:
        """As `attest.ports.Store`."""
        return self._of(image).describe(image)

    def manifest(self, image: ImageReference) -> Manifest | Index:
        """As `attest.ports.Store`."""
        return self._of(image).manifest(image)

    def blob(self, image: ImageReference, blob: Descriptor, *, limit: int) -> bytes:
        """As `attest.ports.Store`."""
        return self._of(image).blob(image, blob, limit=limit)

    def stream(self, image: ImageReference, blob: Descriptor) -> Iterator[bytes]:
        """As `attest.ports.LayerStore`."""
        return self._of(image).stream(image, blob)

    def holds(self, image: ImageReference, blob: Descriptor) -> bool:
        """As `attest.ports.LayerStore`."""
        return self._of(image).holds(image, blob)

    def aliases(self, image: ImageReference) -> frozenset[Digest]:
        """As `attest.ports.Store`."""
        return self._of(image).aliases(image)

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """As `attest.ports.Store`."""
        return self._of(image).read(image, platform=platform, receive=receive)

    def publish(
        self, image: ImageReference, subject: Descriptor, bundle: bytes, *, predicate_type: str, created: str
    ) -> Published:
        """As `attest.ports.Store`."""
        return self._of(image).publish(image, subject, bundle, predicate_type=predicate_type, created=created)

    def store_report(self, image: ImageReference, report: bytes, *, media_type: str) -> Descriptor:
        """As `attest.ports.Store`."""
        return self._of(image).store_report(image, report, media_type=media_type)

    def fetch_report(self, image: ImageReference, report: Digest) -> bytes:
        """As `attest.ports.Store`."""
        return self._of(image).fetch_report(image, report)

    def copy_source(self, image: ImageReference) -> CopySource:
        """As `attest.copyports.CopyStore`."""
        return self._of(image).copy_source(image)

    def copy_target(self, image: ImageReference) -> CopyTarget:
        """As `attest.copyports.CopyStore`."""
        return self._of(image).copy_target(image)

    def tags(self, prefix: TagReferences) -> frozenset[str]:
        """As `attest.ledgerports.HeadStore`."""
        return self._of(prefix).tags(prefix)

    def _of(self, image: ImageReference | TagReferences) -> LayoutStore | RegistryStore:
        if isinstance(image, LayoutImage | LayoutTag):
            if self._layout is None:
                from attest.adapters.layout import LayoutStore

                self._layout = LayoutStore()
            return self._layout
        if self._registry is None:
            from attest.adapters.deadline import Deadline
            from attest.adapters.registry import Access, RegistrySettings, RegistryStore, docker_config_folder

            self._registry = RegistryStore(
                RegistrySettings(
                    deadline=Deadline(self.connection.timeout),
                    access=Access.PUSH if self.connection.push else Access.PULL,
                    plain_http=self.connection.plain_http,
                    ca_file=self.connection.ca_file,
                    token_hosts=frozenset(self.connection.token_hosts),
                    docker_config=docker_config_folder(os.environ),
                )
            )
        return self._registry


def named_images(stores: Stores, texts: Sequence[str], repositories: Sequence[str]) -> tuple[Named, ...]:
    """The images that a command line names, by digest.

    Raises:
        TagReference: one is named by a tag; the hint says what the tag stands for now.
        ReferenceInvalid, UsageError: one is no reference, or they do not fit together.
    """
    images: list[ImageReference] = []
    for text in texts:
        reference = parse_reference(text)
        if not isinstance(reference, RegistryImage | LayoutImage):
            raise _tag_refused(stores, reference)
        images.append(reference)
    stores.open(images)
    return name_images(images, [parse_repository(text) for text in repositories])


def _tag_refused(stores: Stores, reference: RegistryTag | LayoutTag) -> TagReference:
    message = f"{reference} is a tag, and a tag can be moved; name the image by its digest"
    try:
        digest = stores.resolve(reference)
    except AttestError as error:
        return TagReference(message, hint=f"what it stands for could not be found out: {error.message}")
    return TagReference(message, hint=f"it stands for this now: {reference.at(digest)}")
