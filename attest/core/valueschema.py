"""JSON Schema of documents that are values of ours: frozen dataclasses, written by pydantic as they stand."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from attest.core.strictjson import Json

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of_value(value: TypeAdapter[Any], *, name: str, title: str) -> dict[str, Json]:
    """JSON Schema, draft 2020-12, of what the adapter writes: every member required and no other allowed.

    `name` is its `$id`, which is a name and not an address to ask.
    """
    return {"$schema": DRAFT, "$id": name, **_closed(value.json_schema(mode="serialization")), "title": title}


def _closed(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items() if key not in ("title", "default")}
    properties = schema.get("properties")
    if schema.get("type") == "object" and isinstance(properties, dict):
        found["properties"] = {name: _closed(value) for name, value in properties.items()}
        found["required"] = list(properties)
        found["additionalProperties"] = False
    return found
