"""Compose, by the answers of Docker and Podman that real ones do not give at will, and what outlives a command."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from attest.adapters.compose import Compose
from attest.core.environment.definition import ComposeTarget, EnvironmentService, ExecProbe
from attest.core.environment.fields import ComposeEngine
from attest.core.environment.health import Health, ProbeRule
from attest.core.environment.targets import DesiredImage, RunState
from attest.core.reference import RegistryImage, digest_of, parse_repository
from attest.errors import NotObserved, TargetFailed, UsageError
from tests.project import ROOT

RULE = ProbeRule(
    successes=1, timeout=timedelta(seconds=60), interval=timedelta(seconds=1), patience=timedelta(seconds=60)
)
REPOSITORY = parse_repository("registry.example.org/plex/backend")
REFERENCE = RegistryImage(repository=REPOSITORY, digest=digest_of(b"image"))
SERVICE = EnvironmentService(
    name="backend", repository=REPOSITORY, health=ExecProbe(argv=("x",), rule=RULE), soak=timedelta(0)
)


def docker(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, *, engine: ComposeEngine = ComposeEngine.DOCKER
) -> Compose:
    """A target whose engine is a script; it writes down what it is asked."""
    program = folder / "bin" / str(engine)
    program.parent.mkdir()
    (program.parent / "podman-compose").symlink_to("/bin/true")
    program.write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (folder / "compose.yaml").touch()
    place = ComposeTarget(
        files=(str(folder / "compose.yaml"),),
        engine=engine,
        project="plex",
        override=str(folder / "override.yaml"),
        env_file=None,
        timeout=timedelta(seconds=60),
    )
    return Compose(place, {"backend": SERVICE}, environment="staging")


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines()


CONFIG = """\
case "$*" in
    image*) echo '[{{}}]';;
    *override.yaml*config*) echo '{{"name": "plex", "services": {{"backend": {{"image": "{image}"}}}}}}';;
    *config*) echo '{{"name": "plex", "services": {{"backend": {{"image": "x", "build": {{}}}}}}}}';;
    *) exit {code};;
esac
"""


def test_docker_compose_is_asked_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `config` is read as JSON, images are looked for by digest, and only the services of the plan go up."""
    target = docker(tmp_path, monkeypatch, CONFIG.format(image=REFERENCE, code=0))
    target.apply([DesiredImage(service="backend", reference=REFERENCE)])
    files = f"--file {tmp_path}/compose.yaml"
    both = f"compose {files} --file {tmp_path}/override.yaml --project-name plex"
    assert asked(tmp_path) == [
        f"compose {files} --project-name plex config --format json",
        f"image inspect -- {REFERENCE}",
        f"{both} config --format json",
        f"{both} up --detach --no-build backend",
    ]


@pytest.mark.parametrize("image", ["registry.example.org/plex/backend:latest", ""])
def test_what_compose_makes_of_the_files_is_what_starts(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the override does not win, for whatever reason, nothing is started."""
    target = docker(tmp_path, monkeypatch, CONFIG.format(image=image, code=1))
    with pytest.raises(TargetFailed, match=r"docker compose makes '.*' of the image of backend, which is to be"):
        target.apply([DesiredImage(service="backend", reference=REFERENCE)])
    assert not any(" up " in line for line in asked(tmp_path))


SLOW = f"""\
case "$*" in
    image*) echo '[{{}}]';;
    *config*) echo '{{"name": "plex", "services": {{"backend": {{"image": "{REFERENCE}"}}}}}}';;
    *) echo begun >>FOLDER/log; while [ ! -e FOLDER/go ]; do sleep 0.05; done; echo ended >>FOLDER/log;;
esac
"""
APPLIES = """\
import pathlib, pytest, sys
from attest.core.environment.targets import DesiredImage
from tests import test_compose_answers as this
folder = pathlib.Path(sys.argv[1])
target = this.docker(folder, pytest.MonkeyPatch(), this.SLOW.replace("FOLDER", str(folder)))
target.apply([DesiredImage(service="backend", reference=this.REFERENCE)])
"""


def test_compose_that_outlives_its_command_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while Compose works, a command leaves it working; the next one does nothing until that has ended."""
    first = subprocess.Popen([sys.executable, "-c", APPLIES, str(tmp_path)], cwd=ROOT)
    log = tmp_path / "log"
    try:
        while not log.exists():
            assert first.poll() is None
            time.sleep(0.05)
    finally:
        first.kill()
        first.wait()
    (tmp_path / "bin").rename(tmp_path / "bin-before")
    target = docker(tmp_path, monkeypatch, SLOW.replace("FOLDER", str(tmp_path)))
    threading.Timer(1.0, (tmp_path / "go").touch).start()
    target.apply([DesiredImage(service="backend", reference=REFERENCE)])
    assert log.read_text().split() == ["begun", "ended", "begun", "ended"]


CONTAINER = (
    '[{"Id": "c0ffee", "Name": "/plex-backend-1", "Image": "' + REFERENCE.digest + '", '
    '"State": {"Status": "%s", "Running": %s, "Paused": %s, "StartedAt": "now", "ExitCode": 0}, '
    '"Config": {"Labels": null}}]'
)
OBSERVES = """\
case "$1" in
    ps) echo c0ffee;;
    container) echo '{container}';;
    image) echo '[{{"RepoDigests": []}}]';;
    exec) {execute};;
esac
"""


@pytest.mark.parametrize(
    ("status", "running", "paused", "state"),
    [
        ("running", "true", "false", RunState.RUNNING),
        ("paused", "true", "true", RunState.WAITING),
        ("restarting", "true", "false", RunState.RUNNING),
        ("created", "false", "false", RunState.WAITING),
        ("exited", "false", "false", RunState.EXITED),
        ("dead", "false", "false", RunState.EXITED),
        ("removing", "false", "false", RunState.WAITING),
        ("dreaming", "false", "false", RunState.UNKNOWN),
    ],
)
def test_dockers_states_are_told(
    status: str, running: str, paused: str, state: RunState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not run is told by its status; a word that nobody knows is unknown."""
    script = OBSERVES.format(container=CONTAINER % (status, running, paused), execute="true")
    (seen,) = docker(tmp_path, monkeypatch, script).observe()["backend"].instances
    assert (seen.name, seen.state, seen.instance, seen.digests) == (
        *("plex-backend-1", state, "c0ffee", frozenset({REFERENCE.digest})),
    )
    assert seen.exit_code == (0 if state is RunState.EXITED else None)


@pytest.mark.parametrize(
    ("execute", "health"),
    [
        ("true", Health.HEALTHY),
        ("false", Health.UNHEALTHY),
        ("echo 'Error response from daemon: no such thing' >&2; exit 1", Health.ERROR),
        ("kill -9 $$", Health.UNHEALTHY),
    ],
)
def test_docker_that_fails_is_no_release_that_fails(
    execute: str, health: Health, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the daemon says of itself is told from what the command in the container did."""
    script = OBSERVES.format(container=CONTAINER % ("running", "true", "false"), execute=execute)
    assert docker(tmp_path, monkeypatch, script).look_inside("backend", ["check"], seconds=60).health is health


def test_podman_that_fails_is_no_release_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own exit code podman says that it could not run the command at all."""
    script = OBSERVES.format(container=CONTAINER % ("running", "true", "false"), execute="exit 125")
    target = docker(tmp_path, monkeypatch, script, engine=ComposeEngine.PODMAN)
    assert target.look_inside("backend", ["check"], seconds=60).health is Health.ERROR


def test_an_engine_that_does_not_answer_observed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is gone is no empty environment and no bad release; a container that goes is looked for anew."""
    target = docker(tmp_path, monkeypatch, "[ $1 = ps ] && echo c0ffee || { echo gone >&2; exit 1; }")
    with pytest.raises(NotObserved, match="docker container ended with 1: gone"):
        target.observe()
    assert sum(line.startswith("ps ") for line in asked(tmp_path)) == 3
    assert target.look_inside("backend", ["check"], seconds=60).health is Health.ERROR


@pytest.mark.parametrize(
    "container", ["[{}]", '[{"Id": "c0ffee"}]', '[{"Id": "", "State": {"Status": "running"}}]', "[]"]
)
def test_half_an_answer_observed_nothing(container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that the engine lists and does not describe is an error, and never one that is not there."""
    target = docker(tmp_path, monkeypatch, OBSERVES.format(container=container, execute="true"))
    with pytest.raises(NotObserved, match=r"does not say which container|cannot be read"):
        target.observe()


def test_a_compose_that_is_not_installed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without podman-compose, or without the engine, the error says what to install."""
    (tmp_path / "podman").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    place = ComposeTarget(
        files=("compose.yaml",),
        engine=ComposeEngine.PODMAN,
        project=None,
        override="override.yaml",
        env_file=None,
        timeout=timedelta(seconds=60),
    )
    with pytest.raises(UsageError, match="podman-compose is not on PATH"):
        Compose(place, {}, environment="staging")
    with pytest.raises(UsageError, match="docker is not on PATH"):
        Compose(replace(place, engine=ComposeEngine.DOCKER), {}, environment="staging")
