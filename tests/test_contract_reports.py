"""Reports of a contract's checks as files: what attest's own reader of reports, and others, make of them."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from junitparser import JUnitXml

from attest.adapters.junitxml import write_junit
from attest.adapters.reports import read_report
from attest.cli.terminal import json_text
from attest.core.contract.finding import Standing
from attest.core.contract.junit import JunitCase, JunitOutcome, JunitSuite, junit
from attest.core.contract.report import Checked
from attest.core.contract.sarif import sarif
from attest.core.lane.testreport import Case, Empty, Format, Judged, Outcome, Report, judge
from attest.core.predicates import Result
from tests.cli.test_hostile_text import HOSTILE, assert_harmless
from tests.core.make_contract import ARM, SETID, USER, checked, everything, finding, result


def as_junit(report: Checked) -> Report:
    """The report as JUnit, read again."""
    return read_report(write_junit(junit(report)), file="contract.xml")


def as_sarif(report: Checked) -> Report:
    """The report as SARIF, read again."""
    return read_report(json_text(sarif(report)).encode(), file="contract.sarif")


def judged(report: Report) -> Judged:
    """What a lane would sign of it."""
    return judge([report], empty=Empty.REFUSED, min_coverage=None)


def test_junit_reads_back() -> None:
    """Every check on every platform is a case of that name; an error is a failure, and nothing is skipped."""
    read = as_junit(everything())
    assert (read.format, read.problems) == (Format.JUNIT, ())
    assert read.cases == (
        Case("linux/amd64.user.nonroot", Outcome.FAILED),
        Case("linux/amd64.file.setid", Outcome.PASSED),
        Case("linux/arm64.user.nonroot", Outcome.FAILED),
        Case("linux/arm64.file.setid", Outcome.PASSED),
        Case("image.lock.drift", Outcome.FAILED),
    )


def test_sarif_reads_back() -> None:
    """Violations are failures, warnings and what is open warn, what is excepted is skipped; undecided is a problem."""
    read = as_sarif(everything())
    assert read.tool == "attest 0.1.0"
    assert read.cases == (
        Case("attest > user.nonroot > registry.example.org%3A5000/plex/backend@sha256%3A" + 64 * "1", Outcome.FAILED),
        Case("attest > user.nonroot > registry.example.org%3A5000/plex/backend@sha256%3A" + 64 * "1", Outcome.WARNED),
        Case("attest > file.setid > usr/bin/sudo", Outcome.SKIPPED),
        Case("attest > lock.drift > registry.example.org%3A5000/plex/backend@sha256%3A" + 64 * "1", Outcome.WARNED),
        Case("attest > lock.drift > registry.example.org%3A5000/plex/backend@sha256%3A" + 64 * "1", Outcome.FAILED),
    )
    assert any("did not run successfully" in problem for problem in read.problems)


REPORTS = {
    "passed": (checked(result(USER), result(SETID)), Result.PASSED),
    "passed by an exception": (
        checked(result(USER), result(SETID, finding(standing=Standing.EXCEPTED))),
        Result.PASSED,
    ),
    "failed": (checked(result(USER), result(SETID, finding())), Result.FAILED),
    "undecided": (checked(result(USER), result(SETID, finding(standing=Standing.UNDECIDED))), Result.FAILED),
    "failed on one platform": (
        checked(result(SETID), result(SETID, finding(platform=ARM), platform=ARM)),
        Result.FAILED,
    ),
}


@pytest.mark.parametrize(("report", "expected"), REPORTS.values(), ids=REPORTS.keys())
def test_both_lead_to_the_same_result(report: Checked, expected: Result) -> None:
    """A lane that reads either format signs the verdict of the report, and FAILED of what could not be decided."""
    for read in (as_sarif, as_junit):
        assert judged(read(report)).result is expected


def test_no_check_is_no_pass() -> None:
    """A report without a single check never leads to a pass, in either format."""
    for read in (as_sarif, as_junit):
        assert judged(read(checked())).result is Result.FAILED


def test_another_reader_agrees() -> None:
    """junitparser counts what it wrote itself as the document says, with the details of each failure."""
    written = JUnitXml.fromstring(write_junit(junit(everything())).decode())
    assert (written.tests, written.failures, written.errors, written.skipped) == (5, 2, 1, 0)
    suites = list(written)
    assert [(suite.tests, suite.failures, suite.errors) for suite in suites] == [(2, 1, 0), (2, 0, 1), (1, 1, 0)]
    (failure,) = next(iter(suites[0])).result
    assert failure.message == "root: it runs as root"
    assert "fix: Set USER to an account of its own." in failure.text
    assert "time" not in ET.fromstring(write_junit(junit(everything()))).attrib


def suite_of(text: str) -> JunitSuite:
    """A suite that has this text wherever one can stand."""
    case = JunitCase(
        classname=text, name=text, outcome=JunitOutcome.FAILED, message=text, details=f"x\n{text}", output=text
    )
    return JunitSuite(name=text, timestamp="2026-07-01T12:00:00", properties=((text, text),), cases=(case,))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_junit_is_harmless_in_a_log(text: str) -> None:
    """Printed as it is, the document moves no cursor and gives a CI runner no command."""
    assert_harmless(write_junit([suite_of(text)]).decode("ascii"))


def is_character(one: str) -> bool:
    """Whether XML 1.0 has it (2.2, production 2)."""
    code = ord(one)
    return one in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


@given(st.text(st.sampled_from(":#[\r\n\t \x7f&<>\"']") | st.characters(), min_size=1))
@example("]]>::##[&#58;")
@example("\x85\u2028\ufffe\x0b")
def test_junit_keeps_every_character(text: str) -> None:
    """Whatever XML has a character for is read back as it was; the rest is told by its number, and nothing breaks."""
    root = ET.parse(io.BytesIO(write_junit([suite_of(text)]))).getroot()
    name = root[0].attrib["name"]
    told = "".join(one if is_character(one) else ascii(one)[1:-1] for one in text)
    assert name == told
    output = root.find(".//system-out")
    assert output is not None
    assert output.text == told
