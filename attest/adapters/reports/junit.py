"""JUnit XML, in the flavours of pytest, Playwright, Maven surefire, node, GoogleTest and PHPUnit.

There is no specification; surefire publishes `surefire-test-report.xsd`, and the others follow the Ant task. An element
in a test case that is not known here is an error, since it could be another tool's word for a failure.

Writers count differently: pytest counts the phases of a test, node the direct children of a suite, others elements or
cases. A total may agree with any of these, and a report in which it agrees with none is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from attest.adapters.reports.common import Cases, Content, ReportInvalid, joined
from attest.core.lane.testreport import Format, Outcome
from attest.core.strictjson import shown

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_FAILING: Final = frozenset({"failure", "error"})
_RERUN: Final = frozenset({"rerunFailure", "rerunError"})
"""Further failed attempts of what failed (surefire)."""
_WARNING: Final = frozenset({"flakyFailure", "flakyError", "warning"})
"""It passed at a later attempt (surefire), or with a warning (PHPUnit)."""
_SILENT: Final = frozenset({"properties", "system-out", "system-err"})
_IN_CASE: Final = _FAILING | _RERUN | _WARNING | _SILENT | {"skipped"}
_IN_SUITE: Final = frozenset({"testsuite", "testcase"}) | _SILENT | _FAILING
_STATUS: Final[Mapping[str, Outcome | None]] = {
    **dict.fromkeys(("", "run", "ran", "passed", "completed", "success")),
    **dict.fromkeys(("notrun", "disabled", "suppressed", "skipped", "ignored"), Outcome.SKIPPED),
    **dict.fromkeys(("fail", "failed", "failure", "error", "broken"), Outcome.FAILED),
}
"""`status` and `result` of a case: GoogleTest and CTest say there, and only there, that it did not run."""


@dataclass(slots=True)
class _Suite:
    """What was seen in a suite, its inner suites included, and what it claims."""

    name: str
    claims: Mapping[str, str]
    counts_direct: bool
    """It may count what is right inside of it, as node does; the outermost element may not."""
    cases: int = 0
    bad_cases: int = 0
    bad_elements: int = 0
    errors: int = 0
    direct: int = 0
    """Cases and suites right inside of it."""
    direct_bad: int = 0


@dataclass(slots=True)
class _TestCase:
    name: str
    status: Outcome | None
    children: list[str] = field(default_factory=list)
    expected: bool = False
    """It is marked as one that is expected to fail."""


class JUnitReader:
    """One JUnit document; `attest.adapters.reports.xml.Reader`."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._suites: list[_Suite] = []
        self._case: _TestCase | None = None
        self._silent = 0
        """How many elements deep in one whose content says nothing about results."""
        self._cases = Cases()
        self._problems: list[str] = []
        self._pytest = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        parent = self._path[-1] if self._path else ""
        self._path.append(name)
        if self._silent:
            if name in {"testsuites", "testsuite", "testcase", *_FAILING}:
                raise ReportInvalid(f"<{name}> has no place in <{parent}>")
            self._silent += 1
        elif parent == "testcase":
            self._in_case(name, attributes)
        elif parent in {"", "testsuites", "testsuite"}:
            self._in_suite(name, parent, attributes)

    def end(self, name: str) -> None:
        self._path.pop()
        if self._silent:
            self._silent -= 1
        elif name == "testcase":
            self._end_case()
        else:
            self._end_suite()

    def finish(self) -> Content:
        return Content(format=Format.JUNIT, cases=self._cases.all(), problems=tuple(self._problems))

    def _in_suite(self, name: str, parent: str, attributes: Mapping[str, str]) -> None:
        if parent and name not in _IN_SUITE:
            raise ReportInvalid(f"<{name}> in <{parent}> is not known, and may mean anything")
        match name:
            case "testsuites" | "testsuite":
                self._pytest = self._pytest or attributes.get("name") == "pytest tests"
                inner = name == "testsuite"
                self._suites.append(
                    _Suite(name=_name(attributes) if inner else "", claims=attributes, counts_direct=inner)
                )
            case "testcase":
                self._case = _TestCase(name=self._case_name(attributes), status=_status(attributes))
            case _:
                if name in _FAILING:
                    where = self._suites[-1].name or "the whole run"
                    self._problems.append(f"{name} in {shown(where)}: {shown(attributes.get('message', ''))}")
                    self._suites[-1].bad_elements += 1
                self._silent = 1

    def _in_case(self, name: str, attributes: Mapping[str, str]) -> None:
        if name not in _IN_CASE or self._case is None:
            raise ReportInvalid(f"<{name}> in <testcase> is not known, and may mean a failure")
        self._case.children.append(name)
        if name == "skipped" and attributes.get("type") == "todo":
            self._case.expected = True
        self._silent = 1

    def _end_case(self) -> None:
        case = self._case
        if case is None:
            raise ReportInvalid("a <testcase> in a <testcase>")
        self._case = None
        self._cases.add(case.name, _outcome(case))
        suite = self._suites[-1]
        bad = sum(child in _FAILING for child in case.children)
        suite.cases += 1
        suite.direct += 1
        suite.bad_elements += bad
        suite.bad_cases += bad > 0
        suite.direct_bad += bad > 0
        suite.errors += case.children.count("error")

    def _end_suite(self) -> None:
        suite = self._suites.pop()
        self._compare(suite)
        if not self._suites:
            return
        outer = self._suites[-1]
        outer.cases += suite.cases
        outer.bad_cases += suite.bad_cases
        outer.bad_elements += suite.bad_elements
        outer.errors += suite.errors
        outer.direct += 1
        outer.direct_bad += suite.bad_elements > 0

    def _compare(self, suite: _Suite) -> None:
        where = f"the suite {shown(suite.name)}" if suite.name else "the report"
        tests = _claim(suite, "tests")
        # A test of pytest whose tear-down fails counts twice there, and stands in one element or in two.
        possible = {*range(suite.cases - suite.errors, suite.cases + suite.errors + 1)}
        bad = {suite.bad_cases, suite.bad_elements}
        if suite.counts_direct:
            possible.add(suite.direct)
            bad.add(suite.direct_bad)
        if tests is not None and tests not in possible and not (self._pytest and tests and suite.cases):
            raise ReportInvalid(f"{where} says that it has {tests} tests, and has {suite.cases}")
        failures, errors = _claim(suite, "failures"), _claim(suite, "errors")
        if failures is not None or errors is not None:
            claimed = (failures or 0) + (errors or 0)
            if claimed not in bad:
                raise ReportInvalid(f"{where} says that {claimed} tests failed, and has {suite.bad_cases} that did")

    def _case_name(self, attributes: Mapping[str, str]) -> str:
        """`classname.name`; where there is no class, the suites and the name. node writes `test` for every class."""
        name, of_class = _name(attributes), attributes.get("classname", "")
        if not name.strip():
            raise ReportInvalid("a test case without a name")
        if of_class in {"", "test"}:
            return joined(*(suite.name for suite in self._suites if suite.name != "pytest"), name)
        return f"{of_class}.{name}"


def _name(attributes: Mapping[str, str]) -> str:
    return attributes.get("name", "")


def _status(attributes: Mapping[str, str]) -> Outcome | None:
    """What the attributes of a case say about it; the worst of them."""
    found = None
    for name in ("status", "result"):
        text = attributes.get(name, "")
        if text.lower() not in _STATUS:
            raise ReportInvalid(f"the {name} {shown(text)} of a test case is not known")
        outcome = _STATUS[text.lower()]
        found = outcome if found is not Outcome.FAILED and outcome is not None else found
    return found


def _outcome(case: _TestCase) -> Outcome:
    children = set(case.children)
    if children & (_FAILING | _RERUN):
        return Outcome.SKIPPED if case.expected and not children & (_RERUN | {"error"}) else Outcome.FAILED
    if case.status is Outcome.FAILED:
        return Outcome.FAILED
    if "skipped" in children or case.status is Outcome.SKIPPED:
        return Outcome.SKIPPED
    return Outcome.WARNED if children & _WARNING else Outcome.PASSED


def _claim(suite: _Suite, name: str) -> int | None:
    text = suite.claims.get(name, "")
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise ReportInvalid(f"{name} {shown(text)} is no natural number")
    return int(text)
