"""A Debian made by debootstrap, once for a machine: what images of the tests are built from.

It is of the release of this machine, from where this machine's apt gets its packages, and kept beside what `.ci/parts`
builds, under a name that says what it is made of.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.parts.find import lacking, require
from tests.parts.kept import keep, pin
from tests.parts.process import Command, plain_environment, run

_PACKAGES = ("ca-certificates", "mini-httpd", "python3", "python3-pip", "python3-six", "tzdata")
_SECONDS = 3600.0


def debian_root() -> Path:
    """The folder of a small Debian with Python, pip and a web server, for reading only and for chroot."""
    return keep(f"debian-{root_pin()}", _make)


def root_pin() -> str:
    """What names it: 16 hex digits over the release and the packages."""
    return pin(debian_release(), *_PACKAGES)


def debian_release() -> str:
    """The code name of this machine's Debian, whose packages its apt knows."""
    lines = Path("/etc/os-release").read_text().splitlines()
    found = [line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")]
    if not found or shutil.which("apt-get") is None:
        lacking("images are made of Debian's packages, on Debian alone")
    return found[0]


def debian_mirror(folder: Path) -> str:
    """Where apt gets the packages of the release from; `folder` is for what apt may write."""
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
        if (release, component) == (debian_release(), "main"):
            return uri
    pytest.fail("apt does not say where packages come from; run apt-get update", pytrace=False)


def debootstrap(folder: Path, packages: tuple[str, ...]) -> Path:
    """A new system with these packages, under `folder`; minutes."""
    for program in ("debootstrap", "chroot"):
        require(program)
    if os.getuid() != 0:
        lacking("debootstrap needs root")
    root = folder / "root"
    command = Command(
        arguments=[
            *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
            *(debian_release(), root, debian_mirror(folder)),
        ],
        environment=plain_environment(folder, DEBIAN_FRONTEND="noninteractive"),
        directory=folder,
    )
    run(command, seconds=_SECONDS)
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "debootstrap"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    return root


def _make(folder: Path) -> Path:
    return debootstrap(folder, _PACKAGES)
