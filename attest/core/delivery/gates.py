"""What stands in the way of a delivery before any evidence is looked at: a bad release, a hold, a freeze."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from attest.core.delivery.history import EnvironmentHistory
from attest.core.delivery.records import Cause, Kind, Planned, Trigger
from attest.core.environment.definition import Environment
from attest.core.statement import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a delivery may not run now."""

    cause: Cause
    message: str
    hint: str
    """What would help."""


def obstacle(
    planned: Planned, history: EnvironmentHistory, environment: Environment, *, now: datetime
) -> Obstacle | None:
    """What stands in its way; None where nothing does. Nothing stands in the way of a rollback."""
    match planned.kind:
        case Kind.ROLLBACK:
            return None
        case Kind.REPAIR:
            return _bad(planned, history) or _frozen(history, environment, now)
        case Kind.DEPLOY:
            return _bad(planned, history) or _hold(planned, history) or _frozen(history, environment, now)
        case other:
            assert_never(other)


def freeze(history: EnvironmentHistory, environment: Environment, *, now: datetime) -> str | None:
    """Why nothing is deployed at this moment, and until when; None where nothing forbids it."""
    frozen = history.frozen
    if frozen is not None and (frozen.until is None or now < frozen.until):
        end = "until somebody ends it" if frozen.until is None else f"until {format_time(frozen.until)}"
        return f"frozen by {frozen.actor} {end}: {frozen.reason}"
    window = environment.freeze_at(now)
    if window is None:
        return None
    return f"frozen until {format_time(window.end)} by the environment document: {window.reason}"


def _bad(planned: Planned, history: EnvironmentHistory) -> Obstacle | None:
    bad = history.bad.get(planned.release.key)
    if bad is None:
        return None
    return Obstacle(
        cause=Cause.BAD_RELEASE,
        message=f"this release is marked as bad since delivery {bad.deployment}: {bad.message}",
        hint=f"deploy one that is mended, or lift the mark: attest release-hold FILE --release {bad.deployment}",
    )


def _hold(planned: Planned, history: EnvironmentHistory) -> Obstacle | None:
    hold = history.hold
    if hold is None or planned.trigger is Trigger.EXPLICIT:
        return None
    return Obstacle(
        cause=Cause.HELD,
        message=f"automatic deployments are held since {format_time(hold.since)}: {hold.message}",
        hint="`attest release-hold` ends it; a deployment without --automatic goes past it",
    )


def _frozen(history: EnvironmentHistory, environment: Environment, now: datetime) -> Obstacle | None:
    frozen = freeze(history, environment, now=now)
    if frozen is None:
        return None
    hint = "wait for the end of it; `attest unfreeze` ends what `attest freeze` began, and a rollback is exempt"
    return Obstacle(cause=Cause.FROZEN, message=frozen, hint=hint)
