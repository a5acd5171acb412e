"""Test reports that an image layout keeps beside its images, named in `index.json` as a registry's tags name them."""

from __future__ import annotations

import json
from typing import Any, Final

from attest.adapters.layout.directory import LayoutDirectory
from attest.core import limits, oci
from attest.core.lane.reportartifact import TYPE, read_manifest, report_tag, write_manifest
from attest.core.reference import Digest, digest_of
from attest.core.strictjson import loads
from attest.errors import LimitExceeded, NotFound, NotPublished, StoreMisbehaved

_REF_NAME: Final = "org.opencontainers.image.ref.name"
_TRIES: Final = 5
"""How often a lost entry is written again; only a writer that takes no lock can lose it."""


def store_report(path: str, image: Digest, report: bytes, *, media_type: str) -> oci.Descriptor:
    """Keep a report, durably; the descriptor of the manifest that holds it.

    Raises:
        AccessDenied: the layout may not be written to.
        LimitExceeded: the report is too large, or `index.json` has no room.
        NotPublished: another writer keeps removing it from `index.json`.
        StoreError: the layout cannot be read or written.
    """
    if len(report) > limits.REPORT:
        raise LimitExceeded(f"the report has {len(report)} bytes; at most {limits.REPORT} are kept")
    manifest = write_manifest(report=report, media_type=media_type)
    digest, name = digest_of(manifest), report_tag(image, digest_of(report))
    entry = {
        "mediaType": oci.MANIFEST,
        "digest": digest,
        "size": len(manifest),
        "artifactType": TYPE,
        "annotations": {_REF_NAME: name},
    }
    with LayoutDirectory(path) as directory:
        for _ in range(_TRIES):
            with directory.locked():
                _add(directory, entry, (oci.EMPTY_BLOB, report, manifest))
            try:
                _fetch(directory, image, digest_of(report))
            except NotFound:
                continue
            return oci.Descriptor(media_type=oci.MANIFEST, digest=digest, size=len(manifest), artifact_type=TYPE)
    raise NotPublished(
        f"the report was written to {path}, but another program removed it from index.json each time",
        hint="let one program at a time write to an image layout",
    )


def fetch_report(path: str, image: Digest, report: Digest) -> bytes:
    """The report of this digest that is kept beside an image.

    Raises:
        NotFound: none is kept.
        StoreError, LimitExceeded: it cannot be read, or under its name there is something else.
    """
    with LayoutDirectory(path) as directory:
        return _fetch(directory, image, report)


def _fetch(directory: LayoutDirectory, image: Digest, report: Digest) -> bytes:
    name = report_tag(image, report)
    for entry in _index(directory).manifests:
        if entry.annotations.get(_REF_NAME, "").rpartition(":")[2] != name:
            continue
        where = f"{entry.digest} in {directory.path}"
        try:
            content = directory.read_blob(entry.digest, limit=limits.MANIFEST)
            parsed = oci.parse_manifest(content, media_type=entry.media_type)
            layer = read_manifest(parsed, report=report)
            return directory.read_blob(layer.digest, limit=limits.REPORT)
        except NotFound as error:
            raise StoreMisbehaved(f"{where} is named there, but the layout does not hold all of it") from error
        except oci.OciInvalid as error:
            raise StoreMisbehaved(f"{where}: {error}") from error
    raise NotFound(f"{directory.path} keeps no report {report} of {image}")


def _add(directory: LayoutDirectory, entry: dict[str, Any], blobs: tuple[bytes, ...]) -> None:
    """Write the blobs, then the index that names them. Call it under the lock.

    One manifest may have several entries: the same report, beside several images.
    """
    name = entry["annotations"][_REF_NAME]
    present = _index(directory).manifests
    document = loads(directory.read_index())
    for blob in blobs:
        directory.write_blob(blob)
    if any(known.digest == entry["digest"] and known.annotations.get(_REF_NAME) == name for known in present):
        directory.sync_blobs()
        return
    document["manifests"].append(entry)
    index = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    if len(index) > limits.MANIFEST:
        raise LimitExceeded(f"{directory.path} has no room in its index.json for another report")
    directory.sync_blobs()
    directory.write_index(index)


def _index(directory: LayoutDirectory) -> oci.Index:
    try:
        index = oci.parse_manifest(directory.read_index(), media_type=oci.INDEX)
    except oci.OciInvalid as error:
        raise StoreMisbehaved(f"{directory.path}/index.json: {error}") from error
    if not isinstance(index, oci.Index):
        raise StoreMisbehaved(f"{directory.path}/index.json is no index")
    return index
