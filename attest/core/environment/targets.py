"""What is to run in an environment, what was seen to run there, and whether the two are the same.

Compared are digests and nothing else. Each instance of a service counts: one replica of another image is another
image, however many of the right one run beside it. What nobody could see is never taken for what was wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from attest.core.reference import Digest, RegistryImage
from attest.core.strictjson import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredImage:
    """The image that a service of an environment is to run."""

    service: str
    reference: RegistryImage


class RunState(StrEnum):
    """What an instance of a service does."""

    RUNNING = "running"
    WAITING = "waiting"
    """It is there, or due, and does not run: created, pending, restarting, paused."""
    EXITED = "exited"
    SCHEDULED = "scheduled"
    """Nothing of it runs now; what will be started is named by digest (a Kubernetes CronJob)."""
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """The target does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One container of a service, as its target says."""

    name: str
    state: RunState
    digests: frozenset[Digest] = frozenset()
    """Names of the one image that it is made of: of its index, manifest or configuration. Empty where nobody says."""
    exit_code: int | None = None
    """Of one that exited."""
    ends: bool = False
    """It is made to end, with 0: an init container, or one of a one-shot service."""
    instance: str | None = None
    """The target's own id of it. Another one under the same name has another id."""
    started: str | None = None
    """When it was started, in the target's words; one that was started again has another."""
    detail: str = ""
    """What the target says of it besides: why it waits, for instance. Foreign text."""

    @property
    def failed(self) -> bool:
        """Whether it ended as it should not: with another code than 0, or although it was made to run."""
        return self.state is RunState.EXITED and not (self.ends and self.exit_code == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen of one service at one moment."""

    service: str
    instances: tuple[Instance, ...]
    """All of them, those too that are about to go."""
    detail: str = ""

    @property
    def state(self) -> RunState:
        """That of the instance which is the furthest from running."""
        states = {one.state for one in self.instances}
        return next((state for state in _WORST_FIRST if state in states), RunState.ABSENT)

    @property
    def digests(self) -> frozenset[Digest]:
        """Every digest that any instance is known by: to be shown. `compare` decides."""
        return frozenset(digest for one in self.instances for digest in one.digests)


_WORST_FIRST = (
    RunState.UNKNOWN,
    RunState.ABSENT,
    RunState.EXITED,
    RunState.WAITING,
    RunState.SCHEDULED,
    RunState.RUNNING,
)


class Match(StrEnum):
    """How what runs stands to one image."""

    SAME = "same"
    """Every instance is of this image and does what it is there for."""
    OTHER = "other"
    """An instance is of another image."""
    FAILED = "failed"
    """All are of this image, and one ended as it should not."""
    WAITING = "waiting"
    """All that are there are of this image as far as they say, and one does not run yet."""
    ABSENT = "absent"
    """There is no instance."""
    UNKNOWN = "unknown"
    """It cannot be told."""


def compare(observed: Observed, names: frozenset[Digest]) -> Match:
    """How what runs stands to an image; `names` is every digest that a container of it may be known by.

    That is what `Store.aliases` gives: the digests of its index, of its platforms, and of their configurations.
    """
    instances = observed.instances
    if not instances or all(one.state is RunState.ABSENT for one in instances):
        return Match.ABSENT
    if any(one.digests and one.digests.isdisjoint(names) for one in instances):
        return Match.OTHER
    if any(one.state is RunState.UNKNOWN or (not one.digests and one.state in _HAVE_AN_IMAGE) for one in instances):
        return Match.UNKNOWN
    if any(one.failed for one in instances):
        return Match.FAILED
    if any(one.state in (RunState.WAITING, RunState.ABSENT) for one in instances):
        return Match.WAITING
    if any(one.ends and one.state is RunState.RUNNING for one in instances):
        return Match.WAITING  # a one-shot has done what it is there for when it has ended
    return Match.SAME


_HAVE_AN_IMAGE = frozenset({RunState.RUNNING, RunState.EXITED, RunState.SCHEDULED})


def describe(observed: Observed) -> dict[str, Json]:
    """What was seen, as JSON, for `--format json` and the ledger."""
    return {
        "state": str(observed.state),
        "digests": sorted(observed.digests),
        "detail": observed.detail,
        "instances": [
            {
                "name": one.name,
                "state": str(one.state),
                "digests": sorted(one.digests),
                "exit-code": one.exit_code,
                "instance": one.instance,
                "started": one.started,
                "detail": one.detail,
            }
            for one in observed.instances
        ],
    }


def drifted(observed: Mapping[str, Observed], names: Mapping[str, frozenset[Digest]]) -> tuple[str, ...]:
    """The services that do not run the image of these names, in the order of `names`; not seen at all is drift too."""
    return tuple(
        service
        for service, digests in names.items()
        if service not in observed or compare(observed[service], digests) is not Match.SAME
    )
