"""Every exception that attest raises on purpose, with its exit code and a hint.

    AttestError
    ├── UsageError                  exit 2: the command line is wrong
    │   ├── ReferenceInvalid            no reference by digest can be read from the text
    │   ├── TagReference                a tag, where only a digest may stand
    │   └── TokenDisagrees              the identity token says something else than the context
    ├── DocumentInvalid             exit 2: a policy, key or other named file is wrong
    │   ├── KeyUnusable                 a key cannot be read, or may not be used
    │   └── TokenUnusable               no identity token can be read
    │       ├── TokenExpired                its time is over
    │       └── TokenAudience               it is for somebody else than Sigstore
    └── Undecided                   exit 3: the question could not be answered
        ├── StoreError                  a registry or a layout
        │   ├── Unreachable                 no connection, or none in time
        │   ├── AccessDenied                401 or 403 after authentication
        │   ├── NotFound                    what was asked for is not there
        │   ├── StoreMisbehaved             it answered what it may not answer
        │   └── TagTaken                    a tag that is never moved stands for something else
        ├── LedgerError                 a ledger
        │   ├── LedgerAbsent                there is none
        │   ├── LedgerUnreachable           its database cannot be reached, or does not answer in time
        │   ├── LedgerMisbehaved            the database did what it may not, or is of another version
        │   ├── LedgerBroken                its records are no whole chain
        │   ├── LeaseHeld                   somebody else deploys to this environment
        │   └── LeaseLost                   it ran out, and somebody else may have it
        ├── ServiceFailed               a certificate authority, log, timestamp or token service
        ├── LimitExceeded               an input is larger than we are willing to read
        ├── DeadlineExceeded            the command's own deadline has passed
        ├── NotPublished                pushed, but never visible to a verifier
        ├── NotObserved                 what was tested is not, or not certainly, what would be signed
        ├── TargetFailed                a deployment's target could not be reached, or did not do its part
        ├── NotSigned                   a lane's command ended, and nothing was signed about it
        └── InternalError               a defect of attest

A refusal is not here: a verdict is a value (`attest.core.evaluate.Refused`), and exit code 1.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

EXIT_PASSED = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNDECIDED = 3


class AttestError(Exception):
    """Root of all errors: one sentence of what is wrong, and a hint that says what to do next."""

    exit_code: ClassVar[int] = EXIT_UNDECIDED
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.told = False
        """Whether the command had done its work, and printed what became of it, when this happened."""


class UsageError(AttestError):
    """The command line asks for something that makes no sense."""

    exit_code = EXIT_USAGE
    code = "usage"


class ReferenceInvalid(UsageError):
    """No image reference by digest can be read from the text."""

    code = "reference-invalid"


class TagReference(UsageError):
    """A tag stands where only a digest may stand; the hint names the digest reference of this moment."""

    code = "tag-reference"


class TokenDisagrees(UsageError):
    """The identity token says something else about source or run than what would be signed."""

    code = "token-disagrees"


class DocumentInvalid(AttestError):
    """A document is wrong. `file`, `line` and `column` (from 1) say where, as far as it is known."""

    exit_code = EXIT_USAGE
    code = "document-invalid"

    def __init__(
        self,
        message: str,
        *,
        file: str,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {message}", hint=hint)
        self.problem = message
        self.file = file
        self.line = line
        self.column = column


class KeyUnusable(DocumentInvalid):
    """A key file cannot be read, or holds a key that may not be used."""

    code = "key-unusable"


class TokenUnusable(DocumentInvalid):
    """No identity token can be read, or not one that may be sent to a certificate authority."""

    code = "token-unusable"


class TokenExpired(TokenUnusable):
    """The identity token's time is over."""

    code = "token-expired"


class TokenAudience(TokenUnusable):
    """The identity token is for another audience than Sigstore."""

    code = "token-audience"


class Undecided(AttestError):
    """The question could not be answered. It never means yes."""

    code = "undecided"


class StoreError(Undecided):
    """A registry or an image layout failed."""

    code = "store-error"


class Unreachable(StoreError):
    """No connection could be made, or it broke, or no answer came in time."""

    code = "unreachable"


class AccessDenied(StoreError):
    """The registry refused us, with or without credentials."""

    code = "access-denied"


class NotFound(StoreError):
    """What was asked for is not there."""

    code = "not-found"


class StoreMisbehaved(StoreError):
    """The store answered something that its specification does not allow."""

    code = "store-misbehaved"


class TagTaken(StoreError):
    """A tag that a promotion would write stands for another image. It is not moved."""

    code = "tag-taken"


class LedgerError(Undecided):
    """A ledger failed, or cannot be believed."""

    code = "ledger-error"


class LedgerAbsent(LedgerError):
    """There is no ledger. It is never taken for an empty one: a deleted ledger looks the same."""

    code = "ledger-absent"


class LedgerUnreachable(LedgerError):
    """The ledger's database could not be reached, did not answer in time, or broke off."""

    code = "ledger-unreachable"


class LedgerMisbehaved(LedgerError):
    """The ledger's database refused what it has to do, or its schema is none that this version knows."""

    code = "ledger-misbehaved"


class LedgerBroken(LedgerError):
    """The records are no whole chain: one was changed, removed or inserted, or the end is gone."""

    code = "ledger-broken"


class LeaseHeld(LedgerError):
    """Somebody else holds the lease of an environment, and did not give it back in time."""

    code = "lease-held"

    def __init__(self, message: str, *, holder: str, since: datetime, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.holder = holder
        self.since = since


class LeaseLost(LedgerError):
    """The lease ran out or was taken; nothing was recorded under it, and nothing more may be done under it."""

    code = "lease-lost"


class ServiceFailed(Undecided):
    """A Sigstore service, or a forge's token service, could not be reached or did not do its part."""

    code = "service-failed"


class LimitExceeded(Undecided):
    """An input is larger than we are willing to read; nothing was truncated, nothing was decided."""

    code = "limit-exceeded"


class DeadlineExceeded(Undecided):
    """The deadline of the whole command (`--timeout`) has passed."""

    code = "deadline-exceeded"


class NotPublished(Undecided):
    """What was pushed never became visible through the listing that `attest verify` uses."""

    code = "not-published"


class NotObserved(Undecided):
    """What a container runs is not what would be signed, or it could not be found out."""

    code = "not-observed"


class TargetFailed(Undecided):
    """What a deployment goes to could not be reached, or did not do its part. What runs there has to be observed."""

    code = "target-failed"


class NotSigned(Undecided):
    """A lane's command ended, and nothing was signed about it. `status` is what the lane has to end with."""

    code = "not-signed"

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status or EXIT_UNDECIDED


class InternalError(Undecided):
    """A defect of attest itself; the traceback is shown with `--debug`."""

    code = "internal-error"
