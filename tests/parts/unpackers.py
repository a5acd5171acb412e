"""Real unpackers of images: umoci, which writes all layers into one folder, and podman, which mounts them."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.parts.find import require
from tests.parts.process import Command, PartError, attempt, plain_environment, run


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One path of an unpacked image."""

    kind: str
    """`file`, `directory`, `symlink`, or something else."""
    content: bytes = b""
    """Of a file its bytes, of a link its target."""
    mode: int = 0
    """The permission bits of a file."""


def umoci(layout: Path, tag: str, target: Path) -> Mapping[str, Unpacked]:
    """The image as umoci unpacks it into the folder `target`; PartError where umoci refuses it."""
    command: list[str | Path] = [require("umoci"), "raw", "unpack", "--image", f"{layout}:{tag}", target]
    run(Command(arguments=command, environment=plain_environment(layout.parent), directory=layout.parent))
    return tree(target)


@contextlib.contextmanager
def podman_mount(layout: Path, tag: str, *, driver: str) -> Iterator[Path]:
    """The image as podman mounts it with a storage driver, `overlay` or `vfs`; PartError where podman refuses it."""
    podman = require("podman")
    # podman takes no run folder of more than 50 characters
    with (
        tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as folder,
        _mounted(podman, layout, tag, Path(folder), driver) as mounted,
    ):
        yield mounted


@contextlib.contextmanager
def _mounted(podman: Path, layout: Path, tag: str, storage: Path, driver: str) -> Iterator[Path]:
    places: list[str | Path] = ["--root", storage / "root", "--runroot", storage / "run"]
    places += ["--tmpdir", storage / "tmp", "--storage-driver", driver]
    environment = plain_environment(storage)

    def call(*verb: str) -> list[str]:
        command = Command(arguments=[podman, *places, *verb], environment=environment, directory=storage)
        return run(command).decode().split()

    try:
        image = call("pull", "--quiet", f"oci:{layout}:{tag}")[-1]
        mounted = Path(call("image", "mount", image)[-1])
        try:
            yield mounted
        finally:
            call("image", "umount", image)
    finally:
        with contextlib.suppress(PartError):
            command = [podman, *places, "rmi", "--all", "--force"]
            attempt(Command(arguments=command, environment=environment, directory=storage))
        if (storage / "root" / driver).is_mount():  # podman keeps its folder mounted on itself
            subprocess.run(["umount", storage / "root" / driver], check=False, capture_output=True)


def tree(root: Path) -> dict[str, Unpacked]:
    """Everything below a folder, by its path from there."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            status = path.lstat()
            where = str(path.relative_to(root))
            if stat.S_ISDIR(status.st_mode):
                found[where] = Unpacked("directory")
            elif stat.S_ISLNK(status.st_mode):
                found[where] = Unpacked("symlink", os.fsencode(path.readlink()))
            elif stat.S_ISREG(status.st_mode):
                found[where] = Unpacked("file", path.read_bytes(), stat.S_IMODE(status.st_mode))
            else:
                found[where] = Unpacked("other")
    return found
