"""Waivers on a command line: `--waiver`, on the commands that promote and deploy, and on no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attest.adapters.files import read_file
from attest.core import limits

if TYPE_CHECKING:
    from attest.core.waiver import Presented

F = TypeVar("F", bound=Callable[..., Any])


def waiver_option(function: F) -> F:
    """`--waiver FILE`."""
    return click.option(
        "--waiver",
        "waivers",
        metavar="FILE",
        type=click.Path(),
        multiple=True,
        help="In an emergency: what `attest waive` wrote; once for each who signed it.",
    )(function)


def read_waiver(files: Sequence[str], *, environment: str) -> Presented | None:
    """The waiver in these files; None where there are none.

    Raises:
        DocumentInvalid: a file cannot be read, or is no bundle of a waiver.
        UsageError: two of them are of different waivers.
    """
    if not files:
        return None
    from attest.ops.waiver import present

    contents = [(file, read_file(file, limit=limits.BUNDLE)) for file in files]
    return present(contents, environment=environment)
