"""What ties the lanes of a release together: the source and run that they must share, and enough signers.

Steps 5 and 6 of the evaluation (docs/policy.md, "Evaluation").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from attest.core.candidates import Fault, Item
from attest.core.identity import distinct, party_of
from attest.core.policy import Bind, Lane, Policy, SourceRule
from attest.core.verdict import Reason, State

Combination = tuple[str, ...]
"""The values that a policy's `bind` names, in its order."""

EARLIEST = datetime.min.replace(tzinfo=UTC)


class Bound(NamedTuple):
    """A candidate that counts, and the combination that it belongs to; an unbound one joins any."""

    item: Item
    combination: Combination


class _Named(NamedTuple):
    """What a candidate names, by the words of `Bind`; a run is one of its repository."""

    repository: str | None
    commit: str | None
    ref: str | None
    run: str | None


def bind(item: Item, lane: Lane, policy: Policy, commit: str | None) -> Bound | Fault:
    """Step 5 for one candidate: where it belongs, or why its source is not that of the policy and the release."""
    named = _named(item, lane)
    if isinstance(named, Fault):
        return named
    source = policy.source
    if item.verified.statement.context.dirty and not lane.allow_dirty:
        message = "it was made from a work tree with changes that are in no commit"
        return _mismatched(Reason.WORK_TREE_DIRTY, message)
    if named.repository is not None and named.repository != source.repository:
        message = f"it is about the repository {named.repository}, not {source.repository}"
        return _mismatched(Reason.REPOSITORY_DIFFERS, message)
    if named.ref is not None and not source.allows_ref(named.ref):
        return _mismatched(Reason.REF_DIFFERS, f"it is about {named.ref}, which is none of the policy's refs")
    if commit is not None and named.commit is not None and named.commit != commit:
        message = f"it is about commit {named.commit}, not the release's {commit}"
        return _mismatched(Reason.COMMIT_DIFFERS, message)
    if lane.unbound:
        return Bound(item, ())
    if None in named:
        for name in Bind:
            if getattr(named, name) is None and _compares(source, name, commit):
                return _mismatched(Reason.SOURCE_UNNAMED, f"it names no {name}, and the policy compares it")
    return Bound(item, tuple([getattr(named, name) for name in source.bind]))


def _compares(source: SourceRule, name: Bind, commit: str | None) -> bool:
    """Whether the policy, or a release that names its commit, compares this value."""
    return (
        name in source.bind
        or name is Bind.REPOSITORY
        or (name is Bind.COMMIT and commit is not None)
        or (name is Bind.REF and source.refs is not None)
    )


def best_combination(targets: Sequence[tuple[Lane, Sequence[Bound]]]) -> Combination:
    """The combination in which the most lanes are present; of equals the one with the newest evidence.

    A combination in which every lane is present has the most, so it is found if there is one.
    """
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
    """How many signers with distinct names *and* distinct keys or identities there are among those who signed."""
    proofs: dict[str, set[str]] = {}
    for item in items:
        for name in item.names & lane.parties:
            proofs.setdefault(name, set()).add(party_of(item.verified.credential))
    return distinct(proofs)


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


def _named(item: Item, lane: Lane) -> _Named | Fault:
    """The one repository, commit and ref that every place names, where any does, and the run."""
    sources = () if lane.source_from_statement else item.verified.sources
    context = item.verified.statement.context
    repository, commit, ref = context.repository, context.commit, context.ref
    if sources:
        places = (context, *sources)
        values: list[str | None] = []
        for name in ("repository", "commit", "ref"):
            distinct = {value for place in places if (value := getattr(place, name)) is not None}
            if len(distinct) > 1:
                message = f"it names more than one {name}: {', '.join(sorted(distinct))}"
                return _mismatched(Reason.SOURCE_DISAGREES, message)
            values.append(distinct.pop() if distinct else None)
        repository, commit, ref = values
    run = context.run_id
    return _Named(repository, commit, ref, None if run is None else f"{repository} run {run}")
