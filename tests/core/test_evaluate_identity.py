"""Lanes that identities sign, beside lanes of keys: who counts, from where, at which time, and what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from attest.core.certificate import Certificate
from attest.core.identity import Identity
from attest.core.policy import Lane, Policy
from attest.core.predicates import Result
from attest.core.reference import digest_of
from attest.core.strictjson import Json
from attest.core.verdict import LaneVerdict, Passed, Reason, Refused, State, Verdict
from tests.core import make
from tests.core.make_identity import (
    ROOT,
    SEEN,
    WORKFLOW,
    Believing,
    certificate,
    certified,
    identity,
    stamped,
    with_identities,
)

APP = make.image("app")
JOB, CI, BOB = make.party("job"), make.party("ci"), make.party("bob")
FINISHED = make.NOW - make.HOUR
E2E: Mapping[str, Identity] = {"e2e": identity()}


def payload(lane: str | None = "test", *, result: Result = Result.PASSED, **changes: Any) -> bytes:
    return make.payload([APP.digest], make.context(lane, **changes), result=result)


def policy(*lanes: Lane, identities: Mapping[str, Identity] = E2E, **changes: Any) -> Policy:
    """A policy whose signers are the key `ci` and identities; without lanes one that `e2e` signs."""
    return with_identities(make.policy(lanes or [make.lane("test", signer="e2e")], **changes), identities)


def decide(*bundles: bytes, **changes: Any) -> Verdict:
    return make.decide(policy(**changes), make.release(APP), *bundles)


def lane_of(verdict: Verdict) -> LaneVerdict:
    return make.only_lane(verdict)


def states(verdict: Verdict) -> dict[str, tuple[State, Reason]]:
    (image,) = verdict.findings.images
    return {lane.lane: (lane.state, lane.reason) for lane in image.lanes}


# Who counts


def test_a_lane_of_an_identity_is_present() -> None:
    """Evidence under a certificate of the lane's identity fills it, and the signer is told by name."""
    verdict = decide(certified(JOB, payload()))
    assert isinstance(verdict, Passed)
    assert lane_of(verdict).message == "signed by e2e"


def test_a_foreign_identity_fills_nothing_and_is_listed() -> None:
    """A certificate that is nobody's leaves the lane missing, and is listed with how it is no signer's."""
    verdict = decide(certified(JOB, payload(), says=certificate(JOB, identity=WORKFLOW.replace("e2e", "lint"))))
    assert (lane_of(verdict).state, lane_of(verdict).reason) == (State.MISSING, Reason.NOT_FOUND)
    (rejected,) = verdict.findings.images[0].rejected
    assert rejected.reason == "certificate-workflow-differs"


def test_another_signer_of_the_policy_is_untrusted_in_either_direction() -> None:
    """An identity does not fill a lane of a key, nor a key one of an identity."""
    asked = policy(make.lane("test", signer="e2e"), make.lane("build", signer="ci"))
    verdict = make.decide(asked, make.release(APP), make.bundle(CI, payload("test")), certified(JOB, payload("build")))
    untrusted = (State.UNTRUSTED, Reason.SIGNER_DIFFERS)
    assert states(verdict) == {"test": untrusted, "build": untrusted}


def test_keys_and_identities_mix_in_one_policy() -> None:
    """A release passes with one lane under a key and one under an identity, about one source."""
    asked = policy(make.lane("test", signer="e2e"), make.lane("build", signer="ci"))
    verdict = make.decide(asked, make.release(APP), certified(JOB, payload("test")), make.bundle(CI, payload("build")))
    assert isinstance(verdict, Passed)


def test_signers_of_one_identity_are_told_apart_by_their_claims() -> None:
    """Of two signers that share an identity the one whose claims hold is who signed; of both, both are."""
    identities = {"any": identity(), "pushed": identity(trigger="push"), "planned": identity(trigger="schedule")}
    asked = policy(make.lane("test", signer="pushed"), identities=identities)
    assert isinstance(make.decide(asked, make.release(APP), certified(JOB, payload())), Passed)
    planned = certified(JOB, payload(), says=certificate(JOB, trigger="schedule"))
    verdict = make.decide(asked, make.release(APP), planned)
    assert lane_of(verdict).reason is Reason.SIGNER_DIFFERS
    (evidence,) = lane_of(verdict).evidence
    assert asked.names_of(evidence.credential) == {"any", "planned"}


def test_a_revoked_key_of_a_certificate_does_not_count() -> None:
    """`revoked` lists the key that a certificate is for as it lists any other: the good falls, the bad stands."""
    revoked = [JOB.trusted.fingerprint]
    verdict = decide(certified(JOB, payload()), revoked=revoked)
    assert (lane_of(verdict).state, lane_of(verdict).reason) == (State.REVOKED, Reason.KEY_REVOKED)
    assert JOB.trusted.fingerprint in lane_of(verdict).message
    bad = certified(JOB, payload(result=Result.FAILED))
    assert lane_of(decide(bad, revoked=revoked)).state is State.FAILED
    other = certified(make.party("another run"), payload())
    assert isinstance(decide(other, revoked=revoked), Passed)


def test_what_an_identity_signed_and_nobody_can_read_refuses() -> None:
    """Junk under a certificate of a signer refuses the image in the signer's name, until it is revoked."""
    junk = certified(JOB, b"junk")
    verdict = decide(certified(JOB, payload()), junk)
    (refusal,) = verdict.findings.images[0].refusals
    assert refusal.reason is Reason.STATEMENT_UNREADABLE
    assert refusal.message.startswith("e2e signed what is no valid statement")
    assert isinstance(decide(certified(JOB, payload()), junk, revoked=[digest_of(b"junk")]), Passed)


# How many


def threshold(count: int, *names: str, **changes: Any) -> Lane:
    return make.lane("test", signer="group", parties=frozenset(names), threshold=count, **changes)


BUNDLES: Mapping[str, bytes] = {
    "ci": make.bundle(CI, payload()),
    "bob": make.bundle(BOB, payload()),
    "e2e": certified(JOB, payload()),
    "e2e, another run": certified(make.party("another run"), payload(job="again")),
    "e2e, other claims": certified(make.party("third run"), payload(), says=certificate(JOB, trigger="schedule")),
    "mirror": certified(make.party("mirror"), payload(), says=certificate(make.party("mirror"), identity="mirror")),
}


def mixed(*names: str, count: int = 2, identities: Mapping[str, Identity] | None = None) -> Policy:
    given = {"e2e": identity(), "mirror": identity(identity="mirror")} if identities is None else identities
    holders = {"ci": [CI], "bob": [BOB]}
    return with_identities(make.policy([threshold(count, *names)], holders), given)


@pytest.mark.parametrize(
    ("signed", "count", "passes"),
    [
        (("ci", "e2e"), 2, True),
        (("e2e", "mirror"), 2, True),
        (("ci", "bob", "e2e"), 3, True),
        (("ci", "bob", "e2e", "mirror"), 4, True),
        (("e2e", "e2e, another run"), 2, False),
        (("e2e", "e2e, another run", "ci"), 3, False),
        (("ci", "bob"), 3, False),
        (("e2e",), 1, True),
    ],
)
def test_a_threshold_counts_keys_and_identities_alike(signed: tuple[str, ...], count: int, passes: bool) -> None:
    """Distinct names with distinct keys or identities count; one identity in two runs, with two keys, is one."""
    verdict = make.decide(
        mixed("ci", "bob", "e2e", "mirror", count=count), make.release(APP), *(BUNDLES[name] for name in signed)
    )
    assert isinstance(verdict, Passed) is passes
    if not passes:
        assert lane_of(verdict).reason is Reason.TOO_FEW_SIGNERS


def test_two_signers_that_are_one_identity_count_once() -> None:
    """Names are not enough: signers that share an identity, whatever else they demand, are one in a threshold."""
    shared = {"e2e": identity(), "pushed": identity(trigger="push")}
    asked = mixed("e2e", "pushed", identities=shared)
    verdict = make.decide(asked, make.release(APP), BUNDLES["e2e"], BUNDLES["e2e, another run"])
    assert isinstance(verdict, Refused)
    assert lane_of(verdict).message == "signed by 1 of the 2 signers of group that it needs"
    apart = mixed("e2e", "pushed", identities={"e2e": identity(), "pushed": identity(identity="mirror")})
    assert isinstance(make.decide(apart, make.release(APP), BUNDLES["e2e"], BUNDLES["mirror"]), Passed)


def test_distinct_certificates_of_one_payload_are_two_pieces_of_evidence() -> None:
    """One key and payload under two identities is neither merged nor hidden: each is what its certificate says."""
    one, two = certificate(JOB), certificate(JOB, identity="mirror")
    bundles = [certified(JOB, payload(), says=says) for says in (one, two)]
    asked = mixed("e2e", "mirror", count=2)
    for order in (bundles, bundles[::-1]):
        assert isinstance(make.decide(asked, make.release(APP), *order), Passed)
    only = dataclasses.replace(asked, lanes=(make.lane("test", signer="mirror"),))
    for order in (bundles, bundles[::-1]):
        verdict = make.decide(only, make.release(APP), *order)
        assert isinstance(verdict, Passed)
        assert [evidence.credential for evidence in lane_of(verdict).evidence] == [two]


# What the certificate says


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """A condition on one value of the certificate."""

    name: str
    value: str

    @property
    def text(self) -> str:
        return f"certificate.{self.name} == '{self.value}'"

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:
        assert None not in (predicate, statement, image)
        return bool(certificate.get(self.name) == self.value)


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (certified(JOB, payload()), State.PRESENT),
        (certified(JOB, payload(), says=certificate(JOB, trigger="schedule")), State.UNMET),
        (certified(JOB, payload(), says=certificate(JOB, trigger=None)), State.UNMET),
        (make.bundle(CI, payload()), State.UNMET),
    ],
    ids=["holds", "differs", "absent", "key"],
)
def test_a_condition_may_ask_the_certificate(content: bytes, state: State) -> None:
    """What it says is compared; what it leaves out, and all of what a key lacks, does not hold."""
    where = (Says(name="trigger", value="push"),)
    asked = policy(threshold(1, "e2e", "ci", where=where))
    verdict = make.decide(asked, make.release(APP), content)
    assert lane_of(verdict).state is state
    if state is State.UNMET:
        assert lane_of(verdict).message.endswith("does not meet: certificate.trigger == 'push'")


def test_a_certificate_that_does_not_hold_stands_beside_one_that_does() -> None:
    """The same key and payload under a certificate that a condition refuses is bad evidence, and is not hidden."""
    asked = policy(make.lane("test", signer="e2e", where=(Says(name="trigger", value="push"),)))
    bundles = [certified(JOB, payload(), says=certificate(JOB, trigger=trigger)) for trigger in ("push", "schedule")]
    for order in (bundles, bundles[::-1]):
        assert lane_of(make.decide(asked, make.release(APP), *order)).state is State.UNMET
    assert isinstance(make.decide(asked, make.release(APP), bundles[0]), Passed)


# From where


@pytest.mark.parametrize(
    ("says", "context"),
    [
        ({"repository": "https://git.example.org/evil/playlist"}, {}),
        ({"commit": "d" * 40}, {}),
        ({"ref": "refs/heads/feature"}, {}),
        ({}, {"repository": "https://git.example.org/plex/other"}),
        ({}, {"commit": "d" * 40}),
        ({}, {"ref": "refs/heads/feature"}),
        ({"repository": "no address"}, {}),
    ],
)
def test_the_certificate_and_the_context_agree(says: dict[str, Any], context: dict[str, Any]) -> None:
    """What the certificate names as the source is compared with what was signed; a disagreement is no source at all."""
    content = certified(JOB, payload(**context), says=certificate(JOB, **says))
    verdict = decide(content)
    assert (lane_of(verdict).state, lane_of(verdict).reason) == (State.MISMATCHED, Reason.SOURCE_DISAGREES)
    (name,) = {**says, **context}
    assert lane_of(verdict).message.startswith(f"it names more than one {name}: ")
    lane = make.lane("test", signer="e2e", source_from_statement=True)
    verdict = make.decide(policy(lane), make.release(APP), content)
    assert (lane_of(verdict).reason is Reason.REPOSITORY_DIFFERS) == ("repository" in context)
    assert isinstance(verdict, Passed) == ("repository" not in context)


def test_the_source_of_unlabelled_evidence_is_in_its_certificate() -> None:
    """Evidence of another tool, which carries no context, is bound by what its certificate names."""
    lane = make.lane("test", signer="e2e", unlabelled=True)
    bare = make.payload([APP.digest], make.context(None, **_NOTHING))
    assert isinstance(make.decide(policy(lane), make.release(APP, commit=make.COMMIT), certified(JOB, bare)), Passed)
    cases: list[tuple[dict[str, Any], Reason]] = [
        ({"repository": "https://git.example.org/plex/other"}, Reason.REPOSITORY_DIFFERS),
        ({"commit": "d" * 40}, Reason.COMMIT_DIFFERS),
        ({"commit": None}, Reason.SOURCE_UNNAMED),
    ]
    for says, reason in cases:
        content = certified(JOB, bare, says=certificate(JOB, **says))
        verdict = make.decide(policy(lane), make.release(APP, commit=make.COMMIT), content)
        assert lane_of(verdict).reason is reason
    lane = make.lane("test", signer="e2e", unlabelled=True, source_from_statement=True)
    verdict = make.decide(policy(lane), make.release(APP), certified(JOB, bare))
    assert lane_of(verdict).reason is Reason.SOURCE_UNNAMED


_NOTHING: Mapping[str, Any] = dict.fromkeys(
    ("repository", "commit", "ref", "run_id", "run_attempt", "job", "run_url", "started", "finished")
)


# When


def timed(*times: datetime, finished: datetime | None = FINISHED) -> bytes:
    return stamped(CI, payload(finished=finished), *times)


TRUSTED: Lane = make.lane("test", trusted_time=True)


def test_a_lane_may_want_a_trusted_time() -> None:
    """Under `time: trusted` a signed time alone is stale, and one that somebody trusted vouches for counts."""
    untrusted = make.decide(policy(TRUSTED), make.release(APP), timed())
    assert (lane_of(untrusted).state, lane_of(untrusted).reason) == (State.STALE, Reason.TIME_UNTRUSTED)
    assert lane_of(untrusted).message == "no trusted service vouches for its time, and this lane says `time: trusted`"
    assert isinstance(make.decide(policy(TRUSTED), make.release(APP), timed(SEEN)), Passed)
    assert isinstance(make.decide(policy(TRUSTED), make.release(APP), timed(SEEN, finished=None)), Passed)
    of_identity = dataclasses.replace(TRUSTED, signer="e2e", parties=frozenset({"e2e"}))
    assert isinstance(make.decide(policy(of_identity), make.release(APP), certified(JOB, payload())), Passed)


def test_without_it_a_signed_time_suffices() -> None:
    """A lane that does not ask for a trusted time takes evidence with and without one."""
    for content in (timed(), timed(SEEN)):
        assert isinstance(make.decide(policy(make.lane("test")), make.release(APP), content), Passed)


@pytest.mark.parametrize("flipped", [False, True])
def test_a_wrapping_without_timestamps_takes_nothing_away(flipped: bool) -> None:
    """Of one signature in several bundles any trusted time counts, whichever of the bundles comes first."""
    bundles = [timed(), timed(SEEN), stamped(CI, payload(finished=FINISHED), hint="x")][:: -1 if flipped else 1]
    verdict = make.decide(policy(TRUSTED), make.release(APP), *bundles)
    assert isinstance(verdict, Passed)
    assert len(verdict.findings.inputs) == 3
    timeless = [timed(finished=None), timed(SEEN, finished=None)][:: -1 if flipped else 1]
    lane = dataclasses.replace(TRUSTED, max_age=make.HOUR)
    verdict = make.decide(policy(lane), make.release(APP), *timeless)
    assert isinstance(verdict, Passed)


def test_stamping_old_evidence_anew_does_not_make_it_young() -> None:
    """The earliest of all times is its age: a later timestamp, in the same bundle or another, changes nothing."""
    lane = dataclasses.replace(TRUSTED, max_age=2 * make.HOUR)
    old = make.NOW - 3 * make.HOUR
    for bundles in (
        [timed(old, SEEN)],
        [timed(old), timed(SEEN)],
        [timed(SEEN), timed(old)],
        [timed(SEEN, finished=old)],
    ):
        verdict = make.decide(policy(lane), make.release(APP), *bundles)
        assert (lane_of(verdict).state, lane_of(verdict).reason) == (State.STALE, Reason.TOO_OLD)
    assert isinstance(make.decide(policy(lane), make.release(APP), timed(SEEN, FINISHED)), Passed)


def test_a_trusted_time_supersedes_and_is_superseded() -> None:
    """What has no signed finish time is ordered by its trusted one."""
    failed = stamped(CI, payload(result=Result.FAILED, finished=None, run_id="99"), make.NOW - 2 * make.HOUR)
    passed = stamped(CI, payload(finished=None), SEEN)
    asked = policy(make.lane("test"))
    assert isinstance(make.decide(asked, make.release(APP), failed, passed), Passed)
    late = stamped(CI, payload(result=Result.FAILED, finished=None, run_id="99"), make.NOW)
    assert lane_of(make.decide(asked, make.release(APP), late, passed)).state is State.FAILED


def test_a_trusted_time_of_the_past_is_asked_for_in_the_past() -> None:
    """`--at` ignores what was seen later, and takes what was seen before for what it is."""
    asked = policy(make.lane("test", signer="e2e"))
    content = certified(JOB, payload(finished=None))
    before = make.decide(asked, make.release(APP), content, now=SEEN - timedelta(seconds=1), historical=True)
    assert lane_of(before).state is State.MISSING
    after = make.decide(asked, make.release(APP), content, now=SEEN, historical=True)
    assert lane_of(after).state is State.PRESENT


# What the verdict rests on


@pytest.mark.parametrize(("public_good", "root"), [(True, ROOT), (False, None)])
def test_the_verdict_names_the_root_that_the_policy_does_not(public_good: bool, root: Any) -> None:
    """A root that was fetched is named by its digest; one of a file is in the digest of the policy already."""
    asked = dataclasses.replace(policy(), public_good=public_good)
    assert make.decide(asked, make.release(APP)).findings.trusted_root == root


def test_a_root_that_nothing_needed_is_not_named() -> None:
    """Where no evidence asked for the public-good root there is none, nor where the policy has no trust."""
    asked = with_identities(make.policy([make.lane("test")]), {}, Believing(None))
    asked = dataclasses.replace(asked, public_good=True)
    assert make.decide(asked, make.release(APP), make.bundle(CI, payload())).findings.trusted_root is None
    bare = make.policy([make.lane("test")], public_good=True)
    assert make.decide(bare, make.release(APP)).findings.trusted_root is None


def test_a_certificate_is_a_value() -> None:
    """Certificates with the same words and key are equal, so that wrappings of one are one piece of evidence."""
    assert certificate(JOB) == certificate(JOB)
    assert len({certificate(JOB), certificate(JOB, run=None), certificate(CI)}) == 3
    assert isinstance(certificate(JOB), Certificate)
    twice = [certified(JOB, payload()), certified(JOB, payload(), hint="another")]
    verdict = decide(*twice)
    assert len(lane_of(verdict).evidence) == 1
    assert verdict.findings.inputs == set(map(digest_of, twice))
