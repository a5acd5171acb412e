"""Deployment on real registries with a real ledger: what passes runs by digest, and nothing else is touched."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attest.core.reference import Digest, parse_repository
from attest.core.referrers import fallback_tag
from tests.e2e.staging import ENVIRONMENT, Staging, push_image, staging
from tests.parts.registry import Registry

pytestmark = pytest.mark.parts


@pytest.fixture
def site(olareg: Registry, tmp_path: Path) -> Iterator[Staging]:
    """An environment with one service, to which nothing was deployed."""
    with staging(tmp_path, olareg) as made:
        yield made


@pytest.fixture
def pair(docker_registry: Registry, tmp_path: Path) -> Iterator[Staging]:
    """An environment with two services, on a registry without the referrers API."""
    with staging(tmp_path, docker_registry, services=("api", "web")) as made:
        yield made


def untouched(site: Staging, before: list[str]) -> bool:
    """Whether the hook was asked nothing but what runs."""
    return site.asked() == before


def last(site: Staging) -> tuple[str, str]:
    """Kind and state of the last delivery."""
    return site.states()[-1]


# ---- what passes


def test_a_release_that_passes_runs(any_registry: Registry, tmp_path: Path) -> None:
    """Verified, told by digest, observed, probed; the ledger has each step before what it announces."""
    with staging(tmp_path, any_registry) as site:
        site.release(1)
        ended = site.deploy(1, "--reason", "the first", "--format", "json")
        assert ended.code == 0, ended.err
        assert site.runs(1)
        assert site.asked() == ["prepare", "apply"]
        assert site.records() == [
            f"deployment.{state}" for state in ("planned", "verified", "applying", "probing", "succeeded")
        ]
        delivery = ended.document["delivery"]
        assert (delivery["state"], delivery["healthy"], delivery["reason"]) == ("succeeded", True, "the first")
        assert delivery["release"]["services"] == site.releases[1]
        status = site.status()
        assert (status.code, status.document["settled"], status.document["drift"]) == (0, True, [])


def test_two_services_are_one_release(pair: Staging) -> None:
    """All services of an environment are deployed together; an image of each has to be named."""
    pair.release(1)
    api, web = pair.images(1)
    for images in ((api,), (api, web, api.replace("/api@", "/other@"))):
        ended = pair.attest("deploy", ENVIRONMENT, *images)
        assert ended.code == 2, ended.err
    assert pair.records() == []
    assert pair.deploy(1).code == 0
    assert pair.runs(1)


def test_a_release_file_is_deployed_from_the_bound_repositories(pair: Staging) -> None:
    """A release file that names images where they were built deploys those digests from where they were moved."""
    pair.release(1)
    lines = [
        "version: 1",
        "commit: 4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70",
        "services:",
        *(
            f"  {name}: built.example.org/ci/{name}@{image.partition('@')[2]}"
            for name, image in pair.releases[1].items()
        ),
    ]
    (pair.folder / "release.yaml").write_text("\n".join(lines) + "\n")
    ended = pair.attest("deploy", ENVIRONMENT, "--release", "release.yaml", "--format", "json")
    assert ended.code == 0, ended.err
    assert pair.runs(1)
    release = ended.document["delivery"]["release"]
    assert release["services"] == pair.releases[1]
    assert release["commit"] == "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70"
    other = (pair.folder / "release.yaml").read_text().replace("4a0d2f6b", "ffffffff")
    (pair.folder / "other.yaml").write_text(other)
    assert pair.attest("deploy", ENVIRONMENT, "--release", "other.yaml").code == 1  # evidence about another commit


# ---- what does not pass


def spoil(site: Staging, number: int, case: str) -> None:
    """Have the evidence of a release that passed be worth nothing, in one of the ways that there are."""
    digest = site.images(number)[0].rpartition("@")[2]
    match case:
        case "taken away":
            forget(site, number)
        case "failed":
            site.sign(number, "e2e", "--result", "failed", "--run-id", "2")
        case "image revoked":
            site.policy(serial=2, more=f"revoked: ['{digest}']")
        case "key revoked":
            site.policy(serial=2, more=f"revoked: ['{site.scene.fingerprint('e2e')}']")
        case "policy expired":
            site.policy(serial=2, more="expires: 2020-01-01T00:00:00Z")
        case "stale":
            site.policy(serial=2, rule=", max-age: 1s")
            _until(lambda: "too-old" in site.scene.verify(image=site.images(number)[0]).out)


def forget(site: Staging, number: int) -> None:
    """Delete everything that is attached to the images of a release from their registry, as somebody there can."""
    for image in site.images(number):
        repository, _, digest = image.partition("@")
        path = parse_repository(repository).path
        tags = json.loads(site.registry.ask("GET", f"/v2/{path}/tags/list").body)["tags"]
        attached = json.loads(site.registry.ask("GET", f"/v2/{path}/referrers/{digest}").body)["manifests"]
        assert attached
        own = [tag for tag in tags if tag.startswith(digest.replace(":", "-"))]
        for reference in [*own, *(one["digest"] for one in attached)]:
            site.registry.ask("DELETE", f"/v2/{path}/manifests/{reference}")


SPOILED = {
    "taken away": "missing",
    "failed": "result-failed",
    "image revoked": "image-revoked",
    "key revoked": "key-revoked",
    "policy expired": "policy-expired",
    "stale": "too-old",
}


@pytest.mark.parametrize("case", ["incomplete", *SPOILED])
def test_what_is_refused_touches_nothing(site: Staging, case: str) -> None:
    """Evidence that is incomplete, changed, superseded by a failure, revoked or stale: exit 1, and it is said why."""
    site.release(1)
    assert site.deploy(1).code == 0
    site.release(2, lanes=("unit",) if case == "incomplete" else None)
    spoil(site, 2, case)
    before = site.asked()
    ended = site.deploy(2)
    assert ended.code == 1, ended.err
    assert SPOILED.get(case, "missing") in ended.out
    assert untouched(site, before)
    assert site.runs(1)
    assert site.records()[-2:] == ["deployment.planned", "deployment.refused"]
    entry = site.history()[-1]
    assert (entry["state"], entry["cause"], entry["touched"]) == ("refused", "policy", False)
    assert entry["verdict"]["decision"] == "refused"
    assert site.status().document["current"]["deployment"] == 1


def test_a_failure_signed_where_promotion_came_from_counts(olareg: Registry, tmp_path: Path) -> None:
    """A FAILED that is attached to the image at the source, after promotion, refuses it at the destination."""
    source = olareg.fresh_repository()
    with staging(tmp_path, olareg, evidence=(source,)) as site:
        site.policy()
        site.release(1)
        ended = site.deploy(1)
        assert ended.code == 3, ended.err  # the source has never heard of the image
        assert "has none of the images" in ended.err
        push_image(olareg, source, "app 1")
        assert site.deploy(1).code == 0
        elsewhere = f"{source}@{site.images(1)[0].rpartition('@')[2]}"
        site.scene.sign("e2e", "--result", "failed", "--run-id", "2", image=elsewhere)
        ended = site.deploy(1)
        assert ended.code == 1
        assert "FAILED" in ended.out
        assert site.runs(1)


def test_evidence_that_cannot_be_reached_decides_nothing(olareg: Registry, tmp_path: Path) -> None:
    """An `evidence` repository on a registry that does not answer is exit 3, and nothing is touched."""
    with staging(tmp_path, olareg, evidence=("127.0.0.1:1/ci/app",)) as site:
        site.policy()
        site.release(1)
        ended = site.deploy(1, "--store-timeout", "5")
        assert ended.code == 3, ended.err
        assert site.asked() == []
        assert site.records() == ["deployment.planned", "deployment.error"]
        assert site.states() == [("deploy", "error")]
        assert site.status().code == 1


def test_a_policy_of_a_lower_serial_is_refused(site: Staging) -> None:
    """The ledger remembers the highest serial of a policy: an older one, and another one of the same, are refused."""
    site.release(1)
    site.policy(serial=5)
    assert site.deploy(1).code == 0
    site.policy(serial=4)
    ended = site.deploy(1)
    assert (ended.code, "serial-too-low" in ended.out) == (1, True)
    site.policy(serial=5, lanes=("unit",))
    ended = site.deploy(1)
    assert (ended.code, "policy-changed" in ended.out) == (1, True)


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_the_tag_of_a_release_decides_nothing(site: Staging, how: str) -> None:
    """A tag that is moved to other bytes, or deleted, does not change what runs: the digest that was verified."""
    site.release(1)
    repository = site.repository("app")
    if how == "moved":
        push_image(site.registry, repository, "evil", tag="v1")
    else:
        path = parse_repository(repository).path
        assert site.registry.ask("DELETE", f"/v2/{path}/manifests/v1").status == 202
        assert site.registry.manifest(repository, "v1").status == 404
    ended = site.deploy(1)
    assert ended.code == 0, ended.err
    assert site.runs(1)
    tag = site.attest("deploy", ENVIRONMENT, f"{repository}:v1")
    assert tag.code == 2


# ---- health


def test_a_release_that_fails_its_probe_is_rolled_back(site: Staging) -> None:
    """Back to the last verified good, by digest; the bad release is marked, and automatic deployments are held."""
    site.release(1)
    assert site.deploy(1).code == 0
    site.release(2, sick=True)
    ended = site.deploy(2, "--format", "json")
    assert ended.code == 1, ended.err
    assert site.runs(1)
    assert ended.document["delivery"]["state"] == "rolled-back"
    assert (ended.document["rollback"]["state"], ended.document["rollback"]["reverts"]) == ("succeeded", 6)
    before = site.asked()
    again = site.deploy(2)
    assert (again.code, "marked as bad" in again.out) == (1, True)
    site.release(3)
    automatic = site.deploy(3, "--automatic")
    assert (automatic.code, "held" in automatic.out) == (1, True)
    assert untouched(site, before)
    assert site.deploy(3).code == 0  # somebody says so
    assert site.runs(3)
    assert site.attest("release-hold", ENVIRONMENT, "--reason", "looked into").code == 0
    site.release(4)
    assert site.deploy(4, "--automatic").code == 0


def test_a_mark_is_lifted_by_people_alone(site: Staging) -> None:
    """A release that failed may be deployed again when somebody has lifted its mark, and says why."""
    site.release(1)
    site.deploy(1)
    site.release(2, sick=True)
    assert site.deploy(2).code == 1
    (site.folder / "sick").write_text("")
    assert site.deploy(2).code == 1
    wrong = site.attest("release-hold", ENVIRONMENT, "--release", "1", "--reason", "x")
    assert (wrong.code, "not marked as bad" in wrong.err) == (2, True)
    lifted = site.attest("release-hold", ENVIRONMENT, "--release", "6", "--reason", "it was the database")
    assert lifted.code == 0, lifted.err
    assert site.deploy(2).code == 0
    assert site.runs(2)


def test_without_automatic_rollback_a_bad_release_stays(site: Staging) -> None:
    """Where the environment says so, a failed release stays until `attest rollback`, which goes back."""
    site.write(automatic=False)
    site.release(1)
    site.deploy(1)
    site.release(2, sick=True)
    assert site.deploy(2).code == 1
    assert site.runs(2)
    assert last(site) == ("deploy", "failed")
    assert site.rollback().code == 0
    assert site.runs(1)
    assert site.states()[-2:] == [("deploy", "rolled-back"), ("rollback", "succeeded")]


def test_the_first_release_that_fails_has_nothing_to_go_back_to(site: Staging) -> None:
    """With no release before it, a failed one stays, is marked, and everything is held for people."""
    site.release(1, sick=True)
    ended = site.deploy(1)
    assert ended.code == 1
    assert site.states() == [("deploy", "held")]
    assert site.records()[-1] == "environment.held"
    assert "held" in ended.out


@pytest.mark.parametrize("fault", ["ignore", "silent"])
def test_what_cannot_be_told_is_not_rolled_back(site: Staging, fault: str) -> None:
    """A target that does not do what it is told, or does not say what runs, is an error: exit 3, and no rollback."""
    site.release(1)
    site.deploy(1)
    site.release(2)
    site.fault(fault)
    before = len(site.asked())
    ended = site.deploy(2)
    assert ended.code == 3, ended.out
    assert site.asked()[before:] == ["prepare", "apply"]
    assert last(site) == ("deploy", "error")
    site.fault("")
    assert site.status().code == 1
    assert site.attest("reconcile", ENVIRONMENT).code == 0
    assert site.runs(2)


def test_the_exit_code_of_a_tool_proves_nothing(site: Staging) -> None:
    """A hook that fails after it did what it was told has deployed; one that cannot prepare touches nothing."""
    site.release(1)
    site.fault("apply-fails")
    assert site.deploy(1).code == 0
    assert site.runs(1)
    site.release(2)
    site.fault("prepare-fails")
    ended = site.deploy(2)
    assert ended.code == 3
    assert site.runs(1)
    assert site.history()[-1]["touched"] is False


# ---- rollback


def test_rollback_takes_the_newest_release_that_is_good_today(site: Staging) -> None:
    """Passed over are releases whose evidence no longer satisfies the policy, and it is said which, and why."""
    for number in (1, 2, 3, 4):
        site.release(number)
        assert site.deploy(number).code == 0
    site.sign(3, "e2e", "--result", "failed", "--run-id", "2")  # signed after it was deployed
    digest = site.images(2)[0].rpartition("@")[2]
    site.policy(serial=2, more=f"revoked: ['{digest}']")
    ended = site.rollback("--reason", "slow", "--format", "json")
    assert ended.code == 0, ended.err
    assert site.runs(1)
    over = ended.document["delivery"]["passed_over"]
    assert [(one["deployment"], one["reason"]) for one in over] == [(11, "refused"), (6, "refused")]
    assert "passing over the release of delivery 11" in ended.err
    again = site.rollback()
    assert (again.code, "no release to go back to" in again.out) == (1, True)
    assert site.runs(1)


@pytest.mark.parametrize(
    ("case", "why"), [("taken away", "missing"), ("failed", "says FAILED"), ("image revoked", "revoked by the policy")]
)
def test_rollback_asks_for_the_evidence_of_today(site: Staging, case: str, why: str) -> None:
    """A release that was good when it ran, and of which the evidence is worth nothing today, is not gone back to."""
    for number in (1, 2, 3):
        site.release(number)
        assert site.deploy(number).code == 0
    spoil(site, 2, case)
    ended = site.rollback("--format", "json")
    assert ended.code == 0, ended.err
    assert site.runs(1)
    (over,) = ended.document["delivery"]["passed_over"]
    assert (over["deployment"], over["reason"]) == (6, "refused")
    assert why in over["message"]


@pytest.mark.parametrize("case", ["key revoked", "policy expired"])
def test_rollback_to_nothing_that_is_good_today_stays(site: Staging, case: str) -> None:
    """Where today's policy refuses every release that ever ran, nothing is touched: held, and exit 1."""
    for number in (1, 2):
        site.release(number)
        assert site.deploy(number).code == 0
    spoil(site, 1, case)
    before = site.asked()
    assert site.rollback().code == 1
    assert untouched(site, before)
    assert site.runs(2)
    assert site.records()[-1] == "environment.held"


def test_rollback_passes_over_what_can_no_longer_be_pulled(olareg: Registry, tmp_path: Path) -> None:
    """A release whose image was deleted from the registry is no candidate."""
    with staging(tmp_path, olareg) as site:
        for number in (1, 2, 3):
            site.release(number)
            assert site.deploy(number).code == 0
        repository, _, digest = site.images(2)[0].partition("@")
        path = parse_repository(repository).path
        for reference in ("v2", digest):
            olareg.ask("DELETE", f"/v2/{path}/manifests/{reference}")
        if olareg.manifest(repository, digest).status != 404:
            pytest.fail("the registry deletes nothing")
        ended = site.rollback("--format", "json")
        assert ended.code == 0, ended.err
        assert site.runs(1)
        over = ended.document["delivery"]["passed_over"]
        assert [(one["deployment"], one["reason"]) for one in over] == [(6, "gone")]


def test_rollback_to_a_release_of_choice(site: Staging) -> None:
    """`--to` goes to that release or stays; a number that is none, or what runs, is a usage error."""
    for number in (1, 2, 3):
        site.release(number)
        assert site.deploy(number).code == 0
    assert site.rollback("--to", "99").code == 2
    assert site.rollback("--to", "11").code == 2
    assert site.rollback("--to", "1").code == 0
    assert site.runs(1)


def test_nothing_to_roll_back_is_a_usage_error(site: Staging) -> None:
    """An environment to which nothing was deployed has nothing to undo, and nothing to repair."""
    assert site.rollback().code == 2
    assert site.attest("reconcile", ENVIRONMENT).code == 2
    assert site.status().code == 1
    assert site.records() == []


def test_freshness_does_not_forbid_the_way_back(site: Staging) -> None:
    """`max-age` refuses to deploy old evidence anew, and not to go back to what passed when it was fresh."""
    site.policy(rule=", max-age: 4s")
    site.release(1)
    assert site.deploy(1).code == 0
    site.release(2)
    assert site.deploy(2).code == 0
    _until(lambda: "too-old" in site.scene.verify(image=site.images(1)[0]).out)
    assert site.deploy(1).code == 1
    ended = site.rollback("--format", "json")
    assert ended.code == 0, ended.out
    assert ended.document["verdict"]["aged_at"] is not None
    assert site.runs(1)
    site.tamper("app", site.images(2)[0].rpartition("@")[2])
    assert site.attest("reconcile", ENVIRONMENT).code == 0
    assert site.runs(1)


# ---- freezes


def test_a_freeze_stops_deployments_and_no_rollback(site: Staging) -> None:
    """Frozen by somebody or by a window of the document: exit 1 and nothing touched; a rollback is exempt."""
    for number in (1, 2):
        site.release(number)
        assert site.deploy(number).code == 0
    site.release(3)
    assert site.attest("freeze", ENVIRONMENT, "--reason", "holidays").code == 0
    before = site.asked()
    ended = site.deploy(3)
    assert (ended.code, "holidays" in ended.out) == (1, True)
    assert untouched(site, before)
    assert site.status().document["frozen"] is not None
    assert site.rollback().code == 0
    assert site.runs(1)
    assert site.attest("unfreeze", ENVIRONMENT, "--reason", "back").code == 0
    assert site.attest("unfreeze", ENVIRONMENT, "--reason", "back").code == 2
    window = "freeze: [{from: 2020-01-01T00:00:00Z, to: 2099-01-01T00:00:00Z, reason: forever}]"
    site.write(more=window)
    assert site.deploy(3).code == 1
    site.write()
    assert site.deploy(3).code == 0
    past = site.attest("freeze", ENVIRONMENT, "--reason", "x", "--until", "2020-01-01T00:00:00Z")
    assert past.code == 2


# ---- drift


def test_drift_is_seen_and_repaired(site: Staging) -> None:
    """Something else that runs is drift: `status` says so, `reconcile` verifies again and repairs, by digest."""
    site.release(1)
    assert site.deploy(1).code == 0
    clean = site.attest("reconcile", ENVIRONMENT, "--format", "json")
    assert (clean.code, clean.document["drift"], clean.document["repair"]) == (0, [], None)
    records = len(site.records())
    assert site.attest("reconcile", ENVIRONMENT).code == 0
    assert len(site.records()) == records  # nothing new was seen
    site.tamper("app", "sha256:" + "0" * 64)
    status = site.status()
    assert (status.code, status.document["drift"]) == (1, ["app"])
    before = site.asked()
    for _ in range(2):
        only = site.attest("reconcile", ENVIRONMENT, "--check", "--format", "json")
        assert (only.code, only.document["drift"], only.document["repair"]) == (1, ["app"], None)
    assert untouched(site, before)
    assert len(site.records()) == records
    ended = site.attest("reconcile", ENVIRONMENT, "--automatic", "--format", "json")
    assert ended.code == 0, ended.err
    assert ended.document["drift"] == ["app"]
    assert site.runs(1)
    assert last(site) == ("repair", "succeeded")
    assert site.attest("reconcile", ENVIRONMENT, "--check").code == 0


def test_drift_is_not_repaired_to_what_is_refused_today(site: Staging) -> None:
    """What should run and would not pass any more is not applied again: exit 1, nothing touched."""
    site.release(1)
    assert site.deploy(1).code == 0
    site.tamper("app", "sha256:" + "0" * 64)
    site.sign(1, "e2e", "--result", "failed", "--run-id", "2")
    before = site.asked()
    assert site.attest("reconcile", ENVIRONMENT).code == 1
    assert untouched(site, before)
    assert last(site) == ("repair", "refused")


def _until(condition: Callable[[], bool]) -> None:
    """Wait for something that time brings about."""
    for _ in range(100):
        if condition():
            return
        time.sleep(0.2)
    pytest.fail("it never came about")


def test_the_list_of_referrers_is_no_image(site: Staging) -> None:
    """The tag under which some registries list attestations cannot be deployed."""
    site.release(1)
    tag = fallback_tag(Digest(site.images(1)[0].rpartition("@")[2]))
    assert site.attest("deploy", ENVIRONMENT, f"{site.repository('app')}:{tag}").code == 2
