"""Why a lane has no candidate: the evidence that would be one but for a single thing."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.candidates import Fault, Item, is_candidate
from attest.core.policy import Lane, Policy
from attest.core.reference import Digest
from attest.core.release import Release, ReleaseImage
from attest.core.verdict import Reason, State


def explain(
    policy: Policy, release: Release, image: ReleaseImage, lane: Lane, target: Digest, items: Sequence[Item]
) -> tuple[Fault, tuple[Item, ...]]:
    """The state of a lane that nothing fills, and the evidence that came closest."""
    found: dict[Reason, list[Item]] = {}
    for item in items:
        reason = _one_difference(policy, release, image, lane, target, item)
        if reason is not None:
            found.setdefault(reason, []).append(item)
    asked_of = "" if target == image.digest else f"; it is asked of the platform {target}"
    for reason, (state, message) in _NEAR.items():
        if reason in found:
            return Fault(state=state, reason=reason, message=message + asked_of), tuple(found[reason])
    message = f"nothing found of predicate type {lane.predicate_type} by {lane.signer}{asked_of}"
    return Fault(state=State.MISSING, reason=Reason.NOT_FOUND, message=message), ()


_NEAR = {
    Reason.BUNDLE_REVOKED: (State.REVOKED, "what was signed is revoked by the policy"),
    Reason.SIGNER_DIFFERS: (State.UNTRUSTED, "signed, but not by the signer of this lane"),
    Reason.SUBJECTS_DIFFER: (State.MISMATCHED, "a joint statement, but not about exactly these images"),
    Reason.PREDICATE_TYPE_DIFFERS: (State.MISSING, "signed, but with another predicate type"),
    Reason.SUBJECT_DIFFERS: (State.MISSING, "what hangs on this image is about another digest"),
    Reason.LANE_DIFFERS: (State.MISSING, "signed, but under the name of another lane"),
}


def _one_difference(
    policy: Policy, release: Release, image: ReleaseImage, lane: Lane, target: Digest, item: Item
) -> Reason | None:
    statement = item.verified.statement
    differences = []
    if item.revoked:
        differences.append(Reason.BUNDLE_REVOKED)
    if item.names.isdisjoint(lane.parties):
        differences.append(Reason.SIGNER_DIFFERS)
    if statement.predicate_type != lane.predicate_type:
        differences.append(Reason.PREDICATE_TYPE_DIFFERS)
    if lane.joint and not statement.is_exactly_about(release.subjects):
        differences.append(Reason.SUBJECTS_DIFFER if statement.digests & release.subjects else Reason.SUBJECT_DIFFERS)
    elif target not in statement.digests:
        differences.append(Reason.SUBJECT_DIFFERS)
    if statement.context.lane != lane.label:
        differences.append(Reason.LANE_DIFFERS)
    if len(differences) != 1:
        return None
    if differences[0] is Reason.SUBJECT_DIFFERS and item.found_on.isdisjoint(image.digests):
        return None
    if differences[0] in (Reason.LANE_DIFFERS, Reason.SIGNER_DIFFERS, Reason.PREDICATE_TYPE_DIFFERS) and any(
        is_candidate(item, other, image.digests, release.subjects) for other in policy.lanes
    ):
        return None  # it fills a lane of its own
    return differences[0]
