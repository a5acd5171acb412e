"""A policy as values: what a release needs, who may sign it, and what it must say.

`attest.core.policydocument` makes one from a document; `attest.core.evaluate` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from attest.core.identity import Credential, Identity
from attest.core.keys import TrustedKey
from attest.core.oci import Platform
from attest.core.reference import Digest, Repository
from attest.core.strictjson import Json
from attest.core.verify import Keyring

_NOBODY: Final[frozenset[str]] = frozenset()


class Condition(Protocol):
    """A compiled `where` expression."""

    @property
    def text(self) -> str:
        """The expression as the policy has it."""
        ...

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:
        """Whether it is true; an absent field, an error, and a value that is no boolean are all false."""
        ...


class Bind(StrEnum):
    """What all lanes of a release must share."""

    REPOSITORY = "repository"
    COMMIT = "commit"
    REF = "ref"
    RUN = "run"


class EvidenceAt(StrEnum):
    """Which digests of an image index the lanes are asked of."""

    INDEX = "index"
    EACH = "each"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRule:
    """Exactly these platforms, and where their evidence must be."""

    evidence: EvidenceAt
    only: tuple[Platform, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """Where the code must come from, and what binds the lanes together."""

    repository: str
    refs: tuple[str, ...] | None
    bind: tuple[Bind, ...]

    def allows_ref(self, ref: str) -> bool:
        """Whether a ref is one of `refs`; without `refs` every ref is."""
        return self.refs is None or any(matches(pattern, ref) for pattern in self.refs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One party: all the keys that it has had, or an identity."""

    name: str
    keys: tuple[TrustedKey, ...] = ()
    identity: Identity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One validation stage that every image must have been through, unless it is in `exempt`."""

    name: str
    predicate_type: str
    signer: str
    """As the policy names it; `parties` is who that is."""
    parties: frozenset[str]
    threshold: int
    where: tuple[Condition, ...] = ()
    max_age: timedelta | None = None
    trusted_time: bool = False
    joint: bool = False
    unlabelled: bool = False
    unbound: bool = False
    allow_warned: bool = False
    allow_dirty: bool = False
    source_from_statement: bool = False
    exempt: frozenset[str] = frozenset()

    @property
    def label(self) -> str | None:
        """The lane name that a statement has to carry; None for an unlabelled lane."""
        return None if self.unlabelled else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRule:
    """Whose word lets which lanes be lacking, and for how long; never a lane's signer."""

    signer: str
    """As the policy names it; `parties` is who that is."""
    parties: frozenset[str]
    threshold: int
    lanes: frozenset[str]
    max_lifetime: timedelta
    """From the moment that a waiver begins to hold until it expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy. `digest` covers the document's bytes and those of every file that it names."""

    name: str
    serial: int
    digest: Digest
    expires: datetime | None
    images: tuple[str, ...]
    source: SourceRule
    platforms: PlatformRule | None
    signers: Mapping[str, Signer]
    lanes: tuple[Lane, ...]
    revoked: frozenset[Digest]
    waivers: WaiverRule | None = None
    """None where nothing is ever waived."""
    public_good: bool = False
    """Its trust is that of the public-good Sigstore, whose root is no part of `digest`."""
    keyring: Keyring = field(repr=False, compare=False)
    holders: Mapping[Digest, frozenset[str]] = field(repr=False, compare=False)
    """Which signers hold a key, by its fingerprint."""

    def names_of(self, credential: Credential) -> frozenset[str]:
        """The signers whose signature it is; more than one only where a key or an identity is shared."""
        if isinstance(credential, TrustedKey):
            return self.holders.get(credential.fingerprint, _NOBODY)
        identities = self.keyring.identities.items()
        return frozenset(name for name, identity in identities if identity.is_of(credential))

    def speaks_for(self, repository: Repository | None) -> bool:
        """Whether the policy's `images` name this repository."""
        return repository is not None and any(matches(pattern, str(repository)) for pattern in self.images)

    def lanes_of(self, image_name: str) -> tuple[Lane, ...]:
        """The lanes that cover an image of this name."""
        return tuple(lane for lane in self.lanes if image_name not in lane.exempt)


def matches(pattern: str, text: str) -> bool:
    """Equality, or with a trailing `/*` everything below. There are no other patterns (CVE-2026-25542)."""
    if pattern.endswith("/*"):
        return text.startswith(pattern[:-1]) and len(text) > len(pattern) - 1
    return text == pattern
