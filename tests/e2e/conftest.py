"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.scene import Scene
from tests.e2e.gate import registry_scene
from tests.e2e.looking import Looker, with_browser
from tests.parts.containers import Podman
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry

SceneIn = Callable[[Registry, BuiltImage], Scene]


@pytest.fixture
def scene_in(tmp_path: Path) -> SceneIn:
    """Makes a scene with an image in a registry, in a repository of its own."""

    def make(registry: Registry, image: BuiltImage) -> Scene:
        return registry_scene(tmp_path, registry, image)

    return make


@pytest.fixture(scope="session")
def looker(podman: Podman, browser_image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Looker:
    """A real browser to look at pages with."""
    return with_browser(podman, browser_image, tmp_path_factory.mktemp("browser"))
