"""act runs workflow files on this machine, without an engine: jobs are shell processes of the host.

`actions/checkout` of the repository itself is done by act, which copies the folder that it is started in. A job gets
the environment that act was started with, so secrets are handed over in a file and never there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.parts.find import require
from tests.parts.process import Command, PartError, plain_environment, run

_STOP_SECONDS: Final = 15.0
_ERASED: Final = re.compile(r".*\x1b\[[0-2]?K")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclasses.dataclass(slots=True, kw_only=True)
class Job:
    """What became of a job: `success` or `failure`; `skipped` where act never began it."""

    name: str
    result: str = "skipped"
    outputs: dict[str, str] = dataclasses.field(default_factory=dict)
    """What its steps wrote to GITHUB_OUTPUT, by name."""
    lines: list[str] = dataclasses.field(default_factory=list)
    """What its commands printed."""

    @property
    def log(self) -> str:
        """What its commands printed, as one text."""
        return "\n".join(self.lines)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of a run of a workflow."""

    exit_code: int
    jobs: Mapping[str, Job]
    """By their ids; one that act did not begin is not in it."""
    log: str
    """Everything that act said, for whoever has to find out why it failed."""

    def job(self, name: str) -> Job:
        """A job, `skipped` where act did not begin it."""
        return self.jobs.get(name) or Job(name=name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a run is started by, and what its jobs can know."""

    name: str
    actor: str
    document: Mapping[str, Any]
    environment: Mapping[str, str]
    """Variables of every job, that act's own context is made of as well."""
    secrets: Mapping[str, str]
    variables: Mapping[str, str]


def run_workflow(
    checkout: Path,
    workflow: str,
    event: Event,
    *,
    folder: Path,
    environment: Mapping[str, str],
    job: str | None = None,
    labels: Sequence[str],
    show: Callable[[str], None],
    actions: Mapping[str, Path] | None = None,
    seconds: float = 1800.0,
) -> Ran:
    """Run a workflow file of a checkout to its end: all jobs, or one with those that it needs.

    Everything that act writes is below `folder`. `environment` is the whole environment of act and of the jobs;
    `labels` are the runners that the host stands for, and `actions` folders that stand in for actions, by their names
    with `@` and the version as the workflow has it. `show` gets each line that a job prints, as `[job] line`, when it
    does. Raises PartError where it takes too long, or act cannot read the workflow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, action in (actions or {}).items():
        _keep_action(name, action, folder / "work")
    command = _command(workflow, event, folder, labels, job)
    with _running(command, checkout, {**environment, **_own(folder)}) as process:
        watch = threading.Timer(seconds, process.terminate)
        watch.start()
        try:
            reader = _Reader(show)
            assert process.stdout is not None
            for line in process.stdout:
                reader.read(line)
            code = process.wait()
        finally:
            late = not watch.is_alive()
            watch.cancel()
            (folder / "secret.yaml").unlink()
    log = "\n".join(reader.lines)
    if late:
        raise PartError(f"act took more than {seconds} s:\n{log[-4000:]}")
    if code != 0 and not reader.jobs:
        raise PartError(f"act ended with {code} and began no job:\n{log[-4000:]}")
    return Ran(exit_code=code, jobs=reader.jobs, log=log)


def _keep_action(name: str, action: Path, kept: Path) -> None:
    """Put an action where act keeps those that it cloned, so that it asks nobody for it."""
    clone = kept / name.replace("/", "-")
    shutil.copytree(action, clone)
    for arguments in (
        ("init", "--quiet"),
        ("add", "."),
        ("commit", "--quiet", "-m", name),
        ("tag", name.partition("@")[2]),
    ):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        run(Command(arguments=["git", *identity, *arguments], environment=plain_environment(kept), directory=clone))


def _command(workflow: str, event: Event, folder: Path, labels: Sequence[str], job: str | None) -> list[str | Path]:
    (folder / "event.json").write_text(json.dumps(event.document))
    given = {"env": event.environment, "secret": event.secrets, "var": event.variables, "input": {}}
    files: list[str | Path] = []
    for name, content in given.items():
        # Where its name says so act takes such a file for YAML, which JSON is.
        file = folder / f"{name}.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(content))
        files += [f"--{name}-file", file]
    return [
        *(require("act"), event.name, "--json", "--workflows", workflow, "--eventpath", folder / "event.json", *files),
        *(word for label in labels for word in ("--platform", f"{label}=-self-hosted")),
        *(
            "--action-offline-mode",
            "--action-cache-path",
            folder / "work",
            "--no-cache-server",
            "--container-daemon-socket",
            "-",
        ),
        *("--concurrent-jobs", "4", "--actor", event.actor, "--pull=false"),
        *(("--job", job) if job else ()),
    ]


def _own(folder: Path) -> dict[str, str]:
    """Nothing of the user's, and nobody is asked for news. Jobs have a terminal here, but one that only prints."""
    return {
        "TERM": "dumb",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "ACT_DISABLE_VERSION_CHECK": "1",
    }


@contextlib.contextmanager
def _running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
    process = subprocess.Popen(
        [*guard, *(str(word) for word in command)],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, sent)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


class _Reader:
    """Understands what act prints, a JSON object a line; what is none is kept as text."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.jobs: dict[str, Job] = {}
        self.lines: list[str] = []
        self._show = show

    def read(self, line: str) -> None:
        """Take the next line."""
        try:
            said = json.loads(line)
        except ValueError:
            said = {"msg": line}
        if not isinstance(said, dict):
            said = {"msg": line}
        text = _seen(str(said.get("msg", "")))
        name = said.get("jobID")
        self.lines.append(f"[{name}] {text}" if name else text)
        if not isinstance(name, str):
            return
        job = self.jobs.setdefault(name, Job(name=name))
        if said.get("raw_output") and (text or not said["msg"].strip("\n")):
            job.lines.append(text)
            self._show(f"[{name}] {text}")
        if said.get("command") == "set-output":
            job.outputs[str(said.get("name"))] = str(said.get("arg"))
        if "jobResult" in said:
            job.result = str(said["jobResult"])
            self._show(f"[{name}] -- {job.result}")


def _seen(line: str) -> str:
    """What is left of a line on the terminal that a job has: what it erased or wrote over is not there any more."""
    return _ESCAPES.sub("", _ERASED.sub("", line)).rstrip("\r\n").rpartition("\r")[2]
