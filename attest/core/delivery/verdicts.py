"""A verdict as the ledger keeps it: who vouched for what, lane by lane, and by which evidence."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from attest.core.delivery.fields import Count, Image, Line, Moment, Name, Payload, Sha256, Text, clipped
from attest.core.policy import Policy
from attest.core.reference import RegistryImage, parse_reference
from attest.core.report import source_of
from attest.core.verdict import Findings, ImageVerdict, LaneVerdict, Passed, Reason, Refusal, Refused, State
from attest.core.verify import VerifiedStatement
from attest.core.waiver import Allowed, Waived

EVIDENCE: Final = 16
"""Bundles of one lane that are recorded, newest first; how many more there were is recorded too."""


class Decision(StrEnum):
    """What a verdict was."""

    PASSED = "passed"
    REFUSED = "refused"
    WAIVED = "waived"
    """It would have been refused, but for a waiver."""


class RecordedWaiver(Payload):
    """A waiver by which lanes may be lacking, and who signed it."""

    digest: Sha256
    lanes: tuple[Name, ...]
    reason: Line
    ticket: Line
    not_before: Moment
    expires: Moment
    signers: tuple[str, ...]
    """Names of the policy."""


class RecordedPolicy(Payload):
    """The policy that was decided under."""

    name: str
    serial: Count
    digest: Sha256
    trusted_root: Sha256 | None
    """Where the policy's digest does not cover the root."""


class RecordedRefusal(Payload):
    """Why a release or an image was refused before its lanes counted."""

    reason: Reason
    message: Text


class RecordedEvidence(Payload):
    """A verified bundle, and what its signer said."""

    digest: Sha256
    signers: tuple[str, ...]
    """Names of the policy."""
    time: Moment | None
    result: str | None
    source: dict[str, str]
    """What it names of `repository`, `commit`, `ref`, `run`, `attempt`, `job`, `url` and `dirty`, as text."""


class RecordedLane(Payload):
    """The state of one lane of one image."""

    lane: str
    state: State
    reason: Reason
    message: Text
    evidence: tuple[RecordedEvidence, ...]
    more: Count
    """Bundles that are not listed."""


class RecordedImage(Payload):
    """What was found out about one image."""

    image: Image
    refusals: tuple[RecordedRefusal, ...]
    lanes: tuple[RecordedLane, ...]
    rejected: Count
    """Attached bundles that are no evidence."""


class RecordedVerdict(Payload):
    """A verdict."""

    decision: Decision
    policy: RecordedPolicy
    time: Moment
    aged_at: Moment | None
    """The verdict at which `max-age` was measured, on the way back to a release; None where it was now."""
    refusals: tuple[RecordedRefusal, ...]
    images: tuple[RecordedImage, ...]
    inputs: tuple[Sha256, ...]
    """The bundles of all verified evidence, superseded ones too."""
    waiver: RecordedWaiver | None = None
    """By which it was waived."""


def record_verdict(verdict: Allowed | Refused, policy: Policy, *, aged_at: Moment | None) -> RecordedVerdict:
    """What is recorded of a verdict on images in registries."""
    findings = verdict.findings
    return RecordedVerdict(
        decision=_DECISIONS[type(verdict)],
        policy=record_policy(findings),
        time=findings.time,
        aged_at=aged_at,
        refusals=tuple(map(_refusal, findings.refusals)),
        images=tuple(_image(image, policy) for image in findings.images),
        inputs=tuple(sorted(findings.inputs)),
        waiver=record_waiver(verdict) if isinstance(verdict, Waived) else None,
    )


_DECISIONS: Final[Mapping[type[Allowed | Refused], Decision]] = {
    Passed: Decision.PASSED,
    Waived: Decision.WAIVED,
    Refused: Decision.REFUSED,
}


def record_policy(findings: Findings) -> RecordedPolicy:
    """What is recorded of the policy that was decided under."""
    return RecordedPolicy(
        name=findings.policy,
        serial=findings.serial,
        digest=findings.policy_digest,
        trusted_root=findings.trusted_root,
    )


def record_waiver(waived: Waived) -> RecordedWaiver:
    """What is recorded of the waiver that something goes by."""
    waiver = waived.waiver
    return RecordedWaiver(
        digest=waiver.digest,
        lanes=waiver.lanes,
        reason=waiver.reason,
        ticket=waiver.ticket,
        not_before=waiver.not_before,
        expires=waiver.expires,
        signers=waived.signers,
    )


def why(verdict: Refused) -> str:
    """Why a release was refused, in one line: what a person has to know first."""
    findings = verdict.findings
    reasons = [refusal.message for refusal in findings.refusals]
    for image in findings.images:
        reasons += [f"{image.image}: {refusal.message}" for refusal in image.refusals]
        reasons += [
            f"{image.image}: {lane.lane} is {lane.state} ({lane.message})"
            for lane in image.lanes
            if lane.state is not State.PRESENT
        ]
    return clipped("; ".join(reasons))


def _refusal(refusal: Refusal) -> RecordedRefusal:
    return RecordedRefusal(reason=refusal.reason, message=clipped(refusal.message))


def _image(image: ImageVerdict, policy: Policy) -> RecordedImage:
    reference = parse_reference(image.image)
    assert isinstance(reference, RegistryImage)  # noqa: S101 - services of an environment are bound to repositories
    return RecordedImage(
        image=reference,
        refusals=tuple(map(_refusal, image.refusals)),
        lanes=tuple(_lane(lane, policy) for lane in image.lanes),
        rejected=len(image.rejected),
    )


def _lane(lane: LaneVerdict, policy: Policy) -> RecordedLane:
    return RecordedLane(
        lane=lane.lane,
        state=lane.state,
        reason=lane.reason,
        message=clipped(lane.message),
        evidence=tuple(_evidence(one, policy) for one in lane.evidence[:EVIDENCE]),
        more=max(0, len(lane.evidence) - EVIDENCE),
    )


def _evidence(verified: VerifiedStatement, policy: Policy) -> RecordedEvidence:
    return RecordedEvidence(
        digest=verified.bundle,
        signers=tuple(sorted(policy.names_of(verified.credential))),
        time=verified.time,
        result=None if verified.result is None else str(verified.result),
        source={name: clipped(str(value)) for name, value in source_of(verified).items()},
    )
