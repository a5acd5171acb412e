"""What was seen of the services of an environment, as the ledger keeps it."""

from __future__ import annotations

from typing import Final

from attest.core.delivery.fields import Count, Payload, Sha256, Text, clipped
from attest.core.health import Health, ProbeResult
from attest.core.targets import Instance, Match, Observed, RunState

INSTANCES: Final = 64
"""Instances of one service that are recorded; how many more there were is recorded too."""


class RecordedInstance(Payload):
    """One container of a service."""

    name: Text
    state: RunState
    digests: tuple[Sha256, ...]
    exit_code: int | None
    detail: Text


class RecordedProbe(Payload):
    """What a probe, or a soak, came to."""

    health: Health
    detail: Text
    looks: Count
    streak: Count


class RecordedService(Payload):
    """What was seen of one service, and how that stands to the image that it should run."""

    match: Match
    state: RunState
    digests: tuple[Sha256, ...]
    """Every digest that any instance is known by."""
    instances: tuple[RecordedInstance, ...]
    more: Count
    """Instances that are not listed."""
    detail: Text
    probe: RecordedProbe | None = None
    """None where nobody looked."""
    soak: RecordedProbe | None = None


def record_service(
    observed: Observed, match: Match, *, probe: ProbeResult | None = None, soak: ProbeResult | None = None
) -> RecordedService:
    """What is recorded of a service."""
    return RecordedService(
        match=match,
        state=observed.state,
        digests=tuple(sorted(observed.digests)),
        instances=tuple(map(_instance, observed.instances[:INSTANCES])),
        more=max(0, len(observed.instances) - INSTANCES),
        detail=clipped(observed.detail),
        probe=_probe(probe),
        soak=_probe(soak),
    )


def _instance(instance: Instance) -> RecordedInstance:
    return RecordedInstance(
        name=clipped(instance.name),
        state=instance.state,
        digests=tuple(sorted(instance.digests)),
        exit_code=instance.exit_code,
        detail=clipped(instance.detail),
    )


def _probe(result: ProbeResult | None) -> RecordedProbe | None:
    if result is None:
        return None
    return RecordedProbe(health=result.health, detail=clipped(result.detail), looks=result.looks, streak=result.streak)
