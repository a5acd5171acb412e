"""Metrics as Prometheus reads them: in its text format, as a file or over HTTP, by prometheus-client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from attest.core.delivery.metrics import Family, Shape
from attest.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import Metric

_PATIENCE: Final = 10.0
"""Seconds that a client of the server has for each part of its request."""
_CLIENTS: Final = 16
"""Requests that are answered at once; others wait."""

_Start = Callable[[str, list[tuple[str, str]]], Any]


def text(families: Sequence[Family]) -> bytes:
    """The text format of Prometheus, version 0.0.4, with a newline at its end."""
    from prometheus_client import generate_latest

    return generate_latest(_registry(families))


def _registry(families: Sequence[Family]) -> Any:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    class Given(Collector):
        """What was counted elsewhere."""

        def collect(self) -> Iterable[Metric]:
            return map(_metric, families)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given())
    return registry


def _metric(family: Family) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    match family.shape:
        case Shape.COUNTER:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for value in family.values:
                counter.add_metric(value.labels, value.value)
            return counter
        case Shape.GAUGE:
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for value in family.values:
                gauge.add_metric(value.labels, value.value)
            return gauge
        case Shape.HISTOGRAM:
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            bounds = [*map(str, family.buckets), "+Inf"]
            for spread in family.distributions:
                buckets = [(bound, float(count)) for bound, count in zip(bounds, spread.counts, strict=True)]
                histogram.add_metric(spread.labels, buckets=buckets, sum_value=spread.total)
            return histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where metrics are served."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """The address that a text is: HOST:PORT, [IPV6]:PORT, or :PORT for this machine alone.

    Raises:
        UsageError: it is none.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    number = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65_536
    right = colon and number and (":" in bare) is bracketed
    if not right:
        hint = "write 127.0.0.1:9464, [::1]:9464, or :9464 for this machine alone"
        raise UsageError(f"{text!r} is no address to listen at", hint=hint)
    return ListenAddress(host=bare or "127.0.0.1", port=int(port))


@contextmanager
def serving(address: ListenAddress, collect: Callable[[], Sequence[Family]]) -> Iterator[ListenAddress]:
    """Answer `GET /metrics` for the time of a block; where it listens, with the port that it got.

    `collect` is called for each request, one request at a time. What it raises is the client's 500 and nobody else's.

    Raises:
        UsageError: it cannot listen there.
    """
    from prometheus_client import make_wsgi_app

    turn = threading.Lock()

    def application(environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            return _answer(start, "404 Not Found", b"metrics are at /metrics\n")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _answer(start, "405 Method Not Allowed", b"ask with GET\n")
        try:
            with turn:
                found = collect()
        except Exception:  # noqa: BLE001 - one scrape fails, the next may not; the caller's own faults are told by it
            return _answer(start, "500 Internal Server Error", b"the metrics could not be collected\n")
        answer: Iterable[bytes] = make_wsgi_app(_registry(found))(environ, start)
        return answer

    try:
        server = _server(address)
    except (OSError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen at {address}: {problem}", hint="name another address or port") from error
    with server:
        server.set_app(application)
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield ListenAddress(host=address.host, port=server.server_port)
        finally:
            server.shutdown()
            thread.join()


def _answer(start: _Start, status: str, body: bytes) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Handler(WSGIRequestHandler):
    """Says nothing about requests, and does not wait for ever."""

    timeout = _PATIENCE

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Nothing."""


def _server(address: ListenAddress) -> WSGIServer:
    from socketserver import ThreadingMixIn

    class Server(ThreadingMixIn, WSGIServer):
        """Answers several clients at once, so that one that is slow holds nobody up."""

        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        slots = threading.BoundedSemaphore(_CLIENTS)

        def server_bind(self) -> None:
            """As the base, without asking a name server who we are."""
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()
            self.server_name, self.server_port = address.host, self.server_address[1]
            self.setup_environ()

        def process_request(self, request: Any, client_address: Any) -> None:
            self.slots.acquire()
            super().process_request(request, client_address)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.slots.release()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that goes away in the middle is nobody's concern."""

    return Server((address.host, address.port), _Handler)
