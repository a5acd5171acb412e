"""The report of a contract's checks as SARIF 2.1.0 (OASIS Standard with errata 01), for viewers and code scanning.

Each check that was made is a rule, each finding a result: a violation of level `error`, a warning of level `warning`,
one that an exception allows as suppressed. What could not be decided is of kind `open`, and the run then says that it
was not successful, since a reader that knows levels alone would take it for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from attest.core.contract.finding import LOCK_DRIFT, Check, Exemption, Finding, Outcome, Standing
from attest.core.contract.report import Checked, layer_document
from attest.core.statement import format_time

SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT: Final = "attestFinding/v1"
"""The partial fingerprint: the same for the same check, platform and place, from build to build."""

_ROOT: Final = "IMAGE"
"""`uriBaseId` of paths inside the image."""
_LEVELS: Final[Mapping[Standing, tuple[str, str]]] = {
    Standing.VIOLATION: ("fail", "error"),
    Standing.EXCEPTED: ("fail", "error"),
    Standing.UNDECIDED: ("open", "none"),
    Standing.WARNING: ("fail", "warning"),
}
"""Kind (3.27.9) and level (3.27.10)."""


def sarif(checked: Checked) -> dict[str, Any]:
    """The report as a SARIF log with one run."""
    report = checked.report
    rules = {check.id: position for position, check in enumerate(checked.checks)}
    seen: Counter[str] = Counter()
    results = []
    for finding in report.findings:
        same = _identity(finding)
        results.append(_result(checked, finding, rule=rules[finding.check], fingerprint=_digest(same, seen[same])))
        seen[same] += 1
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(checked)},
                "automationDetails": {"id": f"attest image check/{report.contract}/"},
                "invocations": [_invocation(checked)],
                "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the image's filesystem."}}},
                "results": results,
                "columnKind": "unicodeCodePoints",
                "properties": {
                    "image": checked.image,
                    "digest": report.image,
                    "contract": {"name": report.contract, "digest": report.contract_digest},
                    "inputs": [
                        {"role": one.role.value, "name": one.name, "digest": one.digest} for one in checked.inputs
                    ],
                },
            }
        ],
    }


def _driver(checked: Checked) -> dict[str, Any]:
    return {
        "name": checked.tool.name,
        "version": checked.tool.version,
        "properties": {"dirHash": checked.tool.code},
        "rules": [_rule(check) for check in checked.checks],
    }


def _rule(check: Check) -> dict[str, Any]:
    known = f" Known elsewhere as {', '.join(check.aliases)}." if check.aliases else ""
    return {
        "id": check.id,
        "name": "".join(word.capitalize() for word in check.id.replace("_", ".").split(".")),
        "shortDescription": {"text": _plain(check.why)},
        "fullDescription": {"text": _plain(f"{check.why}{known}")},
        "help": {"text": _plain(f"{check.fix}{known}")},
        "defaultConfiguration": {"level": "error"},
        "properties": {"aliases": list(check.aliases), "tags": ["container-image", *check.aliases]},
    }


def _invocation(checked: Checked) -> dict[str, Any]:
    undecided = [
        finding
        for result in checked.report.results
        if result.outcome is Outcome.UNDECIDED
        for finding in result.findings
        if finding.standing is Standing.UNDECIDED
    ]
    successful = all(result.outcome is not Outcome.UNDECIDED for result in checked.report.results)
    return {
        "executionSuccessful": successful and bool(checked.report.results),
        "exitCode": checked.report.exit,
        "endTimeUtc": format_time(checked.time),
        "toolExecutionNotifications": [
            {
                "level": "error",
                "message": {"text": _plain(f"{finding.check} could not be decided: {finding.message}")},
                "associatedRule": {"id": finding.check},
            }
            for finding in undecided
        ],
    }


def _result(checked: Checked, finding: Finding, *, rule: int, fingerprint: str) -> dict[str, Any]:
    kind, level = _LEVELS[finding.standing]
    platform = None if finding.platform is None else str(finding.platform)
    result: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": _plain(f"{finding.place}: {finding.message}")},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": _artifact(checked, finding)},
                "logicalLocations": [
                    {
                        "name": finding.place,
                        "fullyQualifiedName": " ".join(filter(None, (platform, finding.check, finding.place))),
                        "kind": _kind(finding),
                    }
                ],
            }
        ],
        "partialFingerprints": {FINGERPRINT: fingerprint},
        "properties": {
            "platform": platform,
            "layer": None if finding.layer is None else layer_document(finding.layer),
        },
    }
    if finding.exemption is not None:
        result["suppressions"] = [_suppression(finding.exemption)]
    return result


def _artifact(checked: Checked, finding: Finding) -> dict[str, str]:
    """The file inside the image, or the image where it is not about a file; code scanning wants one or the other."""
    if _is_path(finding):
        return {"uri": quote(finding.place.lstrip("/") or ".", safe="/"), "uriBaseId": _ROOT}
    return {"uri": quote(checked.image, safe="/@")}


def _is_path(finding: Finding) -> bool:
    """Whether the place is one in the image: in a lock it is a JSON pointer, and of an exception its pattern."""
    return finding.place.startswith("/") and finding.check != LOCK_DRIFT and finding.platform is not None


def _kind(finding: Finding) -> str:
    """What a place names (3.33.7)."""
    if _is_path(finding):
        return "file"
    return "package" if finding.place.startswith("pkg:") else "property"


def _suppression(exemption: Exemption) -> dict[str, Any]:
    """3.35: an exception of the contract allows it, outside of what was looked at."""
    return {
        "kind": "external",
        "status": "accepted",
        "justification": exemption.reason,
        "properties": {"owner": exemption.owner, "expires": format_time(exemption.expires), "path": exemption.path},
    }


def _identity(finding: Finding) -> str:
    return json.dumps([finding.check, None if finding.platform is None else str(finding.platform), finding.place])


def _digest(identity: str, repeated: int) -> str:
    """Findings of one place differ by their order alone, since a layer's digest changes with each build."""
    return hashlib.sha256(f"{identity}{repeated}".encode()).hexdigest()


def _plain(text: str) -> str:
    """A text in which nothing is a placeholder (3.11.5) or a link (3.11.6)."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")
