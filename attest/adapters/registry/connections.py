"""Connections that know where they may lead and when a response must be complete.

A socket's timeout bounds one read, and a peer that sends a byte a second never runs into it. Here every read
and write gets what is left of the response's time, so that a slow drip ends with it.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from typing_extensions import Buffer
    from urllib3.response import BaseHTTPResponse

    from attest.adapters.registry.url import Origin


_PART: Final = 1024 * 1024
"""Bytes of a body that is streamed which have to be taken in the time of an exchange."""


class Patience:
    """How much time one exchange still has."""

    __slots__ = ("_allowance", "_end")

    def __init__(self, allowance: Callable[[], float]) -> None:
        self._allowance = allowance
        self.start()

    def start(self, more: float = 0.0) -> None:
        """A new exchange, or a new part of one, begins; it may take so many seconds more than others."""
        self._end = time.monotonic() + self._allowance() + more

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: none are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response took too long")
        return left


class Outgoing:
    """A body that is sent while it is read. Each part of it has the time of an exchange for itself."""

    __slots__ = ("_pieces", "_settling")

    def __init__(self, pieces: Iterator[bytes], *, settling: float) -> None:
        """Behind the last piece the peer may take `settling` seconds more than for other answers."""
        self._pieces = pieces
        self._settling = settling

    def within(self, patience: Patience) -> Iterator[memoryview]:
        """The body in parts; the clock starts when a piece is there, not while it is waited for."""
        for piece in self._pieces:
            whole = memoryview(piece)
            for start in range(0, len(whole), _PART):
                patience.start()
                yield whole[start : start + _PART]
        patience.start(self._settling)


class _PatientSocket(socket.socket):
    patience: Patience | None = None

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        _arm(self, self.patience)
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        _arm(self, self.patience)
        super().sendall(data, flags)


class _PatientTlsSocket(ssl.SSLSocket):
    patience: Patience | None = None

    def __del__(self) -> None:
        self.close()  # that of a thread which was given up while it waited: nobody else closes it

    def recv_into(self, buffer: Buffer, nbytes: int | None = None, flags: int = 0) -> int:
        _arm(self, self.patience)
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: Buffer, flags: int = 0) -> int:  # `sendall` is made of these
        _arm(self, self.patience)
        return super().send(data, flags)


def _arm(connected: socket.socket, patience: Patience | None) -> None:
    if patience is not None:
        connected.settimeout(patience.left())


class _Guarded(HTTPConnection):
    """What both kinds of connection do more than urllib3's: check the address, then keep the time."""

    def __init__(
        self, *args: Any, check: Callable[[str], None], allowance: Callable[[], float], **keywords: Any
    ) -> None:
        super().__init__(*args, **keywords)
        self._check = check
        self._patience = Patience(allowance)

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        try:
            self._check(plain.getpeername()[0])
        except BaseException:
            plain.close()
            raise
        timeout = plain.gettimeout()
        patient = _PatientSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        patient.settimeout(timeout)
        patient.patience = self._patience
        return patient

    def connect(self) -> None:
        super().connect()
        if isinstance(self.sock, _PatientTlsSocket):
            self.sock.patience = self._patience

    def request(self, *args: Any, **keywords: Any) -> None:
        self._patience.start()
        body = keywords.get("body")
        if isinstance(body, Outgoing):
            keywords["body"] = body.within(self._patience)
        super().request(*args, **keywords)

    def go_on(self) -> None:
        """Another part of the response may take the time of an exchange."""
        self._patience.start()


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


def go_on(response: BaseHTTPResponse) -> None:
    """Let another part of a response that is read while it comes have the time of an exchange for itself."""
    connection = response.connection
    if isinstance(connection, _Guarded):
        connection.go_on()


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS that trusts the system's authorities, or those in the file and no others.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = _PatientTlsSocket
    return context


def make_pool(
    origin: Origin,
    *,
    connections: int,
    check: Callable[[str], None],
    allowance: Callable[[], float],
    tls: Callable[[], ssl.SSLContext],
) -> HTTPConnectionPool:
    """Connections to one origin. `check` sees each address reached; `allowance` is the time of an exchange."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    if origin.scheme == "https":
        return _TlsPool(host, origin.port, maxsize=connections, check=check, allowance=allowance, ssl_context=tls())
    return _Pool(host, origin.port, maxsize=connections, check=check, allowance=allowance)
