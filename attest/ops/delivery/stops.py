"""What people put in the way of deliveries, and what they take away: freezes, holds, marks on bad releases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from attest.core.delivery.history import BadRelease, EnvironmentHistory, Hold
from attest.core.delivery.records import AnyPayload, Frozen, Released, Unfrozen, entry_of
from attest.errors import UsageError
from attest.ledgerports import Lease, Ledger
from attest.ops.delivery.site import LEASE, read_history
from attest.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where somebody speaks about an environment without touching it."""

    environment: str
    ledger: Ledger
    clock: Clock
    actor: str
    wait: timedelta
    """How long to wait for a deployer who is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """What stood in the way until now."""

    hold: Hold | None
    releases: tuple[BadRelease, ...]


def freeze(desk: Desk, *, reason: str, until: datetime | None) -> EnvironmentHistory:
    """Let nothing be deployed from now on, until then or until `unfreeze`. A second freeze takes the first one's place.

    Raises:
        UsageError: `until` is over.
        LeaseHeld: a deployer is at work, and went on for longer than we wait.
    """
    if until is not None and until <= desk.clock.now():
        raise UsageError("--until is over", hint="name a time that has not come yet, or leave it out")

    def frozen(_: EnvironmentHistory) -> AnyPayload:
        return Frozen(until=until, reason=reason)

    return _say(desk, frozen)


def unfreeze(desk: Desk, *, reason: str) -> EnvironmentHistory:
    """End what `freeze` began. Windows of the environment document stay.

    Raises:
        UsageError: nobody froze it.
    """

    def unfrozen(here: EnvironmentHistory) -> AnyPayload:
        if here.frozen is None:
            hint = "a window of the environment document ends when the document says so"
            raise UsageError(f"nobody froze {desk.environment}", hint=hint)
        return Unfrozen(reason=reason)

    return _say(desk, unfrozen)


def release_hold(desk: Desk, *, reason: str, releases: Sequence[int]) -> Lifted:
    """Let automatic deployments go on; with `releases`, the numbers of deliveries, lift the mark on theirs instead.

    Raises:
        UsageError: nothing is held, or one of the releases is not marked.
    """
    lifted: list[Lifted] = []

    def released(here: EnvironmentHistory) -> AnyPayload:
        if not releases:
            if here.hold is None:
                raise UsageError(f"nothing is held in {desk.environment}", hint=_marked(here))
            lifted.append(Lifted(hold=here.hold, releases=()))
            return Released(hold=True, releases=(), reason=reason)
        bad = tuple(_bad(here, number) for number in dict.fromkeys(releases))
        lifted.append(Lifted(hold=None, releases=bad))
        return Released(hold=False, releases=tuple(dict.fromkeys(one.key for one in bad)), reason=reason)

    _say(desk, released)
    return lifted[-1]


def _bad(here: EnvironmentHistory, number: int) -> BadRelease:
    delivery = here.deliveries.get(number)
    bad = None if delivery is None else here.bad.get(delivery.release.key)
    if bad is None:
        raise UsageError(f"the release of delivery {number} is not marked as bad", hint=_marked(here))
    return bad


def _marked(here: EnvironmentHistory) -> str:
    numbers = sorted(bad.deployment for bad in here.bad.values())
    if not numbers:
        return "no release is marked as bad either" if here.hold is None else "no release is marked"
    return f"releases are marked as bad since the deliveries {', '.join(map(str, numbers))}"


def _say(desk: Desk, what: Callable[[EnvironmentHistory], AnyPayload]) -> EnvironmentHistory:
    """Record what follows from how things stand, while nobody changes them."""
    lease: Lease
    with desk.ledger.lease(desk.environment, holder=desk.actor, ttl=LEASE, wait=desk.wait) as lease:
        history, _ = read_history(desk.ledger)
        payload = what(history.of(desk.environment))
        lease.append(entry_of(payload, environment=desk.environment, actor=desk.actor))
    history, _ = read_history(desk.ledger)
    return history.of(desk.environment)
