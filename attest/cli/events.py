"""`attest events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from attest.cli.environments import load_environment
from attest.cli.options import DEFAULT_TIMEOUT, Seconds, format_option
from attest.cli.streams import complain
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED, UsageError

if TYPE_CHECKING:
    from attest.adapters.cloudevents import EventEndpoint, EventFile

SCHEMA = "attest.events/v1"


@click.command(
    "events",
    epilog="""\b
Examples:
  attest events staging.yaml --to events.jsonl
  attest events staging.yaml --to https://events.example.org/attest --token-file token
  attest events staging.yaml --to events.jsonl --source https://git.example.org/plex/environments/staging
""",
)
@click.argument("environment", type=click.Path())
@click.option("--to", "destination", metavar="FILE|URL", required=True, help="A file that grows, or an HTTP endpoint.")
@click.option(
    "--cursor",
    metavar="FILE",
    type=click.Path(),
    help="Remember here how far was told.  [default: FILE.cursor; of a URL, ENVIRONMENT.cursor]",
)
@click.option("--source", metavar="URI", help="Name the producer so.  [default: /attest/environments/NAME]")
@click.option("--token-file", metavar="FILE", type=click.Path(), help="Send the bearer token in this file to the URL.")
@click.option(
    "--ca-file",
    metavar="FILE",
    type=click.Path(),
    help="Trust the certificate authorities in this PEM file instead of the system's.",
)
@click.option("--plain-http", is_flag=True, help="Speak http to an endpoint that is not on this machine.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(zero=False),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="Give up, with the rest untold, after this long.",
)
@format_option
def command(
    environment: str, destination: str, cursor: str | None, source: str | None, output: str, **http: Any
) -> int:
    """Tell what happened in ENVIRONMENT, a file, as CDEvents: what was not told there before.

    Each event is a CloudEvent in JSON: a line of FILE, or a request to URL. Run it after each command that deploys, or
    by a timer; whatever is told twice after a crash has the same id.

    Exit codes: 0 everything is told; 2 a wrong command line or document; 3 the ledger cannot be believed, or the
    endpoint did not take an event.
    """
    from attest.adapters.cloudevents import Cursor
    from attest.cli.ledgers import opened
    from attest.core.delivery.events import default_source, events
    from attest.ops.delivery.site import read_history
    from attest.ops.delivery.tell import tell

    place = load_environment(environment)
    name = source_of(source) or default_source(place.name)
    sink = _sink(destination, **http)
    file = cursor or f"{environment if _is_url(destination) else destination}.cursor"
    with opened(place.ledger.url.url) as ledger:
        history, records = read_history(ledger)
    found = events(history, place.name, source=name)
    told = tell(records, found, cursor=Cursor(path=file, destination=destination, source=name), sink=sink)
    if output == "json":
        document = {"schema": SCHEMA, "environment": place.name, "to": destination}
        click.echo(json_text(document | {"told": told.new, "before": told.before}))
    else:
        complain(f"{place.name}: {told.new} events told to {escape(destination)}, {told.before} before")
    return EXIT_PASSED


def source_of(text: str | None) -> str | None:
    """What names the producer.

    Raises:
        UsageError: it is no URI reference.
    """
    if text is not None and (not text.isascii() or not text.isprintable() or any(one in ' "<>\\^`{|}' for one in text)):
        raise UsageError(
            f"--source {text!r} is no URI reference", hint="write a URL or a path that names this producer"
        )
    return text or None


def _is_url(destination: str) -> bool:
    return "://" in destination


def _sink(
    destination: str, *, token_file: str | None, ca_file: str | None, plain_http: bool, timeout: float
) -> EventFile | EventEndpoint:
    from attest.adapters.cloudevents import Endpoint, EventEndpoint, EventFile, check_endpoint, read_token
    from attest.adapters.deadline import Deadline

    if not _is_url(destination):
        if token_file is not None or ca_file is not None:
            raise UsageError("--token-file and --ca-file are for a URL", hint=f"{destination} is a file")
        return EventFile(destination)
    check_endpoint(destination, plain_http=plain_http)
    token = None if token_file is None else read_token(token_file)
    return EventEndpoint(Endpoint(url=destination, ca_file=ca_file, token=token), Deadline(timeout))
