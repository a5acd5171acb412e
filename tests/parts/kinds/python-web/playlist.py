"""The service: it serves one playlist, as JSON, on the port that it is given."""

from __future__ import annotations

import http.server
import pathlib
import sys

PLAYLIST = pathlib.Path(__file__).with_name("data") / "playlist.json"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET."""

    def do_GET(self) -> None:
        """The playlist at the root, and nothing else."""
        if self.path != "/":
            self.send_error(404)
            return
        content = PLAYLIST.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
