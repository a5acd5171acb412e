"""What is shown of a lane that something bad stands against, and what a condition is asked about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from attest.core.predicates import Result
from attest.core.reference import digest_of
from attest.core.strictjson import Json
from attest.core.verdict import Passed, Reason, State, Verdict
from tests.core import make

APP = make.image("app")
CI = make.party("ci")
FAIL = Result.FAILED


def signed(result: Result = Result.PASSED, **changes: Any) -> bytes:
    return make.bundle(CI, make.payload([APP.digest], make.context(**changes), result=result))


def decide(*bundles: bytes) -> Verdict:
    return make.decide(make.policy([make.lane("test")]), make.release(APP), *bundles)


def test_only_the_newest_failure_is_shown() -> None:
    """Of failures that supersede one another the last is shown, and of those that do not all are."""
    hours = make.HOUR
    chain = [signed(FAIL, run_id=str(number), finished=make.NOW - (9 - number) * hours) for number in range(1, 5)]
    assert [one.bundle for one in make.only_lane(decide(*chain)).evidence] == [digest_of(chain[-1])]
    apart = [signed(FAIL, run_id=name) for name in ("x", "y")]
    assert {one.bundle for one in make.only_lane(decide(*apart)).evidence} == set(map(digest_of, apart))


def test_a_refusal_says_when() -> None:
    """The message names the time of a failure, says where there is none, and only then speaks of revoking."""
    dated = make.only_lane(decide(signed(FAIL))).message
    assert dated == "it at 2026-07-01T11:00:00.000000Z says FAILED"
    timeless = make.only_lane(decide(signed(FAIL, finished=None))).message
    assert timeless.startswith("it without a time says FAILED; it has no time, so only listing sha256:")


def test_a_failure_without_time_stays_beside_one_that_is_superseded() -> None:
    """A pass that supersedes a dated failure does not take the timeless one with it."""
    dated, timeless = signed(FAIL, run_id="99", finished=make.NOW - 3 * make.HOUR), signed(FAIL, finished=None)
    lane = make.only_lane(decide(dated, timeless, signed()))
    assert lane.state is State.FAILED
    assert [one.bundle for one in lane.evidence] == [digest_of(timeless)]
    assert isinstance(decide(dated, signed()), Passed)


@pytest.mark.parametrize("variant", range(8))
def test_equal_times_supersede_in_neither_direction(variant: int) -> None:
    """However the bundles happen to be ordered, a later run of the same time takes no failure's place."""
    failure = signed(FAIL, run_id="100", run_url=f"https://example.org/{variant}")
    success = signed(run_id="101", run_url=f"https://example.org/{variant}")
    assert make.only_lane(decide(failure, success)).state is State.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A condition that keeps what it was asked about."""

    text: str = "true"
    seen: list[tuple[Json, Json, Json, Json]] = field(default_factory=list)

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:
        self.seen.append((predicate, statement, image, certificate))
        return True


def test_a_condition_is_asked_about_predicate_statement_and_image() -> None:
    """It sees the predicate, the whole Statement as signed, the image as it was named, and of a key no certificate."""
    condition = Asked()
    asked = make.policy([make.lane("test", where=(condition,))])
    assert isinstance(make.decide(asked, make.release(APP), signed()), Passed)
    ((predicate, statement, image, certificate),) = condition.seen
    assert statement["predicate"] == predicate == {"result": "PASSED", "configuration": []}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert image == {"reference": APP.reference, "name": "app", "digest": APP.digest}
    assert certificate == {}


@pytest.mark.parametrize("hint", ["a", "b", "c", "d", "e", "f"])
def test_how_evidence_is_wrapped_does_not_choose_what_is_told(hint: str) -> None:
    """Anybody can wrap a signature anew, and still the same failure and the same of two stale pieces is named."""
    failed = make.payload([APP.digest], make.context(run_id="x"), result=FAIL)
    warned = make.payload([APP.digest], make.context(run_id="y"), result=Result.WARNED)
    told = make.only_lane(decide(make.bundle(CI, failed, hint=hint), make.bundle(CI, warned)))
    assert told.reason is Reason.RESULT_FAILED
    retired = make.party("retired")
    asked = make.policy(
        [make.lane("test", max_age=make.HOUR / 2)], {"ci": [CI, retired]}, revoked=[retired.trusted.fingerprint]
    )
    old = make.payload([APP.digest], make.context(job="a"))
    good = make.payload([APP.digest], make.context(job="b"))
    bundles = [make.bundle(CI, old, hint=hint), make.bundle(retired, good)]
    assert make.only_lane(make.decide(asked, make.release(APP), *bundles)).reason is Reason.KEY_REVOKED
