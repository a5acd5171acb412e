"""What runs the pipeline: act runs a workflow file on a push, or a job's script alone is run as the job would."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import enum
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, assert_never

from tests.parts import act
from tests.pipeline.forge import BRANCH, OWNER, REPOSITORY

MARK: Final = "PLAYLIST_MACHINE"
"""The variable by which a machine knows the processes that it started."""
_SECONDS: Final = 1800.0
_ACTOR: Final = "ann"
_REF: Final = f"refs/heads/{BRANCH}"
_UPLOADS: Final = (
    "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02",
    "forgejo/upload-artifact@v4",
)


class Workflow(enum.Enum):
    """The workflow files that act can run, and what it takes for their runners."""

    FORGEJO = ".forgejo/workflows/pipeline.yaml"
    GITHUB = ".github/workflows/pipeline.yaml"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What a run is about: a commit of `main` that was pushed, by whom it is run, and for which time."""

    commit: str
    server: str
    """The address of the forge."""
    workflow: Workflow
    run: int
    attempt: int

    def context(self) -> dict[str, str]:
        """What a forge says of the run, by the names that claims of identity tokens have."""
        return {
            "sha": self.commit,
            "ref": _REF,
            "repository": f"{OWNER}/{REPOSITORY}",
            "run_id": str(self.run),
            "run_number": str(self.run),
            "run_attempt": str(self.attempt),
            "event_name": "push",
            "workflow_ref": f"{OWNER}/{REPOSITORY}/{self.workflow.value}@{_REF}",
        }

    def variables(self) -> dict[str, str]:
        """The same by the names of the variables of a job."""
        said = {name.upper(): value for name, value in self.context().items()}
        said |= {"SERVER_URL": self.server, "ACTOR": _ACTOR, "REF_NAME": BRANCH, "REPOSITORY_OWNER": OWNER}
        github = {f"GITHUB_{name}": value for name, value in said.items()}
        match self.workflow:
            case Workflow.GITHUB:
                return github
            case Workflow.FORGEJO:
                return {
                    **github,
                    **{f"FORGEJO_{name}": value for name, value in said.items()},
                    "FORGEJO_ACTIONS": "true",
                }
            case _:
                assert_never(self.workflow)

    def document(self) -> dict[str, Any]:
        """The event, as far as anybody looks at it."""
        url = f"{self.server}/{OWNER}/{REPOSITORY}"
        repository = {"full_name": f"{OWNER}/{REPOSITORY}", "default_branch": BRANCH, "html_url": url}
        return {"ref": _REF, "after": self.commit, "repository": repository, "head_commit": {"id": self.commit}}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What became of a run."""

    run: int
    commit: str
    code: int
    """0 where no job failed."""
    outputs: Mapping[str, str]
    """The images that were built, by service, as REPOSITORY@DIGEST."""
    jobs: Mapping[str, str]
    """`success`, `failure` or `skipped`, by the name of the job."""
    logs: Mapping[str, str]
    """What each job printed."""
    log: str
    """All of it."""
    artifacts: Path
    """A folder for each job that uploaded something."""


def run_act(
    checkout: Path,
    push: Push,
    folder: Path,
    *,
    environment: Mapping[str, str],
    identity: Mapping[str, str],
    secrets: Mapping[str, str],
    variables: Mapping[str, str],
    job: str | None,
    show: Callable[[str], None],
) -> RunResult:
    """Run the workflow of a checkout, all of it or one job with what it needs."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    event = act.Event(
        name="push",
        actor=_ACTOR,
        document=push.document(),
        environment={**push.variables(), **identity, "UPLOADS": str(artifacts)},
        secrets=secrets,
        variables=variables,
    )
    ran = act.run_workflow(
        checkout,
        push.workflow.value,
        event,
        folder=folder / "act",
        environment=environment,
        job=job,
        labels=("podman", "staging", "ubuntu-latest"),
        actions={name: Path(__file__).with_name("upload") for name in _UPLOADS},
        seconds=_SECONDS,
        show=show,
    )
    return RunResult(
        run=push.run,
        commit=push.commit,
        code=ran.exit_code,
        outputs=ran.job("build").outputs,
        jobs={name: one.result for name, one in ran.jobs.items()},
        logs={name: one.log for name, one in ran.jobs.items()},
        log=ran.log,
        artifacts=artifacts,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A job's script, to be run without the forge."""

    job: str
    checkout: Path
    """A checkout of its own."""
    environment: Mapping[str, str]


def run_scripts(push: Push, folder: Path, scripts: Sequence[Script], *, show: Callable[[str], None]) -> RunResult:
    """Run the scripts of jobs side by side, as their jobs would; nothing else runs, and nothing is built."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    running: list[subprocess.Popen[str]] = []

    def one(script: Script) -> tuple[int, str]:
        ended = _script(script, running, show)
        if (script.checkout / "artifacts").is_dir():
            shutil.copytree(script.checkout / "artifacts", artifacts / script.job)
        return ended

    with concurrent.futures.ThreadPoolExecutor(len(scripts)) as pool:
        try:
            ended = dict(zip((script.job for script in scripts), pool.map(one, scripts), strict=True))
        except BaseException:
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            raise
    return RunResult(
        run=push.run,
        commit=push.commit,
        code=next((code for code, _ in ended.values() if code), 0),
        outputs={},
        jobs={name: "failure" if code else "success" for name, (code, _) in ended.items()},
        logs={name: text for name, (_, text) in ended.items()},
        log="\n".join(text for _, text in ended.values()),
        artifacts=artifacts,
    )


def _script(script: Script, running: list[subprocess.Popen[str]], show: Callable[[str], None]) -> tuple[int, str]:
    lines = []
    with subprocess.Popen(
        [script.checkout / "ci" / script.job],
        cwd=script.checkout,
        env=dict(script.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            show(f"[{script.job}] {lines[-1]}")
    return process.returncode, "\n".join(lines)


def by_hand(checkout: Path, name: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a script of `ci/` as a person would."""
    return subprocess.run(
        [checkout / "ci" / name],
        cwd=checkout,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )


def end_marked(mark: str, *, sparing: Sequence[str] = ()) -> list[int]:
    """End every process that was started with this mark in its environment, but for programs of these names.

    Those that were still there.
    """
    ended = []
    for pid in _marked(mark):
        with contextlib.suppress(OSError):
            if (Path("/proc") / str(pid) / "comm").read_text().strip() not in sparing:
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
    return ended


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
