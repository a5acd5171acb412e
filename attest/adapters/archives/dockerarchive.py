"""`attest.ports.ImageSource` of what `docker save` writes: a manifest.json that names a configuration and its layers.

Nothing in it has a descriptor. The configuration's digest is computed; a layer is known by its diff_id, and by its own
digest where it is compressed. So an image that is called by a digest here is called by that of its configuration, which
engines call its id.

Source: Docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from attest.adapters.archives.files import ArchiveFile
from attest.core import limits, oci
from attest.core.image.config import read_config
from attest.core.reference import Digest, digest_of
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import LimitExceeded, NotFound, ReferenceInvalid, StoreMisbehaved

_CONFIG_TYPE: Final = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE: Final = "application/vnd.docker.image.rootfs.diff.tar"
_COMPRESSED: Final = {b"\x1f\x8b": ".gzip", b"\x28\xb5": ".zstd"}


class DockerArchive:
    """One image of such an archive."""

    def __init__(self, archive: ArchiveFile, *, digest: Digest | None, tag: str | None) -> None:
        """The image whose configuration has this digest or, without one, of this `name:tag`, or else the only one.

        Raises:
            NotFound: there is no such image.
            ReferenceInvalid: it may be any of several.
            StoreError, LimitExceeded: the archive is none of this kind, or damaged.
        """
        self._archive = archive
        found: dict[Digest, tuple[bytes, list[str]]] = {}
        for config_name, tags, layers in _images(archive):
            config = archive.read(config_name, limit=limits.CONFIG)
            if (digest is None or digest_of(config) == digest) and (tag is None or tag in tags):
                found[digest_of(config)] = (config, layers)
        if not found:
            raise NotFound(f"{archive.path} has no image {digest or tag or 'at all'}")
        if len(found) > 1:
            raise ReferenceInvalid(
                f"{archive.path} holds {len(found)} images",
                hint="choose one by the digest of its configuration: " + ", ".join(sorted(found)),
            )
        ((self._digest, (self._config, names)),) = found.items()
        self._names: dict[Digest, str] = {}
        self._manifest = oci.Manifest(
            media_type=oci.DOCKER_MANIFEST,
            config=oci.Descriptor(media_type=_CONFIG_TYPE, digest=self._digest, size=len(self._config)),
            layers=tuple(self._layers(names)),
            subject=None,
            artifact_type=None,
            annotations={},
        )

    def root(self) -> oci.Descriptor:
        """As `attest.ports.ImageSource.root`: the configuration's digest, for there is no manifest."""
        return oci.Descriptor(media_type=oci.DOCKER_MANIFEST, digest=self._digest, size=len(self._config))

    def manifest(self, described: oci.Descriptor) -> oci.Manifest | oci.Index:
        """As `attest.ports.ImageSource.manifest`: what the archive says, in the form of a manifest."""
        if described.digest != self._digest:
            raise NotFound(f"{self._archive.path} has no image {described.digest}")
        return self._manifest

    def blob(self, blob: oci.Descriptor, *, limit: int) -> bytes:
        """As `attest.ports.ImageSource.blob`, of the configuration."""
        if blob.digest != self._digest:
            raise NotFound(f"{self._archive.path} has no blob {blob.digest}")
        if len(self._config) > limit:
            raise LimitExceeded(f"{blob.digest} has {len(self._config)} bytes; at most {limit} are read")
        return self._config

    def stream(self, blob: oci.Descriptor) -> Iterator[bytes]:
        """As `attest.ports.ImageSource.stream`, of a layer."""
        return self._archive.stream(self._names[blob.digest])

    def _layers(self, names: list[str]) -> Iterator[oci.Descriptor]:
        try:
            diff_ids = read_config(self._config).diff_ids
        except oci.OciInvalid as error:
            raise StoreMisbehaved(f"the configuration in {self._archive.path}: {error}") from error
        if len(diff_ids) != len(names):
            raise StoreMisbehaved(
                f"{self._archive.path} has {len(names)} layers, and the configuration names {len(diff_ids)}"
            )
        for name, diff_id in zip(names, diff_ids, strict=True):
            first = next(self._archive.stream(name), b"")[:2]
            suffix = _COMPRESSED.get(first, "")
            digest = self._hashed(name) if suffix else diff_id
            self._names[digest] = name
            yield oci.Descriptor(media_type=_LAYER_TYPE + suffix, digest=digest, size=self._archive.size(name))

    def _hashed(self, name: str) -> Digest:
        hashed = hashlib.sha256()
        for piece in self._archive.stream(name):
            hashed.update(piece)
        return Digest("sha256:" + hashed.hexdigest())


def _images(archive: ArchiveFile) -> Iterator[tuple[str, list[str], list[str]]]:
    """Configuration, names and layers of each image."""
    where = f"manifest.json in {archive.path}"
    try:
        document = loads(archive.read("manifest.json", limit=limits.MANIFEST))
    except NotFound as error:
        raise StoreMisbehaved(
            f"{archive.path} has no manifest.json, so it is not what `docker save` writes",
            hint=f"an OCI image layout in an archive is named oci-archive:{archive.path}",
        ) from error
    except JsonInvalid as error:
        raise StoreMisbehaved(f"{where} is not strict JSON: {error}") from error
    if not isinstance(document, list):
        raise StoreMisbehaved(f"{where} is not an array")
    for image in document:
        config = image.get("Config") if isinstance(image, dict) else None
        if not isinstance(image, dict) or not isinstance(config, str):
            raise StoreMisbehaved(f"{where} has an entry without a configuration")
        yield config, _texts(image.get("RepoTags"), where), _texts(image.get("Layers"), where)


def _texts(value: Json, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise StoreMisbehaved(f"{where} has something else than strings where names belong")
    return value
