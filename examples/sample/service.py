"""The sample service: playlists in memory, over HTTP."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler


def total_seconds(tracks: list[dict[str, int]]) -> int:
    """How long a playlist plays."""
    return sum(track["seconds"] for track in tracks)


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with an empty playlist."""

    def do_GET(self) -> None:
        body = json.dumps({"tracks": [], "seconds": total_seconds([])}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
