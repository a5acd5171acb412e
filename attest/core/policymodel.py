"""The document of a policy, version 1, as models. `attest.core.policydocument` makes a `Policy` of it.

The language is described in docs/policy.md; `schema()` is what editors check it with.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from attest.core.identity import CLAIMS
from attest.core.model import DocumentModel, schema_of
from attest.core.policyfields import (
    LANE_PATTERN,
    SERIALS,
    Age,
    BoundValue,
    Claim,
    Commit,
    Expression,
    File,
    ImageName,
    Images,
    Issuer,
    Moment,
    Name,
    PlatformName,
    Ref,
    Revoked,
    Some,
    SourceFrom,
    SourceUrl,
    TimeFrom,
    Trust,
    Uri,
    Version,
    Where,
)
from attest.core.predicates import TEST_RESULT
from attest.core.strictjson import Json

SCHEMA_NAME: Final = "https://attest-gate.dev/schema/policy-v1.json"
"""`$id` of the schema: a name, not an address to ask."""

_NAMED: Final = Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": LANE_PATTERN}})

_SIGNER_KEYS: Final = ("key", "keys", "issuer", "identity", *CLAIMS, "shared", "threshold", "of")


def _only(*names: str) -> dict[str, Json]:
    """Of a signer's keys, these; a schema that nothing satisfies stands for each other one."""
    return {name: False for name in _SIGNER_KEYS if name not in names}


class SourceDocument(DocumentModel):
    """Where the code must come from, and what all lanes must share."""

    repository: SourceUrl
    refs: Some[Ref] | None = None
    bind: Some[BoundValue]


class PlatformsDocument(DocumentModel):
    """The platforms that an image index has, exactly, and where their evidence must be."""

    evidence: Where
    only: Some[PlatformName]


class SignerDocument(DocumentModel):
    """Who may sign: one party with its keys, an identity, or so many of several parties."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["key"], "properties": _only("key", "shared")},
                {"required": ["keys"], "properties": _only("keys", "shared")},
                {"required": ["issuer", "identity"], "properties": _only("issuer", "identity", *CLAIMS, "shared")},
                {
                    "required": ["threshold", "of"],
                    "properties": _only("threshold", "of") | {"shared": {"const": False}},
                },
            ],
        }
    )

    key: File | None = None
    keys: Some[File] | None = None
    issuer: Issuer | None = None
    identity: Claim | None = None
    repository: Claim | None = None
    ref: Claim | None = None
    commit: Commit | None = None
    trigger: Claim | None = None
    workflow: Claim | None = None
    shared: bool = False
    threshold: Annotated[int, Field(ge=1)] | None = None
    of: Some[Name] | None = None

    @property
    def files(self) -> list[str]:
        """The keys of a party, as the document names them; none of a threshold."""
        return [self.key] if self.key is not None else self.keys or []

    def path(self, position: int) -> tuple[str, ...] | tuple[str, int]:
        """Where in the signer the key of this position stands."""
        return ("key",) if self.key is not None else ("keys", position)


class LaneDocument(DocumentModel):
    """A lane: what kind of statement, by whom, and what it must say."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"predicate-type": {"const": TEST_RESULT}}, "required": ["predicate-type"]},
            "else": {"required": ["where"], "properties": {"allow-warned": {"const": False}}},
        }
    )
    predicate_type: Uri
    signer: Name
    where: Some[Expression] | None = None
    max_age: Age | None = None
    time: TimeFrom | None = None
    joint: bool = False
    unlabelled: bool = False
    unbound: bool = False
    allow_warned: bool = False
    allow_dirty: bool = False
    source_from: SourceFrom | None = None
    except_: Some[ImageName] | None = None


class WaiversDocument(DocumentModel):
    """Break-glass: who may let which lanes be lacking, and for how long at most."""

    signer: Name
    lanes: Some[Name]
    max_lifetime: Age


class PolicyDocument(DocumentModel):
    """A policy for attest: what images need before they may be promoted, and who says so."""

    version: Version
    name: Name
    serial: Annotated[int, Field(ge=1, lt=SERIALS, description="Goes up with every change")]
    expires: Moment | None = None
    images: Some[Images]
    source: SourceDocument
    platforms: PlatformsDocument | None = None
    trust: Trust | None = None
    signers: Annotated[dict[Name, SignerDocument], _NAMED]
    lanes: Annotated[dict[Name, LaneDocument], _NAMED]
    waivers: WaiversDocument | None = None
    revoked: Some[Revoked] | None = None


def schema() -> dict[str, Json]:
    """JSON Schema of a policy document, for editors. The loader refuses more: what no schema can say."""
    return schema_of(PolicyDocument, title="attest policy", name=SCHEMA_NAME)
