"""`Trust` on sigstore-python: what a keyless bundle's certificate is worth under a trusted root, and since when.

The library decides (`Verifier.verify_dsse`), on a root from which everything was taken that was not valid at the
verified times or that the bundle does not name, since it looks at no window but those of timestamp authorities, and
tries every key of a root where it does not know the one named. What it leaves out is ours; steps.py has the list.
"""

from __future__ import annotations

import logging
import threading
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Final

from attest.adapters.sigstore.guard import refusing
from attest.adapters.sigstore.rootfile import TrustedRoot, read_root
from attest.adapters.sigstore.steps import (
    REKOR_V1,
    Case,
    checkpoint_of_this_log,
    entry_of_this_envelope,
    own_signature,
    promised,
    walk,
)
from attest.adapters.sigstore.timestamps import MOST, timestamped
from attest.core.certificate import Certified, NotCertified, Uncertified, read_certificate
from attest.core.envelope import Envelope, EnvelopeInvalid, pae, read_bundle
from attest.core.keys import KeyInvalid, public_key
from attest.core.material import LogEntry, Material, read_material
from attest.core.reference import Digest
from attest.core.statement import format_time
from attest.core.trust.logentry import logged_verifier
from attest.core.trust.window import Selection, select

if TYPE_CHECKING:
    from cryptography import x509
    from sigstore import models
    from sigstore.verify import Verifier

_BY_LIBRARY: Final = frozenset({("dsse", "0.0.1"), ("hashedrekord", "0.0.2")})
"""Kinds of log entry that the library verifies of a DSSE envelope."""


class SigstoreTrust:
    """A trusted root, ready to verify with. Threads may share it. Implements `attest.core.verify.Trust`."""

    __slots__ = ("_lock", "_root", "_verifiers")

    def __init__(self, content: bytes, *, file: str = "trusted root") -> None:
        """The trusted root that the bytes are; `file` is for the error where they are none.

        Raises:
            DocumentInvalid: no trusted root of use, and why.
        """
        _be_quiet()
        self._root: TrustedRoot = read_root(content, file=file)
        self._lock = threading.Lock()
        self._verifiers: dict[Selection, tuple[models.TrustedRoot, Verifier]] = {}

    @property
    def digest(self) -> Digest:
        """SHA-256 of the trusted root's bytes."""
        return self._root.digest

    def certify(self, bundle: bytes) -> Certified:
        """The bundle's certificate, verified with all that stands around it, and when its signature was seen.

        Whether the payload is a Statement, of which type and about what, is for the caller to look at.

        Raises:
            NotCertified: any step failed; `code` says which.
        """
        with refusing(Uncertified.NOT_CERTIFIED, "the bundle"):
            return self._certify(bundle)

    def _certify(self, bundle: bytes) -> Certified:
        # 1. The bundle, 2. what its certificate says.
        envelope, material, entry = _read(bundle)
        certificate = read_certificate(material.certificate or b"")
        # 3. When its signature was seen; a promise is believed for the moment, and verified in step 11.
        times = self._times(envelope, material, entry)
        # 1. once more, by the library, which asks for a time already when it reads.
        with refusing(Uncertified.BUNDLE_INVALID, "the bundle"):
            parsed = _parse(bundle, envelope, material)
        leaf = parsed.signing_certificate
        # 4. The certificate was valid then.
        for time in times:
            if not leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc:
                raise NotCertified(
                    Uncertified.CERTIFICATE_EXPIRED,
                    f"the certificate is valid from {format_time(leaf.not_valid_before_utc)} until "
                    f"{format_time(leaf.not_valid_after_utc)}; it signed at {format_time(time)}",
                )
        # 5. So was what of the trusted root has to vouch for it.
        selection = select(
            authorities=self._root.authorities,
            logs=[one.log for one in self._root.logs],
            ct_logs=self._root.ct_logs,
            log_id=entry.log_id,
            ct_log_id=_ct_log_id(leaf),
            times=times,
        )
        root, verifier = self._verifier(selection)
        case = Case(
            bundle=parsed,
            envelope=envelope,
            entry=entry,
            certificate=certificate,
            times=times,
            root=root,
            verifier=verifier,
            logs=tuple(self._root.logs[at] for at in selection.logs),
        )
        # 6. to 13.
        try:
            _decide(case)
        except NotCertified as error:
            if error.code is Uncertified.CHAIN_INVALID:
                self._refuse_retired_issuer(leaf, selection)
            raise
        return Certified(certificate=certificate, times=times)

    def times(self, bundle: bytes) -> tuple[datetime, ...]:
        """Trusted times of a managed-key bundle's signature, in UTC; none where nothing verifies.

        They say since when the signature was there, not whose it is. Never raises for its input.
        """
        try:
            with refusing(Uncertified.NOT_CERTIFIED, "the bundle"):
                envelope, material = read_bundle(bundle), read_material(bundle)
                found = set(timestamped(self._root.timestamping, material.timestamps, envelope.signature))
                if len(material.entries) <= MOST:
                    found.update(*(self._promised(entry, envelope) for entry in material.entries))
                return tuple(sorted(found))
        except NotCertified:
            return ()

    def _times(self, envelope: Envelope, material: Material, entry: LogEntry) -> tuple[datetime, ...]:
        found: set[datetime] = set()
        if material.timestamps:
            if not self._root.timestamping:
                raise NotCertified(
                    Uncertified.TIMESTAMP_INVALID, "a timestamp, and no authority in the trusted root to verify it"
                )
            found.update(timestamped(self._root.timestamping, material.timestamps, envelope.signature))
        if entry.promise is not None and entry.integrated is not None:
            found.add(entry.integrated)
        if found:
            return tuple(sorted(found))
        if material.timestamps:
            raise NotCertified(
                Uncertified.TIMESTAMP_INVALID,
                "no timestamp is one over this signature by an authority of the trusted root that was valid then",
            )
        raise NotCertified(Uncertified.TIME_MISSING, "neither a timestamp nor a log's promise with a time")

    def _promised(self, entry: LogEntry, envelope: Envelope) -> tuple[datetime, ...]:
        """The integrated time of an entry of this envelope, if its log promised it and was valid then."""
        if entry.integrated is None or (entry.kind, entry.version) not in REKOR_V1:
            return ()
        logs = [
            one for one in self._root.logs if entry.log_id in one.log.ids and one.log.window.holds(entry.integrated)
        ]
        if not any(promised(entry, log) for log in logs):
            return ()
        try:
            key = public_key(logged_verifier(entry, envelope))
        except (NotCertified, KeyInvalid):
            return ()
        message = pae(envelope.payload_type, envelope.payload)
        return (entry.integrated,) if key.verifies(envelope.signature, message) else ()

    def _refuse_retired_issuer(self, leaf: x509.Certificate, selection: Selection) -> None:
        """Say so where the authority that issued the certificate is the root's, but not valid at the times."""
        issuers = [i for i, chain in enumerate(self._root.chains) if any(_issued(leaf, one) for one in chain)]
        if issuers and not set(issuers) & set(selection.authorities):
            authority = self._root.authorities[issuers[0]]
            raise NotCertified(
                Uncertified.ROOT_WINDOW,
                f"the authority that issued the certificate, {authority.name}, is valid {authority.window}, and its "
                "certificates may be for less: not when it signed",
            )

    def _verifier(self, selection: Selection) -> tuple[models.TrustedRoot, Verifier]:
        """The library's verifier on what was selected of the root, made once for each selection."""
        with self._lock:
            made = self._verifiers.get(selection)
            if made is None:
                with refusing(Uncertified.NOT_CERTIFIED, "the trusted root"):
                    made = self._verifiers[selection] = _make_verifier(self._root, selection)
        return made


def _read(content: bytes) -> tuple[Envelope, Material, LogEntry]:
    try:
        envelope, material = read_bundle(content), read_material(content)
    except EnvelopeInvalid as error:
        raise NotCertified(Uncertified.BUNDLE_INVALID, str(error)) from error
    if material.certificate is None:
        raise NotCertified(Uncertified.CERTIFICATE_MISSING, "the bundle has no certificate: a key signed it")
    if len(material.entries) != 1:
        raise NotCertified(
            Uncertified.LOG_ENTRY_MISSING, f"the bundle has {len(material.entries)} log entries, not exactly one"
        )
    entry = material.entries[0]
    if entry.tree_size is None or entry.checkpoint is None:
        raise NotCertified(
            Uncertified.INCLUSION_MISSING, "the log entry has no inclusion proof, or one without a checkpoint"
        )
    return envelope, material, entry


def _parse(content: bytes, envelope: Envelope, material: Material) -> models.Bundle:
    """The bundle by the library's reader, which has to see what ours sees: it knows other spellings of JSON."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from sigstore.models import Bundle

    bundle = Bundle.from_json(content)
    if bundle.signature != envelope.signature:
        raise ValueError("two signatures can be read out of it")
    if bundle.signing_certificate.public_bytes(Encoding.DER) != material.certificate:
        raise ValueError("two certificates can be read out of it")
    return bundle


def _ct_log_id(leaf: x509.Certificate) -> bytes:
    """The certificate transparency log that the certificate names (RFC 6962 3.3): there has to be exactly one."""
    from cryptography import x509

    with refusing(Uncertified.SCT_INVALID, "the signed certificate timestamp"):
        timestamps = list(leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value)
        if len(timestamps) != 1:
            raise ValueError(f"there are {len(timestamps)}, not exactly one")
        return bytes(timestamps[0].log_id)


def _issued(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        with refusing(Uncertified.CHAIN_INVALID, "the certificate's chain"):
            leaf.verify_directly_issued_by(issuer)
    except NotCertified:
        return False
    return True


def _make_verifier(root: TrustedRoot, selection: Selection) -> tuple[models.TrustedRoot, Verifier]:
    from sigstore.models import TrustedRoot as LibraryRoot
    from sigstore.verify.verifier import Verifier

    part = LibraryRoot(
        root.document.model_copy(
            update={
                "certificate_authorities": [root.document.certificate_authorities[at] for at in selection.authorities],
                "tlogs": [root.document.tlogs[at] for at in selection.logs],
                "ctlogs": [root.document.ctlogs[at] for at in selection.ct_logs],
            }
        )
    )
    return part, Verifier(trusted_root=part)


def _decide(case: Case) -> None:
    """Steps 6 to 13."""
    if (case.entry.kind, case.entry.version) not in _BY_LIBRARY:
        walk(case)
        return
    try:
        with refusing(Uncertified.NOT_CERTIFIED, "sigstore"):
            seen = case.verifier.verify_dsse(case.bundle, _Anybody())
    except NotCertified:
        walk(case)  # says which step it was
        raise
    with refusing(Uncertified.CHECKPOINT_INVALID, "the log's checkpoint"):
        checkpoint_of_this_log(case)
    with refusing(Uncertified.SIGNATURE_INVALID, "the signature"):
        own_signature(case)
    if (case.entry.kind, case.entry.version) in REKOR_V1:
        with refusing(Uncertified.LOG_ENTRY_DIFFERS, "the log entry"):
            entry_of_this_envelope(case)
    if seen != (case.envelope.payload_type, case.envelope.payload):
        raise NotCertified(Uncertified.BUNDLE_INVALID, "two payloads can be read out of the bundle")


class _Anybody:
    """The library's policy that is content with any certificate: which one is the right one, our policy says."""

    def verify(self, cert: x509.Certificate) -> None:
        """Nothing to look at."""


def _be_quiet() -> None:
    """The libraries warn of what they meet in bundles of strangers; what there is to say, the refusal says."""
    logger = logging.getLogger("sigstore")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", message="Parsed a serial number", category=UserWarning)
