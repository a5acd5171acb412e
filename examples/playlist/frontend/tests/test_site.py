"""The files of the site, without a browser: what they refer to is there, and nothing breaks the page's own rules."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

FRONTEND = Path(__file__).resolve().parents[1]
SITE = FRONTEND / "site"


class Page(HTMLParser):
    """What the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.files: set[str] = set()
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember ids and files, and what the content security policy would not run."""
        named = {name: value or "" for name, value in attrs}
        self.ids |= {named["id"]} if "id" in named else set()
        self.files |= {named[name] for name in ("href", "src") if name in named}
        if (tag == "script" and "src" not in named) or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in named if name.startswith("on") or name == "style"]


def page() -> Page:
    """The page."""
    made = Page()
    made.feed((SITE / "index.html").read_text())
    return made


def test_what_the_page_refers_to_is_there() -> None:
    """Every file that the page names is one of the site."""
    assert page().files
    assert {name for name in page().files if not (SITE / name).is_file()} == set()


def test_the_script_finds_its_elements() -> None:
    """Every element that the script asks for by id is in the page."""
    asked = set(re.findall(r'byId\("([^"]+)"\)', (SITE / "playlist.js").read_text()))
    assert asked
    assert asked <= page().ids


def test_nothing_is_inline() -> None:
    """Neither script nor style stands in the page itself: its content security policy allows none."""
    assert page().inline == []


def test_the_policy_stands_in_the_configuration() -> None:
    """The server sends a content security policy that begins with nothing at all."""
    assert "default-src 'none'" in (FRONTEND / "lighttpd.conf").read_text()
