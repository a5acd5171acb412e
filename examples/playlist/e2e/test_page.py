"""The page in a real browser, with the real backend behind it.

FRONTEND_URL is where the page is; PLAYLIST_URL, the backend's address, is where other people's songs come from. A
picture of the page is left at ARTIFACTS/page.png.
"""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

BACKEND = os.environ["PLAYLIST_URL"].rstrip("/")
FRONTEND = os.environ["FRONTEND_URL"].rstrip("/")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks past any proxy: engines hand the one of their machine to every container."""
ARTIFACTS = Path(os.environ.get("ARTIFACTS", "artifacts"))
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

expect.set_options(timeout=5000)


def named(title: str) -> str:
    """A title that nobody has used yet."""
    return f"{title} {uuid.uuid4().hex[:6]}"


def add_song(title: str, artist: str, seconds: int) -> None:
    """Add a song as somebody else does, past the page."""
    body = json.dumps({"title": title, "artist": artist, "seconds": seconds}).encode()
    request = urllib.request.Request(f"{BACKEND}/songs", body, {"Content-Type": "application/json"})
    DIRECT.open(request, timeout=10).close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, which asks nobody but the services. In a container it has no sandbox of its own."""
    switches = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=switches)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty window. What its script does not catch fails the test, and so does an error on the console."""
    errors: list[str] = []
    window = browser.new_page(viewport={"width": 900, "height": 700})
    window.on("pageerror", lambda error: errors.append(str(error)))
    window.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield window
    window.close()
    assert errors == []


def row(page: Page, title: str) -> list[str]:
    """The cells of the row with this title, once the page shows it."""
    shown = page.locator("#songs tr").filter(has_text=title)
    expect(shown).to_have_count(1)
    return shown.locator("td").all_inner_texts()


def test_the_page_shows_the_songs(page: Page) -> None:
    """Songs that are on the list stand on the page, with their lengths."""
    clair, gymnopedie = named("Clair de lune"), named("Gymnopédie No. 1")
    add_song(clair, "Claude Debussy", 301)
    add_song(gymnopedie, "Erik Satie", 185)
    page.goto(FRONTEND)
    assert row(page, clair) == [clair, "Claude Debussy", "5:01"]
    assert row(page, gymnopedie) == [gymnopedie, "Erik Satie", "3:05"]
    expect(page.locator("#state")).to_contain_text("songs,")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "page.png", full_page=True)


def test_a_song_is_added_on_the_page(page: Page) -> None:
    """Whoever fills in the form sees the song at once, and again when the page is loaded anew."""
    title = named("Träumerei")
    page.goto(FRONTEND)
    page.get_by_label("Title").fill(title)
    page.get_by_label("Artist").fill("Robert Schumann")
    page.get_by_label("Seconds").fill("162")
    page.get_by_role("button", name="Add").click()
    assert row(page, title) == [title, "Robert Schumann", "2:42"]
    expect(page.get_by_label("Title")).to_have_value("")
    page.reload()
    assert row(page, title) == [title, "Robert Schumann", "2:42"]


def test_a_title_is_text_and_nothing_else(page: Page) -> None:
    """Markup in a title is shown as it was written, and runs nothing."""
    title = named("<img src=x onerror=alert(1)>")
    add_song(title, "Mallory", 1)
    page.goto(FRONTEND)
    assert row(page, title)[0] == title
    expect(page.locator("#songs img")).to_have_count(0)


def test_the_page_says_which_build_it_talks_to(page: Page) -> None:
    """Version and commit of the backend stand at the foot of the page."""
    with DIRECT.open(f"{BACKEND}/version", timeout=10) as response:
        known = json.load(response)
    page.goto(FRONTEND)
    expect(page.locator("#version")).to_have_text(f"Version {known['version']}, {known['revision'][:12]}")
