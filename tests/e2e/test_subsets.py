"""Every proper subset of a policy's lanes is refused: all 63 of six in a layout, each single gap in real registries."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from tests.cli.scene import Scene, policy_text
from tests.e2e.gate import registry_scene
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry

SIX = ("build", "contract", "fast-check", "integration", "e2e", "review")


def sign_all(scene: Scene) -> None:
    """One bundle a lane, in files, attached nowhere."""
    scene.make_keys(*SIX)
    for lane in SIX:
        scene.sign(lane, "--output", f"{lane}.json", "--no-push")


def attach(scene: Scene, lanes: tuple[str, ...], image: str) -> None:
    """Attach the bundles of these lanes."""
    for lane in lanes:
        ended = scene.attest("attach", f"{lane}.json", image, *scene.options)
        assert ended.code == 0, ended.err


def missing(scene: Scene, image: str) -> tuple[int, set[str]]:
    """The exit code, and the lanes that are not present."""
    ended = scene.verify("--format", "json", image=image)
    (verdict,) = ended.document["images"]
    assert (ended.document["verdict"] == "PASSED") == (ended.code == 0)
    return ended.code, {lane["lane"] for lane in verdict["lanes"] if lane["state"] != "present"}


def test_all_63_proper_subsets_are_refused(tmp_path: Path) -> None:
    """With each of the 63 proper subsets of six lanes the gate refuses and names what is missing."""
    scene = Scene(folder=tmp_path)
    scene.make_image()
    sign_all(scene)
    scene.write_policy(policy_text(SIX))
    refused = 0
    for size in range(len(SIX)):
        for subset in combinations(SIX, size):
            image = scene.copy_layout(f"subset-{refused}")
            attach(scene, subset, image)
            assert missing(scene, image) == (1, set(SIX) - set(subset))
            refused += 1
    assert refused == 63
    attach(scene, SIX, scene.image)
    assert missing(scene, scene.image) == (0, set())


@pytest.mark.parts
@pytest.mark.slow
def test_every_single_gap_is_refused_in_a_registry(
    any_registry: Registry, sample_image: BuiltImage, tmp_path: Path
) -> None:
    """In a real registry the gate refuses without any single one of six lanes, and passes once it is there."""
    scene = registry_scene(tmp_path, any_registry, sample_image)
    sign_all(scene)
    for gap in SIX:
        other = registry_scene(tmp_path, any_registry, sample_image)
        other.write_policy(policy_text(SIX, images=[other.image.partition("@")[0]]))
        attach(other, tuple(lane for lane in SIX if lane != gap), other.image)
        assert missing(other, other.image) == (1, {gap})
        attach(other, (gap,), other.image)
        assert missing(other, other.image) == (0, set())
