"""A verdict as the ledger keeps it: who vouched for what, lane by lane, and by which evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from attest.core import limits
from attest.core.canonicaljson import canonical
from attest.core.delivery.fields import DETAIL, Count, Image, Line, Moment, Name, Payload, Sha256, Text, clipped
from attest.core.policy import Policy
from attest.core.reference import RegistryImage, parse_reference
from attest.core.report import source_of
from attest.core.verdict import Findings, ImageVerdict, LaneVerdict, Passed, Reason, Refusal, Refused, State
from attest.core.verify import VerifiedStatement
from attest.core.waiver import Allowed, Waived

EVIDENCE: Final = 16
"""Bundles of one lane that are recorded, newest first; how many more there were is recorded too."""
PARTS: Final = 4096
"""The same of images, of lanes of one image, of reasons, and of inputs."""
ROOM: Final = limits.RECORD // 2
"""Bytes that a verdict may take of a record; the rest is for what was seen of the services."""


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
    more: Count = 0
    """Lanes that are not listed; those that are not present are listed first."""
    more_refusals: Count = 0


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
    more: Count = 0
    """Images that are not listed; those for which it did not pass are listed first."""
    more_refusals: Count = 0
    more_inputs: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """How much is kept of one verdict."""

    evidence: int = EVIDENCE
    text: int = DETAIL
    parts: int = PARTS

    @property
    def halved(self) -> _Bounds:
        """Half of each."""
        return _Bounds(evidence=self.evidence // 2, text=self.text // 2, parts=self.parts // 2)


_NOTHING: Final = _Bounds(evidence=0, text=0, parts=0)


def record_verdict(verdict: Allowed | Refused, policy: Policy, *, aged_at: Moment | None) -> RecordedVerdict:
    """What is recorded of a verdict on images in registries.

    Where that takes more than `ROOM`, half as much evidence of each lane, half as much text, and in the end fewer
    lanes, images and inputs are kept, until it does not; how many are left out is recorded. Decision, policy and waiver
    stay. An end must not be missing from the ledger because there was much to say about it.
    """
    bounds = _Bounds()
    while True:
        if _least(verdict.findings, bounds) <= ROOM:
            recorded = _verdict(verdict, policy, aged_at, bounds)
            if bounds == _NOTHING or len(canonical(recorded.model_dump(mode="json"))) <= ROOM:
                return recorded
        bounds = bounds.halved


def _least(findings: Findings, bounds: _Bounds) -> int:
    """Bytes that a record of these takes at least: what cannot fit need not be written to be measured."""
    images = findings.images[: bounds.parts]
    lanes = [lane for image in images for lane in image.lanes[: bounds.parts]]
    return _LANE * len(lanes) + _BUNDLE * sum(len(lane.evidence[: bounds.evidence]) for lane in lanes)


_LANE: Final = len('{"evidence":[],"lane":"","message":"","more":0,"reason":"","state":""}')
_BUNDLE: Final = len('{"digest":"","result":null,"signers":[],"source":{},"time":null}') + len("sha256:") + 64


def _verdict(verdict: Allowed | Refused, policy: Policy, aged_at: Moment | None, bounds: _Bounds) -> RecordedVerdict:
    findings = verdict.findings
    images = sorted(findings.images, key=_passed)
    inputs = sorted(findings.inputs)
    return RecordedVerdict(
        decision=_DECISIONS[type(verdict)],
        policy=record_policy(findings),
        time=findings.time,
        aged_at=aged_at,
        refusals=tuple(_refusal(one, bounds) for one in findings.refusals[: bounds.parts]),
        images=tuple(_image(image, policy, bounds) for image in _first(findings.images, images, bounds)),
        inputs=tuple(inputs[: bounds.parts]),
        waiver=record_waiver(verdict) if isinstance(verdict, Waived) else None,
        more=max(0, len(images) - bounds.parts),
        more_refusals=max(0, len(findings.refusals) - bounds.parts),
        more_inputs=max(0, len(inputs) - bounds.parts),
    )


def _passed(image: ImageVerdict) -> bool:
    return not image.refusals and all(lane.state is State.PRESENT for lane in image.lanes)


def _present(lane: LaneVerdict) -> bool:
    return lane.state is State.PRESENT


_One = TypeVar("_One")


def _first(whole: Sequence[_One], ranked: Sequence[_One], bounds: _Bounds) -> Sequence[_One]:
    """As many as are kept: all in their own order, or the first of those in the order of what matters."""
    return whole if len(whole) <= bounds.parts else ranked[: bounds.parts]


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


def _refusal(refusal: Refusal, bounds: _Bounds) -> RecordedRefusal:
    return RecordedRefusal(reason=refusal.reason, message=clipped(refusal.message, bounds.text))


def _image(image: ImageVerdict, policy: Policy, bounds: _Bounds) -> RecordedImage:
    reference = parse_reference(image.image)
    assert isinstance(reference, RegistryImage)  # noqa: S101 - services of an environment are bound to repositories
    lanes = _first(image.lanes, sorted(image.lanes, key=_present), bounds)
    return RecordedImage(
        image=reference,
        refusals=tuple(_refusal(one, bounds) for one in image.refusals[: bounds.parts]),
        lanes=tuple(_lane(lane, policy, bounds) for lane in lanes),
        rejected=len(image.rejected),
        more=max(0, len(image.lanes) - bounds.parts),
        more_refusals=max(0, len(image.refusals) - bounds.parts),
    )


def _lane(lane: LaneVerdict, policy: Policy, bounds: _Bounds) -> RecordedLane:
    return RecordedLane(
        lane=lane.lane,
        state=lane.state,
        reason=lane.reason,
        message=clipped(lane.message, bounds.text),
        evidence=tuple(_evidence(one, policy, bounds) for one in lane.evidence[: bounds.evidence]),
        more=max(0, len(lane.evidence) - bounds.evidence),
    )


def _evidence(verified: VerifiedStatement, policy: Policy, bounds: _Bounds) -> RecordedEvidence:
    return RecordedEvidence(
        digest=verified.bundle,
        signers=tuple(sorted(policy.names_of(verified.credential))),
        time=verified.time,
        result=None if verified.result is None else str(verified.result),
        source={name: clipped(str(value), bounds.text) for name, value in source_of(verified).items()},
    )
