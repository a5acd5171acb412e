"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.scene import Scene, policy_text


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An image that nobody has signed yet, a policy with two lanes, and their keys beside a stranger's."""
    made = Scene(folder=tmp_path)
    made.make_keys("unit", "e2e", "stranger")
    made.make_image()
    made.write_policy(policy_text(("unit", "e2e")))
    return made


@pytest.fixture
def passing(scene: Scene) -> Scene:
    """The same, signed by both lanes."""
    scene.sign("unit")
    scene.sign("e2e")
    return scene
