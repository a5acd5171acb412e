"""`serve` runs the service until it gets SIGTERM or SIGINT; `healthy` ends with 0 if it answers that it is well.

PLAYLIST_PORT is the port, 8080 unless it says otherwise, and PLAYLIST_DATA the folder for the database, /data.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import urllib.request
from pathlib import Path

from playlist.songs import Songs
from playlist.web import Server, revision


def main(words: list[str]) -> int:
    """Do what the one word says; the exit code."""
    try:
        port = int(os.environ.get("PLAYLIST_PORT", "8080"))
    except ValueError:
        return _error("PLAYLIST_PORT has to be a number")
    match words:
        case ["serve"]:
            return serve(port, Path(os.environ.get("PLAYLIST_DATA", "/data")))
        case ["healthy"]:
            return healthy(port)
        case _:
            return _error("usage: playlist serve | playlist healthy")


def serve(port: int, data: Path) -> int:
    """Serve until somebody says that it is enough."""
    try:
        server = Server(port, Songs(data / "songs.db"))
    except (sqlite3.Error, OSError, OverflowError) as error:
        return _error(f"cannot serve port {port} from {data}: {error}")
    for number in (signal.SIGTERM, signal.SIGINT):
        # `shutdown` waits for the loop to end, and the handler runs in the thread of that loop.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"playlist: revision {revision()} on port {server.server_port}", file=sys.stderr, flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


def healthy(port: int) -> int:
    """Ask the service on this machine, past any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/health", timeout=4).close()
    except OSError as error:
        return _error(str(error))
    return 0


def _error(message: str) -> int:
    print(f"playlist: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
