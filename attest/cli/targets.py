"""Where the services of an environment run, and how it is found out that they are well: the adapters of its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from attest.core.environment import ComposeTarget, Environment, HookTarget, KubernetesTarget

if TYPE_CHECKING:
    from attest.targetports import LookInside, Prober, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The target of an environment, and what looks at its services."""

    target: Target
    prober: Prober


def open_target(environment: Environment) -> Opened:
    """The target that an environment names. Nothing is asked of it yet.

    Raises:
        attest.errors.UsageError: a program that it takes is not installed.
        attest.errors.DocumentInvalid: the authorities that a probe names cannot be read.
    """
    from attest.adapters.probes import Probes

    target, look_inside = _adapter(environment)
    prober = Probes(environment.services, observe=target.observe, look_inside=look_inside)
    return Opened(target=target, prober=prober)


def _adapter(environment: Environment) -> tuple[Target, LookInside | None]:
    place, services, name = environment.target, environment.services, environment.name
    match place:
        case ComposeTarget():
            from attest.adapters.compose import Compose

            compose = Compose(place, services, environment=name)
            return compose, compose.look_inside
        case KubernetesTarget():
            from attest.adapters.kubernetes import Kubernetes

            kubernetes = Kubernetes(place, services, environment=name)
            return kubernetes, kubernetes.look_inside
        case HookTarget():
            from attest.adapters.hook import Hook

            return Hook(place, services, environment=name), None
        case other:
            assert_never(other)
