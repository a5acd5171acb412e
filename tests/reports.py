"""Reading reports in tests, and saying what they said in few words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attest.adapters.reports import read_report
from attest.core.lane.testreport import Empty, Outcome, Report, judge
from attest.core.predicates import Result
from attest.errors import DocumentInvalid

P, W, F, S = Outcome.PASSED, Outcome.WARNED, Outcome.FAILED, Outcome.SKIPPED


def read(content: str | bytes | dict[str, Any]) -> Report:
    """The report that a text, bytes or a JSON document is."""
    if isinstance(content, dict):
        content = json.dumps(content)
    return read_report(content.encode() if isinstance(content, str) else content, file="report")


def cases(content: str | bytes | dict[str, Any]) -> list[tuple[str, Outcome]]:
    """Names and outcomes of the cases of a report."""
    report = read(content)
    assert report.cases is not None
    return [(case.name, case.outcome) for case in report.cases]


def outcomes(content: str | bytes | dict[str, Any]) -> dict[str, Outcome]:
    """The outcome of each case by its name; no name stands twice."""
    found = cases(content)
    assert len(dict(found)) == len(found)
    return dict(found)


def result(content: str | bytes | dict[str, Any]) -> Result:
    """The result that follows from a report alone."""
    return judge([read(content)], empty=Empty.REFUSED, min_coverage=None).result


def refused(content: str | bytes | dict[str, Any], message: str = "") -> DocumentInvalid:
    """The error that a report leads to: of exit code 2, about the file, on one line, with words of `message`."""
    with pytest.raises(DocumentInvalid) as caught:
        read(content)
    assert (caught.value.file, caught.value.exit_code) == ("report", 2)
    assert caught.value.message.startswith("report:")
    assert "no report: " in caught.value.message
    assert caught.value.message.isprintable()
    assert message in caught.value.problem
    return caught.value
