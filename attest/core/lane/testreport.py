"""What a test report says, and the result that follows from it.

A report is a list of cases, or the coverage of a run, or both. The result is computed from the cases alone; nothing
that a report says about their number, and no result that it claims for itself, is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from attest.core.predicates import Result
from attest.core.reference import Digest
from attest.core.strictjson import shown


class Outcome(StrEnum):
    """How one test ended."""

    PASSED = "passed"
    WARNED = "warned"
    """It passed with a warning, or not at the first attempt, or although it was expected to fail."""
    FAILED = "failed"
    """It failed, or could not be run to its end."""
    SKIPPED = "skipped"
    """It was not run, or failed as it was expected to."""


class Format(StrEnum):
    """A format of reports."""

    JUNIT = "junit"
    SARIF = "sarif"
    CTRF = "ctrf"
    TAP = "tap"
    PLAYWRIGHT = "playwright"
    COBERTURA = "cobertura"
    COVERAGE_PY = "coverage.py"

    @property
    def media_type(self) -> str:
        """What the bytes are, for descriptors."""
        return _MEDIA_TYPES[self]


class Empty(StrEnum):
    """What a report without any executed test means."""

    REFUSED = "refused"
    """FAILED: a lane that ran nothing has shown nothing."""
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class Case:
    """One test. The name is exactly the report's, whatever characters it has: escape it before it is shown."""

    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Executed lines of all executable ones; where branches were measured, each is counted like a line."""

    covered: int
    total: int

    @property
    def percent(self) -> Decimal:
        """The share that was executed, from 0 to 100, rounded down to two places; 0 where there is nothing."""
        if not self.total:
            return Decimal("0.00")
        return Decimal(self.covered * 10_000 // self.total).scaleb(-2)

    def reaches(self, minimum: Decimal) -> bool:
        """Whether at least `minimum` percent was executed, compared exactly. Nothing reaches no minimum, not even 0."""
        return self.total > 0 and Decimal(self.covered * 100) >= minimum * self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that was read. `file` is what the user named it."""

    file: str
    format: Format
    digest: Digest
    """Of the report's bytes."""
    size: int
    """Bytes."""
    cases: tuple[Case, ...] | None = None
    """None if reports of this format are not about tests."""
    problems: tuple[str, ...] = ()
    """What failed without being a case: a tool that stopped, a set-up that broke. Foreign text."""
    coverage: Coverage | None = None
    """None if reports of this format are not about coverage."""
    tool: str | None = None
    """Name and version of the tool that wrote it, as far as it says so. Foreign text."""

    @property
    def media_type(self) -> str:
        """What the bytes are, for descriptors."""
        return self.format.media_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many cases ended how."""

    passed: int = 0
    warned: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def executed(self) -> int:
        """All that were run."""
        return self.passed + self.warned + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The result of all reports together."""

    result: Result
    reasons: tuple[str, ...]
    """Why, in words; never empty. They quote foreign text: escape them before they are shown."""
    counts: Counts
    """Cases of all reports; a name may stand for several."""
    passed: tuple[str, ...]
    """Names in the order of the reports, each once in one of the three: the worst outcome decides."""
    warned: tuple[str, ...]
    failed: tuple[str, ...]
    reports: tuple[Report, ...]
    min_coverage: Decimal | None


def parse_percent(text: str) -> Decimal:
    """A share such as `90` or `87.5`, from 0 to 100, with at most four places.

    Raises:
        ValueError: it is anything else.
    """
    if _PERCENT.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no percentage; write a number from 0 to 100, as in 87.5")
    return Decimal(text)


def judge(reports: Sequence[Report], *, empty: Empty, min_coverage: Decimal | None) -> Judged:
    """The result of all reports together.

    FAILED if a case failed, a report names a problem, a report of tests has no executed case (or no report is about
    tests at all, and no coverage was judged) and `empty` does not allow it, or coverage does not reach
    `min_coverage` percent in each report that has any, which one has to. Else WARNED if a case warned, else PASSED.
    """
    counts = count(case for report in reports for case in report.cases or ())
    names = _names(reports)
    failures = [*_failed_cases(counts, names[Outcome.FAILED]), *_problems(reports)]
    failures += _uncovered(reports, min_coverage)
    if empty is Empty.REFUSED:
        failures += _nothing_run(reports, min_coverage)
    if failures:
        result, reasons = Result.FAILED, failures
    elif counts.warned:
        result = Result.WARNED
        reasons = [f"{counts.warned} of {_tests(counts.executed)} warned: {_some(names[Outcome.WARNED])}"]
    else:
        result = Result.PASSED
        reasons = [_all_passed(counts, reports, min_coverage)]
    return Judged(
        result=result,
        reasons=tuple(reasons),
        counts=counts,
        passed=names[Outcome.PASSED],
        warned=names[Outcome.WARNED],
        failed=names[Outcome.FAILED],
        reports=tuple(reports),
        min_coverage=min_coverage,
    )


def count(cases: Iterable[Case]) -> Counts:
    """How many of the cases ended how."""
    found = dict.fromkeys(Outcome, 0)
    for case in cases:
        found[case.outcome] += 1
    return Counts(
        passed=found[Outcome.PASSED],
        warned=found[Outcome.WARNED],
        failed=found[Outcome.FAILED],
        skipped=found[Outcome.SKIPPED],
    )


_MEDIA_TYPES: Final[Mapping[Format, str]] = {
    Format.JUNIT: "application/xml",
    Format.SARIF: "application/sarif+json",
    Format.CTRF: "application/json",
    Format.TAP: "text/plain",
    Format.PLAYWRIGHT: "application/json",
    Format.COBERTURA: "application/xml",
    Format.COVERAGE_PY: "application/json",
}
_PERCENT: Final = re.compile(r"100(?:\.0{1,4})?|[0-9]{1,2}(?:\.[0-9]{1,4})?")
_BADNESS: Final = {Outcome.SKIPPED: 0, Outcome.PASSED: 1, Outcome.WARNED: 2, Outcome.FAILED: 3}
_SOME: Final = 3
"""Names that a reason quotes."""


def _names(reports: Iterable[Report]) -> Mapping[Outcome, tuple[str, ...]]:
    """The names of each outcome. A test that ran in several places, or several times, has its worst outcome."""
    worst: dict[str, Outcome] = {}
    for report in reports:
        for case in report.cases or ():
            if _BADNESS[case.outcome] >= _BADNESS[worst.get(case.name, Outcome.SKIPPED)]:
                worst[case.name] = case.outcome
    found: dict[Outcome, list[str]] = {outcome: [] for outcome in Outcome}
    for name, outcome in worst.items():
        found[outcome].append(name)
    return {outcome: tuple(names) for outcome, names in found.items()}


def _failed_cases(counts: Counts, names: Sequence[str]) -> list[str]:
    return [f"{counts.failed} of {_tests(counts.executed)} failed: {_some(names)}"] if counts.failed else []


def _problems(reports: Iterable[Report]) -> list[str]:
    return [f"{report.file}: {problem}" for report in reports for problem in report.problems[:_SOME]]


def _uncovered(reports: Sequence[Report], minimum: Decimal | None) -> list[str]:
    """Why the coverage is not what was asked for. A report about coverage that covers no line at all is never right."""
    found = []
    for report in reports:
        if report.coverage is None:
            continue
        if not report.coverage.total:
            found.append(f"{report.file} covers no line at all")
        elif minimum is not None and not report.coverage.reaches(minimum):
            found.append(f"{report.file}: {report.coverage.percent} % is covered, and at least {minimum} % has to be")
    if minimum is not None and all(report.coverage is None for report in reports):
        found.append(f"at least {minimum} % has to be covered, and no report is about coverage")
    return found


def _nothing_run(reports: Sequence[Report], minimum: Decimal | None) -> list[str]:
    tests = [report for report in reports if report.cases is not None]
    if not tests and (minimum is None or not reports):
        return ["no report says that a test was run"]
    found = []
    for report in tests:
        counts = count(report.cases or ())
        if not counts.executed:
            skipped = f": all {counts.skipped} were skipped" if counts.skipped else ""
            found.append(f"{report.file} has no executed test{skipped}")
    return found


def _all_passed(counts: Counts, reports: Iterable[Report], minimum: Decimal | None) -> str:
    text = f"{_tests(counts.executed)} passed" if counts.executed else "no test was executed, which is allowed"
    covered = [report.coverage.percent for report in reports if report.coverage is not None]
    if minimum is not None and covered:
        reached = f"{min(covered)} % is covered, at least {minimum} % has to be"
        text = f"{text}; {reached}" if counts.executed else reached
    return text


def _tests(number: int) -> str:
    return "1 test" if number == 1 else f"{number} tests"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(shown(name) for name in names[:_SOME]) + more
