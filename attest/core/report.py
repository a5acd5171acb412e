"""A verdict as the document that scripts read: `attest.verdict/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attest.core.policy import Policy
from attest.core.statement import format_time
from attest.core.verdict import Findings, Passed, PassedThen, Refusal, Refused
from attest.core.verify import VerifiedStatement
from attest.core.waiver import Answer, Waived, waiver_document

SCHEMA: Final = "attest.verdict/v1"

_WORDS: Final[Mapping[type[Answer], str]] = {
    Passed: "PASSED",
    PassedThen: "PASSED",
    Waived: "WAIVED",
    Refused: "REFUSED",
}


def document(verdict: Answer, policy: Policy, *, historical: bool = False) -> dict[str, Any]:
    """The verdict as JSON values; the schema is `attest/schemas/verdict.v1.json`. `historical` marks a look back."""
    findings: Findings = verdict.findings
    whole: dict[str, Any] = {
        "schema": SCHEMA,
        "verdict": _WORDS[type(verdict)],
        "policy": {"name": findings.policy, "digest": findings.policy_digest, "serial": findings.serial},
        "time": format_time(findings.time),
        "refusals": [_refusal(refusal) for refusal in findings.refusals],
        "images": [
            {
                "image": image.image,
                "refusals": [_refusal(refusal) for refusal in image.refusals],
                "lanes": [
                    {
                        "lane": lane.lane,
                        "state": lane.state.value,
                        "reason": lane.reason.value,
                        "message": lane.message,
                        "evidence": [_evidence(statement, policy) for statement in lane.evidence],
                    }
                    for lane in image.lanes
                ],
                "rejected": [
                    {"digest": rejected.bundle, "reason": rejected.reason, "message": rejected.message}
                    for rejected in image.rejected
                ],
            }
            for image in findings.images
        ],
    }
    if findings.trusted_root is not None:
        whole["policy"]["trusted_root"] = findings.trusted_root
    if isinstance(verdict, Waived):
        whole["waiver"] = waiver_document(verdict.waiver, verdict.signers)
    if historical:
        whole["historical"] = True
    return whole


def _refusal(refusal: Refusal) -> dict[str, str]:
    return {"reason": refusal.reason.value, "message": refusal.message}


def _evidence(verified: VerifiedStatement, policy: Policy) -> dict[str, Any]:
    return {
        "digest": verified.bundle,
        "signer": signer_names(verified, policy),
        "time": None if verified.time is None else format_time(verified.time),
        "result": None if verified.result is None else verified.result.value,
        "source": source_of(verified),
    }


def signer_names(verified: VerifiedStatement, policy: Policy) -> str:
    """The policy's signers whose signature it is; more than one only where a key or an identity is shared."""
    return ",".join(sorted(policy.names_of(verified.credential)))


def source_of(verified: VerifiedStatement) -> Mapping[str, Any]:
    """What the signed context and the predicate name as source and run; only what is named."""
    context = verified.statement.context
    places = (context, *verified.sources)
    named: dict[str, Any] = {}
    for name in ("repository", "commit", "ref"):
        values = dict.fromkeys(value for place in places if (value := getattr(place, name)) is not None)
        if values:
            named[name] = ", ".join(values)
    for name, value in (
        ("run", context.run_id),
        ("attempt", context.run_attempt),
        ("job", context.job),
        ("url", context.run_url),
    ):
        if value is not None:
            named[name] = value
    if context.dirty:
        named["dirty"] = True
    return named
