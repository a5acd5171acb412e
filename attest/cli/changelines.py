"""Differences between images for people: what happened, and below it the layer and the build step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from attest.cli.terminal import escape
from attest.core.image.change import ChangeKind

if TYPE_CHECKING:
    from attest.core.image.origin import Origin

SHOWN: Final = 40
"""Differences of one group that are shown; `--format json` has them all."""
_STEP: Final = 160
"""Characters of a build step."""
_WIDTH: Final = max(len(kind.value) for kind in ChangeKind)
_COLOURS: Final = {ChangeKind.ADDED: "green", ChangeKind.REMOVED: "red", ChangeKind.CHANGED: "yellow"}


def change_lines(
    kind: ChangeKind, message: str, origin: Origin | None, former: Origin | None = None, *, indent: int
) -> Iterator[str]:
    """One difference, safe for a terminal. `former` is what had brought it, which is told where nothing else is."""
    yield f"{' ' * indent}{click.style(f'{kind.value:<{_WIDTH}}', fg=_COLOURS[kind])}  {escape(message)}"
    below = " " * (indent + _WIDTH + 2)
    if origin is not None:
        yield f"{below}{_origin(origin)}"
    elif former is not None:
        yield f"{below}it was of {_origin(former)}"


def _origin(origin: Origin) -> str:
    step = escape(" ".join((origin.created_by or "").split()))
    if len(step) > _STEP:
        step = f"{step[:_STEP]} ..."
    if origin.layer is None or origin.digest is None:
        return step
    return f"layer {origin.layer}  {origin.digest[:19]}  {step}".rstrip()
