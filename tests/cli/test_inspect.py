"""`attest inspect`: what is attached, as claims, for people and scripts, and the exact bytes that were signed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.cli.scene import COMMIT, PROVENANCE, PROVENANCE_PREDICATE, SOURCE, Scene
from tests.layouts import Layout


def test_claims_are_unverified_without_a_policy(scene: Scene) -> None:
    """Without a policy every bundle is shown with lane, result, source, run and time, and marked unverified."""
    digest = scene.sign("unit", "--run-url", "https://git.example.org/run/1", "--format", "json").document["bundle"]
    lines = [line.strip() for line in scene.attest("inspect", scene.image).out.splitlines()]
    assert lines[0] == scene.image
    assert f"image linux/amd64  {scene.digest}" in lines
    assert f"bundle {digest}  unverified" in lines
    fields = dict(line.split(None, 1) for line in lines[3:])
    assert (fields["lane"], fields["result"], fields["repository"]) == ("unit", "PASSED", SOURCE)
    assert (fields["commit"], fields["run-id"]) == (COMMIT, "1")
    assert fields["run-url"] == "https://git.example.org/run/1"
    assert fields["finished"].endswith("Z")


def test_a_policy_says_who_signed(scene: Scene) -> None:
    """With a policy each signature is verified or said to be nobody's; the exit code judges nothing."""
    scene.sign("unit")
    scene.sign("e2e", key="stranger")
    ended = scene.attest("inspect", scene.image, "--policy", "policy.yaml")
    assert ended.code == 0
    assert "signature verified: unit" in ended.out
    assert "unverified: no signer of the policy made its signature" in ended.out
    document = scene.attest("inspect", scene.image, "--policy", "policy.yaml", "--format", "json").document
    (place,) = document["places"]
    assert sorted((one["verified"], tuple(one["signers"])) for one in place["bundles"]) == [
        (False, ()),
        (True, ("unit",)),
    ]


def test_a_forged_signature_is_not_verified(scene: Scene) -> None:
    """A payload that was changed after signing is shown as a claim that no signer of the policy signed."""
    scene.sign("unit", "--result", "failed", "--output", "b.json", "--no-push")
    bundle = json.loads((scene.folder / "b.json").read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"FAILED", b"PASSED")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    (scene.folder / "b.json").write_text(json.dumps(bundle))
    assert scene.attest("attach", "b.json", scene.image).code == 0
    out = scene.attest("inspect", scene.image, "--policy", "policy.yaml").out
    assert "unverified: no signer of the policy" in out
    assert "signature verified" not in out


def test_scripts_get_all_of_it(scene: Scene) -> None:
    """--format json holds every claim by its name; without a policy `verified` is null, which is neither yes nor no."""
    (scene.folder / "p.json").write_text(json.dumps(PROVENANCE_PREDICATE))
    scene.sign("unit", "--predicate-type", PROVENANCE, "--predicate", "p.json")
    document = scene.attest("inspect", scene.image, "--format", "json").document
    assert (document["schema"], document["image"]) == ("attest.inventory/v1", scene.image)
    (place,) = document["places"]
    (bundle,) = place["bundles"]
    assert (place["digest"], place["kind"]) == (scene.digest, "image linux/amd64")
    assert (bundle["verified"], bundle["signers"], bundle["problem"]) == (None, None, None)
    assert (bundle["predicate_type"], bundle["result"]) == (PROVENANCE, None)
    assert bundle["context"]["lane"] == "unit"
    assert bundle["sources"] == [{"repository": SOURCE, "commit": COMMIT, "ref": "refs/heads/main"}]
    assert bundle["subjects"] == [scene.digest]


def test_raw_is_what_was_signed(scene: Scene) -> None:
    """--raw prints the exact bytes under the signature and nothing more, for a digest that inspect lists."""
    scene.sign("unit", "--job", "\N{SNOWMAN}", "--output", "b.json")
    scene.sign("e2e")
    signed = base64.b64decode(json.loads((scene.folder / "b.json").read_text())["dsseEnvelope"]["payload"])
    inventory = scene.attest("inspect", scene.image, "--format", "json").document
    digests = [one["digest"] for one in inventory["places"][0]["bundles"] if one["context"]["lane"] == "unit"]
    ended = scene.attest("inspect", scene.image, "--raw", digests[0])
    assert (ended.code, ended.raw, ended.err) == (0, signed, "")


@pytest.mark.parametrize(("raw", "code"), [("sha256:" + 64 * "0", 3), ("sha256:abc", 2), ("unit", 2)])
def test_raw_of_something_else(raw: str, code: int, scene: Scene) -> None:
    """A digest that is not attached, or no digest, prints nothing on standard output and is no success."""
    scene.sign("unit")
    ended = scene.attest("inspect", scene.image, "--raw", raw)
    assert (ended.code, ended.raw) == (code, b"")


def test_an_index_is_shown_with_its_platforms(tmp_path: Path) -> None:
    """An index is shown as such, each platform below it with what is attached there, BuildKit's as no evidence."""
    scene = Scene(folder=tmp_path)
    scene.make_keys("unit")
    layout = Layout(tmp_path / "image")
    platforms = [
        {**layout.image(name, architecture=name), "platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64")
    ]
    buildkit = {
        **layout.manifest([layout.blob(b"{}", "application/vnd.in-toto+json")]),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": platforms[0]["digest"],
        },
    }
    index = layout.add(layout.index([*platforms, buildkit]))
    scene.image = f"oci:image@{index['digest']}"
    scene.sign("unit", image=f"oci:image@{platforms[1]['digest']}")
    lines = [line.strip() for line in scene.attest("inspect", scene.image).out.splitlines()]
    assert lines[1:6] == [
        f"image index  {index['digest']}",
        "nothing attached",
        f"platform linux/amd64  {platforms[0]['digest']}",
        "nothing attached",
        f"platform linux/arm64  {platforms[1]['digest']}",
    ]
    assert any("BuildKit attestations (unsigned, never evidence)" in line for line in lines)


def test_what_cannot_be_read_is_shown_as_a_problem(scene: Scene) -> None:
    """Junk beside the image is listed with what is wrong with it; the rest is shown all the same."""
    scene.sign("unit")
    scene.attach_bytes(b"no bundle at all")
    ended = scene.attest("inspect", scene.image)
    assert ended.code == 0
    assert "problem" in ended.out
    assert ["lane", "unit"] in [line.split() for line in ended.out.splitlines()]


def test_an_image_that_is_not_there_is_3(scene: Scene) -> None:
    """Nothing is shown of an image that the store does not have."""
    ended = scene.attest("inspect", "oci:image@sha256:" + 64 * "0")
    assert (ended.code, ended.raw) == (3, b"")
