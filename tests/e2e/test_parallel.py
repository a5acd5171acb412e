"""Fifty lanes that sign one image at the same moment: none is lost, and none fails for that reason.

Fifty processes are really started at once; on two cores one test takes up to two minutes, most of it Python's start.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from attest.core.oci import INDEX
from attest.core.reference import Digest
from attest.core.referrers import fallback_tag
from tests.cli.running import clean_environment
from tests.cli.scene import PROVENANCE, Scene, policy_text
from tests.e2e.gate import registry_scene
from tests.parts import process
from tests.parts.cosign import Cosign
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry
from tests.registry.pushing import push_manifest

pytestmark = [pytest.mark.parts, pytest.mark.slow]

LANES = [f"lane-{number}" for number in range(50)]
SECONDS = 300.0
"""After which a process counts as hanging."""

EMPTY_LIST = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()


def start(scene: Scene, lane: str) -> subprocess.Popen[bytes]:
    """A lane that signs, as a process of its own."""
    arguments = [str(argument) for argument in scene.sign_arguments(lane, "--timeout", "240", key="shared")]
    return subprocess.Popen(
        [sys.executable, "-X", "frozen_modules", "-m", "attest", *arguments],
        cwd=scene.folder,
        env=clean_environment(scene.folder, **scene.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end(processes: Sequence[subprocess.Popen[bytes]]) -> list[tuple[int, str]]:
    """How each ended: its exit code, and the last line that it said where that is not 0."""
    ended = []
    try:
        for one in processes:
            _, err = one.communicate(timeout=SECONDS)
            ended.append((one.returncode, "" if one.returncode == 0 else err.decode()[-500:]))
    finally:
        for one in processes:
            if one.poll() is None:
                one.kill()
                one.wait()
    return ended


@pytest.fixture
def crowd(any_registry: Registry, sample_image: BuiltImage, tmp_path: Path) -> Scene:
    """An image in a registry, and a policy with fifty lanes. They share a signer, so that making keys takes no time."""
    scene = registry_scene(tmp_path, any_registry, sample_image)
    scene.make_keys("shared")
    rule = "{predicate-type: https://in-toto.io/attestation/test-result/v0.1, signer: shared}"
    repository = scene.image.partition("@")[0]
    scene.write_policy(
        policy_text(dict.fromkeys(LANES, rule), images=[repository], signers={"shared": "{key: keys/shared.pub}"})
    )
    return scene


def assert_all_present(scene: Scene) -> None:
    """Every one of the fifty lanes is present for the gate."""
    verdict = scene.verify("--format", "json")
    lanes = verdict.document["images"][0]["lanes"]
    assert [lane["lane"] for lane in lanes if lane["state"] != "present"] == []
    assert (verdict.code, len(lanes)) == (0, 50)


def test_fifty_signers_at_once(crowd: Scene) -> None:
    """Of fifty lanes that sign at once each ends with 0, and the gate finds all fifty."""
    ended = end([start(crowd, lane) for lane in LANES])
    assert [one for one in ended if one[0] != 0] == []
    assert_all_present(crowd)


def test_fifty_signers_beside_others(crowd: Scene, any_registry: Registry, cosign: Cosign) -> None:
    """Nor is one lost where other clients write the list of attestations over meanwhile, and once more afterwards."""
    repository, _, digest = crowd.image.partition("@")
    stop = threading.Event()

    def overwrite() -> None:
        push_manifest(any_registry, repository, EMPTY_LIST, tag=fallback_tag(Digest(digest)), media_type=INDEX)

    def interfere() -> None:
        while not stop.wait(0.3):
            overwrite()

    pair = cosign.generate_key_pair(f"parallel-{any_registry.name}")
    other = cosign.attesting(any_registry, crowd.image, key=pair, predicate_type=PROVENANCE, predicate={"n": 1})
    thread = threading.Thread(target=interfere)
    thread.start()
    try:
        lanes = [start(crowd, lane) for lane in LANES]
        others = [threading.Thread(target=process.attempt, args=(other,)) for _ in range(3)]
        for one in others:
            one.start()
        ended = end(lanes)
        for one in others:
            one.join()
    finally:
        stop.set()
        thread.join()
    assert [one for one in ended if one[0] != 0] == []
    assert_all_present(crowd)
    overwrite()
    assert_all_present(crowd)
