"""One look at an OCI image layout: what its `index.json` said then, and what is attached to an image there.

Every list is read whole; whatever it names and is not there is an error, since it might be an attestation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from attest.adapters.layout.directory import LayoutDirectory
from attest.core import limits, oci, referrers
from attest.core.reference import Digest
from attest.core.release import ChildKind, StoredChild
from attest.errors import LimitExceeded, NotFound, StoreMisbehaved
from attest.ports import Attached, Published

_REF_NAME: Final = "org.opencontainers.image.ref.name"
_LIST: Final = re.compile(r"sha256-[0-9a-f]{64}")
_ABOUT_ANOTHER: Final = re.compile(r"sha256-[0-9a-f]{64}(?:\..*)?", re.DOTALL)
"""Reference names of the fallback scheme and of cosign before v3: never an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A manifest attached to `subject`, and one layer of it that may be evidence."""

    subject: Digest
    manifest: Digest
    layer: referrers.BundleLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What a layout says of its manifests: what is attached to which subject, and what stands under which tag."""

    attached: Mapping[Digest, tuple[oci.Descriptor, ...]]
    tagged: Mapping[str, oci.Descriptor]


class _Content(NamedTuple):
    """What names a piece of content: equal ones are read once, whatever else is said about them."""

    digest: Digest
    media_type: str
    size: int


class Look:
    """One look at a layout: its index as it was then, and a bound on all that is read because of it."""

    def __init__(self, directory: LayoutDirectory) -> None:
        self._path = directory.path
        self._directory = directory
        self._left = limits.EVIDENCE
        self.index = directory.read_index()
        """The bytes of `index.json`."""
        index = parse(self.index, oci.INDEX, f"{self._path}/index.json")
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
            parsed = parse(content, claim, f"{digest} in {self._path}")
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

    def carriers(self, subjects: Collection[Digest]) -> Iterator[Carrier]:
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
                yield Carrier(subject=subject, manifest=digest, layer=layer)

    def attached(self, carrier: Carrier) -> Attached:
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

    def catalogue(self) -> Catalogue:
        """Everything that is attached to anything, each manifest read once."""
        attached: dict[Digest, dict[Digest, oci.Descriptor]] = {}
        tagged: dict[str, oci.Descriptor] = {}
        listed: dict[_Content, None] = {}

        def keep(entry: _Content, manifest: oci.Manifest | oci.Index) -> None:
            if manifest.subject is not None:
                attached.setdefault(manifest.subject.digest, {})[entry.digest] = _descriptor(entry)

        for entry, names in self._entries.items():
            if entry.media_type not in oci.MANIFEST_TYPES:
                continue
            manifest = self._listed(entry)
            tags = {_tag(name) for name in names}
            tagged.update({tag: _descriptor(entry) for tag in tags})
            if isinstance(manifest, oci.Index) and any(map(_LIST.fullmatch, tags)):
                listed.update(dict.fromkeys(map(_content, manifest.manifests)))
            else:
                keep(entry, manifest)
        for entry in listed:
            if entry not in self._entries and entry.media_type in oci.MANIFEST_TYPES:
                keep(entry, self._listed(entry))
        return Catalogue(
            attached={subject: tuple(found.values()) for subject, found in attached.items()}, tagged=tagged
        )

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
        return parse(
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


def parse(content: bytes, media_type: str | None, where: str) -> oci.Manifest | oci.Index:
    """The manifest or index that the bytes are; `where` is for the error.

    Raises:
        StoreMisbehaved: they are neither, or not of the type that somebody claimed.
    """
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


def _descriptor(content: _Content) -> oci.Descriptor:
    return oci.Descriptor(media_type=content.media_type, digest=content.digest, size=content.size)


def _tag(name: str) -> str:
    """The tag in a reference name, which some tools write with the repository in front."""
    return name.rpartition(":")[2]


def _is_about_another(name: str) -> bool:
    return _ABOUT_ANOTHER.fullmatch(_tag(name)) is not None
