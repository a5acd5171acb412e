"""The values of a policy document: how each is read from the text that stands there, and what editors see of it.

`attest.core.policymodel` puts them together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from attest.core.model import text_of
from attest.core.oci import Platform, parse_platform
from attest.core.policy import Bind, EvidenceAt
from attest.core.predicates import TEST_RESULT
from attest.core.reference import Digest, is_digest, parse_repository
from attest.core.source import normalise_repository
from attest.core.statement import is_commit, is_lane, parse_time
from attest.core.strictjson import Json
from attest.errors import ReferenceInvalid

EXPRESSION: Final = 4096
"""Characters of one `where` expression."""

CLAIM: Final = 1024
"""Characters of what a certificate has to say."""

PATH: Final = 1024
"""Characters of the path of a file."""

SERIALS: Final = 2**63
"""Every serial is smaller, so that it fits wherever it is remembered."""

PUBLIC_GOOD: Final = "public-good"
"""The word for the trust of the public-good Sigstore."""

_REF: Final = re.compile(r"refs(?:/[^\x00-\x20\x7f~^:?*\[\\/]+)*/(?:[^\x00-\x20\x7f~^:?*\[\\/]+|\*)")
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_LOOPBACK: Final = re.compile(r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/].*)?")
T = TypeVar("T")


# Scalars: how each is read, and the pattern that editors see. A pattern may allow more than the reader, never less.


def _version(value: Json) -> int:
    if type(value) is not int or value != 1:
        raise ValueError("it must be 1, the only version of this document that there is")
    return 1


def _name(text: str) -> str:
    if not is_lane(text):
        raise ValueError(
            f"{_shown(text)} is no name; write at most 64 lower-case letters, digits, and . _ - between them"
        )
    return text


def _file(text: str) -> str:
    if not text or len(text) > PATH or not text.isprintable():
        raise ValueError(f"{_shown(text)} is no path of a file")
    return text


def _expression(text: str) -> str:
    if not text.strip():
        raise ValueError('an empty expression means nothing; "true" accepts any content')
    if len(text) > EXPRESSION:
        raise ValueError(f"an expression of {len(text)} characters; at most {EXPRESSION} are read")
    return text


def _uri(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not (colon and rest and scheme.isascii() and scheme.isalnum() and text.isprintable()) or " " in text:
        raise ValueError(f"{_shown(text)} is no URI; write the predicate type in full, as in {TEST_RESULT}")
    return text


def _issuer(text: str) -> str:
    if text.startswith("http://") and _LOOPBACK.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)}: plain http is for loopback alone; an issuer elsewhere has https")
    if not text.startswith(("https://", "http://")) or text == "https://":
        raise ValueError(
            f"{_shown(text)} is no issuer; write the `iss` of its tokens, as in https://git.example.org/api/actions"
        )
    return _exact(text)


def _exact(text: str) -> str:
    """Text that is compared with what a certificate says, character by character."""
    if not text or len(text) > CLAIM or not text.isprintable() or text != text.strip():
        raise ValueError(f"{_shown(text)} can never be what a certificate says")
    if "*" in text:
        raise ValueError(f"{_shown(text)}: what a certificate says is compared exactly; there are no patterns")
    return text


def _commit(text: str) -> str:
    if not is_commit(text):
        raise ValueError(f"{_shown(text)} is no full commit id of 40 or 64 lower-case hexadecimal digits")
    return text


def _images(text: str) -> str:
    try:
        parse_repository(f"{text[:-2]}/below" if text.endswith("/*") else text)
    except ReferenceInvalid as error:
        raise ValueError(
            f"{_shown(text)} is neither a repository, as in registry.example.org/shop/backend, nor everything below a "
            "path, as in registry.example.org/shop/*; there are no other patterns"
        ) from error
    return text


def _ref(text: str) -> str:
    if not text.startswith("refs/"):
        raise ValueError(f"{_shown(text)} does not start with refs/; write refs/heads/main or refs/tags/*")
    if "*" in text.removesuffix("/*"):
        raise ValueError(f"{_shown(text)}: a * stands at the end, after a /, for everything below; nowhere else")
    if _REF.fullmatch(text) is None or ".." in text:  # git-check-ref-format(1)
        raise ValueError(f"{_shown(text)} cannot be the name of a ref")
    return text


def _repository(text: str) -> str:
    normal = normalise_repository(text)
    if normal != text:
        raise ValueError(f"{_shown(text)} is not in its normal form; write {normal}")
    return text


def _moment(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is no time; write it in UTC, as in 2027-06-30T00:00:00Z") from error


def parse_age(text: str) -> timedelta:
    """A time span as documents write it.

    Raises:
        ValueError: it is none, or none at all.
    """
    number, unit = text[:-1], text[-1:]
    valid = number.isascii() and number.isdigit() and len(number) <= 6 and unit in _UNITS
    if not valid or int(number) == 0:
        raise ValueError(f"{_shown(text)} is no age; write 7d, 24h, 30m or 90s, and more than none")
    return timedelta(**{_UNITS[unit]: int(number)})


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise ValueError(f"{_shown(text)} is no digest; write sha256: and 64 lower-case hexadecimal digits")
    return Digest(text)


def _image_name(text: str) -> str:
    try:
        valid = parse_repository(f"registry.example.org/{text}").name == text
    except ReferenceInvalid:
        valid = False
    if not valid:
        raise ValueError(f"{_shown(text)} is no image; write the last component of its repository, as in backend")
    return text


def _platform(text: str) -> Platform:
    return parse_platform(text)


def _distinct(items: list[T]) -> list[T]:
    for position, item in enumerate(items):
        if item in items[:position]:
            raise ValueError(f"item {position + 1} is the same as item {items.index(item) + 1}; list each once")
    return items


def _shown(text: str) -> str:
    return f"{text[:80]!r}" if text else "empty text"


LANE_PATTERN: Final = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
_TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"

Version = Annotated[int, PlainValidator(_version), WithJsonSchema({"type": "integer", "const": 1})]
Name = Annotated[str, *text_of(_name, pattern=LANE_PATTERN, describe="a name: lower-case letters, digits, . _ -")]
File = Annotated[
    str,
    *text_of(_file, pattern="^.+$", longest=PATH, describe="a file, from the policy's folder on unless it is absolute"),
]
Expression = Annotated[
    str,
    *text_of(
        _expression,
        pattern=r"\S",
        longest=EXPRESSION,
        describe="a condition in CEL, in quotes where it has a colon",
    ),
]
Uri = Annotated[str, *text_of(_uri, pattern=r"^[A-Za-z0-9]+:\S+$", describe="a predicate type, in full")]
Images = Annotated[
    str,
    *text_of(
        _images,
        pattern=r"^(localhost|[^/*]*[.:][^/*]*)/([^*]+|([^*]+/)?\*)$",
        describe="HOST/REPOSITORY, or HOST/PATH/*",
    ),
]
Ref = Annotated[str, *text_of(_ref, pattern=r"^refs/([^*]+|([^*]+/)?\*)$", describe="a ref, or everything below: /*")]
SourceUrl = Annotated[
    str, *text_of(_repository, pattern=r"^https?://[^/]+/\S+$", describe="https://HOST/OWNER/NAME, without .git")
]
Moment = Annotated[
    datetime, *text_of(_moment, pattern=_TIME_PATTERN, describe="a time in UTC, as in 2027-06-30T00:00:00Z")
]
Age = Annotated[
    timedelta, *text_of(parse_age, pattern="^0*[1-9][0-9]{0,5}[dhms]$", describe="an age, as in 7d, 24h, 30m or 90s")
]
Revoked = Annotated[
    Digest,
    *text_of(
        _digest,
        pattern="^sha256:[0-9a-f]{64}$",
        describe="the digest of a bundle, of what it signs, of an image, or of a public key (DER)",
    ),
]
ImageName = Annotated[
    str, *text_of(_image_name, pattern="^[a-z0-9]+([._-]+[a-z0-9]+)*$", describe="the last component of a repository")
]
PlatformName = Annotated[
    Platform, *text_of(_platform, pattern="^[^/]+/[^/]+(/[^/]+)?$", describe="a platform, as in linux/amd64")
]
Issuer = Annotated[
    str,
    *text_of(_issuer, pattern=r"^https?://[^*]+$", longest=CLAIM, describe="who issues identity tokens: their `iss`"),
]
Claim = Annotated[
    str, *text_of(_exact, pattern=r"^[^*]+$", longest=CLAIM, describe="what the certificate says, exactly; no patterns")
]
Commit = Annotated[str, *text_of(_commit, pattern="^([0-9a-f]{40}|[0-9a-f]{64})$", describe="a full commit id")]


def _one_of(kind: Callable[[str], T], *values: str) -> tuple[object, ...]:
    """A field that is one of a few words."""

    words = ", ".join(values[:-1]) + " or " * (len(values) > 1) + values[-1]

    def read(text: str) -> T:
        if text not in values:
            raise ValueError(f"it must be {words}, not {_shown(text)}")
        return kind(text)

    return text_of(read, pattern=f"^({'|'.join(values)})$", describe=words)


BoundValue = Annotated[Bind, *_one_of(Bind, *Bind)]
Where = Annotated[EvidenceAt, *_one_of(EvidenceAt, *EvidenceAt)]
SourceFrom = Annotated[str, *_one_of(str, "statement")]
TimeFrom = Annotated[str, *_one_of(str, "trusted")]

L = TypeVar("L")
Some = Annotated[list[L], AfterValidator(_distinct), Field(min_length=1, json_schema_extra={"uniqueItems": True})]
"""A list that is not empty and lists nothing twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRule:
    """Whose certificates, log entries and timestamps count: those of a trusted root's services."""

    file: str | None
    """The trusted root; None for that of the public-good instance."""


def _trust(value: Json) -> TrustRule:
    if value == PUBLIC_GOOD:
        return TrustRule(file=None)
    if isinstance(value, dict) and list(value) == ["file"] and isinstance(value["file"], str):
        return TrustRule(file=_file(value["file"]))
    raise ValueError(f"it must be {PUBLIC_GOOD}, or a mapping with one key: {{file: trusted_root.json}}")


Trust = Annotated[
    TrustRule,
    PlainValidator(_trust),
    WithJsonSchema(
        {
            "description": "the Sigstore whose certificates, log entries and timestamps count",
            "oneOf": [
                {"const": PUBLIC_GOOD},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string", "pattern": "^.+$", "maxLength": PATH}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]
