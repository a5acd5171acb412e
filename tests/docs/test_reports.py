"""docs/reports.md is true: formats, limits and fields are those of the code, and what it shows is made and holds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.adapters.reports import read_report
from attest.core import limits
from attest.core.lane import reportartifact
from attest.core.lane.testreport import Empty, Format, judge
from attest.core.lane.testresult import judged_predicate, report_resource
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "reports.md").read_text()
REPORT = b"""<testsuites><testsuite name="pytest" tests="4" failures="1" errors="0" skipped="1">
<testcase classname="tests.test_cart" name="test_adds"/><testcase classname="tests.test_cart" name="test_removes"/>
<testcase classname="tests.test_cart" name="test_pays"><failure message="no"/></testcase>
<testcase classname="tests.test_cart" name="test_ships"><skipped/></testcase></testsuite></testsuites>
"""


def block(language: str) -> str:
    """The one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def predicate() -> dict[str, Any]:
    """The predicate of the report above."""
    judged = judge([read_report(REPORT, file="out/junit.xml")], empty=Empty.REFUSED, min_coverage=None)
    resources = [report_resource(report, manifest=None) for report in judged.reports]
    url = "https://git.example.org/plex/playlist/actions/runs/17"
    return judged_predicate(judged, configuration=resources, url=url)


def test_the_predicate_that_is_shown_is_made() -> None:
    """Such a report makes that predicate, but for size and digest, which are of the report."""
    shown, made = json.loads(block("json")), predicate()
    for one in (shown, made):
        one["configuration"][0]["digest"] = one["configuration"][0]["annotations"]["size"] = None
    assert shown == made
    assert list(shown) == list(made)


def test_every_format_has_its_row() -> None:
    """The table names all formats as the predicate names them."""
    assert re.findall(r"^\| [^|]+ \| `([^`]+)` \| [^|]+ \|$", DOCUMENT, re.MULTILINE) == list(Format)


def test_the_limits_are_those_of_the_code() -> None:
    """The table of limits has the numbers that are enforced."""
    rows = dict(re.findall(r"^\| ([0-9,]+)(?: MiB)? \| (.+) \|$", DOCUMENT, re.MULTILINE))
    assert {int(number.replace(",", "")): what for number, what in rows.items()} == {
        limits.REPORT // limits.MIB: "of one report",
        limits.REPORT_CASES: "cases or findings in one report",
        limits.REPORT_LINES: "lines in one Cobertura report",
        limits.REPORT_DEPTH: "levels of XML elements or TAP subtests",
        limits.TEST_NAME: "characters in a name",
    }
    assert f"| {limits.REPORTS} | reports |" in DOCUMENT
    assert f"at most {limits.TEST_NAMES // 1024} KiB" in DOCUMENT


def test_the_fields_are_those_that_are_written() -> None:
    """Every field of ours that the code writes is explained, and no other."""
    code = (ROOT / "attest" / "core" / "lane" / "testresult.py").read_text()
    assert set(re.findall(r"attest_\w+", DOCUMENT)) == set(re.findall(r'"(attest_\w+)"', code))
    assert f"`{reportartifact.TYPE}`" in DOCUMENT


CONDITIONS = parse_document(block("yaml").encode(), file="docs/reports.md").value["lanes"]["unit"]["where"]


@pytest.mark.parametrize("position", range(5))
def test_the_conditions_decide(position: int) -> None:
    """Each condition of the document holds for a predicate that is as it says, and for no other."""
    assert len(CONDITIONS) == 5
    good = {
        **predicate(),
        "attest_counts": {"passed": 100, "warned": 0, "failed": 0, "skipped": 5},
        "attest_minCoverage": 85.0,
        "passedTests": ["tests.test_cart.test_pays"],
    }
    bad = {
        **good,
        "attest_counts": {"passed": 99, "warned": 0, "failed": 0, "skipped": 6},
        "attest_minCoverage": 84.5,
        "passedTests": [],
        "configuration": [{"name": "a tool", "annotations": {"version": "1"}}],
    }
    rest: dict[str, Any] = {"statement": {}, "image": {}, "certificate": None}
    condition = compile_condition(CONDITIONS[position])
    assert condition.holds(predicate=good, **rest) is True
    assert condition.holds(predicate=bad, **rest) is False
