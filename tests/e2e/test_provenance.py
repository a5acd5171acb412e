"""Provenance of real builds: buildah builds on a base of its own, and a policy demands target and base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.scene import CONTEXT, PROVENANCE, Scene, policy_text
from tests.e2e.gate import registry_options
from tests.parts.find import require
from tests.parts.process import Command, plain_environment, run
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

BUILDER = "https://ci.example.org/builder"
BASE = """\
FROM scratch
COPY busybox /bin/busybox
"""
APPLICATION = """\
ARG BASE
FROM $BASE AS runtime
ARG VERSION=1
COPY application /application
LABEL org.opencontainers.image.version=$VERSION
FROM runtime AS debug
COPY application /debugger
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A folder in which buildah builds, with a storage of its own, and a registry that it pushes to."""

    folder: Path
    registry: Registry

    def buildah(self, *arguments: str) -> bytes:
        """Run buildah; what it prints."""
        storage = (
            "--root",
            str(self.folder / "root"),
            "--runroot",
            str(self.folder / "run"),
            "--storage-driver",
            "vfs",
        )
        environment = plain_environment(
            self.folder,
            TMPDIR=str(self.folder),
            BUILDAH_ISOLATION="chroot",
            REGISTRY_AUTH_FILE=str(self.registry.docker_config_dir / "config.json"),
        )
        command: list[str | Path] = [require("buildah"), *storage, *arguments]
        return run(Command(arguments=command, environment=environment, directory=self.folder))

    def inspect(self, image: str) -> str:
        """Write what buildah says of an image into a file; its name."""
        name = f"{image}.json"
        (self.folder / name).write_bytes(self.buildah("inspect", "--type", "image", image))
        return name

    def push(self, image: str) -> str:
        """Push an image of the storage; its reference by digest."""
        repository = self.registry.fresh_repository()
        digest = self.folder / f"{image}.digest"
        options = ("--quiet", "--tls-verify=false", "--digestfile", str(digest))
        self.buildah("push", *options, image, f"docker://{repository}:1")
        return f"{repository}@{digest.read_text().strip()}"

    def build(self, image: str, recipe: str, *options: str) -> str:
        """Build an image and push it; its reference by digest."""
        (self.folder / "Containerfile").write_text(recipe)
        self.buildah("build", "--quiet", "--format", "oci", "--isolation", "chroot", *options, "--tag", image, ".")
        return self.push(image)


@pytest.fixture
def workshop(tmp_path: Path, docker_registry: Registry) -> Iterator[Workshop]:
    """A folder with what the builds copy."""
    shutil.copy(require("busybox"), tmp_path / "busybox")
    (tmp_path / "application").write_text("an application\n")
    yield Workshop(folder=tmp_path, registry=docker_registry)
    shutil.rmtree(tmp_path / "root", ignore_errors=True)
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


def demanding(base: str) -> str:
    """A policy whose build lane wants the runtime target on this base."""
    digest = base.rpartition(":")[2]
    target = "predicate.buildDefinition.externalParameters.request.args.target == 'runtime'"
    on_base = (
        f"predicate.buildDefinition.resolvedDependencies.exists(d, d.name == 'base' && d.digest.sha256 == '{digest}')"
    )
    rule = f"{{predicate-type: {PROVENANCE}, signer: build, where: {json.dumps([target, on_base])}}}"
    return policy_text({"build": rule}, images=[f"{base.partition('/')[0]}/*"])


def sign_build(scene: Scene, workshop: Workshop, image: str, base: str, target: str, name: str) -> None:
    """The build lane makes and signs the provenance of an image."""
    made = scene.attest(
        *("provenance", image, "--metadata", workshop.inspect(name), "--containerfile", "Containerfile"),
        *("--target", target, "--base", base, "--build-arg", "VERSION=2", "--builder-id", BUILDER),
        *("--output", f"{name}-provenance.json", *CONTEXT, *scene.options),
    )
    assert made.code == 0, made.err
    scene.sign("build", "--predicate-type", PROVENANCE, "--predicate", f"{name}-provenance.json", image=image)


def test_a_policy_demands_target_and_base(workshop: Workshop) -> None:
    """The runtime target on the wanted base passes; another target, or another base, is refused as unmet."""
    base = workshop.build("base", BASE)
    runtime = workshop.build("runtime", APPLICATION, "--build-arg", "BASE=localhost/base", "--target", "runtime")
    other = workshop.build("other", BASE + "COPY application /other\n")
    scene = Scene(
        folder=workshop.folder,
        repository=None,
        image=runtime,
        options=registry_options(workshop.registry),
        environment={"DOCKER_CONFIG": str(workshop.registry.docker_config_dir)},
    )
    scene.make_keys("build")
    scene.write_policy(demanding(base))
    assert scene.verify().code == 1

    debug = workshop.build("debug", APPLICATION, "--build-arg", "BASE=localhost/base", "--target", "debug")
    sign_build(scene, workshop, debug, base, "debug", "debug")
    assert lane_of(scene, debug) == ("unmet", "condition-unmet")

    elsewhere = workshop.build("elsewhere", APPLICATION, "--build-arg", "BASE=localhost/other", "--target", "runtime")
    sign_build(scene, workshop, elsewhere, other, "runtime", "elsewhere")
    assert lane_of(scene, elsewhere) == ("unmet", "condition-unmet")

    sign_build(scene, workshop, runtime, base, "runtime", "runtime")
    assert scene.verify(image=runtime).code == 0

    # The label of a base proves nothing: the layers of an image that it was not built on are not its first ones.
    refused = scene.attest(*("provenance", runtime, "--base", other, "--builder-id", BUILDER, *CONTEXT, *scene.options))
    assert refused.code == 2
    assert f"{runtime} is not built on {other}" in refused.err
    # Nor does the description of one build fit another.
    swapped = scene.attest(
        *("provenance", runtime, "--metadata", "debug.json", "--builder-id", BUILDER, *CONTEXT, *scene.options)
    )
    assert swapped.code == 2
    assert "debug.json is about another image" in swapped.err


def lane_of(scene: Scene, image: str) -> tuple[str, str]:
    """State and reason of the build lane of an image that is refused."""
    ended = scene.verify("--format", "json", image=image)
    assert ended.code == 1, ended.err
    (lane,) = ended.document["images"][0]["lanes"]
    return lane["state"], lane["reason"]
