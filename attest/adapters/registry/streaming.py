"""Blobs that are too large to be held in memory: fetched in ranges, each a request of its own.

A range that broke is asked for again alone, each has the time of a response for itself, and the next one is on its way
while one is read. Distribution-spec v1.1, "Pulling blobs": "A GET request to a blob endpoint MAY support range
requests"; from a registry that ignores them (Gitea, Forgejo) the blob is read as it comes, and breaks off for good.
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

_RANGE: Final = 4 * limits.MIB
"""Bytes of one request: of each blob on its way two are in memory, one that arrives and one that is handed on."""
_PIECE: Final = limits.MIB
"""Bytes that are handed on at once, since whoever takes them keeps some back."""


class _NoRanges(Exception):
    """The registry answers with the whole blob, whatever part of it is asked for."""


def stream_blob(repository: RemoteRepository, blob: Descriptor) -> Iterator[bytes]:
    """The bytes of a blob in order; their digest is not checked.

    Raises:
        NotFound: the repository does not hold it.
        StoreError, DeadlineExceeded: it could not be read.
    """
    if blob.size <= _RANGE:
        yield from _pieces(repository.blob(blob, limit=_RANGE))
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="attest-layer") as ahead:
        coming = ahead.submit(_range, repository, blob, 0)
        at = 0
        while at < blob.size:
            try:
                piece = coming.result()
            except _NoRanges:
                yield from _whole(repository, blob)
                return
            at += len(piece)
            if at < blob.size:
                coming = ahead.submit(_range, repository, blob, at)
            yield from _pieces(piece)
            del piece  # while the next one is waited for


def _pieces(content: bytes) -> Iterator[bytes]:
    return (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))


def _range(repository: RemoteRepository, blob: Descriptor, start: int) -> bytes:
    """So many bytes from `start` on.

    Raises:
        _NoRanges: the first range was answered with all of the blob.
    """
    what = f"the blob {blob.digest} of {repository.repository}"
    end = min(start + _RANGE, blob.size)
    try:
        answer = repository.client.get(
            repository.url(f"blobs/{blob.digest}"),
            scope=repository.scope,
            what=what,
            limit=_RANGE,
            headers={"Range": f"bytes={start}-{end - 1}"},
        )
    except LimitExceeded as error:
        if start == 0:
            raise _NoRanges from error
        raise StoreMisbehaved(f"{repository.client.host} serves some parts of {what} and not others") from error
    if answer.status == 206:
        if len(answer.body) != end - start:
            raise StoreMisbehaved(f"{repository.client.host} served {len(answer.body)} bytes for a range of {what}")
        return answer.body
    if answer.status == 200:
        raise StoreMisbehaved(f"{what} has {len(answer.body)} bytes, and not the {blob.size} of its descriptor")
    raise unexpected(answer, what, repository.client.host)


def _whole(repository: RemoteRepository, blob: Descriptor) -> Iterator[bytes]:
    what = f"the blob {blob.digest} of {repository.repository}"
    answer = repository.client.open(
        repository.url(f"blobs/{blob.digest}"), scope=repository.scope, what=what, limit=blob.size
    )
    if answer.pieces is None:
        raise unexpected(answer, what, repository.client.host)
    size = 0
    for piece in answer.pieces:
        size += len(piece)
        yield piece
    if size != blob.size:
        raise StoreMisbehaved(f"{what} has {size} bytes, and not the {blob.size} of its descriptor")
