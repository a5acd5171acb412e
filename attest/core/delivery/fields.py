"""What the payloads of records are made of: values that are written in one form, and read in no other."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from attest.core.reference import Digest, RegistryImage, is_digest, parse_reference
from attest.core.statement import format_time, is_commit, is_lane, parse_time
from attest.core.strictjson import Json
from attest.errors import ReferenceInvalid

DETAIL: Final = 500
"""Characters of foreign text that are recorded of one thing."""


class Payload(BaseModel):
    """An object in a payload: its members are exactly these, and nothing is converted."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        defer_build=True,  # building at import would load what reads entry points, and with it the network
    )


def clipped(text: str, most: int = DETAIL) -> str:
    """Foreign text as it is recorded: at most so many characters, none of them half a surrogate pair."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole if len(whole) <= most else whole[: max(0, most - 3)] + "..."[:most]


def _moment(value: Json) -> datetime:
    if isinstance(value, datetime):
        return value
    moment = parse_time(value)
    if format_time(moment) != value:
        raise ValueError("a time has six digits behind the second")
    return moment


def _image(value: Json) -> RegistryImage:
    if isinstance(value, RegistryImage):
        return value
    try:
        reference = parse_reference(value)
    except ReferenceInvalid as error:
        raise ValueError(error.message) from error
    if not isinstance(reference, RegistryImage):
        raise ValueError("an image is named by HOST/REPOSITORY@sha256:...")
    return reference


def _digest(text: str) -> str:
    if not is_digest(text):
        raise ValueError("a digest is sha256: and 64 hexadecimal digits")
    return text


def _commit(text: str) -> str:
    if not is_commit(text):
        raise ValueError("a commit has its full id")
    return text


def _name(text: str) -> str:
    if not is_lane(text):
        raise ValueError("a name has lower-case letters, digits and . _ - between them")
    return text


def _text(value: Json) -> Json:
    """What a function that takes text may be given."""
    if not isinstance(value, str | datetime | RegistryImage):
        raise ValueError("it must be text")
    return value


Moment = Annotated[datetime, PlainValidator(lambda value: _moment(_text(value))), PlainSerializer(format_time)]
Image = Annotated[RegistryImage, PlainValidator(lambda value: _image(_text(value))), PlainSerializer(str)]
Sha256 = Annotated[Digest, AfterValidator(_digest)]
Commit = Annotated[str, AfterValidator(_commit)]
Name = Annotated[str, AfterValidator(_name)]
Seq = Annotated[int, Field(ge=1)]
"""The number of a record."""
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=16 * DETAIL)]
"""Text of our own; foreign parts of it were clipped."""
Line = Annotated[str, Field(min_length=1, max_length=DETAIL)]
"""What a person says."""
