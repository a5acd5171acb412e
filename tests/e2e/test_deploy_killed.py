"""`kill -9` at every step of a deployment, of a rollback and of a repair: the next command finishes, or undoes."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.running import clean_environment
from tests.e2e.mortal_delivery import SURVIVED
from tests.e2e.staging import ENVIRONMENT, Staging, staging
from tests.parts.registry import Registry
from tests.project import ROOT

pytestmark = pytest.mark.parts

slow = pytest.mark.slow
KEPT = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "running.json", "hook.log")


@dataclass(slots=True, kw_only=True)
class Mortal:
    """An environment at one moment, from which every death starts."""

    site: Staging
    steps: int = 0

    def remember(self) -> None:
        """This is the moment."""
        for name in KEPT:
            saved = self.site.folder / f"{name}.saved"
            saved.unlink(missing_ok=True)
            if (self.site.folder / name).exists():
                shutil.copy(self.site.folder / name, saved)

    def return_to_it(self) -> None:
        """Have everything as it was."""
        for name in KEPT:
            file = self.site.folder / name
            file.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(self.site.folder / f"{name}.saved", file)

    def run(self, step: int, *arguments: str) -> tuple[int, str]:
        """The exit code of a command that dies at this step, 0 being none, and what it wrote to stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.mortal_delivery", str(step), *arguments],
            cwd=self.site.folder,
            env={**clean_environment(self.site.folder, **self.site.scene.environment), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        said = done.stderr.decode()
        if SURVIVED in said.split():
            self.steps = int(said.split()[-1])
        return done.returncode, said

    def deaths(self, *arguments: str, every: int = 1) -> Iterator[int]:
        """Each step of a command at which it is killed, from the same moment; the block is what comes after."""
        self.remember()
        self.run(0, *arguments)
        steps = self.steps
        assert steps > 10
        for step in range(1, steps + 1, every):
            self.return_to_it()
            code, said = self.run(step, *arguments)
            assert code == -signal.SIGKILL, said
            yield step

    def check(self, *releases: int) -> None:
        """The ledger is whole, nothing is unfinished, and one of these releases runs, whole."""
        assert self.site.records()  # followed from the first record on
        status = self.site.status().document
        assert status["unfinished"] is None
        assert any(self.site.runs(number) for number in releases), self.site.running()


@pytest.fixture
def mortal(olareg: Registry, tmp_path: Path) -> Iterator[Mortal]:
    """Two services, of which release 1 runs; release 2 is good, release 3 is sick."""
    with staging(tmp_path, olareg, services=("api", "web")) as site:
        site.release(1)
        assert site.deploy(1).code == 0
        site.release(2)
        site.release(3, sick=True)
        yield Mortal(site=site)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=slow)])
def test_a_deployment_that_was_killed_is_finished_by_the_same_command(mortal: Mortal, every: int) -> None:
    """Killed at any step, the same command again ends with the release running, succeeded, and nothing unfinished."""
    site = mortal.site
    command = ("deploy", ENVIRONMENT, *site.images(2), "--wait", "90")
    for step in mortal.deaths(*command, every=every):
        interrupted = site.status("--recorded").document["unfinished"]
        ended = site.attest(*command)
        assert ended.code == 0, (step, ended.err)
        mortal.check(2)
        if interrupted is not None:
            told = "was interrupted" if interrupted["touched"] else "is given up"
            assert told in ended.err, (step, ended.err)
        assert {state for _, state in site.states()} <= {"succeeded", "superseded"}


@slow
def test_a_release_that_fails_is_rolled_back_however_often_it_is_killed(mortal: Mortal) -> None:
    """Killed at any step of a failing deployment and its rollback, the next command ends with the good release."""
    site = mortal.site
    command = ("deploy", ENVIRONMENT, *site.images(3), "--wait", "90")
    for step in mortal.deaths(*command):
        ended = site.attest(*command)
        assert ended.code == 1, (step, ended.out, ended.err)
        mortal.check(1)
        assert "rolled-back" in {state for _, state in site.states()}, step


@slow
def test_a_rollback_that_was_killed_is_finished_and_not_undone(mortal: Mortal) -> None:
    """Killed at any step, `attest rollback` again ends where the first one would have, and goes back no further."""
    site = mortal.site
    assert site.deploy(2).code == 0
    command = ("rollback", ENVIRONMENT, "--wait", "90")
    for step in mortal.deaths(*command):
        finished = site.status("--recorded").document["current"]
        if finished["kind"] == "rollback" and finished["state"] == "succeeded":
            mortal.check(1)  # it was killed when all was done
            continue
        ended = site.attest(*command)
        assert ended.code == 0, (step, ended.out, ended.err)
        mortal.check(1)


@slow
def test_a_rollback_undoes_what_was_killed(mortal: Mortal) -> None:
    """`attest rollback` after a deployment that was killed brings the good release back, and finishes no other."""
    site = mortal.site
    for step in mortal.deaths("deploy", ENVIRONMENT, *site.images(2), "--wait", "90"):
        current = site.status("--recorded").document["current"]
        if current["deployment"] == 1:
            continue  # nothing was touched yet, and what runs is what would be undone
        ended = site.rollback("--wait", "90")
        assert ended.code == 0, (step, ended.out, ended.err)
        mortal.check(1)


@slow
def test_a_repair_that_was_killed_is_finished(mortal: Mortal) -> None:
    """Killed at any step, `attest reconcile` again ends with what should run."""
    site = mortal.site
    site.tamper("web", "sha256:" + "0" * 64)
    command = ("reconcile", ENVIRONMENT, "--wait", "90")
    for step in mortal.deaths(*command):
        ended = site.attest(*command)
        assert ended.code == 0, (step, ended.out, ended.err)
        mortal.check(1)
