"""Strict YAML: what is read, what is refused, and where."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.documents import parse_document
from attest.core import limits
from attest.core.document import Place
from attest.errors import DocumentInvalid


def read(text: str) -> Any:
    return parse_document(text.encode("utf-8", "surrogatepass"), file="d.yaml").value


def refused(content: str | bytes) -> DocumentInvalid:
    with pytest.raises(DocumentInvalid) as caught:
        parse_document(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content, file="d.yaml")
    assert caught.value.file == "d.yaml"
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.2, core schema, decimal
        *(("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False)),
        *(("0", 0), ("7", 7), ("-7", -7), ("+7", 7), ("18446744073709551615", 2**64 - 1)),
        *(("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("-1e3", -1000.0), ("1E-2", 0.01), ("0.0", 0.0)),
        # text, whatever YAML 1.1 or a guess would make of it
        *((text, text) for text in ("yes", "no", "on", "off", "y", "Yes", "tRUE", "nil")),
        *(
            (text, text)
            for text in ("0o17", "017", "007", "0x1f", "0b1", "1_000", "+", "-x", "1e", ".", "1.5.0", "190:20")
        ),
        *((text, text) for text in (".inf", "-.INF", ".nan", "NaN", "Infinity", "2026-01-01", "2026-01-01T00:00:00Z")),
        *((text, text) for text in ("=", "sha256:00", "refs/tags/*", "https://a.b/c", "a b", "\u0667", "\u0967.5")),
        *(("'true'", "true"), ('"7"', "7"), ("''", ""), ('""', ""), ("'null'", "null"), ('"~"', "~")),
        ('"a\\nb\\u00e9"', "a\nb\u00e9"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
        ("[]", []),
        ("{}", {}),
        ("- a\n- [b, {c: d}]\n", ["a", ["b", {"c": "d"}]]),
        ("? a\n: b\n", {"a": "b"}),
        ("'1': a\n'<<': b\n", {"1": "a", "<<": "b"}),
        ("--- \na: b\n...\n", {"a": "b"}),
        ("a: b # comment\r\nc: d\r\n", {"a": "b", "c": "d"}),
    ],
)
def test_a_value_is_what_it_says(text: str, value: Any) -> None:
    """Scalars follow YAML 1.2's core schema in decimal; everything else is text, and quoted text always is."""
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("", 1, 1, "it is empty"),
        ("\n# nothing\n", 1, 1, "it is empty"),
        ("---\n", 2, 1, "the document has no value"),
        ("a: b\n---\nc: d\n", 2, 1, "a second document"),
        ("%YAML 1.2\n---\na: b\n", 2, 1, "a directive"),
        ("%TAG ! tag:example.org,2026:\n---\na: b\n", 2, 1, "a directive"),
        ("a: !x b", 1, 4, "a tag"),
        ("a: ! b", 1, 4, "a tag"),
        ("a: !!str b", 1, 4, "a tag"),
        ("!!map {a: b}", 1, 1, "a tag"),
        ("!!str a: b", 1, 1, "a tag"),
        ("a: &x b", 1, 4, "an anchor"),
        ("&x a: b", 1, 1, "an anchor"),
        ("a: [&x []]", 1, 5, "an anchor"),
        ("a: *x", 1, 4, "an alias"),
        ("*x : b", 1, 1, "an alias"),
        ("a: b\n<<: {c: d}\n", 2, 1, "a merge key"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "for the second time, after line 1"),
        ("a: 1\n'a': 3\n", 2, 1, "for the second time, after line 1"),
        ("a: {b: 1, b: 1}", 1, 11, "for the second time"),
        ("1: a", 1, 1, "the key 1 is not text"),
        ("true: a", 1, 1, "the key true is not text"),
        ("~: a", 1, 1, "the key ~ is not text"),
        ("1.5: a", 1, 1, "the key 1.5 is not text"),
        (": a", 1, 1, "the key null is not text"),
        ("{a: b}: c", 1, 1, "a key that is a mapping or a list"),
        ("? [a]\n: b", 1, 3, "a key that is a mapping or a list"),
        ("a:\nb: c\n", 1, 1, "`a` has no value"),
        ("a:\n  b: null\n", 2, 3, "`a.b` has no value"),
        ("a: [b, ~]", 1, 8, r"`a\[1\]` has no value"),
        ("a: [b,]\nc: [,]", 2, 5, "not YAML"),
        ("a: 123456789012345678901", 1, 4, "a number of more than 20 digits"),
        ("a: -12345678901234567890", 1, 4, "a number of more than 20 digits"),
        ("a: 1e999", 1, 4, "a number that is too large"),
        ("a: b\nc: \u202ed", 2, 4, r"U\+202E"),
        ("a: b # \u2066comment", 1, 8, r"U\+2066"),
        ("\ufeffa: b", 1, 1, r"U\+FEFF"),
        ("a: b\rc: d", 1, 5, r"U\+000D"),
        ("a: \x00", 1, 4, r"U\+0000"),
        ("a: \x1b[0m", 1, 4, r"U\+001B"),
        ('a: "\\e[0m"', 1, 4, r"U\+001B"),
        ('a: "\\0"', 1, 4, r"U\+0000"),
        ("a: \ufffe", 1, 1, "not YAML"),
        ('a: "\\ud800"', 1, 4, r"U\+D800"),
        ('"\\u202e": a', 1, 1, r"U\+202E"),
        ('a: "x\\U00110000"', 1, 6, "an escape of a character that there is not"),
        ("a: b: c", 1, 5, "not YAML: mapping values are not allowed here"),
        ("a: 'b", 1, 6, "not YAML"),
        ("a: [b", 1, 6, "not YAML"),
        ("\ta: b", 1, 1, "not YAML"),
        ("a: @b", 1, 4, "not YAML"),
        ("- a\nb: c\n", 2, 1, "not YAML"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, line: int, column: int, problem: str) -> None:
    """Whatever two readers could take for two things is an error, with the line and column where it stands."""
    error = refused(text)
    assert error.line == line
    assert error.column == column
    assert re.search(problem, error.problem)


def test_bytes_that_are_no_text_are_named_with_their_place() -> None:
    """A document is UTF-8; the first byte that is not is named, in characters, not bytes."""
    error = refused("a: b\nc: é".encode() + b"\xff")
    assert (error.line, error.column, error.problem) == (2, 5, "it is not UTF-8 from here on")
    assert refused("a: b".encode("utf-16")).problem == "it is not UTF-8 from here on"


def test_a_surrogate_in_utf_8_is_no_text() -> None:
    """Encoded surrogates are no UTF-8 (RFC 3629, 3)."""
    assert "not UTF-8" in refused("a: \ud800").problem


def test_a_document_has_a_limit() -> None:
    """A document of exactly the limit is read, one byte more is refused before it is parsed."""
    text = "a: '" + "x" * (limits.DOCUMENT - 5) + "'"
    assert len(text) == limits.DOCUMENT
    assert read(text)["a"] == text[4:-1]
    assert "at most" in refused(text + "\n").problem


@pytest.mark.parametrize(
    "text",
    [
        "[" * limits.DOCUMENT,
        "{a: " * (limits.DOCUMENT // 4),
        "- " * (limits.DOCUMENT // 2),
        "? " * (limits.DOCUMENT // 2),
    ],
)
def test_nesting_has_a_limit(text: str) -> None:
    """However deep a document is nested, it is an error of the document and no overflow."""
    assert {"deeper", "key", "YAML"} & set(refused(text).problem.replace(":", "").split())


def test_nesting_up_to_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    assert read("[" * limits.JSON_DEPTH + "]" * limits.JSON_DEPTH)
    assert "deeper" in refused("[" * (limits.JSON_DEPTH + 1) + "]" * (limits.JSON_DEPTH + 1)).problem


def test_everything_has_a_place() -> None:
    """Keys and values are found by their path, with the line and column at which they begin."""
    document = parse_document(b"a:\n  - x\n  - {b: 'y', c: [z]}\nd: |\n  text\n", file="d.yaml")
    assert document.value == {"a": ["x", {"b": "y", "c": ["z"]}], "d": "text\n"}
    assert document.values == {
        (): Place(line=1, column=1),
        ("a",): Place(line=2, column=3),
        ("a", 0): Place(line=2, column=5),
        ("a", 1): Place(line=3, column=5),
        ("a", 1, "b"): Place(line=3, column=9),
        ("a", 1, "c"): Place(line=3, column=17),
        ("a", 1, "c", 0): Place(line=3, column=18),
        ("d",): Place(line=4, column=4),
    }
    assert document.keys == {
        ("a",): Place(line=1, column=1),
        ("a", 1, "b"): Place(line=3, column=6),
        ("a", 1, "c"): Place(line=3, column=14),
        ("d",): Place(line=4, column=1),
    }


_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(10**19) + 1, 10**19)
    | st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<~", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(_VALUES)
def test_json_is_read_as_json(value: Any) -> None:
    """A JSON document is a YAML document of the same value; so the two readers agree wherever both read."""
    assert read(json.dumps(value)) == value


@given(st.binary(max_size=60) | st.text("abc:-[]{}?,&*!|>'\"%@`#~<\\U0 \n\t", max_size=60).map(str.encode))
def test_any_bytes_are_a_document_or_an_error_of_one(content: bytes) -> None:
    """No bytes lead to anything but a document without None or an error that names the file and a place."""
    error: DocumentInvalid | None = None
    try:
        document = parse_document(content, file="d.yaml")
    except DocumentInvalid as caught:
        error = caught
    if error is not None:
        assert error.file == "d.yaml"
        assert None not in (error.line, error.column)
    else:
        assert _nowhere_none(document.value)
        json.dumps(document.value, allow_nan=False).encode()
        assert () in document.values


def _nowhere_none(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is not None and all(_nowhere_none(item) for item in inner)
