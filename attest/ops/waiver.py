"""Break-glass: make a waiver, have one more sign it, and read one that is presented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from attest.core.envelope import EnvelopeInvalid, read_bundle
from attest.core.policy import Policy, WaiverRule
from attest.core.reference import Digest
from attest.core.statement import StatementInvalid, read_statement
from attest.core.waiver import Presented, Waiver, WaiverInvalid, read_waiver, signed_by, terms, write_waiver
from attest.errors import DocumentInvalid, UsageError
from attest.ops.named import Named
from attest.ops.sign import subject_name
from attest.ports import BundleSigner, Signed

SIGNATURES = 32
"""Bundles that may be presented for one waiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to be waived, and until when."""

    images: Sequence[Named]
    environment: str
    lanes: Sequence[str]
    reason: str
    ticket: str
    not_before: datetime
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedWaiver:
    """A waiver in the bundle of one who signed it."""

    waiver: Waiver
    signed: Signed
    signer: str
    """By the name of the policy; several, with commas, where a key is shared."""
    needed: int
    """So many have to sign it."""


def present(files: Sequence[tuple[str, bytes]], *, environment: str) -> Presented:
    """The waiver in these files, each of which is the bundle of one signer: its name and its bytes.

    Raises:
        DocumentInvalid: a file is no bundle of a waiver.
        UsageError: two of them are of different waivers, or there are too many.
    """
    if len(files) > SIGNATURES:
        raise UsageError(f"{len(files)} files for one waiver; at most {SIGNATURES} are read")
    found: list[tuple[str, Waiver]] = []
    for file, content in files:
        payload = _payload(file, content)
        try:
            waiver = read_waiver(read_statement(payload), payload)
        except (StatementInvalid, WaiverInvalid) as error:
            raise DocumentInvalid(f"no waiver: {error}", file=file) from error
        found.append((file, waiver))
    first, waiver = found[0]
    for file, other in found[1:]:
        if other.digest != waiver.digest:
            raise UsageError(
                f"{first} and {file} are different waivers",
                hint="one waiver is presented at a time; several people sign one with `attest waive --countersign`",
            )
    return Presented(waiver=waiver, bundles=tuple(content for _, content in files), environment=environment)


def waive(wish: Wish, policy: Policy, *, signer: BundleSigner, now: datetime) -> SignedWaiver:
    """A new waiver, signed.

    Raises:
        UsageError: it could never hold under this policy, or whoever signs may not waive.
        ServiceFailed: a service that has a part in signing did not do it.
    """
    rule = _rule(policy)
    subjects: dict[Digest, str] = {}
    for image in wish.images:
        subjects.setdefault(image.reference.digest, subject_name(image))
    try:
        payload = write_waiver(
            subjects=subjects,
            environment=wish.environment,
            policy=policy,
            lanes=wish.lanes,
            reason=wish.reason,
            ticket=wish.ticket,
            not_before=wish.not_before,
            expires=wish.expires,
        )
        waiver = read_waiver(read_statement(payload), payload)
    except (StatementInvalid, WaiverInvalid) as error:
        raise UsageError(f"this cannot be waived: {error}") from error
    return _signed(waiver, payload, policy, rule, environment=wish.environment, signer=signer, now=now)


def countersign(
    file: str, content: bytes, policy: Policy, *, environment: str, signer: BundleSigner, now: datetime
) -> SignedWaiver:
    """The waiver in a file, signed by one more, word for word.

    Raises:
        DocumentInvalid: it is no bundle of a waiver.
        UsageError: it could not hold under this policy, or whoever signs may not waive.
        ServiceFailed: a service that has a part in signing did not do it.
    """
    rule = _rule(policy)
    waiver = present([(file, content)], environment=environment).waiver
    payload = _payload(file, content)
    return _signed(waiver, payload, policy, rule, environment=environment, signer=signer, now=now)


def _payload(file: str, content: bytes) -> bytes:
    try:
        return read_bundle(content).payload
    except EnvelopeInvalid as error:
        raise DocumentInvalid(f"no waiver: {error}", file=file) from error


def _rule(policy: Policy) -> WaiverRule:
    if policy.waivers is None:
        raise UsageError(
            f"the policy {policy.name} has no `waivers`: nothing is ever waived under it",
            hint="its owner decides who may waive which lanes; docs/break-glass.md says how",
        )
    return policy.waivers


def _signed(
    waiver: Waiver,
    payload: bytes,
    policy: Policy,
    rule: WaiverRule,
    *,
    environment: str,
    signer: BundleSigner,
    now: datetime,
) -> SignedWaiver:
    problems = [message for _, message in terms(policy, rule, waiver, waiver.images, environment=environment)]
    if waiver.expires <= now:
        problems.append("it would have expired already")
    if problems:
        raise UsageError(f"this waiver would never hold: {'; '.join(problems)}", hint="nothing was signed")
    made = signer.sign(payload)
    names, _ = signed_by(policy, rule, waiver, [made.bundle])
    if not names:
        who = ", ".join(sorted(rule.parties))
        raise UsageError(f"who signed may not waive under the policy {policy.name}; {who} may")
    return SignedWaiver(waiver=waiver, signed=made, signer=",".join(names), needed=rule.threshold)
