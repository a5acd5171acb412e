"""Test reports beside an image: an artifact of its own, under a tag that follows from both digests.

It has no subject, so no reader of attestations meets it. It is pushed by its digest before it is tagged, since some
registries (Gitea) delete what was only ever pushed by a tag as soon as that tag moves.
"""

from __future__ import annotations

from attest.adapters.registry.crew import both
from attest.adapters.registry.repository import RemoteRepository
from attest.core import limits
from attest.core.lane.reportartifact import TYPE, read_manifest, report_tag, write_manifest
from attest.core.oci import EMPTY_BLOB, MANIFEST, Descriptor, OciInvalid
from attest.core.reference import Digest, digest_of
from attest.errors import LimitExceeded, NotFound, NotPublished, StoreMisbehaved


def store_report(repository: RemoteRepository, image: Digest, report: bytes, *, media_type: str) -> Descriptor:
    """Push a report, tag it, and read it back.

    Raises:
        LimitExceeded: it is larger than `limits.REPORT`.
        NotPublished: it was pushed, and cannot be read back.
        StoreError, DeadlineExceeded: the registry did not take it.
    """
    from attest.adapters.registry.oras_push import Pusher

    if len(report) > limits.REPORT:
        raise LimitExceeded(f"the report has {len(report)} bytes; at most {limits.REPORT} are kept")
    manifest = write_manifest(report=report, media_type=media_type)
    digest, tag = digest_of(manifest), report_tag(image, digest_of(report))
    pusher = Pusher(repository)
    both(lambda: pusher.push_blob(report), lambda: pusher.push_blob(EMPTY_BLOB))
    pusher.push_manifest(digest, manifest, media_type=MANIFEST)
    pusher.push_manifest(tag, manifest, media_type=MANIFEST)
    try:
        fetch_report(repository, image, digest_of(report))
    except (NotFound, StoreMisbehaved) as error:
        raise NotPublished(
            f"the report was pushed to {repository.repository}, and cannot be read back: {error.message}",
            hint="signing again does no harm",
        ) from error
    return Descriptor(media_type=MANIFEST, digest=digest, size=len(manifest), artifact_type=TYPE)


def fetch_report(repository: RemoteRepository, image: Digest, report: Digest) -> bytes:
    """The report of this digest that is kept beside an image.

    Raises:
        NotFound: none is kept.
        StoreMisbehaved: under its tag there is something else.
        StoreError, LimitExceeded, DeadlineExceeded: it could not be read.
    """
    tag = report_tag(image, report)
    found = repository.client.read_again(lambda: repository.tagged(tag))
    if found is None:
        raise NotFound(f"{repository.repository} keeps no report {report} of {image}")
    try:
        layer = read_manifest(found.document, report=report)
    except OciInvalid as error:
        raise StoreMisbehaved(f"the tag {tag} of {repository.repository}: {error}") from error
    return repository.blob(layer, limit=limits.REPORT)
