"""Real containers of real images by podman and podman-compose, with health over HTTP: deploy, fail, go back, drift."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Ended
from tests.cli.scene import REPOSITORY, Scene, policy_text
from tests.e2e.looking import Looker
from tests.e2e.promotion import credentials
from tests.e2e.staging import ENVIRONMENT, LEDGER, make_ledger
from tests.parts.containers import Podman
from tests.parts.find import lacking
from tests.parts.images import build_from, push
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

CONTAINERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY www /www
USER 65534:65534
"""


BETWEEN = [
    ("gitea", "docker_registry"),
    ("docker_registry", "olareg"),
    ("gitea", "olareg"),
    ("layout", "docker_registry"),
    ("layout", "gitea"),
    ("layout", "olareg"),
]
"""Where images are built, and where they are promoted to and deployed from: each two of the four kinds of places.

Only the first is for every run. Nothing can be pulled from a layout, so that is always where images are built.
"""


@dataclass(slots=True, kw_only=True)
class Machine:
    """A machine with an engine, an environment of one service, and releases for it."""

    scene: Scene
    podman: Podman
    forge: Registry | None
    """Where images are built, in `source`; None for layouts, of which each image gets one of its own."""
    repository: str
    source: str
    port: int
    path: str
    digests: dict[str, str] = field(default_factory=dict)

    def release(self, name: str, *, healthy: bool = True) -> None:
        """Build a web server, push it to where it is built, have lanes sign it there, and promote it."""
        context = self.scene.folder / f"context-{name}"
        (context / "www").mkdir(parents=True)
        (context / "Containerfile").write_text(CONTAINERFILE)
        (context / "www" / "version").write_text(name)
        if healthy:
            (context / "www" / "health").write_text("well")
        image = build_from(self.scene.folder / f"build-{name}", context)
        self.digests[name] = image.digest
        if self.forge is not None:
            push(image, self.forge, self.source, tag=name)
        for lane in ("unit", "e2e"):
            self.scene.sign(lane, image=self.built(name))
        ended = self.promote(name)
        assert ended.code == 0, ended.err

    def built(self, name: str) -> str:
        """A release where it was built."""
        where = self.source if self.forge is not None else f"oci:build-{name}/layout"
        return f"{where}@{self.digests[name]}"

    def promote(self, name: str, *options: object) -> Ended:
        """Promote a release to where it is deployed from."""
        stands_for = ("--repository", REPOSITORY) if self.forge is None else ()
        what = ("promote", self.built(name), *stands_for, "--policy", "policy.yaml", "--to", self.repository)
        return self.scene.attest(*what, *options)

    def fail(self, name: str) -> None:
        """A lane fails for a release that was promoted, and signs it where the image was built.

        Nobody who deploys from a registry can ask a layout. So it is signed in the registry as well, as a lane does
        that is told of both.
        """
        failed = ("--result", "failed", "--run-id", "2")
        self.scene.sign("e2e", *failed, image=self.built(name))
        if self.forge is None:
            self.scene.sign("e2e", *failed, image=f"{self.repository}@{self.digests[name]}")

    def attest(self, verb: str, *arguments: object) -> Ended:
        """A command about the environment."""
        return self.scene.attest(verb, ENVIRONMENT, *arguments, PATH=self.path)

    def deploy(self, name: str, *options: object) -> Ended:
        """Deploy a release from where it was promoted to."""
        return self.attest("deploy", f"{self.repository}@{self.digests[name]}", *options)

    def containers(self) -> list[dict[str, Any]]:
        """What the engine says of the project's containers, asked without attest."""
        label = f"label=com.docker.compose.project={self.scene.folder.name}"
        names = self.podman.run("ps", "--all", "--filter", label, "--format", "{{.Names}}").decode().split()
        return [self.podman.inspect(name) for name in names]

    def runs(self, name: str) -> bool:
        """Whether the engine says that one container runs, of exactly this release."""
        (one,) = self.containers()
        return bool(one["State"]["Status"] == "running" and one["ImageDigest"] == self.digests[name])


@pytest.fixture
def machine(podman: Podman, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine on which nothing was deployed; its containers are gone at the end."""
    built, deployed = request.param
    forge: Registry | None = None if built == "layout" else request.getfixturevalue(built)
    staging: Registry = request.getfixturevalue(deployed)
    programs = Path(sys.executable).parent
    if not (programs / "podman-compose").exists():
        lacking("podman-compose is not here; it comes with the development dependencies")
    folder = tmp_path / re.sub("[^a-z0-9]", "", f"plex{tmp_path.name[-8:].lower()}")
    folder.mkdir()
    podman.trust(staging.host)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    repository = REPOSITORY if forge is None else None
    scene = Scene(folder=folder, repository=repository, environment=credentials(folder, forge, staging))
    made = Machine(
        scene=scene,
        podman=podman,
        forge=forge,
        repository=staging.fresh_repository(),
        source=REPOSITORY if forge is None else forge.fresh_repository(),
        port=port,
        path=f"{podman.programs}{os.pathsep}{programs}{os.pathsep}{os.environ['PATH']}",
    )
    scene.make_keys("unit", "e2e", "gate")
    scene.write_policy(policy_text(("unit", "e2e"), images=[made.repository, made.source]))
    server = ["/bin/busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/www"]
    (folder / "compose.yaml").write_text(
        "services:\n  web:\n"
        f"    image: {made.repository}:latest\n    network_mode: host\n    entrypoint: {server}\n".replace("'", '"')
    )
    (folder / ENVIRONMENT).write_text(
        "version: 1\nname: staging\npolicy: policy.yaml\n"
        f"evidence: [{'' if forge is None else made.source}]\n"
        f"ledger: {{url: '{LEDGER}'}}\n"
        "target: {compose: {file: compose.yaml, engine: podman}}\n"
        "services:\n"
        f"  web: {{repository: {made.repository}, soak: 1s,\n"
        f"        probe: {{http: 'http://127.0.0.1:{port}/health', successes: 2, timeout: 20s, interval: 1s}}}}\n"
        "rollback: {automatic: true}\n"
    )
    make_ledger(folder / "ledger.db")
    try:
        yield made
    finally:
        for one in made.containers():
            podman.remove(one["Name"])
        shutil.rmtree(folder, ignore_errors=True)


SHOWN = ["succeeded", "failed", "succeeded", "succeeded", "refused", "succeeded"]
"""One; the sick one, and back to one; two; one again, which failed since; and two repaired."""


@pytest.mark.parametrize("machine", [pytest.param(pair, id="-to-".join(pair)) for pair in BETWEEN], indirect=True)
def test_promote_deploy_fail_and_go_back(machine: Machine, looker: Looker, tmp_path: Path) -> None:
    """Containers run what was verified and promoted; one that fails its probe is rolled back, seen by its digest.

    In the end the history page, in a real browser, shows every delivery with what became of it.
    """
    machine.release("one")
    ended = machine.deploy("one")
    assert ended.code == 0, ended.err
    assert machine.runs("one")
    assert machine.attest("status").code == 0
    machine.release("sick", healthy=False)
    ended = machine.deploy("sick", "--format", "json")
    assert ended.code == 1, ended.err
    assert ended.document["delivery"]["state"] == "rolled-back"
    assert ended.document["rollback"]["state"] == "succeeded"
    assert "404" in ended.document["delivery"]["message"]
    assert machine.runs("one")
    machine.release("two")
    assert machine.deploy("two").code == 0
    assert machine.runs("two")
    # What failed after promotion is neither promoted again, nor deployed, nor gone back to.
    machine.fail("one")
    refused = machine.promote("one", "--format", "json")
    assert (refused.code, refused.document["refused_at"]) == (1, "source")
    assert machine.deploy("one").code == 1
    ended = machine.attest("rollback", "--format", "json")
    assert ended.code == 1, ended.err
    assert machine.runs("two")
    # What somebody else starts is drift, and is repaired once nothing stands against the release.
    assert machine.attest("release-hold", "--reason", "looked into").code == 0
    current = machine.attest("status", "--format", "json").document["current"]["deployment"]
    assert machine.attest("release-hold", "--release", current, "--reason", "looked into").code == 0
    (one,) = machine.containers()
    machine.podman.run("stop", "--time", "0", one["Name"])
    assert machine.attest("status").code == 1
    ended = machine.attest("reconcile")
    assert ended.code == 0, ended.err
    assert machine.runs("two")
    page = machine.attest("history", "--format", "html")
    assert page.code == 0, page.err
    seen = looker.look(tmp_path, page.raw)["light"]
    assert (seen["title"], seen["said"], seen["scripts"]) == ("staging: delivery history", [], 0)
    assert [mark.split()[-1] for mark in seen["marks"]] == SHOWN
    for name in machine.digests:
        assert machine.digests[name][7:19] in seen["text"]
    assert "404" in seen["text"]
