"""Folders of the user's that commands keep things in."""

from __future__ import annotations

import os
from pathlib import Path


def trust_cache() -> Path:
    """Where what TUF fetched is kept (XDG Base Directory Specification)."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "attest" / "tuf"
