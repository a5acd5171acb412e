"""The e2e lane of the sample service: a browser in a container of its own, against what runs at SERVICE_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

URL = os.environ["SERVICE_URL"]
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-zygote", "--disable-background-networking"]


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=OPTIONS)
        yield browser.new_page()
        browser.close()


def test_the_button_says_how_long(page: Page) -> None:
    """A person sees the titles, presses the button and is told."""
    page.goto(URL)
    assert page.title() == "Playlist"
    assert page.locator("li").all_inner_texts() == ["Intro", "Waltz & Coda"]
    page.get_by_role("button").click()
    page.wait_for_function("document.querySelector('output').textContent === '241 s'")
