"""Scenes whose images live in a registry."""

from __future__ import annotations

from pathlib import Path

from tests.cli.scene import Scene
from tests.parts.images import BuiltImage, PushedImage, push
from tests.parts.registry import Registry


def registry_options(registry: Registry) -> tuple[str, ...]:
    """What a command needs to speak to a registry, credentials aside."""
    return () if registry.ca_file is None else ("--ca-file", str(registry.ca_file))


def registry_scene(folder: Path, registry: Registry, image: BuiltImage | PushedImage) -> Scene:
    """A scene for an image in a registry; an image that is only built is pushed to a repository of its own."""
    pushed = push(image, registry) if isinstance(image, BuiltImage) else image
    return Scene(
        folder=folder,
        image=pushed.reference,
        repository=None,
        options=registry_options(registry),
        environment={"DOCKER_CONFIG": str(registry.docker_config_dir)},
    )
