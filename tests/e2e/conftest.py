"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.scene import Scene
from tests.e2e.gate import registry_scene
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry

SceneIn = Callable[[Registry, BuiltImage], Scene]


@pytest.fixture
def scene_in(tmp_path: Path) -> SceneIn:
    """Makes a scene with an image in a registry, in a repository of its own."""

    def make(registry: Registry, image: BuiltImage) -> Scene:
        return registry_scene(tmp_path, registry, image)

    return make
