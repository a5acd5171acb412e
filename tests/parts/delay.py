"""A slow network to a registry: a reverse proxy that holds back every response, and records every request.

Requests for a token pass through it too where the registry gives tokens itself, as Gitea does (`/v2/token`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.parts import loopback
from tests.parts.registry import Registry, write_docker_config

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its response; times are `time.monotonic` seconds, `path` keeps its query."""

    method: str
    path: str
    authorization: str | None
    status: int
    received_bytes: int
    sent_bytes: int
    started: float
    ended: float


class Delayed:
    """A registry behind the proxy: reach it as `registry`, read what was asked in `exchanges`."""

    def __init__(self, registry: Registry, directory: Path, seconds: float) -> None:
        if registry.scheme != "http":
            raise ValueError("only a registry over plain http can be delayed")
        self._upstream = registry.host
        self._seconds = seconds
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._http = loopback.Server(_handler(self))
        host = f"{registry.host.rpartition(':')[0]}:{self._http.port}"
        config = write_docker_config(directory, host, registry.username, registry.password)
        self.registry = dataclasses.replace(registry, host=host, docker_config_dir=config)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """What was asked so far, in the order of the answers."""
        with self._lock:
            return tuple(self._exchanges)

    def clear(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self._exchanges.clear()

    @contextlib.contextmanager
    def running(self) -> Iterator[Delayed]:
        """Pass requests on until the block ends."""
        with self._http.running():
            yield self

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the registry itself."""
        return http.client.HTTPConnection(self._upstream, timeout=60)

    def renamed(self, header: str) -> str:
        """A response header's value with the registry's own URLs leading through here: where to get a token."""
        return header.replace(f"//{self._upstream}/", f"//{self.registry.host}/")

    def hold(self) -> None:
        """Wait as long as every response has to."""
        time.sleep(self._seconds)

    def record(self, exchange: Exchange) -> None:
        """Remember one exchange."""
        with self._lock:
            self._exchanges.append(exchange)


@contextlib.contextmanager
def delayed(registry: Registry, directory: Path, *, milliseconds: float) -> Iterator[Delayed]:
    """Put `milliseconds` in front of every response of a registry; `directory` gets a docker configuration."""
    with Delayed(registry, directory, milliseconds / 1000).running() as proxy:
        yield proxy


def depth(exchanges: Sequence[Exchange]) -> int:
    """How many requests stood behind one another at the deepest point.

    A request can depend only on those that were answered before it was sent, so this is the length of the
    longest row of requests that do not overlap. The delay has to be long beside the client's own work.
    """
    deepest, free = 0, float("-inf")
    for exchange in sorted(exchanges, key=lambda one: one.ended):
        if exchange.started >= free:
            deepest, free = deepest + 1, exchange.ended
    return deepest


def _handler(proxy: Delayed) -> type[loopback.Handler]:
    class Handler(loopback.Handler):
        upstream: http.client.HTTPConnection | None = None

        def finish(self) -> None:
            if self.upstream is not None:
                self.upstream.close()
            super().finish()

        def respond(self) -> None:
            started = time.monotonic()
            request_body = self.body()
            response = self._ask(request_body)
            body = response.read()
            proxy.hold()
            # Before it is sent: the client acts on the answer as soon as it has it.
            proxy.record(
                Exchange(
                    method=self.command,
                    path=self.path,
                    authorization=self.headers.get("Authorization"),
                    status=response.status,
                    received_bytes=len(request_body),
                    sent_bytes=len(body),
                    started=started,
                    ended=time.monotonic(),
                )
            )
            self.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, proxy.renamed(value))
            length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
            if length is not None and response.status not in (204, 304):
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body)

        def _ask(self, body: bytes) -> http.client.HTTPResponse:
            """The registry's response; a connection that it closed while idle is opened once more."""
            reused = self.upstream is not None
            try:
                return self._send(body)
            except (ConnectionError, http.client.RemoteDisconnected):
                if not reused:
                    raise
                if self.upstream is not None:
                    self.upstream.close()
                self.upstream = None
                return self._send(body)

        def _send(self, body: bytes) -> http.client.HTTPResponse:
            if self.upstream is None:
                self.upstream = proxy.connect()
            # The Host header stays the client's, so that the registry's own URLs lead back through here.
            self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP | {"content-length", "expect"}:
                    self.upstream.putheader(name, value)
            if body or self.command in ("POST", "PUT", "PATCH"):
                self.upstream.putheader("Content-Length", str(len(body)))
            self.upstream.endheaders(body)
            return self.upstream.getresponse()

    return Handler
