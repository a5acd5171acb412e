"""Hostile and broken reports: each is refused with one clear error, in bounded memory, and none of them passes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attest.adapters.reports import read_report
from attest.core import limits
from attest.core.lane.testreport import Empty, Format, judge
from attest.core.lane.testresult import judged_predicate, report_resource
from attest.core.predicates import Result
from attest.core.statement import Context, write_statement
from attest.errors import DocumentInvalid
from tests.core import make
from tests.reports import cases, read, refused

PROJECT = Path(__file__).resolve().parents[1]

GOOD: dict[Format, bytes] = {
    Format.JUNIT: b'<testsuites><testsuite tests="1"><testcase classname="c" name="t"/></testsuite></testsuites>',
    Format.SARIF: b'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"results":[]}]}',
    Format.CTRF: b'{"results":{"tool":{"name":"j"},"summary":{"tests":1,"passed":1,"failed":0,"skipped":0,"pending":0,'
    b'"other":0},"tests":[{"name":"t","status":"passed"}]}}',
    Format.TAP: b"TAP version 14\n1..1\nok 1 - t\n",
    Format.PLAYWRIGHT: b'{"config":{},"stats":{"expected":1,"unexpected":0,"flaky":0,"skipped":0},"suites":[{"title":'
    b'"f","specs":[{"title":"t","tests":[{"expectedStatus":"passed","status":"expected","results":'
    b'[{"status":"passed"}]}]}]}]}',
    Format.COBERTURA: b'<coverage line-rate="1" lines-valid="1"><packages><package><classes><class filename="a"><lines>'
    b'<line number="1" hits="1"/></lines></class></classes></package></packages></coverage>',
    Format.COVERAGE_PY: b'{"meta":{},"files":{"a":{"executed_lines":[1],"missing_lines":[]}},'
    b'"totals":{"covered_lines":1,"num_statements":1}}',
}
"""A report of each format that passes."""


def document(declarations: str, name: str = "&a;") -> str:
    """A JUnit document with a document type."""
    return (
        f'<?xml version="1.0"?><!DOCTYPE testsuites [{declarations}]><testsuites><testcase name="{name}"/></testsuites>'
    )


BOMB = '<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {this} "{f"&{before};" * 10}">' for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)

HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "entities that expand": (document(BOMB, "&i;"), "document type"),
    "one entity": (document('<!ENTITY a "b">'), "document type"),
    "an external entity": (document('<!ENTITY a SYSTEM "file:///etc/passwd">'), "document type"),
    "an external entity over http": (document('<!ENTITY a SYSTEM "http://169.254.169.254/">'), "document type"),
    "a parameter entity": (document('<!ENTITY % a SYSTEM "http://127.0.0.1/x"> %a;'), "document type"),
    "a notation": (document('<!NOTATION n SYSTEM "x">', "t"), "document type"),
    "default attributes": (document('<!ATTLIST testcase status CDATA "run">', "t"), "document type"),
    "an external subset": (
        '<!DOCTYPE testsuites SYSTEM "file:///etc/passwd"><testsuites/>',
        "the document type 'testsuites' is refused",
    ),
    "an entity of a document type that is not read": (
        '<!DOCTYPE coverage SYSTEM "x"><coverage line-rate="1">&a;</coverage>',
        "entity 'a' is not declared",
    ),
    "an entity that nobody declared": ('<testsuite><testcase name="&a;"/></testsuite>', "undefined entity"),
    "deep nesting": ("<testsuite>" * 100_000, "elements are nested deeper than 64"),
    "deep nesting of what is passed over": (
        '<testsuite><testcase name="t"><system-out>' + "<a>" * 1000,
        "elements are nested deeper than 64",
    ),
    "a huge name": (f'<testsuite><testcase name="{"n" * 1_000_000}"/></testsuite>', "more than 4096 characters"),
    "a huge attribute elsewhere": (f'<testsuite tests="{"1" * 1_000_000}"/>', "is no natural number"),
    "many attributes": (
        "<testsuite " + " ".join(f'a{n}="1"' for n in range(50_000)) + "><testcase/>",
        "without a name",
    ),
    "a tag that does not end": (b'<testsuite name="' + b"n" * (5 * limits.MIB), "a tag or comment of more than"),
    "an attribute twice": ('<testsuite><testcase name="a" name="b"/></testsuite>', "duplicate attribute"),
    "NUL in XML": (b'<testsuite><testcase name="a\0b"/></testsuite>', "not well-formed"),
    "NUL before XML": (b"\0<testsuite/>", "NUL bytes"),
    "NUL in TAP": (b"TAP version 13\n1..1\nok 1 - a\0b\n", "NUL bytes"),
    "NUL in JSON": (b'{"runs":[]\0}', "not strict JSON"),
    "UTF-16": ("<testsuite/>".encode("utf-16"), "not UTF-8"),
    "UTF-16 without a mark": ("<testsuite/>".encode("utf-16-le"), "not well-formed"),
    "UTF-16 JSON": (GOOD[Format.CTRF].decode().encode("utf-16"), "not UTF-8"),
    "UTF-16 TAP": (GOOD[Format.TAP].decode().encode("utf-16"), "not UTF-8"),
    "UTF-7": ('<?xml version="1.0" encoding="utf-7"?><testsuite/>', "the encoding 'utf-7' is not read"),
    "another encoding than is said": ('<?xml version="1.0" encoding="utf-16"?><testsuite/>', "'utf-16' is not read"),
    "Latin-1": ('<?xml version="1.0" encoding="iso-8859-1"?><testsuite name="é"/>'.encode("latin-1"), "not UTF-8"),
    "Latin-1 in ASCII": ('<?xml version="1.0" encoding="iso-8859-1"?><testsuite/>', "'iso-8859-1' is not read"),
    "a character that XML has not": ('<testsuite><testcase name="&#0;"/></testsuite>', "not well-formed"),
    "a lone surrogate": (
        '{"runs":[{"tool":{"driver":{"name":"\\ud800"}},"results":[]}],"version":"2.1.0"}',
        "surrogate",
    ),
    "a surrogate in XML": ('<testsuite><testcase name="&#xD800;"/></testsuite>', "not well-formed"),
    "deep JSON": ('{"runs":' + "[" * 100_000, "nested deeper than"),
    "a key twice": ('{"version":"2.1.0","runs":[],"runs":[]}', "stands twice"),
    "NaN": ('{"version":"2.1.0","runs":[NaN]}', "NaN is not JSON"),
    "a huge number": ('{"version":"2.1.0","runs":[' + "9" * 5000 + "]}", "digits"),
    "two formats at once": (
        json.dumps({**json.loads(GOOD[Format.SARIF]), **json.loads(GOOD[Format.COVERAGE_PY])}),
        "of two formats at once",
    ),
    "a JSON array": ("[]", "JSON, but none of JUnit XML, SARIF 2.1.0"),
    "another JSON object": ('{"passed": true}', "JSON, but none of"),
    "another XML": ("<html><body>passed</body></html>", "XML with the root 'html'"),
    "a root of another name space": ('<x:testsuite xmlns:x="urn:x"/>', "XML with the root 'x:testsuite'"),
    "text": ("all tests passed\n", "none of JUnit XML"),
    "empty": ("", "it is empty"),
    "blank": (" \n\t\r\n", "it is empty"),
    "blank for long": (" " * 5000 + "<testsuite/>", "nothing but white space"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "it is empty"),
    "a comment alone": ("<!-- passed -->", "not well-formed"),
    "two documents": (GOOD[Format.JUNIT] * 2, "not well-formed"),
    "something behind JSON": (GOOD[Format.CTRF] + b"{}", "not strict JSON"),
    "many cases": (b"<testsuite>" + b'<testcase name="t"/>' * (limits.REPORT_CASES + 1), "more than 100000 cases"),
    "many cases of TAP": (b"1..1\n" + b"ok\n" * (limits.REPORT_CASES + 1), "more than 100000 cases"),
    "many values": (b'{"runs":[' + b"0," * 600_000 + b"0]}", "more than 500000 values"),
    "too many bytes": (b" " * (limits.REPORT + 1), f"more than {limits.REPORT} bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_reports_are_refused(name: str) -> None:
    """Each is an error of exit code 2 that says what is wrong, on one line of a size that can be read."""
    content, message = HOSTILE[name]
    error = refused(content, message)
    assert len(error.message) < 600


@pytest.mark.parametrize("format_", GOOD)
def test_what_the_hostile_ones_are_made_of_passes(format_: Format) -> None:
    """The reports that are damaged here are good ones of their format before."""
    report = read(GOOD[format_])
    assert report.format is format_
    minimum = Decimal(100) if report.cases is None else None
    assert judge([report], empty=Empty.REFUSED, min_coverage=minimum).result is Result.PASSED


@pytest.mark.parametrize("format_", GOOD)
def test_a_truncated_report_is_never_read(format_: Format) -> None:
    """Cut anywhere before its end, a report is an error; only a missing last line end is none."""
    whole = GOOD[format_]
    for end in range(len(whole.rstrip())):
        if format_ is Format.TAP and b"\nok" in whole[:end]:
            continue  # a name may be cut, and the test has been counted
        refused(whole[:end])


@pytest.mark.parametrize("format_", GOOD)
def test_a_byte_order_mark(format_: Format) -> None:
    """One before XML or TAP is passed over, as its readers do; JSON has none (RFC 8259, 8.1)."""
    content = b"\xef\xbb\xbf" + GOOD[format_]
    if GOOD[format_].startswith(b"{"):
        refused(content, "not strict JSON")
    else:
        assert read(content).format is format_


@given(st.binary(max_size=200))
@example(b"<")
@example(b"{")
@example(b"\xff\xfe<\x00")
def test_arbitrary_bytes_are_a_report_or_an_error(content: bytes) -> None:
    """No bytes raise anything but the error of a document."""
    _try(content)


@given(st.sampled_from(list(GOOD.values())), st.data())
def test_damaged_reports_are_a_report_or_an_error(whole: bytes, data: st.DataObject) -> None:
    """A good report with bytes changed, cut out or put in raises nothing but the error of a document."""
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 30)))
    _try(whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "passed", "error", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "level", "tests"]), inner),
    max_leaves=5,
)


@given(st.sampled_from([one for one in GOOD.values() if one.startswith(b"{")]), st.data())
def test_json_of_other_shapes_is_a_report_or_an_error(whole: bytes, data: st.DataObject) -> None:
    """Any member or element of a good JSON report, replaced by any other value, raises nothing but that error."""
    tree = json.loads(whole)
    place: object = tree
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        key = data.draw(st.sampled_from(keys))
        inner = place[key]  # type: ignore[index]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)  # type: ignore[index]
            break
        place = inner
    _try(json.dumps(tree).encode())


def _try(content: bytes) -> None:
    try:
        report = read_report(content, file="report")
    except DocumentInvalid as error:
        assert error.message.isprintable()  # noqa: PT017  (there may be none)
        return
    assert report.size == len(content)


def test_names_that_would_forge_output_are_kept() -> None:
    """What a terminal or a CI runner would obey stays in the name, which nobody prints without escaping it."""
    name = "\x1b]0;x\x07::set-output name=a::b\r\n##[error]\u202e\u2028"
    document_ = {
        **json.loads(GOOD[Format.CTRF]),
        "results": {**json.loads(GOOD[Format.CTRF])["results"], "tests": [{"name": name, "status": "passed"}]},
    }
    assert [found for found, _ in cases(document_)] == [name]
    judged = judge([read(document_)], empty=Empty.REFUSED, min_coverage=None)
    assert judged.passed == (name,)


def ten_thousand() -> bytes:
    """A JUnit document of 10,000 cases, every hundredth of which failed."""
    bad = '<failure message="no">trace</failure>'
    body = "".join(
        f'<testcase classname="tests.test_module_{n % 50}.TestThings" name="test_number_{n}[param-{n}]" time="0.01">'
        f"{bad if n % 100 == 0 else ''}</testcase>"
        for n in range(10_000)
    )
    return f'<testsuites><testsuite name="pytest" tests="10000" failures="100">{body}</testsuite></testsuites>'.encode()


def test_ten_thousand_cases_make_a_small_attestation() -> None:
    """The Statement names every failed test and fits, signed, below 64 KiB; the counts are of all cases."""
    content = ten_thousand()
    judged = judge([read(content)], empty=Empty.REFUSED, min_coverage=None)
    predicate = judged_predicate(
        judged,
        configuration=[report_resource(judged.reports[0], manifest=make.digest("m"))],
        url="https://ci.example.org/7",
    )
    payload = write_statement(
        subjects={make.digest("image"): "registry.example.org/app"},
        context=Context(lane="unit", repository="https://git.example.org/app", commit="c" * 40),
        predicate_type="https://in-toto.io/attestation/test-result/v0.1",
        predicate=predicate,
    )
    assert len(payload) * 4 / 3 + 8_000 < 64 * 1024  # base64, and the certificate and log entries of a keyless bundle
    assert predicate["attest_counts"] == {"passed": 9_900, "warned": 0, "failed": 100, "skipped": 0}
    assert len(predicate["failedTests"]) == 100
    assert predicate["attest_omittedTests"] == {"passedTests": 9_900 - len(predicate["passedTests"])}
    assert predicate["result"] == "FAILED"


MEASURE = """
import re, sys
from pathlib import Path
from attest.adapters.reports import read_report
from attest.errors import DocumentInvalid
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = highest()
content = sys.stdin.buffer.read()
try:
    read_report(content, file="report")
except DocumentInvalid:
    pass
print(highest() - before)
"""


@pytest.mark.parametrize(
    ("make_content", "mebibytes"),
    [
        (ten_thousand, 30),
        (lambda: b"<testsuite>" + b'<testcase name="t"/>' * 1_000_000, 64),
        (lambda: b'<testsuite><testcase name="' + b"n" * (limits.REPORT - 100), 80),
        (lambda: b"<testsuite><system-out>" + b"n" * (limits.REPORT - 100), 64),
        (lambda: b'{"runs":["' + "\U0001f600".encode() + b"n" * (limits.REPORT - 100) + b'"]}', 256),
        (lambda: b'{"runs":[' + b"[],[]," * 80_000 + b"0]}", 64),
        (lambda: b"TAP version 14\n1..1\n" + b"ok - a\n" * 2_000_000, 100),
        (
            lambda: b'<coverage line-rate="1"><class filename="a"><lines>'
            + b"".join(b'<line number="%d" hits="0"/>' % n for n in range(700_000)),
            128,
        ),
    ],
    ids=["10,000 cases", "10^6 cases", "a huge attribute", "huge text", "wide JSON", "many arrays", "TAP", "lines"],
)  # fmt: skip
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory was needed")
def test_memory_is_bounded(make_content: Callable[[], bytes], mebibytes: int) -> None:
    """Reading a large or hostile report takes at most 256 MiB, its own bytes included, and as a rule far less."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], input=make_content(), cwd=PROJECT, check=True, capture_output=True
    )
    assert int(done.stdout) < mebibytes * 1024
