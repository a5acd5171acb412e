"""`attest history`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from attest.cli.environments import load_environment
from attest.cli.options import format_option
from attest.cli.terminal import escape, json_text
from attest.core.statement import format_time
from attest.errors import EXIT_PASSED

if TYPE_CHECKING:
    from attest.core.delivery.view import Entry


@click.command(
    "history",
    epilog="""\b
Examples:
  attest history staging.yaml
  attest history staging.yaml --format json
""",
)
@click.argument("environment", type=click.Path())
@format_option
def command(environment: str, output: str) -> int:
    """Tell everything that the ledger knows of ENVIRONMENT, a file: the newest last.

    Each delivery with its state, who wanted it and why, its images, and what a rollback passed over.
    """
    from attest.cli.ledgers import opened
    from attest.core.delivery.view import entries, history_document
    from attest.ops.delivery.site import read_history

    found = load_environment(environment)
    with opened(found.ledger.url.url) as ledger:
        history = read_history(ledger)
    if output == "json":
        click.echo(json_text(history_document(history, found.name)))
        return EXIT_PASSED
    for entry in entries(history, found.name):
        for line in _lines(entry):
            click.echo(line)
    return EXIT_PASSED


def _lines(entry: Entry) -> Iterator[str]:
    from attest.cli.deliveries import block
    from attest.core.delivery.history import Delivery

    if not isinstance(entry, Delivery):
        yield f"{format_time(entry.time)}  {escape(entry.actor)}"
        yield f"  {entry.what}: {escape(entry.message)}"
        return
    planned = entry.planned
    reason = "" if planned.reason is None else f": {escape(planned.reason)}"
    yield f"{format_time(entry.since)}  {escape(entry.actor)}, {planned.trigger}{reason}"
    for line in block(entry):
        yield f"  {line}"
