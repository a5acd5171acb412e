"""Bytes in, verified Statements out: the only place where a `VerifiedStatement` is made.

The order is that of the DSSE specification (`protocol.md`, "Verification") and of the in-toto attestation
framework's validation model; each step is numbered where it stands, and each has a negative test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Any, Final, NoReturn

from attest.core.envelope import Envelope, EnvelopeInvalid, pae, read_bundle, read_envelope
from attest.core.keys import TrustedKey
from attest.core.oci import IN_TOTO
from attest.core.predicates import PredicateInvalid, Result, Source, build_sources, result_of
from attest.core.reference import Digest, digest_of
from attest.core.statement import Statement, StatementInvalid, read_statement
from attest.core.strictjson import shown

_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VerifiedStatement:
    """A Statement whose signature by a trusted key was verified. Only `verify` makes one.

    The seal guards against mistakes (a value built in a test helper, a copy with one field replaced), not against
    hostile code in the same process.
    """

    bundle: Digest
    """SHA-256 of the bundle's bytes: how receipts, `revoked` and people name this evidence."""
    payload: bytes
    """The exact bytes that were signed."""
    statement: Statement
    key: TrustedKey
    result: Result | None
    sources: tuple[Source, ...]
    """What places other than the context name as the source."""
    trusted_times: tuple[datetime, ...]
    """Verified timestamps; a signature by a bare key has none."""
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a VerifiedStatement is made by verify() alone")

    def __init_subclass__(cls, **_: Any) -> NoReturn:
        raise TypeError("a VerifiedStatement has no subclasses")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a VerifiedStatement is not pickled or copied")

    @property
    def time(self) -> datetime | None:
        """The earliest of the signed finish time and every verified trusted time; None where there is none."""
        finished = self.statement.context.finished
        times = self.trusted_times if finished is None else (*self.trusted_times, finished)
        return min(times, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A bundle that is no evidence, since no trusted key signed it. It is reported and otherwise ignored."""

    bundle: Digest
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A trusted key signed bytes that are no valid Statement: nobody can know what was meant, so it refuses."""

    bundle: Digest
    payload: Digest
    """SHA-256 of the bytes that were signed: to revoke them, however they are wrapped."""
    key: TrustedKey
    reason: str
    message: str


Outcome = VerifiedStatement | Rejected | Unreadable


class Keyring:
    """The keys that a policy trusts, looked up by hint first. A hint is never proof: every key is tried."""

    __slots__ = ("_by_hint", "keys")

    def __init__(self, keys: Iterable[TrustedKey]) -> None:
        self._by_hint: Mapping[str, TrustedKey] = {key.hint: key for key in keys}
        self.keys: tuple[TrustedKey, ...] = tuple(self._by_hint.values())

    def signer_of(self, envelope: Envelope) -> TrustedKey | None:
        """The trusted key that made the envelope's signature, or None."""
        message = pae(envelope.payload_type, envelope.payload)
        first = self._by_hint.get(envelope.hint or "")
        if first is not None and first.verifies(envelope.signature, message):
            return first
        for key in self.keys:
            if key is not first and key.verifies(envelope.signature, message):
                return key
        return None


def verify(content: bytes, keyring: Keyring, *, legacy: bool = False) -> Outcome:
    """What a bundle (with `legacy`: a bare DSSE envelope) is worth under these keys. Never raises for its input."""
    bundle = digest_of(content)
    try:
        envelope = read_envelope(content) if legacy else read_bundle(content)
    except EnvelopeInvalid as error:
        return Rejected(bundle=bundle, reason=error.code, message=str(error))
    # 1. Find the trusted key, and 2. check the signature over the PAE of the received bytes.
    key = keyring.signer_of(envelope)
    if key is None:
        return Rejected(bundle=bundle, reason="foreign-key", message="no key of this policy made its signature")
    # 3. Only now does it matter what was signed: first that it is an in-toto Statement at all.
    if envelope.payload_type != IN_TOTO:
        message = f"payloadType {shown(envelope.payload_type)} is not {IN_TOTO}"
        return _unreadable(bundle, envelope, key, "payload-type", message)
    # 4. Parse those same bytes strictly: 5. `_type`, 6. predicateType, 7. subject digests and the context.
    try:
        statement = read_statement(envelope.payload)
        result = result_of(statement.predicate_type, statement.predicate)
    except StatementInvalid as error:
        return _unreadable(bundle, envelope, key, "statement-invalid", str(error))
    except PredicateInvalid as error:
        return _unreadable(bundle, envelope, key, "predicate-invalid", str(error))
    # 8. Seal.
    return VerifiedStatement(
        bundle=bundle,
        payload=envelope.payload,
        statement=statement,
        key=key,
        result=result,
        sources=build_sources(statement.predicate_type, statement.predicate),
        trusted_times=(),
        seal=_SEAL,
    )


def _unreadable(bundle: Digest, envelope: Envelope, key: TrustedKey, reason: str, message: str) -> Unreadable:
    return Unreadable(bundle=bundle, payload=digest_of(envelope.payload), key=key, reason=reason, message=message)
