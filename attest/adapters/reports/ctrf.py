"""CTRF, the Common Test Report Format (ctrf.io, specification 0.0 and 1.0): the result of each test, in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attest.adapters.reports.common import (
    Cases,
    Content,
    ReportInvalid,
    a_number,
    a_text,
    a_word,
    agree,
    an_array,
    an_object,
    joined,
    tool_name,
)
from attest.core.lane.testreport import Format, Outcome
from attest.core.strictjson import Json

_STATUS: Final[Mapping[str, Outcome]] = {
    "passed": Outcome.PASSED,
    "failed": Outcome.FAILED,
    "skipped": Outcome.SKIPPED,
    "pending": Outcome.SKIPPED,
    "other": Outcome.FAILED,
}
"""`other` is whatever the tool could not name: it has not passed."""


def read_ctrf(document: Mapping[str, Json]) -> Content:
    """What a CTRF document says.

    Raises:
        ReportInvalid: it is none, or its summary contradicts its tests.
    """
    results = an_object(document.get("results"), "results")
    tool = an_object(results.get("tool"), "results.tool")
    tests = an_array(results.get("tests"), "results.tests")
    summary = an_object(results.get("summary"), "results.summary")
    cases = Cases()
    statuses = dict.fromkeys(_STATUS, 0)
    for position, item in enumerate(tests):
        where = f"results.tests[{position}]"
        test = an_object(item, where)
        status = a_word(test.get("status"), _STATUS, f"{where}.status")
        statuses[status] += 1
        name, suites = a_text(test.get("name"), f"{where}.name"), _suites(test.get("suite"), where)
        if suites and not name.startswith(suites[0]):  # pytest's names are paths that start with the file
            name = joined(*suites, name)
        outcome = _STATUS[status]
        if outcome is Outcome.PASSED and _is_flaky(test, where):
            outcome = Outcome.WARNED
        cases.add(name, outcome)
    agree("tests", claimed=a_number(summary.get("tests"), "results.summary.tests"), found=len(tests))
    for status, found in statuses.items():
        agree(f"{status} tests", claimed=a_number(summary.get(status), f"results.summary.{status}"), found=found)
    return Content(format=Format.CTRF, cases=cases.all(), tool=tool_name(tool.get("name"), tool.get("version")))


def _suites(suite: Json, where: str) -> list[str]:
    """The suites of a test: one text before 1.0, a list of names since."""
    if suite is None:
        return []
    if isinstance(suite, str):
        return [suite]
    return [a_text(name, f"{where}.suite") for name in an_array(suite, f"{where}.suite")]


def _is_flaky(test: Mapping[str, Json], where: str) -> bool:
    """Whether it passed, but not at once."""
    flaky, retries = test.get("flaky", False), test.get("retries", 0)
    if not isinstance(flaky, bool):
        raise ReportInvalid(f"{where}.flaky is no boolean")
    return flaky or a_number(retries, f"{where}.retries") > 0
