"""Docker and Podman through their command lines: what a container runs, and commands in a container of an exact image.

Sources: `docker container inspect`, `docker image inspect` (Engine API, "ContainerInspect", "ImageInspect"), and
`podman-inspect(1)`, which writes the same fields and more. Both are asked through their own programs, never a socket.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from attest.core.lane.observation import Observation, ObservationRefused, read_hook
from attest.core.reference import Digest, RegistryImage, is_digest
from attest.errors import NotObserved, UsageError

_SECONDS: Final = 60.0
"""For an answer of an engine or a hook that runs nothing of ours."""
_PULL_SECONDS: Final = 1800.0
_ANSWER: Final = 16 * 1024 * 1024
_HOOK_ANSWER: Final = 1024 * 1024
_SAID: Final = 400


class EngineName(StrEnum):
    """The engines that are spoken to."""

    DOCKER = "docker"
    PODMAN = "podman"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A container engine's command line on this machine."""

    name: EngineName
    program: str

    def ask(self, *arguments: str, seconds: float = _SECONDS) -> bytes:
        """What it prints.

        Raises:
            NotObserved: it fails, or does not answer in time.
        """
        return _ask([self.program, *arguments], f"{self.name} {arguments[0]}", seconds=seconds, limit=_ANSWER)

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What it says about one `container` or `image`.

        Raises:
            NotObserved: there is none, or the answer cannot be read.
        """
        answer = self.ask(kind, "inspect", "--", name)
        try:
            (document,) = json.loads(answer)
        except (ValueError, TypeError, RecursionError) as error:
            raise NotObserved(f"what {self.name} {kind} inspect says about {name} cannot be read") from error
        if not isinstance(document, dict):
            raise NotObserved(f"what {self.name} {kind} inspect says about {name} is no object")
        return document


def find_engine(name: EngineName | None) -> Engine:
    """The engine of this name; without one, Podman where it is installed, else Docker.

    Raises:
        UsageError: it is not installed.
    """
    for one in (EngineName.PODMAN, EngineName.DOCKER) if name is None else (name,):
        program = shutil.which(one)
        if program is not None:
            return Engine(name=one, program=program)
    wanted = "neither podman nor docker is" if name is None else f"{name} is not"
    raise UsageError(f"{wanted} on PATH", hint="--engine says which is to be used; --observe asks another runtime")


def observe_container(engine: Engine, name: str) -> Observation:
    """What a container runs at this moment.

    Raises:
        NotObserved: it is not there or does not run, or the engine does not say what it is made of.
    """
    document = engine.inspect("container", name)
    state, instance = _object(document, "State"), document.get("Id")
    if state.get("Running") is not True or state.get("Paused") is True or state.get("Restarting") is True:
        hint = "start it, and let it run until the command has ended"
        raise NotObserved(f"the container {name} does not run ({state.get('Status')})", hint=hint)
    started = state.get("StartedAt")
    if not isinstance(instance, str) or not instance or not isinstance(started, str) or not started:
        raise NotObserved(f"{engine.name} does not say which container {name} is, and since when it runs")
    return Observation(
        container=name,
        runtime=engine.name,
        digests=_digests_of(engine, document),
        instance=instance,
        started=started,
        mounts=tuple(sorted(filter(None, map(_destination, document.get("Mounts") or ())))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container, whether it runs or not."""

    name: str
    instance: str
    """The engine's own id of it."""
    status: str
    """In the engine's words: `created`, `running`, `paused`, `restarting`, `exited`, `dead` and others."""
    running: bool
    exit_code: int | None
    """Of one that has ended."""
    started: str | None
    digests: frozenset[Digest]
    labels: Mapping[str, str]


def list_containers(engine: Engine, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of all containers with these labels, those too that do not run.

    Raises:
        NotObserved: the engine does not say.
    """
    filters = [part for label, value in labels.items() for part in ("--filter", f"label={label}={value}")]
    answer = engine.ask("ps", "--all", "--no-trunc", "--format", "{{.ID}}", *filters)
    return tuple(sorted(set(answer.decode("ascii", errors="replace").split())))


def describe_container(engine: Engine, name: str) -> Container:
    """What a container is, and what it is made of.

    Raises:
        NotObserved: it is not there, or the engine does not say what it is made of.
    """
    document = engine.inspect("container", name)
    state, instance, own = _object(document, "State"), document.get("Id"), document.get("Name")
    status, code, started = state.get("Status"), state.get("ExitCode"), state.get("StartedAt")
    if not isinstance(instance, str) or not instance or not isinstance(status, str):
        raise NotObserved(f"{engine.name} does not say which container {name} is, and what it does")
    running = state.get("Running") is True and state.get("Paused") is not True and state.get("Restarting") is not True
    return Container(
        name=own.removeprefix("/") if isinstance(own, str) and own else name,
        instance=instance,
        status=status,
        running=running,
        exit_code=code if type(code) is int and not running else None,
        started=started if isinstance(started, str) else None,
        digests=_digests_of(engine, document),
        labels={label: str(value) for label, value in _object(_object(document, "Config"), "Labels").items()},
    )


def observe_by_hook(hook: str) -> tuple[Observation, ...]:
    """What a program says that runs at this moment. Its words are split as a shell does, and no shell runs it.

    Raises:
        UsageError: it cannot be split into words, or there are none.
        NotObserved: it fails, takes too long, or prints anything but what `read_hook` accepts.
    """
    answer = _ask(split_hook(hook), f"the hook {hook}", seconds=_SECONDS, limit=_HOOK_ANSWER)
    try:
        return read_hook(answer, hook=hook)
    except ObservationRefused as error:
        raise NotObserved(str(error), hint='it has to print {"digests": ["sha256:..."]}') from error


def split_hook(hook: str) -> list[str]:
    """The words of a hook's command line.

    Raises:
        UsageError: a quote is never closed, or there is no word.
    """
    try:
        words = shlex.split(hook)
    except ValueError as error:
        raise UsageError(f"--observe {hook!r}: {error}") from error
    if not words:
        raise UsageError("--observe names no program")
    return words


# ---- commands in a container


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a command's own container is made. None leaves it to the engine, or to the image."""

    image: RegistryImage
    network: str | None = None
    user: str | None = None
    environment: Sequence[str] = ()
    """Names of variables that the command gets; the values are those of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A container that is made and not started. Running `argv` starts it, passes its output on and ends as it does."""

    argv: tuple[str, ...]
    image: RegistryImage
    digests: frozenset[Digest]
    """Every name that the engine has for the image that it is really made of."""


@contextmanager
def runner(engine: Engine, options: RunnerOptions, argv: Sequence[str], *, folder: str) -> Iterator[Runner]:
    """A container in which exactly `argv` will run, in `folder`, which stands in it under the same path.

    The image's own entrypoint has no part in it. The container is gone when the block ends, whatever still runs there.

    Raises:
        NotObserved: the image cannot be had, is not of the digest that was asked for, or no container can be made.
    """
    reference = str(options.image)
    _have_image(engine, reference)
    name = f"attest-{secrets.token_hex(8)}"
    try:
        engine.ask(*_create(engine, options, argv, name=name, folder=folder))
        digests = _digests_of(engine, engine.inspect("container", name))
        if options.image.digest not in digests:
            raise NotObserved(f"{engine.name} made a container of {', '.join(sorted(digests))}, not of {reference}")
        yield Runner(argv=(engine.program, "start", "--attach", name), image=options.image, digests=digests)
    finally:
        _remove(engine, name)


def _create(engine: Engine, options: RunnerOptions, argv: Sequence[str], *, name: str, folder: str) -> Iterator[str]:
    yield from ("create", "--name", name, "--pull", "never", "--security-opt", "label=disable")
    yield from ("--volume", f"{folder}:{folder}", "--workdir", folder)
    if options.user is not None:
        yield from ("--user", options.user)
    elif engine.name is EngineName.PODMAN and os.getuid() != 0:
        yield from ("--userns", "keep-id")  # rootless: what it writes belongs to who runs it
    else:
        yield from ("--user", f"{os.getuid()}:{os.getgid()}")
    if options.network is not None:
        yield from ("--network", options.network)
    for variable in options.environment:
        yield from ("--env", variable)
    # Podman reads what begins with a bracket as JSON, and `[` is a program.
    yield from ("--entrypoint", json.dumps([argv[0]]) if engine.name is EngineName.PODMAN else argv[0])
    yield from (str(options.image), *argv[1:])


def _have_image(engine: Engine, reference: str) -> None:
    try:
        engine.inspect("image", reference)
    except NotObserved:
        engine.ask("pull", "--quiet", reference, seconds=_PULL_SECONDS)


def _remove(engine: Engine, name: str) -> None:
    try:
        engine.ask("rm", "--force", "--volumes", name)
    except NotObserved:
        return  # it was never made; or the engine is gone, and nothing of ours can be done about it


# ---- answers


def _digests_of(engine: Engine, container: Mapping[str, Any]) -> frozenset[Digest]:
    """Every name that an engine has for the image of a container.

    `Image` is the configuration's digest, or with Docker's containerd store that of the manifest or the index;
    Podman writes it without the algorithm. A name that a tag has by now is none of them.
    """
    identity = container.get("Image")
    found = {
        _sha256(identity),
        _sha256(container.get("ImageDigest")),
        _sha256(_object(container, "ImageManifestDescriptor").get("digest")),
    }
    if isinstance(identity, str) and identity:
        image = engine.inspect("image", identity)
        found |= {_sha256(image.get("Id")), _sha256(image.get("Digest"))}
        found |= {_sha256(str(name).rpartition("@")[2]) for name in image.get("RepoDigests") or ()}
    digests = frozenset(digest for digest in found if digest is not None)
    if not digests:
        raise NotObserved(f"{engine.name} does not say which image the container {container.get('Name')} is made of")
    return digests


def _sha256(text: object) -> Digest | None:
    if not isinstance(text, str):
        return None
    full = text if ":" in text else f"sha256:{text}"
    return Digest(full) if is_digest(full) else None


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _destination(mount: object) -> str:
    found = mount.get("Destination") if isinstance(mount, dict) else None
    return found if isinstance(found, str) else ""


def _ask(argv: Sequence[str], who: str, *, seconds: float, limit: int) -> bytes:
    try:
        result = subprocess.run(list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotObserved(f"{who} did not answer within {seconds:g} s") from error
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise NotObserved(f"{who} cannot be run: {said}") from error
    if result.returncode != 0:
        said = " ".join(os.fsdecode(result.stderr or result.stdout).split())[-_SAID:]
        raise NotObserved(f"{who} ended with {result.returncode}: {said}")
    if len(result.stdout) > limit:
        raise NotObserved(f"{who} printed more than {limit} bytes")
    return result.stdout
