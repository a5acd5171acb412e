"""`kill -9` at every step of what goes by a waiver: it is finished, FAILED, in the ledger, and never gone back to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.mortal import KILLED, Deadly, commands
from tests.e2e.staging import ENVIRONMENT, LEDGER, Staging, staging
from tests.e2e.test_deploy_killed import Mortal
from tests.e2e.test_waivers import at_destination, policy, summaries, there, waive
from tests.parts.registry import Registry

pytestmark = pytest.mark.parts

slow = pytest.mark.slow
MOST = 400
"""More steps than any promotion here has."""


def waived(site: Staging) -> list[str]:
    """What the ledger says of promotions by a waiver."""
    return [one["message"] for one in site.history() if one["what"] == "waived"]


def tags(site: Staging) -> list[str]:
    """The tags of promotions at the destination."""
    answer = site.registry.ask("GET", f"/v2/{site.repository('app').partition('/')[2]}/tags/list")
    found = json.loads(answer.body)["tags"] or [] if answer.status == 200 else []
    return [tag for tag in found if not tag.startswith("sha256-")]


def check_half_done(site: Staging) -> None:
    """Whoever sees the tag of a promotion sees the receipt that says FAILED; whatever moved is in the ledger."""
    if there(site):
        assert any(at_destination(site) in message for message in waived(site))
    if tags(site):
        assert [one["verificationResult"] for one in summaries(site)] == ["FAILED"]


@pytest.mark.parametrize(
    ("family", "every"),
    [
        ("docker_registry", 17),
        *(pytest.param(family, 1, marks=slow) for family in ("docker_registry", "gitea", "olareg")),
    ],
)
def test_a_promotion_by_a_waiver_is_finished(
    family: str, every: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Killed behind any request and run again: there with one FAILED receipt and its tag, and in the ledger."""
    proxy = Deadly(request.getfixturevalue(family), tmp_path / "docker")
    (tmp_path / "site").mkdir()
    with proxy.running(), staging(tmp_path / "site", proxy.registry) as site:
        site.scene.make_keys("boss", "receipts")
        built = site.prefix
        policy(site, images=(f"{proxy.registry.host}/*",))
        site.push(5, repository=f"{built}/built")
        site.sign(5, "unit")
        arguments = (
            *("promote", *site.images(5), "--policy", "policy.yaml", "--receipt-key", "keys/receipts.key"),
            *("--waiver", waive(site, 5), "--environment", ENVIRONMENT),
        )
        with commands(site.folder, site.scene.environment) as killable:
            for step in range(every, MOST, every):
                site.prefix = proxy.registry.fresh_repository()
                site.write()
                command = (*arguments, "--to", site.repository("app"))
                code = killable.run(command, proxy=proxy, after=step)
                if code == 0:
                    break
                assert code == KILLED, killable.output.read_text()
                check_half_done(site)
                assert killable.run(command, proxy=proxy) == 0, (step, killable.output.read_text())
                assert "WAIVED" in killable.output.read_text()
                (summary,) = summaries(site)
                assert (summary["verificationResult"], summary["attest_waiver"]["signers"]) == ("FAILED", ["boss"])
                assert any(at_destination(site) in message for message in waived(site)), step
                assert len(tags(site)) == 1
        assert 20 < step < MOST
        assert site.attest("ledger", "verify", LEDGER).code == 0


@pytest.fixture
def mortal(olareg: Registry, tmp_path: Path) -> Iterator[Mortal]:
    """An environment in which release 1 runs; release 2 lacks `e2e`, which boss may waive; release 3 is good."""
    with staging(tmp_path, olareg) as site:
        site.scene.make_keys("boss")
        policy(site)
        site.release(1)
        assert site.deploy(1).code == 0
        site.release(2, lanes=("unit",))
        site.release(3)
        yield Mortal(site=site)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=slow)])
def test_a_deployment_by_a_waiver_is_finished_and_never_gone_back_to(mortal: Mortal, every: int) -> None:
    """Killed at any step, the same command ends with it running, WAIVED; what comes after goes back past it."""
    site = mortal.site
    command = ("deploy", ENVIRONMENT, *site.images(2), "--waiver", waive(site, 2), "--wait", "90")
    for step in mortal.deaths(*command, every=every):
        ended = site.attest(*command)
        assert ended.code == 0, (step, ended.err)
        mortal.check(2)
        status = site.status().document
        assert status["current"]["waived"]["signers"] == ["boss"], step
        assert status["verified_good"]["deployment"] == 1, step
        planned = [one for one in site.history() if one["what"] == "delivery"][1:]
        assert all(one["waiver"] is not None for one in planned), step
        assert site.deploy(3).code == 0
        ended = site.rollback("--format", "json")
        assert ended.code == 0, (step, ended.err)
        assert [one["reason"] for one in ended.document["delivery"]["passed_over"]] == ["waived"], step
        mortal.check(1)


@slow
def test_without_the_waiver_what_was_killed_is_undone(mortal: Mortal) -> None:
    """Killed at any step, another command finds that it does not pass: it is undone, or was never begun."""
    site = mortal.site
    command = ("deploy", ENVIRONMENT, *site.images(2), "--waiver", waive(site, 2), "--wait", "90")
    for step in mortal.deaths(*command):
        current = site.status("--recorded").document["current"]
        finished = current["deployment"] != 1 and current["state"] == "succeeded"
        ended = site.attest("reconcile", ENVIRONMENT, "--wait", "90")
        assert ended.code in (0, 1), (step, ended.err)
        mortal.check(2 if finished else 1)
        assert site.status().document["verified_good"]["deployment"] != current["deployment"] or not finished, step
