"""Registries as a `Store`: the joint of reading and publishing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from attest.adapters.registry.budget import Budget
from attest.adapters.registry.client import Client
from attest.adapters.registry.reader import ImageReader
from attest.adapters.registry.repository import RemoteRepository
from attest.adapters.registry.settings import Access, RegistrySettings
from attest.core import limits
from attest.core.oci import Descriptor, Index, Manifest, is_buildkit_attestation
from attest.core.reference import (
    Digest,
    ImageReference,
    LayoutImage,
    LayoutTag,
    RegistryImage,
    Repository,
    TagReferences,
)
from attest.core.release import StoredImage
from attest.errors import InternalError, LimitExceeded, NotFound
from attest.ports import Attached, Published

if TYPE_CHECKING:
    from attest.adapters.registry.copying import RepositorySource, RepositoryTarget


class RegistryStore:
    """Implements `attest.ports.Store` for images in registries: one for a command, shared by its threads."""

    def __init__(self, settings: RegistrySettings) -> None:
        """With `Access.PUSH`, what pushing needs is loaded by another thread from now on."""
        self._settings = settings
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()
        self._budget = Budget()
        if settings.access is Access.PUSH:
            threading.Thread(target=_load_publishing, daemon=True).start()

    def resolve(self, tag: TagReferences) -> Digest:
        """The digest of what a tag stands for now, computed from its bytes.

        Raises:
            NotFound: there is no such tag.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be read.
        """
        if isinstance(tag, LayoutTag):
            raise _not_ours(tag)
        found = self._repository(tag.repository).tagged(tag.tag)
        if found is None:
            raise NotFound(f"{tag.repository.host} does not have {tag}")
        return found.digest

    def describe(self, image: ImageReference) -> Descriptor:
        """The image's own descriptor, from its manifest.

        Raises:
            NotFound: there is no such image.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be read.
        """
        found = self._repository(_in_registry(image).repository).manifest(image.digest)
        return Descriptor(media_type=found.document.media_type, digest=found.digest, size=len(found.content))

    def manifest(self, image: ImageReference) -> Manifest | Index:
        """As `attest.ports.Store.manifest`.

        Raises:
            NotFound: there is no such image.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be read.
        """
        return self._repository(_in_registry(image).repository).manifest(image.digest).document

    def blob(self, image: ImageReference, blob: Descriptor, *, limit: int) -> bytes:
        """As `attest.ports.Store.blob`.

        Raises:
            NotFound: the repository does not hold it.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be read.
        """
        return self._repository(_in_registry(image).repository).blob(blob, limit=limit)

    def stream(self, image: ImageReference, blob: Descriptor) -> Iterator[bytes]:
        """As `attest.ports.LayerStore.stream`.

        Raises:
            NotFound: the repository does not hold it.
            StoreError, DeadlineExceeded: it could not be read.
        """
        from attest.adapters.registry.streaming import stream_blob

        return stream_blob(self._repository(_in_registry(image).repository), blob)

    def holds(self, image: ImageReference, blob: Descriptor) -> bool:
        """As `attest.ports.LayerStore.holds`: one request without a body."""
        from attest.adapters.registry.uploading import Uploader

        return Uploader(self._repository(_in_registry(image).repository), self._settings).has(blob)

    def aliases(self, image: ImageReference) -> frozenset[Digest]:
        """As `attest.ports.Store.aliases`, from manifests alone.

        Raises:
            NotFound: there is no such image.
            StoreError, LimitExceeded, DeadlineExceeded: it, or a platform of it, could not be read.
        """
        repository = self._repository(_in_registry(image).repository)
        document = repository.manifest(image.digest).document
        if isinstance(document, Manifest):
            return frozenset({image.digest, document.config.digest})
        if len(document.manifests) > limits.PLATFORMS:
            raise LimitExceeded(f"{image} has more than {limits.PLATFORMS} platforms")
        found = {image.digest}
        for child in document.manifests:
            manifest = repository.manifest(child.digest, child).document
            if isinstance(manifest, Manifest) and not is_buildkit_attestation(child, manifest):
                found |= {child.digest, manifest.config.digest}
        return frozenset(found)

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """As `attest.ports.Store.read`; the evidence of all readings counts together.

        Raises:
            NotFound: there is no such image.
            StoreError, LimitExceeded, DeadlineExceeded: the image, or anything attached to it, could not be read.
        """
        repository = self._repository(_in_registry(image).repository)
        return ImageReader(repository, image.digest, platform=platform, budget=self._budget, receive=receive).read()

    def publish(
        self, image: ImageReference, subject: Descriptor, bundle: bytes, *, predicate_type: str, created: str
    ) -> Published:
        """As `attest.ports.Store.publish`; see docs/decisions/0004-publication.md.

        Raises:
            NotPublished: it was pushed, and did not become visible.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be pushed, or not be looked for.
        """
        from attest.adapters.registry.publishing import Publication

        repository = self._repository(_in_registry(image).repository, Access.PUSH)
        return Publication(
            repository,
            self._settings,
            subject=subject,
            bundle=bundle,
            predicate_type=predicate_type,
            created=created,
        ).publish()

    def store_report(self, image: ImageReference, report: bytes, *, media_type: str) -> Descriptor:
        """As `attest.ports.Store.store_report`.

        Raises:
            NotPublished: it was pushed, and cannot be read back.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be pushed.
        """
        from attest.adapters.registry.reports import store_report

        reference = _in_registry(image)
        repository = self._repository(reference.repository, Access.PUSH)
        return store_report(repository, reference.digest, report, media_type=media_type)

    def fetch_report(self, image: ImageReference, report: Digest) -> bytes:
        """As `attest.ports.Store.fetch_report`.

        Raises:
            NotFound: none is kept.
            StoreError, LimitExceeded, DeadlineExceeded: it could not be read, or the registry has something else.
        """
        from attest.adapters.registry.reports import fetch_report

        reference = _in_registry(image)
        return fetch_report(self._repository(reference.repository), reference.digest, report)

    def copy_source(self, image: ImageReference) -> RepositorySource:
        """As `attest.copyports.CopyStore.copy_source`."""
        from attest.adapters.registry.copying import RepositorySource

        reference = _in_registry(image)
        return RepositorySource(self._repository(reference.repository), reference.digest)

    def copy_target(self, image: ImageReference) -> RepositoryTarget:
        """As `attest.copyports.CopyStore.copy_target`."""
        from attest.adapters.registry.copying import RepositoryTarget
        from attest.adapters.registry.oras_push import Pusher

        repository = self._repository(_in_registry(image).repository, Access.PUSH)
        return RepositoryTarget(repository, self._settings, Pusher(repository))

    def tags(self, prefix: TagReferences) -> frozenset[str]:
        """As `attest.ledgerports.HeadStore.tags`.

        Raises:
            StoreError, LimitExceeded, DeadlineExceeded: they could not be listed.
        """
        from attest.adapters.registry.listing import list_tags

        if isinstance(prefix, LayoutTag):
            raise _not_ours(prefix)
        return list_tags(self._repository(prefix.repository), prefix.tag)

    def _repository(self, repository: Repository, access: Access | None = None) -> RemoteRepository:
        with self._lock:
            client = self._clients.get(repository.host)
            if client is None:
                client = self._clients[repository.host] = Client(repository.host, self._settings)
        return RemoteRepository(client, repository, access or self._settings.access)


def _in_registry(image: ImageReference) -> RegistryImage:
    if isinstance(image, LayoutImage):
        raise _not_ours(image)
    return image


def _not_ours(reference: LayoutImage | LayoutTag) -> InternalError:
    return InternalError(f"{reference} was handed to the adapter of registries")


def _load_publishing() -> None:
    with suppress(Exception):  # whoever needs it will import it again, and see why it failed
        import attest.adapters.registry.publishing  # noqa: F401  (to have it loaded)
