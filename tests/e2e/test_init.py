"""What `attest init` writes does its work: the scripts of its workflow sign real images, and its gate decides.

The jobs are run as a runner would run them, step by step with bash, but for logging in, and for the containers that a
runner with Docker would start.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from attest.ops.init import LANES
from tests.cli.running import attest, clean_environment
from tests.parts.find import require
from tests.parts.images import BuiltImage, PushedImage, push
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

ORIGIN = "https://git.example.org/plex/playlist"
WORKFLOW = ".forgejo/workflows/release.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository with a gate of its own, one service, and the image that its build pushed."""

    folder: Path
    image: PushedImage
    environment: dict[str, str]

    @property
    def jobs(self) -> Any:
        """The jobs of the workflow."""
        return YAML(typ="safe").load((self.folder / WORKFLOW).read_text())["jobs"]

    def git(self, *arguments: str) -> str:
        """Run git."""
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def script(self, name: str, body: str) -> None:
        """Say what a lane runs."""
        (self.folder / name).write_text(f"#!/bin/sh\n{body}\n")

    def commit(self) -> str:
        """Commit everything; the commit."""
        self.git("add", "--all", ":!out", ":!release.yaml")
        self.git("commit", "-q", "-m", "a change")
        return self.git("rev-parse", "HEAD")

    def step(self, job: str, position: int, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one step of a job, as a runner does: bash that ends at the first error."""
        step = self.jobs[job]["steps"][position]
        text = re.sub(r'--container "[^"]*" \\\n *', "", step["run"])
        env = {**self.environment, **environment}
        if "LANE_KEY" in step.get("env", {}):
            secret = re.fullmatch(r"\$\{\{ secrets\.ATTEST_([A-Z0-9_]+)_KEY \}\}", step["env"]["LANE_KEY"])
            assert secret is not None
            env["LANE_KEY"] = (self.folder / "keys" / f"{secret[1].lower().replace('_', '-')}.key").read_text()
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
        return subprocess.run(command, cwd=self.folder, env=env, check=False, capture_output=True, text=True)

    def lane(self, job: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the last step of a lane: the one that signs."""
        return self.step(job, -1, **environment)


@pytest.fixture
def repository(tmp_path: Path, docker_registry: Registry, sample_image: BuiltImage) -> Repository:
    """A repository in which somebody ran `attest init`, committed, and built."""
    folder = tmp_path / "playlist"
    folder.mkdir()
    place = docker_registry.fresh_repository()
    for command in ("init -q -b main", f"remote add origin {ORIGIN}.git"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    written = attest("init", "--no-password", "--registry", place, "--service", "greeter", cwd=folder)
    assert written.code == 0, written.err
    (folder / "Containerfile").write_text("FROM scratch AS runtime\n")
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "attest").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m attest "$@"\n')
    (home / "bin" / "attest").chmod(0o755)
    insecure = home / ".config" / "containers" / "registries.conf"
    insecure.parent.mkdir(parents=True)
    insecure.write_text(f'[[registry]]\nlocation = "{place.partition("/")[0]}"\ninsecure = true\n')
    environment = clean_environment(
        home,
        PATH=f"{home / 'bin'}:{require('skopeo').parent}:{os.environ['PATH']}",
        RUNNER_TEMP=str(home),
        DOCKER_CONFIG=str(docker_registry.docker_config_dir),
        REGISTRY=place,
        PYTHONDONTWRITEBYTECODE="1",
    )
    return Repository(
        folder=folder, image=push(sample_image, docker_registry, f"{place}/greeter"), environment=environment
    )


def build(repository: Repository, commit: str) -> str:
    """What the build job does behind `docker buildx build`; the release file that it hands on."""
    out = repository.folder / "out"
    out.mkdir(exist_ok=True)
    (out / "greeter.build.json").write_text(json.dumps({"containerimage.digest": repository.image.digest}, indent=2))
    outputs = repository.folder.parent / "outputs"  # a runner has a new file for each step
    outputs.unlink(missing_ok=True)
    (repository.folder / "release.yaml").unlink(missing_ok=True)  # and a new checkout for each run
    image = {"IMAGE_1": repository.image.reference, "GITHUB_SHA": commit, "GITHUB_OUTPUT": str(outputs)}
    named = repository.step("build", -2, **image)
    assert named.returncode == 0, named.stderr
    signed = repository.step("build", -1, BUILDER=f"{ORIGIN}/{WORKFLOW}", **image)
    assert signed.returncode == 0, signed.stderr
    text = outputs.read_text()
    assert text.startswith("file<<END_OF_RELEASE\n")
    return text.removeprefix("file<<END_OF_RELEASE\n").removesuffix("END_OF_RELEASE\n")


def test_the_digest_is_read_from_what_buildx_writes(repository: Repository) -> None:
    """The build step finds the digest of the image in a metadata file as buildx indents it."""
    step = next(one for one in repository.jobs["build"]["steps"] if one.get("id") == "build-1")
    line = next(line for line in step["run"].splitlines() if line.startswith("digest="))
    (repository.folder / "out").mkdir()
    document = {"buildx.build.ref": "a/b/c", "containerimage.config.digest": "sha256:" + "1" * 64}
    document["containerimage.digest"] = repository.image.digest
    (repository.folder / "out" / "greeter.build.json").write_text(json.dumps(document, indent=2))
    command = ["bash", "-ec", f'{line}\nprintf %s "$digest"']
    done = subprocess.run(command, cwd=repository.folder, check=True, capture_output=True, text=True)
    assert done.stdout == repository.image.digest


def test_the_gate_that_was_written_decides(repository: Repository) -> None:
    """As written it refuses, since nothing is tested; with tests that pass the same workflow passes."""
    release = build(repository, repository.commit())
    (repository.folder / "release.yaml").write_text(release)
    assert repository.lane("contract").returncode == 0
    for lane in ("fast-check", "integration", "e2e"):
        assert repository.lane(lane).returncode == 1, lane
    assert repository.lane("gate", RELEASE=release).returncode == 1

    for lane in ("fast-check", "integration", "e2e"):
        repository.script(f"ci/{lane}", "exit 0")
    release = build(repository, repository.commit())
    (repository.folder / "release.yaml").write_text(release)
    for lane in LANES[1:]:
        assert repository.lane("gate", RELEASE=release).returncode == 1, lane
        done = repository.lane(lane)
        assert done.returncode == 0, done.stderr
    decided = repository.lane("gate", RELEASE=release)
    assert decided.returncode == 0, decided.stdout + decided.stderr


def test_no_key_is_left_behind(repository: Repository) -> None:
    """A lane's private key is gone from the runner once its step has ended."""
    release = build(repository, repository.commit())
    (repository.folder / "release.yaml").write_text(release)
    repository.lane("contract")
    assert list(Path(repository.environment["RUNNER_TEMP"]).glob("*.key")) == []


def test_the_contract_names_what_is_wrong(repository: Repository) -> None:
    """ci/contract looks at the image in the registry: one that runs as root fails, and is named."""
    release = build(repository, repository.commit())
    (repository.folder / "release.yaml").write_text(release)

    def contract() -> subprocess.CompletedProcess[str]:
        command = ["./ci/contract", "release.yaml"]
        return subprocess.run(
            command, cwd=repository.folder, env=repository.environment, check=False, capture_output=True, text=True
        )

    right = contract()
    assert (right.returncode, right.stdout) == (0, "1 images, 0 problems\n"), right.stderr
    fake = Path(repository.environment["HOME"]) / "bin" / "skopeo"
    fake.write_text('#!/bin/sh\necho \'{"config": {"User": "0:0"}}\'\n')
    fake.chmod(0o755)
    wrong = contract()
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == [
        "greeter: it runs as root; give the recipe a USER",
        "greeter: it does not say what to run; give the recipe an ENTRYPOINT",
    ]
