"""TAP: what 13 and 14 say, and every way in which a stream can be cut short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.reports import tap
from attest.core import limits
from attest.core.lane.testreport import Format, Outcome
from attest.core.predicates import Result
from tests.reports import F, P, S, W, cases, outcomes, read, refused, result

NESTED = """TAP version 14
1..3
# Subtest: cart
    1..2
    ok 1 - adds
      ---
      duration_ms: 3
      note: |-
        not ok 9 - this is no test
      ...
    # Subtest: pays
        not ok 1 - by card
        ok 2 - by bill # TODO later
        1..2
    not ok 2 - pays
not ok 1 - cart
ok 2 - no \\# of \\\\ lines # SKIP no lines
not ok 3 # TODO unwritten
"""


def test_subtests_and_directives() -> None:
    """Subtests count in place of the point that sums them up; TODO and SKIP mean what the specification says."""
    assert outcomes(NESTED) == {
        "cart > adds": P,
        "cart > pays > by card": F,
        "cart > pays > by bill": W,
        "no # of \\ lines": S,
        "test 3": S,
    }
    assert read(NESTED).format is Format.TAP


@pytest.mark.parametrize(
    ("line", "name", "outcome"),
    [
        ("ok", "test 1", P),
        ("ok 1", "test 1", P),
        ("ok - a", "a", P),
        ("ok 1 a", "a", P),
        ("ok 1 - - a", "- a", P),
        ("ok 1 -a", "a", P),
        ("not ok 1 - a", "a", F),
        ("ok 1 - a # SKIP", "a", S),
        ("ok 1 - a # skipped: no network", "a", S),
        ("ok 1 - a # Todo", "a", W),
        ("not ok 1 - a # TODO", "a", S),
        ("not ok 1 - a # SKIP", "a", F),
        ("ok 1 - a # note", "a # note", P),
        ("ok 1 - a \\# SKIP", "a # SKIP", P),
        ("not ok 1 - a \\# TODO", "a # TODO", F),
        ("ok 1 - \u2028\x85\x0b\x1b[31m", "\u2028\x85\x0b\x1b[31m", P),
    ],
)
def test_a_test_point(line: str, name: str, outcome: Outcome) -> None:
    """Number, hyphen and description are optional; only an unescaped directive is one; a name is kept as it is."""
    for text in (f"TAP version 13\n1..1\n{line}\n", f"TAP version 14\r\n{line}\r\n1..1\r\n", f"1..1\n{line}"):
        assert cases(text) == [(name, outcome)]


@pytest.mark.parametrize(
    "text",
    [
        "TAP version 13\n1..2\nok 2 - b\nok 1 - a\n",
        "TAP version 13\nstarting\n  ok 7 in an odd indentation\nok 1\n# comment\n\nok 2\n1..2\n# tests 2\n",
        "TAP version 14\npragma +strict\n1..2\nok\nok\n",
        "ok 1\nok 2\n1..2\n",
        "# Subtest: a\nok 1\nok 2\n1..2\n",
        "\n\nTAP version 13\n1..2\nok\nok\n",
    ],
)
def test_what_else_may_stand_there(text: str) -> None:
    """Points out of order, comments, output and pragmas are no reason to refuse a stream."""
    assert result(text) is Result.PASSED
    assert len(cases(text)) == 2


@pytest.mark.parametrize(
    "text", ["TAP version 13\n1..0\n", "1..0 # SKIP no database\n", "TAP version 14\n1..1\nok 1 # SKIP\n"]
)
def test_nothing_ran(text: str) -> None:
    """An empty plan and skipped tests have shown nothing."""
    assert result(text) is Result.FAILED


def test_bail_out() -> None:
    """A run that bailed out has failed, whatever ran before it and whatever was planned; its reason is quoted."""
    report = read("TAP version 13\n1..9\nok 1 - a\nBail out! no database\n")
    assert report.problems == ("Bail out! no database",)
    assert [case.name for case in report.cases or ()] == ["a"]
    assert result("TAP version 13\n1..1\nok 1\nBail out!\n") is Result.FAILED
    assert result("TAP version 14\n1..1\n    ok 1\n    Bail out!\n") is Result.FAILED


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("TAP version 13\nok 1\n", "there is no plan, so it may be truncated", 3),
        ("TAP version 13\n", "there is no plan", 2),
        ("TAP version 13\n1..2\nok 1\n", "2 tests were planned, and 1 ran", 4),
        ("TAP version 13\n1..1\nok 1\nok 2\n", "1 tests were planned, and 2 ran", 5),
        ("TAP version 13\n1..2\nok 1\nok 3\n", "a test number above the plan of 2", 5),
        ("TAP version 13\nok 1\nok 1\n1..2\n", "the test number 1 stands twice", 3),
        ("TAP version 13\nok 0\n1..1\n", "the test number 0 stands twice or is none", 2),
        ("TAP version 13\n1..1\n1..1\nok 1\n", "a second plan", 3),
        ("TAP version 13\nok 1\n1..1\nok 2\n", "behind the plan", 4),
        ("TAP version 12\n1..1\nok 1\n", "TAP version 12 is not read", 1),
        ("TAP version 15\n1..1\nok 1\n", "TAP version 15 is not read", 1),
        ("TAP version 13\n1..1\nok 1\nTAP version 13\n1..1\nok 1\n", "a second TAP stream", 4),
        ("TAP version 13\n1..1\nok 1\n  ---\n  a: b\n", "it ends in a YAML block", 6),
        ("TAP version 14\n1..1\n    1..1\n    ok 1\n", "it ends in a subtest", 5),
        ("TAP version 14\n1..1\n    ok 1\nok 1\n", "there is no plan", 4),
        ("TAP version 14\n1..1\n    1..2\n    ok 1\nok 1\n", "2 tests were planned, and 1 ran", 5),
        ("TAP version 14\n1..1\n    1..1\n    not ok 1 - in\nok 1 - a\n", "'a' is ok, and a subtest of it is not", 5),
        ("TAP version 14\n1..1\n        1..1\n        not ok 1\nok 1\n", "ends without the test point", 5),
        ("TAP version 14\n    ok 1\n1..1\nok 1\n", "ends without the test point", 3),
        ("not ok\n", "there is no plan", 2),
    ],
)
def test_what_is_cut_short_or_contradicts_itself(text: str, message: str, line: int) -> None:
    """Every stream that may have lost a test is an error, at the line where it shows; none of them passes."""
    assert refused(text, message).line == line


def test_a_stream_that_begins_deep_inside() -> None:
    """The first test of a file may be in a suite in a suite, as node writes it."""
    text = "TAP version 13\n        not ok 1 - c\n        1..1\n    not ok 1 - b\n    1..1\nnot ok 1 - a\n1..1\n"
    assert outcomes(text) == {"a > b > c": F}
    good = text.replace("not ok", "ok")
    assert outcomes(good) == {"a > b > c": P}


def test_a_parent_that_fails_alone() -> None:
    """A point that fails although its subtests pass (a tear-down) is a failed case of its own."""
    text = "TAP version 14\n    ok 1 - in\n    1..1\nnot ok 1 - a\n1..1\n"
    assert outcomes(text) == {"a > in": P, "a": F}


def test_subtests_of_what_is_expected_to_fail() -> None:
    """Below a point that is TODO or skipped nothing counts."""
    text = "TAP version 14\n    not ok 1 - in\n    1..1\nnot ok 1 - a # TODO\nok 2 - b\n1..2\n"
    assert outcomes(text) == {"a": S, "b": P}
    skipped = "TAP version 14\n    1..0\nok 1 - a # SKIP none\nok 2 - b\n1..2\n"
    assert outcomes(skipped) == {"a": S, "b": P}


def test_output_that_looks_like_a_block_hides_nothing() -> None:
    """Only right behind a test point, and indented under it, does a line open a block of YAML."""
    text = "TAP version 13\n1..3\nok 1\n---\nnot ok 2\nsome output\n  ---\nok 3\n"
    assert outcomes(text) == {"test 1": P, "test 2": F, "test 3": P}


@pytest.mark.parametrize("start", ["1..1\nok 1\n", "1..1\n", "ok 1\n"])
def test_a_second_stream_is_refused(start: str) -> None:
    """Streams that were written one after the other into one file are two reports."""
    refused(f"{start}TAP version 13\n1..1\nok 1\n", "a second TAP stream")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many lines, too many cases and too deep a nesting are refused."""
    with monkeypatch.context() as patch:
        patch.setattr(tap, "_LINES", 3)
        assert len(cases("1..2\nok 1\nok 2")) == 2
        refused("1..2\nok 1\nok 2\n", "more than 3 lines")
    monkeypatch.setattr(limits, "REPORT_CASES", 3)
    assert len(cases("1..3\n" + "ok\n" * 3)) == 3
    refused("1..4\n" + "ok\n" * 4, "more than 3 cases")
    refused("1..1\n" + " " * 4 * (limits.REPORT_DEPTH + 1) + "ok 1\n", "nested deeper")


DESCRIPTIONS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="#\\-"), min_size=1
).filter(lambda text: not text[0].isdigit())


@given(st.lists(st.tuples(DESCRIPTIONS, st.sampled_from([P, F, S, W])), max_size=8), st.booleans())
def test_what_is_written_is_read(written: list[tuple[str, Outcome]], plan_first: bool) -> None:
    """Whatever points are written come back in order; without its last line or its plan the stream is refused."""
    words = {P: ("ok", ""), F: ("not ok", ""), S: ("ok", " # SKIP x"), W: ("ok", " # TODO x")}
    points = [
        f"{words[outcome][0]} {number} - {name}{words[outcome][1]}"
        for number, (name, outcome) in enumerate(written, start=1)
    ]
    plan = f"1..{len(points)}"
    lines = [plan, *points] if plan_first else [*points, plan]
    assert cases("TAP version 14\n" + "\n".join(lines)) == written
    refused("TAP version 14\n" + "\n".join([*lines[:-1], ""]))
