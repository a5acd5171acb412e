"""Break-glass on a real registry: what a waiver lets run and move, what it does not, and what is said of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from attest.core.envelope import read_bundle
from attest.core.reference import parse_repository
from attest.core.statement import read_statement
from tests.cli.running import Ended, clean_environment
from tests.cli.scene import TEST_RESULT, policy_text
from tests.e2e.staging import ENVIRONMENT, Staging, staging
from tests.parts.registry import Registry
from tests.project import ROOT

pytestmark = [pytest.mark.parts, pytest.mark.slow]

WAIVERS = "waivers: {signer: boss, lanes: [e2e], max-lifetime: 24h}"


@pytest.fixture
def site(olareg: Registry, tmp_path: Path) -> Iterator[Staging]:
    """An environment to which release 1 was deployed; release 2 lacks `e2e`, which boss may waive."""
    with staging(tmp_path, olareg) as made:
        made.scene.make_keys("boss")
        policy(made)
        made.release(1)
        assert made.deploy(1).code == 0
        made.release(2, lanes=("unit",))
        yield made


def policy(site: Staging, *, serial: int = 2, waivers: str = WAIVERS, images: Sequence[str] = ()) -> None:
    """The policy, in which `boss` signs no lane."""
    rules = {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}}}" for lane in site.lanes}
    signers = {name: f"{{key: keys/{name}.pub}}" for name in (*site.lanes, "boss")}
    images = images or [f"{site.prefix}/*", *site.evidence]
    site.scene.write_policy(policy_text(rules, images=images, serial=serial, signers=signers, more=waivers))


def waive(site: Staging, number: int, *options: object, images: list[str] | None = None) -> str:
    """Boss waives `e2e` for a release; the file."""
    file = f"waiver-{number}.json"
    ended = site.attest(
        *("waive", ENVIRONMENT, *(images or site.images(number)), "--lane", "e2e", "--reason", "login is broken"),
        *("--ticket", "OPS-7", "--lifetime", "4h", "--key", "keys/boss.key", "--output", file, *options),
    )
    assert ended.code == 0, ended.err
    return file


def valid(ended: Ended, name: str) -> None:
    """A command printed one document of a published schema."""
    schema = json.loads((resources.files("attest") / "schemas" / f"{name}.v1.json").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(ended.document)] == []


# ---- deployment


def test_a_waiver_lets_a_release_run_and_is_told_everywhere(site: Staging) -> None:
    """Refused without it, with it the release runs; the ledger, the status and the history say by whom and why."""
    assert site.deploy(2).code == 1
    assert site.runs(1)
    ended = site.deploy(2, "--waiver", waive(site, 2))
    assert ended.code == 0, ended.err
    assert site.runs(2)
    assert "WAIVED: e2e, by boss (OPS-7: login is broken)" in ended.err
    assert "WAIVED  1 of 2 lanes present" in ended.out
    delivery = site.history()[-1]
    assert delivery["verdict"]["decision"] == "waived"
    assert delivery["waiver"] == delivery["waived"]["digest"]
    assert delivery["waived"]["signers"] == ["boss"]
    assert {lane["lane"]: lane["state"] for lane in delivery["verdict"]["images"][0]["lanes"]} == {
        "unit": "present",
        "e2e": "missing",
    }
    for text in (site.attest("status", ENVIRONMENT).out, site.attest("history", ENVIRONMENT).out):
        assert "WAIVED  e2e by boss  OPS-7: login is broken" in text
    status = site.status("--evidence")
    valid(status, "status")
    valid(site.attest("history", ENVIRONMENT, "--format", "json"), "history")
    assert status.document["verified_good"]["deployment"] == 1


def test_nothing_goes_back_to_what_was_waived(site: Staging) -> None:
    """A rollback passes over the release that ran by a waiver, although it was healthy, and says why."""
    assert site.deploy(2, "--waiver", waive(site, 2)).code == 0
    site.release(3, sick=True)
    ended = site.deploy(3)
    assert ended.code == 1
    assert site.runs(1)
    rollback = [one for one in site.history() if one.get("kind") == "rollback"][-1]
    assert [over["reason"] for over in rollback["passed_over"]] == ["waived"]
    assert rollback["waiver"] is None


def test_what_was_waived_can_be_rolled_back(site: Staging) -> None:
    """`attest rollback` leads from it to the last release that passed."""
    assert site.deploy(2, "--waiver", waive(site, 2)).code == 0
    assert site.rollback().code == 0
    assert site.runs(1)


def test_a_repair_has_no_waiver(site: Staging) -> None:
    """Drift of what runs by a waiver is reported and refused: whoever wants it again presents the waiver again."""
    assert site.deploy(2, "--waiver", waive(site, 2)).code == 0
    site.tamper("app", "sha256:" + "0" * 64)
    ended = site.attest("reconcile", ENVIRONMENT)
    assert ended.code == 1
    assert not site.runs(2)
    assert site.deploy(2, "--waiver", "waiver-2.json").code == 0
    assert site.runs(2)


def test_what_passes_later_is_good(site: Staging) -> None:
    """Once the lane has run the same release is deployed without the waiver, and is the last verified good one."""
    assert site.deploy(2, "--waiver", waive(site, 2)).code == 0
    site.sign(2, "e2e")
    ended = site.deploy(2, "--waiver", "waiver-2.json")
    assert ended.code == 0
    assert "the waiver is not used" in ended.err
    status = site.status().document
    assert status["verified_good"] == status["current"]
    assert status["current"]["waived"] is None


def refused(site: Staging, file: str, reason: str, number: int = 2) -> None:
    """Release 1 runs on; the refusal has this reason, in the ledger, too."""
    before = site.asked()
    ended = site.deploy(number, "--waiver", file)
    assert ended.code == 1
    assert f"[{reason}]" in ended.out
    assert site.asked() == before
    assert site.runs(1)
    last = site.history()[-1]
    assert (last["state"], last["cause"]) == ("refused", "policy")
    assert reason in [one["reason"] for one in last["verdict"]["refusals"]]
    assert last["waiver"] is not None
    assert last["waived"] is None


def test_a_waiver_is_for_its_images_environment_and_policy_alone(site: Staging) -> None:
    """That of another release, of another environment or under another policy touches nothing."""
    site.release(3, lanes=("unit",))
    refused(site, waive(site, 3), "waiver-subjects-differ")
    refused(site, waive(site, 2, images=[*site.images(2), *site.images(3)]), "waiver-subjects-differ")
    document = (site.folder / ENVIRONMENT).read_text()
    (site.folder / "other.yaml").write_text(document.replace("name: staging", "name: production"))
    ended = site.attest(
        *("waive", "other.yaml", *site.images(2), "--lane", "e2e", "--reason", "r", "--ticket", "t"),
        *("--lifetime", "4h", "--key", "keys/boss.key", "--output", "other.json"),
    )
    assert ended.code == 0, ended.err
    refused(site, "other.json", "waiver-environment-differs")
    file = waive(site, 2)
    policy(site, serial=3)
    refused(site, file, "waiver-policy-differs")


def test_who_may_waive_is_asked_of_the_policy_of_today(site: Staging) -> None:
    """A policy that no longer has `waivers`, and one that revokes the key, let no old waiver through."""
    file = waive(site, 2)
    policy(site, serial=3, waivers="")
    refused(site, file, "waivers-undeclared")
    policy(site, serial=4, waivers=f"{WAIVERS}\nrevoked: [{site.scene.fingerprint('boss')}]")
    refused(site, file, "waiver-untrusted")


def test_a_waiver_that_was_changed_is_worth_nothing(site: Staging) -> None:
    """Somebody else's bundle around the same words, and other words under the same signature, are untrusted."""
    file = site.folder / waive(site, 2)
    bundle = json.loads(file.read_text())
    signature = bundle["dsseEnvelope"]["signatures"][0]
    signature["sig"] = ("A" if signature["sig"][10] != "A" else "B").join(
        (signature["sig"][:10], signature["sig"][11:])
    )
    file.write_text(json.dumps(bundle))
    refused(site, file.name, "waiver-untrusted")


def test_an_expired_waiver_is_refused(site: Staging) -> None:
    """It is measured by the clock of the gate at the moment of the deployment."""
    file = waive(site, 2, "--not-before", "2030-01-01T00:00:00Z")
    refused(site, file, "waiver-too-early")
    short = site.attest(
        *("waive", ENVIRONMENT, *site.images(2), "--lane", "e2e", "--reason", "r", "--ticket", "t"),
        *("--lifetime", "1s", "--key", "keys/boss.key", "--output", "short.json"),
    )
    assert short.code == 0
    time.sleep(1.1)
    refused(site, "short.json", "waiver-expired")


def test_a_waiver_lifts_no_freeze_and_no_mark(site: Staging) -> None:
    """What stands in the way besides evidence stands there with a waiver, too."""
    file = waive(site, 2)
    assert site.attest("freeze", ENVIRONMENT, "--reason", "holidays").code == 0
    assert site.deploy(2, "--waiver", file).code == 1
    assert site.runs(1)
    assert site.attest("unfreeze", ENVIRONMENT, "--reason", "over").code == 0
    assert site.deploy(2, "--waiver", file).code == 0
    assert site.rollback().code == 0
    ended = site.deploy(2, "--waiver", file)
    assert ended.code == 1
    assert "marked as bad" in ended.out


@pytest.mark.parametrize("again", [True, False])
def test_an_interrupted_deployment_goes_on_by_the_same_waiver_alone(site: Staging, again: bool) -> None:
    """Killed while it is applied, the same command finishes it; one without the waiver undoes it."""
    file = waive(site, 2)
    saved = {name: site.folder / f"{name}.saved" for name in ("ledger.db", "running.json")}
    for name, copy in saved.items():
        shutil.copy(site.folder / name, copy)
    command = ("deploy", ENVIRONMENT, *site.images(2), "--waiver", file, "--wait", "90")
    touched = False
    for step in range(1, 40):
        for name, copy in saved.items():
            for part in site.folder.glob(f"{name}*"):
                if part.suffix != ".saved":
                    part.unlink()
            shutil.copy(copy, site.folder / name)
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.mortal_delivery", str(step), *command],
            cwd=site.folder,
            env={**clean_environment(site.folder, **site.scene.environment), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode < 0, done.stderr
        unfinished = site.status("--recorded").document["unfinished"]
        touched = unfinished is not None and unfinished["touched"] and site.runs(2)
        if touched:
            break
    assert touched
    if again:
        assert site.attest(*command).code == 0
        assert site.runs(2)
        assert site.status().document["current"]["waived"] is not None
    else:
        assert site.deploy(2, "--wait", "90").code == 1
        assert site.runs(1)
    assert site.status().document["unfinished"] is None


def test_what_is_no_waiver_is_a_wrong_command_line(site: Staging) -> None:
    """A file that is not there, one that is no bundle, and two different waivers end with 2 and no record."""
    first = waive(site, 2)
    site.release(3, lanes=("unit",))
    second = waive(site, 3)
    before = site.records()
    for options in (
        ("--waiver", "nowhere.json"),
        ("--waiver", "policy.yaml"),
        ("--waiver", first, "--waiver", second),
    ):
        ended = site.deploy(2, *options)
        assert ended.code == 2, ended.out
    assert site.records() == before
    assert site.runs(1)


# ---- promotion


def candidate(site: Staging, number: int = 5) -> str:
    """An image that lacks `e2e`, where it was built; the file of a waiver for it."""
    site.push(number, repository=f"{site.prefix}/built")
    site.sign(number, "unit")
    return waive(site, number)


def promote(site: Staging, *options: object, to: str = "app", number: int = 5) -> Ended:
    """Promote it to where the environment takes it from."""
    return site.attest(
        "promote", *site.images(number), "--policy", "policy.yaml", "--to", f"{site.prefix}/{to}", *options
    )


def at_destination(site: Staging, number: int = 5) -> str:
    """The image where the environment takes it from."""
    (image,) = site.images(number)
    return f"{site.repository('app')}@{image.partition('@')[2]}"


def there(site: Staging, number: int = 5) -> bool:
    """Whether it is there."""
    return site.attest("inspect", at_destination(site, number)).code == 0


def summaries(site: Staging, number: int = 5) -> list[dict[str, Any]]:
    """The predicates of the receipts that are attached at the destination."""
    document = site.attest("inspect", at_destination(site, number), "--format", "json").document
    found = []
    for place in document["places"]:
        for bundle in place["bundles"]:
            if bundle["predicate_type"] == "https://slsa.dev/verification_summary/v1":
                found.append(bundle["digest"])
    path = parse_repository(site.repository("app")).path
    predicates = []
    for digest in found:
        answer = site.registry.ask("GET", f"/v2/{path}/blobs/{digest}")
        assert answer.status == 200
        predicates.append(dict(read_statement(read_bundle(answer.body).payload).predicate))
    return predicates


def test_a_waiver_lets_an_image_move_and_the_receipt_says_that_it_failed(site: Staging) -> None:
    """It ends with 0 and says WAIVED; the ledger has it; the receipt is FAILED with the waiver; run again, no more."""
    file = candidate(site)
    site.scene.make_keys("receipts")
    assert promote(site).code == 1
    assert not there(site)
    options = ("--waiver", file, "--environment", ENVIRONMENT, "--receipt-key", "keys/receipts.key")
    ended = promote(site, *options)
    assert ended.code == 0, ended.err
    assert "WAIVED  1 of 2 lanes present" in ended.out
    assert "it is in the ledger of staging" in ended.err
    assert there(site)
    (predicate,) = summaries(site)
    assert predicate["verificationResult"] == "FAILED"
    assert predicate["verifiedLevels"] == ["FAILED"]
    assert predicate["attest_waiver"]["lanes"] == ["e2e"]
    assert predicate["attest_waiver"]["signers"] == ["boss"]
    (event,) = [one for one in site.history() if one["what"] == "waived"]
    assert at_destination(site) in event["message"]
    valid(site.attest("history", ENVIRONMENT, "--format", "json"), "history")
    again = promote(site, *options, "--actor", "somebody", "--format", "json")
    assert again.code == 0
    valid(again, "promotion")
    assert again.document["result"] == "WAIVED"
    assert again.document["source"]["verdict"] == again.document["destination"]["verdict"] == "WAIVED"
    schema = json.loads((resources.files("attest") / "schemas" / "verdict.v1.json").read_text())
    Draft202012Validator(schema).validate(again.document["destination"])
    assert len(summaries(site)) == 1
    assert [one["actor"] for one in site.history() if one["what"] == "waived"][1:] == ["somebody"]


def test_what_was_promoted_by_a_waiver_is_not_deployed_without_one(site: Staging) -> None:
    """The receipt and the tag are no evidence: the gate of the environment asks for the waiver again."""
    file = candidate(site)
    assert promote(site, "--waiver", file, "--environment", ENVIRONMENT).code == 0
    image = at_destination(site)
    assert site.attest("deploy", ENVIRONMENT, image).code == 1
    assert site.runs(1)
    assert site.attest("deploy", ENVIRONMENT, image, "--waiver", file).code == 0
    assert site.runs(5)


def test_a_waiver_that_does_not_hold_moves_nothing(site: Staging) -> None:
    """Refused at the source, with the reason; nothing is at the destination, and nothing in the ledger."""
    candidate(site)
    records = site.records()
    other = waive(site, 2)
    ended = promote(site, "--waiver", other, "--environment", ENVIRONMENT)
    assert ended.code == 1
    assert "[waiver-subjects-differ]" in ended.out
    assert not there(site)
    assert site.records() == records


def test_a_waiver_moves_images_only_to_its_environment(site: Staging) -> None:
    """Another repository, and a layout, are no place of the environment: exit code 2, and nothing moves."""
    file = candidate(site)
    given = ("--waiver", file, "--environment", ENVIRONMENT)
    records = site.records()
    ended = promote(site, *given, to="elsewhere")
    assert ended.code == 2
    assert "takes no image from" in ended.err
    layout = site.attest("promote", *site.images(5), "--policy", "policy.yaml", "--to", "oci:out", *given)
    assert layout.code == 2
    assert not (site.folder / "out").exists()
    for options in (given[:2], given[2:], ("--actor", "somebody")):
        assert promote(site, *options).code == 2
    assert not there(site)
    assert site.records() == records


def test_what_only_the_destination_lacks_is_recorded_before_it_is_tagged(site: Staging) -> None:
    """Passed where it came from, failed where it goes to: the ledger has the waiver, or there is no tag."""
    file = candidate(site)
    site.sign(5, "e2e")
    assert promote(site, "--tag-format", "{digest}").code == 0
    site.scene.sign("e2e", "--result", "failed", "--run-id", "2", image=at_destination(site))
    given = ("--waiver", file, "--environment", ENVIRONMENT)
    ended = promote(site, *given)
    assert (ended.code, "WAIVED: e2e, by boss" in ended.err) == (0, True), ended.err
    assert [one["what"] for one in site.history()].count("waived") == 1
    for part in site.folder.glob("ledger.db*"):
        part.unlink()
    ended = promote(site, *given, "--tag-format", "again-{digest12}")
    assert ended.code == 3, ended.out
    tags = site.registry.ask("GET", f"/v2/{parse_repository(site.repository('app')).path}/tags/list").body
    assert b'"sha-' in tags
    assert b'"again-' not in tags


def test_nothing_moves_that_cannot_be_recorded(site: Staging) -> None:
    """Without its ledger an environment gets nothing by a waiver."""
    file = candidate(site)
    for part in site.folder.glob("ledger.db*"):
        part.unlink()
    assert promote(site, "--waiver", file, "--environment", ENVIRONMENT).code == 3
    assert not there(site)


def test_what_passes_is_promoted_as_ever(site: Staging) -> None:
    """A waiver that is not needed is not used, and not recorded."""
    file = candidate(site)
    site.sign(5, "e2e")
    records = site.records()
    ended = promote(site, "--waiver", file, "--environment", ENVIRONMENT, "--format", "json")
    assert ended.code == 0
    assert ended.document["result"] == "PROMOTED"
    assert site.records() == records
