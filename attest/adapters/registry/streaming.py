"""Blobs that are too large to be held in memory: fetched in ranges, each a request of its own.

A range that broke is asked for again alone, each has the time of a response for itself, and the next one is on its way
while one is read. Distribution-spec v1.1, "Pulling blobs": "A GET request to a blob endpoint MAY support range
requests"; from a registry that ignores them only what fits in `_WHOLE` bytes is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from attest.adapters.registry.client import unexpected
from attest.adapters.registry.repository import RemoteRepository
from attest.core import limits
from attest.core.oci import Descriptor
from attest.errors import LimitExceeded, StoreMisbehaved

_RANGE: Final = 8 * limits.MIB
_WHOLE: Final = 64 * limits.MIB


def stream_blob(repository: RemoteRepository, blob: Descriptor) -> Iterator[bytes]:
    """The bytes of a blob in order; their digest is not checked.

    Raises:
        NotFound: the repository does not hold it.
        StoreError, DeadlineExceeded: it could not be read, or the registry serves no ranges of a large one.
    """
    if blob.size <= _RANGE:
        yield repository.blob(blob, limit=_RANGE)
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="attest-layer") as ahead:
        coming = ahead.submit(_range, repository, blob, 0)
        at = 0
        while at < blob.size:
            piece = coming.result()
            at += len(piece)
            if at < blob.size:
                coming = ahead.submit(_range, repository, blob, at)
            yield piece


def _range(repository: RemoteRepository, blob: Descriptor, start: int) -> bytes:
    """So many bytes from `start` on; all of the blob where the registry serves no ranges and it is small."""
    what = f"the blob {blob.digest} of {repository.repository}"
    end = min(start + _RANGE, blob.size)
    try:
        answer = repository.client.get(
            repository.url(f"blobs/{blob.digest}"),
            scope=repository.scope,
            what=what,
            limit=blob.size if blob.size <= _WHOLE else _RANGE,
            headers={"Range": f"bytes={start}-{end - 1}"},
        )
    except LimitExceeded as error:
        raise StoreMisbehaved(
            f"{repository.client.host} serves no parts of {what}, which has {blob.size} bytes",
            hint=f"copy the image into a layout first: skopeo copy docker://{repository.repository}@... oci:PATH:TAG",
        ) from error
    if answer.status == 206:
        if len(answer.body) != end - start:
            raise StoreMisbehaved(f"{repository.client.host} served {len(answer.body)} bytes for a range of {what}")
        return answer.body
    if answer.status == 200 and start == 0:
        if len(answer.body) != blob.size:
            raise StoreMisbehaved(f"{what} has {len(answer.body)} bytes, and not the {blob.size} of its descriptor")
        return answer.body
    raise unexpected(answer, what, repository.client.host)
