"""Strict JSON: what it refuses, that it agrees with the standard library where it accepts, and what it costs."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.strictjson import Json, JsonInvalid, loads, shown

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)
BITS = [
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"1",
    b"-",
    b".",
    b"e9",
    b"\\u",
    b"d83d",
    b"null",
    b" ",
    b"a",
    b"\xc3\xa9",
]


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expecting value at line 1, column 1"),
        (b"{} {}", "Extra data at line 1, column 4"),
        (b"{}\x00", "Extra data"),
        (b"[1,]", "at line 1"),
        (b"{'a': 1}", "at line 1, column 2"),
        (b"// no\n1", "Expecting value"),
        (b"01", "Extra data"),
        (b"+1", "Expecting value"),
        (b".5", "Expecting value"),
        (b"1.", "Extra data"),
        ("\u0661".encode(), "Expecting value"),
        (b'{"a": "\t"}', "Invalid control character"),
        (b'"\\x41"', "Invalid"),
        (b'"\\u00g0"', "Invalid"),
        (b'"open', "Unterminated string"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes, message: str) -> None:
    """Text outside the grammar of RFC 8259 is refused, and the message says where it is wrong."""
    with pytest.raises(JsonInvalid, match=message):
        loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
    ],
)
def test_only_utf_8_without_a_byte_order_mark_is_read(data: bytes) -> None:
    """Other encodings, a byte order mark, overlong forms and encoded surrogates are refused."""
    with pytest.raises(JsonInvalid):
        loads(data)


def test_bytes_that_are_not_utf_8_are_named() -> None:
    """The message names the first byte that is not UTF-8."""
    with pytest.raises(JsonInvalid, match="not UTF-8 at byte 2"):
        loads(b'"a\xff"')


@pytest.mark.parametrize("data", [b"NaN", b"Infinity", b"-Infinity", b'{"a": [NaN]}'])
def test_constants_that_are_not_json_are_refused(data: bytes) -> None:
    """NaN and the infinities, which the standard library reads, are refused by name."""
    with pytest.raises(JsonInvalid, match="is not JSON"):
        loads(data)


@pytest.mark.parametrize("data", [b"1e400", b"-1e400", b"[1e99999]", b"1" * 400 + b".0"])
def test_a_number_that_no_double_holds_is_refused(data: bytes) -> None:
    """A number that overflows to infinity is refused instead."""
    with pytest.raises(JsonInvalid, match="a number that no double holds"):
        loads(data)


@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_have_at_most_twenty_digits(sign: str) -> None:
    """Twenty digits are read exactly, with or without a sign, and twenty-one are refused."""
    assert loads(f"{sign}{'9' * 20}".encode()) == int(f"{sign}{'9' * 20}")
    with pytest.raises(JsonInvalid, match="an integer of more than 20 digits"):
        loads(f"{sign}{'9' * 21}".encode())


@pytest.mark.parametrize("data", [b"18446744073709551615", b"-9223372036854775808"])
def test_every_64_bit_integer_is_read_exactly(data: bytes) -> None:
    """The largest unsigned and the smallest signed 64-bit integer are within the limit and lose nothing."""
    assert loads(data) == int(data)


@pytest.mark.parametrize(
    "data", [b'{"a": 1, "a": 1}', b'{"a": 1, "b": 2, "\\u0061": 3}', b'[{"x": {"a": 0, "a": 0}}]', b'{"": 1, "": 2}']
)
def test_a_key_that_stands_twice_is_refused(data: bytes) -> None:
    """Equal keys in one object are refused at any depth, also where an escape spells one of them."""
    with pytest.raises(JsonInvalid, match="stands twice in one object"):
        loads(data)


def test_the_doubled_key_is_named() -> None:
    """The message names the key that stands twice, and not another."""
    with pytest.raises(JsonInvalid, match="the key 'b' stands twice"):
        loads(b'{"a": 1, "b": 2, "c": 3, "b": 4}')


@pytest.mark.parametrize("first", ["{", "["])
def test_equal_keys_in_different_objects_are_no_duplicates(first: str) -> None:
    """Two objects may have the same key."""
    text = '{"a": {"a": 1}}' if first == "{" else '[{"a": 1}, {"a": 1}]'
    assert loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "data",
    [
        b'"\\ud800"',
        b'"\\udfff"',
        b'"\\ude00\\ud83d"',
        b'{"\\ud800": 1}',
        b'[["a", {"b": "\\uDC00x"}]]',
        b'["\\ud83d", "\\ude00"]',
    ],
)
def test_a_lone_surrogate_is_refused(data: bytes) -> None:
    """Half a surrogate pair is refused in a value, in a key, and at any depth."""
    with pytest.raises(JsonInvalid, match="a lone surrogate in a string"):
        loads(data)


def test_a_surrogate_pair_and_an_escaped_backslash_are_read() -> None:
    """A whole pair is one character, and an escaped backslash before a `u` starts no escape."""
    assert loads(b'["\\ud83d\\ude00", "\\\\ud800", 1, null, {"a": 0.5}]') == [
        "\U0001f600",
        "\\ud800",
        1,
        None,
        {"a": 0.5},
    ]


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_is_limited_exactly(opening: bytes, closing: bytes) -> None:
    """Depth 32 is read and depth 33 is refused, for arrays, objects and both in turn."""
    levels = 2 if opening.startswith(b"[{") else 1
    depth = limits.JSON_DEPTH // levels
    loads(nested(depth, opening, closing))
    with pytest.raises(JsonInvalid, match="nested deeper than 32"):
        loads(b"[" + nested(depth, opening, closing) + b"]")


@pytest.mark.parametrize("text", ["[" * 100, "{" * 100, '\\"' + "[" * 100, "\\\\" + "]" * 40, "]" * 100 + "[" * 100])
def test_brackets_in_strings_are_not_nesting(text: str) -> None:
    """Only what stands outside of strings counts, whatever escapes the string has."""
    data = nested(30, b"[", b"]").replace(b"1", f'"{text}"'.encode())
    assert loads(data) == json.loads(data)
    with pytest.raises(JsonInvalid, match="nested deeper"):
        loads(b"[[[" + data + b"]]]")


def test_siblings_are_not_nesting() -> None:
    """Containers side by side are read, also beside one of the full depth, and hide none that is deeper."""
    assert loads(b"[" + b"[[]]," * 1000 + b"[]]") == [[[]]] * 1000 + [[]]
    deepest = nested(limits.JSON_DEPTH - 1, b"[", b"]")
    for siblings in (b"[],", b"{}," * 50, b"[[]]," * 50):
        assert loads(b"[" + siblings + deepest + b"]")
        with pytest.raises(JsonInvalid, match="nested deeper than 32"):
            loads(b"[" + siblings + b"[" + deepest + b"]]")


@pytest.mark.parametrize("data", [b"[" * 10_000_000, b'{"a":' * 1_000_000, b"]" * 50 + b"[" * 100_000])
def test_deep_nesting_is_no_recursion_error(data: bytes) -> None:
    """Nesting that would overflow a recursive reader is refused by a message."""
    with pytest.raises(JsonInvalid):
        loads(data)


def test_containers_are_limited_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many objects and arrays as the limit allows are read, and one more is refused; strings hold none."""
    monkeypatch.setattr(limits, "JSON_CONTAINERS", 100)
    inside = b'"[[[{{{[[["'
    assert len(loads(b"[" + b",".join([inside, *[b"{}"] * 99]) + b"]")) == 100
    with pytest.raises(JsonInvalid, match="more than 100 objects and arrays"):
        loads(b"[" + b",".join([inside, *[b"{}"] * 100]) + b"]")


@pytest.mark.parametrize("tail", [b'\\"', b'"', b"\\", b'\\\\"', b'["', b'"a'])
def test_looking_for_the_end_of_strings_is_linear(tail: bytes) -> None:
    """Millions of quotes in a string without an end are looked at once each, where once for each quote takes hours."""
    with pytest.raises(JsonInvalid):
        loads(b"[" * 33 + b'"' + tail * 1_000_000)


def test_values_are_limited_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many values side by side as the limit allows are read, and one more is refused; strings hold none."""
    monkeypatch.setattr(limits, "JSON_VALUES", 100)
    inside = b'",,,,,,,,,,"'
    assert len(loads(b"[" + b",".join([inside, *[b"1"] * 99]) + b"]")) == 100
    with pytest.raises(JsonInvalid, match="more than 100 values side by side"):
        loads(b"[" + b",".join([inside, *[b"1"] * 100]) + b"]")


@pytest.mark.parametrize("item", [b'"%x":0', b'"%x":[]', b'"%x":{}', b'"%x":"ab"', b'"%x":1e9', b'"%x":99999'])
def test_a_value_costs_at_most_400_bytes(item: bytes) -> None:
    """So the most that a document makes, within the limit on values, is 200 MB: a whole command stays below 256 MiB."""
    count = 20_000
    assert _peak(b"{" + b",".join(item % number for number in range(count)) + b"}") < 400 * count


def _peak(data: bytes) -> int:
    tracemalloc.start()
    try:
        loads(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(VALUES)
def test_whatever_the_standard_library_writes_is_read_back(value: Any) -> None:
    """Every JSON value survives being written, escaped or not, indented or not, and read."""
    for ascii_only in (True, False):
        for indent in (None, 1):
            text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
            assert loads(text.encode()) == value


@given(st.binary(max_size=60) | st.lists(st.sampled_from(BITS), max_size=16).map(b"".join))
def test_what_is_accepted_the_standard_library_reads_alike(data: bytes) -> None:
    """Nothing but JsonInvalid is ever raised, and an accepted value is the one that `json.loads` reads."""
    try:
        value = loads(data)
    except JsonInvalid:
        return
    assert value == json.loads(data)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@given(VALUES, st.data())
def test_what_is_refused_is_refused_for_a_reason(value: Any, data: st.DataObject) -> None:
    """A value with one character changed is refused only where the standard library refuses it, or for a rule here."""
    text = json.dumps(value)
    position = data.draw(st.integers(0, len(text) - 1))
    changed = text[:position] + data.draw(st.sampled_from(' "\\[]{},:019eE.-+uabn')) + text[position + 1 :]
    try:
        loads(changed.encode())
    except JsonInvalid as error:
        own = ("stands twice", "surrogate", "digits", "double", "is not JSON")
        if not any(word in str(error) for word in own):
            with pytest.raises(json.JSONDecodeError):
                json.loads(changed)


def test_floats_keep_their_value() -> None:
    """Exponents, negative zero and underflow are read as the nearest double."""
    assert loads(b"[1.5, 1e3, -0.0, 1e-400, 0.1000000000000000055511151231257827]") == [1.5, 1000.0, 0.0, 0.0, 0.1]
    assert math.copysign(1, loads(b"-0.0")) == -1


def test_a_value_is_shown_within_bounds() -> None:
    """A hostile value in a message is cut to a readable length, and control characters are escaped."""
    assert shown("a\x1b[31m") == "'a\\x1b[31m'"
    assert shown(None) == "None"
    assert len(shown("x" * 1_000_000)) <= 100
    assert shown("z" * 80) == repr("z" * 80)
    assert shown("z" * 81) == repr("z" * 80 + "...")
    assert shown([{"a": "y" * 1000}] * 1000) == "an array"
    assert shown({"a": 1}) == "an object"
    assert shown(7) == "7"
