"""`attest freeze` and `attest unfreeze`."""

from __future__ import annotations

from typing import Any

import click

from attest.cli.options import delivery_options, format_option
from attest.cli.sites import Who, desk, reason_of, who_options
from attest.cli.stores import Connection
from attest.cli.terminal import escape, json_text
from attest.core.statement import format_time, parse_time
from attest.errors import EXIT_PASSED, UsageError


@click.command(
    "freeze",
    epilog="""\b
Examples:
  attest freeze production.yaml --reason "holidays" --until 2027-01-02T08:00:00Z
  attest freeze production.yaml --reason "an incident is looked into"
""",
)
@click.argument("environment", type=click.Path())
@click.option("--reason", metavar="TEXT", required=True, help="Why, for everybody who wants to deploy.")
@click.option("--until", metavar="TIME", help="When it ends by itself, as 2026-01-31T12:00:00Z.")
@who_options
@format_option
@delivery_options
def command(
    environment: str,
    reason: str,
    until: str | None,
    actor: str | None,
    wait: float,
    password_file: str | None,
    output: str,
    store_timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Let nothing be deployed to ENVIRONMENT, a file, from now on. Rollbacks are exempt.

    It ends at --until, or with `attest unfreeze`. A second freeze takes the first one's place.
    """
    from attest.ops.delivery.stops import freeze

    why = reason_of(reason)
    end = None
    if until is not None:
        try:
            end = parse_time(until)
        except ValueError as error:
            raise UsageError(f"--until: {error}") from error
    connection = Connection(timeout=store_timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    with desk(environment, connection, Who(actor=actor, wait=wait, password_file=password_file)) as place:
        freeze(place, reason=why or "", until=end)
        when = None if end is None else format_time(end)
        document = {"schema": "attest.freeze/v1", "environment": place.environment, "frozen": True, "until": when}
        text = f"{place.environment} is frozen{'' if when is None else f' until {when}'}: {reason}"
        return _say(document, text, output)


@click.command(
    "unfreeze",
    epilog="""\b
Examples:
  attest unfreeze production.yaml --reason "the incident is over"
""",
)
@click.argument("environment", type=click.Path())
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the ledger.")
@who_options
@format_option
@delivery_options
def unfreeze_command(
    environment: str,
    reason: str,
    actor: str | None,
    wait: float,
    password_file: str | None,
    output: str,
    store_timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """End what `attest freeze` began for ENVIRONMENT, a file. Windows of the document itself stay."""
    from attest.ops.delivery.stops import unfreeze

    why = reason_of(reason)
    connection = Connection(timeout=store_timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    with desk(environment, connection, Who(actor=actor, wait=wait, password_file=password_file)) as place:
        unfreeze(place, reason=why or "")
        document = {"schema": "attest.freeze/v1", "environment": place.environment, "frozen": False, "until": None}
        return _say(document, f"{place.environment} is no longer frozen: {reason}", output)


def _say(document: dict[str, Any], text: str, output: str) -> int:
    click.echo(json_text(document) if output == "json" else escape(text))
    return EXIT_PASSED
