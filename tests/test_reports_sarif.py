"""SARIF 2.1.0: levels, kinds, suppressions, and the word of the tool about its own run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.testreport import Format, Outcome
from attest.core.predicates import Result
from tests.reports import F, P, S, W, cases, outcomes, read, refused, result


def run(*results: Any, rules: Any = None, **members: Any) -> dict[str, Any]:
    """A run of the tool `lint`."""
    driver: dict[str, Any] = {"name": "lint", "version": "1.2"}
    if rules is not None:
        driver["rules"] = rules
    return {"tool": {"driver": driver}, "results": list(results), **members}


def log(*runs: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A SARIF log."""
    return {"version": "2.1.0", "runs": list(runs), **members}


def found(**members: Any) -> dict[str, Any]:
    """A result of the rule `R1` in line 3 of a file."""
    place = {"artifactLocation": {"uri": "src/a.py"}, "region": {"startLine": 3}}
    return {"ruleId": "R1", "message": {"text": "m"}, "locations": [{"physicalLocation": place}], **members}


def of(result_: dict[str, Any], **members: Any) -> list[Outcome]:
    """The outcomes of the cases that are no run."""
    return [outcome for name, outcome in cases(log(run(result_, **members))) if name != "lint"]


def test_a_clean_run_is_a_passed_case() -> None:
    """A linter that found nothing has passed, under its name; each of several runs counts."""
    report = read(log(run()))
    assert (report.format, report.tool) == (Format.SARIF, "lint 1.2")
    assert outcomes(log(run())) == {"lint": P}
    assert result(log(run())) is Result.PASSED
    assert cases(log(run(), run())) == [("lint", P), ("lint", P)]


def test_findings_are_cases() -> None:
    """Each finding is a case named by tool, rule and place; a run with findings is no passed case."""
    document = log(run(found(level="error"), found(level="warning", locations=[])))
    assert outcomes(document) == {"lint > R1 > src/a.py:3": F, "lint > R1": W}
    assert result(document) is Result.FAILED
    place = "lint > R1 > src/a.py:3"
    assert outcomes(log(run(found(level="warning")))) == {place: W}
    assert outcomes(log(run(found(level="error"), found(ruleId="R2", kind="pass")))) == {
        place: F,
        "lint > R2 > src/a.py:3": P,
    }
    assert outcomes(log(run(found(level="error", suppressions=[{"kind": "inSource"}])))) == {"lint": P, place: S}
    assert outcomes(log(run(found(kind="pass")))) == {"lint": P, place: P}


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"level": "error"}, F),
        ({"level": "warning"}, W),
        ({"level": "note"}, W),
        ({"level": "none"}, W),
        ({}, W),
        ({"kind": "fail"}, W),
        ({"kind": "pass"}, P),
        ({"kind": "pass", "level": "none"}, P),
        ({"kind": "pass", "level": "error"}, F),
        ({"kind": "informational"}, P),
        ({"kind": "notApplicable"}, S),
        ({"kind": "open"}, W),
        ({"kind": "review"}, W),
        ({"level": "error", "baselineState": "unchanged"}, F),
        ({"level": "error", "baselineState": "new"}, F),
        ({"level": "error", "suppressions": []}, F),
        ({"level": "error", "suppressions": [{"kind": "inSource"}]}, S),
        ({"level": "error", "suppressions": [{"kind": "external", "status": "accepted"}]}, S),
        ({"level": "error", "suppressions": [{"kind": "external", "status": "underReview"}]}, F),
        ({"level": "error", "suppressions": [{"kind": "inSource"}, {"kind": "external", "status": "rejected"}]}, F),
    ],
)
def test_what_a_result_counts_as(members: dict[str, Any], outcome: Outcome) -> None:
    """`error` fails, `warning` and `note` warn, and only an accepted suppression takes a finding out."""
    assert of(found(**members)) == [outcome]


def test_what_is_absent_now_does_not_count() -> None:
    """A finding of an earlier run that is gone leaves a clean run."""
    assert outcomes(log(run(found(level="error", baselineState="absent")))) == {"lint": P}


RULES = [
    {"id": "R0"},
    {"id": "R1", "defaultConfiguration": {"level": "error"}},
    {"id": "R2", "defaultConfiguration": {}},
]


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"ruleId": "R1"}, F),
        ({"ruleId": "R0"}, W),
        ({"ruleId": "R2"}, W),
        ({"ruleId": "R9"}, W),
        ({"ruleId": "R1", "level": "note"}, W),
        ({"ruleId": None, "ruleIndex": 1}, F),
        ({"ruleIndex": -1, "ruleId": "R1"}, F),
        ({"ruleId": None, "rule": {"index": 1}}, F),
        ({"ruleId": None, "rule": {"id": "R1"}}, F),
        ({"ruleId": None, "rule": {"index": 1, "toolComponent": {"name": "plugin"}}}, W),
    ],
)
def test_the_level_of_a_rule(members: dict[str, Any], outcome: Outcome) -> None:
    """Without a level of its own a finding has that of its rule, by index or id (3.27.10), else `warning`."""
    result_ = {name: value for name, value in found(**members).items() if value is not None}
    assert of(result_, rules=RULES) == [outcome]


def test_a_run_can_be_configured_to_be_stricter() -> None:
    """A level that a run was configured to is not overlooked; it does not soften what a result says itself."""
    invocation = {"executionSuccessful": True, "ruleConfigurationOverrides": [{"configuration": {"level": "error"}}]}
    assert of(found(), invocations=[invocation]) == [F]
    assert of(found(level="note"), invocations=[invocation]) == [W]
    none = {"executionSuccessful": True, "ruleConfigurationOverrides": [{"configuration": {"level": "note"}}]}
    assert of(found(), invocations=[none]) == [W]
    assert of(found(ruleId="R1"), rules=[{"id": []}, *RULES], invocations=[none]) == [F]
    softer = {**invocation, "ruleConfigurationOverrides": [{"configuration": {"level": "none"}}]}
    assert of(found(ruleId="R1"), rules=RULES, invocations=[softer]) == [F]


@pytest.mark.parametrize(
    ("invocation", "problem"),
    [
        ({"executionSuccessful": False}, "'lint' says that it did not run successfully"),
        (
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [{"level": "error", "message": {"text": "cannot parse a.py"}}],
            },
            "'lint' says: 'cannot parse a.py'",
        ),
        (
            {"executionSuccessful": True, "toolConfigurationNotifications": [{"level": "error"}]},
            "'lint' says: ''",
        ),
    ],
)
def test_a_tool_that_did_not_run_well(invocation: dict[str, Any], problem: str) -> None:
    """What a tool says went wrong with its own run fails the report, although it found nothing."""
    document = log(run(invocations=[invocation]))
    assert read(document).problems == (problem,)
    assert result(document) is Result.FAILED


def test_a_tool_that_ran_well() -> None:
    """A successful run with mere warnings of the tool about itself is one, whatever exit code it chose."""
    notes = [{"message": {"text": "slow"}}, {"level": "note", "message": {"text": "m"}}]
    good = {"executionSuccessful": True, "exitCode": 1, "toolExecutionNotifications": notes}
    assert result(log(run(invocations=[good]))) is Result.PASSED


@pytest.mark.parametrize("results", [{"results": None}, {}])
def test_a_scan_that_did_not_start(results: dict[str, Any]) -> None:
    """A run without results says that the scan did not start (3.14.23); that is a failure, not a clean run."""
    bare = {"tool": {"driver": {"name": "lint"}}, **results}
    assert read(log(bare)).problems == ("'lint' has no results, as a scan that did not start (3.14.23)",)
    assert cases(log(bare)) == []
    assert result(log(bare)) is Result.FAILED


def test_other_files_may_hold_what_is_no_result() -> None:
    """Only results that stand elsewhere are missed; artifacts may."""
    assert result(log(run(externalPropertyFileReferences={"artifacts": [{"location": {}}]}))) is Result.PASSED


def test_the_semantic_version_goes_first() -> None:
    """The tool is named with the version that can be compared, else the other, else none."""
    driver = {"name": "lint", "version": "v1 of Tuesday", "semanticVersion": "1.0.0"}
    assert read(log({"tool": {"driver": driver}, "results": []})).tool == "lint 1.0.0"
    assert read(log({"tool": {"driver": {"name": "lint"}}, "results": []}, run())).tool == "lint, lint 1.2"


def test_no_run_at_all() -> None:
    """A log without runs has run nothing."""
    assert result(log()) is Result.FAILED
    assert read(log()).tool is None


@pytest.mark.parametrize(
    ("result_", "name"),
    [
        ({"message": {"text": "no rule"}}, "lint > no rule"),
        ({"message": {"text": "x" * 200}}, "lint > " + "x" * 80),
        ({"message": {"id": "m"}}, "lint > finding"),
        ({"ruleId": "R", "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a"}}}]}, "lint > R > a"),
        ({"ruleId": "R", "locations": [{}]}, "lint > R"),
        ({"ruleId": "\x1b[31m"}, "lint > \x1b[31m"),
    ],
)
def test_findings_without_much(result_: dict[str, Any], name: str) -> None:
    """A finding is named by what there is of rule, message and place."""
    assert cases(log(run({**result_, "level": "error"}))) == [(name, F)]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (log(version="2.0.0"), "SARIF '2.0.0' is not read, only '2.1.0'"),
        ({"runs": []}, "SARIF None is not read"),
        ({"version": "2.1.0", "runs": {}}, "runs is not an array"),
        (log({"results": []}), "runs[0].tool is not an object"),
        (log({"tool": {}, "results": []}), "runs[0].tool.driver is not an object"),
        (log({"tool": {"driver": {}}, "results": []}), "runs[0].tool.driver.name is not a string"),
        (log(run(rules=[1])), "runs[0].tool.driver.rules is not an object"),
        (log(run(1)), "runs[0].results[0] is not an object"),
        (log(run(results={"a": 1})), "runs[0].results is not an array"),
        (log(run(results={})), "runs[0].results is not an array"),
        (log(run(results="")), "runs[0].results is not an array"),
        (log(run(results=0)), "runs[0].results is not an array"),
        (log(run(results=False)), "runs[0].results is not an array"),
        (log(run(invocations={})), "runs[0].invocations is not an array"),
        (log(run(invocations=False)), "runs[0].invocations is not an array"),
        (log(run(found(suppressions=0))), "suppressions is not an array"),
        (log(run(found(rule=[]))), "rule is not an object"),
        (log(run(rules={})), "rules is not an array"),
        (log(run(found(level="fatal"))), "runs[0].results[0].level 'fatal' is not known"),
        (log(run(found(level=3))), "runs[0].results[0].level 3 is not known"),
        (log(run(found(level=[]))), "runs[0].results[0].level an array is not known"),
        (log(run(found(kind="error"))), "runs[0].results[0].kind 'error' is not known"),
        (log(run(found(kind={}))), "kind an object is not known"),
        (log(run(found(baselineState="gone"))), "runs[0].results[0].baselineState 'gone' is not known"),
        (log(run(found(baselineState=[]))), "baselineState an array is not known"),
        (log(run(found(suppressions=[{"status": "maybe"}]))), "suppressions: the status 'maybe' is not known"),
        (log(run(found(suppressions=[{"status": []}]))), "the status an array is not known"),
        (log(run(found(suppressions="all"))), "suppressions is not an array"),
        (log(run(found(ruleIndex=7))), "names rule 7, and there are 0"),
        (log(run(found(ruleIndex="0"))), "ruleIndex is no natural number"),
        (log(run(found(), rules=[{"id": "R1", "defaultConfiguration": {"level": "bad"}}])), "level 'bad' is not known"),
        (log(run(invocations=[{}])), "does not say whether it was successful"),
        (log(run(invocations=[{"executionSuccessful": "true"}])), "does not say whether it was successful"),
        (log(run(externalPropertyFileReferences={"results": [{"location": {}}]})), "keeps its results in other files"),
    ],
)
def test_what_is_refused(document: dict[str, Any], message: str) -> None:
    """Other versions, members of another type, unknown words and results that stand elsewhere are errors."""
    refused(document, message)


@given(st.lists(st.sampled_from(["error", "warning", "note"]), max_size=8), st.booleans())
def test_an_error_is_never_lost(levels: list[str], clean: bool) -> None:
    """A log fails exactly if it has an error, warns if it has anything else, and passes if it has nothing."""
    runs = [run(*(found(level=level) for level in levels))] + [run()] * clean
    expected = Result.FAILED if "error" in levels else Result.WARNED if levels else Result.PASSED
    assert result(log(*runs)) is expected
