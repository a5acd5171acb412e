"""JSON pointers (RFC 6901): where in a JSON document something stands."""

from __future__ import annotations

END = "-"
"""The element after the last one of an array: where something new would stand (RFC 6901, 4)."""


def pointer(*steps: str | int) -> str:
    """The pointer to the value at these member names and positions; without any, to the whole document."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
