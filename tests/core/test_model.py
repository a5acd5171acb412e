"""Documents as models: what is common to policies and all later documents."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from attest.adapters.documents import parse_document
from attest.core.model import DocumentModel, read_model, schema_of, without_none
from attest.errors import DocumentInvalid


class Inner(DocumentModel):
    """Something within."""

    later: ClassVar = {"soon": "not yet"}

    some_number: Annotated[int, Field(le=3)] = 1


class Outer(DocumentModel):
    """A document."""

    one: Inner | None = None
    many: list[Inner] = Field(default_factory=list)
    named: dict[str, Inner] = Field(default_factory=dict)
    some: Annotated[list[Inner], Field(min_length=1)] | None = None
    other: Annotated[list[Annotated[Inner, Field(description="one of them")]], Field(min_length=1)] | None = None
    class_: bool = False


def read(text: str) -> Outer:
    return read_model(Outer, parse_document(text.encode(), file="d.yaml"))


def test_keys_have_hyphens_and_may_be_words_of_python() -> None:
    """A field is written with hyphens, and one that Python reserves without its underscore; both ways alone."""
    assert read("one: {some-number: 3}\nclass: true") == Outer.model_validate(
        {"one": {"some-number": 3}, "class": True}
    )
    for text in ("one: {some_number: 3}", "class_: true", "class-: true"):
        with pytest.raises(DocumentInvalid, match="unknown key"):
            read(text)


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        ("one: {soon: 1}", "1:7", "one.soon"),
        ("many: [{}, {soon: 1}]", "1:13", "many[1].soon"),
        ("named:\n  a: {soon: 1}", "2:7", "named.a.soon"),
        ("some: [{soon: 1}]", "1:9", "some[0].soon"),
        ("other: [{}, {soon: 1}]", "1:14", "other[1].soon"),
    ],
)
def test_an_unknown_key_is_found_wherever_it_is(text: str, place: str, name: str) -> None:
    """What an unknown key is compared with are the keys of the mapping that it stands in, however that is reached."""
    with pytest.raises(DocumentInvalid) as caught:
        read(text)
    assert caught.value.message == f"d.yaml:{place}: `{name}`: not yet"
    with pytest.raises(DocumentInvalid, match="did you mean `some-number`"):
        read(text.replace("soon", "sme-number"))


def test_a_rule_without_words_of_its_own_is_told_in_those_of_pydantic() -> None:
    """An error that nobody has worded is an error all the same, at its place."""
    with pytest.raises(DocumentInvalid, match=r"1:20: `one\.some-number`: .*less than or equal to 3"):
        read("one: {some-number: 4}")


def test_nothing_is_converted() -> None:
    """Text is no number, a number no boolean, and a fraction no whole number."""
    for text in ("one: {some-number: '1'}", "one: {some-number: 1.0}", "class: 1", "class: 'true'", "many: {}"):
        with pytest.raises(DocumentInvalid, match="it must be"):
            read(text)


def test_a_model_does_not_change() -> None:
    """What was read cannot be set to something else."""
    with pytest.raises(ValueError, match="frozen"):
        read("class: true").class_ = False


def test_a_schema_has_no_null() -> None:
    """What may be left out is not null: the reader refuses null everywhere, and so does the schema."""
    schema = schema_of(Outer, title="a document", name="https://example.org/d")
    assert schema["title"] == "a document"
    assert schema["$id"] == "https://example.org/d"
    assert schema["properties"]["one"] == {"$ref": "#/$defs/Inner"}
    assert '"null"' not in str(schema).replace("'", '"')


def test_a_property_may_be_called_title_or_default() -> None:
    """What is taken out of a schema is what pydantic says of types, never a property."""
    schema = {"properties": {"title": {"type": "string"}, "default": {"anyOf": [{"type": "null"}, {"type": "string"}]}}}
    assert without_none(schema) == {"properties": {"title": {"type": "string"}, "default": {"type": "string"}}}
