"""The sample's own tests: its fast-check lane."""

from __future__ import annotations

import json
import threading
import urllib.request
from http.server import HTTPServer

from service import Handler, total_seconds


def test_total_seconds() -> None:
    """A playlist plays as long as its tracks."""
    assert total_seconds([{"seconds": 200}, {"seconds": 41}]) == 241


def test_answers() -> None:
    """The service answers on its port with a playlist."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=5) as response:
            assert json.load(response) == {"tracks": [], "seconds": 0}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
