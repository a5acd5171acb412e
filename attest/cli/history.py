"""`attest history`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from attest import __version__
from attest.adapters.clock import SystemClock
from attest.cli.environments import load_environment
from attest.cli.terminal import escape, json_text
from attest.core.statement import format_time
from attest.errors import EXIT_PASSED

if TYPE_CHECKING:
    from attest.core.delivery.dora import Dora
    from attest.core.delivery.view import Entry


@click.command(
    "history",
    epilog="""\b
Examples:
  attest history staging.yaml
  attest history staging.yaml --format json
  attest history staging.yaml --format html > staging.html
""",
)
@click.argument("environment", type=click.Path())
@click.option(
    "--days",
    metavar="DAYS",
    type=click.IntRange(min=1, max=3650),
    default=30,
    show_default=True,
    help="Count DORA's figures over so many days.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="For people, for scripts, or as one page.",
)
def command(environment: str, days: int, output: str) -> int:
    """Tell everything that the ledger knows of ENVIRONMENT, a file: the newest last, and DORA's figures.

    Each delivery with its state, who wanted it and why, its images, and what a rollback passed over. The page shows who
    vouched for what as well, and draws all of it on a time line; it loads nothing and runs nothing.
    """
    from attest.cli.ledgers import opened
    from attest.core.delivery.dora import document, figures
    from attest.core.delivery.page import page
    from attest.core.delivery.timeline import timeline
    from attest.core.delivery.view import entries, history_document
    from attest.core.ledger.chain import head_of
    from attest.ops.delivery.site import read_history

    found, now, window = load_environment(environment), SystemClock().now(), timedelta(days=days)
    with opened(found.ledger.url.url) as ledger:
        history, records = read_history(ledger)
    if output == "html":
        from attest.adapters.page import render

        head = head_of(records[-1]) if records else None
        shown = page(history, found.name, head=head, now=now, window=window)
        click.echo(render(shown, clean=escape, version=__version__).decode("utf-8"), nl=False)
        return EXIT_PASSED
    counted = figures(timeline(history, found.name), now=now, window=window)
    if output == "json":
        click.echo(json_text({**history_document(history, found.name), "figures": document(counted)}))
        return EXIT_PASSED
    for entry in entries(history, found.name):
        for line in _lines(entry):
            click.echo(line)
    for line in _figures(counted):
        click.echo(line)
    return EXIT_PASSED


def _figures(found: Dora) -> Iterator[str]:
    yield click.style(f"since {format_time(found.since)}", bold=True)
    yield f"  deployment frequency  {found.frequency:.2f} a day ({found.deployments} succeeded)"
    yield f"  change lead time      {_span(found.lead_time, 'no change')}, median"
    rate = "none ended" if found.failure_rate is None else f"{found.failure_rate:.0%}"
    yield f"  change failure rate   {rate} ({found.failures} of {found.ended})"
    yield f"  recovery              {_span(found.recovery_time, 'no failure')}, median of {found.recoveries}"


def _span(value: timedelta | None, nothing: str) -> str:
    from attest.core.delivery.page import span

    return nothing if value is None else span(value)


def _lines(entry: Entry) -> Iterator[str]:
    from attest.cli.deliveries import block, passed_over
    from attest.core.delivery.history import Delivery

    if not isinstance(entry, Delivery):
        yield f"{format_time(entry.time)}  {escape(entry.actor)}"
        yield f"  {entry.what}: {escape(entry.message)}"
        for line in passed_over(entry.passed_over, entry.passed_over_rest):
            yield f"  {line}"
        return
    planned = entry.planned
    reason = "" if planned.reason is None else f": {escape(planned.reason)}"
    yield f"{format_time(entry.since)}  {escape(entry.actor)}, {planned.trigger}{reason}"
    for line in block(entry):
        yield f"  {line}"
