"""What an evaluation ends with: Passed or Refused, and a state for every lane of every image.

Reason codes are stable: scripts may compare them. Each is described in docs/reasons.md.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, NoReturn

from attest.core.reference import Digest
from attest.core.verify import Rejected, VerifiedStatement


class State(StrEnum):
    """The state of a lane. Only `present` lets an image pass."""

    PRESENT = "present"
    MISSING = "missing"
    UNTRUSTED = "untrusted"
    FAILED = "failed"
    UNMET = "unmet"
    STALE = "stale"
    MISMATCHED = "mismatched"
    REVOKED = "revoked"


class Reason(StrEnum):
    """Why a release, an image or a lane is refused, or that a lane is present."""

    # of the whole release
    POLICY_EXPIRED = "policy-expired"
    SERIAL_TOO_LOW = "serial-too-low"
    POLICY_CHANGED = "policy-changed"
    INPUT_WITHHELD = "input-withheld"
    # of a waiver that does not hold
    WAIVERS_UNDECLARED = "waivers-undeclared"
    WAIVER_UNTRUSTED = "waiver-untrusted"
    WAIVER_REVOKED = "waiver-revoked"
    WAIVER_SUBJECTS_DIFFER = "waiver-subjects-differ"
    WAIVER_ENVIRONMENT_DIFFERS = "waiver-environment-differs"
    WAIVER_POLICY_DIFFERS = "waiver-policy-differs"
    WAIVER_LANE_UNLISTED = "waiver-lane-unlisted"
    WAIVER_TOO_LONG = "waiver-too-long"
    WAIVER_TOO_EARLY = "waiver-too-early"
    WAIVER_EXPIRED = "waiver-expired"
    # of an image
    OUTSIDE_POLICY = "outside-policy"
    NO_LANE = "no-lane"
    IMAGE_REVOKED = "image-revoked"
    PLATFORM_REVOKED = "platform-revoked"
    PLATFORMS_UNDECLARED = "platforms-undeclared"
    PLATFORM_MISSING = "platform-missing"
    PLATFORM_UNLISTED = "platform-unlisted"
    PLATFORM_DOUBLED = "platform-doubled"
    INDEX_NESTED = "index-nested"
    STATEMENT_UNREADABLE = "statement-unreadable"
    # of a lane, by state
    PRESENT = "present"
    NOT_FOUND = "not-found"
    PREDICATE_TYPE_DIFFERS = "predicate-type-differs"
    SUBJECT_DIFFERS = "subject-differs"
    LANE_DIFFERS = "lane-differs"
    TOO_FEW_SIGNERS = "too-few-signers"
    SIGNER_DIFFERS = "signer-differs"
    RESULT_FAILED = "result-failed"
    RESULT_WARNED = "result-warned"
    CONDITION_UNMET = "condition-unmet"
    TOO_OLD = "too-old"
    NO_TIME = "no-time"
    TIME_UNTRUSTED = "time-untrusted"
    IN_THE_FUTURE = "in-the-future"
    REPOSITORY_DIFFERS = "repository-differs"
    COMMIT_DIFFERS = "commit-differs"
    REF_DIFFERS = "ref-differs"
    RUN_DIFFERS = "run-differs"
    SOURCE_UNNAMED = "source-unnamed"
    SOURCE_DISAGREES = "source-disagrees"
    WORK_TREE_DIRTY = "work-tree-dirty"
    SUBJECTS_DIFFER = "subjects-differ"
    BUNDLE_REVOKED = "bundle-revoked"
    KEY_REVOKED = "key-revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a release or an image is refused before its lanes count."""

    reason: Reason
    message: str


class LaneVerdict(NamedTuple):
    """The state of one lane of one image; `evidence` is what it was decided on, newest first."""

    lane: str
    state: State
    reason: Reason
    message: str
    evidence: tuple[VerifiedStatement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageVerdict:
    """What was found out about one image. `image` repeats the reference as it was given."""

    image: str
    digest: Digest
    refusals: tuple[Refusal, ...]
    lanes: tuple[LaneVerdict, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything a verdict rests on."""

    policy: str
    policy_digest: Digest
    serial: int
    time: datetime
    refusals: tuple[Refusal, ...]
    images: tuple[ImageVerdict, ...]
    inputs: frozenset[Digest]
    """The bundles of all verified evidence, superseded ones too."""
    trusted_root: Digest | None = None
    """The root that was used where the policy's digest does not cover it: that of the public-good Sigstore."""

    @property
    def nothing_refused(self) -> bool:
        """Whether there are images, each with lanes, all of them present, and no refusal anywhere."""
        return self.lacks_only(frozenset())

    def lacks_only(self, lanes: frozenset[str]) -> bool:
        """The same, but that lanes of these names may be lacking; what is revoked is more than lacking."""
        return (
            not self.refusals
            and bool(self.images)
            and all(
                not image.refusals
                and image.lanes
                and all(
                    lane.state is State.PRESENT or (lane.lane in lanes and lane.state is not State.REVOKED)
                    for lane in image.lanes
                )
                for image in self.images
            )
        )


_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passed:
    """The full set of evidence is there, now. What promotes or deploys takes this type and no other."""

    findings: Findings
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("Passed is made by evaluate() alone")

    def __init_subclass__(cls, **_: Any) -> NoReturn:
        raise TypeError("Passed has no subclasses")

    def __reduce__(self) -> NoReturn:
        raise TypeError("Passed is not pickled or copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedThen:
    """It would have passed at a time in the past (`--at`). Nothing is promoted or deployed on this."""

    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something that the policy demands is not there, or something that it forbids is."""

    findings: Findings


Verdict = Passed | PassedThen | Refused


def conclude(findings: Findings, *, historical: bool) -> Verdict:
    """The verdict that follows from the findings, and from nothing else."""
    if not findings.nothing_refused:
        return Refused(findings=findings)
    if historical:
        return PassedThen(findings=findings)
    return Passed(findings=findings, seal=_SEAL)
