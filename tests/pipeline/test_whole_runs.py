"""The workflow files, run whole by a runner on a push: with a key for each lane, and with none."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.images import SERVICES
from tests.pipeline.machine import Machine, RunResult, Signing, Workflow, machine
from tests.pipeline.signing import LANES, PASSWORD

pytestmark = [pytest.mark.parts, pytest.mark.slow, pytest.mark.xdist_group("pipeline")]

RUNS = [(Workflow.GITHUB, Signing.KEYS), (Workflow.FORGEJO, Signing.KEYLESS)]


def digests(images: dict[str, str]) -> dict[str, str]:
    """The digest of each image."""
    return {service: image.rpartition("@")[2] for service, image in images.items()}


def observed(made: Machine) -> dict[str, str]:
    """What the engine says that staging runs, asked without attest."""
    found = {}
    for service in SERVICES:
        label = f"label=com.docker.compose.service={service}"
        (name,) = made.podman.run("ps", "--filter", label, "--format", "{{.Names}}").decode().split()
        document = made.podman.inspect(name)
        found[service] = document["ImageDigest"] if document["State"]["Status"] == "running" else ""
    return found


def verdict(made: Machine, ran: RunResult) -> dict[str, Any]:
    """What staging's policy says of what was built."""
    images = [ran.outputs[service] for service in SERVICES]
    ended = made.attest("verify", *images, "--policy", "policies/staging.yaml", "--format", "json")
    assert ended.code == 0, ended.out + ended.err
    return ended.document


def passwords(made: Machine) -> list[str]:
    """What must not be in the log of a run."""
    registries = (made.forge.registry, made.staging_registry)
    return [PASSWORD, *(registry.password for registry in registries if registry.password)]


def commands_about(folder: Path) -> list[str]:
    """The command lines of this machine that name something below a folder."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(str(folder) in word for word in words):
                found.append(" ".join(words))
    return found


@pytest.mark.parametrize(("workflow", "signing"), RUNS, ids=["github-keys", "forgejo-keyless"])
def test_a_push_ends_in_staging(workflow: Workflow, signing: Signing, tmp_path: Path) -> None:
    """Every job succeeds, every lane signed for itself, and staging runs exactly what was built; nothing is left."""
    said: list[str] = []
    with machine(tmp_path / "machine", signing=signing, say=said.append) as made:
        ran = made.run(workflow=workflow)
        assert ran.code == 0, ran.log[-8000:]
        assert ran.jobs == dict.fromkeys((*LANES, "promote", "deploy"), "success")
        for image in verdict(made, ran)["images"]:
            assert {lane["lane"]: lane["reason"] for lane in image["lanes"]} == dict.fromkeys(LANES, "present")
        assert observed(made) == digests(dict(ran.outputs))
        assert (ran.artifacts / "e2e" / "page.png").read_bytes().startswith(b"\x89PNG")
        assert not [secret for secret in passwords(made) if secret in ran.log]
    assert commands_about(tmp_path / "machine") == []
    assert not any(line.endswith("processes that were left") for line in said)
