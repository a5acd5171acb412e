"""Verify each bundle of a release as it arrives."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.evaluate import Found
from attest.core.release import ReleaseImage
from attest.core.verify import Keyring, verify
from attest.ops.reading import Reading


def gather(reading: Reading, keyring: Keyring) -> tuple[tuple[ReleaseImage, ...], list[Found]]:
    """The images of a release as they are stored, and what verification makes of each bundle beside them.

    Only what a trusted key signed is kept, so that memory does not grow with what others attach.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: something could not be listed or read, so nothing is decided.
    """
    found = [
        Found(outcome=verify(attached.content, keyring, legacy=attached.legacy), image=attached.subject)
        for attached in reading.bundles()
    ]
    return reading.release(), found


def from_files(bundles: Sequence[bytes], keyring: Keyring) -> list[Found]:
    """What verification makes of bundles that were handed in; they only add to what is listed."""
    return [Found(outcome=verify(content, keyring), image=None) for content in dict.fromkeys(bundles)]
