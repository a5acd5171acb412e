"""To which releases an environment could go back, newest first, and why not to the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from attest.core.delivery.fields import clipped
from attest.core.delivery.history import Delivery, EnvironmentHistory
from attest.core.delivery.records import DeliveredRelease, Pass, PassedOver, PassedOverRest
from attest.core.reference import Digest, Repository

LISTED: Final = 64
"""Releases that one record says were passed over, the newest; the others are counted, and told apart by a range."""

Candidate = Delivery | PassedOver
"""A delivery whose release may be verified under today's policy, or why it may not even be that."""


def candidates(
    history: EnvironmentHistory, services: Mapping[str, Repository], *, undone: Delivery
) -> tuple[Candidate, ...]:
    """The releases that ever ran here, each once, the newest first; what is rolled back is not among them.

    What is left to ask of a candidate is whether its images can still be pulled, and whether today's policy lets it
    pass.

    Args:
        history: What the ledger tells of the environment.
        services: The services that the environment has today, and the repositories that they are bound to.
        undone: What is rolled back.
    """
    healthy: dict[Digest, Delivery] = {}
    for delivery in history.newest_first():
        if delivery.healthy and not delivery.waived:
            healthy.setdefault(delivery.release.key, delivery)
    found: dict[Digest, Candidate] = {}
    for delivery in history.newest_first():
        key = delivery.release.key
        if delivery.touched and key not in found and key != undone.release.key:
            found[key] = _judge(history, delivery, healthy.get(key), services)
    return tuple(found.values())


def _judge(
    history: EnvironmentHistory,
    newest: Delivery,
    healthy: Delivery | None,
    services: Mapping[str, Repository],
) -> Candidate:
    release = newest.release
    bad = history.bad.get(release.key)
    if bad is not None:
        return _over(newest, Pass.BAD, f"it is marked as bad since delivery {bad.deployment}: {bad.message}")
    if healthy is None and newest.waived:
        return _over(newest, Pass.WAIVED, "it ran by a waiver, and never passed")
    if healthy is None:
        return _over(newest, Pass.NOT_HEALTHY, f"it was never healthy here; it ended as {newest.phase}")
    difference = unlike(release, services)
    if difference is not None:
        return _over(newest, Pass.NOT_WHOLE, difference)
    return healthy


def _over(delivery: Delivery, reason: Pass, message: str) -> PassedOver:
    return PassedOver(deployment=delivery.number, reason=reason, message=clipped(message))


def bounded(passed_over: Sequence[PassedOver]) -> tuple[tuple[PassedOver, ...], PassedOverRest | None]:
    """What one record says of the releases that a rollback did not take, newest first: some of them, and the rest."""
    listed, rest = tuple(passed_over[:LISTED]), passed_over[LISTED:]
    if not rest:
        return listed, None
    numbers = [one.deployment for one in rest]
    reasons = dict(Counter(one.reason for one in rest))
    return listed, PassedOverRest(count=len(rest), newest=max(numbers), oldest=min(numbers), reasons=reasons)


def unlike(release: DeliveredRelease, services: Mapping[str, Repository]) -> str | None:
    """In what a release does not fit the services that an environment has today; None where it does."""
    for name, repository in services.items():
        image = release.services.get(name)
        if image is None:
            return f"it has no {name}"
        if image.repository != repository:
            return f"its {name} is in {image.repository}, and the environment takes it from {repository}"
    surplus = sorted(set(release.services) - set(services))
    return f"it has {surplus[0]}, which the environment does not" if surplus else None
