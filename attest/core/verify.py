"""Bytes in, verified Statements out: the only place where a `VerifiedStatement` is made.

The order is that of the DSSE specification (`protocol.md`, "Verification") and of the in-toto attestation
framework's validation model; each step is numbered where it stands, and each has a negative test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from attest.core.certificate import Certified, NotCertified, Uncertified
from attest.core.envelope import Envelope, EnvelopeInvalid, pae, read_bundle, read_envelope
from attest.core.identity import Credential, Identity, certified_source, nearest
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
    credential: Credential
    """What made the signature."""
    result: Result | None
    sources: tuple[Source, ...]
    """What places other than the context name as the source: a provenance, a certificate."""
    trusted_times: tuple[datetime, ...]
    """Times of the signature that somebody trusted vouches for; a bare key's has none."""
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
        if not self.trusted_times:
            return finished
        return min(self.trusted_times) if finished is None else min(finished, *self.trusted_times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A bundle that is no evidence, since nobody trusted signed it. It is reported and otherwise ignored."""

    bundle: Digest
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A trusted signature over bytes that are no valid Statement: nobody can know what was meant, so it refuses."""

    bundle: Digest
    payload: Digest
    """SHA-256 of the bytes that were signed: to revoke them, however they are wrapped."""
    credential: Credential
    reason: str
    message: str


Outcome = VerifiedStatement | Rejected | Unreadable


class Trust(Protocol):
    """The authorities, logs and timestamp services of one trusted root, and what they vouch for."""

    @property
    def digest(self) -> Digest | None:
        """SHA-256 of the trusted root's bytes; None of one that is fetched, as long as nothing needed it."""
        ...

    def certify(self, bundle: bytes) -> Certified:
        """The certificate of a bundle, verified with its log entry at every time that somebody vouches for.

        Raises:
            NotCertified: it is not to be believed, with the reason.
        """
        ...

    def times(self, bundle: bytes) -> tuple[datetime, ...]:
        """When the signature of a bundle under a managed key was seen, in UTC; empty where nobody vouches for it."""
        ...


class Keyring:
    """Whom a policy trusts: keys, looked up by hint first (a hint is never proof: every key is tried), and identities.

    Identities need the `trust` by which their certificates are verified.
    """

    __slots__ = ("_by_hint", "identities", "keys", "trust")

    def __init__(
        self,
        keys: Iterable[TrustedKey],
        *,
        identities: Mapping[str, Identity] | None = None,
        trust: Trust | None = None,
    ) -> None:
        self._by_hint: Mapping[str, TrustedKey] = {key.hint: key for key in keys}
        self.keys: tuple[TrustedKey, ...] = tuple(self._by_hint.values())
        self.identities: Mapping[str, Identity] = identities or {}
        """By the name of the signer."""
        self.trust = trust

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
    """What a bundle (with `legacy`: a bare DSSE envelope) is worth under this keyring. Never raises for its input."""
    (outcome,) = verify_all([(content, legacy)], keyring)
    return outcome


def verify_all(bundles: Iterable[tuple[bytes, bool]], keyring: Keyring) -> list[Outcome]:
    """What each bundle is worth, in their order; one that comes with True is a bare DSSE envelope.

    Each step is taken for all of them before the next one: that is faster than each bundle on its own, since what a
    step works with stays in the processor's caches.
    """
    opened = [_open(content, legacy) for content, legacy in bundles]
    # 1. Find who is trusted, and 2. check the signature over the PAE of the received bytes.
    signed = [one if isinstance(one, Rejected) else _signed(one, keyring) for one in opened]
    # 3. Only now does it matter what was signed.
    return [one if isinstance(one, Rejected) else _read(one) for one in signed]


class _Opened(NamedTuple):
    """A bundle whose envelope could be read."""

    bundle: Digest
    content: bytes
    envelope: Envelope


class _Signed(NamedTuple):
    """An envelope that somebody trusted signed, and the times that somebody trusted vouches for."""

    bundle: Digest
    envelope: Envelope
    credential: Credential
    times: tuple[datetime, ...]


def _open(content: bytes, legacy: bool) -> _Opened | Rejected:
    bundle = digest_of(content)
    try:
        return _Opened(bundle, content, read_envelope(content) if legacy else read_bundle(content))
    except EnvelopeInvalid as error:
        return Rejected(bundle=bundle, reason=error.code, message=str(error))


def _signed(opened: _Opened, keyring: Keyring) -> _Signed | Rejected:
    bundle, content, envelope = opened
    if envelope.certified:
        return _signed_by_identity(opened, keyring)
    key = keyring.signer_of(envelope)
    if key is None:
        return Rejected(bundle=bundle, reason="foreign-key", message="no key of this policy made its signature")
    trust = keyring.trust
    return _Signed(bundle, envelope, key, trust.times(content) if trust is not None and envelope.witnessed else ())


def _signed_by_identity(opened: _Opened, keyring: Keyring) -> _Signed | Rejected:
    bundle, content, envelope = opened
    if keyring.trust is None or not keyring.identities:
        message = "signed by an identity, and this policy trusts keys alone"
        return Rejected(bundle=bundle, reason="foreign-identity", message=message)
    # The steps of the Sigstore client specification are numbered where `Trust` is implemented. What it says is about
    # its own reading of the bundle, so the signature is checked here once more, over what was read here.
    try:
        certified = keyring.trust.certify(content)
    except NotCertified as error:
        return Rejected(bundle=bundle, reason=error.code, message=str(error))
    certificate = certified.certificate
    if not certificate.key.verifies(envelope.signature, pae(envelope.payload_type, envelope.payload)):
        message = "its certificate's key did not make its signature"
        return Rejected(bundle=bundle, reason=Uncertified.SIGNATURE_INVALID, message=message)
    if not any(identity.is_of(certificate) for identity in keyring.identities.values()):
        reason, message = nearest(certificate, keyring.identities)
        return Rejected(bundle=bundle, reason=reason, message=message)
    return _Signed(bundle, envelope, certificate, certified.times)


def _read(signed: _Signed) -> VerifiedStatement | Unreadable:
    bundle, envelope, credential, times = signed
    # That it is an in-toto Statement at all.
    if envelope.payload_type != IN_TOTO:
        message = f"payloadType {shown(envelope.payload_type)} is not {IN_TOTO}"
        return _unreadable(signed, "payload-type", message)
    # 4. Parse those same bytes strictly: 5. `_type`, 6. predicateType, 7. subject digests and the context.
    try:
        statement = read_statement(envelope.payload)
        result = result_of(statement.predicate_type, statement.predicate)
    except StatementInvalid as error:
        return _unreadable(signed, "statement-invalid", str(error))
    except PredicateInvalid as error:
        return _unreadable(signed, "predicate-invalid", str(error))
    sources = build_sources(statement.predicate_type, statement.predicate)
    # 8. Seal.
    return VerifiedStatement(
        bundle=bundle,
        payload=envelope.payload,
        statement=statement,
        credential=credential,
        result=result,
        sources=sources if isinstance(credential, TrustedKey) else (*sources, certified_source(credential)),
        trusted_times=times,
        seal=_SEAL,
    )


def _unreadable(signed: _Signed, reason: str, message: str) -> Unreadable:
    payload = digest_of(signed.envelope.payload)
    return Unreadable(
        bundle=signed.bundle, payload=payload, credential=signed.credential, reason=reason, message=message
    )
