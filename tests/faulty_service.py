"""A service over HTTP that passes every request on to a real one, or answers it as a test wants it answered."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.parts import loopback, web

_DRIP = 0.2
"""Seconds between two bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Handler", Asked], None]


@dataclass(slots=True)
class FaultyService:
    """Stands before the service at `behind`, if there is one; `answer` takes its place where it is set."""

    behind: str | None = None
    answer: Answer | None = None
    times: int | None = None
    """How often `answer` takes its place; None for always."""
    asked: list[Asked] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    tls: ssl.SSLContext | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultyService]:
        """Answer requests until the block ends."""
        server = loopback.Server(_bound(self))
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        path = urlsplit(self.behind).path if self.behind else ""
        self.url = f"{'http' if self.tls is None else 'https'}://{server.host}{path}"
        with server.running():
            try:
                yield self
            finally:
                self.stopping.set()


class Handler(loopback.Handler):
    """Answers for one `FaultyService`."""

    service: FaultyService

    def respond(self) -> None:
        """Record the request; answer it, or pass it on."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(method=self.command, target=self.path, headers=headers, body=self.body())
        service = self.service
        service.asked.append(asked)
        if service.answer is not None and (service.times is None or service.times > 0):
            if service.times is not None:
                service.times -= 1
            service.answer(self, asked)
            return
        assert service.behind is not None
        parts = urlsplit(service.behind)
        passed = {name: value for name, value in headers.items() if name not in {"host", "connection"}}
        answer = web.request(
            asked.method, f"{parts.scheme}://{parts.netloc}{asked.target}", headers=passed, body=asked.body
        )
        self.send(answer.status, answer.body, answer.headers.get("content-type", "application/json"))

    def send(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        """A whole response."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def _bound(service: FaultyService) -> type[Handler]:
    return type("BoundHandler", (Handler,), {"service": service})


# ---- answers


def says(status: int, document: Any) -> Answer:
    """A JSON document, or bytes as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()

    def answer(handler: Handler, _: Asked) -> None:
        handler.send(status, body)

    return answer


def changed(change: Callable[[Any], Any], behind: str) -> Answer:
    """The JSON document that the real service answers, changed."""

    def answer(handler: Handler, asked: Asked) -> None:
        parts = urlsplit(behind)
        passed = {name: value for name, value in asked.headers.items() if name not in {"host", "connection"}}
        real = web.request(
            asked.method, f"{parts.scheme}://{parts.netloc}{asked.target}", headers=passed, body=asked.body
        )
        handler.send(real.status, json.dumps(change(json.loads(real.body))).encode())

    return answer


def repeats_authorization(handler: Handler, asked: Asked) -> None:
    """A refusal that quotes what it was sent, as some frameworks do when they are debugged."""
    message = f"cannot use {asked.headers.get('authorization')}; {asked.body.decode(errors='replace')}"
    handler.send(400, json.dumps({"code": 3, "message": message}).encode())


def redirects(handler: Handler, _: Asked) -> None:
    """To somewhere else."""
    handler.send(307, b"", Location="http://127.0.0.1:9/elsewhere")


def silent(handler: Handler, _: Asked) -> None:
    """Nothing at all until the test is over."""
    handler.service.stopping.wait()
    handler.close_connection = True


def drips(handler: Handler, _: Asked) -> None:
    """A byte at a time, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.flush()
    with contextlib.suppress(OSError):
        while not handler.service.stopping.wait(_DRIP):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    handler.close_connection = True


def drips_headers(handler: Handler, _: Asked) -> None:
    """A header that never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    with contextlib.suppress(OSError):
        while not handler.service.stopping.wait(_DRIP):
            handler.wfile.write(b"a")
            handler.wfile.flush()
    handler.close_connection = True


def breaks_off(handler: Handler, _: Asked) -> None:
    """Less than was announced."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


def no_http(handler: Handler, _: Asked) -> None:
    """Another protocol."""
    handler.wfile.write(b"220 mail.example.org ESMTP\r\n")
    handler.close_connection = True


def endless(handler: Handler, _: Asked) -> None:
    """More than anybody wants to read."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 40))
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.service.stopping.is_set():
            handler.wfile.write(b" " * 65536)
    handler.close_connection = True
