"""The report of a contract's checks as JUnit suites: one for each platform, with a case for each check.

A check that could not be decided is a case with an error, and none is ever skipped: whoever reads failures and errors
alone must not take it for a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from attest.core.contract.finding import CheckResult, Finding, Outcome, Standing
from attest.core.contract.report import Checked, remedies
from attest.core.statement import format_time

_WHOLE: Final = "image"
"""The class of what is about no platform."""


class JunitOutcome(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failure"
    UNDECIDED = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class JunitCase:
    """One test case. All texts may be foreign."""

    classname: str
    name: str
    outcome: JunitOutcome
    message: str
    """In one sentence, unless it passed."""
    details: str
    """In lines, unless it passed."""
    output: str
    """What there is to say beside the outcome, in lines; often nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JunitSuite:
    """Cases that belong together."""

    name: str
    timestamp: str
    """ISO 8601, UTC."""
    properties: tuple[tuple[str, str], ...]
    cases: tuple[JunitCase, ...]


def junit(checked: Checked) -> tuple[JunitSuite, ...]:
    """The report as suites."""
    report = checked.report
    properties = [
        ("image", checked.image),
        ("digest", report.image),
        ("contract", report.contract),
        ("contract.digest", report.contract_digest),
        ("attest.version", checked.tool.version),
        *((f"{one.role.value}.digest", one.digest) for one in checked.inputs),
    ]
    return tuple(
        JunitSuite(
            name=f"{report.contract} {platform or _WHOLE}",
            timestamp=format_time(checked.time).removesuffix("Z"),
            properties=tuple(dict(properties).items()),
            cases=tuple(_case(checked, result) for result in report.results if result.platform == platform),
        )
        for platform in checked.platforms
    )


_OUTCOMES: Final = {
    Outcome.PASSED: JunitOutcome.PASSED,
    Outcome.FAILED: JunitOutcome.FAILED,
    Outcome.UNDECIDED: JunitOutcome.UNDECIDED,
}
_DECISIVE: Final[Mapping[Outcome, tuple[Standing, ...]]] = {
    Outcome.PASSED: (),
    Outcome.FAILED: (Standing.VIOLATION, Standing.UNDECIDED),
    Outcome.UNDECIDED: (Standing.UNDECIDED,),
}
"""Findings that a case ends as it does by, the worst first; the others are its output."""


def _case(checked: Checked, result: CheckResult) -> JunitCase:
    check = checked.table[result.check]
    decisive = [
        finding for standing in _DECISIVE[result.outcome] for finding in result.findings if finding.standing is standing
    ]
    details = [line for finding in decisive for line in _lines(finding)]
    if decisive:
        word = "fix" if result.outcome is Outcome.FAILED else "next"
        details += [f"why: {check.why}", *(f"{word}: {remedy}" for remedy in remedies(checked, result))]
        details += [f"also known as: {', '.join(check.aliases)}"] if check.aliases else []
    others = [finding for finding in result.findings if finding not in decisive]
    return JunitCase(
        classname=str(result.platform or _WHOLE),
        name=result.check,
        outcome=_OUTCOMES[result.outcome],
        message=_message(decisive),
        details="\n".join(details),
        output="\n".join(line for finding in others for line in _lines(finding)),
    )


def _message(findings: list[Finding]) -> str:
    if not findings:
        return ""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0].place}: {findings[0].message}{more}"


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.standing.value}: {finding.place}: {finding.message}"
    if finding.layer is not None:
        yield f"  layer {finding.layer.position} {finding.layer.digest}"
        if finding.layer.created_by is not None:
            yield f"  made by: {finding.layer.created_by}"
    if finding.exemption is not None:
        allowed = finding.exemption
        yield f"  allowed by {allowed.owner} until {format_time(allowed.expires)}: {allowed.reason}"
