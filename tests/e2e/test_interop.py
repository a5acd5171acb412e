"""Both ways between attest and the tools that others use: cosign, oras, and keys of other makers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.scene import TEST_RESULT, Scene, policy_text
from tests.e2e.conftest import SceneIn
from tests.parts import oras_cli
from tests.parts.cosign import Cosign, KeyPair
from tests.parts.images import BuiltImage, copy_layout, push
from tests.parts.process import PartError
from tests.parts.registry import Registry

pytestmark = pytest.mark.parts

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PASSED = {"result": "PASSED", "configuration": []}
FAILED = {"result": "FAILED", "configuration": []}
REVIEW = "https://example.org/review/v1"


@pytest.fixture
def pair(cosign: Cosign, tmp_path: Path) -> KeyPair:
    """A key pair that cosign made for this test, encrypted."""
    return cosign.generate_key_pair(f"pair-{tmp_path.name}", password="a word")


# ---- cosign accepts ours


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_cosign_accepts_what_we_push(
    algorithm: str, any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn, cosign: Cosign
) -> None:
    """`cosign verify-attestation --key` finds and accepts our attestation in each registry, with keys of both kinds."""
    scene = scene_in(any_registry, sample_image)
    scene.make_keys("unit", algorithm="ed25519" if algorithm == "ed25519" else "ecdsa-p256")
    scene.make_keys("stranger")
    scene.sign("unit")
    (statement,) = cosign.verify_attestation(
        any_registry, scene.image, public_key=scene.folder / "keys/unit.pub", predicate_type=TEST_RESULT
    )
    assert statement["predicate"] == PASSED
    assert statement["subject"][0]["annotations"]["attest-gate/lane"] == "unit"
    with pytest.raises(PartError):
        cosign.verify_attestation(
            any_registry, scene.image, public_key=scene.folder / "keys/stranger.pub", predicate_type=TEST_RESULT
        )


def test_cosign_accepts_several_subjects(
    any_registry: Registry, sample_image: BuiltImage, other_image: BuiltImage, scene_in: SceneIn, cosign: Cosign
) -> None:
    """One attestation about two images is accepted by cosign for either of them."""
    scene = scene_in(any_registry, sample_image)
    other = push(other_image, any_registry).reference
    scene.make_keys("e2e")
    scene.sign("e2e", image=[scene.image, other])
    for image in (scene.image, other):
        (statement,) = cosign.verify_attestation(
            any_registry, image, public_key=scene.folder / "keys/e2e.pub", predicate_type=TEST_RESULT
        )
        assert len(statement["subject"]) == 2


def test_cosign_accepts_five_lanes(
    any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn, cosign: Cosign
) -> None:
    """Lanes that share a key and a predicate type are all found by cosign."""
    scene = scene_in(any_registry, sample_image)
    scene.make_keys("shared")
    lanes = [f"lane-{number}" for number in range(5)]
    for lane in lanes:
        scene.sign(lane, key="shared")
    statements = cosign.verify_attestation(
        any_registry, scene.image, public_key=scene.folder / "keys/shared.pub", predicate_type=TEST_RESULT
    )
    found = {statement["subject"][0]["annotations"]["attest-gate/lane"] for statement in statements}
    assert found == set(lanes)


# ---- we accept cosign's


def unlabelled_policy(scene: Scene, pair: KeyPair) -> None:
    """A policy whose lanes are told by signer and predicate type alone, as what cosign makes has no context."""
    rule = "signer: peer, unlabelled: true, unbound: true"
    rules = {
        "test": f"{{predicate-type: {TEST_RESULT}, {rule}}}",
        "review": f"{{predicate-type: {REVIEW}, {rule}, where: ['predicate.approved']}}",
    }
    images = [scene.image.partition("@")[0]]
    scene.write_policy(policy_text(rules, images=images, signers={"peer": f"{{key: {pair.public}}}"}))


@pytest.mark.parametrize("form", ["bundle", "legacy"])
def test_we_accept_what_cosign_pushes(
    form: str, any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn, cosign: Cosign, pair: KeyPair
) -> None:
    """What `cosign attest` pushed, as a bundle or at the legacy tag, fills unlabelled lanes in each registry."""
    scene = scene_in(any_registry, sample_image)
    unlabelled_policy(scene, pair)
    attest = cosign.attest if form == "bundle" else cosign.attest_legacy
    attest(any_registry, scene.image, key=pair, predicate_type=TEST_RESULT, predicate=PASSED)
    assert scene.verify().code == 1
    attest(any_registry, scene.image, key=pair, predicate_type=REVIEW, predicate={"approved": True})
    ended = scene.verify("--format", "json")
    assert ended.code == 0, ended.out
    assert [lane["state"] for lane in ended.document["images"][0]["lanes"]] == ["present", "present"]
    raw = {
        json.loads(scene.attest("inspect", scene.image, "--raw", one["digest"]).raw)["_type"]
        for lane in ended.document["images"][0]["lanes"]
        for one in lane["evidence"]
    }
    assert raw == {"https://in-toto.io/Statement/v0.1"}
    attest(any_registry, scene.image, key=pair, predicate_type=TEST_RESULT, predicate=FAILED)
    assert scene.verify().code == 1


def test_what_cosign_made_fills_no_labelled_lane(
    docker_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn, cosign: Cosign, pair: KeyPair
) -> None:
    """Evidence without a lane name does not count for a lane that has to be named, though key and type are right."""
    scene = scene_in(docker_registry, sample_image)
    rule = f"{{predicate-type: {TEST_RESULT}, signer: peer, unbound: true}}"
    images = [scene.image.partition("@")[0]]
    scene.write_policy(policy_text({"test": rule}, images=images, signers={"peer": f"{{key: {pair.public}}}"}))
    cosign.attest(docker_registry, scene.image, key=pair, predicate_type=TEST_RESULT, predicate=PASSED)
    ended = scene.verify("--format", "json")
    assert ended.code == 1
    assert [lane["reason"] for lane in ended.document["images"][0]["lanes"]] == ["lane-differs"]


def test_both_live_side_by_side(
    any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn, cosign: Cosign, pair: KeyPair
) -> None:
    """Attestations of both tools on one image are found by both, whichever came first."""
    scene = scene_in(any_registry, sample_image)
    scene.make_keys("unit")
    scene.sign("unit")
    cosign.attest(any_registry, scene.image, key=pair, predicate_type=REVIEW, predicate={"approved": True})
    scene.sign("unit", "--run-id", "2")
    ours = cosign.verify_attestation(
        any_registry, scene.image, public_key=scene.folder / "keys/unit.pub", predicate_type=TEST_RESULT
    )
    theirs = cosign.verify_attestation(any_registry, scene.image, public_key=pair.public, predicate_type=REVIEW)
    assert (len(ours), len(theirs)) == (2, 1)
    (place,) = scene.attest("inspect", scene.image, "--format", "json").document["places"]
    assert len(place["bundles"]) == 3


def test_a_key_of_cosign_signs(
    docker_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn, cosign: Cosign, pair: KeyPair
) -> None:
    """`attest sign` reads cosign's own encrypted key file; the gate and cosign both accept the signature."""
    scene = scene_in(docker_registry, sample_image)
    images = [scene.image.partition("@")[0]]
    scene.write_policy(policy_text(("unit",), images=images, signers={"unit": f"{{key: {pair.public}}}"}))
    arguments = [pair.private if one == "keys/unit.key" else one for one in scene.sign_arguments("unit")]
    assert scene.attest(*arguments, ATTEST_KEY_PASSWORD="another").code == 2
    ended = scene.attest(*arguments, ATTEST_KEY_PASSWORD="a word")
    assert ended.code == 0, ended.err
    assert scene.verify().code == 0
    assert cosign.verify_attestation(docker_registry, scene.image, public_key=pair.public, predicate_type=TEST_RESULT)


# ---- oras shows ours


def test_oras_shows_ours_in_a_registry(any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """`oras discover` lists each of our attestations with its artifact type and annotations."""
    scene = scene_in(any_registry, sample_image)
    scene.make_keys("unit", "e2e")
    manifests = {scene.sign(lane, "--format", "json").document["attached"][0]["manifest"] for lane in ("unit", "e2e")}
    found = oras_cli.discover(any_registry, scene.image)
    assert {one.digest for one in found} == manifests
    assert {one.artifact_type for one in found} == {BUNDLE}
    assert {one.annotations["dev.sigstore.bundle.predicateType"] for one in found} == {TEST_RESULT}


def test_oras_shows_ours_in_a_layout(sample_image: BuiltImage, tmp_path: Path) -> None:
    """`oras discover --oci-layout` lists what we attached in an image layout that buildah made."""
    layout = copy_layout(sample_image, tmp_path / "image")
    scene = Scene(folder=tmp_path, image=f"oci:image@{layout.digest}")
    scene.make_keys("unit", "e2e")
    scene.write_policy(policy_text(("unit", "e2e")))
    manifests = {scene.sign(lane, "--format", "json").document["attached"][0]["manifest"] for lane in ("unit", "e2e")}
    found = oras_cli.discover_in_layout(layout.layout, layout.digest)
    assert {one.digest for one in found} == manifests
    assert {one.artifact_type for one in found} == {BUNDLE}
    assert scene.verify().code == 0


def test_what_oras_attaches_is_no_evidence(any_registry: Registry, sample_image: BuiltImage, scene_in: SceneIn) -> None:
    """A file that oras attached under our artifact type is listed as rejected, and hides nothing of ours."""
    scene = scene_in(any_registry, sample_image)
    scene.make_keys("unit")
    scene.write_policy(policy_text(("unit",), images=[scene.image.partition("@")[0]]))
    scene.sign("unit")
    (scene.folder / "junk.json").write_text("{}")
    oras_cli.attach(any_registry, scene.image, artifact_type=BUNDLE, file=scene.folder / "junk.json")
    ended = scene.verify("--format", "json")
    assert ended.code == 0, ended.err
    scene.sign("unit", "--run-id", "2")
    assert scene.verify().code == 0
