"""The images that the example is built from and tested in, made of this machine's Debian once and kept.

They are what `examples/playlist/ci/bases` builds. Where a team would begin with an image of Debian from a registry,
here debootstrap makes it.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Final

from tests.parts.debian import debian_release, debootstrap
from tests.parts.find import lacking, require
from tests.parts.images import BuiltImage, read
from tests.parts.kept import keep, pin
from tests.parts.process import Command, plain_environment, run
from tests.pipeline.images import PLAYLIST, builder

_CI: Final = PLAYLIST / "ci"
_MADE_OF: Final = (
    *("Containerfile", "Containerfile.base", "Containerfile.build", "Containerfile.e2e"),
    *("requirements.txt", "requirements-e2e.txt", "apt-inherit", "unpack", "bases"),
)
_PACKAGES: Final = ("ca-certificates",)
_DEBIAN: Final = "localhost/debian"
_SECONDS: Final = 1800.0
_INHERITED: Final = ("PIP_", "SSL_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""What settings of this machine a build hears of by the environment; the rest `ci/settings` finds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """Images in layouts that are for reading only."""

    build: BuiltImage
    """What services are built in."""
    base: BuiltImage
    """What they run on."""
    ci: BuiltImage
    """What source checks and black-box tests run in."""
    e2e: BuiltImage
    """What browser tests run in."""


def prepare(folder: Path) -> Bases:
    """The images; the first caller on a machine makes them, for minutes. `folder` gets links to them and stays."""
    if os.getuid() != 0:
        lacking("building the images of the example needs root")
    for program in ("buildah", "skopeo", "unshare"):
        require(program)
    made = keep(f"playlist-{_pin()}", _make)
    # Engines and skopeo take no path with a dot before a name, as that of a cache has.
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for field in dataclasses.fields(Bases):
        link = folder / field.name
        link.symlink_to(made / field.name)
        images[field.name] = dataclasses.replace(read(link), tag="latest")
    return Bases(**images)


def inherited() -> dict[str, str]:
    """The variables by which this machine says how to reach package indexes."""
    return {name: value for name, value in os.environ.items() if name.startswith(_INHERITED)}


def _pin() -> str:
    return pin(debian_release(), *_PACKAGES, *(_CI / name for name in _MADE_OF))


def _make(folder: Path) -> Path:
    root = debootstrap(folder, _PACKAGES)
    _forget_this_machine(root)
    programs = builder(folder / "buildah")
    environment = plain_environment(folder, **inherited()) | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def step(*arguments: str | Path, **more: str) -> None:
        run(Command(arguments=arguments, environment=environment | more, directory=folder), seconds=_SECONDS)

    buildah = programs / "buildah"
    step(buildah, "from", "--name", "debian", "scratch")
    step(buildah, "copy", "--quiet", "debian", root, "/")
    step(buildah, "config", "--cmd", "bash", "debian")
    step(buildah, "commit", "--quiet", "--timestamp", "0", "debian", _DEBIAN)
    made = folder / "made"
    # Built where no name has a dot before it, as the folder has in which this is done.
    step(_CI / "bases", made, DEBIAN_IMAGE=_DEBIAN)
    return made


def _forget_this_machine(root: Path) -> None:
    """Remove what debootstrap wrote down of it: mirror, resolver, name."""
    release = debian_release()
    sources = [f"deb http://deb.debian.org/debian {suite} main" for suite in (release, f"{release}-updates")]
    sources.append(f"deb http://deb.debian.org/debian-security {release}-security main")
    (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in sources))
    logs = [file for file in (root / "var/log").rglob("*") if file.is_file()]
    for file in (root / "etc/resolv.conf", root / "etc/hostname", *logs):
        file.unlink(missing_ok=True)
