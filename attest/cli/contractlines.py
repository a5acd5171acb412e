"""A report of a contract's checks for people: what failed first, each with where, why, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import click

from attest.cli.terminal import escape
from attest.core.contract.finding import CheckResult, Finding, FoundLayer, Outcome, SharedAs, Standing
from attest.core.contract.report import Checked, Ending, ending, remedies
from attest.core.contract.result import reasons
from attest.core.oci import Platform
from attest.core.statement import format_time

_FINDINGS: Final = 20
"""Findings of one check that are shown; `--format json` has them all."""
_STEP: Final = 160
"""Characters of a build step."""
_WIDTH: Final = max(len(one) for one in Ending)
_INDENT: Final = " " * (_WIDTH + 6)
_COLOURS: Final = {
    Ending.FAILED: "red",
    Ending.UNDECIDED: "yellow",
    Ending.WARNED: "yellow",
    Ending.EXCEPTED: "green",
    Ending.PASSED: "green",
}
_VERDICTS: Final = {Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow", Outcome.PASSED: "green"}
_STANDINGS: Final = {
    Standing.VIOLATION: "",
    Standing.EXCEPTED: "excepted: ",
    Standing.UNDECIDED: "undecided: ",
    Standing.WARNING: "warning: ",
}


def lines(checked: Checked) -> Iterator[str]:
    """The report, line by line, safe for a terminal; colours are left to `click.echo` to strip."""
    yield escape(checked.image)
    for platform in checked.platforms:
        yield f"  {escape(_named(platform))}"
        yield from _platform(checked, [result for result in checked.report.results if result.platform == platform])
    yield from _shared(checked)
    yield _verdict(checked)


def _platform(checked: Checked, results: Sequence[CheckResult]) -> Iterator[str]:
    for one in Ending:
        if one is Ending.PASSED:
            continue
        for result in results:
            if ending(result) is one:
                yield from _result(checked, result, one)
    passed = [result.check for result in results if ending(result) is Ending.PASSED]
    if passed:
        yield f"    {_state(Ending.PASSED)}  {', '.join(passed)}"


def _result(checked: Checked, result: CheckResult, ended: Ending) -> Iterator[str]:
    check = checked.table[result.check]
    aliases = f"  ({', '.join(check.aliases)})" if check.aliases else ""
    yield f"    {_state(ended)}  {click.style(check.id, bold=True)}{aliases}"
    findings = sorted(result.findings, key=lambda finding: list(Standing).index(finding.standing))
    for finding in findings[:_FINDINGS]:
        yield from _finding(finding, ended)
    if len(findings) > _FINDINGS:
        yield f"{_INDENT}and {len(findings) - _FINDINGS} more; --format json has them all"
    told = remedies(checked, result)
    if told:
        yield f"{_INDENT}{_label('why')} {escape(check.why)}"
    for remedy in told:
        yield f"{_INDENT}{_label('fix' if ended is Ending.FAILED else 'next')} {escape(remedy)}"


def _finding(finding: Finding, ended: Ending) -> Iterator[str]:
    """One finding; its standing is told where it is not that of the whole check."""
    alike = {Ending.EXCEPTED: Standing.EXCEPTED, Ending.UNDECIDED: Standing.UNDECIDED, Ending.WARNED: Standing.WARNING}
    told = "" if alike.get(ended) is finding.standing else _STANDINGS[finding.standing]
    named = finding.place.replace("-", " ").casefold() in finding.message.replace("-", " ").casefold()
    place = "" if named else f"{finding.place}: "
    yield f"{_INDENT}{told}{escape(place + finding.message)}"
    if finding.layer is not None:
        yield f"{_INDENT}  {_layer(finding.layer)}"
    if finding.exemption is not None:
        allowed = finding.exemption
        words = f"allowed by {allowed.owner} until {format_time(allowed.expires)[:10]}: {allowed.reason}"
        yield f"{_INDENT}  {escape(words)}"


def _layer(layer: FoundLayer) -> str:
    step = layer.created_by
    if step is None:
        return f"layer {layer.position}  {layer.digest[:19]}"
    shown = escape(" ".join(step.split()))
    if len(shown) > _STEP:
        shown = f"{shown[:_STEP].rstrip()} ..."
    return f"layer {layer.position}  {layer.digest[:19]}  {shown}"


def _shared(checked: Checked) -> Iterator[str]:
    """Layers that the CI image has too and may have; the others are findings."""
    for shared_as, words in ((SharedAs.BASE, "of the base"), (SharedAs.RUNTIME, "the CI image builds on them")):
        of_kind = [shared for shared in checked.report.shared if shared.shared_as is shared_as]
        for platform in dict.fromkeys(shared.platform for shared in of_kind):
            positions = [str(one.runtime.position) for one in of_kind if one.platform == platform]
            layers = ", ".join(dict.fromkeys(positions))
            yield f"  {escape(str(platform))}  layers {layers} are in the CI image too: {words}"


def _verdict(checked: Checked) -> str:
    report = checked.report
    verdict = click.style(report.outcome.name, fg=_VERDICTS[report.outcome], bold=report.outcome is not Outcome.PASSED)
    rule = f"contract {escape(report.contract)}, {report.contract_digest}"
    return f"{verdict}  {escape('; '.join(reasons(checked)))}; {rule}"


def _named(platform: Platform | None) -> str:
    return "the image as a whole" if platform is None else str(platform)


def _state(ended: Ending) -> str:
    text = f"{ended.value:<{_WIDTH}}"
    return click.style(text, fg=_COLOURS[ended], bold=ended is Ending.FAILED)


def _label(word: str) -> str:
    return click.style(f"{word}:", fg="cyan")
