"""An environment: where services run, under which policy, and how it is found out that they are well.

`attest.core.environment.document` makes one of a document. Every path in it can be opened as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from attest.core.environment.fields import ComposeEngine, LedgerUrl
from attest.core.environment.health import ProbeRule
from attest.core.reference import Digest, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPlace:
    """Where deliveries are recorded."""

    url: LedgerUrl
    """Its file is found from anywhere, as every path here."""
    signer: str | None
    """The private key that signs the head of the ledger."""
    head: Repository | None
    """Where the signed head is pushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeTarget:
    """Docker Compose or podman-compose on this machine."""

    files: tuple[str, ...]
    engine: ComposeEngine
    project: str | None
    """None where the file's `name`, or the name of its folder, is the project's."""
    override: str
    """The file that attest writes, the last one that Compose reads."""
    env_file: str | None
    timeout: timedelta
    """For one run of Compose, images fetched before it not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesTarget:
    """A namespace of a cluster, and the manifests of what runs there."""

    manifests: tuple[str, ...]
    context: str
    namespace: str
    kubeconfig: str | None
    timeout: timedelta
    """For a rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookTarget:
    """A program that deploys and observes."""

    argv: tuple[str, ...]
    folder: str
    """Where it is run: the folder of the document."""
    timeout: timedelta
    """For one run of it."""


TargetPlace = ComposeTarget | KubernetesTarget | HookTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """A service is healthy where this address answers with a status of 200 to 299."""

    url: str
    ca_file: str | None
    """Authorities that count for it instead of the system's."""
    rule: ProbeRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecProbe:
    """A service is healthy where this command ends with 0 in each of its containers."""

    argv: tuple[str, ...]
    rule: ProbeRule


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """A service that does its work and ends, with 0 where it went well."""

    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentService:
    """A service: the one repository that its images come from, and how it shows that it is well."""

    name: str
    repository: Repository
    health: HttpProbe | ExecProbe | OneShot
    soak: timedelta
    """How long it has to stay well after that; zero for not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A time in which nothing is deployed; rollbacks are exempt."""

    start: datetime
    end: datetime
    """The first moment after it."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What an environment document says."""

    name: str
    digest: Digest
    """Of the document's bytes."""
    policy: str
    evidence: tuple[Repository, ...]
    """Repositories whose evidence counts beside that of the place deployed from."""
    ledger: LedgerPlace
    target: TargetPlace
    services: Mapping[str, EnvironmentService]
    """By name, in the order of the document."""
    freezes: tuple[Freeze, ...]
    automatic_rollback: bool

    def services_of(self, repository: Repository) -> tuple[str, ...]:
        """The services whose images come from this repository: all of them run one image."""
        return tuple(name for name, service in self.services.items() if service.repository == repository)

    def freeze_at(self, now: datetime) -> Freeze | None:
        """The window that forbids to deploy now; of several, the one that ends last."""
        open_now = [freeze for freeze in self.freezes if freeze.start <= now < freeze.end]
        return max(open_now, key=lambda freeze: freeze.end, default=None)
