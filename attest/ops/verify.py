"""Decide about a release: gather its evidence and evaluate a policy on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from attest.core.evaluate import Remembered, evaluate
from attest.core.policy import Policy
from attest.core.reference import Digest
from attest.core.release import Release
from attest.core.verdict import Passed, Refused, Verdict
from attest.core.waiver import Presented, Waived, evaluate_waived
from attest.errors import UsageError
from attest.ops.gather import from_files, gather
from attest.ops.reading import Reading
from attest.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What `verify` is asked besides the policy and the images."""

    commit: str | None = None
    """The source commit of the release, where a release file names it."""
    bundles: Sequence[bytes] = ()
    """Bundles that were handed in; they add to what is listed."""
    demanded: Iterable[Digest] = ()
    """Inputs of earlier receipts, which must still be there."""
    remembered: Remembered | None = None
    at: datetime | None = None
    """A moment in the past to look at, instead of now."""
    aged_at: datetime | None = None
    """The earlier verdict at which `max-age` is measured, on the way back to a release; all else is of now."""


def verify(reading: Reading, policy: Policy, question: Question, *, clock: Clock) -> Verdict:
    """The verdict on the images that are being read, as one release.

    Raises:
        UsageError: `at` is later than now.
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided.
    """
    now = clock.now()
    if question.at is not None and question.at > now:
        raise UsageError("--at lies in the future", hint="leave --at out to decide about now")
    release, found = gather(reading, policy.keyring)
    found += from_files(question.bundles, policy.keyring)
    return evaluate(
        policy,
        Release(images=release, commit=question.commit),
        found,
        now=question.at or now,
        remembered=question.remembered,
        demanded=question.demanded,
        historical=question.at is not None,
        aged_at=question.aged_at,
    )


def verify_waived(
    reading: Reading,
    policy: Policy,
    presented: Presented,
    *,
    commit: str | None,
    remembered: Remembered | None,
    clock: Clock,
) -> Passed | Waived | Refused:
    """The same where somebody presents a waiver. There is no such look at the past, and no way back by a waiver.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided.
    """
    now = clock.now()
    images, found = gather(reading, policy.keyring)
    release = Release(images=images, commit=commit)
    return evaluate_waived(policy, release, found, presented, now=now, remembered=remembered)
