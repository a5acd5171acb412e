"""What a test-result says that failed, for a refusal to quote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attest.core.strictjson import Json, shown

_FIRST: Final = 3
"""Failed tests that a refusal names."""


def failures(predicate: Mapping[str, Json]) -> str:
    """What a test-result says that failed, to stand behind the word FAILED: the first tests, else the first reason.

    Empty where it says neither. What is signed is foreign text all the same: it is quoted, and cut.
    """
    names = [name for name in _list(predicate, "failedTests") if isinstance(name, str)]
    if not names:
        reasons = [reason for reason in _list(predicate, "attest_reasons") if isinstance(reason, str)]
        return f": {shown(reasons[0])}" if reasons else ""
    omitted = predicate.get("attest_omittedTests")
    left_out = omitted.get("failedTests") if isinstance(omitted, dict) else None
    more = max(0, len(names) - _FIRST) + (left_out if type(left_out) is int and left_out > 0 else 0)
    first = ", ".join(shown(name) for name in names[:_FIRST])
    return f": {first} and {more} more" if more > 0 else f": {first}"


def _list(predicate: Mapping[str, Json], field: str) -> list[Any]:
    found = predicate.get(field)
    return found if isinstance(found, list) else []
