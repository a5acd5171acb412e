"""The integration lane of the sample service: black-box tests over HTTP against what runs at SERVICE_URL."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

import pytest

URL = os.environ["SERVICE_URL"]


def test_the_playlist_is_served() -> None:
    """The playlist is JSON, with its length."""
    with urllib.request.urlopen(f"{URL}/playlist.json", timeout=30) as answer:
        assert json.load(answer)["seconds"] == 241


def test_the_page_is_served() -> None:
    """The root is the page."""
    with urllib.request.urlopen(f"{URL}/", timeout=30) as answer:
        assert b"<h1>Playlist</h1>" in answer.read()


def test_nothing_else_is_served() -> None:
    """Unknown paths are 404."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{URL}/etc/passwd", timeout=30)
    refused.value.close()
    assert refused.value.code == 404
