"""What was seen of the services of an environment, as the ledger keeps it.

Whatever a target says, it can be recorded: what became of a delivery must not be lost for being too long. So of each
thing a bounded part is kept, with the number of what is left out; decisions are made on all of it, before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from attest.core import limits
from attest.core.canonicaljson import canonical
from attest.core.delivery.fields import DETAIL, Count, Payload, Sha256, Text, clipped
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import Instance, Match, Observed, RunState

INSTANCES: Final = 64
"""Instances of one service that are recorded, the first; how many more there were is recorded too."""
DIGESTS: Final = 64
"""Digests of one service that are recorded, the first in their order; how many more there were is recorded too."""
NAMES: Final = 8
"""The same of one instance."""
ROOM: Final = limits.RECORD // 4
"""Bytes that all services of one record may take; the rest is for a verdict and the reasons."""


class RecordedInstance(Payload):
    """One container of a service."""

    name: Text
    state: RunState
    digests: tuple[Sha256, ...]
    exit_code: int | None
    detail: Text
    more_digests: Count = 0
    """Digests that are not listed."""


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
    """Digests that any instance is known by, in their order."""
    instances: tuple[RecordedInstance, ...]
    more: Count
    """Instances that are not listed."""
    detail: Text
    probe: RecordedProbe | None = None
    """None where nobody looked."""
    soak: RecordedProbe | None = None
    more_digests: Count = 0
    """Digests that are not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """How much is kept of one service."""

    instances: int = INSTANCES
    digests: int = DIGESTS
    names: int = NAMES
    detail: int = DETAIL

    @property
    def halved(self) -> _Bounds:
        """Half of each."""
        return _Bounds(
            instances=self.instances // 2,
            digests=self.digests // 2,
            names=self.names // 2,
            detail=self.detail // 2,
        )


_NOTHING: Final = _Bounds(instances=0, digests=0, names=0, detail=0)


def record_services(
    observed: Mapping[str, Observed],
    found: Mapping[str, Match],
    *,
    probes: Mapping[str, ProbeResult] | None = None,
    soaks: Mapping[str, ProbeResult] | None = None,
) -> dict[str, RecordedService]:
    """What is recorded of all services that were seen.

    Where that takes more than `ROOM`, half as many instances, digests and characters are kept of each service, until it
    does not. At the end stand how each service stands to its image, its state, its health, and how much was left out:
    less than its verdict took, which was recorded before.

    Args:
        observed: What was seen.
        found: How each service stands to the image that it should run.
        probes: What its probe came to, where there was one.
        soaks: The same of the time after it.
    """
    bounds = _Bounds()
    while True:
        services = {
            name: _service(
                observed[name],
                match,
                bounds,
                probe=None if probes is None else probes.get(name),
                soak=None if soaks is None else soaks.get(name),
            )
            for name, match in found.items()
            if name in observed
        }
        if bounds == _NOTHING or _size(services) <= ROOM:
            return services
        bounds = bounds.halved


def _size(services: Mapping[str, RecordedService]) -> int:
    return len(canonical({name: service.model_dump(mode="json") for name, service in services.items()}))


def _service(
    observed: Observed, match: Match, bounds: _Bounds, *, probe: ProbeResult | None, soak: ProbeResult | None
) -> RecordedService:
    digests = sorted(observed.digests)
    return RecordedService(
        match=match,
        state=observed.state,
        digests=tuple(digests[: bounds.digests]),
        instances=tuple(_instance(one, bounds) for one in observed.instances[: bounds.instances]),
        more=max(0, len(observed.instances) - bounds.instances),
        detail=clipped(observed.detail, bounds.detail),
        probe=_probe(probe, bounds),
        soak=_probe(soak, bounds),
        more_digests=max(0, len(digests) - bounds.digests),
    )


def _instance(instance: Instance, bounds: _Bounds) -> RecordedInstance:
    digests = sorted(instance.digests)
    return RecordedInstance(
        name=clipped(instance.name, bounds.detail),
        state=instance.state,
        digests=tuple(digests[: bounds.names]),
        exit_code=instance.exit_code,
        detail=clipped(instance.detail, bounds.detail),
        more_digests=max(0, len(digests) - bounds.names),
    )


def _probe(result: ProbeResult | None, bounds: _Bounds) -> RecordedProbe | None:
    if result is None:
        return None
    detail = clipped(result.detail, bounds.detail)
    return RecordedProbe(health=result.health, detail=detail, looks=result.looks, streak=result.streak)
