"""Docker Compose and podman-compose: images by digest through an override file, and what their containers run.

Only that file is written; the user's own files are never touched. Compose merges files in their order (compose-spec,
"Merge and override"), so the last one names the image of each service, and what Compose makes of all of them is read
back before anything is started. Which containers belong to a service is told by the labels that both programs set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from attest.adapters.containers import Container, Engine, EngineName, describe_container, find_engine, list_containers
from attest.adapters.files import read_file, write_file
from attest.adapters.programs import alone_in, ask_program, require_success
from attest.core import limits
from attest.core.environment.definition import ComposeTarget, EnvironmentService, OneShot
from attest.core.environment.health import Health, Look
from attest.core.environment.targets import DesiredImage, Instance, Observed, RunState
from attest.core.reference import RegistryImage, parse_reference
from attest.errors import AttestError, DocumentInvalid, NotObserved, ReferenceInvalid, TargetFailed, UsageError

_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_ONE_OFF: Final = "com.docker.compose.oneoff"
_AMBIENT: Final = frozenset(
    {"COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"}
)
"""Variables that would say what is deployed; the environment document does, and nothing else."""
_SECONDS: Final = 120.0
"""For an answer that starts nothing."""
_PULL_SECONDS: Final = 1800.0
_LOOKS: Final = 3
"""Times that containers are listed anew because one of them was gone before it was described."""
_STATES: Final = {
    "exited": RunState.EXITED,
    "stopped": RunState.EXITED,
    "dead": RunState.EXITED,
    **dict.fromkeys(("created", "configured", "initialized", "paused", "restarting", "stopping"), RunState.WAITING),
    "removing": RunState.WAITING,
}
_ENGINE_FAILED: Final = {EngineName.PODMAN: 125}
"""Exit codes by which `exec` says that it, and not the command, failed (podman-exec(1), "EXIT STATUS")."""
_DAEMON_SAYS: Final = b"Error response from daemon"


class Compose:
    """`attest.targetports.Target` on one machine, and commands in the containers of a service."""

    def __init__(self, place: ComposeTarget, services: Mapping[str, EnvironmentService], *, environment: str) -> None:
        """For the services of the environment of this name. Nothing is asked yet.

        Raises:
            UsageError: the engine or its Compose is not installed.
        """
        self._place = place
        self._services = services
        self._environment = environment
        self._engine = find_engine(EngineName(place.engine))
        self._files = tuple(os.path.realpath(file) for file in place.files)
        self._override = os.path.realpath(place.override)
        if self._override in self._files:
            raise UsageError(f"{place.override} is a link to a file that Compose is given", hint="name one of its own")
        self._command = _command(self._engine)
        self._project = place.project

    # ---- attest.targetports.Target

    def prepare(self, plan: Sequence[DesiredImage]) -> None:
        """Read the files, check the plan against them, and have the engine fetch every image by digest."""
        self._check(plan, self._kept(plan))
        for desired in plan:
            _have_image(self._engine, desired.reference)

    def apply(self, plan: Sequence[DesiredImage]) -> None:
        """Write the override file, see what Compose makes of it, and start the services of the plan."""
        seconds = self._place.timeout.total_seconds()
        with alone_in(str(Path(self._override).parent), who=self._who, seconds=seconds) as hold:
            kept = self._kept(plan)
            self._check(plan, kept)
            for desired in plan:
                _have_image(self._engine, desired.reference)
            images = {**kept, **{desired.service: desired.reference for desired in plan}}
            write_file(self._place.override, _override_text(self._environment, images))
            self._check_merged(images)
            names = [desired.service for desired in plan]
            self._ask("up", "--detach", "--no-build", *names, override=True, seconds=seconds, hold=hold)

    def observe(self) -> Mapping[str, Observed]:
        """What the containers of each service are made of, all of them."""
        return {name: self._observe(name) for name in self._services}

    # ---- commands in containers

    def look_inside(self, service: str, argv: Sequence[str], *, seconds: float) -> Look:
        """Run a command in each container of a service: healthy where it ends with 0 in all of them."""
        try:
            instances = self._observe(service).instances
        except AttestError as error:
            return Look(health=Health.ERROR, detail=error.message)
        running = [one for one in instances if one.state is RunState.RUNNING]
        if len(running) < len(instances) or not running:
            states = ", ".join(f"{one.name} is {one.state}" for one in instances) or "there is no container of it"
            return Look(health=Health.UNHEALTHY, detail=f"{service} does not run: {states}")
        for one in running:
            look = self._execute(one, argv, seconds=seconds)
            if look.health is not Health.HEALTHY:
                return look
        return Look(health=Health.HEALTHY, detail=f"{argv[0]} ended with 0")

    def _execute(self, one: Instance, argv: Sequence[str], *, seconds: float) -> Look:
        assert one.instance is not None  # noqa: S101 - every container that is described has an id
        try:
            answer = ask_program(
                [self._engine.program, "exec", one.instance, *argv], who=f"{argv[0]} in {one.name}", seconds=seconds
            )
            still = describe_container(self._engine, one.instance).running
        except AttestError as error:
            return Look(health=Health.ERROR, detail=error.message)
        if answer.status == 0:
            return Look(health=Health.HEALTHY, detail=f"{argv[0]} ended with 0 in {one.name}")
        if not still:
            return Look(health=Health.UNHEALTHY, detail=f"{one.name} ended while {argv[0]} ran in it")
        if answer.status is None:
            return Look(health=Health.UNHEALTHY, detail=f"{argv[0]} did not end within {seconds:g} s in {one.name}")
        failed = answer.status == _ENGINE_FAILED.get(self._engine.name) or answer.complaint.startswith(_DAEMON_SAYS)
        detail = f"{argv[0]} ended with {answer.status} in {one.name}: {answer.said or 'it said nothing'}"
        return Look(health=Health.ERROR if failed else Health.UNHEALTHY, detail=detail)

    # ---- the plan against the files

    def _check(self, plan: Sequence[DesiredImage], kept: Mapping[str, RegistryImage]) -> None:
        services = self._services_of(self._config(override=False))
        named = {desired.service: desired.reference for desired in plan}
        for name, reference in named.items():
            bound = self._services.get(name)
            if bound is None or bound.repository != reference.repository:
                raise UsageError(f"{reference} is no image of the service {name} of {self._environment}")
            if name not in services:
                known = ", ".join(services) or "none"
                raise self._wrong(f"there is no service {name}; there are {known}")
            if "image" not in services[name] and "build" in services[name]:
                problem = f"the service {name} is built on this machine; what is deployed was built and attested before"
                raise self._wrong(problem, hint=f"give it an `image`, as in image: {reference.repository}")
        unnamed = self._services.keys() - named.keys() - kept.keys()
        for name, need in _needs(services, named):
            if need in unnamed:
                problem = f"{name} starts {need} too, for which there is no image by digest"
                raise self._wrong(problem, hint=f"deploy {need} with it")
            if need == _ELSEWHERE and unnamed:
                problem = f"{name} extends a service of another file, so what it starts cannot be told"
                raise self._wrong(problem, hint=f"deploy all services together: {', '.join(sorted(unnamed))} too")

    def _check_merged(self, images: Mapping[str, RegistryImage]) -> None:
        merged = self._services_of(self._config(override=True))
        for service, reference in images.items():
            found = merged.get(service, {}).get("image")
            if found != str(reference):
                raise TargetFailed(f"{self._who} makes {found!r} of the image of {service}, which is to be {reference}")

    def _wrong(self, problem: str, *, hint: str | None = None) -> DocumentInvalid:
        return DocumentInvalid(problem, file=self._place.files[-1], hint=hint)

    def _kept(self, plan: Sequence[DesiredImage]) -> dict[str, RegistryImage]:
        """The images of services that are not in the plan, as the override file names them: they stay as they are."""
        if not Path(self._override).exists():
            return {}
        file = self._place.override
        document = _read_yaml(read_file(self._override, limit=limits.DOCUMENT), file)
        kept = {}
        for name, service in self._services_of(document).items():
            if name not in self._services or any(desired.service == name for desired in plan):
                continue
            try:
                reference = parse_reference(str(service.get("image")))
            except ReferenceInvalid:
                reference = None
            if not isinstance(reference, RegistryImage) or reference.repository != self._services[name].repository:
                problem = f"the service {name} has no image by digest of {self._services[name].repository}"
                raise DocumentInvalid(problem, file=file, hint="attest writes this file; remove it, and deploy again")
            kept[name] = reference
        return kept

    # ---- Compose

    @property
    def _who(self) -> str:
        return "docker compose" if self._engine.name is EngineName.DOCKER else "podman-compose"

    def _config(self, *, override: bool) -> dict[str, Any]:
        """What Compose makes of the files, with everything included and replaced."""
        words = ("config", "--format", "json") if self._engine.name is EngineName.DOCKER else ("config",)
        content = self._ask(*words, override=override, seconds=_SECONDS)
        who = f"what {self._who} config prints"
        try:
            return _read_yaml(content, who)
        except DocumentInvalid as error:
            raise TargetFailed(error.message) from error

    def _services_of(self, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        services = document.get("services")
        if not isinstance(services, dict):
            return {}
        return {str(name): service if isinstance(service, dict) else {} for name, service in services.items()}

    def _ask(self, *words: str, override: bool, seconds: float, hold: Sequence[int] = ()) -> bytes:
        argv = list(self._command)
        for file in (*self._files, *((self._override,) if override else ())):
            argv += ["--file", file]
        if self._project is not None:
            argv += ["--project-name", self._project]
        if self._place.env_file is not None:
            argv += ["--env-file", os.path.realpath(self._place.env_file)]
        answer = ask_program(
            [*argv, *words],
            who=f"{self._who} {words[0]}",
            seconds=seconds,
            folder=os.path.dirname(self._files[0]),  # noqa: PTH120 - where Compose looks for .env
            environment={name: value for name, value in os.environ.items() if name not in _AMBIENT},
            hold=hold,
        )
        return require_success(answer, f"{self._who} {words[0]}")

    # ---- containers

    def _observe(self, service: str) -> Observed:
        labels = {_PROJECT: self._named_project(), _SERVICE: service}
        for look in range(1, _LOOKS + 1):
            try:
                found = [describe_container(self._engine, one) for one in list_containers(self._engine, labels)]
            except NotObserved:
                if look == _LOOKS:
                    raise
                continue
            break
        ends = isinstance(self._services[service].health, OneShot)
        own = [one for one in found if one.labels.get(_ONE_OFF, "False").lower() != "true"]
        return Observed(service=service, instances=tuple(_instance(one, ends=ends) for one in own))

    def _named_project(self) -> str:
        """The name of the project, by Compose's own rules: the file's `name`, else that of its folder."""
        if self._project is None:
            try:
                name = self._config(override=False).get("name")
            except TargetFailed as error:
                raise NotObserved(error.message, hint=error.hint) from error
            folder = Path(self._files[0]).parent.name.lower()
            self._project = name if isinstance(name, str) and name else re.sub("[^-_a-z0-9]", "", folder)
        return self._project


_ELSEWHERE: Final = ""
"""In place of a service: what another file says that was not read."""


def _needs(services: Mapping[str, Mapping[str, Any]], names: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What starting these services starts too: each with the service that needs it."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for need in _direct(services.get(name, {})):
            yield name, need
            waiting.append(need)


def _direct(service: Mapping[str, Any]) -> Iterator[str]:
    for key in ("depends_on", "links", "volumes_from"):
        for item in service.get(key) or ():  # the keys of a mapping, or a list
            yield str(item).partition(":")[0]
    for key in ("network_mode", "ipc", "pid", "uts"):
        kind, _, name = str(service.get(key) or "").partition(":")
        if kind == "service":
            yield name
    base = service.get("extends")  # podman-compose resolves it later than its `config`
    if isinstance(base, dict):
        yield _ELSEWHERE if base.get("file") else str(base.get("service"))
    elif base:
        yield str(base)


def _command(engine: Engine) -> tuple[str, ...]:
    if engine.name is EngineName.DOCKER:
        return (engine.program, "compose")
    program = shutil.which("podman-compose")
    if program is None:
        raise UsageError("podman-compose is not on PATH", hint="install it, or let the environment say engine: docker")
    return (program,)


def _have_image(engine: Engine, reference: RegistryImage) -> None:
    try:
        engine.inspect("image", str(reference))
    except NotObserved:
        try:
            engine.ask("pull", "--quiet", str(reference), seconds=_PULL_SECONDS)
        except NotObserved as error:
            raise TargetFailed(error.message, hint="nothing was touched; the engine has to reach the registry") from (
                error
            )


def _instance(container: Container, *, ends: bool) -> Instance:
    state = RunState.RUNNING if container.running else _STATES.get(container.status, RunState.UNKNOWN)
    return Instance(
        name=container.name,
        state=state,
        digests=container.digests,
        exit_code=container.exit_code if state is RunState.EXITED else None,
        ends=ends,
        instance=container.instance,
        started=container.started,
        detail="" if container.running else container.status,
    )


def _override_text(environment: str, images: Mapping[str, RegistryImage]) -> bytes:
    """The file: JSON strings are YAML too, and nothing in them is interpolated, for a reference has no dollar."""
    lines = [
        f"# Written by attest for the environment {environment}: the images that it deployed.",
        "services:",
    ]
    for service, reference in sorted(images.items()):
        lines += [f"  {json.dumps(service)}:", f"    image: {json.dumps(str(reference))}"]
    return "".join(f"{line}\n" for line in lines).encode()


def _read_yaml(content: bytes, file: str) -> dict[str, Any]:
    try:
        value = YAML(typ="safe", pure=True).load(content.decode())
    except (YAMLError, ValueError, RecursionError) as error:
        raise DocumentInvalid(f"this is not YAML: {str(error).partition(chr(10))[0]}", file=file) from error
    if not isinstance(value, dict):
        raise DocumentInvalid("this is no mapping", file=file)
    return value
