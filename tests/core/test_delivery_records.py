"""The records of deliveries: written in one form, read in no other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest

from attest.core.canonicaljson import canonical
from attest.core.delivery import fields
from attest.core.delivery.fields import DETAIL, clipped
from attest.core.delivery.records import (
    PAYLOADS,
    AnyPayload,
    Applying,
    Cause,
    DeliveryInvalid,
    Erred,
    Failed,
    Frozen,
    Held,
    Kind,
    Observation,
    Pass,
    PassedOver,
    Probing,
    PromotionWaived,
    Refused,
    Released,
    RollbackUndecided,
    Stage,
    Succeeded,
    Superseded,
    Trigger,
    Unfrozen,
    entry_of,
    read_delivery,
)
from attest.core.delivery.services import DIGESTS, INSTANCES, NAMES, ROOM, record_services
from attest.core.delivery.verdicts import EVIDENCE, Decision, record_verdict
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import Instance, Match, Observed, RunState
from attest.core.ledger.chain import Entry, Record, next_record
from tests.core import make, make_delivery, test_waiver
from tests.core.make import NOW, digest
from tests.core.make_delivery import (
    ACTOR,
    ENVIRONMENT,
    planned,
    recorded,
    release,
    seen,
    services,
    verdict,
    verified,
    waived,
    waiver,
)

RELEASE = release(1, services=("app", "web"), commit=make.COMMIT)
EACH: tuple[AnyPayload, ...] = (
    planned(
        RELEASE,
        Kind.ROLLBACK,
        reverts=3,
        passed_over=(PassedOver(deployment=2, reason=Pass.GONE, message="an image is gone"),),
        waiver=digest("waiver"),
        reason="too slow",
    ),
    verified(1, RELEASE),
    Refused(deployment=1, cause=Cause.POLICY, message="no", verdict=verdict(Decision.REFUSED, aged_at=NOW)),
    Applying(deployment=1),
    Probing(deployment=1, trouble="it ended with 1"),
    Succeeded(deployment=1, services=dict(services(RELEASE))),
    Failed(deployment=1, message="app: 500", services=dict(services(RELEASE, Match.FAILED)), rollback=False),
    Erred(deployment=1, stage=Stage.APPLYING, message="no engine"),
    Superseded(deployment=1, message="given up"),
    Held(reverts=1, trigger=Trigger.EXPLICIT, passed_over=(), message="nothing to go back to"),
    Released(hold=True, releases=(RELEASE.key,), reason="mended"),
    Frozen(until=NOW, reason="holidays"),
    Unfrozen(reason="back"),
    Observation(deployment=1, services={"app": seen(digest("app"), Match.OTHER)}, drift=("app",)),
    waived(2, RELEASE),
    PromotionWaived(
        images=tuple(RELEASE.services.values()), policy=make_delivery.policy(), lacking=("e2e",), waiver=waiver()
    ),
    RollbackUndecided(
        reverts=2, deployment=1, trigger=Trigger.EXPLICIT, passed_over=(), message="unreachable", reason="slow"
    ),
)


def record(payload: AnyPayload) -> Record:
    """The record that a payload becomes."""
    return next_record(None, entry_of(payload, environment=ENVIRONMENT, actor=ACTOR), time=NOW)


def changed(payload: AnyPayload, change: Callable[[dict[str, Any]], object]) -> Record:
    """The same with a change in its JSON."""
    document = json.loads(canonical(dict(record(payload).payload)))
    change(document)
    return next_record(None, Entry(type=payload.TYPE, environment="e", actor="a", payload=document), time=NOW)


def test_what_is_written_is_what_is_read() -> None:
    """Every type of record comes back as it was written, and there is an example of each."""
    assert {type(payload) for payload in EACH} == set(PAYLOADS.values())
    for payload in EACH:
        read = read_delivery(record(payload))
        assert read is not None
        assert read.payload == payload
        assert type(read.payload) is type(payload)


def test_one_form() -> None:
    """What was read is written again byte for byte, so that one meaning has one record."""
    for payload in EACH:
        first = record(payload)
        read = read_delivery(first)
        assert read is not None
        assert canonical(dict(record(read.payload).payload)) == canonical(dict(first.payload))


@pytest.mark.parametrize("payload", EACH, ids=lambda payload: payload.TYPE)
def test_nothing_unknown_and_nothing_missing(payload: AnyPayload) -> None:
    """A member that nobody knows is an error in every record, and so is one that has to be there and is not."""
    with pytest.raises(DeliveryInvalid, match=r"surplus: Extra inputs"):
        read_delivery(changed(payload, lambda document: document.update(surplus=1)))
    needed = [name for name, field in type(payload).model_fields.items() if field.is_required()]
    for name in needed:
        with pytest.raises(DeliveryInvalid, match=rf"{name}: Field required"):
            read_delivery(changed(payload, lambda document, name=name: document.pop(name)))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("payload", "place", "value", "message"),
    [
        (EACH[0], "kind", "deployment", "Input should be"),
        (EACH[0], "reverts", 0, "greater than or equal to 1"),
        (EACH[0], "reverts", "3", "valid integer"),
        (EACH[0], "waiver", "sha256:0", "a digest is sha256"),
        (EACH[0], "reason", "", "at least 1 character"),
        (EACH[0], "release", {"commit": "c0ffee", "services": {}}, "a commit has its full id"),
        (EACH[0], "release", {"commit": None, "services": {}}, "at least 1 item"),
        (EACH[0], "release", {"commit": None, "services": {"APP": "r.example.org/a@" + digest("a")}}, "a name has"),
        (EACH[0], "release", {"commit": None, "services": {"app": "r.example.org/a:tag"}}, "named by HOST/REPOSITORY@"),
        (EACH[0], "release", {"commit": None, "services": {"app": "app"}}, "names no registry"),
        (EACH[0], "release", {"commit": None, "services": {"app": 7}}, "it must be text"),
        (EACH[11], "until", "2026-07-01T12:00:00Z", "six digits"),
        (EACH[11], "until", "yesterday", "is no time"),
        (EACH[11], "until", 7, "it must be text"),
        (EACH[10], "hold", 1, "valid boolean"),
    ],
)
def test_what_stands_in_a_member_is_what_it_is_for(payload: AnyPayload, place: str, value: Any, message: str) -> None:
    """A value of another type, form or range is an error that names the member."""
    with pytest.raises(DeliveryInvalid, match=rf"{place}.*{message}"):
        read_delivery(changed(payload, lambda document: document.update({place: value})))


def test_foreign_records_are_left_alone() -> None:
    """A record of another family is none of a delivery, and an unknown one of ours is an error."""
    other = Entry(type="promotion.done", environment="e", actor="a", payload={})
    assert read_delivery(next_record(None, other, time=NOW)) is None
    newer = Entry(type="deployment.teleported", environment="e", actor="a", payload={})
    with pytest.raises(DeliveryInvalid, match=r"record 1 is of a type that this version does not know"):
        read_delivery(next_record(None, newer, time=NOW))
    nothing = Entry(type="deployment.applying", environment="e", actor="a", payload={})
    with pytest.raises(DeliveryInvalid, match=r"record 1 \(deployment.applying\): deployment: Field required"):
        read_delivery(next_record(None, nothing, time=NOW))


def test_the_same_release_is_the_same_digests_for_the_same_services() -> None:
    """Neither the commit nor the repository make another release; another digest or another service does."""
    one = release(1)
    moved = {
        name: dataclasses.replace(image, repository=dataclasses.replace(image.repository, host="elsewhere.example.org"))
        for name, image in one.services.items()
    }
    assert one.model_copy(update={"commit": make.COMMIT, "services": moved}).key == one.key
    assert release(2).key != one.key
    assert release(1, services=("app", "web")).key != one.key
    assert one.model_copy(update={"services": {"web": one.services["app"]}}).key != one.key


def test_foreign_text_is_clipped() -> None:
    """What a target or a registry says is recorded in short, and half a surrogate pair does not break the record."""
    assert clipped("x" * DETAIL) == "x" * DETAIL
    assert clipped("x" * (DETAIL + 1)) == "x" * (DETAIL - 3) + "..."
    assert clipped("a\ud800b") == "a?b"
    assert [clipped("xxxxxx", most) for most in (0, 2, 3, 5)] == ["", "..", "...", "xx..."]


def test_fields_keep_what_is_right_already() -> None:
    """A value of the right type passes through a field as it is."""
    assert fields._moment(NOW) is NOW
    assert isinstance(fields._moment("2026-07-01T12:00:00.000000Z"), datetime)


def crowd(service: str, instances: int, digests: int, text: str) -> Observed:
    """A service of so many instances, each with so many digests that no other has, and a detail."""
    found = tuple(
        Instance(
            name=f"{n} {text}",
            state=RunState.RUNNING,
            digests=frozenset({digest(f"{service} {n} {m}") for m in range(digests)}),
            detail=text,
        )
        for n in range(instances)
    )
    return Observed(service=service, instances=found, detail=text)


def test_many_instances_are_counted() -> None:
    """Of more instances or digests than are listed the number of the others is recorded; digests are in their order."""
    seen = crowd("app", INSTANCES + 2, NAMES + 3, "")
    service = recorded(seen, Match.OTHER)
    assert (len(service.instances), service.more) == (INSTANCES, 2)
    assert service.digests == tuple(sorted(seen.digests)[:DIGESTS])
    assert service.more_digests == len(seen.digests) - DIGESTS
    first = service.instances[0]
    assert first.digests == tuple(sorted(seen.instances[0].digests)[:NAMES])
    assert first.more_digests == 3
    few = recorded(crowd("app", 1, NAMES, ""), Match.SAME)
    assert (few.more, few.more_digests, few.instances[0].more_digests) == (0, 0, 0)


def test_whatever_is_seen_can_be_recorded() -> None:
    """As many instances, digests and characters as a hook may tell of, of one service and of many: within its room."""
    worst = "\x01" * 1024
    for names, instances, digests in ((("app",), 1000, 64), (tuple(f"s{n}" for n in range(200)), 20, 8)):
        observed = {name: crowd(name, instances, digests, worst) for name in names}
        sick = dict.fromkeys(names, ProbeResult(health=Health.UNHEALTHY, detail=worst, looks=1, streak=0))
        found = dict.fromkeys(names, Match.OTHER)
        services = record_services(observed, found, probes=sick, soaks=sick)
        assert len(canonical(json.loads(Succeeded(deployment=1, services=services).model_dump_json()))) < ROOM + 100
        read = read_delivery(record(Succeeded(deployment=1, services=services)))
        assert read is not None
        assert read.payload == Succeeded(deployment=1, services=services)
        assert all(len(one.instances) + one.more == instances for one in services.values())
        assert all(len(one.digests) + one.more_digests == instances * digests for one in services.values())


@pytest.mark.slow
def test_so_many_services_that_hardly_anything_is_kept() -> None:
    """Of each the match and the health stay, in less than any verdict takes."""
    names = tuple(f"service-{n}" for n in range(1500))
    observed = {name: crowd(name, 2, 2, "x" * 600) for name in names}
    sick = dict.fromkeys(names, ProbeResult(health=Health.UNHEALTHY, detail="x" * 600, looks=1, streak=0))
    services = record_services(observed, dict.fromkeys(names, Match.OTHER), probes=sick, soaks=sick)
    assert len(services) == len(names)
    assert record(Succeeded(deployment=1, services=services)).seq == 1
    for one in services.values():
        assert (one.match, one.instances, one.more, one.more_digests, one.detail) == (Match.OTHER, (), 2, 4, "")
        assert one.probe is not None
        assert (one.probe.health, one.probe.detail) == (Health.UNHEALTHY, "")


def test_what_was_not_seen_is_not_recorded() -> None:
    """A service about which nothing was said has no entry."""
    assert record_services({}, {"app": Match.UNKNOWN}) == {}


def test_what_was_recorded_without_a_count_is_read() -> None:
    """A record that has no number of digests left out is one where none was."""

    def drop(document: dict[str, Any]) -> None:
        del document["services"]["app"]["more_digests"]

    read = read_delivery(changed(EACH[5], drop))
    assert read is not None
    assert read.payload == EACH[5]


def test_a_probe_is_recorded() -> None:
    """What a probe and a soak came to stands in the record of a service."""
    probe = ProbeResult(health=Health.UNHEALTHY, detail="500", looks=4, streak=0)
    service = recorded(Observed(service="app", instances=()), Match.ABSENT, probe=probe, soak=probe)
    assert service.probe == service.soak
    assert service.probe is not None
    assert (service.probe.health, service.probe.looks) == (Health.UNHEALTHY, 4)


def _signed(count: int) -> list[bytes]:
    image = make.image()
    about = [make.context(run_id=f"{100 + n}", run_attempt=10**17) for n in range(count)]
    return [make.bundle(make.party("ci"), make.payload([image.digest], one)) for one in about]


def test_a_verdict_is_recorded_lane_by_lane() -> None:
    """Who vouched for what, with the digest of the evidence, and how much more of it there was."""
    policy = make.policy([make.lane("test")])
    made = make.decide(policy, make.release(), *_signed(EVIDENCE + 3))
    recorded = record_verdict(made, policy, aged_at=None)  # type: ignore[arg-type]
    ((lane,),) = (image.lanes for image in recorded.images)
    assert recorded.decision is Decision.PASSED
    assert recorded.policy.digest == policy.digest
    assert (lane.lane, lane.state, lane.more, len(lane.evidence)) == ("test", "present", 3, EVIDENCE)
    assert lane.evidence[0].signers == ("ci",)
    assert lane.evidence[0].source["attempt"] == str(10**17)
    assert len(recorded.inputs) == EVIDENCE + 3
    assert read_delivery(record(verified(1, RELEASE).model_copy(update={"verdict": recorded}))) is not None


def test_a_refusal_is_recorded_with_its_reasons() -> None:
    """A verdict that refuses says why, of the release, of the image and of the lane."""
    image = make.image()
    policy = make.policy([make.lane("test")], revoked=[image.digest], expires=NOW)
    made = make.decide(policy, make.release(image), make.bundle(make.party("eve"), b"{}"))
    recorded = record_verdict(made, policy, aged_at=NOW)  # type: ignore[arg-type]
    (one,) = recorded.images
    assert recorded.decision is Decision.REFUSED
    assert recorded.aged_at == NOW
    assert [refusal.reason for refusal in recorded.refusals] == ["policy-expired"]
    assert [refusal.reason for refusal in one.refusals] == ["image-revoked"]
    assert [lane.state for lane in one.lanes] == ["missing"]
    assert one.rejected == 1


def test_what_was_waived_is_recorded_with_its_waiver() -> None:
    """Decision, lanes as they were, and who waived them, why and until when."""
    made = test_waiver.waived()
    recorded = record_verdict(made, test_waiver.policy(), aged_at=None)
    assert recorded.decision is Decision.WAIVED
    assert {lane.lane: lane.state for lane in recorded.images[0].lanes}["e2e"] == "missing"
    assert recorded.waiver is not None
    assert recorded.waiver.model_dump() == {
        "digest": made.waiver.digest,
        "lanes": ("e2e",),
        "reason": "the login is broken for everybody",
        "ticket": "OPS-7",
        "not_before": "2026-07-01T11:00:00.000000Z",
        "expires": "2026-07-01T13:00:00.000000Z",
        "signers": ("boss",),
    }
    assert read_delivery(record(waived(1, RELEASE).model_copy(update={"verdict": recorded}))) is not None


def test_evidence_without_a_result_or_a_source() -> None:
    """Evidence of another predicate, and without a time, is recorded as what it is."""
    image = make.image()
    lane = make.lane("sbom", predicate_type="https://spdx.dev/Document", unbound=True)
    policy = make.policy([lane])
    about = make.context("sbom", repository=None, commit=None, ref=None, started=None, finished=None)
    content = make.payload([image.digest], about, predicate_type="https://spdx.dev/Document", predicate={})
    made = make.decide(policy, make.release(image), make.bundle(make.party("ci"), content))
    recorded = record_verdict(made, policy, aged_at=None)  # type: ignore[arg-type]
    (evidence,) = recorded.images[0].lanes[0].evidence
    assert (evidence.result, evidence.time) == (None, None)
    assert isinstance(evidence.source, Mapping)
