"""What the verbs need of the place where services run, as Protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attest.core.environment.health import Look, ProbeResult
from attest.core.environment.targets import DesiredImage, Observed


class Target(Protocol):
    """Where the services of one environment run. Exit codes of the tools behind it prove nothing: `observe` does."""

    def prepare(self, plan: Sequence[DesiredImage]) -> None:
        """Everything of `apply` that changes nothing which runs: reading, checking, fetching images by digest.

        Raises:
            attest.errors.DocumentInvalid: a file that the environment names does not allow this plan.
            attest.errors.TargetFailed: the target cannot be reached, or an image cannot be had.
        """
        ...

    def apply(self, plan: Sequence[DesiredImage]) -> None:
        """Have each service of the plan run its image by digest. Other services of the environment stay as they are.

        It returns when the target has taken the plan; a second time is no error. Killed half way, it is called again.

        Raises:
            attest.errors.DocumentInvalid: a file that the environment names does not allow it; nothing was touched.
            attest.errors.TargetFailed: the target did not take it, or said so. `observe` tells what runs now.
        """
        ...

    def observe(self) -> Mapping[str, Observed]:
        """What each service of the environment runs at this moment, every one of them.

        Raises:
            attest.errors.NotObserved: the target does not say.
        """
        ...


class Prober(Protocol):
    """Looks whether services of an environment are healthy. Each service may be asked about in a thread of its own."""

    def settle(self, service: str) -> ProbeResult:
        """Look until the service is healthy so many times in a row, or its time is over.

        Of a one-shot service: until it has ended.
        """
        ...

    def soak(self, service: str) -> ProbeResult:
        """Go on looking for as long as the service has to stay healthy; the first look that is not ends it.

        A look that could not be made is made again; `ERROR` is the result where the last ones could not be made.
        """
        ...


class LookInside(Protocol):
    """Runs the command of an `exec` probe in the containers of a service."""

    def __call__(self, service: str, argv: Sequence[str], *, seconds: float) -> Look:
        """Healthy where it ends with 0 in every container that runs; never an exception of ours."""
        ...
