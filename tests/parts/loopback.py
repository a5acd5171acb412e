"""An HTTP/1.1 server inside the test process, on a free loopback port, that ends with its connections."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator

from tests.parts.process import LOOPBACK


class Handler(http.server.BaseHTTPRequestHandler):
    """A request handler that keeps connections open, answers without delay and writes no log.

    A subclass says in `respond` what it answers, whatever the method.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write for headers and body

    def respond(self) -> None:
        """Answer the request at hand."""
        raise NotImplementedError

    def _respond(self) -> None:
        self.respond()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815  (http.server's names)

    def handle_expect_100(self) -> bool:
        """Tell a client that waits for it to go on; the answer must not stay in the buffer."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def body(self) -> bytes:
        """The request's body, of a declared length or in chunks (RFC 9112, section 6)."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class named it)
        """Say nothing: what these servers see, they record."""


class Server(http.server.ThreadingHTTPServer):
    """One thread for each connection; closing the server ends them all and waits for them."""

    daemon_threads = False
    request_queue_size = 256

    def __init__(self, handler: type[Handler]) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, 0), handler)

    @property
    def host(self) -> str:
        """Where it listens, as `HOST:PORT`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        number: int = self.server_address[1]
        return number

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Answer requests until the block ends."""
        thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            with self._lock:
                for connection in self._open:
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            self.server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client: object) -> None:
        """Start a thread for a connection, remembered so that it can be ended."""
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.add(request)
        super().process_request(request, client)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection that has ended."""
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own affair."""
