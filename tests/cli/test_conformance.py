"""sigstore-conformance's DSSE cases under managed keys: all are keyless, so none is ever evidence, and none a crash.

The vectors lie beside the project, in `../shared/vectors`; a checkout without them skips these tests and says so.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attest.core.verify import Keyring, Rejected, verify
from tests.cli.scene import Scene
from tests.core import make
from tests.project import ROOT

SHARED = ROOT.parent / "shared"
VECTORS = SHARED / "vectors" / "sigstore-conformance"
CASES = sorted(path.parent.name for path in VECTORS.glob("*/bundle.sigstore.json"))


def content(case: str) -> bytes:
    """The bundle of a case."""
    return (VECTORS / case / "bundle.sigstore.json").read_bytes()


def test_the_vectors_are_there() -> None:
    """Where the folder beside the project exists the vectors are in it; without the folder the tests are skipped."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the project: the sigstore-conformance vectors are not tested")
    assert len(CASES) >= 14


@pytest.mark.parametrize("case", CASES)
def test_a_keyless_bundle_is_rejected(case: str) -> None:
    """Under managed keys a keyless bundle, sound or forged, is rejected with a reason, and nothing is raised."""
    keyring = Keyring([make.party("unit").trusted, make.party("e2e", "ed25519").trusted])
    outcome = verify(content(case), keyring)
    assert isinstance(outcome, Rejected)
    assert outcome.reason in {"foreign-identity", "bundle-invalid", "not-an-attestation"}
    assert isinstance(verify(content(case), keyring, legacy=True), Rejected)


@pytest.mark.parametrize("case", CASES)
def test_a_keyless_bundle_changes_no_verdict(case: str, passing: Scene) -> None:
    """Handed in, or attached, it is listed as rejected and shown by inspect, and the verdict stays the same."""
    path = passing.folder / "keyless.json"
    path.write_bytes(content(case))
    ended = passing.verify("--bundle", path.name, "--format", "json")
    assert ended.code == 0, ended.err
    assert len(ended.document["images"][0]["rejected"]) == 1
    passing.attach_bytes(content(case))
    assert len(passing.verify("--format", "json").document["images"][0]["rejected"]) == 1
    inspected = passing.attest("inspect", passing.image, "--policy", "policy.yaml", "--format", "json")
    assert inspected.code == 0, inspected.err
    verified = [one["verified"] for place in inspected.document["places"] for one in place["bundles"]]
    assert sorted(verified) == [False, True, True]


@pytest.mark.parametrize("case", CASES)
def test_a_keyless_bundle_fills_no_lane(case: str, scene: Scene) -> None:
    """On its own it leaves every lane missing, and the image refused."""
    path = Path(scene.folder / "keyless.json")
    path.write_bytes(content(case))
    ended = scene.verify("--bundle", path.name, "--format", "json")
    assert ended.code == 1
    assert {lane["state"] for lane in ended.document["images"][0]["lanes"]} == {"missing"}
    assert json.loads(ended.raw)["verdict"] == "REFUSED"
