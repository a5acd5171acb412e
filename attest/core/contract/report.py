"""The report of a contract's checks as the document that scripts read: `attest.contract-report/v1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from attest.core.contract.case import BASELINE, CI_IMAGE, LOCK, PROVENANCE
from attest.core.contract.finding import (
    Check,
    CheckResult,
    Exemption,
    ExemptionUse,
    Finding,
    FoundLayer,
    Outcome,
    Report,
    SharedLayer,
    Standing,
)
from attest.core.oci import Platform
from attest.core.reference import Digest
from attest.core.statement import format_time

SCHEMA: Final = "attest.contract-report/v1"


class Role(StrEnum):
    """As what something took part in the checks."""

    CONTRACT = "contract"
    LOCK = "lock"
    BASELINE = "baseline"
    CI_IMAGE = "ci-image"
    PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something that the checks looked at besides the image."""

    role: Role
    name: str
    """As it was named: a file, an image. Foreign text."""
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What made the checks."""

    name: str
    version: str
    code: str
    """The digest of its files, as `dirHash` (in-toto `digest_set.md`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A report, and what it was made with."""

    report: Report
    image: str
    """As it was named."""
    time: datetime
    """UTC."""
    inputs: tuple[Input, ...]
    tool: Tool
    table: Mapping[str, Check]
    """Every check of the report by its id; there may be others."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Those that were made, in the order of the report."""
        return tuple(self.table[check] for check in dict.fromkeys(result.check for result in self.report.results))

    @property
    def platforms(self) -> tuple[Platform | None, ...]:
        """Those of the results in their order; None, what is about the image as a whole, is last."""
        found = dict.fromkeys(result.platform for result in self.report.results)
        return tuple(sorted(found, key=lambda platform: platform is None))


class Ending(StrEnum):
    """How a check ended, told more closely than its outcome: the worst first."""

    FAILED = "failed"
    UNDECIDED = "undecided"
    WARNED = "warned"
    EXCEPTED = "excepted"
    """It passed with the help of an exception."""
    PASSED = "passed"


def ending(result: CheckResult) -> Ending:
    """How a check ended on a platform."""
    if result.outcome is Outcome.FAILED:
        return Ending.FAILED
    if result.outcome is Outcome.UNDECIDED:
        return Ending.UNDECIDED
    standings = {finding.standing for finding in result.findings}
    if Standing.WARNING in standings:
        return Ending.WARNED
    return Ending.EXCEPTED if Standing.EXCEPTED in standings else Ending.PASSED


def endings(results: Sequence[CheckResult]) -> dict[str, Ending]:
    """How each check ended, in the order of the results: on the platform where it ended worst."""
    order = list(Ending)
    found: dict[str, Ending] = {}
    for result in results:
        found[result.check] = min(found.get(result.check, Ending.PASSED), ending(result), key=order.index)
    return found


def remedies(checked: Checked, result: CheckResult) -> tuple[str, ...]:
    """What to do about a check that failed or could not be decided; nothing about one that passed."""
    if result.outcome is Outcome.FAILED:
        return (checked.table[result.check].fix,)
    undecided = [finding for finding in result.findings if finding.standing is Standing.UNDECIDED]
    return tuple(dict.fromkeys(_missing(finding) for finding in undecided))


def _missing(finding: Finding) -> str:
    if finding.place.startswith("sha256:"):  # a layer that may be of the base
        return _MISSING[BASELINE]
    return _MISSING.get(finding.place, _UNREAD)


_MISSING: Final = {
    BASELINE: "Name the image that it was built on, with --baseline.",
    CI_IMAGE: "Name the image that its tests run in, with --ci-image.",
    LOCK: "Name its lock with --lock; `attest image lock` makes one.",
    PROVENANCE: "Attach a provenance of the build that can be read and says it: docs/provenance.md.",
}
_UNREAD: Final = "`attest image facts` lists what could not be read; an exception of the contract can allow it."


def document(checked: Checked, *, signed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The report as JSON values, with what was signed; the schema is `attest/schemas/contract-report.v1.json`."""
    report = checked.report
    return {
        "schema": SCHEMA,
        "verdict": report.outcome.name,
        "image": checked.image,
        "digest": report.image,
        "time": format_time(checked.time),
        "tool": {
            "name": checked.tool.name,
            "version": checked.tool.version,
            "digest": {"dirHash": checked.tool.code},
        },
        "contract": {"name": report.contract, "digest": report.contract_digest},
        "inputs": [{"role": one.role.value, "name": one.name, "digest": one.digest} for one in checked.inputs],
        "checks": [
            {"id": check.id, "aliases": list(check.aliases), "why": check.why, "fix": check.fix}
            for check in checked.checks
        ],
        "results": [_result(result) for result in report.results],
        "exceptions": [_use(use) for use in report.exemptions],
        "shared_layers": [_shared(layer) for layer in report.shared],
        "signed": None if signed is None else dict(signed),
    }


def exception_document(exemption: Exemption) -> dict[str, Any]:
    """An exception of a contract, as the contract says it."""
    return {
        "id": exemption.id,
        "path": exemption.path,
        "reason": exemption.reason,
        "owner": exemption.owner,
        "expires": format_time(exemption.expires),
    }


def layer_document(layer: FoundLayer) -> dict[str, Any]:
    """A layer and its build step."""
    return {"position": layer.position, "digest": layer.digest, "created_by": layer.created_by}


def _result(result: CheckResult) -> dict[str, Any]:
    return {
        "check": result.check,
        "platform": _platform(result.platform),
        "outcome": result.outcome.value,
        "findings": [_finding(finding) for finding in result.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "place": finding.place,
        "message": finding.message,
        "standing": finding.standing.value,
        "layer": None if finding.layer is None else layer_document(finding.layer),
        "exception": None if finding.exemption is None else exception_document(finding.exemption),
    }


def _use(use: ExemptionUse) -> dict[str, Any]:
    return {**exception_document(use.exemption), "use": use.use.value, "findings": use.findings}


def _shared(shared: SharedLayer) -> dict[str, Any]:
    return {
        "diff_id": shared.diff_id,
        "shared_as": shared.shared_as.value,
        "runtime": {"platform": str(shared.platform), "layer": layer_document(shared.runtime)},
        "ci": {"platform": str(shared.ci_platform), "layer": layer_document(shared.ci)},
    }


def _platform(platform: Platform | None) -> str | None:
    return None if platform is None else str(platform)
