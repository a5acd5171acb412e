"""Documents: where things stand in them, and errors that say so."""

from __future__ import annotations

import pytest

from attest.core.document import Document, Path, Place, show
from tests.core.test_policydocument import load, replaced

TEXT = """\
list: [one, 'two', "three", "fo\\u0075r"]
block: |
  five
"""


def _document() -> Document:
    places = {
        (): (1, 1),
        ("list",): (1, 7),
        ("list", 0): (1, 8),
        ("list", 1): (1, 13),
        ("list", 2): (1, 20),
        ("list", 3): (1, 29),
        ("block",): (2, 8),
    }
    return Document(
        file="d.yaml",
        content=TEXT.encode(),
        value={"list": ["one", "two", "three", "four"], "block": "five\n"},
        keys={("list",): Place(line=1, column=1), ("block",): Place(line=2, column=1)},
        values={path: Place(line=line, column=column) for path, (line, column) in places.items()},
    )


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ((), ""),
        (("lanes",), "lanes"),
        (("lanes", "build", "where", 0), "lanes.build.where[0]"),
        ((0, "a"), "[0].a"),
    ],
)
def test_a_path_is_shown(path: Path, shown: str) -> None:
    """A path reads as one would write it."""
    assert show(path) == shown


def test_an_error_names_the_nearest_place() -> None:
    """An error about something that is not there names what it is not in."""
    document = _document()
    error = document.invalid(("list", 1, "deeper"), "wrong", hint="do it right")
    assert (str(error), error.line, error.column, error.hint) == ("d.yaml:1:13: wrong", 1, 13, "do it right")
    assert str(document.invalid(("other",), "wrong")) == "d.yaml:1:1: wrong"


def test_an_error_may_be_about_a_key() -> None:
    """The key of a value has a place of its own; an item of a list has none but its own."""
    document = _document()
    assert str(document.invalid_key(("block",), "wrong")) == "d.yaml:2:1: wrong"
    assert str(document.invalid(("block",), "wrong")) == "d.yaml:2:8: wrong"
    assert str(document.invalid_key(("list", 2), "wrong")) == "d.yaml:1:20: wrong"


@pytest.mark.parametrize(
    ("path", "text", "column"),
    [
        (("list", 0), "one", 10),
        (("list", 1), "two", 16),
        (("list", 2), "three", 23),
        (("list", 3), "four", 29),  # written with an escape, so that nothing can be counted
    ],
)
def test_a_character_of_a_text_is_found(path: Path, text: str, column: int) -> None:
    """A place within a text is counted where the text stands as it is, with or without quotes."""
    assert _document().place_within(path, text, 2) == Place(line=1, column=column)


def test_a_character_of_a_block_is_the_block() -> None:
    """Of a text over several lines the beginning is named."""
    assert _document().place_within(("block",), "five\n", 2) == Place(line=2, column=8)


def test_a_condition_in_a_block_may_have_several_lines() -> None:
    """A long condition is written over several lines."""
    policy = load(replaced(('where: ["predicate.a == 1"]', "where:\n      - |\n        predicate.a\n          == 1")))
    (condition,) = policy.lanes[0].where
    assert condition.text == "predicate.a\n  == 1\n"
    assert condition.holds(predicate={"a": 1}, statement={}, image={}, certificate={})
