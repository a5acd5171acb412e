"""Lanes of identities at the command line: the verdict, what to do next, and what `inspect` says of a certificate."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from attest.core.keys import public_key
from attest.core.reference import Digest
from tests.cli.running import Ended
from tests.cli.scene import REPOSITORY, TEST_RESULT, Scene, policy_text
from tests.core import make
from tests.project import ROOT
from tests.sigstore_forge import CLAIMS, IDENTITY, ISSUER, Certificate, Recipe
from tests.sigstore_instance import AT, MINUTE, Authority, trusted_root, utf8

SCHEMA = json.loads((ROOT / "attest" / "schemas" / "verdict.v1.json").read_text())
SIGNERS = {
    "unit": "{key: keys/unit.pub}",
    "check": f"{{issuer: {ISSUER}, identity: {IDENTITY}}}",
    "two": "{threshold: 2, of: [unit, check]}",
}


@pytest.fixture
def keyless(tmp_path: Path) -> Scene:
    """An image that nobody has signed yet, a trusted root, and the key `unit`."""
    made = Scene(folder=tmp_path)
    made.make_keys("unit")
    made.make_image()
    (tmp_path / "root.json").write_bytes(trusted_root())
    write(made, check=f"{{predicate-type: {TEST_RESULT}, signer: check}}")
    return made


def write(scene: Scene, *, trust: str = "{file: root.json}", revoked: str = "", **lanes: str) -> None:
    """The scene's policy, with these lanes."""
    rules = {name.replace("_", "-"): rule for name, rule in lanes.items()}
    more = "\n".join([f"trust: {trust}", *([f"revoked: ['{revoked}']"] if revoked else [])])
    scene.write_policy(policy_text(rules, signers=SIGNERS, more=more))


def sign(scene: Scene, lane: str = "check", **recipe: Any) -> Recipe:
    """Attach what a job signed under a certificate of the forge."""
    about = make.context(lane, finished=AT - MINUTE, started=AT - 2 * MINUTE)
    payload = make.payload([Digest(scene.digest)], about)
    made = Recipe(**{"payload": payload, **recipe})
    scene.attach_bytes(made.content)
    return made


def verdict(scene: Scene, *options: str) -> dict[str, Any]:
    """The verdict as JSON, which is that of the schema."""
    document: dict[str, Any] = scene.verify("--format", "json", *options).document
    assert list(Draft202012Validator(SCHEMA).iter_errors(document)) == []
    return document


def steps(ended: Ended) -> list[str]:
    """What to do next, for each lane that is not present."""
    return [line.partition("next: ")[2] for line in ended.out.splitlines() if "next: " in line]


def test_a_lane_of_an_identity_passes(keyless: Scene) -> None:
    """A bundle under a certificate of the identity, verified under the policy's root, fills its lane."""
    sign(keyless)
    ended = keyless.verify()
    assert ended.code == 0, ended.out
    document = verdict(keyless)
    (lane,) = document["images"][0]["lanes"]
    assert (lane["state"], lane["message"]) == ("present", "signed by check")
    assert lane["evidence"][0]["source"]["commit"] == make.COMMIT
    assert "trusted_root" not in document["policy"]


def test_what_is_no_signers_certificate_is_listed_with_its_reason(keyless: Scene) -> None:
    """The rejected bundle says what about the certificate differs; the lane is missing."""
    other = {**CLAIMS, "14": utf8("refs/heads/feature")}
    write(keyless, check=f"{{predicate-type: {TEST_RESULT}, signer: check}}")
    signers = {**SIGNERS, "check": f"{{issuer: {ISSUER}, identity: {IDENTITY}, ref: refs/heads/main}}"}
    rule = f"{{predicate-type: {TEST_RESULT}, signer: check}}"
    keyless.write_policy(policy_text({"check": rule}, signers=signers, more="trust: {file: root.json}"))
    sign(keyless, certificate=Certificate(claims=other))
    document = verdict(keyless)
    assert document["verdict"] == "REFUSED"
    (rejected,) = document["images"][0]["rejected"]
    assert rejected["reason"] == "certificate-ref-differs"
    assert rejected["message"] == (
        "it is check but for the ref: its certificate says 'refs/heads/feature', not 'refs/heads/main'"
    )


def test_a_missing_lane_of_an_identity_says_which_job_signs_it(keyless: Scene) -> None:
    """What to do next is a keyless signature, in the job that the policy names; it names no key that there is not."""
    (step,) = steps(keyless.verify())
    command = f"attest sign {keyless.image} --lane check --keyless --result passed, in the job {IDENTITY}"
    assert step == f"run the lane and sign what it found: {command}"


def test_a_threshold_says_who_has_not_signed_yet(keyless: Scene) -> None:
    """Of a key and an identity the one that is missing is named, with the command that it takes."""
    write(keyless, check=f"{{predicate-type: {TEST_RESULT}, signer: two}}")
    (nobody,) = steps(keyless.verify())
    assert nobody.startswith("run the lane and sign what it found: attest sign ")
    assert f"--keyless --result passed, in the job {IDENTITY}" in nobody
    sign(keyless)
    (step,) = steps(keyless.verify())
    assert step == f"have unit sign it too: attest sign {keyless.image} --lane check --key unit.key --result passed"


def test_a_time_that_nobody_vouches_for_says_how_to_have_one(keyless: Scene) -> None:
    """Under `time: trusted` a bare key's evidence is stale, and the command asks a timestamp service too."""
    write(keyless, unit=f"{{predicate-type: {TEST_RESULT}, signer: unit, time: trusted}}")
    keyless.sign("unit")
    ended = keyless.verify()
    assert "[time-untrusted]" in ended.out
    (step,) = steps(ended)
    command = f"attest sign {keyless.image} --lane unit --key unit.key --trust-config FILE --result passed"
    assert step == f"sign so that a trusted service vouches for the time: {command}"


def test_a_revoked_key_of_a_run_says_to_run_again(keyless: Scene) -> None:
    """A run's key is of no use to anybody twice, so that there is none to change: the next run has another."""
    made = sign(keyless)
    revoked = public_key(make.pem(made.signer.public_key())).fingerprint
    write(keyless, check=f"{{predicate-type: {TEST_RESULT}, signer: check}}", revoked=revoked)
    (step,) = steps(keyless.verify())
    assert step == "run the lane again: every run has a key of its own, and this one's is revoked"


def test_inspect_shows_what_a_certificate_says(keyless: Scene) -> None:
    """Each value under a name of its own, as a claim, without any trust; a script gets them as an object."""
    sign(keyless)
    lines = dict(
        line.split(None, 2)[1:]
        for line in keyless.attest("inspect", keyless.image).out.splitlines()
        if " cert " in line
    )
    assert lines["issuer"] == ISSUER
    assert lines["identity"] == IDENTITY
    document = keyless.attest("inspect", keyless.image, "--format", "json").document
    (bundle,) = document["places"][0]["bundles"]
    assert bundle["certificate"] == {
        "issuer": ISSUER,
        "identity": IDENTITY,
        "repository": make.REPOSITORY,
        "ref": "refs/heads/main",
        "commit": make.COMMIT,
        "trigger": "push",
        "workflow": IDENTITY,
        "run": f"{make.REPOSITORY}/actions/runs/7",
    }
    assert (bundle["key_hint"], bundle["verified"], bundle["problem"]) == (None, None, None)


def test_inspect_says_whose_certificate_it_is(keyless: Scene) -> None:
    """With a policy the signature is verified under its root, and the signer named; another root verifies nothing."""
    sign(keyless)
    out = keyless.attest("inspect", keyless.image, "--policy", "policy.yaml").out
    assert "signature verified: check" in out
    (keyless.folder / "root.json").write_bytes(trusted_root(authorities=[Authority(name="evil").described()]))
    out = keyless.attest("inspect", keyless.image, "--policy", "policy.yaml").out
    assert "unverified: no signer of the policy made its signature" in out


def test_inspect_shows_a_certificate_that_cannot_be_read_as_a_problem(keyless: Scene) -> None:
    """A bundle with a damaged certificate is listed, with what is wrong with it and what it signs."""
    document = json.loads(json.dumps(Recipe().document))
    document["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA"
    keyless.attach_bytes(json.dumps(document).encode())
    ended = keyless.attest("inspect", keyless.image)
    assert ended.code == 0
    assert "the certificate: no X.509 certificate can be read" in ended.out


def test_a_policy_of_keys_loads_no_sigstore(keyless: Scene) -> None:
    """A gate whose policy names keys alone, and no trust, never loads the library for certificates."""
    rule = f"{{predicate-type: {TEST_RESULT}, signer: unit}}"
    keyless.write_policy(policy_text({"unit": rule}, signers={"unit": SIGNERS["unit"]}))
    keyless.sign("unit")
    program = (
        "import sys\nfrom attest.cli.main import run\n"
        f"code = run(['verify', {keyless.image!r}, '--repository', {REPOSITORY!r}, '--policy', 'policy.yaml'])\n"
        "print(code, sorted(name for name in sys.modules if name.partition('.')[0] in HEAVY))"
    ).replace("HEAVY", "{'sigstore', 'tuf', 'rfc3161_client', 'sigstore_models', 'requests'}")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=keyless.folder, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_recipes_of_these_tests_are_good(keyless: Scene) -> None:
    """Under either version of the log the lane passes, so that each refusal here is for what the test changed."""
    for kind in ("dsse", "hashedrekord"):
        made = sign(keyless, kind=kind)
        assert dataclasses.replace(made, kind=kind).content == made.content
        assert keyless.verify().code == 0
