"""Reads a report of any format; the format is found from the content alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from attest.adapters.reports.common import Content, ReportInvalid
from attest.core import limits
from attest.core.lane.testreport import Report
from attest.core.reference import digest_of
from attest.core.strictjson import Json, JsonInvalid, loads, shown
from attest.errors import DocumentInvalid

if TYPE_CHECKING:
    from attest.adapters.reports.xml import Reader

FORMATS: Final = "JUnit XML, SARIF 2.1.0, CTRF, TAP 13 or 14, Playwright JSON, Cobertura XML, coverage.py JSON"
"""What is read, for messages."""
_BOM: Final = b"\xef\xbb\xbf"
_SNIFFED: Final = 4096


def read_report(content: bytes, *, file: str) -> Report:
    """The report that the bytes are; `file` is what it is called in errors and in the predicate.

    Raises:
        DocumentInvalid: they are empty, truncated, of no format or of several, beyond `limits`, or say of themselves
            what they contradict.
    """
    try:
        said = _read(content)
    except ReportInvalid as error:
        raise DocumentInvalid(f"no report: {error}", file=file, line=error.line, column=error.column) from error
    return Report(
        file=file,
        format=said.format,
        digest=digest_of(content),
        size=len(content),
        cases=said.cases,
        problems=said.problems,
        coverage=said.coverage,
        tool=said.tool,
    )


def _read(content: bytes) -> Content:
    if len(content) > limits.REPORT:
        raise ReportInvalid(f"more than {limits.REPORT} bytes")
    text = content.removeprefix(_BOM)
    start = text[:_SNIFFED].lstrip()
    if not start:
        raise ReportInvalid("it starts with nothing but white space" if text.strip() else "it is empty")
    if start.startswith(b"<"):
        from attest.adapters.reports.xml import read_xml

        return read_xml(content, _xml_reader)
    if start[:1] in b"{[":
        return _read_json(content)
    return _read_text(content)


def _read_json(content: bytes) -> Content:
    try:
        document = loads(content)
    except JsonInvalid as error:
        raise ReportInvalid(f"not strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise ReportInvalid(f"JSON, but none of {FORMATS}")
    readers = [read for fits, read in _JSON if fits(document)]
    if not readers:
        raise ReportInvalid(f"JSON, but none of {FORMATS}")
    if len(readers) > 1:
        raise ReportInvalid("JSON that is of two formats at once")
    return readers[0](document)


def _read_text(content: bytes) -> Content:
    from attest.adapters.reports.tap import read_tap, starts_tap

    try:
        text = content.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReportInvalid(f"neither XML nor JSON, and not UTF-8 at byte {error.start}") from error
    if "\0" in text:
        raise ReportInvalid("neither XML nor JSON, and it has NUL bytes")
    if not starts_tap(text):
        raise ReportInvalid(f"none of {FORMATS}")
    return read_tap(text)


def _xml_reader(root: str, attributes: Mapping[str, str]) -> Reader:
    if root in {"testsuites", "testsuite"}:
        from attest.adapters.reports.junit import JUnitReader

        return JUnitReader()
    if root == "coverage" and "line-rate" in attributes:
        from attest.adapters.reports.cobertura import CoberturaReader

        return CoberturaReader()
    raise ReportInvalid(f"XML with the root {shown(root)}, but none of {FORMATS}")


def _sarif(document: Mapping[str, Json]) -> Content:
    from attest.adapters.reports.sarif import read_sarif

    return read_sarif(document)


def _ctrf(document: Mapping[str, Json]) -> Content:
    from attest.adapters.reports.ctrf import read_ctrf

    return read_ctrf(document)


def _coverage_py(document: Mapping[str, Json]) -> Content:
    from attest.adapters.reports.coveragepy import read_coverage_py

    return read_coverage_py(document)


def _playwright(document: Mapping[str, Json]) -> Content:
    from attest.adapters.reports.playwright import read_playwright

    return read_playwright(document)


_JSON: Final[tuple[tuple[Callable[[Mapping[str, Json]], bool], Callable[[Mapping[str, Json]], Content]], ...]] = (
    (lambda document: "runs" in document, _sarif),
    (lambda document: isinstance(document.get("results"), dict) or document.get("reportFormat") == "CTRF", _ctrf),
    (lambda document: document.keys() >= {"meta", "files", "totals"}, _coverage_py),
    (lambda document: document.keys() >= {"config", "suites"}, _playwright),
)
"""By what each format alone has at its top."""
