"""What a lane's command came to: its result, the reasons, and what `attest run` ends with."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.outcome import Ended, decide, describe
from attest.core.lane.testreport import Case, Empty, Format, Judged, Outcome, Report, judge
from attest.core.predicates import Result
from attest.core.reference import digest_of


def judged(*outcomes: Outcome) -> Judged:
    """What follows from one report with these cases."""
    cases = tuple(Case(f"test {place}", outcome) for place, outcome in enumerate(outcomes))
    report = Report(file="r.xml", format=Format.JUNIT, digest=digest_of(b""), size=0, cases=cases)
    return judge([report], empty=Empty.REFUSED, min_coverage=None)


WELL = Ended(status=0)
BADLY = (
    (Ended(status=3), "the command ended with 3"),
    (Ended(status=137, signal="SIGKILL"), "the command was killed by SIGKILL"),
    (Ended(status=124, timed_out=True), "the command took longer than its --timeout allows, and was stopped"),
    (
        Ended(status=124, timed_out=True, signal="SIGTERM"),
        "the command took longer than its --timeout allows, and was stopped",
    ),
    (
        Ended(status=0, interrupted="SIGTERM"),
        "attest was told to stop by SIGTERM while the command ran; it ended with 0",
    ),
)


def test_without_reports_the_status_decides() -> None:
    """Status 0 and nothing else about it is PASSED, and ends with 0."""
    decided = decide(WELL, None)
    assert (decided.result, decided.reasons) == (Result.PASSED, ("the command ended with 0",))
    assert decided.exit_code(WELL) == 0


@pytest.mark.parametrize(
    ("outcome", "result", "code"),
    [(Outcome.PASSED, Result.PASSED, 0), (Outcome.WARNED, Result.WARNED, 0), (Outcome.FAILED, Result.FAILED, 1)],
)
def test_with_reports_both_have_to_pass(outcome: Outcome, result: Result, code: int) -> None:
    """After status 0 the reports decide, in their words; a result FAILED ends with 1."""
    said = judged(outcome)
    decided = decide(WELL, said)
    assert (decided.result, decided.reasons, decided.exit_code(WELL)) == (result, said.reasons, code)


@pytest.mark.parametrize(("ended", "reason"), BADLY)
def test_a_bad_end_fails_whatever_reports_say(ended: Ended, reason: str) -> None:
    """A command that did not end well is FAILED with and without reports, and the end is the first reason."""
    assert not ended.well
    for said in (None, judged(Outcome.PASSED), judged(Outcome.FAILED)):
        decided = decide(ended, said)
        assert decided.result is Result.FAILED
        assert decided.reasons[0] == reason
        assert decided.exit_code(ended) == (ended.status or 1)


def test_failed_tests_stand_behind_the_bad_end() -> None:
    """Where the reports fail too, their reasons follow; what passed is no reason for anything."""
    ended = Ended(status=1)
    assert decide(ended, judged(Outcome.FAILED)).reasons[1:] == ("1 of 1 test failed: 'test 0'",)
    assert decide(ended, judged(Outcome.PASSED)).reasons[1:] == ()
    assert decide(ended, None, trouble="r.xml: not there").reasons[1:] == ("r.xml: not there",)


@given(
    st.builds(
        Ended,
        status=st.integers(0, 255),
        signal=st.sampled_from([None, "SIGKILL"]),
        timed_out=st.booleans(),
        interrupted=st.sampled_from([None, "SIGINT"]),
    ),
    st.one_of(st.none(), st.lists(st.sampled_from(Outcome), max_size=3).map(lambda found: judged(*found))),
)
def test_only_what_ended_well_passes(ended: Ended, said: Judged | None) -> None:
    """Never PASSED, and never exit code 0 with a result FAILED, unless the command ended well and no report failed."""
    decided = decide(ended, said)
    fine = ended.well and (said is None or said.result is not Result.FAILED)
    assert (decided.result is not Result.FAILED) == fine
    assert (decided.exit_code(ended) == 0) == fine
    assert decided.reasons


def test_the_end_is_told_in_the_predicate() -> None:
    """Each field of the end stands in `attest_run`."""
    ended = Ended(status=143, signal="SIGTERM", timed_out=True, interrupted="SIGINT")
    assert describe(ended) == {"status": 143, "signal": "SIGTERM", "timedOut": True, "interrupted": "SIGINT"}
    assert len(describe(ended)) == len(dataclasses.fields(ended))
