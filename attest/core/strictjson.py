"""JSON as RFC 8259 and I-JSON (RFC 7493) have it, for bytes that nobody has vouched for.

The standard library's reader keeps the last of two equal keys, accepts NaN, guesses at UTF-16, lets lone
surrogates through, recurses without a bound of ours and reads integers of any length. Here each of these is
an error, because two readers that disagree about a signed document are two verdicts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from attest.core import limits

Json = Any
"""A parsed value: dict, list, str, int, float, bool or None."""

_SHOWN = 80


class JsonInvalid(ValueError):
    """The bytes are not one strict JSON value."""


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]},]', re.DOTALL)
"""A string, ended or not, a bracket or a comma. Possessive, so that a string without an end is looked at once only."""


def loads(data: bytes) -> Json:
    """The one JSON value that the bytes are.

    Raises:
        JsonInvalid: not UTF-8, a byte order mark, a duplicate key, a number that is not finite, an integer of more
            than `limits.JSON_DIGITS` digits, a lone surrogate, nested or large beyond `limits`, or no JSON at all.
    """
    nested = data.count(b"{") + data.count(b"[") > limits.JSON_DEPTH
    # Most documents are shorter than the values that they may have, and need no count of them.
    if nested or (len(data) >= limits.JSON_VALUES and data.count(b",") >= limits.JSON_VALUES):
        _refuse_size(data)
    try:
        text = data.decode("utf-8")
        value = _value(text)
        # One character is found many times faster than two.
        if "\\" in text and "\\u" in text:  # the only way to write a surrogate in valid UTF-8
            _reject_surrogates(value)
    except JsonInvalid:
        raise
    except UnicodeDecodeError as error:
        raise JsonInvalid(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise JsonInvalid(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    return value


def _value(text: str) -> Json:
    """What the text is: as `_DECODER.decode`, without its search for white space where there is none around."""
    try:
        value, end = _SCAN(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else _DECODER.decode(text)


def shown(value: Json) -> str:
    """The value for a message: short, whatever its size, and on one line."""
    match value:
        case str():
            return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return repr(value)


def _refuse_size(data: bytes) -> None:
    """Refuses what is nested too deep or would be too many values in memory, counted outside of strings."""
    containers = commas = depth = 0
    for match in _TOKEN.finditer(data):
        first = data[match.start()]
        if first in b"[{":
            containers += 1
            depth += 1
            if depth > limits.JSON_DEPTH:
                raise JsonInvalid(f"nested deeper than {limits.JSON_DEPTH}")
        elif first in b"]}":
            depth -= 1
        elif first in b",":
            commas += 1
    if containers > limits.JSON_CONTAINERS:
        raise JsonInvalid(f"more than {limits.JSON_CONTAINERS} objects and arrays")
    if commas >= limits.JSON_VALUES:
        raise JsonInvalid(f"more than {limits.JSON_VALUES} values side by side")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonInvalid(f"the key {shown(twice)} stands twice in one object")
    return members


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > limits.JSON_DIGITS:
        raise JsonInvalid(f"an integer of more than {limits.JSON_DIGITS} digits")
    return int(digits)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise JsonInvalid("a number that no double holds")
    return value


def _constant(name: str) -> NoReturn:
    raise JsonInvalid(f"{name} is not JSON")


def _reject_surrogates(value: Json) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                raise JsonInvalid("a lone surrogate in a string") from None
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant, strict=True
)
_SCAN: Callable[[str, int], tuple[Json, int]] = _DECODER.scan_once  # type: ignore[attr-defined] # as json.decoder has it
