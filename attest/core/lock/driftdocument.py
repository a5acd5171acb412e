"""What `attest image lock` says, as JSON: what it did with the lock, and the drift of the image."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from attest.core.image.change import ChangeKind
from attest.core.image.origin import Origin
from attest.core.image.packagechange import PackageVersions
from attest.core.lock.document import LockedContract
from attest.core.lock.drift import Drift, Part
from attest.core.reference import Digest
from attest.core.strictjson import Json
from attest.core.valueschema import schema_of_value

SCHEMA: Final = "attest.lock-drift/v1"
SCHEMA_NAME: Final = "https://attest-gate.dev/schema/lock-drift-v1.json"
"""`$id` of the schema: a name, not an address to ask."""


class Action(enum.Enum):
    """What became of the lock's file."""

    CREATED = "created"
    CHECKED = "checked"
    """It was only compared with the image."""
    UPDATED = "updated"
    """The drift is what is in it now."""
    UNCHANGED = "unchanged"
    """It said already what it was to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drift:
    kind: ChangeKind
    part: Part
    platform: str | None
    pointer: str
    place: str
    name: str
    message: str
    expected: Json
    actual: Json
    package: PackageVersions | None
    origin: Origin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    schema: Literal["attest.lock-drift/v1"]
    action: Action
    lock: str
    """The file, as it was named."""
    image: str
    """As it was named."""
    digest: Digest
    contract: LockedContract
    """The one on the command line."""
    drift: tuple[_Drift, ...]


def drift_document(
    action: Action, drift: Iterable[Drift], *, lock: str, image: str, digest: Digest, contract: LockedContract
) -> dict[str, Json]:
    """What was done and what drifted, as JSON values."""
    document = _Document(
        schema=SCHEMA,
        action=action,
        lock=lock,
        image=image,
        digest=digest,
        contract=contract,
        drift=tuple(
            _Drift(
                kind=each.kind,
                part=each.part,
                platform=each.platform,
                pointer=each.pointer,
                place=each.place,
                name=each.name,
                message=each.message,
                expected=each.expected,
                actual=each.actual,
                package=None if each.package is None else each.package.versions,
                origin=each.origin,
            )
            for each in drift
        ),
    )
    values: dict[str, Json] = _adapter().dump_python(document, mode="json")
    return values


def drift_schema() -> dict[str, Json]:
    """JSON Schema, draft 2020-12, of `drift_document`."""
    return schema_of_value(_adapter(), name=SCHEMA_NAME, title="what attest image lock says")


@functools.cache
def _adapter() -> TypeAdapter[_Document]:
    return TypeAdapter(_Document)
