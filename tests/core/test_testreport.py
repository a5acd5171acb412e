"""Reports: what result follows from their cases, problems and coverage, and why."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.testreport import (
    Case,
    Counts,
    Coverage,
    Empty,
    Format,
    Judged,
    Outcome,
    Report,
    count,
    judge,
    parse_percent,
)
from attest.core.predicates import Result
from attest.core.reference import digest_of

P, W, F, S = Outcome.PASSED, Outcome.WARNED, Outcome.FAILED, Outcome.SKIPPED
OUTCOMES = st.lists(st.sampled_from(Outcome), max_size=12)


def ran(*outcomes: Outcome, file: str = "junit.xml", problems: tuple[str, ...] = ()) -> Report:
    """A report of one case for each outcome, named by its position."""
    return Report(
        file=file,
        format=Format.JUNIT,
        digest=digest_of(file.encode()),
        size=10,
        cases=tuple(Case(f"t{position}", outcome) for position, outcome in enumerate(outcomes)),
        problems=problems,
    )


def coverage(covered: int, total: int, file: str = "coverage.xml") -> Report:
    """A report about coverage alone."""
    return Report(
        file=file,
        format=Format.COBERTURA,
        digest=digest_of(file.encode()),
        size=10,
        coverage=Coverage(covered=covered, total=total),
    )


def judged(*reports: Report, empty: Empty = Empty.REFUSED, minimum: str | None = None) -> Judged:
    """What follows from the reports."""
    return judge(reports, empty=empty, min_coverage=None if minimum is None else Decimal(minimum))


@pytest.mark.parametrize(
    ("outcomes", "result", "reason"),
    [
        ([P], Result.PASSED, "1 test passed"),
        ([P, S, P], Result.PASSED, "2 tests passed"),
        ([P, W], Result.WARNED, "1 of 2 tests warned: 't1'"),
        ([P, W, F], Result.FAILED, "1 of 3 tests failed: 't2'"),
        ([F], Result.FAILED, "1 of 1 test failed: 't0'"),
        ([F, F, F, F, P], Result.FAILED, "4 of 5 tests failed: 't0', 't1', 't2' and 1 more"),
        ([], Result.FAILED, "junit.xml has no executed test"),
        ([S, S], Result.FAILED, "junit.xml has no executed test: all 2 were skipped"),
    ],
)
def test_the_worst_case_decides(outcomes: Sequence[Outcome], result: Result, reason: str) -> None:
    """A failed case fails, a warned one warns, and a report in which nothing ran fails; the reason says so."""
    found = judged(ran(*outcomes))
    assert (found.result, found.reasons) == (result, (reason,))


@given(st.lists(OUTCOMES, min_size=1, max_size=4))
def test_passed_means_that_each_report_ran_and_nothing_failed(lists: list[list[Outcome]]) -> None:
    """PASSED exactly if each report has an executed case and all executed cases of all of them passed."""
    found = judged(*(ran(*outcomes, file=f"{n}.xml") for n, outcomes in enumerate(lists)))
    executed = [[outcome for outcome in outcomes if outcome is not S] for outcomes in lists]
    every = [outcome for outcomes in executed for outcome in outcomes]
    assert (found.result is Result.PASSED) == (all(executed) and set(every) == {P})
    assert (found.result is Result.FAILED) == (not all(executed) or F in every)
    assert found.counts.executed == len(every)
    assert found.reasons
    assert all(found.reasons)


@given(OUTCOMES, st.sampled_from(Outcome))
def test_a_further_failure_never_helps(outcomes: list[Outcome], more: Outcome) -> None:
    """Adding a failed case makes every result FAILED; adding any case to a report that failed by a case helps none."""
    assert judged(ran(*outcomes, F)).result is Result.FAILED
    if F in outcomes:
        assert judged(ran(*outcomes, more)).result is Result.FAILED


def test_nothing_executed_may_be_allowed() -> None:
    """With `Empty.ALLOWED` a report without executed tests passes, and the reason says that nothing ran."""
    for report in (ran(), ran(S)):
        found = judged(report, empty=Empty.ALLOWED)
        assert (found.result, found.reasons) == (Result.PASSED, ("no test was executed, which is allowed",))
    assert judged(ran(F), empty=Empty.ALLOWED).result is Result.FAILED


def test_each_report_has_to_have_run_something() -> None:
    """A full report does not stand for an empty one beside it."""
    found = judged(ran(P), ran(file="e2e.xml"))
    assert (found.result, found.reasons) == (Result.FAILED, ("e2e.xml has no executed test",))


def test_a_problem_fails_without_a_failed_case() -> None:
    """What broke outside of any case makes the result FAILED, with its own words; three of one report are quoted."""
    found = judged(ran(P, problems=("a", "b", "c", "d")))
    assert found.result is Result.FAILED
    assert found.reasons == ("junit.xml: a", "junit.xml: b", "junit.xml: c")


def test_no_report_is_no_success() -> None:
    """Nothing was judged: FAILED, whatever was asked for."""
    assert judged().reasons == ("no report says that a test was run",)
    assert judged(minimum="0").result is Result.FAILED


def test_coverage_alone_informs() -> None:
    """Without a minimum a report about coverage neither passes a lane nor fails one that passed its tests."""
    assert judged(coverage(1, 2)).reasons == ("no report says that a test was run",)
    assert judged(coverage(0, 2), ran(P)).result is Result.PASSED


@pytest.mark.parametrize(
    ("covered", "total", "minimum", "result"),
    [
        (1, 2, "50", Result.PASSED),
        (1, 2, "50.0001", Result.FAILED),
        (2, 3, "66.6666", Result.PASSED),
        (2, 3, "66.6667", Result.FAILED),
        (99_999, 100_000, "100", Result.FAILED),
        (5, 5, "100", Result.PASSED),
        (0, 5, "0", Result.PASSED),
    ],
)
def test_a_minimum_is_compared_exactly(covered: int, total: int, minimum: str, result: Result) -> None:
    """The share of lines reaches the minimum or fails, without rounding; that alone can be what a lane shows."""
    assert judged(coverage(covered, total), minimum=minimum).result is result
    assert judged(coverage(covered, total), ran(P), minimum=minimum).result is result


def test_the_reasons_name_the_coverage() -> None:
    """The share and the minimum stand in the reason, the lowest share where several reports have one."""
    assert judged(coverage(1, 3), minimum="50").reasons == (
        "coverage.xml: 33.33 % is covered, and at least 50 % has to be",
    )
    assert judged(coverage(2, 3), minimum="50").reasons == ("66.66 % is covered, at least 50 % has to be",)
    found = judged(ran(P), coverage(1, 1), coverage(2, 3, "b.xml"), minimum="50")
    assert found.reasons == ("1 test passed; 66.66 % is covered, at least 50 % has to be",)


def test_every_report_about_coverage_has_to_reach_the_minimum() -> None:
    """A good report does not make up for a bad one."""
    found = judged(coverage(2, 2), coverage(0, 2, "b.xml"), minimum="10")
    assert found.reasons == ("b.xml: 0.00 % is covered, and at least 10 % has to be",)


@pytest.mark.parametrize("minimum", [None, "0", "50"])
def test_coverage_of_nothing_fails(minimum: str | None) -> None:
    """A report that covers no line at all is FAILED, also where no minimum or one of 0 was asked for."""
    found = judged(ran(P), coverage(0, 0), minimum=minimum)
    assert (found.result, found.reasons) == (Result.FAILED, ("coverage.xml covers no line at all",))
    assert not Coverage(covered=0, total=0).reaches(Decimal(0))
    assert Coverage(covered=0, total=0).percent == 0


def test_a_minimum_needs_a_report_about_coverage() -> None:
    """A minimum that no report can be compared with is not met."""
    found = judged(ran(P), minimum="1")
    assert found.reasons == ("at least 1 % has to be covered, and no report is about coverage",)


def test_a_name_has_its_worst_outcome() -> None:
    """A name that stands for several cases is in one list, that of its worst outcome; the counts are of cases."""
    found = judged(ran(P, P, W, S), ran(F, P, P, P, file="b.xml"), ran(S, S, S, S, P, file="c.xml"))
    assert found.failed == ("t0",)
    assert found.warned == ("t2",)
    assert found.passed == ("t1", "t3", "t4")
    assert found.counts == Counts(passed=6, warned=1, failed=1, skipped=5)


def test_names_keep_the_order_of_the_reports() -> None:
    """Names stand as they were first met, and a skipped one nowhere."""
    found = judged(ran(P, S, P, F, P))
    assert found.passed == ("t0", "t2", "t4")
    assert "t1" not in {*found.failed, *found.warned}


def test_a_long_name_is_cut_in_a_reason_alone() -> None:
    """A reason quotes the start of a long name with its escapes; the list has all of it."""
    name = "n" * 500 + "\x1b[31m"
    report = Report(
        file="a", format=Format.TAP, digest=digest_of(b""), size=0, cases=(Case(name, F), Case("\x1b[2J", F))
    )
    found = judged(report)
    assert found.failed == (name, "\x1b[2J")
    assert "\x1b" not in found.reasons[0]
    assert len(found.reasons[0]) < 200


@given(st.integers(1, 10**6).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_percentage_is_rounded_down(numbers: tuple[int, int]) -> None:
    """The share that is shown is the exact one, cut after two places: 99.999 % is never shown as 100."""
    covered, total = numbers
    shown = Fraction(Coverage(covered=covered, total=total).percent)
    exact = Fraction(covered * 100, total)
    assert 0 <= exact - shown < Fraction(1, 100)
    assert shown * 100 == int(shown * 100)


@pytest.mark.parametrize("text", ["0", "7", "87.5", "99.9999", "100", "100.0000"])
def test_a_percentage_is_read(text: str) -> None:
    """Numbers from 0 to 100 with at most four places."""
    assert parse_percent(text) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "100.0001", "101", "1e1", "90%", " 90", "90\n", "1_0", "٩٠", "NaN", "9.", ".9", "1.00000"]
)
def test_what_is_no_percentage(text: str) -> None:
    """Everything else is an error that says how to write one."""
    with pytest.raises(ValueError, match="write a number from 0 to 100"):
        parse_percent(text)


@given(OUTCOMES)
def test_counts_are_of_cases(outcomes: list[Outcome]) -> None:
    """Each outcome is counted, and executed is all but skipped."""
    found = count(ran(*outcomes).cases or ())
    assert (found.passed, found.warned, found.failed, found.skipped) == tuple(
        outcomes.count(outcome) for outcome in (P, W, F, S)
    )
    assert found.executed == len(outcomes) - outcomes.count(S)


def test_every_format_has_a_media_type() -> None:
    """Each format says what its bytes are; the report says it for its own."""
    assert {format_.media_type for format_ in Format} == {
        "application/xml",
        "application/json",
        "application/sarif+json",
        "text/plain",
    }
    assert ran(P).media_type == "application/xml"
