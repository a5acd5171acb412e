"""The main job on real registries: lanes sign, and the gate refuses without the full set."""

from __future__ import annotations

import json

import pytest

from tests.cli.scene import (
    COMMIT,
    LANES,
    PROVENANCE,
    PROVENANCE_PREDICATE,
    SOURCE,
    TEST_RESULT,
    Scene,
    policy_text,
)
from tests.e2e.conftest import SceneIn
from tests.e2e.gate import registry_scene
from tests.parts.images import BuiltImage, push
from tests.parts.registry import Registry

pytestmark = pytest.mark.parts

JOINT = f"{{predicate-type: {TEST_RESULT}, signer: e2e, joint: true}}"


def lanes_of(scene: Scene, *options: object) -> dict[str, tuple[str, str]]:
    """State and reason of every lane of the one image."""
    (image,) = scene.verify("--format", "json", *options).document["images"]
    return {lane["lane"]: (lane["state"], lane["reason"]) for lane in image["lanes"]}


def five_lanes(scene: Scene) -> None:
    """Keys for five lanes, and a policy in which the build is a provenance with a condition."""
    scene.make_keys(*LANES, "stranger")
    rules = {
        lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}, max-age: 7d}}" for lane in LANES if lane != "build"
    }
    rules["build"] = (
        f"{{predicate-type: {PROVENANCE}, signer: build, "
        "where: [\"predicate.buildDefinition.externalParameters.target == 'runtime'\"]}"
    )
    images = [scene.image.partition("@")[0]]
    scene.write_policy(policy_text(rules, images=images, signers={lane: f"{{key: keys/{lane}.pub}}" for lane in LANES}))
    (scene.folder / "provenance.json").write_text(json.dumps(PROVENANCE_PREDICATE))


def sign_lane(scene: Scene, lane: str) -> None:
    """The lane signs that it passed; the build signs its provenance."""
    if lane == "build":
        scene.sign("build", "--predicate-type", PROVENANCE, "--predicate", "provenance.json")
    else:
        scene.sign(lane)


def test_five_lanes_pass_and_four_do_not(any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """Refused with none and with four of five lanes, passed with the fifth, refused again after a later failure."""
    scene = scene_in(any_registry, sample_image)
    five_lanes(scene)
    assert scene.verify().code == 1
    for lane in LANES[:4]:
        sign_lane(scene, lane)
    assert lanes_of(scene) == {
        **dict.fromkeys(LANES[:4], ("present", "present")),
        LANES[4]: ("missing", "not-found"),
    }
    assert scene.verify().code == 1
    sign_lane(scene, LANES[4])
    ended = scene.verify()
    assert ended.code == 0, ended.out
    assert ended.out.splitlines()[-1].startswith("PASSED  5 of 5 lanes present; ")
    scene.sign("integration", "--result", "failed", "--run-id", "2")
    assert lanes_of(scene)["integration"] == ("failed", "result-failed")
    scene.sign("integration", "--run-id", "3")
    assert scene.verify().code == 0


def test_who_may_not_sign(any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """A stranger's signature is no evidence, another lane's is not trusted here, another commit does not fit."""
    scene = scene_in(any_registry, sample_image)
    five_lanes(scene)
    for lane in LANES[:4]:
        sign_lane(scene, lane)
    scene.sign("e2e", key="stranger")
    assert lanes_of(scene)["e2e"] == ("missing", "not-found")
    scene.sign("e2e", key="integration")
    assert lanes_of(scene)["e2e"] == ("untrusted", "signer-differs")
    scene.sign("e2e", "--source-repository", SOURCE, "--source-commit", 40 * "d", "--source-ref", "refs/heads/main")
    assert lanes_of(scene)["e2e"] == ("mismatched", "commit-differs")
    scene.sign("e2e", "--run-id", "2")
    assert scene.verify().code == 0


def test_an_ed25519_lane_counts(docker_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """Keys of both algorithms that keygen makes work side by side in one policy."""
    scene = scene_in(docker_registry, sample_image)
    scene.make_keys("unit")
    scene.make_keys("e2e", algorithm="ed25519")
    scene.write_policy(policy_text(("unit", "e2e"), images=[scene.image.partition("@")[0]]))
    scene.sign("unit")
    scene.sign("e2e")
    assert scene.verify().code == 0


# ---- several images


@pytest.fixture
def release(any_registry: Registry, sample_image: BuiltImage, other_image: BuiltImage, scene_in: SceneIn) -> Scene:
    """Two images in two repositories, and a policy with a lane for each and a joint one; `image` is the first."""
    scene = scene_in(any_registry, sample_image)
    second = push(other_image, any_registry)
    scene.make_keys("unit", "e2e")
    scene.others = (second.reference,)
    rules = {"unit": f"{{predicate-type: {TEST_RESULT}, signer: unit}}", "e2e": JOINT}
    images = [scene.image.partition("@")[0], second.repository]
    scene.write_policy(policy_text(rules, images=images))
    return scene


def both(scene: Scene) -> list[str]:
    """The two images of the release."""
    return [scene.image, *scene.others]


def test_images_that_were_tested_together_pass_together(release: Scene) -> None:
    """One signature about both images, attached to each of them, makes the joint lane present for both."""
    for image in both(release):
        release.sign("unit", image=image)
    document = release.sign("e2e", "--format", "json", image=both(release)).document
    assert sorted(one["image"] for one in document["attached"]) == sorted(both(release))
    assert release.verify(image=both(release)).code == 0
    assert release.verify(image=both(release)[::-1]).code == 0


def test_a_joint_lane_is_about_exactly_the_release(release: Scene) -> None:
    """An end-to-end run of both says nothing about one alone, nor do two runs of one each about both."""
    for image in both(release):
        release.sign("unit", image=image)
        release.sign("e2e", image=image)
    ended = release.verify("--format", "json", image=both(release))
    assert ended.code == 1
    states = {(lane["lane"], lane["state"]) for one in ended.document["images"] for lane in one["lanes"]}
    assert states == {("unit", "present"), ("e2e", "mismatched")}
    release.sign("e2e", image=both(release))
    assert release.verify(image=both(release)).code == 0
    alone = release.verify("--format", "json")
    assert alone.code == 0  # it has a run of its own, about it alone
    assert {lane["state"] for lane in alone.document["images"][0]["lanes"]} == {"present"}


def test_one_bad_image_refuses_the_release(release: Scene) -> None:
    """Where one image lacks a lane the release is refused, and the other's lanes have their states all the same."""
    release.sign("unit")
    release.sign("e2e", image=both(release))
    ended = release.verify("--format", "json", image=both(release))
    assert ended.code == 1
    states = [[lane["state"] for lane in one["lanes"]] for one in ended.document["images"]]
    assert states == [["present", "present"], ["missing", "present"]]


def test_images_of_two_commits_are_no_release(release: Scene) -> None:
    """Images whose evidence names different commits do not pass together, although each passes alone."""
    rule = f"{{predicate-type: {TEST_RESULT}, signer: unit}}"
    images = [image.partition("@")[0] for image in both(release)]
    release.write_policy(policy_text({"unit": rule}, images=images, signers={"unit": "{key: keys/unit.pub}"}))
    release.sign("unit")
    release.sign("unit", "--source-repository", SOURCE, "--source-commit", 40 * "d", image=release.others)
    assert [release.verify(image=image).code for image in both(release)] == [0, 0]
    assert release.verify(image=both(release)).code == 1


def test_evidence_on_one_image_counts_for_the_other(release: Scene) -> None:
    """A statement about both images that hangs on one alone, in another repository, counts where its subjects say."""
    for image in both(release):
        release.sign("unit", image=image)
    release.sign("e2e", "--output", "e2e.json", "--no-push", image=both(release))
    assert release.attest("attach", "e2e.json", release.image).code == 0
    assert release.verify(image=both(release)).code == 0


def test_one_digest_in_two_repositories(any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """The same digest in two repositories is one image in two places: each is read where it was named."""
    scene = scene_in(any_registry, sample_image)
    copy = registry_scene(scene.folder, any_registry, sample_image)
    assert copy.image != scene.image
    assert copy.digest == scene.digest
    scene.make_keys("unit")
    scene.write_policy(policy_text(("unit",), images=[one.image.partition("@")[0] for one in (scene, copy)]))
    scene.sign("unit")
    assert scene.verify().code == 0
    assert copy.verify().code == 1
    assert scene.verify(image=[scene.image, copy.image]).code == 0


# ---- image indexes


@pytest.fixture
def index(any_registry: Registry, index_image: BuiltImage, scene_in: SceneIn) -> Scene:
    """An image index of two platforms in a registry, with keys for one lane."""
    scene = scene_in(any_registry, index_image)
    scene.make_keys("unit")
    return scene


def platform_policy(scene: Scene, evidence: str, only: str = "[linux/amd64, linux/arm64]") -> None:
    """A policy that asks for evidence at the index, at each platform, or at both."""
    text = policy_text(
        ("unit",),
        images=[scene.image.partition("@")[0]],
        more=f"platforms: {{evidence: {evidence}, only: {only}}}",
    )
    scene.write_policy(text)


def children(scene: Scene) -> list[str]:
    """References to the two platforms."""
    places = scene.attest("inspect", scene.image, "--format", "json").document["places"]
    repository = scene.image.partition("@")[0]
    return [f"{repository}@{place['digest']}" for place in places if place["kind"].startswith("platform linux/")]


def test_evidence_has_to_be_where_the_policy_says(index: Scene) -> None:
    """`index` asks the index alone, `each` every platform, and `both` all of them."""
    amd64, arm64 = children(index)
    expected = {}
    for step in ("nothing", "amd64", "arm64", "index"):
        match step:
            case "amd64":
                index.sign("unit", image=amd64)
            case "arm64":
                index.sign("unit", image=arm64)
            case "index":
                index.sign("unit")
        for evidence in ("index", "each", "both"):
            platform_policy(index, evidence)
            expected[step, evidence] = index.verify().code
    assert expected == {
        **{("nothing", evidence): 1 for evidence in ("index", "each", "both")},
        **{("amd64", evidence): 1 for evidence in ("index", "each", "both")},
        ("arm64", "index"): 1,
        ("arm64", "each"): 0,
        ("arm64", "both"): 1,
        **{("index", evidence): 0 for evidence in ("index", "each", "both")},
    }


def test_a_failure_on_one_platform_stands_against_all(index: Scene) -> None:
    """A platform that failed refuses the index, even where evidence is asked of the index alone."""
    index.sign("unit")
    platform_policy(index, "index")
    assert index.verify().code == 0
    index.sign("unit", "--result", "failed", "--run-id", "2", image=children(index)[1])
    assert lanes_of(index)["unit"] == ("failed", "result-failed")
    index.sign("unit", "--run-id", "3")
    assert index.verify().code == 0


@pytest.mark.parametrize(
    ("only", "reason"),
    [
        ("[linux/amd64]", "platform-unlisted"),
        ("[linux/amd64, linux/arm64, linux/riscv64]", "platform-missing"),
    ],
)
def test_the_platforms_are_those_of_the_policy(only: str, reason: str, index: Scene) -> None:
    """A platform too many or too few refuses the index, with its own reason."""
    index.sign("unit")
    platform_policy(index, "index", only)
    ended = index.verify("--format", "json")
    assert ended.code == 1
    assert reason in [one["reason"] for one in ended.document["images"][0]["refusals"]]


def test_an_index_needs_a_policy_that_speaks_of_platforms(index: Scene) -> None:
    """A policy without `platforms` refuses every index, however it is signed."""
    index.sign("unit")
    index.write_policy(policy_text(("unit",), images=[index.image.partition("@")[0]]))
    ended = index.verify("--format", "json")
    assert ended.code == 1
    assert [one["reason"] for one in ended.document["images"][0]["refusals"]] == ["platforms-undeclared"]


def test_the_context_is_what_was_signed(any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """What the lane said about itself arrives at an auditor unchanged, through a real registry."""
    scene = scene_in(any_registry, sample_image)
    scene.make_keys("unit")
    scene.sign("unit", "--job", "unit", "--run-attempt", "2", "--run-url", "https://git.example.org/run/1")
    (place,) = scene.attest("inspect", scene.image, "--format", "json").document["places"]
    (bundle,) = place["bundles"]
    assert bundle["context"].pop("finished")
    assert bundle["context"] == {
        "lane": "unit",
        "repository": SOURCE,
        "commit": COMMIT,
        "ref": "refs/heads/main",
        "run-id": "1",
        "run-attempt": "2",
        "job": "unit",
        "run-url": "https://git.example.org/run/1",
    }
