"""What a job's context is found to be: on each forge, in a git checkout, and against it, from flags."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.context import Detected, Flags, ForeignCode, Found, Origin, detect
from attest.adapters.context import git as git_adapter
from attest.core.statement import Context
from attest.errors import UsageError
from tests.parts.find import require
from tests.parts.process import plain_environment

JOBS = Path(__file__).parent / "data" / "ci"
FIELDS = ("repository", "commit", "ref", "run_id", "run_attempt", "job", "run_url")
COMMIT = "5f0c1d7a9e3b2c4d6e8f00112233445566778899"
OTHER = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "https://git.example.org/plex/playlist"
EVERYTHING = Flags(
    source_repository="git@git.example.org:plex/playlist.git",
    source_commit=COMMIT,
    source_ref="refs/heads/main",
    run_id="run-7",
    run_attempt="2",
    job="e2e",
    run_url="https://ci.example.org/7",
)


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """A folder that is in no git checkout."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment for git without anybody's configuration; it looks no further up than the test's folder."""
    require("git")
    return plain_environment(
        tmp_path,
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CEILING_DIRECTORIES=str(tmp_path),
        **{f"GIT_{who}_{what}": "somebody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    )


def git(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    """Run git."""
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def checkout(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A clean checkout with one commit on the branch `main`, and a remote."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(environment, folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "tracked").write_text("as committed")
    git(environment, folder, "add", "tracked")
    git(environment, folder, "commit", "--quiet", "--message", "a commit")
    git(environment, folder, "remote", "add", "origin", "https://user:canary@git.example.org/plex/playlist.git")
    return folder


def job(name: str, tmp_path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The environment of a job, with its event in a file, and what should be found."""
    case = json.loads((JOBS / f"{name}.json").read_bytes())
    event = tmp_path / "event.json"
    if "event" in case:
        event.write_text(json.dumps(case["event"]))
    variables = {key: str(event) if text == "EVENT" else text for key, text in case["environment"].items()}
    return variables, case["expected"]


def found(detected: Detected) -> dict[str, Any]:
    """What was found, as the data of the jobs writes it down."""
    values: dict[str, Found[Any] | None] = {name: getattr(detected, name) for name in FIELDS}
    return {name: [it.value, it.origin, it.place] for name, it in values.items() if it is not None}


# Forges


@pytest.mark.parametrize("name", sorted(path.stem for path in JOBS.iterdir()))
def test_each_forge_is_understood(tmp_path: Path, nowhere: str, name: str) -> None:
    """From the variables that a forge documents come the right values, each with its place."""
    variables, expected = job(name, tmp_path)
    assert found(detect(variables, nowhere)) == expected


def test_the_head_commit_of_a_pull_request_is_not_looked_up_where_a_flag_names_one(
    tmp_path: Path, nowhere: str
) -> None:
    """With `--source-commit` the event need not be there, and no ref is claimed for that commit."""
    variables, _ = job("github-pull-request", tmp_path)
    (tmp_path / "event.json").unlink()
    detected = detect(variables, nowhere, flags=Flags(source_commit=COMMIT))
    assert detected.commit == Found(value=COMMIT, origin=Origin.FLAG, place="--source-commit")
    assert detected.ref is None


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (None, "No such file"),
        (b"", "cannot be read"),
        (b"[]", "names no head commit"),
        (b'{"pull_request": null}', "names no head commit"),
        (b'{"pull_request": {"head": {"sha": 7}}}', "names no head commit"),
        (b'{"pull_request": {"head": {"sha": "main"}}}', "GITHUB_EVENT_PATH: 'main' is no full commit id"),
        (b'{"pull_request": {}, "pull_request": {}}', "stands twice"),
    ],
)
def test_a_pull_request_whose_head_is_not_known_is_not_signed_as_something_else(
    tmp_path: Path, nowhere: str, event: bytes | None, error: str
) -> None:
    """The merge commit is never taken for the head commit; the error names the flag that helps."""
    variables, _ = job("github-pull-request", tmp_path)
    (tmp_path / "event.json").unlink()
    if event is not None:
        (tmp_path / "event.json").write_bytes(event)
    with pytest.raises(UsageError, match=error) as caught:
        detect(variables, nowhere)
    assert "is no full commit" in error or "--source-commit" in str(caught.value.hint)


def test_a_pull_request_without_an_event_file_is_an_error(tmp_path: Path, nowhere: str) -> None:
    """A job that hides its event gets no context."""
    variables, _ = job("github-pull-request", tmp_path)
    del variables["GITHUB_EVENT_PATH"]
    with pytest.raises(UsageError, match="EVENT_PATH does not say"):
        detect(variables, nowhere)


def test_an_endless_event_is_an_error(tmp_path: Path, nowhere: str) -> None:
    """An event file is not read beyond what a forge sends."""
    variables, _ = job("github-pull-request", tmp_path)
    with pytest.raises(UsageError, match="has more than"):
        detect({**variables, "GITHUB_EVENT_PATH": "/dev/zero"}, nowhere)


@pytest.mark.parametrize("name", ["github-pull-request", "forgejo-pull-request"])
def test_a_pull_request_target_job_signs_nothing_unless_told_to(tmp_path: Path, nowhere: str, name: str) -> None:
    """That job has the repository's rights and a stranger's code; told to sign, it claims the stranger's commit."""
    variables, _ = job(name, tmp_path)
    for prefix in ("GITHUB_", "FORGEJO_"):
        variables |= {f"{prefix}EVENT_NAME": "pull_request_target", f"{prefix}REF": "refs/heads/main"}
    for flags in (Flags(), EVERYTHING):
        with pytest.raises(UsageError, match="pull_request_target"):
            detect(variables, nowhere, flags=flags)
    allowed = detect(variables, nowhere, foreign_code=ForeignCode.ALLOW)
    assert allowed.commit is not None
    assert allowed.commit.value == COMMIT
    assert allowed.ref is not None
    assert allowed.ref.value == "refs/pull/12/head"


def test_the_branch_that_a_pull_request_goes_to_is_never_its_ref(tmp_path: Path, nowhere: str) -> None:
    """Where the event has no number, the ref of the base branch is not claimed for a stranger's commit."""
    variables, _ = job("github-pull-request", tmp_path)
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"head": {"sha": COMMIT}}}))
    for ref in ("refs/heads/main", ""):
        detected = detect({**variables, "GITHUB_REF": ref}, nowhere)
        assert detected.commit is not None
        assert detected.ref is None


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("github-push", {"GITHUB_SHA": "5f0c1d7"}, "GITHUB_SHA: '5f0c1d7' is no full commit id"),
        ("github-push", {"GITHUB_SHA": COMMIT.upper()}, "GITHUB_SHA"),
        ("github-push", {"GITHUB_SHA": COMMIT + "\n"}, "GITHUB_SHA"),
        ("github-push", {"GITHUB_REPOSITORY": "../playlist"}, "GITHUB_SERVER_URL and GITHUB_REPOSITORY"),
        ("github-push", {"GITHUB_SERVER_URL": "file:///"}, "GITHUB_SERVER_URL and GITHUB_REPOSITORY"),
        ("github-push", {"GITHUB_REF": "main"}, "GITHUB_REF: 'main' is no full ref"),
        ("github-push", {"GITHUB_REF": "refs/heads/a b"}, "GITHUB_REF"),
        ("github-push", {"GITHUB_REF": "refs/heads/a..b"}, "GITHUB_REF"),
        ("github-push", {"GITHUB_REF": "refs/heads/a\x1b[2J"}, "GITHUB_REF"),
        ("github-push", {"GITHUB_RUN_ATTEMPT": "1.0"}, "GITHUB_RUN_ATTEMPT: '1.0' is no number"),
        ("github-push", {"GITHUB_RUN_ATTEMPT": "٣"}, "GITHUB_RUN_ATTEMPT"),
        ("github-push", {"GITHUB_RUN_ATTEMPT": "-1"}, "GITHUB_RUN_ATTEMPT"),
        ("github-push", {"GITHUB_RUN_ID": "1\n2"}, "GITHUB_RUN_ID"),
        ("github-push", {"GITHUB_JOB": "a\x07"}, "GITHUB_JOB"),
        ("forgejo-push", {"FORGEJO_SHA": "main"}, "FORGEJO_SHA"),
        ("gitea-push", {"GITHUB_SERVER_URL": "http://user:canary@localhost:3000"}, "GITHUB_SERVER_URL and GITHUB_RUN"),
        ("gitlab-branch", {"CI_COMMIT_SHA": "x"}, "CI_COMMIT_SHA"),
        ("gitlab-branch", {"CI_COMMIT_BRANCH": "a b"}, "CI_COMMIT_BRANCH"),
        ("gitlab-branch", {"CI_PROJECT_URL": "gitlab"}, "CI_PROJECT_URL"),
        ("gitlab-branch", {"CI_JOB_ID": "x"}, "CI_JOB_ID"),
        ("gitlab-branch", {"CI_JOB_URL": "javascript:alert(1)"}, "CI_JOB_URL"),
    ],
)
def test_a_malformed_variable_is_named(
    tmp_path: Path, nowhere: str, name: str, change: dict[str, str], error: str
) -> None:
    """What cannot be true is not signed, and the error says which variable it stood in."""
    variables, _ = job(name, tmp_path)
    with pytest.raises(UsageError) as caught:
        detect({**variables, **change}, nowhere)
    assert str(caught.value).startswith(error)
    assert "canary" not in str(caught.value)


# Flags


def test_flags_go_before_everything(tmp_path: Path, nowhere: str) -> None:
    """Every value of the context has a flag, and it wins over the CI, also where the CI's value is malformed."""
    variables, _ = job("github-push", tmp_path)
    variables |= {"GITHUB_SHA": "malformed", "GITHUB_REF": "malformed", "GITHUB_RUN_ATTEMPT": "malformed"}
    assert found(detect(variables, nowhere, flags=EVERYTHING)) == {
        "repository": [REPOSITORY, "flag", "--source-repository"],
        "commit": [COMMIT, "flag", "--source-commit"],
        "ref": ["refs/heads/main", "flag", "--source-ref"],
        "run_id": ["run-7", "flag", "--run-id"],
        "run_attempt": [2, "flag", "--run-attempt"],
        "job": ["e2e", "flag", "--job"],
        "run_url": ["https://ci.example.org/7", "flag", "--run-url"],
    }


def test_each_flag_counts_for_itself(tmp_path: Path, nowhere: str) -> None:
    """A flag replaces one value; the others stay what the CI says."""
    variables, expected = job("github-push", tmp_path)
    detected = detect(variables, nowhere, flags=Flags(source_repository=REPOSITORY, job="e2e"))
    expected["repository"] = [REPOSITORY, "flag", "--source-repository"]
    expected["job"] = ["e2e", "flag", "--job"]
    assert found(detected) == expected


def test_a_ref_is_not_claimed_for_another_commit(tmp_path: Path, nowhere: str) -> None:
    """A flag that names another commit leaves the CI's branch out; one that names the same keeps it."""
    variables, expected = job("github-push", tmp_path)
    assert detect(variables, nowhere, flags=Flags(source_commit=OTHER)).ref is None
    same = detect(variables, nowhere, flags=Flags(source_commit=COMMIT))
    assert found(same)["ref"] == expected["ref"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"source_repository": ""},
        {"source_repository": "playlist"},
        {"source_commit": ""},
        {"source_commit": "HEAD"},
        {"source_ref": "main"},
        {"source_ref": "refs/heads/"},
        {"source_ref": "refs/heads/a.lock"},
        {"source_ref": "refs/heads/.a"},
        {"source_ref": "refs"},
        {"source_ref": "refs/heads/" + "a" * 1024},
        {"run_id": ""},
        {"run_attempt": "01"},
        {"run_attempt": "1_0"},
        {"run_attempt": "9" * 19},
        {"job": "a\nb"},
        {"job": "a" * 1025},
        {"run_url": "ci.example.org/7"},
        {"run_url": "https://user:canary@ci.example.org/7"},
        {"run_url": "https://ci.example.org/ 7"},
    ],
)
def test_a_malformed_flag_is_named(nowhere: str, wrong: dict[str, str]) -> None:
    """An empty or malformed flag is an error of usage that names it; it is not passed over."""
    (name,) = wrong
    with pytest.raises(UsageError, match="^--" + name.replace("_", "-")):
        detect({}, nowhere, flags=dataclasses.replace(EVERYTHING, **wrong))


def test_a_refused_flag_shows_no_password(nowhere: str) -> None:
    """A token in a URL that is refused stays out of the error."""
    flags = dataclasses.replace(EVERYTHING, run_url="https://user:canary@ci.example.org/7")
    with pytest.raises(UsageError) as caught:
        detect({}, nowhere, flags=flags)
    assert "canary" not in str(caught.value)
    assert "ci.example.org" in str(caught.value)


# git


def test_a_checkout_says_repository_commit_and_branch(checkout: Path, environment: dict[str, str]) -> None:
    """Without CI and flags, git names the source; the token in the remote's URL is left out."""
    head = git(environment, checkout, "rev-parse", "HEAD")
    (checkout / "folder").mkdir()
    for folder in (checkout, checkout / "folder"):
        detected = detect(environment, str(folder))
        assert found(detected) == {
            "repository": [REPOSITORY, "git", "git remote get-url origin"],
            "commit": [head, "git", "git HEAD"],
            "ref": ["refs/heads/main", "git", "git symbolic-ref HEAD"],
        }
        assert not detected.dirty
        assert detected.warnings == ()


def test_a_detached_head_has_no_ref(checkout: Path, environment: dict[str, str]) -> None:
    """A commit that is checked out by itself is on no branch."""
    git(environment, checkout, "checkout", "--quiet", "--detach")
    detected = detect(environment, str(checkout))
    assert detected.commit is not None
    assert detected.ref is None


def test_a_branch_is_not_claimed_for_another_commit(checkout: Path, environment: dict[str, str]) -> None:
    """A flag that names another commit than the one checked out leaves git's branch out."""
    detected = detect(environment, str(checkout), flags=Flags(source_commit=OTHER))
    assert detected.ref is None
    assert found(detected)["repository"] == [REPOSITORY, "git", "git remote get-url origin"]


@pytest.mark.parametrize(
    ("change", "dirty"),
    [("edited", True), ("staged", True), ("deleted", True), ("untracked", False), ("touched", False), ("none", False)],
)
def test_changes_to_tracked_files_make_it_dirty(
    checkout: Path, environment: dict[str, str], change: str, dirty: bool
) -> None:
    """Edits count, staged or not; files that git does not know, and new times of old content, do not."""
    tracked = checkout / "tracked"
    match change:
        case "edited":
            tracked.write_text("otherwise")
        case "staged":
            tracked.write_text("otherwise")
            git(environment, checkout, "add", "tracked")
        case "deleted":
            tracked.unlink()
        case "untracked":
            (checkout / "new").write_text("new")
        case "touched":
            os.utime(tracked, (0, 0))
    assert detect(environment, str(checkout)).dirty is dirty


def test_only_the_checkout_of_the_signed_commit_can_be_dirty(checkout: Path, environment: dict[str, str]) -> None:
    """Changes beside another commit say nothing about the one that is signed for."""
    head = git(environment, checkout, "rev-parse", "HEAD")
    (checkout / "tracked").write_text("otherwise")
    assert not detect(environment, str(checkout), flags=dataclasses.replace(EVERYTHING, source_commit=OTHER)).dirty
    same = detect(environment, str(checkout), flags=dataclasses.replace(EVERYTHING, source_commit=head))
    assert same.dirty
    assert same.commit == Found(value=head, origin=Origin.FLAG, place="--source-commit")


def test_in_a_job_the_ci_goes_before_git(tmp_path: Path, checkout: Path, environment: dict[str, str]) -> None:
    """A job's checkout is not asked for what the CI has said, and its branch names are nobody's claim."""
    variables, expected = job("github-push", tmp_path)
    assert found(detect({**environment, **variables}, str(checkout))) == expected
    head = git(environment, checkout, "rev-parse", "HEAD")
    foreign, _ = job("gitlab-external-pull-request", tmp_path)
    assert detect({**environment, **foreign, "CI_COMMIT_SHA": head}, str(checkout)).ref is None


def test_what_the_ci_does_not_say_git_does(tmp_path: Path, checkout: Path, environment: dict[str, str]) -> None:
    """A variable that is empty is one that is not set."""
    variables, _ = job("gitlab-branch", tmp_path)
    head = git(environment, checkout, "rev-parse", "HEAD")
    detected = detect({**environment, **variables, "CI_COMMIT_SHA": "", "CI_PROJECT_URL": ""}, str(checkout))
    assert found(detected)["commit"] == [head, "git", "git HEAD"]
    assert found(detected)["repository"] == [REPOSITORY, "git", "git remote get-url origin"]
    assert detected.ref is None


@pytest.mark.parametrize("place", ["no repository", "no commit", "bare", "inside .git", "no folder", "no git"])
def test_where_there_is_no_checkout_nothing_is_found(
    tmp_path: Path, checkout: Path, environment: dict[str, str], place: str
) -> None:
    """No git, no repository, no commit yet and no work tree are no errors, and no warning."""
    folder = tmp_path / "folder"
    match place:
        case "no repository":
            folder.mkdir()
        case "no commit":
            folder.mkdir()
            git(environment, folder, "init", "--quiet")
        case "bare":
            git(environment, tmp_path, "clone", "--quiet", "--bare", str(checkout), str(folder))
        case "inside .git":
            folder = checkout / ".git"
        case "no git":
            folder = checkout
            environment["PATH"] = str(tmp_path)
        case _:
            pass
    detected = detect(environment, str(folder))
    assert found(detected) == {}
    assert not detected.dirty
    assert detected.warnings == ()


def test_a_remote_on_this_machine_is_no_repository(tmp_path: Path, checkout: Path, environment: dict[str, str]) -> None:
    """A clone of a local folder has a commit and no repository that others can name; one without a remote has none."""
    git(environment, tmp_path, "clone", "--quiet", str(checkout), "clone")
    detected = detect(environment, str(tmp_path / "clone"))
    assert detected.commit is not None
    assert detected.repository is None
    assert len(detected.warnings) == 1
    git(environment, tmp_path / "clone", "remote", "remove", "origin")
    assert detect(environment, str(tmp_path / "clone")).warnings == ()


def test_a_checkout_of_another_owner_is_named_as_such(checkout: Path, environment: dict[str, str]) -> None:
    """In a container git often refuses the checkout that was mounted; the person is told why nothing was found."""
    environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
    detected = detect(environment, str(checkout))
    assert found(detected) == {}
    (warning,) = detected.warnings
    assert warning.startswith("git does not trust the owner of this checkout")


def _git_that(tmp_path: Path, environment: dict[str, str], script: str) -> None:
    """Put a program called git in front of the real one."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "git").chmod(0o755)
    environment["PATH"] = f"{programs}:{environment['PATH']}"


def test_a_git_that_hangs_is_not_waited_for(
    tmp_path: Path, nowhere: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that waits for a dead network folder costs seconds, and the person is told."""
    monkeypatch.setattr(git_adapter, "_SECONDS", 0.2)
    _git_that(tmp_path, environment, "exec sleep 60")
    assert detect(environment, nowhere).warnings == ("git rev-parse took longer than 0.2 s",)


def test_a_tree_that_git_cannot_compare_counts_as_dirty(
    tmp_path: Path, checkout: Path, environment: dict[str, str]
) -> None:
    """Where git fails to tell, nobody may take the tree for clean."""
    real = require("git")
    _git_that(tmp_path, environment, f'case "$*" in *status*) exit 128;; *) exec {real} "$@";; esac')
    assert detect(environment, str(checkout)).dirty


def test_git_runs_nothing_that_the_checkout_brought(
    tmp_path: Path, checkout: Path, environment: dict[str, str]
) -> None:
    """A file-system monitor named in the checkout's own configuration is not started."""
    canary = tmp_path / "canary"
    hook = tmp_path / "monitor"
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    hook.chmod(0o755)
    git(environment, checkout, "config", "core.fsmonitor", str(hook))
    detect(environment, str(checkout))
    assert not canary.exists()
    git(environment, checkout, "status")
    assert canary.exists()


# The context


def test_the_context_carries_what_was_found(nowhere: str) -> None:
    """Every value ends up in the field that is signed."""
    started, finished = datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)
    detected = dataclasses.replace(detect({}, nowhere, flags=EVERYTHING), dirty=True)
    assert detected.context(lane="e2e", started=started, finished=finished) == Context(
        lane="e2e",
        repository=REPOSITORY,
        commit=COMMIT,
        ref="refs/heads/main",
        run_id="run-7",
        run_attempt=2,
        job="e2e",
        run_url="https://ci.example.org/7",
        started=started,
        finished=finished,
        dirty=True,
    )


def test_what_is_not_known_is_left_out(nowhere: str) -> None:
    """Only repository and commit are required."""
    moment = datetime(2026, 1, 2, 4, tzinfo=UTC)
    flags = Flags(source_repository=REPOSITORY, source_commit=COMMIT)
    assert detect({}, nowhere, flags=flags).context(lane="e2e", started=None, finished=moment) == Context(
        lane="e2e", repository=REPOSITORY, commit=COMMIT, finished=moment
    )


@pytest.mark.parametrize("lacking", ["repository", "commit"])
def test_repository_and_commit_are_required(nowhere: str, lacking: str) -> None:
    """Without one of them nothing is signed; the error names the flag."""
    flags = Flags(
        source_repository=None if lacking == "repository" else REPOSITORY,
        source_commit=None if lacking == "commit" else COMMIT,
    )
    with pytest.raises(UsageError, match=f"no source {lacking} is known") as caught:
        detect({}, nowhere, flags=flags).context(lane="e2e", started=None, finished=datetime.now(UTC))
    assert f"--source-{lacking}" in str(caught.value.hint)
