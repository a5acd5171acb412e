"""What running Sigstore services say of themselves: Fulcio's and a timestamp authority's chains, a log's key.

Sources: Fulcio's `fulcio.proto` (`GetTrustBundle`), the timestamp authority's `openapi.yaml` (`certchain`), RFC 5280,
RFC 3161 2.3, C2SP `signed-note` and `tlog-checkpoint`. Whoever asks has chosen the address and looks at the
fingerprints; nothing else vouches for an answer.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from attest.core.keys import PublicKey
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.core.trust.root import certificates_of_pem, key_bytes, key_details, key_of, log_ids

if TYPE_CHECKING:  # loaded where a certificate is read, as in attest.core.certificate
    from cryptography import x509

Chain: TypeAlias = "tuple[x509.Certificate, ...]"
"""Certificates from the one that signs up to the root."""

_NOTE = re.compile(
    r"(?P<text>(?P<origin>[^\n]+)\n(?:0|[1-9][0-9]*)\n[A-Za-z0-9+/]{43}=\n(?:[^\n]+\n)*)\n"
    r"(?P<signatures>(?:\u2014 [^ \n]+ [A-Za-z0-9+/]{6,}={0,2}\n)+)"
)
"""A checkpoint of SHA-256 in a signed note; a line with a signature begins with an em dash."""


class AnswerInvalid(ValueError):
    """A service answered what it may not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The signed head of a log."""

    text: bytes
    """What is signed."""
    origin: str
    signatures: tuple[tuple[str, bytes, bytes], ...]
    """Name, key id (4 bytes) and signature of each."""

    def signed_by(self, key: PublicKey) -> bool:
        """Whether the log's own signature is there and verifies under the key."""
        identity = log_ids(key, self.origin)[1][:4]
        return any(
            _verifies(key, signature, self.text)
            for name, key_id, signature in self.signatures
            if name == self.origin and key_id == identity
        )


def read_trust_bundle(content: bytes) -> tuple[Chain, ...]:
    """The chains that Fulcio answers at `/api/v2/trustBundle`.

    Raises:
        AnswerInvalid: there are none, or they are not in the form of the API.
    """
    try:
        value: Json = loads(content)
    except JsonInvalid as error:
        raise AnswerInvalid(f"no JSON: {error}") from error
    match value:
        case {"chains": [_, *_] as chains}:
            return tuple(_bundled(chain) for chain in chains)
        case _:
            raise AnswerInvalid("no chains in it")


def read_chain(content: bytes) -> Chain:
    """The chain in PEM.

    Raises:
        AnswerInvalid: there is no certificate in it, or one cannot be read.
    """
    try:
        return certificates_of_pem(content)
    except ValueError:
        raise AnswerInvalid("no PEM certificates") from None


def read_key(content: bytes) -> PublicKey:
    """The public key in PEM, as a log publishes it or as a file has it.

    Raises:
        AnswerInvalid: there is none, or one of an algorithm that no Sigstore client verifies with.
    """
    try:
        loaded = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise AnswerInvalid("no PEM public key") from None
    try:
        key = key_of(loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        key_details(key)
    except ValueError as error:
        raise AnswerInvalid(str(error)) from error
    return key


def read_checkpoint(content: bytes) -> Checkpoint:
    """A signed note whose text is a checkpoint: origin, size, root hash, perhaps more lines.

    Raises:
        AnswerInvalid: it is none.
    """
    try:
        note = _NOTE.fullmatch(content.decode())
        signatures = () if note is None else tuple(_signature(line) for line in note["signatures"].splitlines())
    except ValueError:  # not UTF-8, or not base64
        raise AnswerInvalid("no checkpoint") from None
    if note is None:
        raise AnswerInvalid("no checkpoint")
    return Checkpoint(text=note["text"].encode(), origin=note["origin"], signatures=signatures)


def check_certificate_chain(chain: Chain, now: datetime) -> None:
    """That the chain is one of a certificate authority, at this time (RFC 5280).

    Raises:
        AnswerInvalid: with the first thing that is wrong.
    """
    _check_links(chain, now)
    if not _is_authority(chain[0]):
        raise AnswerInvalid(f"{_named(chain[0])} is no certificate authority")


def check_timestamp_chain(chain: Chain, now: datetime) -> None:
    """That the chain ends in a certificate for timestamps and nothing else, at this time (RFC 3161 2.3).

    Raises:
        AnswerInvalid: with the first thing that is wrong.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    _check_links(chain, now)
    try:
        usage = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        stamping = usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    except (x509.ExtensionNotFound, ValueError):
        stamping = False
    if not stamping:
        raise AnswerInvalid(f"{_named(chain[0])} is not for timestamps alone")


def same_key(key: PublicKey, other: PublicKey) -> bool:
    """Whether they are one key."""
    return key_bytes(key) == key_bytes(other)


def _check_links(chain: Chain, now: datetime) -> None:
    for certificate in chain:
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise AnswerInvalid(f"{_named(certificate)} is not valid at this time")
    issuers = (*chain[1:], chain[-1])
    for certificate, issuer in zip(chain, issuers, strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            which = "is no root, and nothing follows it" if issuer is certificate else "is not issued by the next one"
            raise AnswerInvalid(f"{_named(certificate)} {which}") from None
    for certificate in chain[1:]:
        if not _is_authority(certificate):
            raise AnswerInvalid(f"{_named(certificate)} is no certificate authority")


def _is_authority(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def _bundled(chain: Json) -> Chain:
    match chain:
        case {"certificates": [_, *_] as certificates} if all(isinstance(one, str) for one in certificates):
            return tuple(one for text in certificates for one in read_chain(text.encode()))
        case _:
            raise AnswerInvalid("a chain without certificates")


def _signature(line: str) -> tuple[str, bytes, bytes]:
    _, name, encoded = line.split(" ")
    decoded = base64.b64decode(encoded, validate=True)
    return name, decoded[:4], decoded[4:]


def _verifies(key: PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        match key:
            case ed25519.Ed25519PublicKey():
                key.verify(signature, text)
            case ec.EllipticCurvePublicKey():
                key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _named(certificate: x509.Certificate) -> str:
    """A certificate for a message: its subject and the beginning of its fingerprint."""
    fingerprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    return f"the certificate {certificate.subject.rfc4514_string() or 'without a name'} (sha256:{fingerprint[:12]}...)"
