"""The facts of an image as JSON, its schema, and the way back."""

from __future__ import annotations

import functools
import json
import re
from typing import Final

from pydantic import TypeAdapter, ValidationError

from attest.core.image.facts import SCHEMA, ImageFacts
from attest.core.strictjson import Json
from attest.core.valueschema import schema_of_value

SCHEMA_NAME: Final = "https://attest-gate.dev/schema/image-facts-v1.json"
"""`$id` of the schema: a name, not an address to ask."""


_NOT_PLAIN: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|#(?=#\[)"
)
"""Characters in UTF-8 that JSON may have as they are: DEL, C1, separators of lines, what turns the direction of text or
is not seen (Unicode, Cc, Zl, Zp and Cf), and the beginning of a command to a runner."""


class FactsInvalid(ValueError):
    """The value is no document of facts."""


def facts_document(facts: ImageFacts) -> dict[str, Json]:
    """The facts as JSON values; the member `schema` says what they are."""
    return {"schema": SCHEMA, **_adapter().dump_python(facts, mode="json")}


def facts_json(facts: ImageFacts) -> bytes:
    """The facts as JSON in UTF-8: the same bytes for the same image, with a newline at their end.

    What a terminal or a CI runner would obey, or hide, is written as an escape. They stand on one line, and are written
    without the values of `facts_document` between: a large image has hundreds of thousands of files.
    """
    head = f'{{"schema":{json.dumps(SCHEMA)},'.encode("ascii")
    document = _NOT_PLAIN.sub(_escaped, _adapter().dump_json(facts))
    return b"".join((head, memoryview(document)[1:], b"\n"))


def _escaped(found: re.Match[bytes]) -> bytes:
    return f"\\u{ord(found[0].decode('utf-8')):04x}".encode("ascii")


def read_facts(document: Json) -> ImageFacts:
    """The facts that JSON values are, as `facts_document` makes them.

    Raises:
        FactsInvalid: they are not, or of another version.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise FactsInvalid(f"the member 'schema' is not {SCHEMA!r}")
    try:
        return _adapter().validate_json(json.dumps({key: document[key] for key in document if key != "schema"}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise FactsInvalid(f"{place}: {first['msg']}") from error


def facts_schema() -> dict[str, Json]:
    """JSON Schema, draft 2020-12, of `facts_document`."""
    schema = schema_of_value(_adapter(), name=SCHEMA_NAME, title="what is known of an image")
    return {
        **schema,
        "properties": {"schema": {"const": SCHEMA}, **schema["properties"]},
        "required": ["schema", *schema["required"]],
    }


@functools.cache
def _adapter() -> TypeAdapter[ImageFacts]:
    return TypeAdapter(ImageFacts)
