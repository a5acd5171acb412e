"""Signatures by managed keys that a log and timestamp authorities have seen, so that their time is bounded.

sigstore-python only signs with certificates, so what is asked of the log is made here, as sigstore-go makes it, whose
readers (cosign among them) are those to agree with: for Rekor v1 an entry of type dsse 0.0.1 with the public key in
PEM; for Rekor v2 a hashedrekord 0.0.2 of the digest of the DSSE Pre-Authentication Encoding (rekor-v2-spec 6.1.4).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sigstore._internal.rekor import EntryRequestBody
from sigstore.models import TransparencyLogEntry, TrustedRoot
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootDocument

from attest.adapters.sigstore.clients import Logging, Timestamping
from attest.adapters.sigstore.configuration import LogVersion, Services
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.rootfile import TrustedRoot as OurRoot
from attest.adapters.sigstore.rootfile import read_root
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import NotCertified
from attest.core.envelope import Envelope, EnvelopeInvalid, pae, read_bundle, write_bundle
from attest.core.keys import TrustedKey
from attest.core.material import LogEntry, read_checkpoint, read_material
from attest.core.oci import IN_TOTO
from attest.core.strictjson import JsonInvalid, loads
from attest.core.trust.logentry import logged_verifier
from attest.errors import ServiceFailed, UsageError
from attest.ports import Signed, Signer

_Hash = Callable[[bytes], "hashlib._Hash"]
_DETAILS: Final[Mapping[str, tuple[str, _Hash]]] = {
    "ecdsa-p256": ("PKIX_ECDSA_P256_SHA_256", hashlib.sha256),
    "ecdsa-p384": ("PKIX_ECDSA_P384_SHA_384", hashlib.sha384),
    "rsa-2048": ("PKIX_RSA_PKCS1V15_2048_SHA256", hashlib.sha256),
    "rsa-3072": ("PKIX_RSA_PKCS1V15_3072_SHA256", hashlib.sha256),
    "rsa-4096": ("PKIX_RSA_PKCS1V15_4096_SHA256", hashlib.sha256),
}
"""What the algorithm registry of Sigstore calls our keys, and the hash of each; only those can be in a hashedrekord."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """Signs with a managed key before witnesses; `attest.ports.BundleSigner`."""

    key: Signer
    services: Services
    network: Network
    _trust: SigstoreTrust = field(repr=False)
    _root: OurRoot = field(repr=False)
    _library_root: TrustedRoot = field(repr=False)

    def sign(self, payload: bytes) -> Signed:
        """As `attest.ports.BundleSigner`.

        Raises:
            ServiceFailed: log or timestamp authority did not do its part.
        """
        message = pae(IN_TOTO, payload)
        signature = self.key.sign(message)
        bare = write_bundle(payload=payload, signature=signature, hint=self.key.hint)
        timestamping = self._root.timestamping
        clients = [Timestamping(one, self.network, timestamping) for one in self.services.timestamps]
        stamps = [client.request_timestamp(signature).as_bytes() for client in clients]
        log = Logging(self.services, self.network, self._library_root)
        entry = log.create_entry(self._request(bare, message, signature))
        bundle = _bundle(bare, entry, stamps)
        self._check_entry(bundle, message)
        times = self._trust.times(bundle)
        if not times:
            raise ServiceFailed(f"{self.services.log} gave an entry that bounds no time under the trusted root")
        return Signed(bundle=bundle, fingerprint=self.key.fingerprint, times=times)

    def _request(self, bare: bytes, message: bytes, signature: bytes) -> EntryRequestBody:
        public = self.key.public
        match self.services.log_version:
            case LogVersion.REKOR_V1:
                proposed = {
                    "envelope": json.dumps(loads(bare)["dsseEnvelope"], separators=(",", ":")),
                    "verifiers": [_base64(_pem(public))],
                }
                spec = {"proposedContent": proposed}
                return EntryRequestBody({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
            case LogVersion.REKOR_V2:
                details, digest = _DETAILS[public.algorithm]
                verifier = {"publicKey": {"rawBytes": _base64(_der(public))}, "keyDetails": details}
                signed = {"content": _base64(signature), "verifier": verifier}
                record = {"digest": _base64(digest(message).digest()), "signature": signed}
                return EntryRequestBody({"hashedRekordRequestV002": record})

    def _check_entry(self, bundle: bytes, message: bytes) -> None:
        """That the entry is of exactly this envelope and key, in the log that the trusted root names."""
        log = self.services.log
        try:
            envelope, (entry,) = read_bundle(bundle), read_material(bundle).entries
            checkpoint = read_checkpoint(entry.checkpoint or "")
            self._compare(entry, envelope, message)
        except (EnvelopeInvalid, NotCertified, ValueError) as error:
            raise ServiceFailed(f"{log} gave an entry that is not of this signature: {error}") from error
        origins = {origin for one in self._root.logs if entry.log_id in one.log.ids for origin in one.origins}
        if checkpoint.origin.partition(" - ")[0] not in origins or checkpoint.size != entry.tree_size:
            raise ServiceFailed(f"{log} gave an entry with a checkpoint of another log or another tree")

    def _compare(self, entry: LogEntry, envelope: Envelope, message: bytes) -> None:
        public = self.key.public
        if self.services.log_version is LogVersion.REKOR_V1:
            if logged_verifier(entry, envelope).strip() != _pem(public).strip():
                raise ValueError("it is of another key")
            return
        details, digest = _DETAILS[public.algorithm]
        algorithm = details.rpartition("_SHA")[2].strip("_")
        expected = {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": f"SHA2_{algorithm}", "digest": _base64(digest(message).digest())},
                    "signature": {
                        "content": _base64(envelope.signature),
                        "verifier": {"keyDetails": details, "publicKey": {"rawBytes": _base64(_der(public))}},
                    },
                }
            },
        }
        if _json(entry.body) != expected:
            raise ValueError("its body says something else")


def make_witnessed(key: Signer, services: Services, network: Network) -> Witnessed:
    """A signer for one key.

    Raises:
        DocumentInvalid: the configuration's trusted root cannot be used.
        UsageError: the log takes no signatures by keys of this algorithm.
    """
    if services.log_version is LogVersion.REKOR_V2 and key.public.algorithm not in _DETAILS:
        raise UsageError(
            f"{services.log} takes no signatures by a key of the algorithm {key.public.algorithm}: Rekor v2 logs the "
            "digest that a signature is over, and knows ECDSA, and RSA of 2048, 3072 and 4096 bits",
            hint="sign with an ECDSA key, or without --trust-config",
        )
    return Witnessed(
        key=key,
        services=services,
        network=network,
        _trust=SigstoreTrust(services.trusted_root, file=services.file),
        _root=read_root(services.trusted_root, file=services.file),
        _library_root=TrustedRoot(TrustedRootDocument.from_json(services.trusted_root)),
    )


def _bundle(bare: bytes, entry: TransparencyLogEntry, stamps: list[bytes]) -> bytes:
    document = loads(bare)
    material = document["verificationMaterial"]
    material["tlogEntries"] = [entry._inner.to_dict()]
    if stamps:
        signed = [{"signedTimestamp": _base64(stamp)} for stamp in stamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": signed}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _json(content: bytes) -> Any:
    try:
        return loads(content)
    except JsonInvalid as error:
        raise ValueError(f"its body is not strict JSON: {error}") from error


def _pem(public: TrustedKey) -> bytes:
    return public.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _der(public: TrustedKey) -> bytes:
    return public.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
