"""Documents as pydantic models, and what pydantic says about them in words that say what would be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from attest.core.document import Document, Path, show
from attest.core.strictjson import Json
from attest.errors import DocumentInvalid

_WORDS = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


_WRAPPED = (UnionType, Union, Annotated)
"""Around what may be left out, `X | None`, and around what more is said of."""


class DocumentModel(BaseModel):
    """A mapping of a document: its keys have hyphens, unknown ones are errors, and nothing is converted."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=lambda name: name.rstrip("_").replace("_", "-"),
        defer_build=True,  # only the model of the whole document is ever built
    )

    later: ClassVar[Mapping[str, str]] = {}
    """Keys that a document cannot have yet, and what to say of them."""


M = TypeVar("M", bound=DocumentModel)


def text_of(
    parse: Callable[[str], Any], *, pattern: str, describe: str, longest: int | None = None
) -> tuple[PlainValidator, WithJsonSchema]:
    """How a field is read from text by `parse`, which raises ValueError, and what the schema says of it.

    The schema is what editors see; it may allow what `parse` refuses, never the reverse.
    """

    def read(value: Json) -> Any:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, list | dict) or not _reads(parse, f"{value}"):
            raise ValueError(f"it must be text, not {_kind(value)}: {describe}")
        raise ValueError(f"it must be text, not {_kind(value)}; put it in quotes")

    schema: dict[str, Json] = {"type": "string", "pattern": pattern, "description": describe}
    if longest is not None:
        schema["maxLength"] = longest
    return PlainValidator(read), WithJsonSchema(schema)


def _reads(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def read_model(model: type[M], document: Document) -> M:
    """The document as this model.

    Raises:
        DocumentInvalid: it is none. Of several errors the first in the document is named, and one about something
            that is there before one about something that is missing, which often is the same mistake.
    """
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        found = [_Fault(model, document, details) for details in error.errors(include_url=False)]
        raise min(found, key=lambda fault: fault.order).error() from error


def schema_of(model: type[DocumentModel], *, title: str, name: str) -> dict[str, Json]:
    """JSON Schema, draft 2020-12, of a document; `name` is its `$id`."""
    schema: dict[str, Json] = without_none(model.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": name, **schema, "title": title}


def without_none(schema: Json) -> Json:
    """The schema without the null that pydantic allows for what may be left out: no document has a null."""
    if isinstance(schema, list):
        return [without_none(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    members = {key: without_none(value) for key, value in schema.items() if (key, value) != ("default", None)}
    if {"type": "null"} in members.get("anyOf", ()):
        (kept,) = [branch for branch in members.pop("anyOf") if branch != {"type": "null"}]
        members = {**kept, **members}
    if isinstance(members.get("title"), str):
        del members["title"]
    return members


class _Fault:
    """One of pydantic's errors, in the words and at the place of the document."""

    def __init__(self, model: type[DocumentModel], document: Document, details: ErrorDetails) -> None:
        self._model = model
        self._document = document
        self._kind = details["type"]
        self._details = details
        self._of_key = self._kind == "extra_forbidden" or details["loc"][-1:] == ("[key]",)
        self.path: Path = details["loc"][:-1] if details["loc"][-1:] == ("[key]",) else details["loc"]

    @property
    def order(self) -> tuple[bool, int, int]:
        """What is told first."""
        missing = self._kind == "missing"
        place = self._document.place_of_key(self.path) if self._of_key else self._document.place(self.path)
        return (missing, place.line, place.column)

    def error(self) -> DocumentInvalid:
        """The error to raise."""
        if self._kind == "missing":
            return self._document.invalid_key(self.path[:-1], f"`{show(self.path)}` is missing")
        if self._kind == "extra_forbidden":
            return self._unknown()
        name = f"`{show(self.path)}`" if self.path else "the document"
        make = self._document.invalid_key if self._of_key else self._document.invalid
        return make(self.path, f"{name}: {self._problem()}")

    def _unknown(self) -> DocumentInvalid:
        from difflib import get_close_matches

        model = _model_at(self._model, self.path[:-1])
        key = str(self.path[-1])
        if key in model.later:
            return self._document.invalid_key(self.path, f"`{show(self.path)}`: {model.later[key]}")
        known = [_key(name, field) for name, field in model.model_fields.items()]
        close = get_close_matches(key.replace("_", "-").lower(), known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"there may be {', '.join(known)}"
        return self._document.invalid_key(self.path, f"unknown key `{show(self.path)}`; {hint}")

    def _problem(self) -> str:
        value, context = self._details["input"], self._details.get("ctx", {})
        if self._kind in _WORDS:
            return f"it must be {_WORDS[self._kind]}, not {_kind(value)}"
        if self._kind == "value_error":
            return str(context["error"])
        if self._kind == "too_short":
            return "it is empty, and would mean nothing; it needs one item or more"
        if self._kind == "greater_than_equal":
            return f"it must be {context['ge']} or more, not {value}"
        if self._kind == "less_than":
            return f"it must be less than {context['lt']}"
        return self._details["msg"]


def _model_at(model: type[DocumentModel], path: Path) -> type[DocumentModel]:
    """The model of the mapping at the path of a document of this model."""
    here: Any = model
    for step in path:
        if isinstance(here, type) and issubclass(here, DocumentModel):
            here = next(field.annotation for name, field in here.model_fields.items() if _key(name, field) == step)
        else:
            here = get_args(here)[-1]  # of a mapping by name, or a list
        while get_origin(here) in _WRAPPED:
            here = get_args(here)[0]
    found: type[DocumentModel] = here  # only a model has unknown keys
    return found


def _key(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _kind(value: Json) -> str:
    """What a value is, in words; text and numbers are shown, as far as they are short."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"{value[:80]!r}" if value else "empty text"
        case list():
            return "a list"
        case _:
            return "a mapping"
