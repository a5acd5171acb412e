"""The steps by which a keyless signature is verified, each with its specification and the code of its refusal.

sigstore-python's `Verifier.verify_dsse` takes steps 6 to 13 as one, and decides. It says why it refused in sentences
only, so after a refusal the steps are taken again one by one to name the one that failed; naming never accepts. Where
it has no opinion, entries of Rekor's type intoto, which cosign before v2.3 made and it calls unsupported, the same
steps decide. `Trust.certify` takes steps 1 to 5 before either.

     1  the bundle: one envelope, one certificate, one log entry       client specification 5; sigstore_bundle.proto
     2  what the certificate says                                     client specification 4.3; Fulcio, oid-info.md
     3  a trusted time: timestamps over the signature, the log's own  client specification 4.2; RFC 3161 2.4.2
     4  the certificate was valid at each of them                     client specification 4.3; RFC 5280 6.1.3 (a)(2)
     5  so were an authority and both logs of the trusted root        client specification 6; sigstore_trustroot.proto
     6  to 13: `STEPS`

The client specification is `client-spec.md` of sigstore's architecture-docs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from attest.adapters.sigstore.guard import refusing
from attest.core.certificate import Certificate, Uncertified
from attest.core.envelope import Envelope, pae
from attest.core.material import LogEntry, read_checkpoint
from attest.core.trust.logentry import logged_verifier

if TYPE_CHECKING:
    from cryptography import x509
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier

    from attest.adapters.sigstore.rootfile import TransparencyLog

REKOR_V1: Final = frozenset({("dsse", "0.0.1"), ("intoto", "0.0.2")})
"""Kinds of entry that Rekor v1 makes of an attestation, and so promises with a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A bundle that has passed steps 1 to 5, and the part of the trusted root that they left."""

    bundle: Bundle
    """As the library has read it."""
    envelope: Envelope
    entry: LogEntry
    certificate: Certificate
    """What it says, as we have read it."""
    times: tuple[datetime, ...]
    root: TrustedRoot
    verifier: Verifier
    """Of `root`."""
    logs: tuple[TransparencyLog, ...]
    """The logs of `root`."""

    @property
    def leaf(self) -> x509.Certificate:
        """The signing certificate."""
        return self.bundle.signing_certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `take` raises whatever it likes where the step fails."""

    number: int
    what: str
    specification: str
    code: Uncertified
    take: Callable[[Case], None]


def walk(case: Case) -> None:
    """Take every step in order.

    Raises:
        NotCertified: with the code of the first that fails.
    """
    for step in STEPS:
        with refusing(step.code, step.what):
            step.take(case)


def checkpoint_of_this_log(case: Case) -> None:
    """What the library leaves out of step 10: the checkpoint is of the log that the root names, and of that tree.

    Raises:
        ValueError: it is of another.
    """
    checkpoint = read_checkpoint(case.entry.checkpoint or "")
    host = checkpoint.origin.partition(" - ")[0]  # Rekor v1 has the number of its tree behind the host
    origins = frozenset[str]().union(*(log.origins for log in case.logs))
    if host not in origins:
        raise ValueError(f"its origin {checkpoint.origin!r} is not the log's, {' or '.join(sorted(origins))}")
    # The library takes the first line with the key's hint, whatever name stands on it.
    names = [name for name, hint in checkpoint.signers if hint == case.entry.log_id[:4]]
    if names[:1] != [host]:
        raise ValueError(f"it is not signed in the name of its origin, {host!r}")
    if checkpoint.size != case.entry.tree_size:
        raise ValueError(f"it is of a tree of {checkpoint.size}, the inclusion proof of one of {case.entry.tree_size}")


def own_signature(case: Case) -> None:
    """Step 12 over our own reading of the envelope, lengths in bytes, by the algorithm of the certificate's key.

    Raises:
        ValueError: it does not verify.
    """
    message = pae(case.envelope.payload_type, case.envelope.payload)
    if not case.certificate.key.verifies(case.envelope.signature, message):
        raise ValueError("the certificate's key did not make it")


def _chain(case: Case) -> Sequence[x509.Certificate]:
    from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult

    chains = [
        case.verifier._verify_chain_at_time(
            case.leaf, TimestampVerificationResult(source=TimestampSource.TIMESTAMP_AUTHORITY, time=time)
        )
        for time in case.times
    ]
    return chains[-1]


def _verify_chain(case: Case) -> None:
    _chain(case)


def _verify_sct(case: Case) -> None:
    from sigstore._internal.sct import verify_sct
    from sigstore._internal.trust import KeyringPurpose

    verify_sct(case.leaf, list(_chain(case)), case.root.ct_keyring(KeyringPurpose.VERIFY))


def _verify_usage(case: Case) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if not case.leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
        raise ValueError("its key usage is not digitalSignature")
    usages = case.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if ExtendedKeyUsageOID.CODE_SIGNING not in usages:
        raise ValueError("its extended key usage is not codeSigning")


def _verify_inclusion(case: Case) -> None:
    from sigstore._internal.merkle import verify_merkle_inclusion

    verify_merkle_inclusion(case.bundle.log_entry)


def _verify_checkpoint(case: Case) -> None:
    from sigstore._internal.rekor.checkpoint import verify_checkpoint
    from sigstore._internal.trust import KeyringPurpose

    checkpoint_of_this_log(case)
    verify_checkpoint(case.root.rekor_keyring(KeyringPurpose.VERIFY), case.bundle.log_entry)


def _verify_promise(case: Case) -> None:
    """A Rekor v2 entry and one that is witnessed by timestamps need none; one that is there has to hold."""
    entry = case.entry
    if entry.promise is None:
        return
    if (entry.kind, entry.version) not in REKOR_V1:
        raise ValueError(f"entries of kind {entry.kind!r} {entry.version!r} have none")
    if entry.integrated is not None and not any(promised(entry, log) for log in case.logs):
        raise ValueError("the log did not make it")


def promised(entry: LogEntry, log: TransparencyLog) -> bool:
    """Whether the log promised to hold the entry since its integrated time."""
    if entry.promise is None or entry.integrated is None or log.key is None:
        return False
    return log.key.verifies(entry.promise, entry.promised())


def entry_of_this_envelope(case: Case) -> None:
    """Step 13 for an entry of Rekor v1, of whose body the library does not compare the version.

    Raises:
        NotCertified, ValueError: it is of another envelope or certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    verifier = x509.load_pem_x509_certificate(logged_verifier(case.entry, case.envelope))
    if verifier.public_bytes(Encoding.DER) != case.leaf.public_bytes(Encoding.DER):
        raise ValueError("it is of another certificate")


def _verify_entry(case: Case) -> None:
    from sigstore.verify.verifier import _validate_hashedrekord_v002_dsse_entry_body

    if (case.entry.kind, case.entry.version) == ("hashedrekord", "0.0.2"):
        _validate_hashedrekord_v002_dsse_entry_body(case.bundle)
    else:
        entry_of_this_envelope(case)


STEPS: Final = (
    Step(
        number=6,
        what="the certificate's chain",
        specification="client specification 4.3; RFC 5280 6.1",
        code=Uncertified.CHAIN_INVALID,
        take=_verify_chain,
    ),
    Step(
        number=7,
        what="the signed certificate timestamp",
        specification="client specification 4.3; RFC 6962 3.2 and 3.3",
        code=Uncertified.SCT_INVALID,
        take=_verify_sct,
    ),
    Step(
        number=8,
        what="the certificate's usage",
        specification="RFC 5280 4.2.1.3 and 4.2.1.12; Fulcio, certificate-specification.md",
        code=Uncertified.USAGE_INVALID,
        take=_verify_usage,
    ),
    Step(
        number=9,
        what="the inclusion proof",
        specification="RFC 6962 2.1.1",
        code=Uncertified.INCLUSION_INVALID,
        take=_verify_inclusion,
    ),
    Step(
        number=10,
        what="the log's checkpoint",
        specification="c2sp.org/tlog-checkpoint and c2sp.org/signed-note",
        code=Uncertified.CHECKPOINT_INVALID,
        take=_verify_checkpoint,
    ),
    Step(
        number=11,
        what="the log's promise",
        specification="client specification 4.2.2; sigstore_rekor.proto, InclusionPromise",
        code=Uncertified.PROMISE_INVALID,
        take=_verify_promise,
    ),
    Step(
        number=12,
        what="the signature",
        specification="client specification 4.5; DSSE v1.0.2, protocol.md",
        code=Uncertified.SIGNATURE_INVALID,
        take=own_signature,
    ),
    Step(
        number=13,
        what="the log entry",
        specification="client specification 4.4; Rekor's types dsse v0.0.1, intoto v0.0.2 and hashedrekord v0.0.2",
        code=Uncertified.LOG_ENTRY_DIFFERS,
        take=_verify_entry,
    ),
)
"""The numbers go on where `Trust.certify` ends."""
