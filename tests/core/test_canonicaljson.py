"""RFC 8785 without fractions: one value has one text, and every other text is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.canonicaljson import LARGEST, NotCanonical, canonical, read_canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | TEXT,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=12,
)


def nested(depth: int) -> Any:
    """A value of so many arrays, one in another."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@given(VALUES)
def test_it_is_what_another_library_writes(value: Any) -> None:
    """The text equals that of an independent implementation of RFC 8785."""
    assert canonical(value) == rfc8785.dumps(value)


@given(VALUES)
def test_it_is_read_back(value: Any) -> None:
    """The text of a value is read back as that value."""
    assert read_canonical(canonical(value)) == value


@given(VALUES)
def test_another_text_of_the_same_value_is_refused(value: Any) -> None:
    """What the standard library writes of a value is refused wherever it differs from the canonical text."""
    for text in (json.dumps(value).encode(), json.dumps(value, indent=1).encode()):
        if text != canonical(value):
            with pytest.raises(NotCanonical):
                read_canonical(text)


def test_the_members_of_the_rfc_are_in_its_order() -> None:
    """The example of RFC 8785 3.2.3: members in the order of UTF-16 code units, not of code points."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    text = canonical(dict.fromkeys(names, 0)).decode()
    order = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert text == "{" + ",".join(f'"{name}":0' for name in order) + "}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.0, "only whole numbers"),
        (float("nan"), "only whole numbers"),
        (LARGEST + 1, "beyond 2^53 - 1"),
        (-LARGEST - 1, "beyond 2^53 - 1"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ({1: 2}, "is no string"),
        (b"x", "a bytes, which is no JSON"),
        ({1, 2}, "a set, which is no JSON"),
        ([[[0.5]]], "only whole numbers"),
        (nested(limits.JSON_DEPTH + 1), "nested deeper than 32"),
        ({"a": nested(limits.JSON_DEPTH)}, "nested deeper than 32"),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any, said: str) -> None:
    """Each kind of value that two readers could disagree about is refused with the reason."""
    with pytest.raises(NotCanonical, match=said.replace("^", r"\^")):
        canonical(value)


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, True, False, None, nested(limits.JSON_DEPTH), ("a", 1)])
def test_the_edges_are_taken(value: Any) -> None:
    """The largest numbers, the deepest nesting and the constants have a canonical form."""
    assert canonical(value) == rfc8785.dumps(list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"b":1,"a":2}', "at byte 2"),
        (b'{"a": 1}', "at byte 5"),
        (b"[1]\n", "at byte 3"),
        (b'"\\u0041"', "at byte 1"),
        (b"-0", "at byte 0"),
        (b'{"a":1,"a":1}', "stands twice"),
        (b"1.0", "only whole numbers"),
        (b"1e2", "only whole numbers"),
        (b"9007199254740992", "beyond"),
        (b"\xff", "not UTF-8"),
        (b"", "not strict JSON"),
    ],
)
def test_what_is_not_canonical_is_refused(text: bytes, said: str) -> None:
    """A text that is another one than the canonical one is refused, and the message says where it differs."""
    with pytest.raises(NotCanonical, match=said):
        read_canonical(text)
