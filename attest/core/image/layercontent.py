"""One layer as it was read: its members, the few files that were kept, and where secrets may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attest.core.image.tarball import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """Something in a member that looks like a secret; only the first one of a rule is told."""

    member: int
    """The number of the member, from 0."""
    rule: str
    line: int | None
    """From 1; None in what is no text, and where the file is too long to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContent:
    """All that is known of a layer whose digest and diff_id were checked."""

    members: tuple[Member, ...]
    kept: Mapping[int, bytes]
    """Content by the number of its member."""
    secrets: tuple[SecretPlace, ...]
    unpacked: int
    """Bytes of the uncompressed archive."""
