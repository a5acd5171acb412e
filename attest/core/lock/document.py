"""The lock of a contract: what an image was when somebody looked at it and said that it may be so.

`contract.lock.json` is generated, reviewed and kept beside the contract; nobody edits it. It holds what a reviewer
wants to be asked about again, for each platform, and nothing that differs from build to build of one source: no digest
of the image or of a layer of its own, no time, no commit. So the same image has the same lock, byte for byte.

The values here are the document: their names are its members, and none may be left out or added.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from attest.core.image.packagechange import parse_purl
from attest.core.jsonpointer import pointer
from attest.core.reference import Digest
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.core.valueschema import schema_of_value
from attest.errors import DocumentInvalid

SCHEMA: Final = "attest.contract-lock/v1"
SCHEMA_NAME: Final = "https://attest-gate.dev/schema/contract-lock-v1.json"
"""`$id` of the schema: a name, not an address to ask."""
SIZE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a lock that are read at most."""

_HINT: Final = "a lock is generated: remove it, and write it again with `attest image lock`"


def _sorted(values: tuple[str, ...]) -> tuple[str, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("it is not sorted, or names something twice")
    return values


def _purl(text: str) -> str:
    parse_purl(text)
    return text


_Digest = Annotated[Digest, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
_Mode = Annotated[str, StringConstraints(pattern=r"^[0-7]{4}$")]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Size = Annotated[int, Field(ge=0)]
_Purl = Annotated[str, StringConstraints(pattern=r"^pkg:[^/@?]+/.+@.+$"), AfterValidator(_purl)]
_Set = Annotated[tuple[str, ...], AfterValidator(_sorted), Field(json_schema_extra={"uniqueItems": True})]
_Purls = Annotated[tuple[_Purl, ...], AfterValidator(_sorted), Field(json_schema_extra={"uniqueItems": True})]


class _Strict:
    """What pydantic reads these values by: nothing is converted, and no member is unknown."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedContract(_Strict):
    """The contract that a lock was made under."""

    name: _Text
    digest: _Digest
    """Of the contract's file, as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedHealthcheck(_Strict):
    """As `attest.core.image.facts.Healthcheck`."""

    test: tuple[str, ...]
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedConfig(_Strict):
    """What a container of the image is started with; secrets are redacted, as in the facts."""

    user: str
    entrypoint: tuple[str, ...] | None
    cmd: tuple[str, ...] | None
    workdir: str
    stop_signal: str
    env: Mapping[_Text, str | tuple[str, ...]]
    """By name, for the order means nothing. A name that stands there more than once has all its values, in order."""
    exposed_ports: _Set
    volumes: _Set
    healthcheck: LockedHealthcheck | None
    labels: Mapping[str, str]
    """Without those that differ from build to build."""
    on_build: tuple[str, ...]
    shell: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedBase(_Strict):
    """What the image is built on."""

    name: str | None
    """What the image claims."""
    digest: str | None
    """Of the base itself where its layers are known, and then for information; else what the image claims."""
    diff_ids: tuple[_Digest, ...] | None
    """The layers of the base, as the base itself has them; None where it was not at hand, and only claims are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetId(_Strict):
    """A file that runs with another's rights: whose, and by what."""

    mode: _Mode
    uid: int
    gid: int
    capabilities: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSize(_Strict):
    """In bytes, as `attest.core.image.facts.Sizes`."""

    compressed: _Size
    unpacked: _Size
    wasted: _Size


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPlatform(_Strict):
    """What was locked of one platform."""

    base: LockedBase
    config: LockedConfig
    executables: _Set
    """Paths of regular files that somebody may execute, sorted."""
    packages: _Purls
    """Package URLs of what is installed, sorted."""
    setid: Mapping[_Text, SetId]
    """By path."""
    size: LockedSize


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractLock(_Strict):
    """A lock."""

    contract: LockedContract
    platforms: Annotated[Mapping[_Text, LockedPlatform], Field(min_length=1)]
    """By `os/architecture` or `os/architecture/variant`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document(ContractLock):
    schema: Literal["attest.contract-lock/v1"]


def lock_document(lock: ContractLock) -> dict[str, Json]:
    """The document as JSON values."""
    values: dict[str, Json] = _lock().dump_python(lock, mode="json")
    return {"schema": SCHEMA, **values}


def platform_document(platform: LockedPlatform) -> dict[str, Json]:
    """One platform of the document as JSON values."""
    values: dict[str, Json] = _platform().dump_python(platform, mode="json")
    return values


def lock_json(lock: ContractLock) -> bytes:
    """The document in printable ASCII, its members sorted, with a newline at its end: the same bytes for the same lock.

    Nothing in it is taken for a command by a runner of jobs that shows it.
    """
    text = json.dumps(lock_document(lock), indent=2, sort_keys=True)
    return f"{text}\n".replace("##[", "\\u0023#[").replace("\x7f", "\\u007f").encode("ascii")


def read_lock(content: bytes, *, file: str) -> ContractLock:
    """The lock that the bytes of a file are.

    Raises:
        DocumentInvalid: they are none, or of another version; with the place, as a JSON pointer.
    """
    try:
        value = loads(content)
    except JsonInvalid as error:
        raise DocumentInvalid(f"it is no lock: {error}", file=file, hint=_HINT) from error
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        problem = f"it is no lock that is known here: the member `schema` is not {SCHEMA!r}"
        raise DocumentInvalid(problem, file=file, hint=_HINT)
    try:
        read = _document().validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"it is no lock: {pointer(*first['loc'])}: {first['msg']}"
        raise DocumentInvalid(problem, file=file, hint=_HINT) from error
    return ContractLock(contract=read.contract, platforms=read.platforms)


def lock_schema() -> dict[str, Json]:
    """JSON Schema, draft 2020-12, of the document. `read_lock` refuses more: what no schema can say."""
    return schema_of_value(_document(), name=SCHEMA_NAME, title="the lock of a contract")


@functools.cache
def _lock() -> TypeAdapter[ContractLock]:
    return TypeAdapter(ContractLock)


@functools.cache
def _platform() -> TypeAdapter[LockedPlatform]:
    return TypeAdapter(LockedPlatform)


@functools.cache
def _document() -> TypeAdapter[_Document]:
    return TypeAdapter(_Document)
