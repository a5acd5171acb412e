"""JUnit XML, written with junitparser.

Texts come from images. What XML 1.0 has no character for is written as `\\xNN` or `\\uNNNN`. Everything else keeps its
meaning for whoever parses the document; for whoever prints it, it is ASCII without the openings that CI runners take
for commands (`::`, `##[`), since such characters stand as references (XML 1.0, 4.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from attest.core.contract.junit import JunitCase, JunitOutcome, JunitSuite

if TYPE_CHECKING:
    from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, 2.2."""
_REFERENCES: Final = (("\r", "&#13;"), ("\x7f", "&#127;"), ("::", "&#58;&#58;"), ("##[", "&#35;#["))


def write_junit(suites: Sequence[JunitSuite]) -> bytes:
    """The suites as one document, with a newline at its end. No time is claimed, for none is measured."""
    from junitparser import JUnitXml

    document = JUnitXml()
    for suite in suites:
        document.append(_suite(suite))  # type: ignore[no-untyped-call]  # junitparser has types for a part of itself
    _count(document, [case for suite in suites for case in suite.cases])
    text: str = document.tostring().decode("utf-8")  # type: ignore[no-untyped-call]  # as above
    for characters, reference in _REFERENCES:
        text = text.replace(characters, reference)
    return text.encode("ascii", "xmlcharrefreplace") + b"\n"


def _suite(suite: JunitSuite) -> TestSuite:
    from junitparser import TestSuite

    written = TestSuite(_text(suite.name))
    written.timestamp = suite.timestamp
    for name, value in suite.properties:
        written.add_property(_text(name), _text(value))
    for case in suite.cases:
        written.append(_case(case))  # type: ignore[no-untyped-call]  # junitparser has types for a part of itself
    _count(written, suite.cases)
    return written


def _case(case: JunitCase) -> TestCase:
    from junitparser import Error, Failure, TestCase

    written = TestCase(_text(case.name), _text(case.classname))
    match case.outcome:
        case JunitOutcome.PASSED:
            pass
        case JunitOutcome.FAILED:
            written.result = _result(Failure, case)
        case JunitOutcome.UNDECIDED:
            written.result = _result(Error, case)
    if case.output:
        written.system_out = _text(case.output)
    return written


def _result(kind: type[Failure | Error], case: JunitCase) -> Failure | Error:
    result = kind(_text(case.message))
    result.text = _text(case.details)
    return result


def _count(written: JUnitXml | TestSuite, cases: Sequence[JunitCase]) -> None:
    outcomes = [case.outcome for case in cases]
    written.tests = len(outcomes)
    written.failures = outcomes.count(JunitOutcome.FAILED)
    written.errors = outcomes.count(JunitOutcome.UNDECIDED)
    written.skipped = 0


def _text(text: str) -> str:
    return _NO_CHARACTER.sub(lambda found: ascii(found[0])[1:-1], text)
