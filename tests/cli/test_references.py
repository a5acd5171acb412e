"""Images are named by digest: a tag is refused by every command that decides or changes something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import attest
from tests.cli.scene import COMMIT, SOURCE, Scene
from tests.registry import faults
from tests.registry.faults import FaultyRegistry

REFUSING = {
    "verify": ["verify", "IMAGE", "--policy", "policy.yaml"],
    "inspect": ["inspect", "IMAGE"],
    "sign": [
        *("sign", "IMAGE", "--lane", "unit", "--key", "keys/unit.key", "--result", "passed"),
        *("--source-repository", SOURCE, "--source-commit", COMMIT),
    ],
    "attach": ["attach", "bundle.json", "IMAGE"],
}


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    """A registry with one image, tagged `v1`."""
    with FaultyRegistry().running() as running:
        yield running


def command(verb: str, image: object) -> list[object]:
    """The arguments of a command about an image."""
    return [image if argument == "IMAGE" else argument for argument in REFUSING[verb]]


@pytest.mark.parametrize("verb", REFUSING)
@pytest.mark.parametrize("tag", ["oci:image:v1", "oci:image"])
def test_a_name_in_a_layout_is_refused(verb: str, tag: str, scene: Scene) -> None:
    """A name in a layout, or none, ends with 2, and the hint is the reference by digest, ready to use."""
    scene.sign("unit", "--output", "bundle.json", "--no-push")
    before = {path: path.read_bytes() for path in (scene.folder / "image").rglob("*") if path.is_file()}
    ended = scene.attest(*command(verb, tag))
    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"error: {tag} is a tag, and a tag can be moved; name the image by its digest",
        f"hint: it stands for this now: {scene.image}",
    ]
    assert {path: path.read_bytes() for path in (scene.folder / "image").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("verb", REFUSING)
def test_a_tag_in_a_registry_is_refused(verb: str, scene: Scene, registry: FaultyRegistry) -> None:
    """A tag in a registry ends with 2, names the digest that it stands for now, and changes nothing."""
    image = registry.add_image()
    scene.sign("unit", "--output", "bundle.json", "--no-push")
    ended = scene.attest(*command(verb, f"{image.repository}:v1"))
    assert ended.code == 2
    assert ended.err.endswith(f"hint: it stands for this now: {image}\n")
    assert {seen.method for seen in registry.seen} <= {"GET", "HEAD"}


@pytest.mark.parametrize("verb", REFUSING)
def test_a_tag_that_cannot_be_looked_up_is_refused_all_the_same(
    verb: str, scene: Scene, registry: FaultyRegistry
) -> None:
    """Where the registry does not tell, the tag is refused with 2, and the hint says why no digest is named."""
    image = registry.add_image()
    registry.misbehave(faults.status(404))
    scene.sign("unit", "--output", "bundle.json", "--no-push")
    ended = scene.attest(*command(verb, f"{image.repository}:v1"))
    assert ended.code == 2
    assert "hint: what it stands for could not be found out: " in ended.err


def test_the_hint_is_for_scripts_too(scene: Scene) -> None:
    """With --format json the error is one JSON object on standard output, with a stable code and the same hint."""
    ended = scene.verify("--format", "json", image="oci:image:v1")
    assert ended.code == 2
    assert ended.document == {
        "schema": "attest.error/v1",
        "error": "tag-reference",
        "message": "oci:image:v1 is a tag, and a tag can be moved; name the image by its digest",
        "hint": f"it stands for this now: {scene.image}",
    }


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("backend@sha256:" + 64 * "0", "names no registry"),
        ("registry.example.org/backend", "names no image"),
        ("registry.example.org/backend:v1@sha256:" + 64 * "0", "has a tag and a digest"),
        ("registry.example.org/backend@sha256:" + 63 * "0", "is not a digest"),
        ("registry.example.org/backend@sha256:" + 64 * "A", "is not a digest"),
        ("registry.example.org/backend@sha256:" + 64 * "0" + "\n", "is not a digest"),
        ("registry.example.org/backend@sha512:" + 128 * "0", "is not a digest"),
        ("registry.example.org/Backend@sha256:" + 64 * "0", "is not a repository"),
        ("registry.example.org/../backend@sha256:" + 64 * "0", "is not a repository"),
        ("http://registry.example.org/backend@sha256:" + 64 * "0", "is not a registry host"),
        ("oci:@sha256:" + 64 * "0", "has no path"),
    ],
)
def test_what_is_no_reference_is_told_how_to_be_one(reference: str, words: str, scene: Scene) -> None:
    """Anything else than a reference by digest ends with 2, and a hint says what to write."""
    ended = scene.verify(image=reference)
    assert ended.code == 2
    assert words in ended.err.splitlines()[0]
    assert ended.err.splitlines()[1].startswith("hint: ")


def test_resolve_prints_the_digest_reference_alone(scene: Scene, registry: FaultyRegistry) -> None:
    """`attest resolve` prints the reference by digest and nothing else, for layouts and registries, as text or JSON."""
    image = registry.add_image()
    tag = f"{image.repository}:v1"
    assert scene.attest("resolve", tag).out == f"{image}\n"
    assert scene.attest("resolve", "oci:image:v1").out == f"{scene.image}\n"
    assert scene.attest("resolve", "oci:image").out == f"{scene.image}\n"
    assert scene.attest("resolve", scene.image).out == f"{scene.image}\n"
    assert scene.attest("resolve", tag, "--format", "json").document == {
        "schema": "attest.resolve/v1",
        "reference": tag,
        "image": str(image),
        "digest": image.digest,
    }


@pytest.mark.parametrize("reference", ["oci:image:v2", "oci:image@sha256:" + 64 * "0", "oci:no-such-layout"])
def test_resolve_does_not_invent(reference: str, scene: Scene) -> None:
    """What is not there cannot be resolved: 3, and nothing on standard output."""
    ended = scene.attest("resolve", reference)
    assert (ended.code, ended.raw) == (3, b"")


def test_a_layout_without_a_repository_is_outside_every_policy(passing: Scene) -> None:
    """Without --repository an image in a layout is refused as outside the policy, whatever is attached to it."""
    assert passing.verify().code == 0
    passing.repository = None
    ended = passing.verify("--format", "json")
    assert ended.code == 1
    assert [one["reason"] for one in ended.document["images"][0]["refusals"]] == ["outside-policy"]


def test_a_repository_too_many_is_refused(passing: Scene) -> None:
    """One --repository more than there are images in layouts ends with 2; nothing is guessed."""
    ended = passing.verify("--repository", "registry.example.org/plex/frontend")
    assert ended.code == 2
    assert "is one more than there are oci: images" in ended.err


def test_an_image_named_twice_is_refused(passing: Scene) -> None:
    """The same image twice is no release of two."""
    ended = passing.verify(image=[passing.image, passing.image])
    assert ended.code == 2
    assert "is named twice" in ended.err


def test_nothing_is_asked_for_a_policy_that_is_not_there(tmp_path: Path, registry: FaultyRegistry) -> None:
    """A policy that cannot be read ends the command before the registry is asked anything."""
    image = registry.add_image()
    assert attest("verify", image, "--policy", "no-such.yaml", cwd=tmp_path).code == 2
    assert registry.seen == []
