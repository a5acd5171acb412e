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

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from attest.adapters.layout import reports
from attest.adapters.layout.directory import LayoutDirectory
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

_REF_NAME: Final = "org.opencontainers.image.ref.name"
_ABOUT_ANOTHER: Final = re.compile(r"sha256-[0-9a-f]{64}(?:\..*)?", re.DOTALL)
"""Reference names of the fallback scheme and of cosign before v3: never an image."""
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
            layout = _Layout(directory)
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
            return _Layout(directory).image(image.digest)[0]

    def manifest(self, image: ImageReference) -> oci.Manifest | oci.Index:
        """See `attest.ports.Store.manifest`; raises as `describe`."""
        with LayoutDirectory(_path(image)) as directory:
            return _Layout(directory).image(image.digest)[1]

    def blob(self, image: ImageReference, blob: oci.Descriptor, *, limit: int) -> bytes:
        """See `attest.ports.Store.blob`; raises as `describe`, and StoreMisbehaved where it has another size."""
        if blob.size > limit:
            raise LimitExceeded(f"{blob.digest} in {_path(image)} is said to have {blob.size} bytes, more than {limit}")
        with LayoutDirectory(_path(image)) as directory:
            content = directory.read_blob(blob.digest, limit=limit)
        if not blob.describes(content):
            raise StoreMisbehaved(f"{blob.digest} in {_path(image)} has {len(content)} bytes, not {blob.size}")
        return content

    def aliases(self, image: ImageReference) -> frozenset[Digest]:
        """See `attest.ports.Store.aliases`.

        Raises:
            NotFound: the layout does not have the image.
            StoreError, LimitExceeded: it, or a platform of it, cannot be read.
        """
        with LayoutDirectory(_path(image)) as directory:
            layout = _Layout(directory)
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
            layout = _Layout(directory)
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
                    published = _Layout(directory).published(subject.digest, digest_of(bundle))
                    if published is None:
                        manifest = oci.attestation_manifest(
                            bundle=bundle, subject=subject, predicate_type=predicate_type, created=created, inline=False
                        )
                        _add(directory, subject.digest, bundle, manifest)
                published = _Layout(directory).published(subject.digest, digest_of(bundle))
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

    def fetch_report(self, image: ImageReference, report: Digest) -> bytes:
        """As `attest.ports.Store.fetch_report`.

        Raises:
            NotFound: none is kept.
            StoreError, LimitExceeded: it cannot be read, or is something else.
        """
        return reports.fetch_report(_path(image), image.digest, report)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier:
    """A manifest attached to `subject`, and one layer of it that may be evidence."""

    subject: Digest
    manifest: Digest
    layer: referrers.BundleLayer


class _Content(NamedTuple):
    """What names a piece of content: equal ones are read once, whatever else is said about them."""

    digest: Digest
    media_type: str
    size: int


class _Layout:
    """One look at a layout: its index as it was then, and a bound on all that is read because of it."""

    def __init__(self, directory: LayoutDirectory) -> None:
        self._path = directory.path
        self._directory = directory
        self._left = limits.EVIDENCE
        self.index = directory.read_index()
        """The bytes of `index.json`."""
        index = _parse(self.index, oci.INDEX, f"{self._path}/index.json")
        self._entries: dict[_Content, set[str]] = {}
        for entry in _manifests(index):
            names = self._entries.setdefault(_content(entry), set())
            names.update(filter(None, (entry.annotations.get(_REF_NAME),)))

    def image(self, digest: Digest) -> tuple[oci.Descriptor, oci.Manifest | oci.Index]:
        """The manifest of this digest, whether `index.json` names it or an index in it does."""
        content = self._directory.read_blob(digest, limit=limits.MANIFEST)
        claims = {entry.media_type for entry in self._entries if entry.digest == digest}
        if not claims:
            claims = {child.media_type for child in self._indexed() if child.digest == digest}
        # A manifest need not say what it is; then the list that names it has to. All of them have to agree.
        for claim in claims or (None,):
            parsed = _parse(content, claim, f"{digest} in {self._path}")
        return oci.Descriptor(media_type=parsed.media_type, digest=digest, size=len(content)), parsed

    def children(self, index: oci.Index) -> tuple[StoredChild, ...]:
        """The children of an image index, each read."""
        if len(index.manifests) > limits.PLATFORMS:
            raise LimitExceeded(
                f"an index in {self._path} has {len(index.manifests)} children; at most {limits.PLATFORMS} are read"
            )
        found = []
        for child in index.manifests:
            manifest = self._listed(_content(child))
            if isinstance(manifest, oci.Index):
                kind = ChildKind.INDEX
            elif oci.is_buildkit_attestation(child, manifest):
                kind = ChildKind.ATTESTATION
            else:
                kind = ChildKind.PLATFORM
            found.append(StoredChild(digest=child.digest, platform=child.platform, kind=kind))
        return tuple(found)

    def platform(self, manifest: oci.Manifest) -> oci.Platform:
        """The platform that the configuration of an image names."""
        try:
            return oci.config_platform(self._read(_content(manifest.config), limit=limits.CONFIG))
        except oci.OciInvalid as error:
            raise StoreMisbehaved(f"{manifest.config.digest} in {self._path}: {error}") from error

    def carriers(self, subjects: Collection[Digest]) -> Iterator[_Carrier]:
        """Everything attached to these subjects that may be evidence, once for each content and subject."""
        seen: set[tuple[Digest, Digest, bool]] = set()
        count = dict.fromkeys(subjects, 0)
        for subject, digest, manifest in self._attached_manifests(frozenset(subjects)):
            for layer in referrers.bundle_layers(manifest):
                key = (subject, layer.descriptor.digest, layer.legacy)
                if key in seen:
                    continue
                seen.add(key)
                count[subject] += 1
                if count[subject] > limits.REFERRERS:
                    raise LimitExceeded(f"{subject} in {self._path} has more than {limits.REFERRERS} attestations")
                yield _Carrier(subject=subject, manifest=digest, layer=layer)

    def attached(self, carrier: _Carrier) -> Attached:
        """The bundle that a carrier carries."""
        descriptor = carrier.layer.descriptor
        return Attached(
            subject=carrier.subject,
            manifest=carrier.manifest,
            digest=descriptor.digest,
            content=self._read(_content(descriptor), limit=limits.BUNDLE),
            legacy=carrier.layer.legacy,
        )

    def published(self, subject: Digest, bundle: Digest) -> Published | None:
        """The manifest in `index.json` that brings a reader of the subject this bundle, read back."""
        listed = {entry.digest for entry in self._entries}
        for carrier in self.carriers([subject]):
            if carrier.layer.descriptor.digest == bundle and not carrier.layer.legacy and carrier.manifest in listed:
                return Published(manifest=carrier.manifest, bundle=self.attached(carrier).digest)
        return None

    def named(self, name: str) -> set[Digest]:
        """The digests of all entries with this reference name."""
        return {entry.digest for entry, names in self._entries.items() if name in names}

    def names(self) -> set[str]:
        """The reference names of everything that may be an image."""
        return {name for names in self._entries.values() for name in names if not _is_about_another(name)}

    def images(self) -> set[Digest]:
        """The digests of all images: of no attestation or other referrer, and of no part of another image."""
        found: set[Digest] = set()
        parts: set[Digest] = set()
        for entry, names in self._entries.items():
            if entry.media_type not in oci.MANIFEST_TYPES or any(map(_is_about_another, names)):
                continue
            manifest = self._listed(entry)
            if isinstance(manifest, oci.Index):
                parts.update(child.digest for child in manifest.manifests)
            if manifest.subject is None:
                found.add(entry.digest)
        return found - parts

    def _attached_manifests(self, subjects: frozenset[Digest]) -> Iterator[tuple[Digest, Digest, oci.Manifest]]:
        """Subject, digest and content of each manifest that is attached to one of the subjects."""
        lists = {referrers.fallback_tag(subject) for subject in subjects}
        legacy = {referrers.legacy_tag(subject): subject for subject in subjects}
        listed: dict[_Content, None] = {}
        for entry, names in self._entries.items():
            if entry.media_type not in oci.MANIFEST_TYPES:
                continue
            manifest = self._listed(entry)
            tags = {_tag(name) for name in names}
            if isinstance(manifest, oci.Index):
                if tags & lists:
                    listed.update(dict.fromkeys(map(_content, manifest.manifests)))
                continue
            for tag in tags & legacy.keys():
                yield legacy[tag], entry.digest, manifest
            yield from _attached(entry.digest, manifest, subjects)
        for entry in listed:
            if entry not in self._entries and entry.media_type in oci.MANIFEST_TYPES:
                yield from _attached(entry.digest, self._listed(entry), subjects)

    def _indexed(self) -> Iterator[_Content]:
        """What the image indexes in `index.json` name."""
        for entry in self._entries:
            if entry.media_type in (oci.INDEX, oci.DOCKER_LIST):
                yield from map(_content, _manifests(self._listed(entry)))

    def _listed(self, content: _Content) -> oci.Manifest | oci.Index:
        """The manifest that a list names. One that cannot be read might be an attestation: an error."""
        return _parse(
            self._read(content, limit=limits.MANIFEST), content.media_type, f"{content.digest} in {self._path}"
        )

    def _read(self, content: _Content, *, limit: int) -> bytes:
        where = f"{content.digest} in {self._path}"
        if content.size > limit:
            raise LimitExceeded(f"{where} is said to have {content.size} bytes; at most {limit} are read")
        self._left -= content.size
        if self._left < 0:
            raise LimitExceeded(f"{self._path} holds more than {limits.EVIDENCE} bytes of evidence")
        try:
            found = self._directory.read_blob(content.digest, limit=limit)
        except NotFound as error:
            raise StoreMisbehaved(
                f"{where} is named there, but the layout does not hold it, and it may be an attestation",
                hint="copy the image into the layout again, with everything that is attached to it",
            ) from error
        if len(found) != content.size:
            raise StoreMisbehaved(f"{where} has {len(found)} bytes, but is named with {content.size}")
        return found


def _add(directory: LayoutDirectory, subject: Digest, bundle: bytes, manifest: bytes) -> None:
    """Write an attestation, its blobs before the index that names them. Call it under the lock."""
    parsed = _parse(manifest, oci.MANIFEST, "the new attestation")
    if not isinstance(parsed, oci.Manifest):
        raise InternalError("an attestation was made that is no manifest")
    layout = _Layout(directory)
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


def _parse(content: bytes, media_type: str | None, where: str) -> oci.Manifest | oci.Index:
    try:
        return oci.parse_manifest(content, media_type=media_type)
    except oci.OciInvalid as error:
        raise StoreMisbehaved(f"{where}: {error}") from error


def _attached(
    digest: Digest, manifest: oci.Manifest | oci.Index, subjects: Collection[Digest]
) -> Iterator[tuple[Digest, Digest, oci.Manifest]]:
    """The manifest with its subject, if that is one of these."""
    if isinstance(manifest, oci.Manifest) and manifest.subject is not None and manifest.subject.digest in subjects:
        yield manifest.subject.digest, digest, manifest


def _manifests(parsed: oci.Manifest | oci.Index) -> tuple[oci.Descriptor, ...]:
    return parsed.manifests if isinstance(parsed, oci.Index) else ()


def _content(descriptor: oci.Descriptor) -> _Content:
    return _Content(digest=descriptor.digest, media_type=descriptor.media_type, size=descriptor.size)


def _tag(name: str) -> str:
    """The tag in a reference name, which some tools write with the repository in front."""
    return name.rpartition(":")[2]


def _is_about_another(name: str) -> bool:
    return _ABOUT_ANOTHER.fullmatch(_tag(name)) is not None
