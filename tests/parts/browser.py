"""An image with a browser: Debian's Chromium, with Python, pytest and Playwright, which downloads no browser.

debootstrap makes it once, for minutes, from where this machine's apt gets its packages. It is kept beside what
`.ci/parts` builds, under a name that says what it is made of.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from tests.parts.debian import debian_release, debootstrap
from tests.parts.find import require
from tests.parts.images import BuiltImage, read
from tests.parts.kept import keep
from tests.parts.process import Command, attempt, plain_environment, run

_PACKAGES = ("chromium", "python3", "ca-certificates", "libatomic1", "dbus-x11")
"""Playwright's own node needs libatomic; dbus-x11 since debootstrap chooses no alternative, and Chromium needs one."""
_PYTHON = ("playwright==1.65.2", "pytest==9.2.0")
_TAG = "sample"
_SECONDS = 3600.0


def runner_image() -> BuiltImage:
    """The image, in a layout that is for reading only; the first caller on a machine makes it."""
    require("buildah")
    return read(keep(f"browser-{_pin()}", _make))


def _pin() -> str:
    return hashlib.sha256("\n".join((debian_release(), *_PACKAGES, *_PYTHON)).encode()).hexdigest()[:16]


def _make(folder: Path) -> Path:
    root = debootstrap(folder, _PACKAGES)

    def step(*arguments: str | Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        environment = plain_environment(folder, **inherited)
        run(Command(arguments=arguments, environment=environment, directory=folder), seconds=_SECONDS)

    version = attempt(
        Command(
            arguments=["chroot", root, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            environment=plain_environment(folder),
            directory=folder,
        )
    )
    wheels = ("--python-version", version.stdout.decode().strip(), "--only-binary=:all:")
    target = root / "opt" / "site"
    step(sys.executable, "-m", "pip", "install", "--quiet", "--target", target, *wheels, *_PYTHON)
    storage = ("--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs")
    step("buildah", *storage, "from", "--name", "browser", "scratch")
    step("buildah", *storage, "copy", "--quiet", "browser", root, "/")
    step("buildah", *storage, "config", "--env", "PYTHONPATH=/opt/site", "browser")
    layout = folder / "layout"
    step("buildah", *storage, "commit", "--quiet", "--timestamp", "0", "browser", f"oci:{layout}:{_TAG}")
    return layout
