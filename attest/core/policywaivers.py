"""The `waivers` of a policy document: who may let which lanes be lacking, and never somebody who signs a lane."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attest.core.document import Document
from attest.core.policy import WaiverRule
from attest.core.policymodel import PolicyDocument

_HINT = "a waiver is the word of somebody who signs no lane; give that party a key or an identity of its own"


def check_waivers(document: Document, policy: PolicyDocument) -> None:
    """Check the section as far as that goes without the keys.

    Raises:
        attest.errors.DocumentInvalid: it names a signer or a lane that is not there, or a signer of a lane; with the
            place.
    """
    waivers = policy.waivers
    if waivers is None:
        return
    if waivers.signer not in policy.signers:
        problem = f"there is no signer {waivers.signer}; `signers` has {', '.join(policy.signers)}"
        raise document.invalid(("waivers", "signer"), problem)
    for position, lane in enumerate(waivers.lanes):
        if lane not in policy.lanes:
            problem = f"there is no lane {lane}; `lanes` has {', '.join(policy.lanes)}"
            raise document.invalid(("waivers", "lanes", position), problem)
    own = _parties(policy, waivers.signer)
    for name, rule in policy.lanes.items():
        both = [party for party in own if party in _parties(policy, rule.signer)]
        if both:
            problem = f"{both[0]} signs the lane {name}, and so cannot waive lanes"
            raise document.invalid(("waivers", "signer"), problem, hint=_HINT)


def waiver_rule(document: Document, policy: PolicyDocument, proofs: Mapping[str, Collection[str]]) -> WaiverRule | None:
    """The rule that the section is; `proofs` has the keys or the identity of each signer that is no threshold.

    Raises:
        attest.errors.DocumentInvalid: a key or an identity of it is that of a lane's signer, under another name.
    """
    waivers = policy.waivers
    if waivers is None:
        return None
    own = _parties(policy, waivers.signer)
    held = {proof: party for party in own for proof in proofs[party]}
    for name, rule in policy.lanes.items():
        for party in _parties(policy, rule.signer):
            both = [held[proof] for proof in proofs[party] if proof in held]
            if both:
                problem = (
                    f"{both[0]} is {party} under another name, who signs the lane {name}; so it cannot waive lanes"
                )
                raise document.invalid(("waivers", "signer"), problem, hint=_HINT)
    return WaiverRule(
        signer=waivers.signer,
        parties=frozenset(own),
        threshold=policy.signers[waivers.signer].threshold or 1,
        lanes=frozenset(waivers.lanes),
        max_lifetime=waivers.max_lifetime,
    )


def _parties(policy: PolicyDocument, signer: str) -> list[str]:
    """Who a signer is: itself, or the members of a threshold."""
    return policy.signers[signer].of or [signer]
