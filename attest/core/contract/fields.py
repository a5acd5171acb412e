"""The values of a contract's document: how each is read from what stands there, and what editors see of it."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core import CoreSchema

from attest.core.contract.glob import LONGEST, Component, Glob, GlobInvalid, compile_glob, compile_path_glob
from attest.core.contract.purl import PurlGlob, compile_purl_glob
from attest.core.contract.signals import is_signal
from attest.core.model import text_of
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import Json

TEXT: Final = 1024
"""Characters of a text."""

NONE: Final = "none"
"""The word for what must not be there."""

_UNITS: Final = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("", "k", "M", "G", "T")) if power},
    "KB": 1000,
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("", "K", "M", "G", "T")) if power},
}
_EMPTY: Final = "it is empty, and would mean nothing"
_SIZE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([A-Za-z]+)")
_PORT: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")


class Demanded(enum.Enum):
    """What a contract demands of a value of the configuration without saying which one it is."""

    SOME = "some"
    """There is one, and it is as it should be."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """A port, or a range of them."""

    first: int
    last: int
    protocol: str

    def __contains__(self, other: Ports) -> bool:
        """Whether all of the other's ports are of these."""
        return self.protocol == other.protocol and self.first <= other.first and other.last <= self.last


def parse_ports(text: str) -> Ports:
    """The ports that a text names: `8080/tcp`, `8080` (which is tcp), `8000-8010/udp`.

    Raises:
        ValueError: it names none.
    """
    match = _PORT.fullmatch(text)
    if match is not None:
        ports = Ports(first=int(match[1]), last=int(match[2] or match[1]), protocol=match[3] or "tcp")
        if 1 <= ports.first <= ports.last <= 65535:
            return ports
    raise ValueError(f"{_shown(text)} is no port; write 8080/tcp, 53/udp or 8000-8010/tcp")


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match[2]) if match is not None else None
    if match is None or unit is None:
        raise ValueError(f"{_shown(text)} is no size; write 200MB (of 1000 kB), 200MiB (of 1024 KiB), or 0B")
    size = Decimal(match[1]) * unit
    if size != int(size):
        raise ValueError(f"{_shown(text)} is no whole number of bytes")
    return int(size)


def _line(text: str) -> str:
    if not text.strip() or len(text) > TEXT or not text.isprintable():
        raise ValueError(
            f"{_shown(text)} is no line of text" if text.strip() else "it is empty, and would mean nothing"
        )
    return text


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise ValueError(f"{_shown(text)} is no digest; write sha256: and 64 lower-case hexadecimal digits")
    return Digest(text)


def _glob(compile_one: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if not text:
            raise ValueError(_EMPTY)
        try:
            return compile_one(text)
        except GlobInvalid as error:
            raise ValueError(f"{_shown(text)} is no pattern: {error}") from error

    return read


def _name_pattern(text: str) -> Component:
    """A pattern of the names of executables."""
    if "/" in text:
        raise ValueError(
            f"{_shown(text)} has a slash; executables are named by their last component, as in sh or apt-*"
        )
    if "**" in text or not text.isprintable() or text in ("", ".", ".."):
        raise ValueError(f"{_shown(text)} is no name of an executable")
    return Component(tuple(text.split("*")))


def _workdir(text: str) -> str:
    if text == NONE:
        return text
    if "*" in text:
        raise ValueError(f"{_shown(text)}: a working directory is compared exactly; there are no patterns")
    try:
        compile_path_glob(text)
    except GlobInvalid as error:
        raise ValueError(f"{_shown(text)} is no absolute path in its normal form, as in /srv/app") from error
    return text


def _signal(text: str) -> str:
    if text != NONE and not is_signal(text):
        raise ValueError(f"{_shown(text)} is no signal; write its name, as in SIGTERM, or its number in quotes")
    return text


def _shown(text: str) -> str:
    return f"{text[:80]!r}" if text else "empty text"


def _distinct(items: list[Any]) -> list[Any]:
    for position, item in enumerate(items):
        if item in items[:position]:
            raise ValueError(f"item {position + 1} is the same as item {items.index(item) + 1}; list each once")
    return items


def _made(value: Json) -> bool:
    if value is False:
        raise ValueError("a check that is not made is not named; leave it out")
    if value is not True:
        raise ValueError("this check has no parameters; write true")
    return True


Made = Annotated[bool, PlainValidator(_made), WithJsonSchema({"const": True})]
"""A check without parameters."""


class _Before:
    """A reader of other forms before the field's own, which the schema lists beside it."""

    def __init__(self, read: Callable[[Json], Json], *forms: Mapping[str, Json]) -> None:
        self.read, self.forms = read, forms

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"oneOf": [*self.forms, handler(schema)]}


def or_true(instead: str) -> tuple[BeforeValidator, _Before]:
    """A mapping of parameters; `true` is one without any. `instead` says what to write, for errors."""

    def read(value: Json) -> Json:
        if value is True:
            return {}
        if value is False:
            raise ValueError("a check that is not made is not named; leave it out")
        if not isinstance(value, dict) or not value:
            raise ValueError(f"it must be true, or {instead}")
        return value

    return BeforeValidator(read), _Before(read, {"const": True})


def _or_none(value: Json) -> Json:
    if value == NONE:
        return []
    if not isinstance(value, list):
        raise ValueError("it must be none, or a list of what is allowed")
    if not value:
        raise ValueError(f"{_EMPTY}; write none if nothing is allowed")
    return value


def _labels(value: Json) -> Json:
    if value is True:
        return dict.fromkeys(OCI_LABELS, True)
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return dict.fromkeys(_distinct(value), True)
    if isinstance(value, dict) and value:
        return value
    raise ValueError("it must be true, a list of labels, or what each label must say, as {NAME: true, OTHER: text}")


def _label_value(value: Json) -> Glob | None:
    if value is True:
        return None
    if not isinstance(value, str):
        raise ValueError("it must be true for any value, or text that the value must be, in which * is any run")
    compiled: Glob = _glob(compile_glob)(value)
    return compiled


def _vector(value: Json) -> Demanded | tuple[str, ...]:
    if value is True:
        return Demanded.SOME
    if value == NONE:
        return Demanded.ABSENT
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return tuple(str(text) for text in value)
    raise ValueError("it must be true, none, or the whole argument vector as a list of texts")


def _text_demand(parse: Callable[[str], str]) -> Callable[[Json], Demanded | str]:
    def read(value: Json) -> Demanded | str:
        if value is True:
            return Demanded.SOME
        if not isinstance(value, str):
            raise ValueError("it must be true, none, or the text that it must be")
        return Demanded.ABSENT if parse(value) == NONE else value

    return read


OCI_LABELS: Final = tuple(
    f"org.opencontainers.image.{name}"
    for name in ("created", "source", "revision", "version", "title", "licenses", "base.name", "base.digest")
)
"""The labels that `label.required: true` asks for (image-spec, "Pre-Defined Annotation Keys")."""

Size = Annotated[
    int,
    *text_of(
        _size,
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})? ?([kKMGT]?B|[KMGT]iB)$",
        describe="a size, as in 200MB (of 1000 kB) or 200MiB (of 1024 KiB)",
    ),
]
Line = Annotated[str, *text_of(_line, pattern=r"\S", longest=TEXT, describe="a line of text")]
ImageDigest = Annotated[
    Digest, *text_of(_digest, pattern="^sha256:[0-9a-f]{64}$", describe="the digest of an image or index")
]
PathGlob = Annotated[
    Glob,
    *text_of(
        _glob(compile_path_glob),
        pattern="^/",
        longest=LONGEST,
        describe="a path from / on; * within a component, ** for any number of them",
    ),
]
PlaceGlob = Annotated[
    Glob,
    *text_of(
        _glob(compile_glob),
        pattern="^.+$",
        longest=LONGEST,
        describe="the place of a finding; * within a component, ** for any number of them",
    ),
]
Purl = Annotated[
    PurlGlob,
    *text_of(
        _glob(compile_purl_glob),
        pattern="^pkg:[^?#]+/[^?#]+$",
        longest=LONGEST,
        describe="a package URL without qualifiers, as in pkg:deb/*/gcc* or pkg:npm/npm@10.*",
    ),
]
ExecutableName = Annotated[
    Component,
    *text_of(_name_pattern, pattern="^[^/]+$", describe="the name of an executable, in which * is any run"),
]
Port = Annotated[
    Ports,
    *text_of(
        parse_ports,
        pattern="^[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?$",
        describe="8080/tcp, 53/udp or 8000-8010/tcp",
    ),
]
_NONE_FORM: Final = {"const": NONE}
_UNIQUE: Final = Field(json_schema_extra={"uniqueItems": True, "minItems": 1})
PortsOrNone = Annotated[
    list[Port], AfterValidator(_distinct), _UNIQUE, BeforeValidator(_or_none), _Before(_or_none, _NONE_FORM)
]
PathsOrNone = Annotated[
    list[PathGlob], AfterValidator(_distinct), _UNIQUE, BeforeValidator(_or_none), _Before(_or_none, _NONE_FORM)
]
LabelValue = Annotated[
    Glob | None, PlainValidator(_label_value), WithJsonSchema({"oneOf": [{"const": True}, {"type": "string"}]})
]
Labels = Annotated[
    dict[Line, LabelValue],
    Field(json_schema_extra={"minProperties": 1}),
    BeforeValidator(_labels),
    _Before(
        _labels, {"const": True}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
    ),
]
Vector = Annotated[
    Demanded | tuple[str, ...],
    PlainValidator(_vector),
    WithJsonSchema(
        {"oneOf": [{"const": True}, {"const": NONE}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Workdir = Annotated[
    Demanded | str,
    PlainValidator(_text_demand(_workdir)),
    WithJsonSchema({"oneOf": [{"const": True}, {"const": NONE}, {"type": "string", "pattern": "^/"}]}),
]
StopSignal = Annotated[
    Demanded | str,
    PlainValidator(_text_demand(_signal)),
    WithJsonSchema({"oneOf": [{"const": True}, {"const": NONE}, {"type": "string", "pattern": "^(SIG)?[A-Z0-9+-]+$"}]}),
]
