"""An image with a browser: Debian's Chromium, with Python, pytest and Playwright, which downloads no browser.

debootstrap makes it once, for minutes, from where this machine's apt gets its packages. It is kept beside what
`.ci/parts` builds, under a name that says what it is made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.parts.find import cache_root, lacking, require
from tests.parts.images import BuiltImage, read
from tests.parts.process import Command, attempt, plain_environment, run

_PACKAGES = ("chromium", "python3", "ca-certificates", "libatomic1", "dbus-x11")
"""Playwright's own node needs libatomic; dbus-x11 since debootstrap chooses no alternative, and Chromium needs one."""
_PYTHON = ("playwright==1.65.2", "pytest==9.2.0")
_TAG = "sample"
_SECONDS = 3600.0


def runner_image() -> BuiltImage:
    """The image, in a layout that is for reading only; the first caller on a machine makes it."""
    for program in ("debootstrap", "buildah", "chroot"):
        require(program)
    if os.getuid() != 0:
        lacking("making the image with the browser needs root")
    made = cache_root() / f"browser-{_pin()}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{made}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(prefix=".building-browser.", dir=made.parent) as building:
                _make(Path(building))
                (Path(building) / "layout").rename(made)
    return read(made)


def _pin() -> str:
    return hashlib.sha256("\n".join((_release(), *_PACKAGES, *_PYTHON)).encode()).hexdigest()[:16]


def _release() -> str:
    """The Debian release of this machine, whose packages its apt knows."""
    lines = Path("/etc/os-release").read_text().splitlines()
    found = [line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")]
    if not found or shutil.which("apt-get") is None:
        lacking("the image with the browser is made on Debian alone")
    return found[0]


def _mirror(folder: Path) -> str:
    """Where apt gets the packages of the release from."""
    command = Command(
        arguments=[
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(CODENAME) $(COMPONENT)",
            "Created-By: Packages",
        ],
        environment=plain_environment(folder),
        directory=folder,
    )
    for line in run(command).decode().splitlines():
        uri, release, component = line.split()
        if (release, component) == (_release(), "main"):
            return uri
    pytest.fail("apt does not say where packages come from; run apt-get update", pytrace=False)


def _make(folder: Path) -> None:
    root = folder / "root"

    def step(*arguments: str | Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        environment = plain_environment(folder, DEBIAN_FRONTEND="noninteractive", **inherited)
        run(Command(arguments=arguments, environment=environment, directory=folder), seconds=_SECONDS)

    step("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _release(), root, _mirror(folder))
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
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "debootstrap"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    storage = ("--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs")
    step("buildah", *storage, "from", "--name", "browser", "scratch")
    step("buildah", *storage, "copy", "--quiet", "browser", root, "/")
    step("buildah", *storage, "config", "--env", "PYTHONPATH=/opt/site", "browser")
    layout = folder / "layout"
    step("buildah", *storage, "commit", "--quiet", "--timestamp", "0", "browser", f"oci:{layout}:{_TAG}")
