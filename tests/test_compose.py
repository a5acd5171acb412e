"""Compose: real podman and podman-compose deploy real images by digest, and what runs is seen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from attest.adapters.compose import Compose
from attest.core.environment.definition import ComposeTarget, EnvironmentService, ExecProbe, OneShot
from attest.core.environment.fields import ComposeEngine
from attest.core.environment.health import Health, ProbeRule
from attest.core.environment.targets import DesiredImage, Match, RunState, compare
from attest.core.reference import Digest, RegistryImage, digest_of, parse_reference, parse_repository
from attest.errors import DocumentInvalid, NotObserved, TargetFailed, UsageError
from tests.parts.containers import Podman
from tests.parts.find import lacking
from tests.parts.images import BuiltImage, PushedImage, push
from tests.parts.registry import Registry

RULE = ProbeRule(
    successes=1, timeout=timedelta(seconds=60), interval=timedelta(seconds=1), patience=timedelta(seconds=60)
)
SLEEPS = 'entrypoint: ["/bin/sleep", "100000"]\n    stop_signal: SIGKILL'


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A folder with Compose files, an engine, and two versions of an application in one repository of a registry."""

    folder: Path
    podman: Podman
    first: PushedImage
    second: PushedImage

    @property
    def project(self) -> str:
        """What Compose calls it: the name of the folder."""
        return self.folder.name

    def write(self, text: str, *, name: str = "compose.yaml") -> None:
        """A Compose file; REPOSITORY stands for that of the images."""
        (self.folder / name).write_text(text.replace("REPOSITORY", self.first.repository))

    def target(
        self, *, files: tuple[str, ...] = ("compose.yaml",), oneshot: tuple[str, ...] = (), **more: object
    ) -> Compose:
        """The target of an environment with the services `backend` and `worker`, both of that repository."""
        place = ComposeTarget(
            files=tuple(str(self.folder / file) for file in files),
            engine=ComposeEngine.PODMAN,
            project=None,
            override=str(self.override),
            env_file=None,
            timeout=timedelta(seconds=120),
        )
        services = {
            name: EnvironmentService(
                name=name,
                repository=parse_repository(self.first.repository),
                health=OneShot(timeout=timedelta(seconds=60)) if name in oneshot else ExecProbe(argv=("x",), rule=RULE),
                soak=timedelta(0),
            )
            for name in ("backend", "worker")
        }
        return Compose(replace(place, **more), services, environment="staging")  # type: ignore[arg-type]

    @property
    def override(self) -> Path:
        """The file that is written."""
        return self.folder / "compose.staging.attest.yaml"

    def containers(self) -> list[str]:
        """The names of the project's containers, running or not."""
        listed = self.podman.run(
            "ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}", "--format", "{{.Names}}"
        )
        return sorted(listed.decode().split())


def plan(image: PushedImage, *services: str) -> list[DesiredImage]:
    """This image for the services, or for the backend."""
    reference = parse_reference(image.reference)
    assert isinstance(reference, RegistryImage)
    return [DesiredImage(service=service, reference=reference) for service in services or ("backend",)]


def names(image: PushedImage) -> frozenset[Digest]:
    return frozenset({Digest(image.digest)})


@pytest.fixture
def stage(
    podman: Podman,
    docker_registry: Registry,
    sample_image: BuiltImage,
    other_image: BuiltImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    """A stage whose containers are gone at the end of the test."""
    programs = Path(sys.executable).parent
    if not (programs / "podman-compose").exists():
        lacking("podman-compose is not here; it comes with the development dependencies")
    monkeypatch.setenv("PATH", f"{podman.programs}{os.pathsep}{programs}{os.pathsep}{os.environ['PATH']}")
    first = push(sample_image, docker_registry)
    podman.trust(first.repository.partition("/")[0])
    second = push(other_image, docker_registry, first.repository)
    folder = tmp_path / f"plex-{tmp_path.name[-8:].replace('_', '-').lower()}"
    folder.mkdir()
    made = Stage(folder=folder, podman=podman, first=first, second=second)
    try:
        yield made
    finally:
        for name in made.containers():
            podman.remove(name)


ONE = f"""\
# The staging machine.
services:
  backend:
    image: REPOSITORY:latest   # attest deploys by digest
    network_mode: host
    {SLEEPS}
"""


@pytest.mark.parts
def test_a_release_is_deployed_and_seen_by_digest(stage: Stage) -> None:
    """What runs is the digest of the plan; the user's file is untouched, and its tag, which is not there, is unused."""
    stage.write(ONE)
    before = (stage.folder / "compose.yaml").read_bytes()
    target = stage.target()
    assert target.observe()["backend"].state is RunState.ABSENT
    target.prepare(plan(stage.first))
    assert not stage.override.exists()
    assert stage.containers() == []
    target.apply(plan(stage.first))
    observed = target.observe()["backend"]
    assert compare(observed, names(stage.first)) is Match.SAME
    assert compare(observed, names(stage.second)) is Match.OTHER
    assert (stage.folder / "compose.yaml").read_bytes() == before
    assert stage.override.read_text() == (
        "# Written by attest for the environment staging: the images that it deployed.\n"
        f'services:\n  "backend":\n    image: "{stage.first.reference}"\n'
    )
    target.apply(plan(stage.first))
    assert target.observe()["backend"] == observed  # the same container, not started again
    target.apply(plan(stage.second))
    assert compare(target.observe()["backend"], names(stage.second)) is Match.SAME
    assert len(stage.containers()) == 1


BOTH = f"""\
services:
  backend:
    image: REPOSITORY:latest
    network_mode: host
    {SLEEPS}
  worker:
    image: REPOSITORY:latest
    network_mode: host
    {SLEEPS}
"""


@pytest.mark.parts
def test_a_service_that_is_not_in_the_plan_stays_as_it_is(stage: Stage) -> None:
    """Its image stays in the override file, and its container is the one from before."""
    stage.write(BOTH)
    target = stage.target()
    target.apply(plan(stage.first, "backend", "worker"))
    worker = target.observe()["worker"]
    target.apply(plan(stage.second, "backend"))
    observed = target.observe()
    assert compare(observed["backend"], names(stage.second)) is Match.SAME
    assert observed["worker"] == worker
    assert stage.override.read_text().splitlines()[2:] == [
        *(
            '  "backend":',
            f'    image: "{stage.second.reference}"',
            '  "worker":',
            f'    image: "{stage.first.reference}"',
        )
    ]


@pytest.mark.parts
def test_what_was_left_half_done_is_finished(stage: Stage) -> None:
    """A container that is gone, stopped or paused is told, and a second `apply` leaves what was wanted."""
    stage.write(ONE)
    target = stage.target()
    target.apply(plan(stage.first))
    (name,) = stage.containers()
    stage.podman.run("stop", "--time", "0", name)
    (stopped,) = target.observe()["backend"].instances
    assert (stopped.state, stopped.ends, stopped.failed) == (RunState.EXITED, False, True)
    target.apply(plan(stage.first))
    assert compare(target.observe()["backend"], names(stage.first)) is Match.SAME
    stage.podman.remove(name)
    assert compare(target.observe()["backend"], names(stage.first)) is Match.ABSENT
    target.apply(plan(stage.first))
    assert compare(target.observe()["backend"], names(stage.first)) is Match.SAME


@pytest.mark.parts
def test_what_somebody_started_by_hand_is_seen(stage: Stage) -> None:
    """Another image under the same service is another image, until it is deployed again; so is one replica of two."""
    stage.write(ONE)
    target = stage.target()
    target.apply(plan(stage.first))
    labels = [f"com.docker.compose.project={stage.project}", "com.docker.compose.service=backend"]
    options = [word for label in labels for word in ("--label", label)]
    stage.podman.run("pull", "--quiet", stage.second.reference)
    with stage.podman.container(stage.second.reference, options=options):
        observed = target.observe()["backend"]
        assert len(observed.instances) == 2
        assert compare(observed, names(stage.first)) is Match.OTHER
    one_off = [*options, "--label", "com.docker.compose.oneoff=True"]
    with stage.podman.container(stage.second.reference, options=one_off):
        assert compare(target.observe()["backend"], names(stage.first)) is Match.SAME


@pytest.mark.parts
def test_an_image_that_cannot_be_had_touches_nothing(stage: Stage) -> None:
    """A digest that the registry does not have is an error before the file is written, and what runs goes on."""
    stage.write(ONE)
    target = stage.target()
    target.apply(plan(stage.first))
    before, written = target.observe(), stage.override.read_bytes()
    gone = replace(stage.first, digest=digest_of(b"never pushed"))
    for step in (target.prepare, target.apply):
        with pytest.raises(TargetFailed, match="podman pull ended with 125"):
            step(plan(gone))
    assert target.observe() == before
    assert stage.override.read_bytes() == written


@pytest.mark.parts
def test_a_service_that_does_its_work_and_ends(stage: Stage) -> None:
    """A one-shot that ended with 0 is what was wanted; one that ended otherwise failed, and its code is told."""
    stage.write(
        """\
services:
  backend: {image: REPOSITORY, network_mode: host, entrypoint: [/bin/true]}
  worker: {image: REPOSITORY, network_mode: host, entrypoint: [/bin/sh, -c, exit 3]}
"""
    )
    target = stage.target(oneshot=("backend", "worker"))
    target.apply(plan(stage.first, "backend", "worker"))
    for name in stage.containers():
        stage.podman.run("wait", name)
    observed = target.observe()
    assert compare(observed["backend"], names(stage.first)) is Match.SAME
    (failed,) = observed["worker"].instances
    assert (failed.state, failed.exit_code, failed.detail) == (RunState.EXITED, 3, "exited")
    assert compare(observed["worker"], names(stage.first)) is Match.FAILED


@pytest.mark.parts
def test_a_command_in_its_containers_says_how_a_service_is(stage: Stage) -> None:
    """0 is healthy; another code, a program that is not in the image, and one that hangs are the release's doing."""
    stage.write(ONE)
    target = stage.target()
    assert target.look_inside("backend", ["/bin/true"], seconds=60).health is Health.UNHEALTHY
    target.apply(plan(stage.first))

    def look(*argv: str, seconds: float = 60) -> tuple[Health, str]:
        found = target.look_inside("backend", argv, seconds=seconds)
        return found.health, found.detail

    (name,) = stage.containers()
    assert look("/bin/sh", "-c", "test -f /app/greet") == (Health.HEALTHY, "/bin/sh ended with 0")
    assert look("/bin/sh", "-c", "echo not yet >&2; exit 3") == (
        *(Health.UNHEALTHY, f"/bin/sh ended with 3 in {name}: not yet"),
    )
    assert look("/no/such/program")[0] is Health.UNHEALTHY
    assert look("/bin/sleep", "1000", seconds=3) == (
        *(Health.UNHEALTHY, f"/bin/sleep did not end within 3 s in {name}"),
    )
    stage.podman.run("stop", "--time", "0", name)
    assert look("/bin/true") == (Health.UNHEALTHY, f"backend does not run: {name} is exited")


@pytest.mark.parts
def test_the_environment_says_what_is_deployed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that would name other files or another project count for nothing; `name` and `project` do."""
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"):
        monkeypatch.setenv(name, "elsewhere")
    stage.write(f"name: {stage.project}-named\n{ONE}")
    stage.target().apply(plan(stage.first))
    assert stage.containers() == []
    named = replace(stage, folder=stage.folder.with_name(f"{stage.project}-named"))
    (name,) = named.containers()
    assert compare(stage.target().observe()["backend"], names(stage.first)) is Match.SAME
    assert stage.target(project=stage.project).observe()["backend"].state is RunState.ABSENT
    stage.podman.remove(name)
    stage.target(project=stage.project).apply(plan(stage.first))
    assert len(stage.containers()) == 1


@pytest.mark.parts
def test_several_files_are_merged_before_ours(stage: Stage) -> None:
    """The last of the user's files loses to the override, and variables come from the file that is named."""
    stage.write(BOTH)
    stage.write("services: {backend: {image: REPOSITORY:other, environment: [SAID=$SAID]}}", name="more.yaml")
    (stage.folder / "variables").write_text("SAID=hello\n")
    target = stage.target(files=("compose.yaml", "more.yaml"), env_file=str(stage.folder / "variables"))
    target.apply(plan(stage.first))
    assert compare(target.observe()["backend"], names(stage.first)) is Match.SAME
    assert target.observe()["worker"].state is RunState.ABSENT
    look = target.look_inside("backend", ["/bin/sh", "-c", 'test "$SAID" = hello'], seconds=60)
    assert look.health is Health.HEALTHY


WORKER = "worker: {image: REPOSITORY:latest, network_mode: host}"


@pytest.mark.parts
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {worker: {image: REPOSITORY}}", "there is no service backend; there are worker"),
        ("services: {backend: {build: .}}", "the service backend is built on this machine"),
        *(
            (f"services: {{backend: {{image: REPOSITORY, {need}}}, {WORKER}}}", "backend starts worker too")
            for need in (
                *("depends_on: [worker]", "depends_on: {worker: {condition: service_started}}"),
                *("network_mode: service:worker", "extends: worker", "extends: {service: worker}"),
            )
        ),
        (
            "services: {backend: {image: REPOSITORY, depends_on: [db]}, db: {image: db, depends_on: [worker]}, "
            f"{WORKER}}}",
            "db starts worker too",
        ),
        (
            f"services: {{backend: {{image: REPOSITORY, extends: {{file: base.yaml, service: a}}}}, {WORKER}}}",
            "backend extends a service of another file",
        ),
    ],
)
def test_files_that_do_not_allow_a_plan_are_refused(stage: Stage, text: str, words: str) -> None:
    """A service that is not there, only builds, or would start another without a digest: nothing is touched."""
    stage.write("services: {a: {image: REPOSITORY}}", name="base.yaml")
    stage.write(text)
    target = stage.target()
    for step in (target.prepare, target.apply):
        with pytest.raises(DocumentInvalid, match=words):
            step(plan(stage.first))
    assert not stage.override.exists()
    assert stage.containers() == []


@pytest.mark.parts
def test_files_that_cannot_be_read_are_refused(stage: Stage) -> None:
    """A file that is not there or is no Compose file fails with what Compose says of it, and observes nothing."""
    target = stage.target()
    with pytest.raises(TargetFailed, match="podman-compose config ended with"):
        target.prepare(plan(stage.first))
    with pytest.raises(NotObserved, match="podman-compose config ended with"):
        target.observe()
    stage.write("services: [")
    with pytest.raises(TargetFailed, match="podman-compose config ended with"):
        target.prepare(plan(stage.first))


@pytest.mark.parts
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("services: {worker: {image: 'REPOSITORY:latest'}}", "worker has no image by digest of"),
        ("services: {worker: {image: 'registry.example.org/evil@sha256:" + "0" * 64 + "'}}", "has no image by digest"),
        ("services: {worker: {}}", "worker has no image by digest of"),
        ("services: {worker: {image: nothing}}", "worker has no image by digest of"),
        ("services: [", "this is not YAML"),
        ("[]", "this is no mapping"),
    ],
)
def test_an_override_file_that_somebody_changed_is_not_kept(stage: Stage, content: str, words: str) -> None:
    """Only images by digest of the service's own repository stay; anything else is refused."""
    stage.write(BOTH)
    stage.override.write_text(content.replace("REPOSITORY", stage.first.repository))
    with pytest.raises(DocumentInvalid, match=words):
        stage.target().apply(plan(stage.first))
    assert stage.containers() == []


@pytest.mark.parts
def test_a_plan_for_something_else_is_no_plan(stage: Stage) -> None:
    """A service is bound to one repository, and no other service is deployed."""
    stage.write(ONE)
    other = replace(stage.first, repository="registry.example.org/evil")
    for wrong in (plan(other), plan(stage.first, "cache")):
        with pytest.raises(UsageError, match="is no image of the service"):
            stage.target().apply(wrong)
    (stage.folder / "link.yaml").symlink_to(stage.folder / "compose.yaml")
    with pytest.raises(UsageError, match="is a link to a file that Compose is given"):
        stage.target(override=str(stage.folder / "link.yaml"))
