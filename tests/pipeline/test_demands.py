"""What the example's policies demand of evidence: each condition, one at a time, on images in layouts."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from attest.adapters.keys import generate
from tests.cli.running import Ended
from tests.cli.scene import PROVENANCE, TEST_RESULT, Scene
from tests.pipeline.rendering import FILES, TEXTS
from tests.project import ROOT

EXAMPLE: Final = ROOT / "examples" / "playlist"
LANES: Final = ("build", "contract", "source", "integration", "e2e")
COMMIT: Final = "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70"
OTHER: Final = "0" * 64

Predicate = dict[str, Any]


def role(name: str, digest: str) -> dict[str, Any]:
    """Something that took part, as a test-result names it."""
    return {"name": name, "digest": {"sha256": digest}, "annotations": {"role": name}}


def predicate(lane: str, digests: list[str]) -> Predicate:
    """What a lane signs in a run in which everything is as it should be."""
    if lane == "build":
        return {
            "buildDefinition": {
                "buildType": "https://attest-gate.dev/build/container/v1",
                "externalParameters": {"request": {"args": {"target": "runtime"}}},
                "resolvedDependencies": [{"name": "base", "digest": {"sha256": TEXTS["base"]}}],
            },
            "runDetails": {"builder": {"id": "https://git.example.com"}},
        }
    roles = {
        "contract": [
            role("contract", OTHER),
            role("lock", OTHER),
            role("baseline", TEXTS["base"]),
            role("ci-image", TEXTS["ci_image"]),
        ],
        "source": [role("runner", TEXTS["ci_image"])],
        "integration": [role("runner", TEXTS["ci_image"])],
        "e2e": [role("runner", TEXTS["e2e_image"])],
    }[lane]
    tool = {"name": "attest", "uri": "pkg:generic/attest@1"}
    made: Predicate = {"result": "PASSED", "configuration": [tool, *roles]}
    if lane in ("integration", "e2e"):
        made["attest_observed"] = [{"image": digest, "mounts": []} for digest in digests]
    return made


def scene_in(folder: Path) -> Scene:
    """The example's policies with keys, and the two images, of which nothing is signed."""
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(EXAMPLE / name, folder / name)
    for name in (*LANES, "gate", "alice", "bob"):
        generate(name, folder / "keys", "ecdsa-p256", None)
    scene = Scene(folder=folder)
    for service in ("backend", "frontend"):
        entry = scene.make_image(service, f"the {service}")
        scene.others = (*scene.others, f"oci:{service}@{entry['digest']}")
    return scene


def repositories() -> list[str]:
    """What the images in the layouts stand for."""
    return [word for service in ("backend", "frontend") for word in ("--repository", f"{TEXTS['registry']}/{service}")]


def sign(scene: Scene, lane: str, change: Callable[[Predicate], object] = lambda _: None, *, run: int = 1) -> None:
    """A lane signs one statement about both images."""
    made = copy.deepcopy(predicate(lane, [image.rpartition("@")[2] for image in scene.others]))
    change(made)
    (scene.folder / "predicate.json").write_text(json.dumps(made))
    ended = scene.attest(
        *("sign", *scene.others, *repositories(), "--lane", lane, "--key", f"keys/{lane}.key"),
        *("--predicate-type", PROVENANCE if lane == "build" else TEST_RESULT, "--predicate", "predicate.json"),
        *("--source-repository", TEXTS["source"], "--source-commit", COMMIT, "--source-ref", "refs/heads/main"),
        *("--run-id", run, "--job", lane),
    )
    assert ended.code == 0, ended.err


def verify(scene: Scene, policy: str) -> Ended:
    """Ask the gate."""
    return scene.attest(
        "verify", *scene.others, *repositories(), "--policy", f"policies/{policy}.yaml", "--format", "json"
    )


def reasons(ended: Ended) -> list[dict[str, str]]:
    """By image, the reason of each lane."""
    return [{lane["lane"]: lane["reason"] for lane in image["lanes"]} for image in ended.document["images"]]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every lane has signed what it should."""
    folder = tmp_path_factory.mktemp("demands")
    scene = scene_in(folder)
    for lane in LANES:
        sign(scene, lane)
    return folder


@pytest.fixture
def scene(signed: Path, tmp_path: Path) -> Scene:
    """A copy of that folder."""
    shutil.copytree(signed, tmp_path, dirs_exist_ok=True)
    others = [f"oci:{name}@{_digest(tmp_path / name)}" for name in ("backend", "frontend")]
    return Scene(folder=tmp_path, others=tuple(others))


def _digest(layout: Path) -> str:
    manifests = json.loads((layout / "index.json").read_bytes())["manifests"]
    (image,) = [one["digest"] for one in manifests if "v1" in one.get("annotations", {}).values()]
    assert isinstance(image, str)
    return image


@pytest.mark.parametrize("policy", ["promote", "staging"])
def test_a_whole_run_passes(scene: Scene, policy: str) -> None:
    """What the lanes of a good run sign fills every lane of both policies, for both images."""
    ended = verify(scene, policy)
    assert ended.code == 0, ended.out
    assert reasons(ended) == [dict.fromkeys(LANES, "present")] * 2


def _drop(name: str) -> Callable[[Predicate], object]:
    def change(made: Predicate) -> None:
        kept = [one for one in made["configuration"] if one.get("annotations", {}).get("role") != name]
        assert len(kept) == len(made["configuration"]) - 1
        made["configuration"] = kept

    return change


def _another(name: str) -> Callable[[Predicate], object]:
    def change(made: Predicate) -> None:
        (found,) = [one for one in made["configuration"] if one.get("annotations", {}).get("role") == name]
        found["digest"] = {"sha256": OTHER}

    return change


def _built(**build: Any) -> Callable[[Predicate], object]:
    return lambda made: made["buildDefinition"].update(build)


FAULTS: Final[list[tuple[str, str, Callable[[Predicate], object]]]] = [
    ("build", "another stage", _built(externalParameters={"request": {"args": {"target": "build"}}})),
    ("build", "another base", _built(resolvedDependencies=[{"name": "base", "digest": {"sha256": OTHER}}])),
    ("build", "no base", _built(resolvedDependencies=[])),
    ("contract", "no lock", _drop("lock")),
    ("contract", "another base", _another("baseline")),
    ("contract", "no CI image", _drop("ci-image")),
    ("contract", "another CI image", _another("ci-image")),
    ("source", "on the bare host", _drop("runner")),
    ("source", "another CI image", _another("runner")),
    ("integration", "on the bare host", _drop("runner")),
    ("integration", "another CI image", _another("runner")),
    ("integration", "nothing observed", lambda made: made.pop("attest_observed")),
    ("integration", "mounted over", lambda made: [one.update(mounts=["/app"]) for one in made["attest_observed"]]),
    ("e2e", "on the bare host", _drop("runner")),
    ("e2e", "another browser", _another("runner")),
    ("e2e", "another image", lambda made: [one.update(image=OTHER) for one in made["attest_observed"]]),
]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["promote", "staging"])
@pytest.mark.parametrize(
    ("lane", "fault"), [pytest.param(lane, fault, id=f"{lane}: {name}") for lane, name, fault in FAULTS]
)
def test_each_condition_counts(scene: Scene, lane: str, fault: Callable[[Predicate], object], policy: str) -> None:
    """Evidence that lacks one thing, and is else as it should be, leaves its lane unmet, and no other."""
    sign(scene, lane, fault)
    ended = verify(scene, policy)
    assert ended.code == 1
    assert reasons(ended) == [{**dict.fromkeys(LANES, "present"), lane: "condition-unmet"}] * 2


def test_lanes_of_two_runs_are_no_release(tmp_path: Path) -> None:
    """Every lane passed for one commit, and yet there is no run that has them all."""
    scene = scene_in(tmp_path)
    for lane in LANES:
        sign(scene, lane, run=2 if lane == "source" else 1)
    ended = verify(scene, "promote")
    assert ended.code == 1
    assert "run-differs" in {reason for image in reasons(ended) for reason in image.values()}
