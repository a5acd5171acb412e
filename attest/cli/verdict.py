"""A verdict for people: one line for each lane, the state first, then who, when, and what would make it pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from attest.cli.terminal import escape
from attest.core.policy import Lane, Policy, Signer
from attest.core.predicates import TEST_RESULT
from attest.core.report import signer_names, source_of
from attest.core.statement import format_time
from attest.core.verdict import ImageVerdict, LaneVerdict, PassedThen, Reason, Refused, State
from attest.core.verify import VerifiedStatement
from attest.core.waiver import Answer, Waived

_WIDTH = max(len(state) for state in State)


def lines(verdict: Answer, policy: Policy) -> Iterator[str]:
    """The verdict, line by line, safe for a terminal; colours are left to `click.echo` to strip."""
    findings = verdict.findings
    lanes = {lane.name: lane for lane in policy.lanes}
    waived = verdict.lacking if isinstance(verdict, Waived) else ()
    for image in findings.images:
        yield escape(image.image)
        yield from _image_lines(image, policy, lanes, waived)
    for refusal in findings.refusals:
        yield f"{_red('refused')}  {escape(refusal.message)}  [{refusal.reason}]"
    if isinstance(verdict, Waived):
        yield from _waiver(verdict)
    yield _summary(verdict)


def _waiver(verdict: Waived) -> Iterator[str]:
    """Who let what be lacking, why, and until when."""
    waiver = verdict.waiver
    yield f"{_red('waived')}  {escape(', '.join(verdict.lacking))} by {escape(', '.join(verdict.signers))}"
    yield f"        {escape(waiver.ticket)}: {escape(waiver.reason)}"
    yield f"        in {escape(waiver.environment)}, until {format_time(waiver.expires)}; {waiver.digest}"


def _image_lines(image: ImageVerdict, policy: Policy, lanes: dict[str, Lane], waived: Sequence[str]) -> Iterator[str]:
    for refusal in image.refusals:
        yield f"  {_red('refused')}  {escape(refusal.message)}  [{refusal.reason}]"
    wide = max((len(lane.lane) for lane in image.lanes), default=0)
    for lane in image.lanes:
        state = f"{lane.state:<{_WIDTH}}"
        present = lane.state is State.PRESENT
        yield f"  {_green(state) if present else _red(state)}  {lane.lane:<{wide}}  {_who(lane, policy)}"
        if not present:
            indent = " " * (_WIDTH + wide + 6)
            if lane.lane in waived:
                yield f"{indent}{_red('waived')}"
                continue
            step = next_step(lane, lanes[lane.lane], image, policy)
            yield f"{indent}{click.style('next', fg='cyan')}: {escape(step)}"
    if image.rejected:
        count = len(image.rejected)
        yield f"  {count} attached {'bundle is' if count == 1 else 'bundles are'} no evidence:"
        for rejected in image.rejected:
            yield f"    {rejected.bundle}  {escape(rejected.message)}  [{rejected.reason}]"


def _who(lane: LaneVerdict, policy: Policy) -> str:
    newest = lane.evidence[0] if lane.evidence else None
    if lane.state is State.PRESENT:
        return escape("; ".join(_evidence(statement, policy) for statement in lane.evidence))
    text = lane.message if newest is None else f"{lane.message} ({_evidence(newest, policy)})"
    return f"{escape(text)}  [{lane.reason}]"


def _evidence(verified: VerifiedStatement, policy: Policy) -> str:
    source = source_of(verified)
    parts = [signer_names(verified, policy)]
    parts.append("without a time" if verified.time is None else format_time(verified.time)[:19] + "Z")
    if "commit" in source:
        parts.append(f"commit {source['commit'][:12]}")
    if "run" in source:
        parts.append(f"run {source['run']}")
    return ", ".join(parts)


def next_step(lane: LaneVerdict, rule: Lane, image: ImageVerdict, policy: Policy) -> str:
    """What would make a lane pass, in the words of the policy."""
    absent = _absent(lane, rule, policy)
    signer = policy.signers[absent[0]]
    command = _command(rule, signer, image)
    match lane.state:
        case State.MISSING if lane.reason is Reason.TOO_FEW_SIGNERS:
            step = f"have {' or '.join(absent)} sign it too: {command}"
        case State.MISSING:
            step = f"run the lane and sign what it found: {command}"
        case State.UNTRUSTED:
            step = f"only {rule.signer} may sign this lane: {command}"
        case State.FAILED:
            step = "mend what failed and run the lane again; a later run that passes supersedes this one"
        case State.UNMET:
            step = "run the lane again so that every `where` of the policy holds"
        case State.STALE if lane.reason is Reason.TIME_UNTRUSTED:
            step = f"sign so that a trusted service vouches for the time: {command}"
        case State.STALE:
            step = "run the lane again; its evidence has to be of now"
        case State.MISMATCHED:
            step = f"run every lane on one {', '.join(policy.source.bind)} of {policy.source.repository}"
        case State.REVOKED if signer.identity is not None:
            step = "run the lane again: every run has a key of its own, and this one's is revoked"
        case State.REVOKED:
            step = f"run the lane again and sign with a key of {rule.signer} that is not revoked"
        case State.PRESENT:
            step = "nothing"
    return step


def _absent(lane: LaneVerdict, rule: Lane, policy: Policy) -> list[str]:
    """The signers of the lane who have not signed yet, or all of them where that is not what is missing."""
    signed = frozenset[str]()
    if lane.reason is Reason.TOO_FEW_SIGNERS:
        signed = signed.union(*(policy.names_of(verified.credential) for verified in lane.evidence))
    return sorted(rule.parties - signed) or sorted(rule.parties)


def _command(rule: Lane, signer: Signer, image: ImageVerdict) -> str:
    """How this signer signs the lane. A key whose time nobody vouches for is no use where a time is trusted."""
    how = "--keyless" if signer.identity is not None else f"--key {signer.name}.key"
    if signer.identity is None and rule.trusted_time:
        how += " --trust-config FILE"
    what = (
        "--result passed"
        if rule.predicate_type == TEST_RESULT
        else f"--predicate-type {rule.predicate_type} --predicate FILE"
    )
    where = "" if signer.identity is None else f", in the job {signer.identity.identity}"
    return f"attest sign {image.image} --lane {rule.name} {how} {what}{where}"


def _summary(verdict: Answer) -> str:
    findings = verdict.findings
    states = [lane.state for image in findings.images for lane in image.lanes]
    count = f"{states.count(State.PRESENT)} of {len(states)} lanes present"
    rule = f"policy {escape(findings.policy)}, serial {findings.serial}, {findings.policy_digest}"
    match verdict:
        case Refused():
            return f"{_red('REFUSED')}  {count}; {rule}"
        case Waived():
            return f"{_red('WAIVED')}  {count}; {rule}"
        case PassedThen():
            return f"{_green('PASSED')} at {format_time(findings.time)}  {count}; {rule}"
        case _:
            return f"{_green('PASSED')}  {count}; {rule}"


def _red(text: str) -> str:
    return click.style(text, fg="red", bold=True)


def _green(text: str) -> str:
    return click.style(text, fg="green")
