"""Podman with a storage of its own, also where the host has no unified cgroups, and the containers that tests start.

It needs root. Podman runs in a mount namespace of its own, in which cgroup v2 is mounted anew; the engine that a test
puts on PATH is a script that enters it. Containers use the host's network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import stat
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.parts.find import lacking, require
from tests.parts.images import BuiltImage, PushedImage
from tests.parts.process import Command, plain_environment, run

_CONTAINERS = """\
[containers]
cgroups = "disabled"
netns = "host"
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
"""
_ENTER = """\
umount --lazy /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && echo ready && exec sleep infinity
"""
_SCRIPT = """\
#!/bin/sh
exec nsenter --mount={namespace} --wd="$PWD" -- env CONTAINERS_CONF={folder}/containers.conf \\
    CONTAINERS_REGISTRIES_CONF={folder}/registries.conf \\
    {podman} --root {folder}/root --runroot {short}/run --tmpdir {short}/tmp --storage-driver overlay "$@"
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """An engine. Containers that a test starts are gone at its end, images at the end of the session."""

    folder: Path

    @property
    def programs(self) -> Path:
        """The folder with the script `podman`, to stand first on PATH."""
        return self.folder / "bin"

    @property
    def path(self) -> str:
        """A PATH with it."""
        return f"{self.programs}:{os.environ.get('PATH', os.defpath)}"

    def run(self, *arguments: str) -> bytes:
        """Run the engine; PartError where it fails."""
        command = Command(
            arguments=[self.programs / "podman", *arguments],
            environment=plain_environment(self.folder),
            directory=self.folder,
        )
        return run(command)

    def trust(self, host: str) -> None:
        """Let images be pulled from this registry over plain http."""
        with (self.folder / "registries.conf").open("a") as file:
            file.write(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')

    def pull(self, image: PushedImage) -> None:
        """Have an image of a registry."""
        self.trust(image.repository.partition("/")[0])
        self.run("pull", "--quiet", image.reference)

    def load(self, image: BuiltImage, name: str) -> None:
        """Have an image of a layout, under a name."""
        self.run("pull", "--quiet", f"oci:{image.layout}:{image.tag}")
        digest = json.loads(image.manifest)["config"]["digest"].removeprefix("sha256:")
        self.run("tag", digest, name)

    def inspect(self, name: str) -> dict[str, Any]:
        """What it says about a container."""
        (document,) = json.loads(self.run("container", "inspect", name))
        assert isinstance(document, dict)
        return document

    @contextlib.contextmanager
    def container(
        self, image: str, *command: str, options: Sequence[str] = (), name: str | None = None
    ) -> Iterator[str]:
        """A container that runs while the block does; its name. Without a command it sleeps."""
        made = name or f"sample-{uuid.uuid4().hex[:12]}"
        what = command or ("/bin/sleep", "100000")
        self.run(
            *("run", "--detach", "--pull", "never", "--name", made, *options),
            *("--entrypoint", json.dumps([what[0]]), image, *what[1:]),
        )
        try:
            yield made
        finally:
            self.remove(made)

    def remove(self, name: str) -> None:
        """End a container, however it is, and forget it."""
        self.run("rm", "--force", "--ignore", "--time", "0", name)


@contextlib.contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """An engine with nothing in it. Without root, skip the test, or fail it where CI is set."""
    program = require("podman")
    for other in ("crun", "nsenter", "unshare"):
        require(other)
    if os.getuid() != 0:
        lacking("the containers of the tests need root")
    (folder / "containers.conf").write_text(_CONTAINERS)
    (folder / "registries.conf").touch()
    # Podman wants short names for where it runs; the folders of tests are long.
    with _namespace() as process, tempfile.TemporaryDirectory(prefix="pod-", ignore_cleanup_errors=True) as short:
        made = Podman(folder=folder)
        made.programs.mkdir()
        script = made.programs / "podman"
        script.write_text(
            _SCRIPT.format(namespace=f"/proc/{process}/ns/mnt", folder=folder, short=short, podman=program)
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        try:
            yield made
        finally:
            made.run("rm", "--force", "--all", "--time", "0")
            made.run("rmi", "--force", "--all")


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    """A process in a mount namespace with cgroup v2 where engines look for it."""
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    process = subprocess.Popen(
        [*guard, "unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _ENTER],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                pytest.fail("no mount namespace with cgroup v2 can be made here", pytrace=False)
            yield process.pid
        finally:
            process.kill()
