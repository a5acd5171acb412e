"""Break-glass: a signed waiver lets named lanes be lacking, for exact images, in one environment, for a short time.

A waiver is an in-toto Statement of a predicate type of its own. Its subjects are the images of the release, all of
them and nothing else. Several people sign one waiver by signing the same bytes, each in a bundle of their own.

What comes of it is `Waived`, a third kind of verdict beside Passed and Refused: it may be promoted or deployed, and
is good for nothing else. Without a refusal before the lanes, every lane that is not waived has to be present in one
combination, and none may be revoked; a waiver that is not needed is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, NoReturn

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from attest.core.delivery.fields import Line, Moment, Name, Payload
from attest.core.evaluate import Found, Remembered, evaluate, find
from attest.core.identity import distinct, party_of
from attest.core.policy import Policy, WaiverRule
from attest.core.policydocument import lifetime
from attest.core.reference import Digest, digest_of
from attest.core.release import Release
from attest.core.statement import NO_CONTEXT, Statement, format_time, write_statement
from attest.core.strictjson import Json
from attest.core.verdict import Findings, Passed, PassedThen, Reason, Refusal, Refused, State, Verdict
from attest.core.verify import VerifiedStatement, verify_all

WAIVER: Final = "https://attest-gate.dev/waiver/v1"
"""The predicate type: a name, not an address to ask."""


class WaiverInvalid(ValueError):
    """A Statement is no waiver."""


class _Digests(Payload):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Policy(Payload):
    name: Name
    digest: _Digests


class _Predicate(Payload):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    environment: Name
    policy: _Policy
    lanes: Annotated[list[Name], Field(min_length=1)]
    reason: Line
    ticket: Line
    not_before: Moment
    expires: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """What a waiver says. Who signed it is another question."""

    digest: Digest
    """Of the bytes that are signed: what it is known by, whoever signs it."""
    images: frozenset[Digest]
    environment: str
    policy: str
    policy_digest: Digest
    lanes: tuple[str, ...]
    reason: str
    ticket: str
    not_before: datetime
    expires: datetime
    """From this moment on it allows nothing."""


def write_waiver(
    *,
    subjects: dict[Digest, str],
    environment: str,
    policy: Policy,
    lanes: Sequence[str],
    reason: str,
    ticket: str,
    not_before: datetime,
    expires: datetime,
) -> bytes:
    """The Statement of a waiver under a policy; `subjects` are the images, each with the name that it has for people.

    Raises:
        WaiverInvalid: `read_waiver` would not take it.
    """
    try:
        predicate = _Predicate(
            environment=environment,
            policy=_Policy(name=policy.name, digest=_Digests(sha256=policy.digest.removeprefix("sha256:"))),
            lanes=list(lanes),
            reason=reason,
            ticket=ticket,
            not_before=not_before,
            expires=expires,
        )
    except ValidationError as error:
        raise WaiverInvalid(_said(error)) from error
    return write_statement(
        subjects=subjects,
        context=NO_CONTEXT,
        predicate_type=WAIVER,
        predicate=predicate.model_dump(mode="json", by_alias=True),
    )


def read_waiver(statement: Statement, payload: bytes) -> Waiver:
    """The waiver that a Statement is; `payload` is the bytes that it was read from.

    Raises:
        WaiverInvalid: it is of another predicate type, says too little, too much, or what makes no sense.
    """
    if statement.predicate_type != WAIVER:
        raise WaiverInvalid(f"its predicate type is {statement.predicate_type}, not {WAIVER}")
    if statement.context != NO_CONTEXT:
        raise WaiverInvalid("it is labelled as the statement of a lane")
    if statement.subject_count != len(statement.digests):
        raise WaiverInvalid("a subject of it has no sha256 digest, and so is no image")
    try:
        said = _Predicate.model_validate(dict(statement.predicate))
    except ValidationError as error:
        raise WaiverInvalid(_said(error)) from error
    if len(set(said.lanes)) != len(said.lanes):
        raise WaiverInvalid("it names a lane twice")
    if said.expires <= said.not_before:
        raise WaiverInvalid("it expires before it begins to hold")
    return Waiver(
        digest=digest_of(payload),
        images=statement.digests,
        environment=said.environment,
        policy=said.policy.name,
        policy_digest=Digest("sha256:" + said.policy.digest.sha256),
        lanes=tuple(said.lanes),
        reason=said.reason,
        ticket=said.ticket,
        not_before=said.not_before,
        expires=said.expires,
    )


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A waiver that a command line names, in the bundles of all who signed it. Nothing of it is believed yet."""

    waiver: Waiver
    bundles: tuple[bytes, ...] = ()
    environment: str
    """Where the images are to go."""


_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waived:
    """It would have been refused, and lanes that it lacks are waived. It passed in no sense, and never will have."""

    findings: Findings
    waiver: Waiver
    signers: tuple[str, ...]
    """Who waived it, by the names of the policy."""
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("Waived is made by evaluate_waived() alone")

    def __init_subclass__(cls, **_: Any) -> NoReturn:
        raise TypeError("Waived has no subclasses")

    def __reduce__(self) -> NoReturn:
        raise TypeError("Waived is not pickled or copied")

    @property
    def lacking(self) -> tuple[str, ...]:
        """The lanes that are not present for an image, in the order of the waiver."""
        absent = {
            lane.lane for image in self.findings.images for lane in image.lanes if lane.state is not State.PRESENT
        }
        return tuple(lane for lane in self.waiver.lanes if lane in absent)


Allowed = Passed | Waived
"""What promotes and deploys takes these types and no others."""

Answer = Verdict | Waived
"""The verdict where somebody may have presented a waiver."""


def evaluate_waived(
    policy: Policy,
    release: Release,
    evidence: Sequence[Found],
    presented: Presented,
    *,
    now: datetime,
    remembered: Remembered | None = None,
) -> Passed | Waived | Refused:
    """The verdict on a release for which a waiver is presented. Where it passes by itself, the waiver is not used.

    A waiver that does not hold is one more reason for the refusal.
    """
    verdict = evaluate(policy, release, evidence, now=now, remembered=remembered)
    assert not isinstance(verdict, PassedThen)  # noqa: S101 - a verdict of now
    if isinstance(verdict, Passed):
        return verdict
    signers, refusals = _granted(policy, release, presented, now)
    if refusals:
        findings = verdict.findings
        return Refused(findings=replace(findings, refusals=(*findings.refusals, *refusals)))
    waived = frozenset(presented.waiver.lanes)
    findings = find(policy, release, evidence, now=now, remembered=remembered, waived=waived)
    if not findings.lacks_only(waived):
        return Refused(findings=findings)
    return Waived(findings=findings, waiver=presented.waiver, signers=signers, seal=_SEAL)


def _granted(
    policy: Policy, release: Release, presented: Presented, now: datetime
) -> tuple[tuple[str, ...], tuple[Refusal, ...]]:
    """Who of the policy's `waivers` signed it, and everything because of which it does not hold all the same."""
    rule = policy.waivers
    if rule is None:
        message = f"the policy {policy.name} has no `waivers`: nothing is ever waived under it"
        return (), (Refusal(reason=Reason.WAIVERS_UNDECLARED, message=message),)
    waiver = presented.waiver
    signers, untrusted = signed_by(policy, rule, waiver, presented.bundles)
    problems = (
        *untrusted,
        *terms(policy, rule, waiver, release.subjects, environment=presented.environment),
        *_time(waiver, now),
    )
    return signers, tuple(Refusal(reason=reason, message=message) for reason, message in problems)


def signed_by(
    policy: Policy, rule: WaiverRule, waiver: Waiver, bundles: Sequence[bytes]
) -> tuple[tuple[str, ...], tuple[tuple[Reason, str], ...]]:
    """Who signed a waiver, of those who may, and why that is not enough."""
    outcomes = verify_all([(content, False) for content in bundles], policy.keyring)
    if not policy.revoked.isdisjoint({waiver.digest, *(outcome.bundle for outcome in outcomes)}):
        return (), ((Reason.WAIVER_REVOKED, "the policy's `revoked` lists this waiver"),)
    proofs: dict[str, set[str]] = {}
    notes: list[str] = []
    for outcome in outcomes:
        if not isinstance(outcome, VerifiedStatement):
            notes.append(outcome.message)
        elif digest_of(outcome.payload) != waiver.digest:
            notes.append("one of the bundles signs something else")
        elif outcome.credential.fingerprint in policy.revoked:
            notes.append("a key that signed it is revoked")
        else:
            names = policy.names_of(outcome.credential)
            if names.isdisjoint(rule.parties):
                notes.append(f"{', '.join(sorted(names))} signed it, who may not waive")
            for name in names & rule.parties:
                proofs.setdefault(name, set()).add(party_of(outcome.credential))
    count = distinct(proofs)
    if count >= rule.threshold:
        return tuple(sorted(proofs)), ()
    who = rule.signer if rule.threshold == 1 else f"{rule.threshold} of {', '.join(sorted(rule.parties))}"
    message = "; ".join(
        (f"{count} of {rule.threshold} signatures that the waiver needs ({who})", *dict.fromkeys(notes))
    )
    return tuple(sorted(proofs)), ((Reason.WAIVER_UNTRUSTED, message),)


def terms(
    policy: Policy, rule: WaiverRule, waiver: Waiver, images: frozenset[Digest], *, environment: str
) -> Iterator[tuple[Reason, str]]:
    """Why a waiver is not for these images, this environment or this policy, whoever signed it, whenever that is."""
    if waiver.images != images:
        message = f"the waiver is for {_list(waiver.images)}, and this release is {_list(images)}"
        yield Reason.WAIVER_SUBJECTS_DIFFER, message
    if waiver.environment != environment:
        message = f"the waiver is for the environment {waiver.environment}, not for {environment}"
        yield Reason.WAIVER_ENVIRONMENT_DIFFERS, message
    if waiver.policy_digest != policy.digest or waiver.policy != policy.name:
        message = (
            f"the waiver is for the policy {waiver.policy} ({waiver.policy_digest}), "
            f"and decided is under {policy.name} ({policy.digest})"
        )
        yield Reason.WAIVER_POLICY_DIFFERS, message
    for lane in waiver.lanes:
        if lane not in rule.lanes:
            message = f"the lane {lane} is not among those that may be waived: {', '.join(sorted(rule.lanes))}"
            yield Reason.WAIVER_LANE_UNLISTED, message
    if waiver.expires - waiver.not_before > rule.max_lifetime:
        message = (
            f"the waiver would hold from {format_time(waiver.not_before)} until {format_time(waiver.expires)}; "
            f"the policy allows {lifetime(rule.max_lifetime)}"
        )
        yield Reason.WAIVER_TOO_LONG, message


def _time(waiver: Waiver, now: datetime) -> Iterator[tuple[Reason, str]]:
    if now < waiver.not_before:
        yield Reason.WAIVER_TOO_EARLY, f"the waiver begins to hold at {format_time(waiver.not_before)}"
    if now >= waiver.expires:
        yield Reason.WAIVER_EXPIRED, f"the waiver expired at {format_time(waiver.expires)}"


def _list(digests: frozenset[Digest]) -> str:
    return ", ".join(sorted(digests))


def waiver_document(waiver: Waiver, signers: Sequence[str]) -> dict[str, Json]:
    """A waiver as JSON values, with who signed it."""
    return {
        "digest": waiver.digest,
        "environment": waiver.environment,
        "policy": {"name": waiver.policy, "digest": waiver.policy_digest},
        "lanes": list(waiver.lanes),
        "reason": waiver.reason,
        "ticket": waiver.ticket,
        "not_before": format_time(waiver.not_before),
        "expires": format_time(waiver.expires),
        "signers": list(signers),
    }
