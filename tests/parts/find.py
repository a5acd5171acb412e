"""Where a real part is on this machine: among the pinned builds of `.ci/parts`, else on PATH."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

PROJECT = Path(__file__).resolve().parents[2]

_BUILT_BY_MODULE = {
    "peers": ("cosign", "crane", "oras", "olareg"),
    "gitea": ("gitea",),
    "kubernetes": ("etcd", "kube-apiserver", "kubectl"),
    "lint": ("actionlint",),
    "act": ("act",),
    "sigstore": ("fulcio", "rekor-server", "timestamp-server"),
    "syft": ("syft",),
    "playwright": ("playwright",),
}
"""The programs that `.ci/parts` builds or gets, by the folder under `tools/` that pins them."""


def cache_root() -> Path:
    """The folder that `.ci/parts` builds into: ATTEST_PARTS, else the user's cache folder."""
    named = os.environ.get("ATTEST_PARTS")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "attest-parts"


@functools.cache
def _pins(module: str) -> str:
    """The folder name of a module's builds: the first 16 hex digits over what pins it and its own sources."""
    folder = PROJECT / "tools" / module
    pins = ("package.json", "package-lock.json") if module == "playwright" else ("go.mod", "go.sum")
    files = [*(folder / name for name in pins), *sorted(folder.glob("*/*.go"))]
    pinned = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(pinned).hexdigest()[:16]


def find(name: str) -> Path | None:
    """The path of the program `name`, or None where it is not installed.

    A pinned build wins over PATH: the tests say what one version of each peer does.
    """
    for module, programs in _BUILT_BY_MODULE.items():
        if name in programs:
            built = cache_root() / _pins(module) / "bin" / name
            if os.access(built, os.X_OK):
                return built
    on_path = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    return Path(on_path) if on_path else None


def require(name: str) -> Path:
    """The path of the program `name`; without it, skip the test, or fail it where CI is set."""
    found = find(name)
    if found is None:
        lacking(f"{name} is not here; run .ci/parts --install")
    return found


def lacking(reason: str) -> NoReturn:
    """Skip the test for what this machine lacks, or fail it where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
