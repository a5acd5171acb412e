"""`attest run --keyless`: the identity is looked at before the command, and signs after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import Ended, clean_environment, spawn
from tests.cli.scene import Scene
from tests.e2e.test_keyless import Forge, workflow
from tests.parts.sigstore import PrivateSigstore
from tests.parts.sigstore_issuer import COMMIT

pytestmark = [pytest.mark.parts, pytest.mark.slow]


@pytest.fixture
def forge(tmp_path: Path, private_sigstore: PrivateSigstore) -> Forge:
    """A scene with an image in an OCI layout, and a token of the lane's job."""
    scene = Scene(folder=tmp_path)
    scene.make_image()
    made = Forge(scene, private_sigstore)
    made.write_policy(("unit",), rule=", time: trusted")
    token(made)
    return made


def token(forge: Forge, **claims: str) -> Path:
    """The token of the job `unit`, in a file of the scene."""
    path = forge.scene.folder / "unit.token"
    return forge.sigstore.token_file(path, workflow_ref=workflow("unit"), **claims)


def run(forge: Forge, script: str) -> Ended:
    """The lane `unit` runs a script."""
    scene = forge.scene
    assert scene.repository is not None
    return spawn(
        *("run", scene.image, "--repository", scene.repository, "--lane", "unit", "--keyless"),
        *("--trust-config", str(forge.sigstore.trust_config), "--identity-token", "unit.token"),
        *("--source-repository", f"{forge.sigstore.forge}/plex/playlist", "--source-commit", COMMIT),
        *("--source-ref", "refs/heads/main", "--run-id", "1564", "--", "/bin/sh", "-c", script),
        cwd=scene.folder,
        environment=clean_environment(scene.folder),
    )


def test_an_identity_signs_what_happened(forge: Forge) -> None:
    """PASSED is signed by the job's identity, with a trusted time; a failure is, too."""
    ended = run(forge, "true")
    assert ended.code == 0, ended.err
    assert forge.lanes()["unit"][0] == "present"
    assert run(forge, "exit 6").code == 6
    assert forge.lanes()["unit"][0] == "failed"


def test_a_token_of_another_job_runs_nothing(forge: Forge) -> None:
    """What would not be signed afterwards is refused before."""
    token(forge, run_id="7", sha=40 * "a")
    ended = run(forge, "touch ran")
    assert ended.code == 2
    assert not (forge.scene.folder / "ran").exists()


def test_the_token_is_read_again_after_the_command(forge: Forge) -> None:
    """A command may take longer than a token lasts: the one of afterwards signs, and has to be of this job, too."""
    good = (forge.scene.folder / "unit.token").read_bytes()
    (forge.scene.folder / "good.token").write_bytes(good)
    token(forge, run_id="7", sha=40 * "a").rename(forge.scene.folder / "other.token")
    (forge.scene.folder / "unit.token").write_bytes(good)
    ended = run(forge, "cp other.token unit.token")
    assert ended.code == 3
    assert "does not confirm the context" in ended.err
    inventory = forge.scene.attest("inspect", forge.scene.image, "--format", "json").document
    assert [place["bundles"] for place in inventory["places"]] == [[]], json.dumps(inventory)
