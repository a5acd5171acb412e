"""Break-glass: what a waiver is, who may give it, what it lets be lacking, and everything that it does not."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from attest.core.envelope import read_bundle
from attest.core.evaluate import Remembered
from attest.core.policy import Policy, WaiverRule
from attest.core.predicates import Result
from attest.core.reference import Digest, digest_of
from attest.core.release import Release
from attest.core.statement import NO_CONTEXT, Context, read_statement, write_statement
from attest.core.verdict import Passed, Reason, Refused, State
from attest.core.waiver import (
    WAIVER,
    Presented,
    Waived,
    Waiver,
    WaiverInvalid,
    evaluate_waived,
    read_waiver,
    waiver_document,
    write_waiver,
)
from tests.core import make
from tests.core.make import HOUR, NOW, party

APP: Final = make.image("app")
WEB: Final = make.image("web")
LANES: Final = ("build", "unit", "e2e")
SIGNERS: Final = {name: [party(name)] for name in (*LANES, "boss", "alice", "bob", "carol")}


def rule(**changes: Any) -> WaiverRule:
    """`boss` may waive `e2e` and `unit` for a day."""
    whole = WaiverRule(
        signer="boss",
        parties=frozenset({"boss"}),
        threshold=1,
        lanes=frozenset({"e2e", "unit"}),
        max_lifetime=timedelta(hours=24),
    )
    return replace(whole, **changes)


def policy(waivers: WaiverRule | None = None, **changes: Any) -> Policy:
    """Three lanes, each with a signer of its own."""
    lanes = [make.lane(name, name) for name in LANES]
    return make.policy(lanes, SIGNERS, **({"waivers": waivers or rule()} | changes))


def signed(lane: str, *images: Digest, result: Result = Result.PASSED, **changes: Any) -> bytes:
    """The outcome of a lane."""
    about = make.context(lane, **changes)
    return make.bundle(party(lane), make.payload(images or (APP.digest,), about, result=result))


def without(*lanes: str) -> list[bytes]:
    """The full evidence of `app` but for these lanes."""
    return [signed(lane) for lane in LANES if lane not in lanes]


def statement(
    asked: Policy,
    *,
    images: Sequence[Digest] = (APP.digest,),
    lanes: Sequence[str] = ("e2e",),
    environment: str = "staging",
    not_before: datetime = NOW - HOUR,
    expires: datetime = NOW + HOUR,
    reason: str = "the login is broken for everybody",
) -> bytes:
    """A waiver under a policy, not signed yet."""
    return write_waiver(
        subjects=dict.fromkeys(images, "image"),
        environment=environment,
        policy=asked,
        lanes=lanes,
        reason=reason,
        ticket="OPS-7",
        not_before=not_before,
        expires=expires,
    )


def presented(payload: bytes, *signers: str, environment: str = "staging", **bundles: bytes) -> Presented:
    """A waiver, signed by these; `boss` unless somebody is named."""
    waiver = read_waiver(read_statement(payload), payload)
    made = [make.bundle(party(name), payload) for name in signers or ("boss",)]
    return Presented(waiver=waiver, bundles=(*made, *bundles.values()), environment=environment)


def decide(
    asked: Policy, evidence: Sequence[bytes], waiver: Presented, what: Release | None = None, **more: Any
) -> Passed | Waived | Refused:
    """The verdict on `app` with this evidence and this waiver, now."""
    release = make.release(APP) if what is None else what
    return evaluate_waived(asked, release, make.found(asked, *evidence), waiver, **({"now": NOW} | more))


def reasons(verdict: Passed | Waived | Refused) -> list[Reason]:
    """Why a release was refused before its lanes counted."""
    assert isinstance(verdict, Refused)
    return [refusal.reason for refusal in verdict.findings.refusals]


def states(verdict: Passed | Waived | Refused) -> Mapping[str, State]:
    """The states of the lanes of the only image."""
    (image,) = verdict.findings.images
    return {lane.lane: lane.state for lane in image.lanes}


# ---- what holds


def test_a_lane_that_is_missing_can_be_waived() -> None:
    """With a good waiver for it, one lacking lane is Waived, which says by whom, and in which state the lane is."""
    asked = policy()
    verdict = decide(asked, without("e2e"), presented(statement(asked)))
    assert isinstance(verdict, Waived)
    assert verdict.signers == ("boss",)
    assert verdict.lacking == ("e2e",)
    assert states(verdict) == {"build": State.PRESENT, "unit": State.PRESENT, "e2e": State.MISSING}
    assert verdict.findings.refusals == ()


def test_a_lane_that_failed_can_be_waived_and_is_shown_as_failed() -> None:
    """A waiver takes nothing away from what is known: the lane keeps its state."""
    asked = policy()
    evidence = [*without("e2e"), signed("e2e", result=Result.FAILED)]
    verdict = decide(asked, evidence, presented(statement(asked)))
    assert isinstance(verdict, Waived)
    assert states(verdict)["e2e"] is State.FAILED


def test_what_passes_needs_no_waiver() -> None:
    """Where all evidence is there the verdict is Passed, and the waiver is not used, whatever it is worth."""
    asked = policy()
    assert isinstance(decide(asked, without(), presented(statement(asked))), Passed)
    assert isinstance(decide(asked, without(), presented(statement(asked), "alice", environment="qa")), Passed)


def test_several_lanes_of_several_images_can_be_waived() -> None:
    """A waiver names the lanes of the whole release; those that are present all the same are not lacking."""
    asked = policy()
    both = (APP.digest, WEB.digest)
    evidence = [signed("build", *both), signed("unit", APP.digest), signed("unit", WEB.digest)]
    waiver = presented(statement(asked, images=both, lanes=("unit", "e2e")))
    verdict = decide(asked, evidence, waiver, make.release(APP, WEB))
    assert isinstance(verdict, Waived)
    assert verdict.lacking == ("e2e",)


def test_the_combination_is_that_of_the_lanes_that_are_not_waived() -> None:
    """A combination with more lanes does not win where the lanes that are needed are in another one."""
    asked = policy()
    other = "d" * 40
    evidence = [signed("build"), signed("unit", commit=other), signed("e2e", commit=other)]
    assert isinstance(decide(asked, evidence, presented(statement(asked))), Refused)
    waiver = presented(statement(asked, lanes=("unit", "e2e")))
    verdict = decide(asked, evidence, waiver)
    assert isinstance(verdict, Waived)
    assert verdict.lacking == ("unit", "e2e")
    assert states(verdict)["unit"] is State.MISMATCHED


def test_lanes_that_are_not_waived_have_to_share_a_combination() -> None:
    """A waiver for one lane does not let the others be about two commits."""
    asked = policy()
    evidence = [signed("build"), signed("unit", commit="d" * 40)]
    assert isinstance(decide(asked, evidence, presented(statement(asked))), Refused)


def test_evidence_of_waived_lanes_alone_is_looked_at_and_refused() -> None:
    """Where only waived lanes have evidence they are shown as they are, and the others are missing."""
    asked = policy()
    verdict = decide(asked, [signed("unit"), signed("e2e")], presented(statement(asked, lanes=("unit", "e2e"))))
    assert isinstance(verdict, Refused)
    assert states(verdict) == {"build": State.MISSING, "unit": State.PRESENT, "e2e": State.PRESENT}


# ---- each rule, broken once


def test_a_policy_without_waivers_waives_nothing() -> None:
    """Where the policy does not name who may waive, nobody may."""
    asked = replace(policy(), waivers=None)
    assert reasons(decide(asked, without("e2e"), presented(statement(asked)))) == [Reason.WAIVERS_UNDECLARED]


BROKEN: Final[Mapping[Reason, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    Reason.WAIVER_SUBJECTS_DIFFER: ({"images": [WEB.digest]}, {}),
    Reason.WAIVER_ENVIRONMENT_DIFFERS: ({"environment": "qa"}, {}),
    Reason.WAIVER_LANE_UNLISTED: ({"lanes": ["e2e", "build"]}, {}),
    Reason.WAIVER_TOO_LONG: ({"expires": NOW + 23 * HOUR + timedelta(microseconds=1)}, {}),
    Reason.WAIVER_TOO_EARLY: ({}, {"now": NOW - HOUR - timedelta(microseconds=1)}),
    Reason.WAIVER_EXPIRED: ({}, {"now": NOW + HOUR}),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_waiver_that_does_not_hold_is_a_reason_to_refuse(reason: Reason) -> None:
    """Other images, environment, lanes or times than those of now: each refuses with its own reason and no other."""
    asked = policy()
    said, then = BROKEN[reason]
    assert reasons(decide(asked, without("e2e"), presented(statement(asked, **said)), **then)) == [reason]


@pytest.mark.parametrize("images", [[], [APP.digest], [APP.digest, WEB.digest, make.digest("more")]])
def test_a_waiver_is_for_exactly_the_images_of_the_release(images: list[Digest]) -> None:
    """One image fewer or more is another release; a superset is none that anybody tested."""
    asked = policy()
    if not images:
        with pytest.raises(ValueError, match="no subject"):
            statement(asked, images=[])
        return
    evidence = [signed(lane, APP.digest, WEB.digest) for lane in ("build", "unit")]
    verdict = decide(asked, evidence, presented(statement(asked, images=images)), make.release(APP, WEB))
    assert reasons(verdict) == [Reason.WAIVER_SUBJECTS_DIFFER]


def test_a_waiver_is_for_one_policy() -> None:
    """A policy that was changed by one byte, or that has another name, is not the one that was waived."""
    asked = policy()
    payload = statement(asked)
    for other in (replace(asked, digest=make.digest("changed")), replace(asked, name="production")):
        assert reasons(decide(other, without("e2e"), presented(payload))) == [Reason.WAIVER_POLICY_DIFFERS]


def test_the_bounds_of_its_time_are_exact() -> None:
    """It holds from its first moment on, up to the last one before it expires, for as long as the policy allows."""
    asked = policy()
    day = statement(asked, not_before=NOW, expires=NOW + timedelta(hours=24))
    almost = NOW + timedelta(hours=24) - timedelta(microseconds=1)
    for moment in (NOW, almost):
        assert isinstance(decide(asked, without("e2e"), presented(day), now=moment), Waived)


@pytest.mark.parametrize("signer", ["alice", "e2e", "build", "stranger"])
def test_only_the_signer_that_the_policy_names_may_waive(signer: str) -> None:
    """Another signer of the policy, one of a lane above all, and somebody unknown waive nothing."""
    asked = policy()
    verdict = decide(asked, without("e2e"), presented(statement(asked), signer))
    assert reasons(verdict) == [Reason.WAIVER_UNTRUSTED]


def test_a_waiver_without_a_signature_is_none() -> None:
    """Nothing presented waives nothing."""
    asked = policy()
    waiver = replace(presented(statement(asked)), bundles=())
    assert reasons(decide(asked, without("e2e"), waiver)) == [Reason.WAIVER_UNTRUSTED]


def test_a_signature_over_other_words_does_not_count() -> None:
    """What boss signed is believed, not what somebody else says that boss signed."""
    asked = policy()
    mild = presented(statement(asked, lanes=("unit",)))
    wide = presented(statement(asked, lanes=("unit", "e2e")))
    verdict = decide(asked, without("e2e"), replace(wide, bundles=mild.bundles))
    assert reasons(verdict) == [Reason.WAIVER_UNTRUSTED]
    assert isinstance(verdict, Refused)
    assert "signs something else" in verdict.findings.refusals[0].message


@pytest.mark.parametrize(
    ("signers", "waived"),
    [
        (("alice", "bob"), True),
        (("alice", "bob", "carol"), True),
        (("alice",), False),
        (("alice", "alice"), False),
        (("alice", "boss"), False),
        (("boss", "e2e"), False),
    ],
)
def test_a_threshold_counts_distinct_signers_of_the_same_words(signers: tuple[str, ...], waived: bool) -> None:
    """Two of three have to sign the same waiver; a second signature of one of them, or of another, is none."""
    several = rule(signer="board", parties=frozenset({"alice", "bob", "carol"}), threshold=2)
    asked = policy(several)
    verdict = decide(asked, without("e2e"), presented(statement(asked), *signers))
    if waived:
        assert isinstance(verdict, Waived)
        assert verdict.signers == signers
    else:
        assert reasons(verdict) == [Reason.WAIVER_UNTRUSTED]


def test_two_who_share_a_key_are_one() -> None:
    """Names that share their only key do not make two signers."""
    shared = {**SIGNERS, "bob": [party("alice")]}
    several = rule(signer="board", parties=frozenset({"alice", "bob"}), threshold=2)
    asked = make.policy([make.lane(name, name) for name in LANES], shared, waivers=several)
    verdict = decide(asked, without("e2e"), presented(statement(asked), "alice", "alice"))
    assert reasons(verdict) == [Reason.WAIVER_UNTRUSTED]


def test_a_waiver_can_be_revoked() -> None:
    """By the digest of its words, by that of a bundle around them, and by the key that signed it."""
    asked = policy()
    payload = statement(asked)
    waiver = presented(payload)
    for revoked, reason in (
        (digest_of(payload), Reason.WAIVER_REVOKED),
        (digest_of(waiver.bundles[0]), Reason.WAIVER_REVOKED),
        (party("boss").trusted.fingerprint, Reason.WAIVER_UNTRUSTED),
    ):
        later = replace(asked, revoked=frozenset({revoked}))
        assert reasons(decide(later, without("e2e"), waiver)) == [reason]


def test_everything_that_is_wrong_with_a_waiver_is_said_at_once() -> None:
    """Whoever has to make a new one in a hurry learns all of it the first time."""
    asked = policy()
    waiver = presented(statement(asked, images=[WEB.digest], environment="qa"), "alice")
    assert reasons(decide(asked, without("e2e"), waiver, now=NOW + 2 * HOUR)) == [
        Reason.WAIVER_UNTRUSTED,
        Reason.WAIVER_SUBJECTS_DIFFER,
        Reason.WAIVER_ENVIRONMENT_DIFFERS,
        Reason.WAIVER_EXPIRED,
    ]


# ---- what no waiver helps against


def test_a_lane_that_is_not_waived_still_refuses() -> None:
    """Each lane that the waiver does not name has to be present."""
    asked = policy()
    for lacking in ("build", "unit"):
        verdict = decide(asked, without("e2e", lacking), presented(statement(asked)))
        assert isinstance(verdict, Refused)
        assert states(verdict)[lacking] is State.MISSING
        assert reasons(verdict) == []


def test_a_lane_whose_evidence_is_revoked_is_not_waived() -> None:
    """`revoked` is more than lacking, and the lane says so."""
    e2e = signed("e2e")
    asked = policy(revoked=[digest_of(e2e)])
    verdict = decide(asked, [*without("e2e"), e2e], presented(statement(asked)))
    assert isinstance(verdict, Refused)
    assert states(verdict)["e2e"] is State.REVOKED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires": NOW}, Reason.POLICY_EXPIRED),
        ({"images": ("registry.example.org/other/*",)}, Reason.OUTSIDE_POLICY),
        ({"revoked": frozenset({APP.digest})}, Reason.IMAGE_REVOKED),
    ],
)
def test_a_refusal_before_the_lanes_is_not_waived(changes: Mapping[str, Any], reason: Reason) -> None:
    """An expired policy, an image outside of it and a revoked image stay refused."""
    asked = replace(policy(), **changes)
    verdict = decide(asked, without("e2e"), presented(statement(asked)))
    assert isinstance(verdict, Refused)
    (image,) = verdict.findings.images
    assert [one.reason for one in (*verdict.findings.refusals, *image.refusals)] == [reason]


def test_an_old_serial_is_not_waived() -> None:
    """What was remembered of the policy counts with a waiver, too."""
    asked = policy()
    remembered = Remembered(serial=8, digest=asked.digest)
    verdict = decide(asked, without("e2e"), presented(statement(asked)), remembered=remembered)
    assert reasons(verdict) == [Reason.SERIAL_TOO_LOW]


def test_what_a_trusted_signer_signed_and_nobody_can_read_is_not_waived() -> None:
    """A statement that is none refuses the image, waiver or not."""
    asked = policy()
    junk = make.bundle(party("e2e"), b"{}")
    verdict = decide(asked, [*without("e2e"), junk], presented(statement(asked)))
    assert isinstance(verdict, Refused)
    (image,) = verdict.findings.images
    assert [one.reason for one in image.refusals] == [Reason.STATEMENT_UNREADABLE]


def test_a_waiver_fills_no_lane() -> None:
    """Attached to the image it is evidence of nothing, not even of a lane of its own signer."""
    asked = policy()
    content = presented(statement(asked)).bundles[0]
    verdict = make.decide(asked, make.release(APP), *without("e2e"), content)
    assert isinstance(verdict, Refused)
    assert make.decide(asked, make.release(APP), *without(), content).findings.nothing_refused


# ---- the value


def waived(commit: str | None = None) -> Waived:
    """Some Waived; with `commit`, the lane that is lacking was run on another one."""
    asked = policy()
    other = [] if commit is None else [signed("e2e", commit=commit)]
    verdict = decide(asked, [*without("e2e"), *other], presented(statement(asked)))
    assert isinstance(verdict, Waived)
    return verdict


def test_waived_cannot_be_made_changed_or_copied() -> None:
    """It is sealed as Passed is: made by the evaluation alone, and by nothing that skips it."""
    verdict = waived()
    more: dict[str, Any] = {"findings": verdict.findings, "waiver": verdict.waiver, "signers": ()}
    for seal in (None, object(), True, verdict):
        with pytest.raises(TypeError, match="made by evaluate_waived"):
            Waived(**more, seal=seal)
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not pickled or copied"):
            copied(verdict)
    with pytest.raises(FrozenInstanceError):
        verdict.signers = ("boss",)  # type: ignore[misc]
    with pytest.raises(TypeError, match="no subclasses"):
        type("Forged", (Waived,), {})
    assert not hasattr(verdict, "seal")


def test_a_waiver_is_read_as_it_was_written() -> None:
    """Nothing that it says is lost, and its digest is that of the bytes which are signed."""
    asked = policy()
    payload = statement(asked, images=[APP.digest, WEB.digest], lanes=["unit", "e2e"])
    waiver = read_waiver(read_statement(payload), payload)
    assert waiver == Waiver(
        digest=digest_of(payload),
        images=frozenset({APP.digest, WEB.digest}),
        environment="staging",
        policy="staging",
        policy_digest=asked.digest,
        lanes=("unit", "e2e"),
        reason="the login is broken for everybody",
        ticket="OPS-7",
        not_before=NOW - HOUR,
        expires=NOW + HOUR,
    )
    assert read_bundle(make.bundle(party("boss"), payload)).payload == payload
    assert waiver_document(waiver, ("boss",)) == {
        "digest": digest_of(payload),
        "environment": "staging",
        "policy": {"name": "staging", "digest": asked.digest},
        "lanes": ["unit", "e2e"],
        "reason": "the login is broken for everybody",
        "ticket": "OPS-7",
        "not_before": "2026-07-01T11:00:00.000000Z",
        "expires": "2026-07-01T13:00:00.000000Z",
        "signers": ["boss"],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": []}, "lanes"),
        ({"lanes": ["Not a lane"]}, "lanes"),
        ({"environment": ""}, "environment"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_what_is_no_waiver_is_not_written(changes: Mapping[str, Any], message: str) -> None:
    """A waiver of no lane, for nowhere or without a reason cannot even be made."""
    with pytest.raises(WaiverInvalid, match=message):
        statement(policy(), **changes)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lanes", [], "lanes"),
        ("lanes", ["e2e", "e2e"], "twice"),
        ("lanes", None, "lanes"),
        ("environment", 7, "environment"),
        ("ticket", None, "ticket"),
        ("notBefore", "2026-07-01", "notBefore"),
        ("expires", "2026-07-01T11:00:00.000000Z", "expires before"),
        ("policy", {"name": "staging"}, "policy"),
        ("policy", {"name": "staging", "digest": {"sha256": "0"}}, "policy"),
        ("forever", True, "forever"),
    ],
)
def test_what_is_no_waiver_is_not_read(field: str, value: Any, message: str) -> None:
    """Something missing, malformed or unknown makes the whole of it none; None stands for a field that is not there."""
    document = json.loads(statement(policy()))
    if value is None:
        del document["predicate"][field]
    else:
        document["predicate"][field] = value
    payload = json.dumps(document).encode()
    with pytest.raises(WaiverInvalid, match=message):
        read_waiver(read_statement(payload), payload)


def test_another_statement_is_no_waiver() -> None:
    """Another predicate type, the label of a lane, and a subject that can be no image are refused."""
    predicate = json.loads(statement(policy()))["predicate"]

    def made(context: Context, predicate_type: str) -> bytes:
        return write_statement(
            subjects={APP.digest: "image"}, context=context, predicate_type=predicate_type, predicate=predicate
        )

    strange = json.loads(statement(policy()))
    strange["subject"].append({"name": "x", "digest": {"gitCommit": "c" * 40}})
    for payload, message in (
        (made(NO_CONTEXT, "https://example.org/waiver"), "predicate type"),
        (made(make.context("e2e"), WAIVER), "labelled"),
        (json.dumps(strange).encode(), "no image"),
    ):
        with pytest.raises(WaiverInvalid, match=message):
            read_waiver(read_statement(payload), payload)
