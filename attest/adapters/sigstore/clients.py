"""Clients of log and timestamp authority as sigstore-python wants them, that believe nothing they are told.

The library warns and goes on where a timestamp authority fails, and takes from it and from the log whatever can be
parsed. Here an answer is verified under the trusted root before anything is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sigstore._internal.rekor import EntryRequestBody, RekorLogSubmitter
from sigstore._internal.rekor.client import RekorClient
from sigstore._internal.rekor.client_v2 import RekorV2Client
from sigstore._internal.timestamp import TimestampAuthorityClient
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import MetadataError, VerificationError

from attest.adapters.sigstore.configuration import LogVersion, Services
from attest.adapters.sigstore.exchange import Network, Service, answering
from attest.adapters.sigstore.timestamps import timestamped
from attest.errors import DocumentInvalid, ServiceFailed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse
    from sigstore.dsse import Envelope
    from sigstore.models import TransparencyLogEntry, TrustedRoot

    from attest.adapters.sigstore.rootfile import TimestampAuthority


class Timestamping(TimestampAuthorityClient):
    """One timestamp authority."""

    def __init__(self, service: Service, network: Network, authorities: Sequence[TimestampAuthority]) -> None:
        super().__init__(service.url)
        self._service = service
        self._authorities = authorities
        network.adopt(self._session, service)

    def request_timestamp(self, signature: bytes) -> TimeStampResponse:
        """A timestamp over the signature, by an authority of the trusted root.

        Raises:
            ServiceFailed: there is none, or another one.
        """
        with answering(self._service):
            response = super().request_timestamp(signature)
            if not timestamped(self._authorities, [response.as_bytes()], signature):
                raise ServiceFailed(
                    f"{self._service} gave a timestamp that does not verify under the trusted root",
                    hint="it is by another key, outside of that key's time, or about something else",
                )
        return response


class Logging(RekorLogSubmitter):
    """The transparency log."""

    def __init__(
        self,
        services: Services,
        network: Network,
        root: TrustedRoot,
        *,
        look: Callable[[Envelope, Certificate], None] | None = None,
    ) -> None:
        """`look` sees each envelope with its certificate before anything is sent, and raises to stop."""
        self._service = services.log
        self._inner: RekorClient | RekorV2Client
        match services.log_version:
            case LogVersion.REKOR_V1:
                self._inner = RekorClient(services.log.url)
            case LogVersion.REKOR_V2:
                self._inner = RekorV2Client(services.log.url)
        network.adopt(self._inner._session, services.log)
        self._look = look
        try:
            self._keys = root.rekor_keyring(KeyringPurpose.SIGN)
        except MetadataError as error:
            raise DocumentInvalid("no log of the trusted root is in its time", file=services.file) from error

    def create_entry(self, request: EntryRequestBody) -> TransparencyLogEntry:
        """Log it; the entry, with a proof by the trusted root's log that it is there.

        Raises:
            ServiceFailed: it was not taken, or the proof does not hold.
        """
        with answering(self._service):
            entry = self._inner.create_entry(request)
            try:
                entry._verify(self._keys)
            except VerificationError as error:
                raise ServiceFailed(
                    f"{self._service} gave an entry whose proof does not verify under the trusted root"
                ) from error
        return entry

    def _build_hashed_rekord_request(self, *_: Any, **__: Any) -> EntryRequestBody:  # type: ignore[override]
        raise AssertionError("only attestations are signed here")

    def _build_dsse_request(self, envelope: Envelope, certificate: Certificate) -> EntryRequestBody:  # type: ignore[override]
        if self._look is not None:
            self._look(envelope, certificate)
        return self._inner._build_dsse_request(envelope=envelope, certificate=certificate)
