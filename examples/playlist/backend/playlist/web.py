"""The API: GET /songs, POST /songs, GET /health, GET /version."""

from __future__ import annotations

import http.server
import json
import sqlite3
from http import HTTPStatus
from pathlib import Path
from typing import Any

from playlist import VERSION
from playlist.songs import InvalidSong, Songs, parse_song

LARGEST_BODY = 4096
REVISION = Path(__file__).with_name("REVISION")
"""The commit that the image was built from; the build writes it."""


class Server(http.server.ThreadingHTTPServer):
    """The service on a port of all interfaces; port 0 takes a free one."""

    def __init__(self, port: int, songs: Songs) -> None:
        super().__init__(("", port), Handler)
        self.songs = songs


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request with JSON."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 10
    server_version = f"playlist/{VERSION}"
    sys_version = ""

    def do_GET(self) -> None:
        """Read something."""
        match self.path.partition("?")[0]:
            case "/songs":
                self._guarded(lambda: (HTTPStatus.OK, {"songs": self.server.songs.all()}))
            case "/health":
                self._guarded(self._health)
            case "/version":
                self._answer(HTTPStatus.OK, {"version": VERSION, "revision": revision()})
            case _:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        """Add a song."""
        if self.path.partition("?")[0] != "/songs":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
            return
        if self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a song is sent as application/json")
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "how long the song is has to be said before it")
            return
        if int(length) > LARGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a song has at most {LARGEST_BODY} bytes")
            return
        body = self.rfile.read(int(length))
        try:
            song = parse_song(json.loads(body))
        except InvalidSong as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (ValueError, RecursionError):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "this is not JSON"})
        else:
            self._guarded(lambda: (HTTPStatus.CREATED, self.server.songs.add(song)))

    def _health(self) -> tuple[HTTPStatus, dict[str, Any]]:
        self.server.songs.check()
        return HTTPStatus.OK, {"status": "ok"}

    def _guarded(self, work: Any) -> None:
        """Answer with what `work` comes to, or 503 where the database cannot be used."""
        try:
            status, document = work()
        except sqlite3.Error as error:
            status, document = HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"the database cannot be used: {error}"}
        self._answer(status, document)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer without having read what was sent, so nothing else can come over this connection."""
        self.close_connection = True
        self._answer(status, {"error": reason})

    def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def revision() -> str:
    """The commit that this was built from, or `unknown` where nothing was built."""
    return REVISION.read_text().strip() if REVISION.exists() else "unknown"
