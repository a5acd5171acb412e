"""Trusted times: RFC 3161 timestamps over a signature, verified with the timestamp authorities of a trusted root."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attest.adapters.sigstore.guard import refusing
from attest.adapters.sigstore.rootfile import TimestampAuthority
from attest.core.certificate import NotCertified, Uncertified

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

MOST: Final = 32
"""Timestamps on one signature; more are an attack on whoever verifies them (the limit of sigstore's clients)."""


def timestamped(
    authorities: Sequence[TimestampAuthority], responses: Sequence[bytes], signature: bytes
) -> tuple[datetime, ...]:
    """The times, in UTC, of those responses that are timestamps over the signature by one of the authorities.

    Raises:
        NotCertified: `timestamp-invalid`: too many, one of them twice, or one that is no timestamp response at all.
    """
    from rfc3161_client import decode_timestamp_response

    if len(responses) > MOST:
        raise NotCertified(Uncertified.TIMESTAMP_INVALID, f"{len(responses)} timestamps, more than {MOST}")
    if len(set(responses)) != len(responses):
        raise NotCertified(Uncertified.TIMESTAMP_INVALID, "one timestamp stands there twice")
    with refusing(Uncertified.TIMESTAMP_INVALID, "a timestamp"):
        decoded = [decode_timestamp_response(response) for response in responses]
    times = [_time(authorities, response, signature) for response in decoded]
    return tuple(sorted({time for time in times if time is not None}))


def _time(authorities: Sequence[TimestampAuthority], response: TimeStampResponse, signature: bytes) -> datetime | None:
    for one in authorities:
        try:
            with refusing(Uncertified.TIMESTAMP_INVALID, "a timestamp"):
                return _verified(one, response, signature)
        except NotCertified:
            continue
    return None


def _verified(one: TimestampAuthority, response: TimeStampResponse, signature: bytes) -> datetime:
    """RFC 3161 2.4.2 and RFC 5652 5.4: the token's signature, its signer, what it is about; then its time."""
    from rfc3161_client import VerifierBuilder

    if len(one.chain) < 2:
        raise ValueError("the chain has no root beside the signing certificate")
    builder = VerifierBuilder().tsa_certificate(one.chain[0]).add_root_certificate(one.chain[-1])
    for certificate in one.chain[1:-1]:
        builder = builder.add_intermediate_certificate(certificate)
    verified = builder.build().verify_message(response, signature)
    time = response.tst_info.gen_time.astimezone(UTC)
    if not (verified and one.authority.holds(time)):
        raise ValueError("the authority was not valid then")
    return time
