"""The workflow files say the same to three forges, keep keys apart, and pass the checks of who made the formats."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from ruamel.yaml import YAML

import attest
from tests.parts.find import PROJECT, require
from tests.pipeline.images import PLAYLIST
from tests.pipeline.runner import Workflow
from tests.pipeline.signing import LANES

JOBS: Final = (*LANES, "promote", "deploy")
CHECKING: Final = tuple(lane for lane in LANES if lane != "build")
SECRET: Final = re.compile(r"secrets\.([A-Z0-9_]+)")
KEYS: Final = {**{lane: f"ATTEST_{lane.upper()}_KEY" for lane in LANES}, "promote": "ATTEST_GATE_KEY"}
SCHEMA: Final = PROJECT / "tests" / "data" / "gitlab" / "ci.json"
GITLAB: Final = PLAYLIST / ".gitlab-ci.yml"
OF_GITLAB: Final = ("stages", "workflow", ".lane")

both = pytest.mark.parametrize("workflow", list(Workflow), ids=lambda one: one.name.lower())


def load(file: Path) -> dict[str, Any]:
    """A YAML file."""
    loaded = YAML(typ="safe", pure=True).load(file)
    assert isinstance(loaded, dict)
    return loaded


def jobs_of(workflow: Workflow) -> Mapping[str, Mapping[str, Any]]:
    """The jobs of a workflow file."""
    jobs: Mapping[str, Mapping[str, Any]] = load(PLAYLIST / workflow.value)["jobs"]
    return jobs


def scripts_of(job: Mapping[str, Any]) -> list[str]:
    """What a job runs, line by line."""
    return [step["run"] for step in job["steps"] if "run" in step]


# ---- the checks of their makers


def lint(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """What actionlint says, with the configuration that comes with the example."""
    return subprocess.run(
        [require("actionlint"), "-no-color", "-config-file", ".github/actionlint.yaml", *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parts
@both
def test_actionlint_finds_nothing(workflow: Workflow, tmp_path: Path) -> None:
    """actionlint has nothing to say of a workflow file as it is, and does of one with a mistake."""
    shutil.copytree(PLAYLIST, tmp_path / "playlist")
    done = lint(tmp_path / "playlist", workflow.value)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    file = tmp_path / "playlist" / workflow.value
    file.write_text(file.read_text().replace("steps.build.outputs.backend", "steps.nowhere.outputs.backend"))
    assert lint(tmp_path / "playlist", workflow.value).returncode == 1


def gitlab_faults(document: object) -> list[str]:
    """What GitLab's own schema says is wrong."""
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    return [error.message for error in validator.iter_errors(document)]


def test_gitlab_takes_its_file() -> None:
    """The file for GitLab fits GitLab's published schema, and with a mistake it does not."""
    document = load(GITLAB)
    assert gitlab_faults(document) == []
    document["promote"]["when"] = "perhaps"
    assert gitlab_faults(document) != []


# ---- the same for all forges


def comparable(workflow: Workflow) -> dict[str, Any]:
    """The jobs without what forges name differently: runners, and the action that uploads."""
    jobs = json.loads(json.dumps(jobs_of(workflow)))
    for job in jobs.values():
        job.pop("runs-on")
        for step in job["steps"]:
            step["uses"] = re.sub(r"^(actions|forgejo)/upload-artifact@.*", "upload", step.get("uses", ""))
    assert isinstance(jobs, dict)
    return jobs


def test_forgejo_and_github_run_the_same() -> None:
    """Both workflow files have the same jobs, in the same order, with the same steps and the same variables."""
    assert comparable(Workflow.FORGEJO) == comparable(Workflow.GITHUB)
    assert tuple(comparable(Workflow.FORGEJO)) == JOBS
    for name in ("on", "env", "name"):
        assert load(PLAYLIST / Workflow.FORGEJO.value)[name] == load(PLAYLIST / Workflow.GITHUB.value)[name]


@both
def test_every_job_is_its_script(workflow: Workflow) -> None:
    """A job runs the script of its name and nothing else, so a person can run the same by hand."""
    for name, job in jobs_of(workflow).items():
        assert scripts_of(job) == [f"ci/{name}"]


def test_gitlab_runs_the_same_scripts() -> None:
    """For GitLab there are the same jobs, each of them the script of its name, with the same order between them."""
    document = load(GITLAB)
    assert tuple(name for name in document if name not in OF_GITLAB) == JOBS
    assert document[".lane"]["script"] == ["ci/$CI_JOB_NAME"]
    for name in JOBS:
        job = {**document[".lane"], **document[name]}
        assert job["extends"] == ".lane"
        assert "script" not in document[name]
        assert set(job["needs"]) == set(needs_of(jobs_of(Workflow.FORGEJO)[name]))


def needs_of(job: Mapping[str, Any]) -> list[str]:
    """The jobs that a job waits for."""
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


@pytest.mark.parametrize("name", [*JOBS, "common.sh"])
def test_bash_can_read_every_script(name: str) -> None:
    """Every script is one that bash can read; those of jobs are executable, and begin with what all have in common."""
    script = PLAYLIST / "ci" / name
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    if name in JOBS:
        assert os.access(script, os.X_OK)
        assert '\n. "$(dirname "$0")/common.sh"\n' in script.read_text()


# ---- what keeps the gate safe


@both
def test_a_job_has_its_own_key_and_no_other(workflow: Workflow) -> None:
    """The secrets that a job is given hold the key of its lane at most; the job that deploys has none of them."""
    for name, job in jobs_of(workflow).items():
        given = set(SECRET.findall(json.dumps(job)))
        own = {KEYS[name]} if name in KEYS else set()
        staging = {"STAGING_PASSWORD"} if name in ("promote", "deploy") else set()
        assert given == {"REGISTRY_PASSWORD", "ATTEST_KEY_PASSWORD", *own, *staging}


@both
def test_secrets_are_given_to_one_step(workflow: Workflow) -> None:
    """No secret stands where all steps of a job, or all jobs, can see it: foreign actions run in the others."""
    document = load(PLAYLIST / workflow.value)
    assert not SECRET.search(json.dumps(document["env"]))
    for job in document["jobs"].values():
        assert not SECRET.search(json.dumps(job.get("env", {})))
        assert all("run" in step for step in job["steps"] if SECRET.search(json.dumps(step)))


@both
def test_lanes_run_side_by_side_and_the_gate_behind_them(workflow: Workflow) -> None:
    """The lanes wait for the build alone, the gate for all of them, and what deploys for the gate."""
    jobs = jobs_of(workflow)
    assert needs_of(jobs["build"]) == []
    assert [needs_of(jobs[lane]) for lane in CHECKING] == [["build"]] * len(CHECKING)
    assert set(needs_of(jobs["promote"])) == set(LANES)
    assert "promote" in needs_of(jobs["deploy"])


def test_gitlab_keeps_keys_apart_by_environments() -> None:
    """Each lane's job has an environment of its own, to which GitLab can bind the variable with its key."""
    document = load(GITLAB)
    names = [document[name]["environment"]["name"] for name in JOBS]
    assert names == [*(f"lane/{lane}" for lane in LANES), "lane/promote", "staging"]


def test_the_example_asks_for_this_version() -> None:
    """A runner that has no attest installs the version that the example was tested with."""
    assert f"\nATTEST_VERSION={attest.__version__}\n" in (PLAYLIST / "ci" / "common.sh").read_text()


# ---- scripts by hand


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The example with the images that its lanes are pinned to, of which none is there."""
    folder = tmp_path / "playlist"
    shutil.copytree(PLAYLIST, folder)
    names = ("build", "base", "ci", "e2e")
    pinned = [f"{name.upper()}_IMAGE=registry.example.com/plex/{name}@sha256:{64 * '0'}\n" for name in names]
    (folder / "ci" / "images.env").write_text("".join(pinned))
    return folder


def by_hand(checkout: Path, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script run by hand, with a folder of its own for what is temporary."""
    temporary = checkout.parent / "temporary"
    temporary.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [checkout / "ci" / name],
        cwd=checkout.parent,
        env={"PATH": path, "HOME": str(checkout.parent), "TMPDIR": str(temporary), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert list(temporary.iterdir()) == []
    return done


@pytest.mark.parametrize("name", [name for name in JOBS if name != "build"])
def test_a_script_says_what_it_lacks(checkout: Path, name: str) -> None:
    """Without the images it is about a script ends with 2, names what is not set, and leaves no key behind."""
    done = by_hand(checkout, name, LANE_KEY="a key", STAGING="staging.example.com/plex")
    assert (done.returncode, done.stderr) == (2, f"ci/{name}: BACKEND is not set\n")


def test_the_build_says_what_it_lacks(checkout: Path) -> None:
    """Without a registry the build ends with 2 before anything is built."""
    done = by_hand(checkout, "build", LANE_KEY="a key")
    assert (done.returncode, done.stderr) == (2, "ci/build: REGISTRY is not set\n")
