"""Signing as what a job is: a certificate for its identity token, a key that lives for one signature, and a log entry.

sigstore-python signs. What it takes on trust is looked at here: the certificate says what the token says, it is for
the key that signs, every timestamp authority and the log did their part, and at the end the whole bundle verifies
under the trusted root as it will for those who verify it. Only then is it handed out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from sigstore import dsse
from sigstore._internal.fulcio import FulcioClient
from sigstore.errors import MetadataError, VerificationError
from sigstore.models import TrustedRoot
from sigstore.oidc import ExpiredIdentity, IdentityError, IdentityToken
from sigstore.sign import Signer, SigningContext
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootDocument

from attest.adapters.sigstore.clients import Logging, Timestamping
from attest.adapters.sigstore.configuration import Services
from attest.adapters.sigstore.exchange import Network, answering
from attest.adapters.sigstore.rootfile import read_root
from attest.adapters.sigstore.tokens import Token
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import Certificate, NotCertified, Uncertified, read_certificate
from attest.core.envelope import pae, read_bundle
from attest.core.lane.identitytoken import TokenClaims
from attest.core.oci import IN_TOTO
from attest.core.source import normalise_repository
from attest.core.strictjson import shown
from attest.errors import DeadlineExceeded, DocumentInvalid, ServiceFailed, TokenExpired, TokenUnusable
from attest.ports import Signed

if TYPE_CHECKING:
    from cryptography import x509

_OF_LOG = frozenset(
    {
        Uncertified.LOG_ENTRY_MISSING,
        Uncertified.INCLUSION_MISSING,
        Uncertified.LOG_UNKNOWN,
        Uncertified.INCLUSION_INVALID,
        Uncertified.CHECKPOINT_INVALID,
        Uncertified.PROMISE_INVALID,
        Uncertified.LOG_ENTRY_DIFFERS,
    }
)
_OF_TIMES = frozenset({Uncertified.TIME_MISSING, Uncertified.TIMESTAMP_INVALID, Uncertified.CERTIFICATE_EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyless:
    """Signs as the identity of a token; `attest.ports.BundleSigner`."""

    services: Services
    network: Network
    token: Token
    _trust: SigstoreTrust = field(repr=False)
    _root: TrustedRoot = field(repr=False)

    def sign(self, payload: bytes) -> Signed:
        """As `attest.ports.BundleSigner`.

        Raises:
            ServiceFailed: certificate authority, log or timestamp authority did not do its part.
            TokenUnusable, TokenExpired: the token is not valid at this moment.
            DocumentInvalid: no certificate transparency log of the trusted root is in its time.
        """
        bundle = self._signer().sign_dsse(dsse.Statement(payload)).to_json().encode("utf-8")
        return self._verified(bundle, payload)

    def _signer(self) -> Signer:
        """A key and its certificate, with a timestamp of a certificate transparency log of the trusted root."""
        authority = self.services.authority
        fulcio = FulcioClient(authority.url)
        self.network.adopt(fulcio.session, authority)
        timestamping = read_root(self.services.trusted_root, file=self.services.file).timestamping
        context = SigningContext(
            fulcio=fulcio,
            rekor=Logging(self.services, self.network, self._root, look=self._look),
            trusted_root=self._root,
            tsa_clients=[Timestamping(one, self.network, timestamping) for one in self.services.timestamps],
        )
        identity = self._identity_token()
        with answering(authority):
            try:
                return Signer(identity, context)
            except VerificationError as error:
                raise ServiceFailed(
                    f"{authority} issued a certificate without a timestamp of the trusted root's certificate "
                    "transparency log",
                    hint="the trusted root may name another log than the authority writes to",
                ) from error
            except MetadataError as error:
                message = "no certificate transparency log of the trusted root is in its time"
                raise DocumentInvalid(message, file=self.services.file) from error
            except ExpiredIdentity as error:
                raise TokenExpired("the identity token has expired", file=self.token.place) from error

    def _identity_token(self) -> IdentityToken:
        """The token, as the library takes it: it allows for no clock that is ahead of ours, so that is waited for."""
        ahead = (self.token.claims.begins - datetime.now(UTC)) / timedelta(seconds=1)
        if ahead > 0:
            try:
                time.sleep(min(ahead, self.network.deadline.remaining()))
            except DeadlineExceeded:
                raise TokenUnusable("the identity token begins too late", file=self.token.place) from None
        try:
            return IdentityToken(self.token.text)
        except IdentityError:
            raise TokenUnusable("the identity token is not valid at this moment", file=self.token.place) from None

    def _look(self, envelope: dsse.Envelope, certificate: x509.Certificate) -> None:
        """Before anything is sent to a log: the certificate is for this key, and says what the token says."""
        authority = self.services.authority
        try:
            said = read_certificate(certificate.public_bytes(Encoding.DER))
        except NotCertified as error:
            raise ServiceFailed(f"{authority} issued a certificate that cannot be used: {error}") from error
        if not said.key.verifies(envelope.signature, envelope.pae()):
            raise ServiceFailed(f"{authority} issued a certificate for another key")
        for what, certified, claimed in _compared(said, self.token.claims):
            if certified != claimed:
                raise ServiceFailed(
                    f"{authority} issued a certificate with the {what} {shown(certified)}, where the identity token "
                    f"says {shown(claimed)}",
                    hint="its templates for this issuer make something else of the token's claims",
                )

    def _verified(self, bundle: bytes, payload: bytes) -> Signed:
        services = self.services
        try:
            certified = self._trust.certify(bundle)
        except NotCertified as error:
            if error.code in _OF_LOG:
                whose = str(services.log)
            elif error.code in _OF_TIMES:  # with a certificate of this moment, it is the time that is wrong
                whose = " and ".join(map(str, services.timestamps or (services.log,)))
            else:
                whose = str(services.authority)
            raise ServiceFailed(
                f"what {whose} gave does not verify under the trusted root ({error.code}: {error})",
                hint="nothing was attached; does the trusted root belong to these services?",
            ) from error
        envelope, certificate = read_bundle(bundle), certified.certificate
        if (envelope.payload_type, envelope.payload) != (IN_TOTO, payload) or not certificate.key.verifies(
            envelope.signature, pae(IN_TOTO, payload)
        ):
            raise AssertionError("the bundle is not of what was to be signed")
        return Signed(
            bundle=bundle, fingerprint=certificate.fingerprint, certificate=certificate, times=certified.times
        )


def make_keyless(services: Services, network: Network, token: Token) -> Keyless:
    """A signer for one token.

    Raises:
        DocumentInvalid: the configuration's trusted root cannot be used.
    """
    trust = SigstoreTrust(services.trusted_root, file=services.file)
    root = TrustedRoot(TrustedRootDocument.from_json(services.trusted_root))
    return Keyless(services=services, network=network, token=token, _trust=trust, _root=root)


def _compared(said: Certificate, claims: TokenClaims) -> list[tuple[str, str, str]]:
    """What certificate and token both say."""
    issuer = said.issuer if said.issuer == claims.federated_issuer else claims.issuer
    pairs: list[tuple[str, str | None, str | None]] = [("issuer", said.issuer, issuer)]
    if claims.job is not None:
        pairs += [
            ("repository", _normal(said.repository), claims.job.repository),
            ("commit", said.commit, claims.job.commit),
            ("ref", said.ref, claims.job.ref),
        ]
    return [(what, one, other) for what, one, other in pairs if one is not None and other is not None]


def _normal(repository: str | None) -> str | None:
    if repository is None:
        return None
    try:
        return normalise_repository(repository)
    except ValueError:
        return repository
