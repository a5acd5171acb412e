"""Coverage: Cobertura XML and coverage.py's JSON, counted from lines and branches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.lane.testreport import Coverage, Format
from tests.reports import read, refused

ISTANBUL = """<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage lines-valid="3" lines-covered="2" line-rate="0.6667" branches-valid="2" branches-covered="1" version="0.1">
  <sources><source>/src</source></sources>
  <packages><package name="main" line-rate="0.6" branch-rate="0.5"><classes>
    <class name="a.js" filename="a.js" line-rate="0.6" branch-rate="0.5">
      <methods><method name="f" hits="1" signature="()V"><lines><line number="1" hits="1"/></lines></method></methods>
      <lines>
        <line number="1" hits="1" branch="false"/>
        <line number="2" hits="5" branch="true" condition-coverage="50% (1/2)"/>
        <line number="4" hits="0" branch="false"/>
      </lines>
    </class>
  </classes></package></packages>
</coverage>
"""


def cobertura(lines: str, root: str = "", more: str = "") -> str:
    """A Cobertura document of one class."""
    return (
        f'<coverage line-rate="1" {root}><packages><package><classes>'
        f'<class filename="a.py"><methods/><lines>{lines}</lines></class>{more}</classes>'
        "</package></packages></coverage>"
    )


def coverage_of(content: str | bytes | dict[str, Any]) -> tuple[int, int]:
    """Covered and total."""
    found = read(content).coverage
    assert found is not None
    return found.covered, found.total


def test_istanbul() -> None:
    """Lines of classes count once, branches beside them; the document type of the format is passed over."""
    report = read(ISTANBUL)
    assert report.coverage == Coverage(covered=3, total=5)
    assert (report.format, report.cases, report.tool) == (Format.COBERTURA, None, "Cobertura 0.1")


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        ("", (0, 0)),
        ('<line number="1" hits="0"/>', (0, 1)),
        ('<line number="1" hits="1" branch="false" condition-coverage="50% (1/2)"/>', (1, 1)),
        ('<line number="1" hits="1" branch="true" condition-coverage="100% (2/2)"/>', (3, 3)),
        ('<line number="1" hits="1" branch="True" condition-coverage="33.3%(1/3)"/>', (2, 4)),
        ('<line number="1" hits="1" branch="true"/>', (1, 1)),
        ('<line number="1" hits="0"/><line number="1" hits="2"/>', (1, 1)),
    ],
)
def test_lines_and_branches(lines: str, numbers: tuple[int, int]) -> None:
    """A line counts once and each branch of it as well, where branches were measured."""
    assert coverage_of(cobertura(lines)) == numbers


def test_classes_of_one_file() -> None:
    """A line that two classes of a file have is one line; the same number in another file is another."""
    same = '<class filename="a.py"><lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class>'
    document = cobertura('<line number="1" hits="0"/>', more=same)
    assert coverage_of(document) == (1, 2)
    assert coverage_of(document.replace('"a.py"', '"b.py"', 1)) == (1, 3)


@pytest.mark.parametrize("root", ['lines-valid="2" lines-covered="1"', 'lines-valid="2"', ""])
def test_totals_that_agree(root: str) -> None:
    """Totals are compared where they are given."""
    assert coverage_of(cobertura('<line number="1" hits="0"/><line number="2" hits="1"/>', root)) == (1, 2)


@pytest.mark.parametrize(
    ("lines", "root", "message"),
    [
        ('<line number="1" hits="0"/>', 'lines-valid="2"', "lines-valid is 2, and has to be 1"),
        ('<line number="1" hits="0"/>', 'lines-covered="1"', "lines-covered is 1, and has to be 0"),
        ('<line number="1" hits="0"/>', 'lines-covered="all"', "lines-covered 'all' is no natural number"),
        ('<line number="1"/>', "", "hits None is no natural number"),
        ('<line number="1" hits="-1"/>', "", "hits '-1' is no natural number"),
        ('<line number="1" hits="1e3"/>', "", "hits '1e3' is no natural number"),
        ('<line hits="1"/>', "", "number None is no natural number"),
        ('<line number="1" hits="1" branch="true" condition-coverage="all"/>', "", "condition-coverage 'all' is not"),
        ('<line number="1" hits="1" branch="true" condition-coverage="9% (3/2)"/>', "", "condition-coverage"),
        ("<coverage/>", "", "coverage in coverage"),
        ("<class/>", "", "a class without a file name"),
        (f'<class filename="{"f" * 4097}"/>', "", "or with one that is too long"),
    ],
)
def test_what_is_no_cobertura(lines: str, root: str, message: str) -> None:
    """Numbers that are none, classes without a file and totals that contradict the lines are errors."""
    refused(cobertura(lines, root), message)


def test_another_coverage_is_no_cobertura() -> None:
    """Clover's root is named alike; without a rate of lines it is not taken for Cobertura."""
    clover = '<coverage generated="1"><project><metrics statements="1" coveredstatements="1"/></project></coverage>'
    refused(clover, "XML with the root 'coverage', but none of JUnit XML, SARIF 2.1.0")


def test_the_number_of_lines_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """More lines than the limit are refused; lines that are told twice do not count twice."""
    monkeypatch.setattr(limits, "REPORT_LINES", 2)
    lines = '<line number="1" hits="0"/><line number="2" hits="0"/>'
    assert coverage_of(cobertura(lines * 3)) == (0, 2)
    refused(cobertura(lines + '<line number="3" hits="0"/>'), "more than 2 lines")


def file(executed: Any = (), missing: Any = (), **members: Any) -> dict[str, Any]:
    """A file of coverage.py's JSON."""
    return {"executed_lines": list(executed), "missing_lines": list(missing), "excluded_lines": [], **members}


def coverage_py(totals: dict[str, Any] | None = None, **files: Any) -> dict[str, Any]:
    """What `coverage json` writes, with the totals that belong to the files."""
    covered = sum(len(one["executed_lines"]) for one in files.values() if isinstance(one, dict))
    missing = sum(len(one["missing_lines"]) for one in files.values() if isinstance(one, dict))
    return {
        "meta": {"format": 3, "version": "7.17"},
        "files": files,
        "totals": {"covered_lines": covered, "num_statements": covered + missing, **(totals or {})},
    }


def test_coverage_py() -> None:
    """Lines of all files, and branches where they were measured."""
    report = read(coverage_py(a=file([1, 2], [3]), b=file([], [1])))
    assert report.coverage == Coverage(covered=2, total=4)
    assert (report.format, report.cases, report.tool) == (Format.COVERAGE_PY, None, "coverage.py 7.17")
    branches = {"executed_branches": [[1, 2], [1, -1]], "missing_branches": [[2, 3]]}
    assert coverage_of(coverage_py(a=file([1, 2], [3], **branches), totals={"num_branches": 3})) == (4, 6)
    assert coverage_of(coverage_py()) == (0, 0)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (coverage_py(a=1), "files.a is not an object"),
        (coverage_py(a=file(), totals={"covered_lines": 1}), "it says 1 covered lines, and has 0"),
        (coverage_py(a=file([1]), totals={"num_statements": 2}), "it says 2 statements, and has 1"),
        (coverage_py(a=file([1]), totals={"num_branches": 2}), "it says 2 branches, and has 0"),
        (coverage_py(a=file([1]), totals={"covered_lines": None}), "totals.covered_lines is no natural number"),
        (coverage_py(a=file([1], [1])), "a line of 'a' is both executed and missing"),
        (coverage_py(a=file([1, 1])), "executed_lines has a line twice"),
        (coverage_py(a=file(["1"])), "executed_lines is no natural number"),
        (coverage_py(a=file([1], missing_branches={})), "missing_branches is not an array"),
        ({**coverage_py(), "files": []}, "files is not an object"),
        ({**coverage_py(), "totals": None}, "totals is not an object"),
        ({**coverage_py(), "meta": 3}, "meta is not an object"),
        ({**coverage_py(), "files": {"a": {"executed_lines": []}}}, "missing_lines is not an array"),
    ],
)
def test_what_is_not_of_coverage_py(document: dict[str, Any], message: str) -> None:
    """Members of another type, lines that are both, and totals that contradict the files are errors."""
    refused(document, message)


LINES = st.dictionaries(st.integers(1, 50), st.booleans(), max_size=10)


@given(st.dictionaries(st.sampled_from(["a.py", "b.py", "c/d.py"]), LINES, max_size=3))
def test_both_formats_say_the_same(files: dict[str, dict[int, bool]]) -> None:
    """The same lines, written in either format, are the same coverage."""
    classes = "".join(
        f'<class filename="{name}"><lines>'
        + "".join(f'<line number="{number}" hits="{int(hit)}"/>' for number, hit in lines.items())
        + "</lines></class>"
        for name, lines in files.items()
    )
    as_json = {
        name: file([n for n, hit in lines.items() if hit], [n for n, hit in lines.items() if not hit])
        for name, lines in files.items()
    }
    every = [hit for lines in files.values() for hit in lines.values()]
    assert coverage_of(cobertura("", more=classes)) == coverage_of(coverage_py(**as_json)) == (sum(every), len(every))
