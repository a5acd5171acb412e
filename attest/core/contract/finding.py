"""What the checks of a contract come to: findings, the outcome of each check, and the report of them all.

A finding is a value; nothing is thrown for it. `attest.core.contract` makes them, and the lock of an image makes those
of its drift. All texts quote foreign ones, paths and labels: escape them before they are shown. Secrets are in none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from attest.core.image.facts import ImageFacts, PlatformFacts, Sizes
from attest.core.oci import Platform
from attest.core.reference import Digest
from attest.errors import EXIT_PASSED, EXIT_REFUSED, EXIT_UNDECIDED

LOCK_DRIFT: Final = "lock.drift"
"""The id of the check that compares an image with its lock."""


class Standing(enum.Enum):
    """What a finding means for the image."""

    VIOLATION = "violation"
    EXCEPTED = "excepted"
    """A violation, or something unreadable, that an exception of the contract allows."""
    UNDECIDED = "undecided"
    """Something that is needed is missing or cannot be read, so that nobody can say whether it is a violation."""
    WARNING = "warning"
    """Worth a look, and no reason to refuse: an exception that nothing needs any more."""


class Outcome(enum.Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


_EXIT: Final = {Outcome.PASSED: EXIT_PASSED, Outcome.FAILED: EXIT_REFUSED, Outcome.UNDECIDED: EXIT_UNDECIDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One of the checks that a contract can ask for."""

    id: str
    """The key in the contract: `user.nonroot`."""
    aliases: tuple[str, ...]
    """What other tools call it: `CIS-DI-0001`."""
    why: str
    """One sentence: why it matters."""
    fix: str
    """One sentence: what to change in the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLayer:
    """The layer that brought something in."""

    position: int
    """0 is the lowest."""
    digest: Digest
    created_by: str | None
    """The build step, with secrets redacted; None where the history does not say."""

    @staticmethod
    def of(facts: PlatformFacts, position: int | None) -> FoundLayer | None:
        """The layer at a position; None for None."""
        if position is None:
            return None
        layer = facts.layers[position]
        return FoundLayer(position=layer.position, digest=layer.digest, created_by=layer.created_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """One of the `exceptions` of a contract: what is allowed although a check forbids it, why, by whom, until when."""

    id: str
    """The check."""
    path: str
    """A glob over the places of its findings (`attest.core.contract.glob`)."""
    reason: str
    owner: str
    expires: datetime
    """From this moment on it allows nothing, and fails itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check found."""

    check: str
    """Its id."""
    platform: Platform | None
    """The image's platform; None for what is about the image or the contract as a whole."""
    place: str
    """Where, in a text that stays the same from build to build: a path, a package URL, the name of a variable, label or
    account, a port. Exceptions name it; docs/contract.md says what it is for each check."""
    message: str
    """What is wrong there, for people; it names the place where the sentence needs it."""
    standing: Standing
    layer: FoundLayer | None = None
    """The layer that brought it in; None where no one layer did."""
    exemption: Exemption | None = None
    """The exception that allows it; only with EXCEPTED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """How one check ended on one platform."""

    check: str
    """Its id."""
    platform: Platform | None
    """None for what is about the image or the contract as a whole."""
    outcome: Outcome
    findings: tuple[Finding, ...]
    """Sorted by place, layer and message."""

    @staticmethod
    def of(check: str, platform: Platform | None, findings: Iterable[Finding]) -> CheckResult:
        """The result that follows from the findings: FAILED with a violation, else UNDECIDED with one of those."""
        found = tuple(sorted(findings, key=_order))
        standings = {finding.standing for finding in found}
        if Standing.VIOLATION in standings:
            outcome = Outcome.FAILED
        elif Standing.UNDECIDED in standings:
            outcome = Outcome.UNDECIDED
        else:
            outcome = Outcome.PASSED
        return CheckResult(check=check, platform=platform, outcome=outcome, findings=found)


class Use(enum.Enum):
    """What became of an exception."""

    USED = "used"
    EXPIRED = "expired"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptionUse:
    """An exception of the contract, and what became of it."""

    exemption: Exemption
    use: Use
    findings: int
    """How many findings it allows; 0 unless it was used."""


class SharedAs(enum.Enum):
    """Why a layer is in both, the runtime image and the CI image."""

    BASE = "base"
    """It is of the base image that both build on."""
    RUNTIME = "runtime"
    """The CI image builds on the runtime image."""
    LEAK = "leak"
    """Neither: something of the CI image is in the runtime image, and `ci.overlap` fails."""
    UNKNOWN = "unknown"
    """Both begin with it, and nobody said what the base is: `ci.overlap` cannot decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLayer:
    """A layer that a runtime image and a CI image have both."""

    diff_id: Digest
    platform: Platform
    """Of the runtime image."""
    runtime: FoundLayer
    ci_platform: Platform
    ci: FoundLayer
    shared_as: SharedAs


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the checks of a contract say of an image."""

    contract: str
    """Its name."""
    contract_digest: Digest
    image: Digest
    results: tuple[CheckResult, ...]
    """In the order of `attest.core.contract.table`, then of the image's platforms; what is about no platform is last of
    its check."""
    exemptions: tuple[ExemptionUse, ...]
    """Every exception of the contract, in its order."""
    shared: tuple[SharedLayer, ...] = ()
    """What `ci.overlap` compared: empty when no CI image was given, or nothing is shared."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the results."""
        return tuple(finding for result in self.results for finding in result.findings)

    @property
    def outcome(self) -> Outcome:
        """FAILED if any check failed, else UNDECIDED if one is undecided or none was made, else PASSED."""
        outcomes = {result.outcome for result in self.results}
        if Outcome.FAILED in outcomes:
            return Outcome.FAILED
        return Outcome.PASSED if outcomes == {Outcome.PASSED} else Outcome.UNDECIDED

    @property
    def exit(self) -> int:
        """The exit code: 1 with a violation, else 3 if something could not be decided, else 0."""
        return _EXIT[self.outcome]


class Lock(Protocol):
    """What an image was locked to, as far as checks ask it."""

    def sizes(self, platform: Platform) -> Sizes | None:
        """The sizes that it was locked with; None for a platform that the lock does not have."""
        ...

    def findings(self, facts: ImageFacts) -> Sequence[Finding]:
        """The drift of the image: violations of the check `LOCK_DRIFT`.

        The place of each is the JSON pointer within the platform's part of the lock; a platform too much or too few is
        one of the image as a whole, without a platform.
        """
        ...


def _order(finding: Finding) -> tuple[str, int, str]:
    return (finding.place, -1 if finding.layer is None else finding.layer.position, finding.message)
