"""How python-tuf's client fetches: with an end to its patience, without retries, and to nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from attest.adapters.deadline import Deadline
from attest.errors import AttestError, DeadlineExceeded

_SILENCE: Final = 5.0
"""Seconds without a byte after which nobody is there."""
_CHUNK: Final = 64 * 1024


class Fetcher(Urllib3Fetcher):
    """Fetches within the command's deadline, and gives up after `patience` seconds in all, however slow the drip is."""

    def __init__(self, deadline: Deadline, *, patience: float) -> None:
        super().__init__(app_user_agent="attest")
        self._deadline = deadline
        self._patience = Deadline(patience)

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield from self._read(url)
        except (AttestError, DownloadError):
            raise
        except Exception as error:
            raise DownloadError(f"{url} cannot be fetched") from error

    def _read(self, url: str) -> Iterator[bytes]:
        response = self._proxy_env.request(
            "GET", url, preload_content=False, timeout=min(_SILENCE, self._left()), retries=False, redirect=False
        )
        try:
            if response.status != 200:
                raise DownloadHTTPError(f"{url} answers with status {response.status}", response.status)
            while chunk := response.read1(_CHUNK):
                yield chunk
                self._left()
        finally:
            response.close()

    def _left(self) -> float:
        self._deadline.remaining()
        try:
            return self._patience.remaining()
        except DeadlineExceeded as error:
            raise SlowRetrievalError("it takes too long") from error
