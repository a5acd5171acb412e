"""The document of a contract, version 1: what an image has to be to run in production.

Its keys are the ids of `attest.core.contract.table`; a check that is not named is not made. The language is described
in docs/contract.md; `schema()` is what editors check it with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field

from attest.core.contract.fields import (
    ExecutableName,
    ImageDigest,
    Labels,
    Line,
    Made,
    PathGlob,
    PathsOrNone,
    PlaceGlob,
    PortsOrNone,
    Purl,
    Size,
    StopSignal,
    Vector,
    Workdir,
    or_true,
)
from attest.core.contract.finding import Exemption
from attest.core.contract.table import CHECKS
from attest.core.document import Document
from attest.core.model import DocumentModel, read_model, schema_of
from attest.core.policyfields import Moment, Name, Some, Version
from attest.core.reference import Digest, digest_of
from attest.core.strictjson import Json

SCHEMA_NAME: Final = "https://attest-gate.dev/schema/contract-v1.json"
"""`$id` of the schema: a name, not an address to ask."""


class Parameters(DocumentModel):
    """The parameters of a check, at least one of them."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})


class UserParameters(Parameters):
    """What the user of the image must be, besides not root."""

    only: Some[Line] | None = None


class AllowedPaths(Parameters):
    """Where the check finds nothing wrong."""

    allowed: Some[PathGlob] | None = None


class BaseParameters(Parameters):
    """Which base the image must be built on."""

    digests: Some[ImageDigest] | None = None


class DeltaParameters(Parameters):
    """By how many bytes the unpacked image may be larger."""

    baseline: Size | None = None
    lock: Size | None = None


class OverlapParameters(Parameters):
    """What the provenance of the image must say of its build."""

    target: Some[Line] | None = None


class ExceptionDocument(DocumentModel):
    """Something that a check forbids and that is allowed for a while."""

    id: Annotated[Line, Field(json_schema_extra={"enum": [check.id for check in CHECKS]})]
    path: PlaceGlob
    reason: Line
    owner: Line
    expires: Moment


_ALLOWED: Final = or_true("a mapping with `allowed`, a list of paths")


class ContractDocument(DocumentModel):
    """A contract for attest: what a runtime image may be."""

    later: ClassVar[Mapping[str, str]] = {
        alias: f"it is called {' or '.join(f'`{check.id}`' for check in CHECKS if alias in check.aliases)} here"
        for alias in dict.fromkeys(alias for check in CHECKS for alias in check.aliases)
    }

    version: Version
    name: Name
    user_nonroot: Annotated[
        UserParameters | None,
        Field(alias="user.nonroot"),
        *or_true("a mapping with `only`, a list of what the user may be"),
    ] = None
    config_entrypoint: Annotated[Vector | None, Field(alias="config.entrypoint")] = None
    config_cmd: Annotated[Vector | None, Field(alias="config.cmd")] = None
    config_workdir: Annotated[Workdir | None, Field(alias="config.workdir")] = None
    config_stopsignal: Annotated[StopSignal | None, Field(alias="config.stopsignal")] = None
    label_required: Annotated[Labels | None, Field(alias="label.required")] = None
    port_allowed: Annotated[PortsOrNone | None, Field(alias="port.allowed")] = None
    volume_allowed: Annotated[PathsOrNone | None, Field(alias="volume.allowed")] = None
    env_secret: Annotated[Made | None, Field(alias="env.secret")] = None
    file_secret: Annotated[Made | None, Field(alias="file.secret")] = None
    file_setid: Annotated[AllowedPaths | None, Field(alias="file.setid"), *_ALLOWED] = None
    file_world_writable: Annotated[AllowedPaths | None, Field(alias="file.world_writable"), *_ALLOWED] = None
    path_forbidden: Annotated[Some[PathGlob] | None, Field(alias="path.forbidden")] = None
    path_allowed: Annotated[Some[PathGlob] | None, Field(alias="path.allowed")] = None
    package_forbidden: Annotated[Some[Purl] | None, Field(alias="package.forbidden")] = None
    exe_forbidden: Annotated[Some[ExecutableName] | None, Field(alias="exe.forbidden")] = None
    account_empty_password: Annotated[Made | None, Field(alias="account.empty_password")] = None
    account_duplicate_id: Annotated[Made | None, Field(alias="account.duplicate_id")] = None
    healthcheck_present: Annotated[Made | None, Field(alias="healthcheck.present")] = None
    base_digest: Annotated[
        BaseParameters | None,
        Field(alias="base.digest"),
        *or_true("a mapping with `digests`, a list of the images that it may be built on"),
    ] = None
    size_compressed: Annotated[Size | None, Field(alias="size.compressed")] = None
    size_unpacked: Annotated[Size | None, Field(alias="size.unpacked")] = None
    size_delta: Annotated[DeltaParameters | None, Field(alias="size.delta")] = None
    layer_count: Annotated[int | None, Field(alias="layer.count", ge=1)] = None
    layer_wasted: Annotated[Size | None, Field(alias="layer.wasted")] = None
    ci_overlap: Annotated[
        OverlapParameters | None,
        Field(alias="ci.overlap"),
        *or_true("a mapping with `target`, a list of the build targets that the image may be"),
    ] = None
    lock_drift: Annotated[Made | None, Field(alias="lock.drift")] = None
    exceptions: Annotated[list[ExceptionDocument] | None, Field(min_length=1)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract that can be held against an image."""

    name: str
    digest: Digest
    """Of the bytes of its document."""
    checks: Mapping[str, Any]
    """The parameters of each check that is made, by its id, in the order of the table: the field's value of
    `ContractDocument`."""
    exemptions: tuple[Exemption, ...]


def schema() -> dict[str, Json]:
    """JSON Schema of a contract's document, for editors. The loader refuses more: what no schema can say."""
    return schema_of(ContractDocument, title="attest contract", name=SCHEMA_NAME)


def read_contract(document: Document) -> Contract:
    """The contract that a document is.

    Raises:
        DocumentInvalid: it is none; it asks for no check; or an exception is for a check that it does not ask for, or
            stands there twice; with the place.
    """
    model = read_model(ContractDocument, document)
    checks = {check.id: value for check in CHECKS if (value := getattr(model, check.id.replace(".", "_"))) is not None}
    if not checks:
        raise document.invalid((), "a contract without a check would pass every image", hint=f"name one, as {_EXAMPLE}")
    if model.size_delta is not None and model.size_delta.baseline is None and model.size_delta.lock is None:
        problem = "`size.delta`: it is empty, and would mean nothing"
        raise document.invalid(("size.delta",), problem, hint="write {baseline: 100MB}, {lock: 5MB}, or both")
    exemptions: list[Exemption] = []
    for position, item in enumerate(model.exceptions or ()):
        exemptions.append(_exemption(document, position, item, checks))
        twin = next((at for at, one in enumerate(exemptions[:-1]) if _same(one, exemptions[-1])), None)
        if twin is not None:
            problem = f"exception {position + 1} is for the same check and path as exception {twin + 1}"
            raise document.invalid(("exceptions", position), problem, hint="leave one of them out")
    return Contract(name=model.name, digest=digest_of(document.content), checks=checks, exemptions=tuple(exemptions))


_EXAMPLE: Final = "`user.nonroot: true`"


def _exemption(document: Document, position: int, item: ExceptionDocument, checks: Mapping[str, Any]) -> Exemption:
    if item.id not in checks:
        known = [check.id for check in CHECKS]
        if item.id in known:
            problem, hint = f"the contract does not ask for {item.id}", "name the check, or leave the exception out"
        else:
            close = get_close_matches(item.id, known, n=1)
            problem = f"there is no check {item.id[:80]!r}"
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(known)}"
        raise document.invalid(("exceptions", position, "id"), f"`exceptions[{position}].id`: {problem}", hint=hint)
    return Exemption(id=item.id, path=item.path.text, reason=item.reason, owner=item.owner, expires=item.expires)


def _same(one: Exemption, other: Exemption) -> bool:
    return (one.id, one.path) == (other.id, other.path)
