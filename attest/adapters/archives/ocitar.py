"""`attest.ports.ImageSource` of an OCI image layout in one tar archive, as `skopeo copy ... oci-archive:` writes it.

Source: OCI image-spec v1.1, "Image Layout".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attest.adapters.archives.files import ArchiveFile
from attest.core import limits, oci
from attest.core.reference import Digest, digest_of
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import LimitExceeded, NotFound, ReferenceInvalid, StoreMisbehaved

_REF_NAME: Final = "org.opencontainers.image.ref.name"
_VERSION: Final = "1.0.0"
_SMALL: Final = 64 * 1024


class OciTar:
    """One image of such an archive."""

    def __init__(self, archive: ArchiveFile, *, digest: Digest | None, tag: str | None) -> None:
        """The image of this digest or, without one, of this reference name or, without one, the only one.

        Raises:
            NotFound: there is no such image.
            ReferenceInvalid: it may be any of several.
            StoreError, LimitExceeded: the archive is no image layout, or damaged.
        """
        self._archive = archive
        _check_version(archive)
        index = self._parsed(archive.read("index.json", limit=limits.MANIFEST), oci.INDEX, "index.json")
        entries = [
            entry
            for entry in (index.manifests if isinstance(index, oci.Index) else ())
            if entry.media_type in oci.MANIFEST_TYPES
            and (digest is None or entry.digest == digest)
            and (tag is None or entry.annotations.get(_REF_NAME) == tag)
        ]
        found = {entry.digest: entry for entry in entries}
        match list(found.values()):
            case [one]:
                self._root = one
            case []:
                raise NotFound(f"{archive.path} has no image {digest or tag or 'at all'}")
            case several:
                raise ReferenceInvalid(
                    f"{archive.path} holds {len(several)} images",
                    hint="choose one by its digest: " + ", ".join(entry.digest for entry in several),
                )

    def root(self) -> oci.Descriptor:
        """As `attest.ports.ImageSource.root`."""
        return self._root

    def manifest(self, described: oci.Descriptor) -> oci.Manifest | oci.Index:
        """As `attest.ports.ImageSource.manifest`."""
        content = self.blob(described, limit=limits.MANIFEST)
        return self._parsed(content, described.media_type, described.digest)

    def blob(self, blob: oci.Descriptor, *, limit: int) -> bytes:
        """As `attest.ports.ImageSource.blob`."""
        if blob.size > limit:
            raise LimitExceeded(f"{blob.digest} is said to have {blob.size} bytes; at most {limit} are read")
        content = self._archive.read(_name(blob.digest), limit=limit)
        if not blob.describes(content):
            raise StoreMisbehaved(
                f"{self._archive.path} holds {len(content)} bytes of digest {digest_of(content)} as {blob.digest}"
            )
        return content

    def stream(self, blob: oci.Descriptor) -> Iterator[bytes]:
        """As `attest.ports.ImageSource.stream`."""
        return self._archive.stream(_name(blob.digest))

    def _parsed(self, content: bytes, media_type: str, what: str) -> oci.Manifest | oci.Index:
        try:
            return oci.parse_manifest(content, media_type=media_type)
        except oci.OciInvalid as error:
            raise StoreMisbehaved(f"{what} in {self._archive.path}: {error}") from error


def _check_version(archive: ArchiveFile) -> None:
    try:
        document = loads(archive.read("oci-layout", limit=_SMALL))
    except NotFound as error:
        raise StoreMisbehaved(f"{archive.path} has no file oci-layout, so it is no OCI image layout") from error
    except JsonInvalid as error:
        raise StoreMisbehaved(f"oci-layout in {archive.path} is not strict JSON: {error}") from error
    version = document.get("imageLayoutVersion") if isinstance(document, dict) else None
    if version != _VERSION:
        raise StoreMisbehaved(f"{archive.path} is an image layout of version {version!r}; only {_VERSION} is read here")


def _name(digest: Digest) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
