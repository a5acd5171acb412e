"""Break-glass by identity: people waive as what they are logged in as, witnessed by a real private Sigstore."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Ended
from tests.cli.scene import TEST_RESULT, policy_text
from tests.e2e.staging import ENVIRONMENT, Staging, staging
from tests.e2e.test_keyless import workflow
from tests.e2e.test_waivers import at_destination, summaries
from tests.parts.registry import Registry
from tests.parts.sigstore import PrivateSigstore

pytestmark = [pytest.mark.parts, pytest.mark.slow]

ALONE = "waivers: {signer: boss, lanes: [e2e], max-lifetime: 24h}"
TOGETHER = "waivers: {signer: duty, lanes: [e2e], max-lifetime: 24h}"


@pytest.fixture
def site(olareg: Registry, private_sigstore: PrivateSigstore, tmp_path: Path) -> Iterator[Staging]:
    """An environment to which release 1 was deployed; release 2 lacks `e2e`, which an identity may waive."""
    with staging(tmp_path, olareg) as made:
        made.scene.make_keys("bob")
        shutil.copy(private_sigstore.trusted_root, made.folder / "trusted_root.json")
        policy(made, private_sigstore)
        made.release(1)
        assert made.deploy(1).code == 0
        made.release(2, lanes=("unit",))
        yield made


def policy(site: Staging, sigstore: PrivateSigstore, *, waivers: str = ALONE, serial: int = 2) -> None:
    """Lanes sign with keys; `boss` is the identity of a job, `duty` is that and the key of `bob`."""
    rules = {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}}}" for lane in site.lanes}
    signers = {name: f"{{key: keys/{name}.pub}}" for name in site.lanes}
    signers["boss"] = f"{{issuer: {sigstore.issuer}, identity: {sigstore.identity(workflow('boss'))}}}"
    if waivers == TOGETHER:
        signers |= {"bob": "{key: keys/bob.pub}", "duty": "{threshold: 2, of: [boss, bob]}"}
    more = f"trust: {{file: trusted_root.json}}\n{waivers}"
    text = policy_text(rules, images=[f"{site.prefix}/*"], serial=serial, signers=signers, more=more)
    site.scene.write_policy(text)


def as_identity(site: Staging, sigstore: PrivateSigstore, who: str) -> list[object]:
    """The options by which a job signs as what it is."""
    token = sigstore.token_file(site.folder / f"{who}.token", workflow_ref=workflow(who))
    return ["--keyless", "--trust-config", sigstore.trust_config, "--identity-token", token]


def waive(site: Staging, *options: object, output: str = "waiver.json", number: int = 2) -> Ended:
    """Somebody waives `e2e` for a release."""
    return site.attest(
        *("waive", ENVIRONMENT, *site.images(number), "--lane", "e2e", "--reason", "login is broken"),
        *("--ticket", "OPS-7", "--lifetime", "4h", "--output", output, *options),
    )


def test_an_identity_waives(site: Staging, private_sigstore: PrivateSigstore) -> None:
    """The job that the policy names breaks the glass without a key: deployed, promoted, told by name, FAILED."""
    ended = waive(site, *as_identity(site, private_sigstore, "boss"))
    assert ended.code == 0, ended.err
    bundle = json.loads((site.folder / "waiver.json").read_text())
    assert "certificate" in bundle["verificationMaterial"]
    assert site.deploy(2).code == 1
    ended = site.deploy(2, "--waiver", "waiver.json")
    assert ended.code == 0, ended.err
    assert "WAIVED: e2e, by boss (OPS-7: login is broken)" in ended.err
    assert site.runs(2)
    assert site.history()[-1]["waived"]["signers"] == ["boss"]
    assert site.status().document["verified_good"]["deployment"] == 1
    site.scene.make_keys("receipts")
    site.push(5, repository=f"{site.prefix}/built")
    site.sign(5, "unit")
    assert waive(site, *as_identity(site, private_sigstore, "boss"), output="moved.json", number=5).code == 0
    ended = site.attest(
        *("promote", *site.images(5), "--policy", "policy.yaml", "--to", site.repository("app")),
        *("--waiver", "moved.json", "--environment", ENVIRONMENT, "--receipt-key", "keys/receipts.key"),
    )
    assert ended.code == 0, ended.err
    (predicate,) = summaries(site)
    assert (predicate["verificationResult"], predicate["attest_waiver"]["signers"]) == ("FAILED", ["boss"])
    assert at_destination(site) in [one for one in site.history() if one["what"] == "waived"][-1]["message"]


def test_another_identity_waives_nothing(site: Staging, private_sigstore: PrivateSigstore) -> None:
    """A job that the policy does not name signs no waiver, and one that the policy no longer names has signed none."""
    ended = waive(site, *as_identity(site, private_sigstore, "intern"))
    assert ended.code == 2, ended.err
    assert not (site.folder / "waiver.json").exists()
    assert waive(site, *as_identity(site, private_sigstore, "boss")).code == 0
    text = (site.folder / "policy.yaml").read_text()
    (site.folder / "policy.yaml").write_text(text.replace("workflows/boss.yml", "workflows/other.yml"))
    ended = site.deploy(2, "--waiver", "waiver.json")
    assert ended.code == 1, ended.out
    assert "[waiver-untrusted]" in ended.out
    assert site.runs(1)


def test_an_identity_and_a_key_waive_together(site: Staging, private_sigstore: PrivateSigstore) -> None:
    """Where two have to sign, neither the job nor the key is enough; both, each about the same words, are."""
    policy(site, private_sigstore, waivers=TOGETHER, serial=3)
    ended = waive(site, *as_identity(site, private_sigstore, "boss"))
    assert ended.code == 0, ended.err
    ended = site.attest(
        "waive", ENVIRONMENT, "--countersign", "waiver.json", "--key", "keys/bob.key", "--output", "bob.json"
    )
    assert ended.code == 0, ended.err
    for file in ("waiver.json", "bob.json"):
        refused = site.deploy(2, "--waiver", file)
        assert (refused.code, "[waiver-untrusted]" in refused.out) == (1, True)
    assert site.runs(1)
    ended = site.deploy(2, "--waiver", "bob.json", "--waiver", "waiver.json")
    assert ended.code == 0, ended.err
    assert site.runs(2)
    assert sorted(site.history()[-1]["waived"]["signers"]) == ["bob", "boss"]


def test_a_signature_that_nobody_witnessed_is_none(site: Staging, private_sigstore: PrivateSigstore) -> None:
    """Without its timestamps and log entries, or with the certificate of another waiver, it is untrusted."""
    assert waive(site, *as_identity(site, private_sigstore, "boss")).code == 0
    whole = json.loads((site.folder / "waiver.json").read_text())
    for missing in ("timestampVerificationData", "tlogEntries"):
        bundle = json.loads(json.dumps(whole))
        assert bundle["verificationMaterial"].pop(missing)
        (site.folder / "less.json").write_text(json.dumps(bundle))
        ended = site.deploy(2, "--waiver", "less.json")
        assert ended.code in (1, 2), ended.out
        assert site.runs(1)
    site.release(3, lanes=("unit",))
    assert waive(site, *as_identity(site, private_sigstore, "boss"), output="three.json", number=3).code == 0
    other = json.loads((site.folder / "three.json").read_text())
    other["dsseEnvelope"] = whole["dsseEnvelope"]
    (site.folder / "mixed.json").write_text(json.dumps(other))
    ended = site.deploy(2, "--waiver", "mixed.json")
    assert (ended.code, "[waiver-untrusted]" in ended.out) == (1, True)
    assert site.runs(1)
