"""What ties the lanes of a release together: the source and run that they must share, and enough signers.

Steps 5 and 6 of the evaluation (docs/policy.md, "Evaluation").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from attest.core.candidates import Fault, Item
from attest.core.policy import Bind, Lane, Policy, SourceRule
from attest.core.reference import Digest
from attest.core.verdict import Reason, State

Combination = tuple[str, ...]
"""The values that a policy's `bind` names, in its order."""

EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bound:
    """A candidate that counts, and the combination that it belongs to; an unbound one joins any."""

    item: Item
    combination: Combination


def bind(item: Item, lane: Lane, policy: Policy, commit: str | None) -> Bound | Fault:
    """Step 5 for one candidate: where it belongs, or why its source is not that of the policy and the release."""
    named = _named(item, lane)
    if isinstance(named, Fault):
        return named
    repository, found_commit, ref = named
    if item.context.dirty and not lane.allow_dirty:
        message = "it was made from a work tree with changes that are in no commit"
        return _mismatched(Reason.WORK_TREE_DIRTY, message)
    if repository is not None and repository != policy.source.repository:
        message = f"it is about the repository {repository}, not {policy.source.repository}"
        return _mismatched(Reason.REPOSITORY_DIFFERS, message)
    if ref is not None and not policy.source.allows_ref(ref):
        return _mismatched(Reason.REF_DIFFERS, f"it is about {ref}, which is none of the policy's refs")
    if found_commit is not None and commit is not None and found_commit != commit:
        message = f"it is about commit {found_commit}, not the release's {commit}"
        return _mismatched(Reason.COMMIT_DIFFERS, message)
    if lane.unbound:
        return Bound(item=item, combination=())
    run = item.context.run_id
    values = (repository, found_commit, ref, None if run is None else f"{repository} run {run}")
    for name, value in zip(_BINDS, values, strict=True):
        if value is None and _compares(policy.source, name, commit):
            return _mismatched(Reason.SOURCE_UNNAMED, f"it names no {name}, and the policy compares it")
    return Bound(item=item, combination=tuple(str(values[_BINDS.index(name)]) for name in policy.source.bind))


_BINDS = (Bind.REPOSITORY, Bind.COMMIT, Bind.REF, Bind.RUN)


def _compares(source: SourceRule, name: Bind, commit: str | None) -> bool:
    """Whether the policy, or a release that names its commit, compares this value."""
    return (
        name in source.bind
        or name is Bind.REPOSITORY
        or (name is Bind.COMMIT and commit is not None)
        or (name is Bind.REF and source.refs is not None)
    )


def best_combination(targets: Iterable[tuple[Lane, Sequence[Bound]]]) -> Combination:
    """The combination in which the most lanes are present; of equals the one with the newest evidence.

    A combination in which every lane is present has the most, so it is found if there is one.
    """
    targets = list(targets)
    combinations = {bound.combination for _, eligible in targets for bound in eligible}
    if len(combinations) <= 1:
        return next(iter(combinations), ())

    def rank(combination: Combination) -> tuple[int, datetime, Combination]:
        joining = [
            (lane, [bound.item for bound in found if bound.combination == combination]) for lane, found in targets
        ]
        newest = max(item.time or EARLIEST for _, items in joining for item in items)
        return sum(enough(lane, items) for lane, items in joining), newest, combination

    return max(combinations, key=rank)


def enough(lane: Lane, items: Sequence[Item]) -> bool:
    """Step 6: whether as many distinct signers as the lane needs are among those who signed these."""
    if lane.threshold <= 1:  # less than one is a load error of every policy document, and never means none
        return bool(items)
    return distinct_signers(lane, items) >= lane.threshold


def distinct_signers(lane: Lane, items: Iterable[Item]) -> int:
    """How many signers with distinct names *and* distinct keys there are: a maximum matching of the two."""
    keys: dict[str, set[Digest]] = {}
    for item in items:
        for name in item.names & lane.parties:
            keys.setdefault(name, set()).add(item.verified.key.fingerprint)
    holder: dict[Digest, str] = {}

    def place(name: str, tried: set[Digest]) -> bool:
        for key in sorted(keys[name] - tried):
            tried.add(key)
            if key not in holder or place(holder[key], tried):
                holder[key] = name
                return True
        return False

    return sum(place(name, set()) for name in sorted(keys))


def difference(policy: Policy, found: Combination, wanted: Combination) -> Fault:
    """Why a candidate of one combination does not join another: the first value in which they differ."""
    name, mine, others = next(
        (name, mine, others)
        for name, mine, others in zip(policy.source.bind, found, wanted, strict=True)
        if mine != others
    )
    message = f"it is about {name} {mine}; the other lanes share {others}"
    return _mismatched(_DIFFERS[name], message)


_DIFFERS = {
    Bind.REPOSITORY: Reason.REPOSITORY_DIFFERS,
    Bind.COMMIT: Reason.COMMIT_DIFFERS,
    Bind.REF: Reason.REF_DIFFERS,
    Bind.RUN: Reason.RUN_DIFFERS,
}


def _mismatched(reason: Reason, message: str) -> Fault:
    return Fault(state=State.MISMATCHED, reason=reason, message=message)


def _named(item: Item, lane: Lane) -> tuple[str | None, str | None, str | None] | Fault:
    """The one repository, commit and ref that every place names, where any does."""
    sources = () if lane.source_from_statement else item.verified.sources
    context = item.context
    if not sources:
        return context.repository, context.commit, context.ref
    places = (context, *sources)
    values = []
    for name in ("repository", "commit", "ref"):
        distinct = {value for place in places if (value := getattr(place, name)) is not None}
        if len(distinct) > 1:
            message = f"it names more than one {name}: {', '.join(sorted(distinct))}"
            return _mismatched(Reason.SOURCE_DISAGREES, message)
        values.append(distinct.pop() if distinct else None)
    return values[0], values[1], values[2]
