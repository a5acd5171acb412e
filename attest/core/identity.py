"""Identities that a policy names as signers, beside what a verified certificate says.

Everything is compared as it is written: there are no patterns and no normal forms (CVE-2026-22772).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from attest.core.certificate import Certificate
from attest.core.keys import TrustedKey
from attest.core.predicates import Source
from attest.core.source import normalise_repository
from attest.core.strictjson import Json, shown

Credential = TrustedKey | Certificate
"""What makes a signature somebody's: a key that a policy names, or a certificate of an identity that it names."""

CLAIMS: Final = ("repository", "ref", "commit", "trigger", "workflow")
"""What a signer may demand of a certificate besides issuer and identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A signer that is what a job is. A claim that is None is not compared."""

    issuer: str
    identity: str
    repository: str | None = None
    ref: str | None = None
    commit: str | None = None
    trigger: str | None = None
    workflow: str | None = None

    @property
    def party(self) -> str:
        """Who that is, whatever else is demanded: distinct signers are distinct parties."""
        return f"{self.issuer} {self.identity}"

    def is_of(self, certificate: Certificate) -> bool:
        """Whether the certificate is this identity's, with every claim that is demanded."""
        return not self.differences(certificate)

    def differences(self, certificate: Certificate) -> tuple[str, ...]:
        """The values that are not those of the certificate, by name; `issuer` and `identity` come first."""
        return tuple(
            name
            for name in ("issuer", "identity", *CLAIMS)
            if (wanted := getattr(self, name)) is not None and getattr(certificate, name) != wanted
        )


def party_of(credential: Credential) -> str:
    """What makes signers distinct: a key, or an identity whatever its keys are."""
    if isinstance(credential, TrustedKey):
        return credential.fingerprint
    return f"{credential.issuer} {credential.identity}"


def distinct(proofs: Mapping[str, Collection[str]]) -> int:
    """How many of these signers are distinct, each by a key or identity that no other one uses: a maximum matching."""
    holder: dict[str, str] = {}

    def place(name: str, tried: set[str]) -> bool:
        for proof in sorted(proofs[name]):
            if proof not in tried:
                tried.add(proof)
                if proof not in holder or place(holder[proof], tried):
                    holder[proof] = name
                    return True
        return False

    return sum(place(name, set()) for name in sorted(proofs))


def certified_source(certificate: Certificate) -> Source:
    """What a certificate names as the source. A repository that has no normal form stays as it is, and so differs."""
    repository = certificate.repository
    if repository is not None:
        with suppress(ValueError):
            repository = normalise_repository(repository)
    return Source(repository=repository, commit=certificate.commit, ref=certificate.ref)


def certificate_document(credential: Credential) -> dict[str, Json]:
    """What `where` sees as `certificate`: only what it says, and nothing for a key."""
    if isinstance(credential, TrustedKey):
        return {}
    names = ("issuer", "identity", *CLAIMS, "run")
    return {name: value for name in names if (value := getattr(credential, name)) is not None}


_WORKFLOW: Final = re.compile(r"(?P<repository>https?://[^@]+?)/(?P<workflow>/?\.[^@]+)@(?P<ref>.+)")
"""The identity of a job: REPOSITORY/.forge/workflows/FILE@REF; GitLab writes two slashes before its file."""


def nearest(certificate: Certificate, identities: Mapping[str, Identity]) -> tuple[str, str]:
    """Why a certificate is none of the identities: a reason code, and a sentence about the one that it is most like."""
    for name, identity in sorted(identities.items()):
        aspects: dict[str, _Pair] = {}
        for value in reversed(identity.differences(certificate)):
            aspects.update(_aspects(identity, certificate, value))
        if len(aspects) == 1:
            ((aspect, (found, wanted)),) = aspects.items()
            says = f"names none, not {shown(wanted)}" if found is None else f"says {shown(found)}, not {shown(wanted)}"
            return DIFFERS[aspect], f"it is {name} but for the {aspect}: its certificate {says}"
    if all(identity.issuer != certificate.issuer for identity in identities.values()):
        return DIFFERS["issuer"], f"issued by {shown(certificate.issuer)}, whom no signer of this policy names"
    who = f"{shown(certificate.identity)} of {shown(certificate.issuer)}"
    return "foreign-identity", f"signed by {who}, which is no signer of this policy"


DIFFERS: Final = {
    "issuer": "issuer-differs",
    "identity": "identity-differs",
    **{claim: f"certificate-{claim}-differs" for claim in CLAIMS},
}
"""The reason code where a certificate would be a signer's but for this."""


_Pair = tuple[str | None, str]
"""What a certificate says, and what it would have to say."""


def _aspects(identity: Identity, certificate: Certificate, name: str) -> Mapping[str, _Pair]:
    """What is different where this value is: of the address of a workflow, its parts."""
    found, wanted = getattr(certificate, name), getattr(identity, name)
    if name in ("identity", "workflow") and found is not None:
        mine, others = _WORKFLOW.fullmatch(found), _WORKFLOW.fullmatch(wanted)
        if mine is not None and others is not None:
            parts = ("repository", "workflow", "ref")
            return {part: (mine[part], others[part]) for part in parts if mine[part] != others[part]}
    return {name: (found, wanted)}
