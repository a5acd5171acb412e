"""Where `max-age` is measured on the way back to a release that passed and was healthy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attest.core.predicates import Result
from attest.core.verdict import Passed, Reason
from tests.core import make
from tests.core.make import HOUR, NOW

DAY = timedelta(days=1)
LANE = make.lane("test", max_age=DAY)
POLICY = make.policy([LANE])


def _signed(result: Result = Result.PASSED, **changes: Any) -> bytes:
    about = make.context(**changes)
    return make.bundle(make.party("ci"), make.payload([make.image().digest], about, result=result))


def test_freshness_does_not_forbid_the_way_back() -> None:
    """Evidence that was fresh at an earlier verdict counts for a way back, and not for a new deployment."""
    later = NOW + 30 * DAY
    assert make.only_lane(make.decide(POLICY, make.release(), _signed(), now=later)).reason is Reason.TOO_OLD
    assert isinstance(make.decide(POLICY, make.release(), _signed(), now=later, aged_at=NOW), Passed)


def test_what_was_too_old_then_is_too_old_now() -> None:
    """The earlier verdict does not lift `max-age`: what was too old at it stays so."""
    verdict = make.decide(POLICY, make.release(), _signed(), now=NOW + 30 * DAY, aged_at=NOW + DAY)
    assert make.only_lane(verdict).reason is Reason.TOO_OLD
    edge = make.decide(POLICY, make.release(), _signed(), now=NOW + 30 * DAY, aged_at=NOW + DAY - HOUR)
    assert isinstance(edge, Passed)


def test_evidence_from_after_that_verdict_counts() -> None:
    """What was signed later than the verdict at which age is measured is not too old."""
    later = NOW + 30 * DAY
    young = _signed(run_id="101", started=later - 2 * HOUR, finished=later - HOUR)
    assert isinstance(make.decide(POLICY, make.release(), young, now=later, aged_at=NOW), Passed)


def test_all_else_is_of_now() -> None:
    """A policy that expired meanwhile, and a failure that was signed meanwhile, refuse the way back as well."""
    later = NOW + 30 * DAY
    expired = make.policy([LANE], expires=NOW + DAY)
    verdict = make.decide(expired, make.release(), _signed(), now=later, aged_at=NOW)
    assert [refusal.reason for refusal in verdict.findings.refusals] == [Reason.POLICY_EXPIRED]
    failed = _signed(Result.FAILED, run_id="101", started=later - 2 * HOUR, finished=later - HOUR)
    verdict = make.decide(POLICY, make.release(), _signed(), failed, now=later, aged_at=NOW)
    assert make.only_lane(verdict).reason is Reason.RESULT_FAILED
    assert verdict.findings.time == later
