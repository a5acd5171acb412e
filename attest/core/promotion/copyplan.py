"""What is copied of an image and of all that is attached to it, and in which order, as values.

Blobs first; then manifests, what an index names before the index, an image before what is attached to it; then the
lists that say what is attached to what. A tag comes after all of this and is no part of the plan, so that whoever sees
the tag sees everything (distribution-spec v1.1, "Pushing Manifests"; image-spec v1.1, "Image Index").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from attest.core import limits
from attest.core.oci import Descriptor, Index, Manifest
from attest.core.reference import Digest, digest_of
from attest.core.referrers import is_companion_tag, referrer_descriptor
from attest.core.strictjson import loads, shown

MANIFESTS: Final = 4 * limits.REFERRERS
"""Manifests of one copy: of the image, of everything attached to it, and of what is attached to that."""
NESTING: Final = 8
"""Indexes within indexes."""

FOREIGN_LAYERS: Final = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)
"""Layers that live at the addresses in their descriptors, and are not pushed ("Non-Distributable Layers")."""


class CopyInvalid(ValueError):
    """What the source holds cannot be copied as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A manifest or index that is copied, without its bytes."""

    descriptor: Descriptor
    """Media type, digest and size."""
    blobs: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    """What an index names; nothing of a manifest."""
    subject: Digest | None
    """What it says that it is attached to."""
    entry: Mapping[str, Any] = field(repr=False)
    """Its entry in a list of referrers."""

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return self.descriptor.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a source says is attached to a digest."""

    referrers: tuple[Descriptor, ...] = ()
    names: Mapping[str, Descriptor] = field(default_factory=dict)
    """What stands under tags that begin with the subject's fallback tag, as cosign before v3 and test reports do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What has to be listed as attached to `subject` at the destination."""

    subject: Descriptor
    referrers: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """All that is copied of one image. Each step needs only those before it."""

    image: Descriptor
    blobs: tuple[Descriptor, ...]
    """Each digest once."""
    waves: tuple[tuple[Part, ...], ...]
    """Manifests; those of one wave do not need each other."""
    attachments: tuple[Attachment, ...]
    names: Mapping[str, Part]
    """Tags that go along, and what they stand for."""

    def covers(self, other: CopyPlan) -> bool:
        """Whether the other plan has nothing that this one has not, in whatever order."""
        return other._contents <= self._contents

    @property
    def _contents(self) -> frozenset[tuple[str, Digest]]:
        """Every manifest, what it is listed for, and every tag that goes along."""
        manifests = {("", part.digest) for wave in self.waves for part in wave}
        listed = {(one.subject.digest, part.digest) for one in self.attachments for part in one.referrers}
        return frozenset(manifests | listed | {(name, part.digest) for name, part in self.names.items()})

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)

    @property
    def manifests(self) -> int:
        """How many manifests there are."""
        return sum(map(len, self.waves))

    @property
    def referrers(self) -> int:
        """How many manifests are attached to something, each counted once."""
        return len({part.digest for one in self.attachments for part in one.referrers})


def part_of(content: bytes, document: Manifest | Index) -> Part:
    """What there is to copy of a manifest; `content` is the bytes that `document` was read from."""
    descriptor = Descriptor(media_type=document.media_type, digest=digest_of(content), size=len(content))
    subject = None if document.subject is None else document.subject.digest
    if isinstance(document, Index):
        entry = _index_entry(content, descriptor)
        return Part(descriptor=descriptor, blobs=(), children=document.manifests, subject=subject, entry=entry)
    entry = referrer_descriptor(content, document)
    blobs = tuple(blob for blob in (document.config, *document.layers) if blob.media_type not in FOREIGN_LAYERS)
    return Part(descriptor=descriptor, blobs=blobs, children=(), subject=subject, entry=entry)


def _index_entry(content: bytes, descriptor: Descriptor) -> dict[str, Any]:
    """An index's entry in a list of referrers: with its artifact type, if it has one, and all of its annotations.

    Of an index nobody else looks at these two, so they are read here (distribution-spec v1.1, "Listing Referrers").
    """
    document: dict[str, Any] = loads(content)
    entry = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    if isinstance(kind := document.get("artifactType"), str) and kind:
        entry["artifactType"] = kind
    annotations = document.get("annotations")
    if isinstance(annotations, dict) and annotations:
        entry["annotations"] = {name: text for name, text in annotations.items() if isinstance(text, str)}
    return entry


def plan_copy(image: Digest, parts: Mapping[Digest, Part], listed: Mapping[Digest, Listed]) -> CopyPlan:
    """The plan for an image of which `parts` and `listed` are all that there is.

    Raises:
        CopyInvalid: one digest is described with two sizes, or indexes are nested too deep.
    """
    levels = _levels(image, parts, listed)
    waves: list[list[Part]] = [[] for _ in range(max(levels.values()) + 1)]
    for digest, level in levels.items():
        waves[level].append(parts[digest])
    ordered = [part for wave in waves for part in wave]
    blobs: dict[Digest, Descriptor] = {}
    for part in ordered:
        for blob in part.blobs:
            if blobs.setdefault(blob.digest, blob).size != blob.size:
                raise CopyInvalid(f"the blob {blob.digest} is described with two sizes")
    attachments = []
    names: dict[str, Part] = {}
    for part in ordered:
        found = listed.get(part.digest, Listed())
        if found.referrers:
            referrers = tuple(parts[digest] for digest in dict.fromkeys(one.digest for one in found.referrers))
            attachments.append(Attachment(subject=part.descriptor, referrers=referrers))
        for name, one in found.names.items():
            if not is_companion_tag(part.digest, name):
                raise CopyInvalid(f"{shown(name)} is listed as a tag, and is none")
            names[name] = parts[one.digest]
    return CopyPlan(
        image=parts[image].descriptor,
        blobs=tuple(blobs.values()),
        waves=tuple(map(tuple, waves)),
        attachments=tuple(attachments),
        names=names,
    )


def _levels(image: Digest, parts: Mapping[Digest, Part], listed: Mapping[Digest, Listed]) -> dict[Digest, int]:
    """For each manifest the wave that it belongs to, in the order in which they are found from the image on."""
    levels: dict[Digest, int] = {}

    def settle(digest: Digest, base: int, depth: int) -> int:
        if digest in levels:
            return levels[digest]
        if depth > NESTING:
            raise CopyInvalid(f"{digest} is nested in more than {NESTING} indexes")
        below = [settle(child.digest, base, depth + 1) for child in parts[digest].children]
        levels[digest] = max((level + 1 for level in below), default=base)
        return levels[digest]

    settle(image, 0, 0)
    waiting = list(levels)
    while waiting:
        subject = waiting.pop(0)
        for attached in _attached_to(listed.get(subject, Listed())):
            known = len(levels)
            settle(attached, levels[image] + 1, 0)
            waiting += list(levels)[known:]
    return levels


def _attached_to(listed: Listed) -> Iterator[Digest]:
    yield from (one.digest for one in listed.referrers)
    yield from (one.digest for one in listed.names.values())


def newer_name(ours: Manifest | Index, theirs: Manifest | Index) -> bool:
    """Whether what a tag stands for at the source holds all that it stands for at the destination, and more.

    Cosign before v3 adds a layer to one image for each attestation, so of two states the one with more layers is newer.

    Raises:
        CopyInvalid: neither holds all of the other, so that copying would lose something.
    """
    mine, others = _contents(ours), _contents(theirs)
    if others <= mine:
        return True
    if mine <= others:
        return False
    raise CopyInvalid("source and destination each hold something under it that the other does not")


def _contents(document: Manifest | Index) -> frozenset[Digest]:
    named: Sequence[Descriptor] = document.manifests if isinstance(document, Index) else document.layers
    return frozenset(one.digest for one in named)
