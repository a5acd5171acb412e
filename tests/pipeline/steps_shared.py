"""What the steps of the story share: the machine, the releases so far, and how things are done, shown and compared."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.cli.running import Ended, spawn
from tests.pipeline.images import SERVICES
from tests.pipeline.machine import Machine, RunResult
from tests.pipeline.show import Recorder

LANES: Final = ("build", "contract", "source", "integration", "e2e")
JOBS: Final = (*LANES, "promote", "deploy")
"""All jobs of the workflow."""
ENVIRONMENT: Final = "environment.yaml"
PROMOTE: Final = "policies/promote.yaml"
STAGING: Final = "policies/staging.yaml"
_LONG: Final = 60
_SECONDS: Final = 600.0
_PROJECT: Final = "playlist"


class StoryError(Exception):
    """A step could not be played at all."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Two images that were built together, under the name that the story gives them."""

    name: str
    commit: str
    run: int
    images: Mapping[str, str]
    """By service, `REPOSITORY@DIGEST` where it was built."""

    @property
    def file(self) -> str:
        """Its release file, in the checkout."""
        return f"release-{self.name}.yaml"

    def digest(self, service: str) -> str:
        """The digest of one image."""
        return self.images[service].rpartition("@")[2]


@dataclasses.dataclass(slots=True, kw_only=True)
class Story:
    """What the steps share: the machine, the releases so far, and who writes down what happens."""

    machine: Machine
    artifacts: Path
    """Where pictures and pages go."""
    recorder: Recorder
    releases: dict[str, Release] = dataclasses.field(default_factory=dict)

    # ---- what a person does

    def command(self, line: str, *, code: int, **more: str) -> str:
        """Run a line in a shell, in the checkout; show it, and what it printed; compare how it ended.

        Of commands behind pipes the first that fails decides.
        """
        done = self._shell(line, more)
        output = done.stdout.decode(errors="replace")
        self.recorder.show(line, done.returncode, output)
        self.recorder.check(f"exit code of `{_shown(line)}`", done.returncode, code)
        return output

    def ask(self, *words: object, code: int = 0) -> dict[str, Any]:
        """The same question as a script asks it: the one JSON document that a command prints."""
        return self._attest(*words, "--format", "json", code=code).document

    def check(self, what: str, got: object, want: object) -> None:
        """Compare something that has to be so."""
        self.recorder.check(what, got, want)

    def tell(self, command: str, lines: Sequence[str]) -> None:
        """Show what was done by other means, in a few lines."""
        self.recorder.show(command, 0, "\n".join(lines))

    # ---- what happens on the forge

    def commit(self, message: str) -> str:
        """Commit all of the checkout, and push it."""
        commit = self.machine.push(message)
        self.tell(f"# somebody pushes to main: {message}", [f"commit {commit}"])
        return commit

    def run(self, *jobs: str, ends: Mapping[str, str]) -> RunResult:
        """Have the forge's runner run these jobs of the workflow (none: all of them); compare how each ended."""
        result = self.machine.run(jobs=jobs)
        what = " and ".join(jobs) or "the whole workflow"
        lines = [f"{name:<12} {result.jobs.get(name, 'not run')}" for name in JOBS if name in (jobs or result.jobs)]
        self.tell(f"# the forge's runner runs {what}", lines)
        for name, end in ends.items():
            self.check(f"job {name}", result.jobs.get(name, "not run"), end)
        return result

    def lane(self, name: str, release: Release, *, attempt: int = 1, end: str = "success") -> None:
        """Have one lane's job run about a release that is there already."""
        backend, frontend = (release.images[service] for service in SERVICES)
        result = self.machine.run(run=release.run, jobs=(name,), attempt=attempt, backend=backend, frontend=frontend)
        self.tell(
            f"# the forge's runner runs {name} of run {release.run}, attempt {attempt}",
            [f"{name:<12} {result.jobs[name]}"],
        )
        self.check(f"job {name}", result.jobs[name], end)

    def release(self, name: str, commit: str, result: RunResult) -> Release:
        """The images of a run, by name from now on, with a release file in the checkout."""
        images = {service: result.outputs[service] for service in SERVICES}
        made = Release(name=name, commit=commit, run=result.run, images=images)
        self.releases[name] = made
        services = [word for service, image in images.items() for word in ("--service", f"{service}={image}")]
        self._attest("release", "create", *services, "--commit", commit, "--output", made.file, "--force")
        return made

    # ---- what is asked afterwards

    def lanes(self, release: str, *, policy: str = PROMOTE, code: int) -> dict[str, dict[str, str]]:
        """The gate's reason code by service and lane, as scripts read it."""
        document = self.ask("verify", "--release", release, "--policy", policy, code=code)
        return {
            _service(image["image"]): {lane["lane"]: lane["reason"] for lane in image["lanes"]}
            for image in document["images"]
        }

    def runs(self, name: str) -> None:
        """Compare what the engine itself says that staging runs with a release, without asking attest."""
        release = self.releases[name]
        for service in SERVICES:
            want = {"status": "running", "digest": release.digest(service)}
            self.check(f"{service} in staging, as podman says", self._observed(service), want)

    def delivery(self, **want: object) -> dict[str, Any]:
        """The newest delivery of the ledger; compare some of its members."""
        entries = self.ask("history", ENVIRONMENT)["entries"]
        last: dict[str, Any] = [one for one in entries if one["what"] == "delivery"][-1]
        self.check("the ledger's last delivery", {name: last[name] for name in want}, dict(want))
        return last

    def _observed(self, service: str) -> dict[str, str]:
        labels = (f"com.docker.compose.project={_PROJECT}", f"com.docker.compose.service={service}")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        names = self.machine.podman.run("ps", "--all", *filters, "--format", "{{.Names}}").decode().split()
        if len(names) != 1:
            return {"status": f"{len(names)} containers", "digest": ""}
        document = self.machine.podman.inspect(names[0])
        return {"status": document["State"]["Status"], "digest": document["ImageDigest"]}

    def _attest(self, *words: object, code: int = 0) -> Ended:
        ended = spawn(*words, cwd=self.machine.checkout, environment=self.machine.environment)
        if ended.code != code:
            raise StoryError(f"attest {' '.join(map(str, words))} ended with {ended.code}:\n{ended.out}{ended.err}")
        return ended

    def _shell(self, line: str, more: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.machine.checkout,
            env={**self.machine.environment, "KEYS": str(self.machine.keys), "ARTIFACTS": str(self.artifacts), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the story: what happens in it, and how it is played."""

    name: str
    title: str
    told: str
    play: Callable[[Story], None]


def step(title: str) -> Callable[[Callable[[Story], None]], Step]:
    """Make a step of a function: its docstring is what is told, and its name the step's."""

    def make(function: Callable[[Story], None]) -> Step:
        told = " ".join((function.__doc__ or "").split())
        return Step(name=function.__name__.replace("_", "-"), title=title, told=told, play=function)

    return make


def _shown(line: str) -> str:
    """The beginning of a command line."""
    first = line.partition(" \\\n")[0]
    return first if len(first) <= _LONG else f"{first[:_LONG]}..."


def both(what: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The same of each service."""
    return {service: dict(what) for service in SERVICES}


def _service(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2]
