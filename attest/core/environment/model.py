"""The document of an environment, version 1, as models. `environment.document` makes an `Environment` of it.

The language is described in docs/environments.md; `schema()` is what editors check it with.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field

from attest.core.environment.fields import (
    Address,
    Argv,
    Context,
    Duration,
    Engine,
    EnvironmentFile,
    Ledger,
    Namespace,
    Project,
    Reason,
    RepositoryName,
)
from attest.core.model import DocumentModel, schema_of
from attest.core.policyfields import LANE_PATTERN, Moment, Name, Some, Version
from attest.core.reference import Repository
from attest.core.strictjson import Json

SCHEMA_NAME: Final = "https://attest-gate.dev/schema/environment-v1.json"
"""`$id` of the schema: a name, not an address to ask."""

SUCCESSES: Final = 100
"""At most so many successes in a row."""

_NAMED: Final = Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": LANE_PATTERN}})


def _either(*names: str) -> dict[str, Json]:
    """A schema of mappings that have exactly one of these keys."""
    return {"oneOf": [{"required": [name]} for name in names]}


def _distinct(items: list[Repository]) -> list[Repository]:
    for position, item in enumerate(items):
        if item in items[:position]:
            raise ValueError(f"item {position + 1} is the same as item {items.index(item) + 1}; list each once")
    return items


class LedgerDocument(DocumentModel):
    """Where deliveries are recorded, with what key its head is signed, and where the signed head is pushed."""

    url: Ledger
    signer: EnvironmentFile | None = None
    head: RepositoryName | None = None


class ComposeDocument(DocumentModel):
    """Docker Compose or podman-compose on this machine."""

    model_config = ConfigDict(json_schema_extra=_either("file", "files"))

    file: EnvironmentFile | None = None
    files: Some[EnvironmentFile] | None = None
    engine: Engine
    project: Project | None = None
    override: EnvironmentFile | None = None
    env_file: EnvironmentFile | None = None
    timeout: Duration | None = None


class KubernetesDocument(DocumentModel):
    """Manifests that `kubectl apply` takes to one namespace of one cluster."""

    manifests: Some[EnvironmentFile]
    context: Context
    namespace: Namespace
    kubeconfig: EnvironmentFile | None = None
    timeout: Duration | None = None


class HookDocument(DocumentModel):
    """A program that deploys and observes; docs/environments.md says what it is asked and what it answers."""

    argv: Argv
    timeout: Duration | None = None


class TargetDocument(DocumentModel):
    """Where the services run: exactly one kind of place."""

    model_config = ConfigDict(json_schema_extra=_either("compose", "kubernetes", "hook"))

    compose: ComposeDocument | None = None
    kubernetes: KubernetesDocument | None = None
    hook: HookDocument | None = None


class ProbeDocument(DocumentModel):
    """How it is found out that a service is healthy."""

    model_config = ConfigDict(
        json_schema_extra=_either("http", "exec") | {"dependentSchemas": {"ca-file": {"required": ["http"]}}}
    )

    http: Address | None = None
    exec: Argv | None = None
    ca_file: EnvironmentFile | None = None
    successes: Annotated[int, Field(ge=1, lt=SUCCESSES + 1, description="Successes in a row")] | None = None
    timeout: Duration | None = None
    interval: Duration | None = None
    attempt: Duration | None = None


class ServiceDocument(DocumentModel):
    """A service: the one repository of its images, and how it shows that it is well."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["probe"], "properties": {"oneshot": {"const": False}, "timeout": False}},
                {
                    "required": ["oneshot"],
                    "properties": {"oneshot": {"const": True}, "probe": False, "soak": False},
                },
            ]
        }
    )

    repository: RepositoryName
    probe: ProbeDocument | None = None
    soak: Duration | None = None
    oneshot: bool = False
    timeout: Duration | None = None


class FreezeDocument(DocumentModel):
    """A time in which nothing is deployed; rollbacks are exempt."""

    from_: Moment
    to: Moment
    reason: Reason


class RollbackDocument(DocumentModel):
    """What happens when a release fails its probe."""

    automatic: bool


class EnvironmentDocument(DocumentModel):
    """An environment for attest: where services run, what may run there, and how it is found out that they are well."""

    version: Version
    name: Name
    policy: EnvironmentFile
    evidence: Annotated[
        list[RepositoryName],
        AfterValidator(_distinct),
        Field(
            description="repositories whose evidence counts too, normally where promotion came from; [] is written out",
            json_schema_extra={"uniqueItems": True},
        ),
    ]
    ledger: LedgerDocument
    target: TargetDocument
    services: Annotated[dict[Name, ServiceDocument], _NAMED]
    freeze: list[FreezeDocument] = Field(default_factory=list)
    rollback: RollbackDocument


def schema() -> dict[str, Json]:
    """JSON Schema of an environment document, for editors. The loader refuses more: what no schema can say."""
    return schema_of(EnvironmentDocument, title="attest environment", name=SCHEMA_NAME)
