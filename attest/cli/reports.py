"""`--report` and what goes with it: the options, and reading the reports that they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attest.cli.terminal import escape
from attest.core import limits
from attest.core.lane.testreport import Empty, Judged, Report, judge, parse_percent
from attest.core.predicates import Result
from attest.errors import LimitExceeded, UsageError
from attest.ops.run import Demands

if TYPE_CHECKING:
    from attest.adapters.fresh import FreshFiles
    from attest.core.reference import ImageReference
    from attest.core.strictjson import Json
    from attest.ports import Store

F = TypeVar("F", bound=Callable[..., Any])


def report_options(function: F) -> F:
    """`--report`, `--min-coverage`, `--allow-empty`."""
    for option in (
        click.option("--allow-empty", is_flag=True, help="Let reports pass in which no test was executed."),
        click.option(
            "--min-coverage", metavar="PERCENT", help="FAILED unless each report about coverage says at least this."
        ),
        click.option(
            "--report",
            "reports",
            metavar="FILE",
            multiple=True,
            help="A test or coverage report that decides the result; a quoted 'out/*.xml' is all that match.",
        ),
    ):
        function = option(function)
    return function


def read_demands(reports: Sequence[str], min_coverage: str | None, allow_empty: bool) -> Demands:
    """What the options demand of reports.

    Raises:
        UsageError: there are demands and no reports, or the percentage is none.
    """
    if not reports and (min_coverage is not None or allow_empty):
        option = "--allow-empty" if min_coverage is None else "--min-coverage"
        raise UsageError(f"{option} without --report demands something of nothing")
    try:
        minimum: Decimal | None = None if min_coverage is None else parse_percent(min_coverage)
    except ValueError as error:
        raise UsageError(f"--min-coverage: {error}") from error
    return Demands(empty=Empty.ALLOWED if allow_empty else Empty.REFUSED, min_coverage=minimum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What reports say, with their bytes."""

    judged: Judged
    contents: tuple[bytes, ...]

    def line(self) -> str:
        """The result and its reasons, for people."""
        return result_line(self.judged.result, self.judged.reasons)

    def predicate(self, store: Store | None, images: Sequence[ImageReference], *, url: str | None) -> dict[str, Json]:
        """The test-result; what does not fit into it is kept in the store."""
        from attest import __version__
        from attest.core.lane.testresult import tool_resource
        from attest.ops.reports import predicate_of

        tools = [tool_resource("attest", __version__)]
        return predicate_of(self.judged, self.contents, store=store, images=images, configuration=tools, url=url)


def read_judgement(reports: Sequence[str], min_coverage: str | None, allow_empty: bool) -> Judgement | None:
    """What the reports that the options name say; None where they name none.

    Raises:
        UsageError: there are demands and no reports, or a pattern matches no file.
        DocumentInvalid: one cannot be read, or is no report.
    """
    demands = read_demands(reports, min_coverage, allow_empty)
    if not reports:
        return None
    from attest.adapters.fresh import read_files

    files = read_files(reports, limit=limits.REPORT)
    judged = judge(read_reports(files), empty=demands.empty, min_coverage=demands.min_coverage)
    return Judgement(judged=judged, contents=tuple(content for _, content in files))


def result_line(result: Result, reasons: Sequence[str]) -> str:
    """A result and its reasons, for people."""
    said = click.style(result.value, fg=_COLOURS[result], bold=True)
    return f"  result      {said}: {escape('; '.join(reasons))}"


_COLOURS = {Result.PASSED: "green", Result.WARNED: "yellow", Result.FAILED: "red"}


@dataclass(slots=True)
class FreshReports:
    """Reports that a command has to write; `attest.ports.ReadReports`. The bytes stay here once they were read."""

    files: FreshFiles
    contents: list[bytes] = field(default_factory=list)

    def __call__(self) -> tuple[Report, ...]:
        """All of them, read now."""
        found = self.files.read()
        self.contents = [content for _, content in found]
        return read_reports(found)


def read_reports(files: Sequence[tuple[str, bytes]]) -> tuple[Report, ...]:
    """The reports that files are, in their order.

    Raises:
        DocumentInvalid: one is no report.
        LimitExceeded: there are too many.
    """
    if len(files) > limits.REPORTS:
        raise LimitExceeded(f"{len(files)} reports; at most {limits.REPORTS} are read")
    from attest.adapters.reports import read_report

    return tuple(read_report(content, file=path) for path, content in files)
