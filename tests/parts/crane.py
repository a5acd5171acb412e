"""crane as a peer: what a widely used client sees at a reference, and moves about."""

from __future__ import annotations

from collections.abc import Sequence

from tests.parts.find import require
from tests.parts.process import Command, plain_environment, run
from tests.parts.registry import Registry


def digest(registry: Registry, reference: str) -> str:
    """The digest that a reference stands for."""
    return _crane(registry, "digest", reference).decode().strip()


def manifest(registry: Registry, reference: str) -> bytes:
    """The bytes of the manifest at a reference."""
    return _crane(registry, "manifest", reference)


def tag(registry: Registry, reference: str, name: str) -> None:
    """Give a further tag to what a reference stands for."""
    _crane(registry, "tag", reference, name)


def copy(registry: Registry, source: str, target: str) -> None:
    """Copy an image inside one registry; what is attached to it stays behind."""
    _crane(registry, "copy", source, target)


def tags(registry: Registry, repository: str) -> Sequence[str]:
    """The tags of a repository."""
    return _crane(registry, "ls", repository).decode().split()


def _crane(registry: Registry, *arguments: str) -> bytes:
    home = registry.docker_config_dir
    trusted = {} if registry.ca_file is None else {"SSL_CERT_FILE": str(registry.ca_file)}
    return run(
        Command(
            arguments=[require("crane"), *arguments],
            environment=plain_environment(home, DOCKER_CONFIG=str(home), **trusted),
            directory=home,
        )
    )
