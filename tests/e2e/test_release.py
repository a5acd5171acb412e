"""Releases on a real registry: what was tested together passes together, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.scene import COMMIT, CONTEXT, TEST_RESULT, Scene, policy_text
from tests.e2e.conftest import SceneIn
from tests.parts.images import BuiltImage, PushedImage, build, push, read
from tests.parts.once import make_once, shared_folder
from tests.parts.registry import Registry

pytestmark = pytest.mark.parts

OWN_LANES = ("build", "contract", "fast-check", "integration")


@pytest.fixture(scope="session")
def third_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """One more version of the application."""
    folder = make_once(shared_folder(tmp_path_factory), "third-image", lambda target: build(target, version="3.0"))
    return read(folder / "layout")


@pytest.fixture
def backend(docker_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> Scene:
    """A backend in a registry, keys of five lanes, and a policy in which the fifth, e2e, is joint."""
    scene = scene_in(docker_registry, sample_image)
    scene.make_keys(*OWN_LANES, "e2e")
    rules = {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}}}" for lane in OWN_LANES}
    rules["e2e"] = f"{{predicate-type: {TEST_RESULT}, signer: e2e, joint: true}}"
    scene.write_policy(policy_text(rules, images=[f"{scene.image.partition('/')[0]}/*"]))
    return scene


@pytest.fixture
def frontends(docker_registry: Registry, other_image: BuiltImage, third_image: BuiltImage) -> list[PushedImage]:
    """Two builds of the frontend, in one repository."""
    first = push(other_image, docker_registry)
    return [first, push(third_image, docker_registry, first.repository)]


def release_file(scene: Scene, name: str, frontend: PushedImage) -> None:
    """Make the release of the scene's backend and this frontend."""
    services = ("--service", f"backend={scene.image}", "--service", f"frontend={frontend.reference}")
    ended = scene.attest(*("release", "create", *services, "--commit", COMMIT, "--output", name), *scene.options)
    assert ended.code == 0, ended.err


def sign_joint(scene: Scene, name: str) -> None:
    """The end-to-end lane signs about the release in this file."""
    what = ("--lane", "e2e", "--key", "keys/e2e.key", "--result", "passed", "--run-id", "1")
    ended = scene.attest("sign", "--release", name, *what, *CONTEXT, *scene.options)
    assert ended.code == 0, ended.err


def states(scene: Scene, name: str) -> tuple[int, list[dict[str, str]]]:
    """The gate's exit code on a release, and each image's states by lane."""
    arguments = ("--policy", "policy.yaml", "--format", "json", *scene.options)
    ended = scene.attest("verify", "--release", name, *arguments)
    images = ended.document["images"]
    return ended.code, [{lane["lane"]: lane["state"] for lane in image["lanes"]} for image in images]


def test_what_was_tested_together_passes_and_another_pair_does_not(
    backend: Scene, frontends: list[PushedImage], tmp_path: Path
) -> None:
    """A with B passes; A with another B, which has all of its own lanes too, is mismatched in the joint one."""
    tested, untested = frontends
    for image in (backend.image, tested.reference, untested.reference):
        for lane in OWN_LANES:
            backend.sign(lane, image=image)
    release_file(backend, "tested.yaml", tested)
    release_file(backend, "untested.yaml", untested)
    assert states(backend, "tested.yaml")[0] == 1
    sign_joint(backend, "tested.yaml")

    passed = dict.fromkeys((*OWN_LANES, "e2e"), "present")
    assert states(backend, "tested.yaml") == (0, [passed, passed])
    code, (of_backend, of_frontend) = states(backend, "untested.yaml")
    assert code == 1
    assert of_backend == passed | {"e2e": "mismatched"}
    assert of_frontend == passed | {"e2e": "mismatched"}

    sign_joint(backend, "untested.yaml")
    assert states(backend, "untested.yaml") == (0, [passed, passed])
    assert states(backend, "tested.yaml") == (0, [passed, passed])
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == ["policy.yaml", "tested.yaml", "untested.yaml"]


def test_one_image_alone_is_not_the_release(backend: Scene, frontends: list[PushedImage]) -> None:
    """A joint statement about both images does not let one of them pass alone."""
    for image in (backend.image, frontends[0].reference):
        for lane in OWN_LANES:
            backend.sign(lane, image=image)
    release_file(backend, "release.yaml", frontends[0])
    sign_joint(backend, "release.yaml")
    assert states(backend, "release.yaml")[0] == 0
    assert backend.verify().code == 1
