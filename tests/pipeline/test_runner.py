"""What runs the pipeline tells jobs what a forge would, reads what became of them, and ends what they leave running."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from attest.adapters.context import Origin, detect
from tests.parts import act
from tests.parts.process import PartError, plain_environment
from tests.pipeline import runner
from tests.pipeline.runner import MARK, Push, Script, Workflow, end_marked, run_scripts

COMMIT = "5f0c1d7a9e3b2c4d6e8f00112233445566778899"
WORKFLOW = """\
on: push
jobs:
  first:
    runs-on: here
    outputs:
      image: ${{ steps.make.outputs.image }}
    steps:
      - uses: actions/checkout@v4
      - run: printf '| working\\r/ working\\r\\033[K\\033[32mready\\033[0m\\nwritten\\rread again\\n'
      - id: make
        run: cat greeting; echo "image=$WHERE/app" >> "$GITHUB_OUTPUT"
        env: {WHERE: "${{ vars.WHERE }}"}
      - uses: actions/upload-artifact@v4
        with: {name: first, path: .}
  second:
    needs: first
    runs-on: here
    steps:
      - run: echo "got ${{ needs.first.outputs.image }} in run $GITHUB_RUN_ID of $GITHUB_ACTOR, and '$PLAIN'"; exit 7
  third:
    needs: second
    runs-on: here
    steps:
      - run: echo never
  aside:
    needs: first
    runs-on: here
    steps:
      - run: '[ -n "$TOKEN" ] && echo "it is $TOKEN"'
        env: {TOKEN: "${{ secrets.TOKEN }}"}
"""


def push(workflow: Workflow = Workflow.FORGEJO, *, commit: str = COMMIT) -> Push:
    """A push to `main`, the seventh run of a workflow, at its second attempt."""
    return Push(commit=commit, server="http://127.0.0.1:3000", workflow=workflow, run=7, attempt=2)


@pytest.mark.parametrize(("workflow", "origin"), [(Workflow.FORGEJO, Origin.FORGEJO), (Workflow.GITHUB, Origin.GITHUB)])
def test_jobs_are_told_what_the_forge_would_tell(workflow: Workflow, origin: Origin, tmp_path: Path) -> None:
    """attest finds repository, commit, ref and run in the variables of a job, as those of the right forge."""
    variables = {**push(workflow).variables(), "GITHUB_ACTIONS": "true", "GITHUB_JOB": "e2e"}
    found = detect(variables, str(tmp_path))
    values = (found.repository, found.commit, found.ref, found.run_id, found.run_attempt, found.job)
    assert [one and one.value for one in values] == [
        "http://127.0.0.1:3000/plex/playlist",
        COMMIT,
        "refs/heads/main",
        "7",
        2,
        "e2e",
    ]
    assert {one.origin for one in values if one} == {origin}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a workflow, whose only commit is checked out."""
    folder = tmp_path / "repository"
    (folder / "ci").mkdir(parents=True)
    (folder / "greeting").write_text("good morning\n")
    (folder / "flow.yaml").write_text(WORKFLOW)
    for arguments in (("init", "--quiet", "-b", "main"), ("add", "."), ("commit", "--quiet", "-m", "one")):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    return folder


def run_flow(repository: Path, *, job: str | None = None) -> tuple[act.Ran, list[str]]:
    """What became of the workflow, and what was shown meanwhile."""
    shown: list[str] = []
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
    about = push(commit=commit.stdout.strip())
    event = act.Event(
        name="push",
        actor="ann",
        document=about.document(),
        environment={**about.variables(), "UPLOADS": str(repository.parent / "uploads")},
        secrets={"TOKEN": "hidden"},
        variables={"WHERE": "registry.example.com"},
    )
    ran = act.run_workflow(
        repository,
        "flow.yaml",
        event,
        folder=repository.parent / "act",
        environment=plain_environment(repository.parent, PLAIN="a variable"),
        job=job,
        labels=["here"],
        actions={"actions/upload-artifact@v4": Path(runner.__file__).with_name("upload")},
        show=shown.append,
    )
    return ran, shown


@pytest.mark.parts
def test_act_runs_a_workflow(repository: Path) -> None:
    """Jobs run in their order on a checkout, get outputs, variables and secrets; a failure ends what waits for it."""
    ran, shown = run_flow(repository)
    assert ran.exit_code == 1
    assert {name: job.result for name, job in ran.jobs.items() if job.result != "skipped"} == {
        "first": "success",
        "second": "failure",
        "aside": "success",
    }
    assert ran.job("third").result == "skipped"
    assert ran.job("first").outputs == {"image": "registry.example.com/app"}
    assert ran.job("first").lines == ["ready", "read again", "good morning"]
    assert ran.job("second").log == "got registry.example.com/app in run 7 of ann, and 'a variable'"
    assert "[first] good morning" in shown
    assert "[second] -- failure" in shown
    assert (repository.parent / "uploads" / "first" / "greeting").read_text() == "good morning\n"


@pytest.mark.parts
def test_act_shows_no_secret(repository: Path) -> None:
    """A secret that a job prints is starred out, and is in nothing that act wrote down of the run."""
    ran, shown = run_flow(repository, job="aside")
    assert ran.exit_code == 0
    assert ran.job("aside").log == "it is ***"
    assert "hidden" not in ran.log + "".join(shown)
    left = [file for file in repository.parent.rglob("*") if file.is_file() and b"hidden" in file.read_bytes()]
    assert left == []
    assert set(ran.jobs) == {"first", "aside"}


@pytest.mark.parts
def test_a_workflow_that_act_cannot_read(repository: Path) -> None:
    """A workflow that is none is an error with what act says of it, not a run in which nothing failed."""
    (repository / "flow.yaml").write_text(WORKFLOW.replace("runs-on", "runs-at"))
    with pytest.raises(PartError, match="began no job"):
        run_flow(repository)


def test_scripts_run_as_their_jobs_would(tmp_path: Path) -> None:
    """Scripts run side by side, each in its own checkout; what they leave is kept, a failure is that of its job."""

    def script(name: str, *, own: str, other: str, code: int) -> Script:
        # Each waits for the other, so that neither ends where they run one after the other.
        waiting = f"touch ../{own}; while [ ! -e ../{other} ]; do sleep 0.05; done"
        file = tmp_path / name / "ci" / name
        file.parent.mkdir(parents=True)
        file.write_text(
            f"#!/bin/sh\n{waiting}\nmkdir artifacts; echo $PLAIN >artifacts/report; echo done\nexit {code}\n"
        )
        file.chmod(0o755)
        return Script(job=name, checkout=tmp_path / name, environment=plain_environment(tmp_path, PLAIN=name))

    scripts = [script("source", own="a", other="b", code=0), script("e2e", own="b", other="a", code=4)]
    shown: list[str] = []
    result = run_scripts(push(), tmp_path / "run", scripts, show=shown.append)
    assert (result.code, result.jobs) == (4, {"source": "success", "e2e": "failure"})
    assert {name: (result.artifacts / name / "report").read_text() for name in result.jobs} == {
        "source": "source\n",
        "e2e": "e2e\n",
    }
    assert sorted(shown) == ["[e2e] done", "[source] done"]
    assert result.logs == {"source": "done", "e2e": "done"}


def test_what_is_left_running_is_ended(tmp_path: Path) -> None:
    """Processes with the machine's mark are ended, also those that left their parents; others are not."""
    note = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ >{note}.part; mv {note}.part {note}; exec sleep 600' &"
    subprocess.run(["sh", "-c", script], env={**os.environ, MARK: str(tmp_path)}, check=True)
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: f"{tmp_path}-other"})
    try:
        while not note.exists() or Path("/proc", note.read_text().strip(), "comm").read_text() != "sleep\n":
            time.sleep(0.02)
        assert end_marked(str(tmp_path), sparing=["sleep"]) == []
        assert end_marked(str(tmp_path)) == [int(note.read_text())]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
