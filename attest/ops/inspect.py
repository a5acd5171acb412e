"""What is attached to a digest, for people: parsed without trust, and marked so unless a policy is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attest.core.certificate import Certificate, NotCertified, read_certificate
from attest.core.envelope import EnvelopeInvalid, read_bundle, read_envelope
from attest.core.material import read_material
from attest.core.policy import Policy
from attest.core.predicates import PredicateInvalid, Result, Source, build_sources, result_of
from attest.core.reference import Digest, ImageReference
from attest.core.release import StoredImage
from attest.core.statement import NO_CONTEXT, Statement, StatementInvalid, format_time, read_statement
from attest.core.verify import Unreadable, VerifiedStatement, verify
from attest.ports import Attached, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attached bundle, and what it claims. Nothing here is evidence."""

    attached: Attached
    hint: str | None
    """The key that the bundle says to look for."""
    certificate: Certificate | None
    """What the bundle's certificate says."""
    payload: bytes | None
    statement: Statement | None
    result: Result | None
    sources: tuple[Source, ...]
    """What a provenance names as the source."""
    problem: str | None
    """Why it could not be read, where it could not."""
    signers: tuple[str, ...] | None
    """The policy's signers whose signature it is; empty if it is nobody's; None where no policy was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """An image and the claims attached to it and, for an index, to each of its platforms."""

    image: ImageReference
    stored: StoredImage
    claims: Mapping[Digest, tuple[Claim, ...]]


def inspect(store: Store, image: ImageReference, *, policy: Policy | None) -> Inventory:
    """Everything attached to an image.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: something could not be listed or read.
    """
    claims: dict[Digest, dict[Digest, Claim]] = {}

    def receive(attached: Attached) -> None:
        claims.setdefault(attached.subject, {}).setdefault(attached.digest, _claim(attached, policy))

    stored = store.read(image, platform=True, receive=receive)
    return Inventory(
        image=image,
        stored=stored,
        claims={subject: tuple(sorted(found.values(), key=_by_lane_and_time)) for subject, found in claims.items()},
    )


def _by_lane_and_time(claim: Claim) -> tuple[str, str, Digest]:
    context = NO_CONTEXT if claim.statement is None else claim.statement.context
    finished = "" if context.finished is None else format_time(context.finished)
    return (context.lane or "", finished, claim.attached.digest)


def _claim(attached: Attached, policy: Policy | None) -> Claim:
    hint = payload = certificate = statement = result = problem = None
    sources: tuple[Source, ...] = ()
    try:
        envelope = read_envelope(attached.content) if attached.legacy else read_bundle(attached.content)
        hint, payload = envelope.hint, envelope.payload
        if envelope.certified:
            certificate = read_certificate(read_material(attached.content).certificate or b"")
        statement = read_statement(payload)
        result = result_of(statement.predicate_type, statement.predicate)
        sources = build_sources(statement.predicate_type, statement.predicate)
    except (EnvelopeInvalid, NotCertified, StatementInvalid, PredicateInvalid) as error:
        problem = str(error)
    return Claim(
        attached=attached,
        hint=hint,
        certificate=certificate,
        payload=payload,
        statement=statement,
        result=result,
        sources=sources,
        problem=problem,
        signers=None if policy is None else _signers(attached, policy),
    )


def _signers(attached: Attached, policy: Policy) -> tuple[str, ...]:
    outcome = verify(attached.content, policy.keyring, legacy=attached.legacy)
    if not isinstance(outcome, VerifiedStatement | Unreadable):
        return ()
    return tuple(sorted(policy.names_of(outcome.credential)))
