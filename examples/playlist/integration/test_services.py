"""Black-box tests: the running services, asked over HTTP and nothing else.

PLAYLIST_URL is the backend's address and FRONTEND_URL the frontend's. The tests may run again on the same services.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from email.message import Message
from typing import Any

import pytest

BACKEND = os.environ["PLAYLIST_URL"].rstrip("/")
FRONTEND = os.environ["FRONTEND_URL"].rstrip("/")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks past any proxy: engines hand the one of their machine to every container."""

through_both = pytest.mark.parametrize("api", [BACKEND, f"{FRONTEND}/api"], ids=["backend", "frontend"])


def ask(url: str, body: object = None, kind: str = "application/json") -> tuple[int, Message, bytes]:
    """Status, headers and content of an answer; a body is sent as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    try:
        with DIRECT.open(request, timeout=10) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def ask_json(url: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Status and document of an answer."""
    status, headers, content = ask(url, body)
    assert headers.get_content_type() == "application/json"
    return status, json.loads(content)


def new_song() -> dict[str, Any]:
    """A song that nobody has added yet."""
    return {"title": f"Number {uuid.uuid4().hex[:8]}", "artist": "The Testers", "seconds": 185}


@pytest.mark.parametrize("service", [BACKEND, FRONTEND], ids=["backend", "frontend"])
def test_a_service_is_well(service: str) -> None:
    """Each service says that it is well."""
    assert ask(f"{service}/health")[0] == 200


@through_both
def test_a_song_is_added_and_listed(api: str) -> None:
    """A song that was added stands at the end of the list, with its id."""
    song = new_song()
    status, added = ask_json(f"{api}/songs", song)
    assert status == 201
    assert added == {"id": added["id"], **song}
    status, answer = ask_json(f"{api}/songs")
    assert status == 200
    assert answer["songs"][-1] == added


@through_both
def test_what_is_no_song_is_refused(api: str) -> None:
    """A song without a length is refused with a reason, and is not in the list."""
    song = {**new_song(), "seconds": 0}
    status, answer = ask_json(f"{api}/songs", song)
    assert (status, answer) == (400, {"error": "seconds has to be a whole number from 1 to 86400"})
    assert song["title"] not in {known["title"] for known in ask_json(f"{api}/songs")[1]["songs"]}


@through_both
def test_the_build_says_what_it_is(api: str) -> None:
    """The service knows its version and the commit that it was built from."""
    status, answer = ask_json(f"{api}/version")
    assert status == 200
    assert answer["version"]
    assert len(answer["revision"]) == 40


def test_the_page_is_served() -> None:
    """The page comes with a policy that runs no foreign script, and with its script and style."""
    status, headers, content = ask(f"{FRONTEND}/")
    assert status == 200
    assert headers.get_content_type() == "text/html"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert b"<h1>Playlist</h1>" in content
    for name, kind in (("playlist.js", "text/javascript"), ("playlist.css", "text/css"), ("icon.svg", "image/svg+xml")):
        status, headers, content = ask(f"{FRONTEND}/{name}")
        assert (status, headers.get_content_type(), bool(content)) == (200, kind, True)


@pytest.mark.parametrize("path", ["/lighttpd.conf", "/../lighttpd.conf", "/site/", "/.."])
def test_nothing_but_the_site_is_served(path: str) -> None:
    """What stands beside the site in the image cannot be had."""
    status, _, content = ask(f"{FRONTEND}{path}")
    assert status in {400, 403, 404} or b"<h1>Playlist</h1>" in content
    assert b"server.modules" not in content
