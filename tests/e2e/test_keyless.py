"""Five lanes with five workflow identities on a real private Sigstore, and a gate that looks at all that they say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import COMMAND, Ended, clean_environment
from tests.cli.scene import LANES, TEST_RESULT, Scene, policy_text
from tests.e2e.gate import registry_scene
from tests.parts.cosign import Cosign
from tests.parts.images import BuiltImage
from tests.parts.process import PartError
from tests.parts.registry import Registry
from tests.parts.sigstore import PrivateSigstore
from tests.parts.sigstore_issuer import COMMIT

pytestmark = [pytest.mark.parts, pytest.mark.slow]

REF = "refs/heads/main"


def workflow(lane: str, repository: str = "plex/playlist", ref: str = REF) -> str:
    """The address of a lane's workflow, as a token names it."""
    return f"{repository}/.forgejo/workflows/{lane}.yml@{ref}"


class Forge:
    """A scene whose lanes are jobs of a forge, each with an identity instead of a key."""

    def __init__(self, scene: Scene, sigstore: PrivateSigstore) -> None:
        self.scene = scene
        self.sigstore = sigstore
        shutil.copy(sigstore.trusted_root, scene.folder / "trusted_root.json")

    def write_policy(self, lanes: Sequence[str] = LANES, *, rule: str = "", **claims: str) -> None:
        """A policy in which each lane is signed by its own workflow; `claims` are demanded of each certificate."""
        more = "".join(f", {name}: {value}" for name, value in claims.items())
        signers = {
            lane: f"{{issuer: {self.sigstore.issuer}, identity: {self.sigstore.identity(workflow(lane))}{more}}}"
            for lane in lanes
        }
        rules = {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}{rule}}}" for lane in lanes}
        image = self.scene.repository or self.scene.image.partition("@")[0]
        text = policy_text(rules, images=[image], signers=signers, more="trust: {file: trusted_root.json}")
        source = f"{self.sigstore.forge}/plex/playlist"
        self.scene.write_policy(text.replace("https://git.example.org/plex/playlist", source))

    def sign(self, lane: str, *options: object, context: Mapping[str, str] | None = None, **claims: Any) -> Ended:
        """A job signs that its lane passed; `claims` replace those of its token, `context` what the options say."""
        given = {"workflow_ref": workflow(lane), **claims}
        token = self.sigstore.token_file(self.scene.folder / f"{lane}.token", **given)
        forge = str(given.get("iss", self.sigstore.issuer)).removesuffix("/api/actions")
        said = {
            "--source-repository": f"{forge}/{given.get('repository', 'plex/playlist')}",
            "--source-commit": str(given.get("sha", COMMIT)),
            "--source-ref": str(given.get("ref", REF)),
            "--run-id": str(given.get("run_id", "1564")),
            **(context or {}),
        }
        repository = () if self.scene.repository is None else ("--repository", self.scene.repository)
        return self.scene.attest(
            *("sign", self.scene.image, *repository, "--lane", lane, "--result", "passed"),
            *("--keyless", "--trust-config", self.sigstore.trust_config, "--identity-token", token),
            *(part for pair in said.items() for part in pair),
            *self.scene.options,
            *options,
        )

    def verdict(self, *options: object) -> dict[str, Any]:
        """The verdict on the scene's image."""
        return self.scene.verify("--format", "json", *options).document

    def rejected(self) -> set[str]:
        """Why bundles of the scene's image are no evidence."""
        (image,) = self.verdict()["images"]
        return {one["reason"] for one in image["rejected"]}

    def lanes(self) -> dict[str, tuple[str, str]]:
        """State and reason of each lane."""
        (image,) = self.verdict()["images"]
        return {lane["lane"]: (lane["state"], lane["reason"]) for lane in image["lanes"]}


@pytest.fixture
def forge(
    tmp_path: Path, docker_registry: Registry, sample_image: BuiltImage, private_sigstore: PrivateSigstore
) -> Forge:
    """A scene in a registry without the referrers API."""
    return Forge(registry_scene(tmp_path, docker_registry, sample_image), private_sigstore)


@pytest.fixture
def local(tmp_path: Path, private_sigstore: PrivateSigstore) -> Forge:
    """A scene in an OCI layout."""
    scene = Scene(folder=tmp_path)
    scene.make_image()
    return Forge(scene, private_sigstore)


def test_five_identities_pass_and_four_do_not(forge: Forge) -> None:
    """Five jobs sign without a key; the gate refuses at four of them, and passes at five with a trusted time each."""
    forge.write_policy(rule=", time: trusted, max-age: 1d", trigger="push", ref=REF, commit=COMMIT)
    for lane in LANES[:4]:
        ended = forge.sign(lane)
        assert ended.code == 0, ended.err
    assert forge.lanes() == {**dict.fromkeys(LANES[:4], ("present", "present")), LANES[4]: ("missing", "not-found")}
    assert forge.scene.verify().code == 1
    assert forge.sign(LANES[4]).code == 0
    ended = forge.scene.verify()
    assert ended.code == 0, ended.out
    assert ended.out.splitlines()[-1].startswith("PASSED  5 of 5 lanes present; ")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"workflow_ref": workflow("other")}, "certificate-workflow-differs"),
        ({"workflow_ref": workflow("unit", ref="refs/heads/x"), "ref": "refs/heads/x"}, "certificate-ref-differs"),
        ({"workflow_ref": workflow("unit", "plex/b"), "repository": "plex/b"}, "certificate-repository-differs"),
        ({"event_name": "pull_request"}, "certificate-trigger-differs"),
        ({"sha": 40 * "0"}, "certificate-commit-differs"),
    ],
)
def test_a_single_deviation_is_no_signer(local: Forge, claims: dict[str, Any], reason: str) -> None:
    """A job that differs in one thing gets its certificate, and the gate rejects it for exactly that thing."""
    local.write_policy(["unit"], trigger="push", commit=COMMIT)
    assert local.sign("unit", **claims).code == 0
    assert local.rejected() == {reason}
    assert local.lanes() == {"unit": ("missing", "not-found")}


def test_another_issuer_is_no_signer(local: Forge) -> None:
    """A job of another forge that this Sigstore trusts as well is rejected for its issuer."""
    local.write_policy(["unit"])
    assert local.sign("unit", iss=local.sigstore.issuers.other_issuer).code == 0
    assert local.rejected() == {"issuer-differs"}


def test_lanes_of_two_commits_do_not_join(local: Forge) -> None:
    """Where no certificate's commit is demanded, lanes of two commits are mismatched all the same."""
    local.write_policy(["unit", "e2e"])
    assert local.sign("unit").code == 0
    assert local.sign("e2e", sha=40 * "1").code == 0
    assert sorted(local.lanes().values()) == [("mismatched", "commit-differs"), ("present", "present")]


@pytest.mark.parametrize(
    ("claims", "context", "code"),
    [
        ({"exp": 1_700_000_000, "iat": 1_690_000_000, "nbf": 1_690_000_000}, {}, "token-expired"),
        ({"aud": "somebody else"}, {}, "token-audience"),
        ({}, {"--source-repository": "https://git.example.org/plex/b"}, "token-disagrees"),
        ({}, {"--source-commit": 40 * "2"}, "token-disagrees"),
        ({}, {"--source-ref": "refs/heads/release"}, "token-disagrees"),
        ({}, {"--run-id": "7"}, "token-disagrees"),
    ],
)
def test_what_the_token_does_not_say_is_not_signed(
    local: Forge, claims: dict[str, Any], context: dict[str, str], code: str
) -> None:
    """An expired token, one for another audience, and a context that it does not confirm sign nothing: exit 2."""
    local.write_policy(["unit"])
    ended = local.sign("unit", "--format", "json", context=context, **claims)
    assert (ended.code, ended.document["error"]) == (2, code)
    assert local.lanes() == {"unit": ("missing", "not-found")}
    assert local.rejected() == set()


def test_an_issuer_that_the_authority_does_not_know_is_refused_by_it(local: Forge) -> None:
    """Fulcio gives no certificate for a forge that it does not trust: could not sign, exit 3, and nothing attached."""
    local.write_policy(["unit"])
    ended = local.sign("unit", iss=local.sigstore.issuers.unknown_issuer)
    assert ended.code == 3
    assert "fulcio" in ended.err.lower() or local.sigstore.fulcio_url in ended.err
    assert local.rejected() == set()


def test_keys_and_identities_share_a_threshold(local: Forge) -> None:
    """Two of three may be a key and an identity; one of them alone is too few."""
    local.scene.make_keys("alice")
    local.write_policy(["unit"])
    policy = (local.scene.folder / "policy.yaml").read_text()
    threshold = "signers:\n  alice: {key: keys/alice.pub}\n  both: {threshold: 2, of: [alice, unit]}"
    policy = policy.replace("signers:", threshold).replace("signer: unit}", "signer: both}")
    local.scene.write_policy(policy)
    assert local.sign("unit").code == 0
    assert local.lanes() == {"unit": ("missing", "too-few-signers")}
    source = ("--source-repository", f"{local.sigstore.forge}/plex/playlist", "--source-commit", COMMIT)
    ended = local.scene.attest(
        *("sign", local.scene.image, "--repository", local.scene.repository, "--lane", "unit", "--result", "passed"),
        *("--key", "keys/alice.key", *source, "--run-id", "1565", "--source-ref", REF),
    )
    assert ended.code == 0, ended.err
    assert local.lanes() == {"unit": ("present", "present")}


def test_a_key_before_witnesses_has_a_trusted_time(local: Forge) -> None:
    """A lane with `time: trusted` refuses a bare key's signature, and takes one that the services have witnessed."""
    local.scene.make_keys("unit")
    local.write_policy(["unit"], rule=", time: trusted")
    path = local.scene.folder / "policy.yaml"
    lines = [
        "  unit: {key: keys/unit.pub}" if line.startswith("  unit: {issuer") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")
    source = ("--source-repository", f"{local.sigstore.forge}/plex/playlist", "--source-commit", COMMIT)
    sign = (
        *("sign", local.scene.image, "--repository", local.scene.repository, "--lane", "unit", "--result", "passed"),
        *("--key", "keys/unit.key", *source),
    )
    assert local.scene.attest(*sign, "--run-id", "1").code == 0
    assert local.lanes() == {"unit": ("stale", "time-untrusted")}
    ended = local.scene.attest(*sign, "--run-id", "2", "--trust-config", local.sigstore.trust_config)
    assert ended.code == 0, ended.err
    assert local.lanes() == {"unit": ("present", "present")}


def test_a_condition_can_ask_what_the_certificate_says(local: Forge) -> None:
    """`where` sees the certificate: a lane that wants another trigger is unmet."""
    for trigger, state in (("push", ("present", "present")), ("schedule", ("unmet", "condition-unmet"))):
        local.write_policy(["unit"], rule=f", where: [\"certificate.trigger == '{trigger}'\"]")
        if trigger == "push":
            assert local.sign("unit").code == 0
        assert local.lanes() == {"unit": state}


def test_inspect_shows_the_certificate(local: Forge) -> None:
    """An auditor sees issuer, identity and claims, unverified without a policy and with the signer's name under one."""
    local.write_policy(["unit"])
    assert local.sign("unit").code == 0
    document = local.scene.attest("inspect", local.scene.image, "--format", "json").document
    ((bundle,),) = [place["bundles"] for place in document["places"]]
    assert bundle["verified"] is None
    assert bundle["certificate"]["issuer"] == local.sigstore.issuer
    assert bundle["certificate"]["identity"] == local.sigstore.identity(workflow("unit"))
    assert bundle["certificate"]["commit"] == COMMIT
    shown = local.scene.attest("inspect", local.scene.image, "--policy", "policy.yaml")
    assert "signature verified: unit" in shown.out
    assert local.sigstore.identity(workflow("unit")) in shown.out


NO_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from attest.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_the_verdict_needs_no_service(local: Forge) -> None:
    """With every connection refused the gate gives the same verdict from the same bytes, but for the time of asking."""
    local.write_policy(["unit", "e2e"], rule=", time: trusted")
    assert local.sign("unit").code == 0
    assert local.sign("e2e").code == 0
    before = local.verdict()
    assert before["verdict"] == "PASSED"
    arguments = [
        *("verify", local.scene.image, "--repository", str(local.scene.repository), "--policy", "policy.yaml"),
        *("--format", "json"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, *arguments],
        cwd=local.scene.folder,
        env=clean_environment(local.scene.folder),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {**json.loads(done.stdout), "time": None} == {**before, "time": None}


def test_keys_alone_never_load_sigstore(local: Forge) -> None:
    """A policy that names keys alone verifies without importing sigstore, tuf or anything for timestamps."""
    local.scene.make_keys("unit")
    local.scene.write_policy(policy_text(["unit"]))
    local.scene.sign("unit")
    done = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", *COMMAND[1:]),
            *("verify", local.scene.image, "--repository", str(local.scene.repository), "--policy", "policy.yaml"),
        ],
        cwd=local.scene.folder,
        env=clean_environment(local.scene.folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "cryptography" in loaded
    assert loaded.isdisjoint({"sigstore", "sigstore_models", "tuf", "rfc3161_client", "requests"})


@pytest.mark.parametrize("which", ["docker_registry", "olareg"])
def test_cosign_and_attest_read_each_other(
    which: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    sample_image: BuiltImage,
    private_sigstore: PrivateSigstore,
    cosign: Cosign,
) -> None:
    """With one trusted root cosign accepts what a job signed with attest, for that identity alone, and attest accepts

    what it signed with cosign, under an unlabelled lane.
    """
    registry: Registry = request.getfixturevalue(which)
    forge = Forge(registry_scene(tmp_path, registry, sample_image), private_sigstore)
    forge.write_policy(["unit"])
    assert forge.sign("unit").code == 0
    asked: dict[str, Any] = {
        "trust": private_sigstore,
        "issuer": private_sigstore.issuer,
        "predicate_type": TEST_RESULT,
    }
    identity = private_sigstore.identity(workflow("unit"))
    (statement,) = cosign.verify_identity(registry, forge.scene.image, identity=identity, **asked)
    assert statement["predicate"]["result"] == "PASSED"
    with pytest.raises(PartError):
        cosign.verify_identity(
            registry, forge.scene.image, identity=private_sigstore.identity(workflow("e2e")), **asked
        )
    review = "https://example.org/review/v1"
    cosign.attest_keyless(
        registry,
        forge.scene.image,
        trust=private_sigstore,
        token=private_sigstore.token_file(tmp_path / "token", workflow_ref=workflow("review")),
        predicate_type=review,
        predicate={"approved": True},
    )
    forge.write_policy(["unit", "review"])
    path = forge.scene.folder / "policy.yaml"
    rule = f"{{predicate-type: {TEST_RESULT}, signer: review}}"
    where = f"{{predicate-type: {review}, signer: review, unlabelled: true, where: [predicate.approved == true]}}"
    path.write_text(path.read_text().replace(rule, where))
    assert forge.lanes() == dict.fromkeys(("unit", "review"), ("present", "present"))
