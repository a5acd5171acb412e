"""Receipts: a verdict as a signed SLSA VSA in a file, and what an earlier one demands of a later verification."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from attest.core.reference import digest_of
from tests.cli.scene import Scene, policy_text
from tests.parts.find import require
from tests.parts.process import Command, plain_environment, run

KEY = ("--receipt-key", "keys/gate.key", "--receipt-out", "receipt.json")


@pytest.fixture
def gate(passing: Scene) -> Scene:
    """A passing scene with a key of the gate's own."""
    passing.make_keys("gate")
    return passing


def payload_of(path: Path) -> bytes:
    """The signed bytes of a bundle in a file, by its JSON alone."""
    return base64.b64decode(json.loads(path.read_text())["dsseEnvelope"]["payload"], validate=True)


def predicate_of(scene: Scene) -> dict[str, Any]:
    """The predicate of the receipt."""
    statement = json.loads(payload_of(scene.folder / "receipt.json"))
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert statement["subject"][0]["digest"] == {"sha256": scene.digest.removeprefix("sha256:")}
    predicate: dict[str, Any] = statement["predicate"]
    return predicate


def test_a_pass_is_signed(gate: Scene) -> None:
    """A receipt of a pass names the place, the policy with its digest, the time, PASSED and every input."""
    verdict = gate.verify(*KEY, "--format", "json")
    assert verdict.code == 0
    predicate = predicate_of(gate)
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"] != ["FAILED"]
    assert predicate["resourceUri"] == gate.image
    assert predicate["timeVerified"] == verdict.document["time"]
    policy = verdict.document["policy"]["digest"].removeprefix("sha256:")
    assert predicate["policy"] == {"uri": "policy.yaml", "digest": {"sha256": policy}}
    evidence = {one["digest"] for lane in verdict.document["images"][0]["lanes"] for one in lane["evidence"]}
    assert {"sha256:" + one["digest"]["sha256"] for one in predicate["inputAttestations"]} == evidence
    assert len(evidence) == 2


def test_a_refusal_is_signed_too(gate: Scene) -> None:
    """A receipt of a refusal says FAILED, with the superseded and the bad among its inputs; the exit code stays 1."""
    gate.sign("e2e", "--result", "failed", "--run-id", "2")
    assert gate.verify(*KEY).code == 1
    predicate = predicate_of(gate)
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert len(predicate["inputAttestations"]) == 3


@pytest.mark.parametrize("refused", [False, True])
def test_an_independent_reader_accepts_it(refused: bool, gate: Scene) -> None:
    """in-toto's own library reads the Statement, and plain ECDSA over DSSE's PAE verifies the signature."""
    if refused:
        gate.sign("e2e", "--result", "failed", "--run-id", "2")
    gate.verify(*KEY)
    content = (gate.folder / "receipt.json").read_text()
    assert json.loads(content)["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    document = json.loads(content)
    payload = payload_of(gate.folder / "receipt.json")
    Statement.copy_from_pb(json_format.Parse(payload, statement_pb2.Statement())).validate()
    public = serialization.load_pem_public_key((gate.folder / "keys/gate.pub").read_bytes())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    kind = b"application/vnd.in-toto+json"
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (signature,) = document["dsseEnvelope"]["signatures"]
    public.verify(base64.b64decode(signature["sig"]), pae, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parts
@pytest.mark.parametrize("refused", [False, True])
def test_cosign_accepts_it(refused: bool, gate: Scene) -> None:
    """`cosign verify-blob-attestation` accepts the receipt for the bytes of the image's manifest, and for no others."""
    if refused:
        gate.sign("e2e", "--result", "failed", "--run-id", "2")
    gate.verify(*KEY)
    services = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")
    root = {name: list[str]() for name in services}
    (gate.folder / "root.json").write_text(
        json.dumps({"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", **root})
    )
    manifest = gate.folder / "image/blobs/sha256" / gate.digest.removeprefix("sha256:")

    def cosign(blob: Path) -> Command:
        trust = ("--key", "keys/gate.pub", "--trusted-root", "root.json", "--insecure-ignore-tlog")
        what = ("--type", "https://slsa.dev/verification_summary/v1", "--bundle", "receipt.json")
        arguments: list[str | Path] = [require("cosign"), "verify-blob-attestation", *trust, *what, str(blob)]
        return Command(arguments=arguments, environment=plain_environment(gate.folder), directory=gate.folder)

    run(cosign(manifest))
    (gate.folder / "other").write_bytes(manifest.read_bytes() + b" ")
    command = cosign(gate.folder / "other")
    refused_by_cosign = subprocess.run(
        [str(one) for one in command.arguments],
        env=dict(command.environment),
        cwd=command.directory,
        capture_output=True,
        check=False,
    )
    assert refused_by_cosign.returncode != 0


def test_both_options_or_none(gate: Scene) -> None:
    """A key without a place, or a place without a key, ends with 2."""
    assert gate.verify("--receipt-key", "keys/gate.key").code == 2
    assert gate.verify("--receipt-out", "receipt.json").code == 2
    assert not (gate.folder / "receipt.json").exists()


@pytest.mark.parametrize("options", [("--receipt-key", "no.key", "--receipt-out", "r"), (*KEY[:3], "no/such/r.json")])
def test_a_receipt_that_cannot_be_made_is_2(options: tuple[str, ...], gate: Scene) -> None:
    """Where the receipt cannot be signed or written the command does not end with 0."""
    assert gate.verify(*options).code == 2


# ---- --receipt: what an earlier one demands


@pytest.fixture
def receipt(gate: Scene) -> Scene:
    """A scene that passed, with the receipt of it."""
    assert gate.verify(*KEY).code == 0
    return gate


def test_what_is_still_there_passes(receipt: Scene) -> None:
    """Where every input of the receipt is still found, the verdict is the same."""
    assert receipt.verify("--receipt", "receipt.json").code == 0


def test_an_input_that_is_gone_refuses(receipt: Scene) -> None:
    """A failure that somebody removed after the receipt saw it is missed: refused, naming the input."""
    digest = receipt.sign("e2e", "--result", "failed", "--run-id", "2", "--format", "json").document["bundle"]
    assert receipt.verify(*KEY).code == 1
    layout = receipt.folder / "image"
    shutil.rmtree(layout)
    receipt.make_image()
    receipt.sign("unit")
    receipt.sign("e2e")
    assert receipt.verify().code == 0
    ended = receipt.verify("--receipt", "receipt.json", "--format", "json")
    assert ended.code == 1
    refusals = ended.document["refusals"]
    assert {one["reason"] for one in refusals} == {"input-withheld"}
    assert any(digest in one["message"] for one in refusals)


def test_an_input_may_be_handed_in(receipt: Scene) -> None:
    """An input that is not attached any more counts as there when --bundle hands it in."""
    receipt.sign("unit", "--run-id", "2", "--output", "more.json", "--no-push")
    more = digest_of((receipt.folder / "more.json").read_bytes())
    assert receipt.verify(*KEY, "--bundle", "more.json").code == 0
    assert more.removeprefix("sha256:") in payload_of(receipt.folder / "receipt.json").decode()
    assert receipt.verify("--receipt", "receipt.json").code == 1
    assert receipt.verify("--receipt", "receipt.json", "--bundle", "more.json").code == 0


def test_a_receipt_about_other_images_is_2(receipt: Scene) -> None:
    """A receipt of another image demands nothing of this one, and that is an error, not a pass."""
    receipt.make_image("other", "another application")
    for lane in ("unit", "e2e"):
        receipt.sign(lane)
    ended = receipt.verify("--receipt", "receipt.json")
    assert ended.code == 2
    assert "this receipt is about other images" in ended.err


@pytest.mark.parametrize("content", [b"", b"{}", b"not json"])
def test_what_is_no_receipt_is_2(content: bytes, receipt: Scene) -> None:
    """A file that is no receipt ends with 2 and its name."""
    (receipt.folder / "receipt.json").write_bytes(content)
    ended = receipt.verify("--receipt", "receipt.json")
    assert ended.code == 2
    assert "receipt.json" in ended.err


def test_another_attestation_is_no_receipt(receipt: Scene) -> None:
    """A lane's bundle under --receipt is an error: it lists no inputs, so it would demand nothing."""
    receipt.sign("unit", "--output", "unit.json", "--no-push")
    assert receipt.verify("--receipt", "unit.json").code == 2


@pytest.mark.parametrize(
    "inputs", [None, "all", [{}], [{"digest": {}}], [{"digest": {"sha256": "abc"}}], [{"digest": {"sha1": 40 * "a"}}]]
)
def test_a_receipt_with_unreadable_inputs_is_2(inputs: object, receipt: Scene) -> None:
    """A receipt whose inputs cannot all be understood is an error, never a shorter list of demands."""
    path = receipt.folder / "receipt.json"
    bundle = json.loads(path.read_text())
    statement = json.loads(payload_of(path))
    statement["predicate"]["inputAttestations"] = inputs
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(bundle))
    assert receipt.verify("--receipt", "receipt.json").code == 2


def test_a_receipt_is_no_evidence(receipt: Scene) -> None:
    """A VSA that is attached to the image fills no lane, even where its key is a signer of the policy."""
    receipt.write_policy(
        policy_text(
            {"gate": "{predicate-type: https://in-toto.io/attestation/test-result/v0.1, signer: gate}"},
            signers={"gate": "{key: keys/gate.pub}"},
        )
    )
    assert receipt.attest("attach", "receipt.json", receipt.image).code == 0
    assert receipt.verify().code == 1
