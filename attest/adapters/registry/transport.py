"""One HTTP exchange with a registry, or with where it points: within its time, its size, and its rules.

Nothing is followed, repeated, decoded or authenticated here. Every exception of urllib3 and below it becomes
one of `attest.errors`.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

from urllib3 import HTTPHeaderDict
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Timeout

from attest.adapters.registry.addresses import check_address
from attest.adapters.registry.connections import Outgoing, go_on, make_pool, tls_context
from attest.errors import DocumentInvalid, LimitExceeded, StoreMisbehaved, Unreachable

if TYPE_CHECKING:
    import ssl

    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.response import BaseHTTPResponse

    from attest.adapters.registry.settings import RegistrySettings
    from attest.adapters.registry.url import Origin, Url

_CONNECTIONS: Final = 32
_CHUNK: Final = 256 * 1024
_PIECE: Final = 1024 * 1024
_REASON_LIMIT: Final = 64 * 1024
"""Bytes that are read of the body of a refusal; it only serves to name a reason."""


_SETTLED_A_SECOND: Final = 16 * 1024 * 1024
"""Bytes of an upload that a registry puts in their place each second; some copy all of it before they answer."""


class ConnectionRefused(Unreachable):
    """Nobody listens there, yet."""


class ConnectionBroken(Unreachable):
    """The connection ended before the response did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A body that is too large to be held in memory. It is begun anew each time that the request is sent."""

    size: int
    """Exactly so many bytes."""
    pieces: Callable[[], Iterator[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send, and how much to take in return."""

    method: str
    url: Url
    what: str
    """What it is about, for error messages: `the manifest sha256:... of HOST/NAME`."""
    limit: int
    """Bytes of a body that is worth reading."""
    size: int | None = None
    """The exact number of bytes of a 200's body, where it is known."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Streamed | None = field(default=None, repr=False)
    keep_open: bool = False
    """Leave the body of a 200 to `Answer.pieces`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete response. `body` is whole if `status` is below 300, else perhaps empty."""

    status: int
    headers: HTTPHeaderDict = field(repr=False)
    body: bytes = field(repr=False)
    pieces: Iterator[bytes] | None = field(default=None, repr=False)
    """The body of a 200 that was kept open, as it comes; what `Transport.exchange` raises, it raises too."""

    @property
    def media_type(self) -> str | None:
        """`Content-Type` without its parameters."""
        value = self.headers.get("Content-Type")
        return None if value is None else value.partition(";")[0].strip().lower()


class Transport:
    """Connections of one command to one registry and to where it points. Threads may share it."""

    def __init__(self, settings: RegistrySettings, *, registry: Origin) -> None:
        self._settings = settings
        self._registry = registry
        self._pools: dict[Origin, HTTPConnectionPool] = {}
        self._tls: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def exchange(self, request: Request) -> Answer:
        """Send a request once and read its whole response.

        Raises:
            ConnectionRefused, ConnectionBroken, Unreachable: there is no response, or only a part of one.
            StoreMisbehaved: it is encoded, of another size than known, or from where nothing may come from.
            LimitExceeded: it is larger than `request.limit`.
            DeadlineExceeded: the command's time is over.
        """
        left = self._settings.deadline.remaining()
        body, headers = _outgoing(request)
        try:
            response = self._pool(request.url.origin).urlopen(
                request.method,
                request.url.target,
                body=body,  # type: ignore[arg-type]  # urllib3 takes any iterable, and its stubs do not say so
                headers={"User-Agent": "attest", **headers, "Accept-Encoding": "identity"},
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(
                    connect=min(self._settings.connect_timeout, left), read=min(self._settings.response_timeout, left)
                ),
                preload_content=False,
                decode_content=False,
            )
            if request.keep_open and response.status == 200:
                pieces = self._pieces(request, response)
                return Answer(status=response.status, headers=response.headers, body=b"", pieces=pieces)
            try:
                answer = _read(request, response)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            self._settings.deadline.remaining()
            raise _translated(error, request, self._settings) from error
        return answer

    def _pieces(self, request: Request, response: BaseHTTPResponse) -> Iterator[bytes]:
        """The body piece by piece, at most `request.limit` bytes; each piece has the time of a response for itself."""
        try:
            _check_encoding(request, response)
            length = 0
            while True:
                go_on(response)
                piece = response.read(_PIECE)
                if not piece:
                    break
                length += len(piece)
                if length > request.limit:
                    raise _too_large(request, None)
                yield piece
        except BaseException as error:
            response.close()
            if not isinstance(error, HTTPError | HTTPException | OSError | ValueError):
                raise
            self._settings.deadline.remaining()
            raise _translated(error, request, self._settings) from error
        response.release_conn()

    def _pool(self, origin: Origin) -> HTTPConnectionPool:
        with self._lock:
            pool = self._pools.get(origin)
            if pool is None:
                self._check_scheme(origin)
                pool = make_pool(
                    origin,
                    connections=_CONNECTIONS,
                    check=lambda address: check_address(
                        address,
                        loopback=self._registry.is_loopback,
                        elsewhere=origin.scheme == "https" or self._settings.plain_http,
                    ),
                    allowance=lambda: min(self._settings.response_timeout, self._settings.deadline.remaining()),
                    tls=self._context,
                )
                self._pools[origin] = pool
            return pool

    def _check_scheme(self, origin: Origin) -> None:
        if origin.scheme == "http" and not origin.is_loopback and not self._settings.plain_http:
            raise StoreMisbehaved(
                f"{origin.authority} would be spoken to over plain http",
                hint="--plain-http allows it, for registries whose network you trust",
            )

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = tls_context(self._settings.ca_file)
            except OSError as error:
                if self._settings.ca_file is None:
                    raise
                raise DocumentInvalid(
                    "no authorities can be read from it",
                    file=self._settings.ca_file,
                    hint="--ca-file takes a PEM file of certificates",
                ) from error
        return self._tls


def _outgoing(request: Request) -> tuple[bytes | Outgoing | None, Mapping[str, str]]:
    """Body and headers: a body that is streamed has its length declared, so that no registry sees chunks."""
    body = request.body
    if not isinstance(body, Streamed):
        return body, request.headers
    settling = body.size / _SETTLED_A_SECOND
    return Outgoing(body.pieces(), settling=settling), {**request.headers, "Content-Length": str(body.size)}


def _read(request: Request, response: BaseHTTPResponse) -> Answer:
    wanted = response.status < 300
    if not wanted:
        return Answer(status=response.status, headers=response.headers, body=_read_reason(response))
    _check_encoding(request, response)
    exact = request.size if response.status == 200 else None
    limit = request.limit if exact is None else exact
    declared = response.length_remaining
    if declared is not None and declared > limit:
        raise _too_large(request, exact)
    chunks: list[bytes] = []
    length = 0
    while chunk := response.read(min(_CHUNK, limit - length + 1)):
        chunks.append(chunk)
        length += len(chunk)
        if length > limit:
            raise _too_large(request, exact)
    if exact is not None and length != exact:
        raise StoreMisbehaved(f"{request.what} has {length} bytes, and not the {exact} of its descriptor")
    return Answer(status=response.status, headers=response.headers, body=b"".join(chunks))


def _check_encoding(request: Request, response: BaseHTTPResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise StoreMisbehaved(f"{request.what} came encoded, though this was not asked for")


def _read_reason(response: BaseHTTPResponse) -> bytes:
    """The body of a refusal, or nothing if it is large; the connection stays usable only if it was small."""
    declared = response.length_remaining
    body = b"" if declared is not None and declared > _REASON_LIMIT else response.read(_REASON_LIMIT + 1)
    if len(body) <= _REASON_LIMIT and (declared is None or declared <= _REASON_LIMIT):
        return body
    response.close()
    return b""


def _too_large(request: Request, exact: int | None) -> StoreMisbehaved | LimitExceeded:
    if exact is not None:
        return StoreMisbehaved(f"{request.what} has more than the {exact} bytes of its descriptor")
    return LimitExceeded(f"{request.what} is larger than {request.limit} bytes")


def _translated(error: Exception, request: Request, settings: RegistrySettings) -> Unreachable | StoreMisbehaved:
    """What an exception from below means to the user. It may quote the peer, so its text is not passed on."""
    where = request.url.origin.authority
    match error:
        case NameResolutionError():
            return Unreachable(f"{where}: no address is known for this name")
        case NewConnectionError():
            if _errno(error) == errno.ECONNREFUSED:
                return ConnectionRefused(f"{where} refused the connection")
            return Unreachable(f"{where} cannot be connected to")
        case ConnectTimeoutError():
            return Unreachable(f"{where} did not take the connection within {settings.connect_timeout:g} s")
        case SSLError():
            return Unreachable(
                f"{where}: no TLS connection could be made",
                hint="its certificate must be for this name and from an authority of this system, or of --ca-file",
            )
        case ReadTimeoutError() | TimeoutError():
            return _too_slow(where, request, settings)
        case ProtocolError():
            if any(isinstance(cause, TimeoutError) for cause in error.args):
                return _too_slow(where, request, settings)
            return ConnectionBroken(f"{where} broke off while it answered about {request.what}")
        case _:
            return StoreMisbehaved(f"{where} did not answer in HTTP about {request.what}")


def _too_slow(where: str, request: Request, settings: RegistrySettings) -> Unreachable:
    return Unreachable(f"{where} did not answer about {request.what} within {settings.response_timeout:g} s")


def _errno(error: BaseException) -> int | None:
    cause = error.__cause__
    return cause.errno if isinstance(cause, OSError) else None
