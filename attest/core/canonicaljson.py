"""RFC 8785 (JSON Canonicalization Scheme), for JSON without fractions: one value has one text.

Numbers are whole and at most 2^53 - 1 in size, so that none of the RFC's rules about floating point (section 3.2.2.3)
is needed, and every reader of JSON has the same number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from attest.core import limits
from attest.core.strictjson import Json, JsonInvalid, loads, shown

LARGEST: Final = 2**53 - 1
"""The largest number, and with a minus the smallest (RFC 7493 2.2)."""


class NotCanonical(ValueError):
    """A value that has no canonical form here, or a text that is not in it."""


def canonical(value: Json) -> bytes:
    """The one text of this value, in UTF-8.

    Members are sorted by the UTF-16 code units of their names (RFC 8785 3.2.3); strings are escaped as ECMAScript does
    (3.2.2.2), which is what the standard library writes when it keeps to UTF-8.

    Raises:
        NotCanonical: a number with a fraction or beyond 2^53 - 1, a lone surrogate, a name that is no string, nesting
            beyond `limits.JSON_DEPTH`, or what is no JSON at all.
    """
    text = json.dumps(_ordered(value, 1), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def read_canonical(content: bytes) -> Json:
    """The value whose canonical text these bytes are.

    Raises:
        NotCanonical: they are no strict JSON, or another text of the value than the canonical one.
    """
    try:
        value = loads(content)
    except JsonInvalid as error:
        raise NotCanonical(f"not strict JSON: {error}") from error
    expected = canonical(value)
    if expected != content:
        place = next((at for at, pair in enumerate(zip(content, expected, strict=False)) if pair[0] != pair[1]), None)
        # Where one is the beginning of the other, only white space after the value can be left over.
        raise NotCanonical(f"not in canonical form (RFC 8785) at byte {len(expected) if place is None else place}")
    return value


def _ordered(value: Json, depth: int) -> Json:
    """The same value, checked, with the members of its objects in canonical order."""
    match value:
        case str():
            return _text(value)
        case None | bool():
            return value
        case int():
            if not -LARGEST <= value <= LARGEST:
                raise NotCanonical("a number beyond 2^53 - 1, which readers of JSON disagree about")
            return value
        case float():
            raise NotCanonical(f"the number {shown(value)}; only whole numbers are recorded")
        case list() | tuple() | dict() if depth > limits.JSON_DEPTH:
            raise NotCanonical(f"nested deeper than {limits.JSON_DEPTH}")
        case list() | tuple():
            return [_ordered(item, depth + 1) for item in value]
        case dict():
            return {name: _ordered(value[name], depth + 1) for name in _sorted(value)}
        case _:
            raise NotCanonical(f"a {type(value).__name__}, which is no JSON")


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise NotCanonical("a lone surrogate in a string") from None
    return text


def _sorted(names: Iterable[Json]) -> list[str]:
    """The names in canonical order, which for ASCII is that of the characters."""
    plain = all(type(name) is str and name.isascii() for name in names)
    return sorted(names) if plain else sorted(names, key=_code_units)


def _code_units(name: Json) -> bytes:
    if not isinstance(name, str):
        raise NotCanonical(f"the name {shown(name)} of a member is no string")
    return _text(name).encode("utf-16-be")
