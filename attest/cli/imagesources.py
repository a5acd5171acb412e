"""Images whose layers are read: in a registry, in an OCI image layout, or in an archive of either kind.

An archive is one file of this machine, and what a name in it stands for cannot change while it is read; so an image in
an archive or a layout may be named by what it is called there. A tag in a registry may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attest.cli.stores import Stores, named_images
from attest.core.reference import Digest, LayoutTag, parse_digest, parse_reference
from attest.errors import ReferenceInvalid
from attest.ops.facts import Readers, StoredImageSource

if TYPE_CHECKING:
    from attest.ports import ImageSource

OCI_ARCHIVE: Final = "oci-archive:"
DOCKER_ARCHIVE: Final = "docker-archive:"


@contextmanager
def open_image(stores: Stores, text: str) -> Iterator[ImageSource]:
    """The image that a command line names, until the block ends.

    `HOST/REPOSITORY@sha256:...`, `oci:PATH[:NAME|@sha256:...]`, `oci-archive:PATH[:NAME|@sha256:...]` or
    `docker-archive:PATH[:NAME:TAG|@sha256:...]`.

    Raises:
        ReferenceInvalid, TagReference: the text names no image, or one by a tag of a registry.
        StoreError, LimitExceeded: a layout or an archive cannot be read.
    """
    for prefix in (OCI_ARCHIVE, DOCKER_ARCHIVE):
        if text.startswith(prefix):
            path, digest, name = _in_archive(text, prefix)
            from attest.adapters.archives.files import ArchiveFile

            with ArchiveFile(path) as archive:
                if prefix == OCI_ARCHIVE:
                    from attest.adapters.archives.ocitar import OciTar

                    yield OciTar(archive, digest=digest, tag=name)
                else:
                    from attest.adapters.archives.dockerarchive import DockerArchive

                    yield DockerArchive(archive, digest=digest, tag=name)
            return
    reference = parse_reference(text)
    if isinstance(reference, LayoutTag):
        yield StoredImageSource(stores, reference.at(stores.resolve(reference)))
        return
    (named,) = named_images(stores, [text], [])
    yield StoredImageSource(stores, named.reference)


def layer_readers() -> Readers:
    """What layers and RPM databases are read with."""
    from attest.adapters.archives.layer import read_layer
    from attest.adapters.archives.rpmdb import read_rpm_database

    return Readers(layer=read_layer, rpm=read_rpm_database)


def _in_archive(text: str, prefix: str) -> tuple[str, Digest | None, str | None]:
    rest = text.removeprefix(prefix)
    path, at, digest = rest.rpartition("@")
    found: tuple[str, Digest | None, str | None]
    if at and digest.startswith("sha256"):
        found = path, parse_digest(digest), None
    else:
        path, _, name = rest.partition(":")
        found = path, None, name or None
    if not found[0]:
        raise ReferenceInvalid(f"{text!r} has no path", hint=f"write {prefix}PATH")
    return found
