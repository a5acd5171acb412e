"""`attest init`: what it writes works, is never written twice, and never over anything."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from attest.adapters.keys import load_signer
from attest.cli.main import attest as group
from attest.ops.init import LANES
from tests.cli.running import Ended, attest
from tests.cli.test_help import parse
from tests.parts.find import require

WORKFLOWS = {
    "forgejo": ".forgejo/workflows/release.yml",
    "github": ".github/workflows/release.yml",
    "gitlab": ".gitlab-ci.yml",
}
ALL_FORGES = tuple(part for forge in WORKFLOWS for part in ("--forge", forge))
ORIGIN = "https://git.example.org/Plex/playlist.git"
SCRIPTS = ("ci/start", "ci/fast-check", "ci/contract", "ci/integration", "ci/e2e")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty repository, with a remote and no commit."""
    folder = tmp_path / "playlist"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "trunk"], cwd=folder, check=True)
    subprocess.run(["git", "remote", "add", "origin", ORIGIN], cwd=folder, check=True)
    return folder


def init(folder: Path, *options: object, **environment: str) -> Ended:
    """Run it, with keys that have no passphrase unless the environment has one."""
    password = () if "ATTEST_KEY_PASSWORD" in environment or "--password-file" in options else ("--no-password",)
    return attest("init", *password, *options, cwd=folder, stdin=b"", **environment)


def files(folder: Path) -> dict[str, bytes]:
    """Everything in the work tree, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def outcomes(ended: Ended) -> dict[str, str]:
    """What became of each file."""
    return {one["path"]: one["outcome"] for one in ended.document["files"]}


def yaml(path: Path) -> Any:
    """A YAML file, as other programs read it."""
    return YAML(typ="safe").load(path.read_text())


# ---- what is written


def test_an_empty_repository_gets_a_gate(empty: Path) -> None:
    """Policy, keys, an example of a release, scripts of lanes and workflows are there, for what git says."""
    ended = init(empty, *ALL_FORGES, "--service", "backend", "--service", "frontend", "--format", "json")
    assert ended.code == 0, ended.err
    assert ended.document["notes"] == []
    written = files(empty)
    keys = {f"keys/{lane}.{kind}" for lane in LANES for kind in ("pub", "key")}
    others = {".gitignore", "keys/README.md", "policies/release.yaml", "release.example.yaml", *SCRIPTS}
    assert set(written) == keys | others | set(WORKFLOWS.values())
    assert set(outcomes(ended).values()) == {"written"}
    policy = yaml(empty / "policies" / "release.yaml")
    assert policy["source"]["repository"] == "https://git.example.org/Plex/playlist"
    assert policy["source"]["refs"] == ["refs/heads/trunk"]
    assert policy["images"] == ["git.example.org/plex/playlist/*"]
    assert set(policy["lanes"]) == set(LANES)
    assert policy["lanes"]["e2e"]["joint"] is True


def test_what_was_written_is_valid(empty: Path) -> None:
    """The policy passes its check with the keys beside it, and the example is a release."""
    init(empty)
    checked = attest("policy", "check", "policies/release.yaml", cwd=empty)
    assert checked.code == 0, checked.err
    example = attest("release", "check", "release.example.yaml", "--format", "json", cwd=empty)
    assert example.code == 0, example.err
    assert list(example.document["services"]) == ["playlist"]


def test_every_file_explains_itself(empty: Path) -> None:
    """Each file that is no key says that it was written by `attest init`, and what it is for."""
    init(empty, *ALL_FORGES)
    for name, content in files(empty).items():
        if name.endswith((".key", ".pub", ".gitignore")):
            continue
        head = content.decode()[:400]
        assert "`attest init`" in head, name
        assert "<{" not in content.decode(), name
        assert "<%" not in content.decode(), name


def test_private_keys_are_never_committed(empty: Path) -> None:
    """git does not see the private keys, only their owner can read them, and each belongs to its public key."""
    init(empty)
    subprocess.run(["git", "add", "--all"], cwd=empty, check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=empty, check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in listed if name.endswith(".key")] == []
    assert {f"keys/{lane}.pub" for lane in LANES} <= set(listed)
    for lane in LANES:
        path = empty / "keys" / f"{lane}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        pem = load_signer(path, passphrase=lambda: b"").public
        assert pem.fingerprint


def test_keys_have_the_passphrase_that_was_given(empty: Path) -> None:
    """With a passphrase every private key is encrypted; without any, and without a terminal, nothing is written."""
    refused = attest("init", cwd=empty)
    assert refused.code == 2
    assert "the key needs a passphrase" in refused.err
    assert files(empty) == {}
    assert init(empty, ATTEST_KEY_PASSWORD="correct horse").code == 0
    for lane in LANES:
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in (empty / "keys" / f"{lane}.key").read_bytes()


def test_scripts_run_and_fail_until_they_are_written(empty: Path) -> None:
    """The lanes that only the project can write end with 1 and say so; a check that checks nothing never passes."""
    init(empty)
    for name in ("ci/fast-check", "ci/integration", "ci/e2e"):
        done = subprocess.run([f"./{name}"], cwd=empty, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert name in done.stderr
    for name in SCRIPTS:
        assert os.access(empty / name, os.X_OK)
        interpreter = (empty / name).read_text().splitlines()[0]
        if interpreter == "#!/bin/sh":
            subprocess.run(["/bin/sh", "-n", name], cwd=empty, check=True)


# ---- again


def test_twice_changes_nothing(empty: Path) -> None:
    """The second run writes no byte, asks for no passphrase, and says that everything is as it was."""
    init(empty, *ALL_FORGES)
    before = files(empty)
    again = attest("init", *ALL_FORGES, "--format", "json", cwd=empty)
    assert again.code == 0, again.err
    assert set(outcomes(again).values()) == {"unchanged"}
    assert files(empty) == before


@pytest.mark.parametrize("name", ["policies/release.yaml", "ci/contract", ".forgejo/workflows/release.yml"])
def test_a_file_that_was_changed_is_kept_and_said(name: str, empty: Path) -> None:
    """What its owner changed stays as it is, and is named."""
    init(empty)
    path = empty / name
    path.write_text(path.read_text() + "# mine\n")
    before = files(empty)
    again = init(empty, "--format", "json")
    assert again.code == 0
    assert {path for path, outcome in outcomes(again).items() if outcome == "kept"} == {name}
    assert files(empty) == before
    assert f"kept       {name}  it says something else, and stays as it is" in init(empty).out.splitlines()


def test_a_clone_without_private_keys_gets_no_new_ones(empty: Path) -> None:
    """The public keys alone are enough: new ones would be trusted by nobody."""
    init(empty)
    for path in (empty / "keys").glob("*.key"):
        path.unlink()
    before = files(empty)
    assert init(empty).code == 0
    assert files(empty) == before


def test_a_private_key_without_its_public_half_is_an_error(empty: Path) -> None:
    """A key that is half there is nothing to write over."""
    init(empty)
    (empty / "keys" / "e2e.pub").unlink()
    before = files(empty)
    ended = init(empty)
    assert ended.code == 2
    assert files(empty) == before


@pytest.mark.parametrize("content", ["*.pyc", "*.pyc\n", ""])
def test_what_is_ignored_already_stays(content: str, empty: Path) -> None:
    """The line about keys is added behind what .gitignore has."""
    (empty / ".gitignore").write_text(content)
    init(empty)
    lines = (empty / ".gitignore").read_text().splitlines()
    assert lines[: len(content.split())] == content.split()
    assert lines[-1] == "/keys/*.key"
    assert init(empty).code == 0
    assert (empty / ".gitignore").read_text().splitlines() == lines


def test_nothing_is_written_outside(empty: Path, tmp_path: Path) -> None:
    """A folder that is a link to another place is not followed out of the repository."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (empty / "policies").symlink_to(outside)
    ended = init(empty)
    assert ended.code == 2
    assert "its folder lies outside" in ended.err
    assert list(outside.iterdir()) == []


def test_a_folder_where_a_file_should_be_is_an_error(empty: Path) -> None:
    """What is no file cannot be kept as one."""
    (empty / "ci" / "start").mkdir(parents=True)
    ended = init(empty)
    assert ended.code == 2
    assert "cannot be read" in ended.err
    assert files(empty) == {}


# ---- for whom


@pytest.mark.parametrize(
    ("origin", "forge", "registry"),
    [
        ("https://github.com/Plex/Playlist.git", "github", "ghcr.io/plex/playlist"),
        ("git@gitlab.example.org:plex/playlist.git", "gitlab", "registry.gitlab.example.org/plex/playlist"),
        ("ssh://git@git.example.org:2222/plex/playlist", "forgejo", "git.example.org/plex/playlist"),
    ],
)
def test_images_are_where_the_forge_keeps_them(origin: str, forge: str, registry: str, empty: Path) -> None:
    """The registry is that of the forge, below the name of the repository."""
    subprocess.run(["git", "remote", "set-url", "origin", origin], cwd=empty, check=True)
    assert init(empty, "--forge", forge).code == 0
    assert yaml(empty / "policies" / "release.yaml")["images"] == [f"{registry}/*"]


@pytest.mark.parametrize("remote", [False, True])
def test_without_a_remote_it_says_what_is_an_example(remote: bool, tmp_path: Path) -> None:
    """Where git names no repository that others can reach the files are examples, valid ones, and a note says so."""
    folder = tmp_path / "My App"
    folder.mkdir()
    if remote:
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        subprocess.run(["git", "remote", "add", "origin", str(tmp_path)], cwd=folder, check=True)
    ended = init(folder)
    assert ended.code == 0, ended.err
    assert "note: the source repository is not known: https://git.example.org/example/my-app" in ended.out
    assert "note: the registry is not known: registry.example.org/example" in ended.out
    assert attest("policy", "check", "policies/release.yaml", cwd=folder).code == 0


def test_options_win(empty: Path) -> None:
    """Repository, registry, branch and folder are those of the options where they are given."""
    ended = init(
        empty.parent,
        *("--directory", "playlist", "--source-repository", "git@forge.example.org:a/b.git"),
        *("--registry", "registry.example.org:5000/shop", "--branch", "release/2.x", "--service", "web"),
    )
    assert ended.code == 0, ended.err
    policy = yaml(empty / "policies" / "release.yaml")
    assert policy["source"]["repository"] == "https://forge.example.org/a/b"
    assert policy["source"]["refs"] == ["refs/heads/release/2.x"]
    assert policy["images"] == ["registry.example.org:5000/shop/*"]


@pytest.mark.parametrize(
    "options",
    [
        ("--service", "Back End"),
        ("--service", "a", "--service", "a"),
        ("--service", "a/b"),
        ("--registry", "nowhere"),
        ("--source-repository", "nowhere"),
        ("--branch", "a b"),
        ("--branch", "a..b"),
        ("--branch", "x\n- y"),
        ("--directory", "nowhere"),
        ("--forge", "sourcehut"),
        ("--password-file", "x", "--no-password"),
    ],
)
def test_what_cannot_be_meant_is_2_and_writes_nothing(options: tuple[str, ...], empty: Path) -> None:
    """A name that would break a file, or a place that is none, ends with 2 before anything is written."""
    assert attest("init", *options, cwd=empty).code == 2
    assert files(empty) == {}


# ---- workflows


def commands_in(text: str) -> list[list[str]]:
    """The command lines of attest in a shell script, as words."""
    import shlex

    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if line.strip().startswith("attest ")]
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("services", [("app",), ("backend", "frontend", "worker")])
@pytest.mark.parametrize("forge", ["forgejo", "github"])
def test_every_lane_of_a_workflow_ends_by_signing(forge: str, services: tuple[str, ...], empty: Path) -> None:
    """Each lane is a job behind the build, whose last step ends in `attest run` or `attest sign` with its own key."""
    init(empty, "--forge", forge, *(part for service in services for part in ("--service", service)))
    workflow = yaml(empty / WORKFLOWS[forge])
    assert workflow["on"] == {"push": {"branches": ["trunk"]}}
    jobs = workflow["jobs"]
    assert set(jobs) == {*LANES, "gate"}
    assert set(jobs["gate"]["needs"]) == set(LANES)
    for lane in LANES:
        last = jobs[lane]["steps"][-1]
        words = commands_in(last["run"])[-1]
        assert words[1] == ("sign" if lane == "build" else "run")
        assert words[words.index("--lane") + 1] == lane
        secret = f"ATTEST_{lane.upper().replace('-', '_')}_KEY"
        assert last["env"]["LANE_KEY"] == f"${{{{ secrets.{secret} }}}}"
        if lane != "build":
            assert "build" in jobs[lane]["needs"]
            assert words[words.index("--") + 1] == f"ci/{lane}"
            assert (empty / f"ci/{lane}").exists()
        if lane in {"integration", "e2e"}:
            assert [words[place + 1] for place, word in enumerate(words) if word == "--container"] == list(services)
    assert commands_in(jobs["gate"]["steps"][-1]["run"])[-1][1] == "verify"


def test_every_lane_of_a_gitlab_pipeline_ends_by_signing(empty: Path) -> None:
    """The same for GitLab: a job for each lane, its own key, and the gate behind all of them."""
    init(empty, "--forge", "gitlab", "--service", "backend", "--service", "frontend")
    pipeline = yaml(empty / WORKFLOWS["gitlab"])
    assert pipeline["stages"] == ["build", "check", "gate"]
    assert set(pipeline["gate"]["needs"]) == set(LANES)
    for lane in LANES:
        assert pipeline[lane]["stage"] in pipeline["stages"]
        words = commands_in("\n".join(pipeline[lane]["script"]))[-1]
        assert words[1] == ("sign" if lane == "build" else "run")
        assert words[words.index("--lane") + 1] == lane
        assert words[words.index("--key") + 1] == f"$ATTEST_{lane.upper().replace('-', '_')}_KEY"
    assert pipeline["build"]["artifacts"] == {"paths": ["release.yaml"]}
    assert commands_in("\n".join(pipeline["gate"]["script"]))[-1][1] == "verify"


@pytest.mark.parametrize("forge", list(WORKFLOWS))
def test_every_command_of_a_workflow_parses(forge: str, empty: Path) -> None:
    """Each command of attest in a workflow has only options that there are."""
    assert group.name == "attest"
    init(empty, "--forge", forge, "--service", "backend", "--service", "frontend")
    document = yaml(empty / WORKFLOWS[forge])
    if forge == "gitlab":
        scripts = ["\n".join(job["script"]) for job in document.values() if isinstance(job, dict) and "script" in job]
    else:
        scripts = [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step]
    found = [words for script in scripts for words in commands_in(script)]
    assert len(found) >= 9
    for words in found:
        parse(words)


@pytest.mark.parts
@pytest.mark.parametrize("forge", ["forgejo", "github"])
def test_actionlint_finds_nothing(forge: str, empty: Path) -> None:
    """actionlint, which knows the syntax of workflows, their expressions and the shell in them, has nothing to say."""
    actionlint = require("actionlint")
    init(empty, "--forge", forge, "--service", "backend", "--service", "frontend")
    config = empty / "actionlint.yaml"
    config.write_text(json.dumps({"self-hosted-runner": {"labels": ["docker"]}}))
    path = empty / WORKFLOWS[forge]
    command = [str(actionlint), "-no-color", "-config-file", str(config), str(path)]

    def lint() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=empty, check=False, capture_output=True, text=True)

    done = lint()
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    path.write_text(path.read_text().replace("steps.release.outputs.file", "steps.nowhere.outputs.file"))
    assert lint().returncode == 1
