"""What `attest image diff` says, as JSON."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from attest.core.image.change import Change, ChangeKind
from attest.core.image.diff import ImageDiff, PlatformDiff, Section
from attest.core.image.facts import Unread
from attest.core.image.origin import Origin
from attest.core.image.packagechange import PackageVersions
from attest.core.reference import Digest
from attest.core.strictjson import Json
from attest.core.valueschema import schema_of_value

SCHEMA: Final = "attest.image-diff/v1"
SCHEMA_NAME: Final = "https://attest-gate.dev/schema/image-diff-v1.json"
"""`$id` of the schema: a name, not an address to ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    image: str
    """As it was named."""
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    kind: ChangeKind
    name: str
    message: str
    before: Json
    after: Json
    package: PackageVersions | None
    origin: Origin | None
    """In the latter image."""
    former: Origin | None
    """In the former image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    manifest: Digest
    unread: tuple[Unread, ...]
    """What could not be read there, and so could not be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Platform:
    platform: str
    before: _Side
    after: _Side
    changes: Mapping[Section, tuple[_Change, ...]]
    rewritten: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    schema: Literal["attest.image-diff/v1"]
    before: _Image
    after: _Image
    differs: bool
    platforms: tuple[_Platform, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def diff_document(diff: ImageDiff, *, before: str, after: str) -> dict[str, Json]:
    """The difference as JSON values; `before` and `after` are the images as they were named."""
    document = _Document(
        schema=SCHEMA,
        before=_Image(image=before, digest=diff.before),
        after=_Image(image=after, digest=diff.after),
        differs=diff.differs,
        platforms=tuple(map(_platform, diff.platforms)),
        only_before=diff.only_before,
        only_after=diff.only_after,
    )
    values: dict[str, Json] = _adapter().dump_python(document, mode="json")
    return values


def diff_schema() -> dict[str, Json]:
    """JSON Schema, draft 2020-12, of `diff_document`."""
    return schema_of_value(_adapter(), name=SCHEMA_NAME, title="how two images differ")


def _platform(diff: PlatformDiff) -> _Platform:
    return _Platform(
        platform=diff.platform,
        before=_Side(manifest=diff.before.manifest, unread=diff.before.unread),
        after=_Side(manifest=diff.after.manifest, unread=diff.after.unread),
        changes={section: tuple(map(_change, found)) for section, found in diff.changes.items()},
        rewritten=diff.rewritten,
    )


def _change(change: Change) -> _Change:
    return _Change(
        kind=change.kind,
        name=change.name,
        message=change.message,
        before=change.before,
        after=change.after,
        package=None if change.package is None else change.package.versions,
        origin=change.origin,
        former=change.former,
    )


@functools.cache
def _adapter() -> TypeAdapter[_Document]:
    return TypeAdapter(_Document)
