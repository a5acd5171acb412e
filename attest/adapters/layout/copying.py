"""Both ends of a copy in an OCI image layout: reading one for it, and writing one.

In a layout a manifest is attached to what its `subject` names, and is found because `index.json` names it. Blobs are
on the disk before `index.json` names anything, and the image has no name before all the rest is there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from attest.adapters.layout.directory import LayoutDirectory
from attest.adapters.layout.look import Catalogue, Look, parse
from attest.copyports import Held, Moved
from attest.core import limits
from attest.core.oci import Descriptor, Index, Manifest
from attest.core.promotion.copyplan import Attachment, CopyInvalid, Listed, Part, newer_name
from attest.core.reference import Digest
from attest.core.referrers import fallback_tag, merged_index
from attest.core.strictjson import loads
from attest.errors import LimitExceeded, NotFound, NotPublished, StoreError, StoreMisbehaved, TagTaken

_REF_NAME: Final = "org.opencontainers.image.ref.name"
_TRIES: Final = 5
"""How often a lost entry is written again; only a writer that takes no lock can lose it."""


class LayoutSource:
    """Implements `attest.copyports.CopySource` for an image in a layout. Threads may share it."""

    def __init__(self, path: str, image: Digest) -> None:
        """
        Raises:
            NotFound: there is no such layout.
            StoreError, LimitExceeded: it cannot be read.
        """
        self._path = path
        self._image = image
        self._lock = threading.Lock()
        self._seen: tuple[bytes, Catalogue] | None = None
        self._catalogue()

    @property
    def repository(self) -> None:
        """As `attest.copyports.CopySource.repository`: no registry can take a blob from here by itself."""
        return

    def image(self) -> Held:
        """As `attest.copyports.CopySource.image`."""
        with LayoutDirectory(self._path) as directory:
            _, document = Look(directory).image(self._image)
            return Held(content=directory.read_blob(self._image, limit=limits.MANIFEST), document=document)

    def manifest(self, described: Descriptor) -> Held:
        """As `attest.copyports.CopySource.manifest`."""
        with LayoutDirectory(self._path) as directory:
            return _read(directory, described)

    def attached(self, subject: Digest, children: Sequence[Digest]) -> Listed:
        """As `attest.copyports.CopySource.attached`."""
        del children  # no layout answers with them where it should list
        prefix = f"{fallback_tag(subject)}."
        catalogue = self._catalogue()
        return Listed(
            referrers=catalogue.attached.get(subject, ()),
            names={tag: one for tag, one in catalogue.tagged.items() if tag.startswith(prefix)},
        )

    def stream(self, blob: Descriptor) -> Iterator[bytes]:
        """As `attest.copyports.CopySource.stream`."""
        with LayoutDirectory(self._path) as directory:
            yield from directory.stream_blob(blob.digest)

    def _catalogue(self) -> Catalogue:
        """What is attached to what, read anew whenever `index.json` has changed."""
        with self._lock, LayoutDirectory(self._path) as directory:
            if self._seen is None or self._seen[0] != directory.read_index():
                look = Look(directory)
                self._seen = look.index, look.catalogue()
            return self._seen[1]


class LayoutTarget:
    """Implements `attest.copyports.CopyTarget` for a layout, which need not be there yet."""

    def __init__(self, path: str) -> None:
        self._path = path

    def tagged(self, tag: str) -> Digest | None:
        """As `attest.copyports.CopyTarget.tagged`."""
        if not LayoutDirectory.is_there(self._path):
            return None
        with LayoutDirectory(self._path) as directory:
            found = _named(_index(directory), tag)
        return None if found is None else found.digest

    def prepare(self) -> None:
        """As `attest.copyports.CopyTarget.prepare`."""
        LayoutDirectory.make(self._path)

    def has(self, blob: Descriptor) -> bool:
        """As `attest.copyports.CopyTarget.has`; the bytes are read and their digest is checked."""
        with LayoutDirectory(self._path) as directory:
            return directory.has_blob(blob.digest, size=blob.size)

    def take(self, blob: Descriptor, pieces: Callable[[], Iterator[bytes]], *, origin: object) -> Moved:
        """As `attest.copyports.CopyTarget.take`."""
        del origin
        with LayoutDirectory(self._path) as directory:
            directory.stream_in(blob.digest, pieces())
            directory.sync_blobs()
        return Moved.UPLOADED

    def put(self, manifest: Held) -> None:
        """As `attest.copyports.CopyTarget.put`; nothing names it yet."""
        described = manifest.descriptor
        with LayoutDirectory(self._path) as directory:
            with directory.locked():
                directory.write_blob(manifest.content)
            directory.sync_blobs()
            if directory.read_blob(described.digest, limit=limits.MANIFEST) != manifest.content:
                raise StoreMisbehaved(f"{described.digest} reads otherwise than it was written to {self._path}")

    def attach(self, attachment: Attachment) -> None:
        """As `attest.copyports.CopyTarget.attach`."""
        subject = attachment.subject.digest
        for part in attachment.referrers:
            if part.subject != subject:
                raise StoreMisbehaved(
                    f"{part.digest} is listed as attached to {subject}, but does not say so, and that a layout cannot "
                    "keep",
                    hint="promote to a registry, or have the list of referrers at the source put right",
                )
        if len(attachment.referrers) > limits.REFERRERS:
            raise LimitExceeded(f"more than {limits.REFERRERS} manifests are attached to {subject}")
        wanted = {part.digest for part in attachment.referrers}
        self._write(
            lambda document: _loaded(merged_index(document, [part.entry for part in attachment.referrers])),
            lambda index: wanted <= {entry.digest for entry in index.manifests},
            what=f"what is attached to {subject}",
        )

    def keep_name(self, name: str, part: Part) -> None:
        """As `attest.copyports.CopyTarget.keep_name`."""
        with LayoutDirectory(self._path) as directory:
            present = _named(_index(directory), name)
            if present is not None and present.digest == part.digest:
                return
            try:
                if present is not None and not newer_name(
                    _read(directory, part.descriptor).document, _read(directory, present).document
                ):
                    return
            except CopyInvalid as error:
                raise StoreError(f"the name {name} in {self._path} cannot be copied: {error}") from error
        self._name(name, part.descriptor, part.entry)

    def tag(self, tag: str, image: Descriptor) -> None:
        """As `attest.copyports.CopyTarget.tag`."""
        present = self.tagged(tag)
        if present is None:
            entry = {"mediaType": image.media_type, "digest": image.digest, "size": image.size}
            self._name(tag, image, entry)
            present = self.tagged(tag)
        if present != image.digest:
            raise TagTaken(
                f"the name {tag} in {self._path} stands for {present or 'nothing'}, not {image.digest}",
                hint="a tag of a promotion is never moved; find out who wrote it, or use another --tag-format",
            )

    def _name(self, name: str, described: Descriptor, entry: Any) -> None:
        named = {**entry, "annotations": {**entry.get("annotations", {}), _REF_NAME: name}}

        def change(document: Any) -> Any:
            kept = [one for one in document["manifests"] if _ref_name(one) != name and one != entry]
            return {**document, "manifests": [*kept, named]}

        def done(index: Index) -> bool:
            found = _named(index, name)
            return found is not None and found.digest == described.digest

        self._write(change, done, what=f"the name {name}")

    def _write(self, change: Callable[[Any], Any], done: Callable[[Index], bool], *, what: str) -> None:
        """Change `index.json` under the lock, and look that it stays so."""
        with LayoutDirectory(self._path) as directory:
            for _ in range(_TRIES):
                if done(_index(directory)):
                    return
                with directory.locked():
                    changed = change(loads(directory.read_index()))
                    if changed is None:
                        continue
                    content = json.dumps(changed, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
                    if len(content) > limits.MANIFEST:
                        raise LimitExceeded(f"{self._path} has no room in its index.json for {what}")
                    directory.sync_blobs()
                    directory.write_index(content)
            if not done(_index(directory)):
                raise NotPublished(
                    f"{what} was written to {self._path}, but another program removed it from index.json each time",
                    hint="let one program at a time write to an image layout",
                )


def _loaded(content: bytes | None) -> Any:
    return None if content is None else loads(content)


def _read(directory: LayoutDirectory, described: Descriptor) -> Held:
    where = f"{described.digest} in {directory.path}"
    if described.size > limits.MANIFEST:
        raise LimitExceeded(f"{where} is said to have {described.size} bytes; at most {limits.MANIFEST} are read")
    try:
        content = directory.read_blob(described.digest, limit=limits.MANIFEST)
    except NotFound as error:
        raise StoreMisbehaved(f"{where} is named there, but the layout does not hold it") from error
    if len(content) != described.size:
        raise StoreMisbehaved(f"{where} has {len(content)} bytes, but is named with {described.size}")
    return Held(content=content, document=parse(content, described.media_type, where))


def _index(directory: LayoutDirectory) -> Index:
    where = f"{directory.path}/index.json"
    index: Manifest | Index = parse(directory.read_index(), "application/vnd.oci.image.index.v1+json", where)
    if not isinstance(index, Index):
        raise StoreMisbehaved(f"{where} is no index")
    return index


def _named(index: Index, name: str) -> Descriptor | None:
    """What stands under a name; two things under one name are an error, since nobody can say which is meant."""
    found = {
        one.digest: one for one in index.manifests if one.annotations.get(_REF_NAME, "").rpartition(":")[2] == name
    }
    if len(found) > 1:
        raise StoreMisbehaved(f"the name {name} stands for {len(found)} things in one layout")
    return next(iter(found.values()), None)


def _ref_name(entry: Any) -> str:
    annotations = entry.get("annotations") or {}
    name = annotations.get(_REF_NAME, "")
    return name.rpartition(":")[2] if isinstance(name, str) else ""
