"""The Test Anything Protocol, versions 13 and 14 (testanything.org), and 12 where a stream starts with its plan.

Without a plan, or with another number of tests than planned, a stream is truncated and says nothing. Subtests count
instead of the test point that sums them up, unless that one fails and none of them does. Lines that are no TAP are a
program's output and are passed over, as the specification has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from attest.adapters.reports.common import Cases, Content, ReportInvalid, joined
from attest.core import limits
from attest.core.lane.testreport import Format, Outcome
from attest.core.strictjson import shown

_VERSION: Final = re.compile(r"TAP version ([0-9]{1,4})")
_PLAN: Final = re.compile(r"1\.\.([0-9]{1,9})(?:[ \t]*#.*)?")
_POINT: Final = re.compile(r"(not )?ok(?:[ \t]+([0-9]{1,9}))?(?:[ \t]+(.*))?")
_DIRECTIVE: Final = re.compile(r"(?<!\\)#[ \t]*(skip|todo)[^ \t]*(?:[ \t]|$)", re.IGNORECASE)
_BAIL: Final = re.compile(r"Bail out!(.*)")
_SUBTEST: Final = re.compile(r"# Subtest(?:: (.*))?")
_INDENT: Final = 4
_LINES: Final = 2_000_000
_BLANK: Final = " \t"
"""What may stand around a name; other white space is part of it."""


@dataclass(slots=True)
class _Level:
    """The test points of one indentation, from the first to the last line of it."""

    plan: int | None = None
    numbers: set[int] = field(default_factory=set)
    failed: bool = False
    """A point of it, or a subtest, has failed."""
    names: list[tuple[str, Outcome]] = field(default_factory=list)
    """The cases, named from this level on."""
    trailing: bool = False
    """The plan stood behind test points, so none may follow."""


def starts_tap(text: str) -> bool:
    """Whether the first line that is not blank is one of TAP."""
    first = text.lstrip().partition("\n")[0].rstrip("\r" + _BLANK)
    return any(pattern.fullmatch(first) for pattern in (_VERSION, _PLAN, _POINT, _SUBTEST))


def read_tap(text: str) -> Content:
    """What a TAP stream says.

    Raises:
        ReportInvalid: it is of another version, has no plan, or another number of tests than planned.
    """
    reader = _Reader()
    for number, line in enumerate(_lines(text), start=1):
        if number > _LINES:
            raise ReportInvalid(f"more than {_LINES} lines")
        reader.line(line.rstrip("\r"), number)
    return reader.finish()


def _lines(text: str) -> Iterator[str]:
    """The lines, one at a time; no other line end than these may part a name."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


class _Reader:
    def __init__(self) -> None:
        self._levels = [_Level()]
        self._yaml: str | None = None
        """The indentation of the YAML block that is open."""
        self._ended: tuple[str, int] = ("", 0)
        """What may open one: the indentation and line of the last test point."""
        self._problems: list[str] = []
        self._number = 0
        self._points = 0

    def line(self, line: str, number: int) -> None:
        self._number = number
        if self._yaml is not None:
            if line.rstrip(_BLANK) == f"{self._yaml}...":
                self._yaml = None
            return
        if self._opens_yaml(line):
            return
        content = line.lstrip(" ")
        indent = len(line) - len(content)
        content = content.rstrip(_BLANK)
        if not content or indent % _INDENT:
            return
        if match := _BAIL.fullmatch(content):
            self._problems.append(f"Bail out! {match[1].strip()[:200]}".rstrip())
            return
        depth = indent // _INDENT
        if depth == 0 and (match := _VERSION.fullmatch(content)):
            if number != 1 and (self._points or self._levels[0].plan is not None):
                raise self._error("a second TAP stream")
            if match[1] not in {"13", "14"}:
                raise self._error(f"TAP version {match[1]} is not read, only 13 and 14")
        elif match := _PLAN.fullmatch(content):
            self._plan(depth, int(match[1]))
        elif match := _POINT.fullmatch(content):
            self._point(depth, match)

    def finish(self) -> Content:
        if self._yaml is not None:
            raise self._error("it ends in a YAML block")
        if self._problems:  # what was planned after that was not run
            cases = self._collected([case for level in self._levels for case in level.names])
            return Content(format=Format.TAP, cases=cases.all(), problems=tuple(self._problems))
        if len(self._levels) > 1:
            raise self._error("it ends in a subtest")
        self._close(self._levels[0])
        return Content(format=Format.TAP, cases=self._collected(self._levels[0].names).all())

    def _opens_yaml(self, line: str) -> bool:
        indent, after = self._ended
        if after == self._number - 1 and line.rstrip(_BLANK) == f"{indent}  ---":
            self._yaml = f"{indent}  "
            return True
        return False

    def _level(self, depth: int) -> _Level:
        """The level of this depth, opened with all that lead to it: the first test may be deep inside."""
        if depth > limits.REPORT_DEPTH:
            raise self._error(f"subtests are nested deeper than {limits.REPORT_DEPTH}")
        while depth >= len(self._levels):
            self._levels.append(_Level())
        return self._levels[depth]

    def _plan(self, depth: int, planned: int) -> None:
        level = self._level(depth)
        if depth < len(self._levels) - 1:
            raise self._error("a subtest ends without the test point that sums it up")
        if level.plan is not None:
            raise self._error("a second plan")
        level.plan = planned
        level.trailing = bool(level.numbers)

    def _point(self, depth: int, match: re.Match[str]) -> None:
        level = self._level(depth)
        if depth < len(self._levels) - 2:
            raise self._error("a subtest ends without the test point that sums it up")
        self._points += 1
        if self._points > limits.REPORT_CASES:
            raise self._error(f"more than {limits.REPORT_CASES} cases")
        inner = self._levels.pop() if depth == len(self._levels) - 2 else None
        if level.trailing:
            raise self._error("a test point behind the plan that ended them")
        number = int(match[2]) if match[2] else len(level.numbers) + 1
        if number in level.numbers or number == 0:
            raise self._error(f"the test number {number} stands twice or is none")
        level.numbers.add(number)
        description, directive = _described(match[3] or "")
        name = description if description.strip() else f"test {number}"
        outcome = _outcome(failed=match[1] is not None, directive=directive)
        self._ended = " " * (depth * _INDENT), self._number
        if inner is None:
            level.names.append((name, outcome))
            level.failed = level.failed or outcome is Outcome.FAILED
            return
        self._close(inner)
        if inner.failed and outcome is Outcome.PASSED:
            raise self._error(f"{shown(name)} is ok, and a subtest of it is not")
        if outcome is Outcome.SKIPPED:  # of a subtest that was expected to fail nothing counts
            level.names.append((name, outcome))
            return
        level.names.extend((joined(name, of_inner), inner_outcome) for of_inner, inner_outcome in inner.names)
        if outcome is not Outcome.PASSED and not inner.failed:
            level.names.append((name, outcome))
        level.failed = level.failed or inner.failed or outcome is Outcome.FAILED

    def _close(self, level: _Level) -> None:
        if level.plan is None:
            raise self._error("there is no plan, so it may be truncated")
        if level.plan != len(level.numbers):
            raise self._error(f"{level.plan} tests were planned, and {len(level.numbers)} ran")
        if level.numbers and max(level.numbers) > level.plan:
            raise self._error(f"a test number above the plan of {level.plan}")

    def _collected(self, names: list[tuple[str, Outcome]]) -> Cases:
        cases = Cases()
        for name, outcome in names:
            cases.add(name, outcome)
        return cases

    def _error(self, message: str) -> ReportInvalid:
        return ReportInvalid(message, line=self._number or None)


def _described(text: str) -> tuple[str, str]:
    """The description of a test point, and its directive in lower case or an empty text."""
    directive = ""
    if match := _DIRECTIVE.search(text):
        directive = match[1].lower()
        text = text[: match.start()]
    text = text.strip(_BLANK).removeprefix("-").strip(_BLANK)
    return re.sub(r"\\([\\#])", r"\1", text), directive


def _outcome(*, failed: bool, directive: str) -> Outcome:
    if directive == "skip":
        return Outcome.FAILED if failed else Outcome.SKIPPED
    if directive == "todo":
        return Outcome.SKIPPED if failed else Outcome.WARNED
    return Outcome.FAILED if failed else Outcome.PASSED
