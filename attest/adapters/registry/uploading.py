"""Uploading blobs that are too large to be held in memory, or having the registry take them from next door.

One upload is one POST and one PUT with all of the bytes (distribution-spec v1.1, "POST then PUT"), which every registry
takes. What broke off cannot be gone on with, since nobody can tell how much of it arrived: it is begun anew. Where the
registry says to upload to another place, it gets no credentials (`Client.send`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote, urlencode

from attest.adapters.registry.client import unexpected
from attest.adapters.registry.repository import RemoteRepository
from attest.adapters.registry.retry import pauses
from attest.adapters.registry.settings import RegistrySettings
from attest.adapters.registry.transport import Answer, Request, Streamed
from attest.adapters.registry.url import Url
from attest.copyports import Moved
from attest.core import limits
from attest.core.oci import Descriptor
from attest.core.reference import Repository
from attest.errors import StoreError, StoreMisbehaved, Undecided, Unreachable

_UPLOADS: Final = 4
_DONE: Final = frozenset((200, 201, 202, 204))
_PASSING: Final = frozenset((404, 408, 409, 416, 429, 500, 502, 503, 504))
"""Answers to an upload after which another one may succeed: the session is gone, or the registry is busy."""


class _Broken(StoreError):
    """This upload is over, and another one may be begun."""


class Uploader:
    """Uploads to one repository. Threads may share it."""

    def __init__(self, repository: RemoteRepository, settings: RegistrySettings) -> None:
        self._repository = repository
        self._settings = settings

    def has(self, blob: Descriptor) -> bool:
        """Whether the repository holds a blob; one of another size is another blob.

        Raises:
            StoreError, DeadlineExceeded: it could not be found out.
        """
        what = f"the blob {blob.digest} of {self._repository.repository}"
        client = self._repository.client
        answer = client.head(self._repository.url(f"blobs/{blob.digest}"), scope=self._repository.scope, what=what)
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise unexpected(answer, what, client.host)
        size = answer.headers.get("Content-Length")
        return size is None or size == str(blob.size)

    def take(self, blob: Descriptor, pieces: Callable[[], Iterator[bytes]], *, origin: Repository | None) -> Moved:
        """As `attest.copyports.CopyTarget.take`.

        Raises:
            StoreError, DeadlineExceeded: the registry did not take it.
        """
        session = self._mount(blob, origin)
        if session is Moved.MOUNTED:
            return Moved.MOUNTED
        waits = pauses(self._settings.backoff)
        for tried in range(1, _UPLOADS + 1):
            try:
                self._send(session if isinstance(session, Url) else self._begin(blob), blob, pieces)
                return Moved.UPLOADED
            except (_Broken, Unreachable):
                pause = next(waits)
                if tried == _UPLOADS or not self._settings.deadline.allows(pause):
                    raise
                time.sleep(pause)
            if self.has(blob):  # only the answer was lost
                return Moved.UPLOADED
            session = None
        raise AssertionError("the last try returns or raises")

    def _mount(self, blob: Descriptor, origin: Repository | None) -> Moved | Url | None:
        """`MOUNTED` where the blob is there now; else the upload that the registry began instead, if it began one."""
        mine = self._repository.repository
        if origin is None or origin.host != mine.host or origin == mine:
            return None
        query = urlencode({"mount": blob.digest, "from": self._repository.path_of(origin)}, safe=":/")
        scope = f"{self._repository.scope} repository:{self._repository.path_of(origin)}:pull"
        try:
            url, answer = self._post(f"blobs/uploads/?{query}", blob, scope)
        except Undecided:  # it need not know how, and need not let us
            self._settings.deadline.remaining()
            return None
        if answer.status == 201:
            return Moved.MOUNTED
        return self._location(url, answer, blob) if answer.status == 202 else None

    def _begin(self, blob: Descriptor) -> Url:
        url, answer = self._post("blobs/uploads/", blob, self._repository.scope)
        if answer.status != 202:
            raise unexpected(answer, self._what(blob), self._repository.client.host)
        return self._location(url, answer, blob)

    def _post(self, tail: str, blob: Descriptor, scope: str) -> tuple[Url, Answer]:
        url = self._repository.url(tail)
        request = Request(method="POST", url=url, what=self._what(blob), limit=limits.TOKEN_ANSWER, body=b"")
        return url, self._repository.client.send(request, scope=scope)

    def _send(self, session: Url, blob: Descriptor, pieces: Callable[[], Iterator[bytes]]) -> None:
        joint = "&" if "?" in session.target else "?"
        request = Request(
            method="PUT",
            url=Url(origin=session.origin, target=f"{session.target}{joint}digest={quote(blob.digest)}"),
            what=self._what(blob),
            limit=limits.TOKEN_ANSWER,
            headers={"Content-Type": "application/octet-stream"},
            body=Streamed(size=blob.size, pieces=pieces),
        )
        answer = self._repository.client.send(request, scope=self._repository.scope)
        if answer.status in _DONE:
            return
        error = unexpected(answer, self._what(blob), self._repository.client.host)
        if answer.status in _PASSING:
            raise _Broken(error.message) from error
        raise error

    def _location(self, url: Url, answer: Answer, blob: Descriptor) -> Url:
        """Where to upload to: relative or absolute, and never from https to plain http."""
        host = self._repository.client.host
        try:
            target = url.join(answer.headers.get("Location", ""))
        except ValueError as error:
            raise StoreMisbehaved(f"{host} names no usable place for {self._what(blob)}") from error
        if url.origin.scheme == "https" and target.origin.scheme != "https":
            raise StoreMisbehaved(f"{host} leads from https to plain http for {self._what(blob)}")
        return target

    def _what(self, blob: Descriptor) -> str:
        return f"an upload of {blob.digest} to {self._repository.repository}"
