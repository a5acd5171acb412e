"""Steps 3 and 4: what stands, what supersedes it, what is fresh, and what the past looked like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from attest.core import predicates
from attest.core.evaluate import evaluate
from attest.core.policy import EvidenceAt
from attest.core.predicates import Result
from attest.core.reference import digest_of
from attest.core.statement import Context
from attest.core.verdict import Passed, PassedThen, Reason, Refused, State, Verdict
from attest.core.verify import VerifiedStatement
from tests.core import generate, make

APP = make.image("app")
CI = make.party("ci")
HOUR = make.HOUR
PASS, FAIL, WARN = Result.PASSED, Result.FAILED, Result.WARNED


def at(hours: float, run: str | None = "100", **changes: Any) -> Context:
    """A context that finished so many hours before now; without a start unless one is given."""
    base = make.context("test", run_id=run, finished=make.NOW - hours * HOUR, started=None)
    return base._replace(**changes)


def signed(result: Result, about: Context, who: make.Party = CI, subjects: Sequence[Any] = (APP.digest,)) -> bytes:
    return make.bundle(who, make.payload(subjects, about, result=result))


def decide(*bundles: bytes, asked: Any = None, now: Any = make.NOW, **more: Any) -> Verdict:
    return make.decide(asked or make.policy([make.lane("test")]), make.release(APP), *bundles, now=now, **more)


STARTED: dict[str, Any] = {"started": make.NOW - 1.5 * HOUR}
SUPERSESSION: dict[str, tuple[Context, Context, bool]] = {
    # a. of the same run and job with a higher attempt
    "higher attempt": (at(2), at(1, run_attempt=2), True),
    "same attempt": (at(2), at(1), False),
    "lower attempt": (at(2, run_attempt=3), at(1, run_attempt=2), False),
    "higher attempt, earlier time": (at(1), at(2, run_attempt=2), False),
    "higher attempt, same time": (at(1), at(1, run_attempt=2), False),
    "higher attempt of another job": (at(2), at(1, run_attempt=2, job="other"), False),
    "another job, started later": (at(2), at(1, run_attempt=2, job="other", **STARTED), False),
    "same run, started later": (at(2), at(1, **STARTED), False),
    "attempts of nobody's job": (at(2, job=None), at(1, job=None, run_attempt=2), False),
    "no attempt before": (at(2, run_attempt=None), at(1, run_attempt=2), False),
    "no attempt after": (at(2), at(1, run_attempt=None), False),
    "higher attempt of a named run": (at(2, "nightly"), at(1, "nightly", run_attempt=2), True),
    "attempts as numbers": (at(2, run_attempt=9), at(1, run_attempt=10), True),
    # b. of a run of the same repository with a higher run id
    "higher run": (at(2), at(1, "101"), True),
    "higher run as a number": (at(2, "99"), at(1, "100"), True),
    "lower run": (at(2), at(1, "99"), False),
    "lower run, started later": (at(2), at(1, "99", **STARTED), False),
    "higher run, earlier time": (at(1), at(2, "101"), False),
    "higher run, same time": (at(1), at(1, "101"), False),
    "higher run, lower attempt, another job": (at(2, run_attempt=3), at(1, "101", job="other"), True),
    # c. where the runs cannot be compared
    "no runs, started later": (at(2, None), at(1, None, **STARTED), True),
    "no runs, no start": (at(2, None), at(1, None), False),
    "no runs, started at that time": (at(2, None), at(1, None, started=make.NOW - 2 * HOUR), False),
    "no runs, started earlier": (at(2, None), at(1, None, started=make.NOW - 3 * HOUR), False),
    "one run, started later": (at(2), at(1, None, **STARTED), True),
    "named runs, started later": (at(2, "a"), at(1, "b", **STARTED), True),
    "named runs": (at(2, "a"), at(1, "b"), False),
    "one named run, started later": (at(2, "nightly"), at(1, "101", **STARTED), True),
    "other repository, higher run": (at(2, repository=generate.OTHER_REPOSITORY), at(1, "101"), False),
    "other repository, started later": (at(2, "500", repository=generate.OTHER_REPOSITORY), at(1, **STARTED), True),
    "other repository, higher attempt": (at(2, repository=generate.OTHER_REPOSITORY), at(1, run_attempt=2), False),
    "no repository, higher run": (at(2, repository=None), at(1, "101"), False),
    "no repository on either side, higher run": (at(2, repository=None), at(1, "101", repository=None), False),
    "no repository on either side, higher attempt": (
        at(2, repository=None),
        at(1, repository=None, run_attempt=2),
        False,
    ),
    # without Time
    "the old one has no time": (at(2, finished=None), at(1, "101", **STARTED), False),
    "the new one has no time": (at(2), at(1, "101", finished=None, **STARTED), False),
}


@pytest.mark.parametrize("case", SUPERSESSION)
def test_new_supersedes_old(case: str) -> None:
    """A pass after a failure counts exactly where the rules say that it supersedes the failure."""
    old, new, supersedes = SUPERSESSION[case]
    asked = make.policy([make.lane("test", unbound=True)])
    verdict = decide(signed(FAIL, old), signed(PASS, new), asked=asked)
    lane = make.only_lane(verdict)
    assert isinstance(verdict, Passed) == supersedes
    assert lane.state is (State.PRESENT if supersedes else State.FAILED)
    if not supersedes:
        assert [one.result for one in lane.evidence] == [FAIL]


@pytest.mark.parametrize("case", SUPERSESSION)
def test_no_pass_survives_a_failure_that_supersedes_it(case: str) -> None:
    """A failure after a pass refuses in every one of these cases, and is what is shown."""
    old, new, _ = SUPERSESSION[case]
    lane = make.only_lane(
        decide(signed(PASS, old), signed(FAIL, new), asked=make.policy([make.lane("test", unbound=True)]))
    )
    if new.finished is None or old.finished is None or new.finished >= old.finished:
        assert (lane.state, lane.reason) == (State.FAILED, Reason.RESULT_FAILED)


def test_supersession_goes_through_others() -> None:
    """A pass that supersedes one failure only through another, in two different ways, counts."""
    first = signed(FAIL, at(5, None))
    second = signed(FAIL, at(3, "100", started=make.NOW - 4 * HOUR))
    third = signed(PASS, at(1, "101"))
    assert isinstance(decide(first, third), Refused)
    assert isinstance(decide(first, second, third), Passed)
    assert isinstance(decide(third, first, second), Passed)


def test_a_pass_in_between_carries_supersession_too() -> None:
    """The link between a failure and the newest pass may be a pass itself."""
    first, second = signed(FAIL, at(5, None)), signed(PASS, at(3, "100", started=make.NOW - 4 * HOUR))
    verdict = decide(first, second, signed(PASS, at(1, "101")))
    assert isinstance(verdict, Passed)
    assert len(make.only_lane(verdict).evidence) == 2


def test_a_chain_is_not_broken_by_length() -> None:
    """Hundreds of failures, each superseded by the next run, are all superseded by the last pass, and by no other."""

    def run(number: int, result: Result, hours: float) -> VerifiedStatement:
        return make.verified(CI, make.payload([APP.digest], at(hours, str(number)), result=result))

    failures = [run(number, FAIL, 500 - number) for number in range(1, 400)]
    last = run(400, PASS, 1)
    asked = make.policy([make.lane("test")])
    whole = make.outcomes(*failures, last)
    assert isinstance(evaluate(asked, make.release(APP), whole, now=make.NOW), Passed)
    later = run(399, FAIL, 0.5)
    refused = evaluate(asked, make.release(APP), [*whole, *make.outcomes(later)], now=make.NOW)
    assert [one.time for one in make.only_lane(refused).evidence] == [later.time]


@pytest.mark.parametrize("other", [PASS, FAIL])
def test_shards_are_not_superseded_by_a_higher_attempt(other: Result) -> None:
    """Where two candidates share the failure's run, job and attempt, nobody knows which of them was run again."""
    failure, shard = signed(FAIL, at(3)), signed(other, at(2.5))
    again = signed(PASS, at(1, run_attempt=2))
    assert isinstance(decide(failure, again), Passed)
    assert isinstance(decide(failure, shard, again), Refused)
    assert isinstance(decide(failure, shard, again, signed(PASS, at(0.5, "101"))), Passed)


def test_shards_of_the_new_attempt_do_no_harm() -> None:
    """Two candidates in the higher attempt supersede the one failure before."""
    again = [signed(PASS, at(1, run_attempt=2)), signed(PASS, at(0.5, run_attempt=2))]
    assert isinstance(decide(signed(FAIL, at(3)), *again), Passed)


def test_the_same_signature_twice_is_no_shard() -> None:
    """One failure in two wrappings is one candidate, and a higher attempt supersedes it."""
    payload = make.payload([APP.digest], at(3), result=FAIL)
    wrappings = [make.bundle(CI, payload), make.bundle(CI, payload, hint="another")]
    assert isinstance(decide(*wrappings, signed(PASS, at(1, run_attempt=2))), Passed)


@pytest.mark.parametrize(("bad", "reason"), [(FAIL, Reason.RESULT_FAILED), (WARN, Reason.RESULT_WARNED)])
def test_a_good_one_counts_only_if_it_supersedes_every_bad_one(bad: Result, reason: Reason) -> None:
    """A good one between two bad ones does not count, and the one that is not superseded is shown."""
    later = signed(bad, at(0.5, "102"))
    verdict = decide(signed(FAIL, at(3)), signed(PASS, at(1, "101")), later)
    lane = make.only_lane(verdict)
    assert (lane.state, lane.reason) == (State.FAILED, reason)
    assert [one.bundle for one in lane.evidence] == [digest_of(later)]


def test_two_goods_that_supersede_one_bad_each_do_not_count() -> None:
    """One good candidate has to supersede every bad one; two that share the work do not."""
    one, other = at(3, "a"), at(3, "b", job="other")
    goods = [signed(PASS, at(2, "a", run_attempt=2)), signed(PASS, at(2, "b", job="other", run_attempt=2))]
    verdict = decide(signed(FAIL, one), signed(FAIL, other), *goods)
    lane = make.only_lane(verdict)
    assert lane.state is State.FAILED
    assert len(lane.evidence) == 2


def test_warned_is_good_where_the_lane_allows_it() -> None:
    """WARNED counts in a lane with `allow-warned` and is bad in any other; FAILED is bad in both."""
    allowing = make.policy([make.lane("test", allow_warned=True)])
    assert isinstance(decide(signed(WARN, at(1)), asked=allowing), Passed)
    assert isinstance(decide(signed(WARN, at(1))), Refused)
    assert isinstance(decide(signed(FAIL, at(1)), asked=allowing), Refused)


def test_what_does_not_meet_a_condition_is_bad() -> None:
    """A `where` that does not hold refuses with the expression in the message, beside any other good evidence."""
    asked = make.policy([make.lane("test", where=(generate.Says(value="ok"),))])

    def tagged(tag: str, about: Context) -> bytes:
        predicate = {**predicates.test_result(PASS), "tag": tag}
        return make.bundle(CI, make.payload([APP.digest], about, predicate=predicate))

    assert isinstance(decide(tagged("ok", at(1)), asked=asked), Passed)
    lane = make.only_lane(decide(tagged("ok", at(1)), tagged("no", at(0.5, "101")), asked=asked))
    assert (lane.state, lane.reason) == (State.UNMET, Reason.CONDITION_UNMET)
    assert "predicate.tag == 'ok'" in lane.message
    assert isinstance(decide(tagged("no", at(2)), tagged("ok", at(1, "101")), asked=asked), Passed)


def test_the_worst_of_what_stands_is_the_state() -> None:
    """Of a failure, an unmet condition and a future date that all stand, the failure is the state that is shown."""
    asked = make.policy([make.lane("test", where=(generate.Says(value="ok"),))])

    def tagged(tag: str, result: Result, about: Context) -> bytes:
        return make.bundle(
            CI, make.payload([APP.digest], about, predicate={**predicates.test_result(result), "tag": tag})
        )

    failed, unmet = tagged("ok", FAIL, at(1, "a")), tagged("no", PASS, at(1, "b"))
    future = tagged("ok", PASS, at(-1, "c"))
    for bundles, state in [
        ((failed, unmet, future), State.FAILED),
        ((future, unmet), State.UNMET),
        ((unmet, failed), State.FAILED),
        ((future,), State.STALE),
    ]:
        assert make.only_lane(decide(*bundles, asked=asked)).state is state


# The future


@pytest.mark.parametrize(("seconds", "passes"), [(0, True), (60, True), (60.000001, False), (3600, False)])
def test_a_clock_may_be_a_minute_ahead(seconds: float, passes: bool) -> None:
    """Evidence dated up to exactly 60 seconds ahead is good; a microsecond more and the lane is stale."""
    about = at(0, finished=make.NOW + timedelta(seconds=seconds))
    verdict = decide(signed(PASS, about))
    assert isinstance(verdict, Passed) == passes
    if not passes:
        lane = make.only_lane(verdict)
        assert (lane.state, lane.reason) == (State.STALE, Reason.IN_THE_FUTURE)


def test_the_future_supersedes_nothing_and_stands() -> None:
    """A pass from the future neither removes a failure nor lets a good one beside it count."""
    future = signed(PASS, at(-2, "500"))
    assert make.only_lane(decide(signed(FAIL, at(1)), future)).state is State.FAILED
    assert make.only_lane(decide(signed(PASS, at(1)), future)).state is State.STALE
    assert make.only_lane(decide(signed(PASS, at(1)), signed(FAIL, at(-2, "500")))).state is State.FAILED


def test_the_future_comes() -> None:
    """When its time has come it is evidence like any other, and can be superseded."""
    future = signed(PASS, at(-2, "500"))
    assert isinstance(decide(signed(FAIL, at(1)), future, now=make.NOW + 3 * HOUR), Passed)


# Without time


def test_a_failure_without_time_stays_until_it_is_revoked() -> None:
    """Nothing supersedes it; the refusal names it and says what removes it, and revoking it does."""
    timeless = signed(FAIL, at(1, finished=None))
    lane = make.only_lane(decide(timeless, signed(PASS, at(1, "101"))))
    assert lane.state is State.FAILED
    assert digest_of(timeless) in lane.message
    assert "revoked" in lane.message
    asked = make.policy([make.lane("test")], revoked=[digest_of(timeless)])
    assert isinstance(decide(timeless, signed(PASS, at(1, "101")), asked=asked), Passed)


def test_a_pass_without_time_is_good_where_nothing_is_bad() -> None:
    """Without a max-age evidence needs no time; with one it is stale."""
    timeless = signed(PASS, at(1, finished=None))
    assert isinstance(decide(timeless), Passed)
    asked = make.policy([make.lane("test", max_age=HOUR)])
    lane = make.only_lane(decide(timeless, asked=asked))
    assert (lane.state, lane.reason) == (State.STALE, Reason.NO_TIME)


# Revocation


def test_a_revoked_bundle_is_no_candidate() -> None:
    """A revoked failure is gone, and a revoked pass leaves the lane revoked."""
    failure, success = signed(FAIL, at(2)), signed(PASS, at(1))
    gone = make.policy([make.lane("test")], revoked=[digest_of(failure)])
    assert isinstance(decide(failure, success, asked=gone), Passed)
    both = make.policy([make.lane("test")], revoked=[digest_of(success)])
    lane = make.only_lane(decide(success, asked=both))
    assert (lane.state, lane.reason) == (State.REVOKED, Reason.BUNDLE_REVOKED)
    assert make.only_lane(decide(failure, success, asked=both)).state is State.FAILED


def test_what_a_revoked_key_passed_does_not_count_and_what_it_failed_stands() -> None:
    """A revoked key gives nothing and takes back nothing."""
    old, new = make.party("old"), make.party("new")
    asked = make.policy([make.lane("test")], {"ci": [old, new]}, revoked=[old.trusted.fingerprint])
    lane = make.only_lane(decide(signed(PASS, at(1), old), asked=asked))
    assert (lane.state, lane.reason) == (State.REVOKED, Reason.KEY_REVOKED)
    assert isinstance(decide(signed(PASS, at(1), old), signed(PASS, at(1), new), asked=asked), Passed)
    assert make.only_lane(decide(signed(FAIL, at(2), old), asked=asked)).state is State.FAILED
    assert make.only_lane(decide(signed(FAIL, at(1), old), signed(PASS, at(2), new), asked=asked)).state is State.FAILED
    assert isinstance(decide(signed(FAIL, at(2), old), signed(PASS, at(1, "101"), new), asked=asked), Passed)


def test_a_revoked_key_supersedes_nothing() -> None:
    """A pass by a revoked key does not remove a failure, nor link a later pass to one."""
    old, new = make.party("old"), make.party("new")
    asked = make.policy([make.lane("test")], {"ci": [old, new]}, revoked=[old.trusted.fingerprint])
    failure = signed(FAIL, at(5, None), new)
    link = signed(PASS, at(3, "100", started=make.NOW - 4 * HOUR), old)
    last = signed(PASS, at(1, "101"), new)
    assert isinstance(decide(failure, link, last, asked=make.policy([make.lane("test")], {"ci": [old, new]})), Passed)
    assert make.only_lane(decide(failure, link, last, asked=asked)).state is State.FAILED


# Platforms


@pytest.mark.parametrize("evidence", list(EvidenceAt))
@pytest.mark.parametrize("failing", range(3))
def test_a_failure_of_one_platform_stands_against_all(evidence: EvidenceAt, failing: int) -> None:
    """A failure on an index or any of its platforms refuses the lane, wherever else the evidence is good."""
    index = make.index("app")
    asked = make.policy([make.lane("test")], platforms=make.platforms(evidence))
    digests = [index.digest, *(digest for digest, _ in index.platforms)]
    good = signed(PASS, at(1), subjects=digests)
    bad = signed(FAIL, at(1, "101"), subjects=[digests[failing]])
    release = make.release(index)
    assert isinstance(make.decide(asked, release, good), Passed)
    verdict = make.decide(asked, release, good, bad)
    assert make.only_lane(verdict).state is State.FAILED
    again = signed(PASS, at(0.5, "102"), subjects=digests)
    assert isinstance(make.decide(asked, release, good, bad, again), Passed)


# Fresh


@pytest.mark.parametrize(("age", "passes"), [(timedelta(), True), (HOUR, True), (HOUR + timedelta.resolution, False)])
def test_max_age_is_exact(age: timedelta, passes: bool) -> None:
    """Evidence of exactly the maximum age counts, and a microsecond older it is stale."""
    asked = make.policy([make.lane("test", max_age=HOUR)])
    verdict = decide(signed(PASS, at(0, finished=make.NOW - age)), asked=asked)
    assert isinstance(verdict, Passed) == passes
    if not passes:
        lane = make.only_lane(verdict)
        assert (lane.state, lane.reason) == (State.STALE, Reason.TOO_OLD)


# The past


def test_a_verdict_on_the_past_ignores_what_came_later() -> None:
    """Before the failure came the release would have passed, which is a PassedThen and no Passed."""
    bundles = [signed(PASS, at(5)), signed(FAIL, at(1, "101"))]
    assert isinstance(decide(*bundles), Refused)
    then = decide(*bundles, now=make.NOW - 2 * HOUR, historical=True)
    assert isinstance(then, PassedThen)
    assert not isinstance(then, Passed)
    assert isinstance(decide(*bundles, now=make.NOW - 6 * HOUR, historical=True), Refused)
    assert isinstance(decide(*bundles, now=make.NOW - HOUR, historical=True), Refused)


def test_a_verdict_on_the_past_trusts_no_good_evidence_without_time() -> None:
    """Of evidence without a time the bad is kept and the good ignored, since nobody knows when it came."""
    timeless = at(1, finished=None)
    assert isinstance(decide(signed(PASS, timeless)), Passed)
    assert isinstance(decide(signed(PASS, timeless), historical=True), Refused)
    assert isinstance(decide(signed(PASS, at(2)), signed(FAIL, timeless), historical=True), Refused)
    assert isinstance(decide(signed(PASS, at(2)), signed(PASS, timeless), historical=True), PassedThen)


def test_good_evidence_without_time_is_no_shard_of_the_past() -> None:
    """What is ignored is ignored in every way: it does not keep a higher attempt from superseding either."""
    bundles = [signed(FAIL, at(3)), signed(PASS, at(3, finished=None)), signed(PASS, at(1, run_attempt=2))]
    assert isinstance(decide(*bundles), Refused)
    assert isinstance(decide(*bundles, historical=True), PassedThen)
