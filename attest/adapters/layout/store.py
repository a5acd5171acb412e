"""`attest.ports.Store` on an OCI image layout: what is attached to an image, and attaching more.

Attestations of an image are, in the same layout:

- manifests of `index.json` whose `subject` is the image (as `oras attach --oci-layout` and attest write them);
- what a list of the fallback scheme names, as a tool that copies tags brings it from a registry: an index whose
  reference name is `sha256-<hex>`;
- the image of cosign before v3, whose reference name is `sha256-<hex>.att`.

What `index.json` says about its entries selects nothing: every manifest is read, and one that cannot be read
might be an attestation, so the listing fails. Entries of other media types are no manifests; the image-spec has
them ignored ("OCI Image Layout Specification", `index.json`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from attest.adapters.layout import reports
from attest.adapters.layout.directory import LayoutDirectory
from attest.adapters.layout.look import Look, parse
from attest.core import limits, oci, referrers
from attest.core.reference import Digest, ImageReference, LayoutImage, LayoutTag, TagReferences, digest_of
from attest.core.release import ChildKind, StoredChild, StoredImage
from attest.core.strictjson import loads
from attest.errors import (
    InternalError,
    LimitExceeded,
    NotFound,
    NotPublished,
    ReferenceInvalid,
    StoreMisbehaved,
)
from attest.ports import Attached, Published

if TYPE_CHECKING:
    from attest.adapters.layout.copying import LayoutSource, LayoutTarget

_TRIES: Final = 5
"""How often a lost entry is written again; only a writer that takes no lock can lose it."""


class LayoutStore:
    """OCI image layouts on this machine. It keeps no state; the path comes with each reference."""

    def resolve(self, tag: TagReferences) -> Digest:
        """The digest of the entry with this reference name or, without a name, of the only image.

        Raises:
            ReferenceInvalid: several images could be meant.
            NotFound: none could be.
            StoreError, LimitExceeded: the layout cannot be read.
        """
        if not isinstance(tag, LayoutTag):
            raise InternalError(f"{tag} is not in an image layout")
        with LayoutDirectory(tag.path) as directory:
            layout = Look(directory)
            found = layout.images() if tag.tag is None else layout.named(tag.tag)
        match sorted(found):
            case [digest]:
                return digest
            case []:
                names = ", ".join(sorted(layout.names())) or "none"
                raise NotFound(f"{tag} names no image", hint=f"names in this layout: {names}")
            case several:
                raise ReferenceInvalid(
                    f"{tag} may be any of {len(several)} images",
                    hint="choose one: " + ", ".join(str(tag.at(digest)) for digest in several),
                )

    def describe(self, image: ImageReference) -> oci.Descriptor:
        """The image's own descriptor, from its manifest.

        Raises:
            NotFound: the layout does not have it.
            StoreError, LimitExceeded: it cannot be read.
        """
        with LayoutDirectory(_path(image)) as directory:
            return Look(directory).image(image.digest)[0]

    def manifest(self, image: ImageReference) -> oci.Manifest | oci.Index:
        """See `attest.ports.Store.manifest`; raises as `describe`."""
        with LayoutDirectory(_path(image)) as directory:
            return Look(directory).image(image.digest)[1]

    def blob(self, image: ImageReference, blob: oci.Descriptor, *, limit: int) -> bytes:
        """See `attest.ports.Store.blob`; raises as `describe`, and StoreMisbehaved where it has another size."""
        if blob.size > limit:
            raise LimitExceeded(f"{blob.digest} in {_path(image)} is said to have {blob.size} bytes, more than {limit}")
        with LayoutDirectory(_path(image)) as directory:
            content = directory.read_blob(blob.digest, limit=limit)
        if not blob.describes(content):
            raise StoreMisbehaved(f"{blob.digest} in {_path(image)} has {len(content)} bytes, not {blob.size}")
        return content

    def stream(self, image: ImageReference, blob: oci.Descriptor) -> Iterator[bytes]:
        """See `attest.ports.LayerStore.stream`.

        Raises:
            NotFound: the layout does not hold it.
            StoreError: it cannot be read.
        """
        with LayoutDirectory(_path(image)) as directory:
            yield from directory.stream_blob(blob.digest)

    def holds(self, image: ImageReference, blob: oci.Descriptor) -> bool:
        """See `attest.ports.LayerStore.holds`; the bytes are read and their digest is checked."""
        with LayoutDirectory(_path(image)) as directory:
            return directory.has_blob(blob.digest, size=blob.size)

    def aliases(self, image: ImageReference) -> frozenset[Digest]:
        """See `attest.ports.Store.aliases`.

        Raises:
            NotFound: the layout does not have the image.
            StoreError, LimitExceeded: it, or a platform of it, cannot be read.
        """
        with LayoutDirectory(_path(image)) as directory:
            layout = Look(directory)
            content = layout.image(image.digest)[1]
            if isinstance(content, oci.Manifest):
                return frozenset({image.digest, content.config.digest})
            found = {image.digest}
            for child in layout.children(content):
                if child.kind is ChildKind.PLATFORM:
                    manifest = layout.image(child.digest)[1]
                    if isinstance(manifest, oci.Manifest):
                        found |= {child.digest, manifest.config.digest}
            return frozenset(found)

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """See `attest.ports.Store.read`.

        Raises:
            NotFound: the layout does not have the image.
            StoreError, LimitExceeded: the image, or anything that may be an attestation, cannot be read.
        """
        with LayoutDirectory(_path(image)) as directory:
            layout = Look(directory)
            descriptor, content = layout.image(image.digest)
            children: tuple[StoredChild, ...] | None = None
            named: oci.Platform | None = None
            if isinstance(content, oci.Index):
                children = layout.children(content)
            elif platform:
                named = layout.platform(content)
            subjects = [image.digest, *(child.digest for child in children or () if child.kind is ChildKind.PLATFORM)]
            for carrier in layout.carriers(subjects):
                receive(layout.attached(carrier))
        return StoredImage(descriptor=descriptor, children=children, platform=named)

    def publish(
        self, image: ImageReference, subject: oci.Descriptor, bundle: bytes, *, predicate_type: str, created: str
    ) -> Published:
        """Attach a bundle to `subject`, durably, and read it back as `read` would.

        Raises:
            AccessDenied: the layout may not be written to.
            LimitExceeded: a verifier would refuse to read this bundle, or so many.
            NotPublished: another writer keeps removing it from `index.json`.
            StoreError: the layout cannot be read or written.
        """
        if len(bundle) > limits.BUNDLE:
            raise LimitExceeded(f"the bundle has {len(bundle)} bytes; at most {limits.BUNDLE} are read")
        with LayoutDirectory(_path(image)) as directory:
            for _ in range(_TRIES):
                with directory.locked():
                    published = Look(directory).published(subject.digest, digest_of(bundle))
                    if published is None:
                        manifest = oci.attestation_manifest(
                            bundle=bundle, subject=subject, predicate_type=predicate_type, created=created, inline=False
                        )
                        _add(directory, subject.digest, bundle, manifest)
                published = Look(directory).published(subject.digest, digest_of(bundle))
                if published is not None:
                    return published
        raise NotPublished(
            f"the attestation was written to {image}, but another program removed it from index.json each time",
            hint="let one program at a time write to an image layout",
        )

    def store_report(self, image: ImageReference, report: bytes, *, media_type: str) -> oci.Descriptor:
        """As `attest.ports.Store.store_report`.

        Raises:
            AccessDenied: the layout may not be written to.
            LimitExceeded: the report is too large, or `index.json` has no room.
            NotPublished: another writer keeps removing it from `index.json`.
            StoreError: the layout cannot be read or written.
        """
        return reports.store_report(_path(image), image.digest, report, media_type=media_type)

    def copy_source(self, image: ImageReference) -> LayoutSource:
        """As `attest.copyports.CopyStore.copy_source`.

        Raises:
            NotFound: there is no such layout.
            StoreError, LimitExceeded: it cannot be read.
        """
        from attest.adapters.layout.copying import LayoutSource

        return LayoutSource(_path(image), image.digest)

    def copy_target(self, image: ImageReference) -> LayoutTarget:
        """As `attest.copyports.CopyStore.copy_target`."""
        from attest.adapters.layout.copying import LayoutTarget

        return LayoutTarget(_path(image))

    def tags(self, prefix: TagReferences) -> frozenset[str]:
        """As `attest.ledgerports.HeadStore.tags`.

        Raises:
            StoreError, LimitExceeded: the layout cannot be read.
        """
        if not isinstance(prefix, LayoutTag):
            raise InternalError(f"{prefix} is not in an image layout")
        if not LayoutDirectory.is_there(prefix.path):
            return frozenset()
        with LayoutDirectory(prefix.path) as directory:
            return frozenset(name for name in Look(directory).names() if name.startswith(prefix.tag or ""))

    def fetch_report(self, image: ImageReference, report: Digest) -> bytes:
        """As `attest.ports.Store.fetch_report`.

        Raises:
            NotFound: none is kept.
            StoreError, LimitExceeded: it cannot be read, or is something else.
        """
        return reports.fetch_report(_path(image), image.digest, report)


def _add(directory: LayoutDirectory, subject: Digest, bundle: bytes, manifest: bytes) -> None:
    """Write an attestation, its blobs before the index that names them. Call it under the lock."""
    parsed = parse(manifest, oci.MANIFEST, "the new attestation")
    if not isinstance(parsed, oci.Manifest):
        raise InternalError("an attestation was made that is no manifest")
    layout = Look(directory)
    entry = referrers.referrer_descriptor(manifest, parsed)
    index = referrers.merged_index(loads(layout.index), [entry]) or layout.index
    if len(index) > limits.MANIFEST or sum(1 for _ in layout.carriers([subject])) >= limits.REFERRERS:
        raise LimitExceeded(
            f"{directory.path} has no room for another attestation of {subject}",
            hint=f"at most {limits.REFERRERS} are read, from an index.json of at most {limits.MANIFEST} bytes",
        )
    for blob in (oci.EMPTY_BLOB, bundle, manifest):
        directory.write_blob(blob)
    directory.sync_blobs()
    directory.write_index(index)


def _path(image: ImageReference) -> str:
    if not isinstance(image, LayoutImage):
        raise InternalError(f"{image} is not in an image layout")
    return image.path
