"""Verify the bundles of a release as they arrive."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.evaluate import Found
from attest.core.release import ReleaseImage
from attest.core.verify import Keyring, verify_all
from attest.ops.reading import Reading


def gather(reading: Reading, keyring: Keyring) -> tuple[tuple[ReleaseImage, ...], list[Found]]:
    """The images of a release as they are stored, and what verification makes of each bundle beside them.

    Only what somebody trusted signed is kept, so that memory does not grow with what others attach.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: something could not be listed or read, so nothing is decided.
    """
    found: list[Found] = []
    for batch in reading.bundles():
        outcomes = verify_all([(attached.content, attached.legacy) for attached in batch], keyring)
        found += [Found(outcome, attached.subject) for outcome, attached in zip(outcomes, batch, strict=True)]
    return reading.release(), found


def from_files(bundles: Sequence[bytes], keyring: Keyring) -> list[Found]:
    """What verification makes of bundles that were handed in; they only add to what is listed."""
    contents = dict.fromkeys(bundles)
    return [Found(outcome, None) for outcome in verify_all([(content, False) for content in contents], keyring)]
