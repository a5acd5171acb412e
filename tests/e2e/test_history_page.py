"""The history page in a real browser: what it shows, that it loads and runs nothing, whatever stands in the ledger."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from tests.cli.observed import Watched
from tests.core.make_delivery import Book
from tests.core.make_story import story
from tests.e2e.looking import Looker
from tests.test_page import MARKUP, hostile

pytestmark = [pytest.mark.parts, pytest.mark.slow]


def page_of(folder: Path, book: Book) -> bytes:
    """The page of a ledger, as the command prints it."""
    ended = Watched(folder, book).attest("history", "--format", "html", "--days", "3650")
    assert ended.code == 0, ended.err
    return ended.raw


def test_the_page_is_seen(looker: Looker, tmp_path: Path) -> None:
    """Every delivery is on the time line and below it; nothing is asked for or complained about, nothing sticks out."""
    found = looker.look(tmp_path, page_of(tmp_path, story()))
    assert sorted(found) == ["dark", "light", "small"]
    for seen in found.values():
        assert seen["title"] == "staging: delivery history"
        assert seen["asked"] == ["file:///seen/page.html"]
        assert (seen["said"], seen["scripts"], seen["handlers"], seen["lost"], seen["wide"]) == ([], 0, 0, 0, 0)
        assert [mark.split()[-1] for mark in seen["marks"]] == [
            *("succeeded", "succeeded", "failed", "succeeded", "refused", "refused", "refused"),
            *("succeeded", "succeeded", "succeeded", "superseded", "error"),
        ]
        kinds = {bar.split()[-1] for bar in seen["bars"]}
        assert kinds == {"good", "bad", "undone", "unknown", "failure", "drift", "frozen", "held"}
        for words in ("serial-too-low", "the login is broken", "passed over", "Who vouched for api", "50 %"):
            assert words.lower() in seen["text"].lower()
    assert found["light"]["paper"] != found["dark"]["paper"]
    assert (tmp_path / "seen" / "print.pdf").read_bytes().startswith(b"%PDF")


def test_hostile_text_does_nothing(looker: Looker, tmp_path: Path) -> None:
    """Markup in every field of the ledger runs nothing and makes nothing; it is there to be read."""
    text = " ".join(MARKUP) + "\u202e\u200b"
    for seen in looker.look(tmp_path, page_of(tmp_path, hostile(text))).values():
        assert (seen["pwned"], seen["scripts"], seen["handlers"], seen["said"]) == (None, 0, 0, [])
        assert seen["asked"] == ["file:///seen/page.html"]
        assert "<script>window.pwned = 1</script>" in seen["text"]
        assert "\u202e" not in seen["text"]


def test_the_policy_is_what_stops_a_script(looker: Looker, tmp_path: Path) -> None:
    """A script, a style and an image put into the page by force are refused by the browser, which says so."""
    page = page_of(tmp_path, story())
    asked: list[object] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        evil = (
            "<script>window.pwned = 1</script><style>html { background: red }</style>"
            f"<img src='http://127.0.0.1:{server.server_address[1]}/x.png'></body>"
        )
        seen = looker.look(tmp_path, page.replace(b"</body>", evil.encode()))["light"]
        server.shutdown()
    assert (seen["pwned"], seen["paper"]) == (None, "rgb(255, 255, 255)")
    assert sum("Content Security Policy" in line for line in seen["said"]) >= 3
    assert asked == []
