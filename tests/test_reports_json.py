"""CTRF and Playwright's JSON: outcomes computed from the tests, and totals that have to agree with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.testreport import Format, Outcome
from attest.core.predicates import Result
from tests.reports import F, P, S, W, cases, outcomes, read, refused, result

CTRF_STATUS = ("passed", "failed", "skipped", "pending", "other")


def ctrf(*tests: Any, summary: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A CTRF document, with the summary that belongs to the tests."""
    counted = {"tests": len(tests), **dict.fromkeys(CTRF_STATUS, 0)}
    for test in tests:
        if isinstance(test, dict) and test.get("status") in CTRF_STATUS:
            counted[test["status"]] += 1
    results = {"tool": {"name": "jest"}, "summary": {**counted, **(summary or {})}, "tests": list(tests), **members}
    return {"reportFormat": "CTRF", "specVersion": "0.0.0", "results": results}


def ctrf_test(name: str = "t", status: str = "passed", **members: Any) -> dict[str, Any]:
    """A test of CTRF."""
    return {"name": name, "status": status, "duration": 1, **members}


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"status": "passed"}, P),
        ({"status": "failed"}, F),
        ({"status": "skipped"}, S),
        ({"status": "pending"}, S),
        ({"status": "other"}, F),
        ({"status": "passed", "flaky": True}, W),
        ({"status": "passed", "flaky": False, "retries": 0}, P),
        ({"status": "passed", "retries": 1}, W),
        ({"status": "failed", "flaky": True}, F),
        ({"status": "skipped", "retries": 1}, S),
    ],
)
def test_ctrf_statuses(members: dict[str, Any], outcome: Outcome) -> None:
    """A status is what CTRF says, flaky warns, and what a tool could not name has not passed."""
    assert cases(ctrf(ctrf_test(**members))) == [("t", outcome)]


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({}, "t"),
        ({"suite": "a.ts > outer"}, "a.ts > outer > t"),
        ({"suite": ["a.ts", "outer"]}, "a.ts > outer > t"),
        ({"suite": []}, "t"),
        ({"suite": ["a.py"], "name": "a.py::t"}, "a.py::t"),
        ({"name": "\x00\x1b[2J\n"}, "\x00\x1b[2J\n"),
    ],
)
def test_ctrf_names(members: dict[str, Any], name: str) -> None:
    """Suites stand before the name, in both notations, unless it begins with them."""
    assert [found for found, _ in cases(ctrf(ctrf_test(**members)))] == [name]


def test_ctrf_is_named_with_its_tool() -> None:
    """Format, tool and its version are told."""
    report = read(ctrf(ctrf_test(), tool={"name": "jest", "version": "30"}))
    assert (report.format, report.tool) == (Format.CTRF, "jest 30")
    assert result(ctrf()) is Result.FAILED


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"reportFormat": "CTRF"}, "results is not an object"),
        ({"results": {}}, "results.tool is not an object"),
        (ctrf(tests=None), "results.tests is not an array"),
        (ctrf(1), "results.tests[0] is not an object"),
        (ctrf(ctrf_test(status="Passed")), "results.tests[0].status 'Passed' is not known"),
        (ctrf({"name": "t"}), "results.tests[0].status None is not known"),
        (ctrf({"name": "t", "status": ["passed"]}), "results.tests[0].status an array is not known"),
        (ctrf({"status": "passed"}), "results.tests[0].name is not a string"),
        (ctrf(ctrf_test(name=" ")), "a case without a name"),
        (ctrf(ctrf_test(suite={"a": 1})), "results.tests[0].suite is not an array"),
        (ctrf(ctrf_test(suite=[1])), "results.tests[0].suite is not a string"),
        (ctrf(ctrf_test(flaky="yes")), "results.tests[0].flaky is no boolean"),
        (ctrf(ctrf_test(retries=-1)), "results.tests[0].retries is no natural number"),
        (ctrf(ctrf_test(retries=True)), "results.tests[0].retries is no natural number"),
        (ctrf(summary={"tests": 1.0}), "results.summary.tests is no natural number"),
        (ctrf(ctrf_test(), summary={"tests": 2}), "it says 2 tests, and has 1"),
        (ctrf(ctrf_test(), summary={"passed": 0}), "it says 0 passed tests, and has 1"),
        (ctrf(ctrf_test(status="failed"), summary={"failed": 0}), "it says 0 failed tests, and has 1"),
        (ctrf(ctrf_test(), summary={"other": 1}), "it says 1 other tests, and has 0"),
    ],
)
def test_what_is_no_ctrf(document: dict[str, Any], message: str) -> None:
    """Members of another type, unknown statuses and a summary that contradicts the tests are errors."""
    refused(document, message)


def playwright(*suites: Any, errors: Any = (), stats: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What Playwright's reporter writes, with the statistics that belong to the suites."""
    counted = dict.fromkeys(("expected", "unexpected", "flaky", "skipped"), 0)

    def count(suite: Any) -> None:
        for spec in suite.get("specs", []):
            for test in spec["tests"]:
                if test.get("status") in counted:
                    counted[test["status"]] += 1
        for inner in suite.get("suites", []):
            count(inner)

    for suite in suites:
        if isinstance(suite, dict):
            count(suite)
    return {
        "config": {"version": "1.65.1"},
        "suites": list(suites),
        "errors": list(errors) if isinstance(errors, tuple | list) else errors,
        "stats": {**counted, **(stats or {})},
    }


def attempts(*statuses: str, expected: str = "passed", status: str = "expected", **members: Any) -> dict[str, Any]:
    """A test of a spec, with its attempts."""
    results = [{"status": one, "retry": number} for number, one in enumerate(statuses)]
    return {"expectedStatus": expected, "status": status, "projectName": "chromium", "results": results, **members}


def file_of(*tests: Any) -> dict[str, Any]:
    """A file with one spec of these tests."""
    return {"title": "a.spec.ts", "specs": [{"title": "t", "ok": True, "tests": list(tests)}]}


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        (attempts("passed"), P),
        (attempts("failed", status="unexpected"), F),
        (attempts("timedOut", "failed", status="unexpected"), F),
        (attempts("failed", "passed", status="flaky"), W),
        (attempts("timedOut", "passed", status="flaky"), W),
        (attempts("skipped", expected="skipped", status="skipped"), S),
        (attempts("skipped", status="skipped"), S),
        (attempts(status="skipped"), S),
        (attempts("failed", expected="failed"), S),
        (attempts("passed", expected="failed", status="unexpected"), F),
        (attempts("passed", "failed", expected="failed", status="flaky"), F),
        (attempts("interrupted", status="skipped"), F),
        (attempts("passed", "interrupted"), F),
        (attempts("failed", "interrupted", status="unexpected"), F),
        (attempts("failed", "passed", "interrupted", status="flaky"), F),
    ],
)
def test_attempts_decide(test: dict[str, Any], outcome: Outcome) -> None:
    """Flaky tests warn, expected failures do not count, unexpected passes and interrupted tests fail."""
    assert cases(playwright(file_of(test))) == [("a.spec.ts > t [chromium]", outcome)]


def test_playwright_names() -> None:
    """Files, groups and titles lead to a test, and each project has one."""
    inner = {"title": "group", "specs": [{"title": "t", "tests": [attempts("passed", projectName="")]}]}
    both = [attempts("passed"), attempts("failed", status="unexpected", projectName="firefox")]
    outer = {**file_of(*both), "suites": [inner]}
    document = playwright(outer, {"title": "b.spec.ts", "suites": []})
    assert outcomes(document) == {
        "a.spec.ts > t [chromium]": P,
        "a.spec.ts > t [firefox]": F,
        "a.spec.ts > group > t": P,
    }
    report = read(document)
    assert (report.format, report.tool) == (Format.PLAYWRIGHT, "Playwright 1.65.1")


def test_errors_outside_of_tests() -> None:
    """A file that cannot be loaded, or a set-up that fails, fails the report although every test passed."""
    document = playwright(file_of(attempts("passed")), errors=[{"message": "Error: \x1b[31mno"}, {}])
    assert read(document).problems == ("outside of any test: 'Error: \\x1b[31mno'", "outside of any test: ''")
    assert result(document) is Result.FAILED
    assert result(playwright()) is Result.FAILED


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"config": {}, "suites": []}, "stats is not an object"),
        ({"config": 1, "suites": []}, "config is not an object"),
        ({**playwright(), "suites": {}}, "suites is not an array"),
        (playwright(1), "suites[0] is not an object"),
        (playwright({"specs": []}), "suites[0].title is not a string"),
        (playwright({"title": "a", "specs": [{"tests": []}]}), "suites[0].specs[0].title is not a string"),
        (playwright({"title": "a", "suites": [{}]}), "suites[0].suites[0].title is not a string"),
        (playwright(file_of(attempts("passed", status="flaky"))), "status is 'flaky', and its attempts say 'expected'"),
        (playwright(file_of(attempts("failed"))), "status is 'expected', and its attempts say 'unexpected'"),
        (playwright(file_of(attempts("ok"))), "results[0].status 'ok' is not known"),
        (playwright(file_of(attempts("passed", expected="any"))), "expectedStatus 'any' is not known"),
        (playwright(file_of({"results": []})), "expectedStatus None is not known"),
        (playwright(file_of({"expectedStatus": "passed"})), "results is not an array"),
        (playwright(file_of(attempts("passed", projectName=1))), "projectName is not a string"),
        (playwright(file_of(attempts("passed")), stats={"expected": 2}), "it says 2 expected tests, and has 1"),
        (playwright(stats={"unexpected": 1}), "it says 1 unexpected tests, and has 0"),
        (playwright(stats={"flaky": None}), "stats.flaky is no natural number"),
        (playwright(errors={}), "errors is not an array"),
        (playwright(errors=["no"]), "an error is not an object"),
    ],
)
def test_what_is_no_report_of_playwright(document: dict[str, Any], message: str) -> None:
    """Members of another type, unknown words, and what contradicts the attempts or the suites are errors."""
    refused(document, message)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)


@given(st.lists(st.tuples(NAMES, st.sampled_from([P, F, S, W])), max_size=10))
def test_what_is_written_is_read(written: list[tuple[str, Outcome]]) -> None:
    """Any names and outcomes that are written as CTRF or as Playwright's JSON come back as they were."""
    as_ctrf: dict[Outcome, dict[str, Any]] = {
        P: {},
        F: {"status": "failed"},
        S: {"status": "skipped"},
        W: {"flaky": True},
    }
    assert cases(ctrf(*(ctrf_test(name=name, **as_ctrf[outcome]) for name, outcome in written))) == written
    tests = {
        P: attempts("passed"),
        F: attempts("failed", status="unexpected"),
        S: attempts(status="skipped"),
        W: attempts("failed", "passed", status="flaky"),
    }
    specs = [{"title": name, "tests": [{**tests[outcome], "projectName": ""}]} for name, outcome in written]
    expected = [(f"f > {name}", outcome) for name, outcome in written]
    assert cases(playwright({"title": "f", "specs": specs})) == expected
