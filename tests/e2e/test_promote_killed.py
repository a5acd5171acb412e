"""A promotion that is killed with SIGKILL at any of its steps, and run again, ends as one that nobody disturbed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.scene import COMMIT, REPOSITORY, Scene, policy_text
from tests.e2e.mortal import KILLED, Deadly, commands
from tests.e2e.promotion import SBOM, Place, fallback_tag_of, open_place
from tests.parts import oras_cli
from tests.parts.images import BuiltImage, copy_layout
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

RECEIPT = "https://slsa.dev/verification_summary/v1"
MOST = 400
"""More steps than any promotion here has."""


@pytest.fixture
def source(tmp_path: Path, index_image: BuiltImage) -> Scene:
    """An index in a layout with evidence on it and an SBOM on a platform, for a policy that speaks for loopback."""
    layout = copy_layout(index_image, tmp_path / "from")
    scene = Scene(folder=tmp_path, image=f"oci:from@{index_image.digest}")
    scene.make_keys("unit", "gate")
    (tmp_path / "sbom.json").write_text("{}")
    oras_cli.attach_in_layout(layout.layout, index_image.platforms[0], artifact_type=SBOM, file=tmp_path / "sbom.json")
    scene.sign("unit")
    return scene


def arguments(scene: Scene, to: str) -> list[object]:
    """The promotion of the scene's image."""
    what = ("promote", scene.image, "--repository", REPOSITORY, "--to", to)
    return [*what, "--policy", "policy.yaml", "--receipt-key", "keys/gate.key"]


def write_policy(scene: Scene, *images: str) -> None:
    """One lane, two platforms, and where the image may be."""
    more = "platforms: {evidence: index, only: [linux/amd64, linux/arm64]}"
    scene.write_policy(policy_text(("unit",), images=[REPOSITORY, *images], more=more))


def comparable(place: Place, digest: str) -> dict[str, Any]:
    """What is at a place: tags, manifests and lists, with each receipt as the one word that it is."""
    receipts = set()
    contents: dict[str, Any] = {}
    for tag, named in place.tags().items():
        content = place.manifest(named)
        assert content is not None
        if RECEIPT.encode() in content and "manifests" not in json.loads(content):
            receipts.add(named)
            continue
        contents[tag] = named
    lists = [tag for tag in contents if tag == fallback_tag_of(digest)]
    for tag in lists:
        content = place.manifest(tag)
        assert content is not None
        entries = {one["digest"] for one in json.loads(content)["manifests"]}
        contents[tag] = sorted("receipt" if one in receipts else one for one in entries)
    if place.registry is None:  # there it is index.json that says what is attached
        attached = place.discover(digest)
        contents["attached"] = sorted(attached.values())
    return {**contents, "receipts": len(receipts)}


def check_half_done(scene: Scene, place: Place) -> None:
    """Whoever sees the tag of a promotion sees all of it."""
    if f"sha-{COMMIT}-{scene.digest[7:19]}" in place.tags():
        stands_for = () if place.registry is not None else ("--repository", REPOSITORY)
        ended = scene.attest("verify", place.image(scene.digest), "--policy", "policy.yaml", *stands_for)
        assert ended.code == 0, ended.out


@pytest.mark.parametrize("family", ["docker_registry", "gitea", "olareg"])
def test_killed_at_every_request(
    family: str, source: Scene, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed behind its first, second ... last request to a registry and run again, it leaves the same there."""
    registry: Registry = request.getfixturevalue(family)
    proxy = Deadly(registry, tmp_path_factory.mktemp("docker"))
    environment = {"DOCKER_CONFIG": str(proxy.registry.docker_config_dir)}
    source.environment = environment
    with proxy.running(), commands(source.folder, environment) as killable:
        write_policy(source, f"{proxy.registry.host}/*")
        whole = open_place(proxy.registry, source.folder, "")
        assert killable.run(arguments(source, whole.to), proxy=proxy) == 0, killable.output.read_text()
        expected = comparable(whole, source.digest)
        assert expected["receipts"] == 1
        for step in range(1, MOST):
            place = open_place(proxy.registry, source.folder, "")
            code = killable.run(arguments(source, place.to), proxy=proxy, after=step)
            if code == 0:
                break
            assert code == KILLED, killable.output.read_text()
            check_half_done(source, place)
            assert killable.run(arguments(source, place.to), proxy=proxy) == 0, (step, killable.output.read_text())
            assert comparable(place, source.digest) == expected, step
        assert 20 < step < MOST


def test_killed_at_every_change_of_a_layout(source: Scene) -> None:
    """Killed before its first, second ... last change of a file and run again, it leaves the same layout."""
    write_policy(source)
    with commands(source.folder, {}) as killable:
        whole = open_place(None, source.folder, "whole")
        assert killable.run(arguments(source, whole.to)) == 0, killable.output.read_text()
        expected = comparable(whole, source.digest)
        files = sorted(whole.state())
        for step in range(MOST):
            place = open_place(None, source.folder, f"out/{step}")
            code = killable.run(arguments(source, place.to), changes=step)
            if code == 0:
                break
            assert code == KILLED, killable.output.read_text()
            check_half_done(source, place)
            assert killable.run(arguments(source, place.to)) == 0, (step, killable.output.read_text())
            assert comparable(place, source.digest) == expected, step
            # Two blobs are those of its own receipt; nothing half-written is left.
            assert len(set(place.state()) - set(files)) <= 4, step
            assert not [name for name in place.state() if ".attest-" in name], step
        assert 20 < step < MOST
