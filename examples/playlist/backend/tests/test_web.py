"""The API, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from playlist import VERSION
from playlist.songs import Songs
from playlist.web import LARGEST_BODY, Server

SONG = {"title": "Clair de lune", "artist": "Claude Debussy", "seconds": 301}


class Api:
    """A running service, and its database."""

    def __init__(self, port: int, database: Path) -> None:
        self.port = port
        self.database = database

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, object]]:
        """Status and document of an answer; a body that is no text is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = body if isinstance(body, str) or body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
        with connection.getresponse() as response:
            document: dict[str, object] = json.loads(response.read())
        connection.close()
        return response.status, document


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The service on a free port."""
    database = tmp_path / "songs.db"
    with Server(0, Songs(database)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Api(server.server_port, database)
        server.shutdown()
        thread.join()


def test_a_song_is_added_and_listed(api: Api) -> None:
    """What was added is in the list."""
    assert api.ask("GET", "/songs") == (200, {"songs": []})
    assert api.ask("POST", "/songs", SONG) == (201, {"id": 1, **SONG})
    assert api.ask("GET", "/songs") == (200, {"songs": [{"id": 1, **SONG}]})


def test_the_service_says_that_it_is_well(api: Api) -> None:
    """Health is 200 while the database can be used."""
    assert api.ask("GET", "/health") == (200, {"status": "ok"})


def test_the_service_says_that_it_is_not_well(api: Api) -> None:
    """Health and songs are 503 once the database is gone."""
    api.database.unlink()
    api.database.mkdir()
    for path in ("/health", "/songs"):
        status, document = api.ask("GET", path)
        assert status == 503
        assert "database" in str(document["error"])


def test_the_version_is_told(api: Api) -> None:
    """Version and commit are told; from a checkout the commit is unknown."""
    assert api.ask("GET", "/version") == (200, {"version": VERSION, "revision": "unknown"})


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"title": "no artist"}, {}, 400),
        ("{", {}, 400),
        ("[" * 3000, {}, 400),
        (SONG, {"Content-Type": "text/plain"}, 415),
        (SONG, {"Content-Length": "many"}, 411),
        (" " * (LARGEST_BODY + 1), {}, 413),
    ],
)
def test_what_is_no_song_is_refused(api: Api, body: object, headers: dict[str, str], status: int) -> None:
    """Bad input gets a status that says whose fault it is, and a reason."""
    answered, document = api.ask("POST", "/songs", body, **headers)
    assert answered == status
    assert document["error"]
    assert api.ask("GET", "/songs") == (200, {"songs": []})


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/"), ("GET", "/songs/1")])
def test_nothing_else_is_there(api: Api, method: str, path: str) -> None:
    """Other paths are 404."""
    assert api.ask(method, path)[0] == 404
