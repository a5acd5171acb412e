"""`attest reconcile`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from attest.cli.options import delivery_options, format_option
from attest.cli.sites import Who, site, who_options
from attest.cli.stores import Connection
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED, EXIT_REFUSED

if TYPE_CHECKING:
    from attest.ops.delivery.reconcile import Reconciled
    from attest.ops.delivery.site import Site


@click.command(
    "reconcile",
    epilog="""\b
Examples:
  attest reconcile staging.yaml
  attest reconcile staging.yaml --check
  attest reconcile staging.yaml --automatic --format json
""",
)
@click.argument("environment", type=click.Path())
@click.option("--check", is_flag=True, help="Only say so: nothing is changed, recorded, or waited for.")
@click.option("--automatic", is_flag=True, help="A timer wants it, and the ledger shall say so.")
@who_options
@format_option
@delivery_options
def command(
    environment: str,
    check: bool,
    automatic: bool,
    actor: str | None,
    wait: float,
    password_file: str | None,
    output: str,
    store_timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Finish what was interrupted in ENVIRONMENT, a file, and have run again what should, where something else does.

    What should run passes today's policy first, or nothing is touched. What ended as an error is brought again too,
    unless --automatic. `attest status` only looks.

    Exit codes: 0 everything runs as it should, now or again; 1 it does not; 2 a wrong command line or document; 3 it
    could not be decided.
    """
    connection = Connection(timeout=store_timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    with site(environment, connection, Who(actor=actor, wait=wait, password_file=password_file)) as place:
        from attest.core.delivery.records import Trigger
        from attest.ops.delivery.reconcile import compare, reconcile

        trigger = Trigger.AUTOMATIC if automatic else Trigger.EXPLICIT
        found = compare(place) if check else reconcile(place, trigger=trigger)
        return _finish(found, place, check=check, output=output)


def _finish(found: Reconciled, place: Site, *, check: bool, output: str) -> int:
    """Print what was found and done, and return the exit code."""
    from attest.cli.deliveries import exit_code, finish

    environment = place.environment.name
    if output == "json":
        click.echo(json_text(_document(found, environment=environment)))
    else:
        for line in _lines(found):
            click.echo(line)
        if found.repair is not None:
            finish(found.repair, place.policy, environment=environment, output=output)
    if found.repair is not None:
        return exit_code(found.repair)
    return EXIT_REFUSED if found.drift or (check and found.unfinished is not None) else EXIT_PASSED


def _document(found: Reconciled, *, environment: str) -> dict[str, Any]:
    from attest.cli.deliveries import document
    from attest.core.delivery.view import delivery_document
    from attest.core.environment.targets import describe

    return {
        "schema": "attest.reconcile/v1",
        "environment": environment,
        "current": delivery_document(found.current),
        "drift": list(found.drift),
        "services": {
            name: {"match": str(match), "observed": describe(found.observed[name]) if name in found.observed else None}
            for name, match in found.found.items()
        },
        "unfinished": None if found.unfinished is None else delivery_document(found.unfinished),
        "settled": list(map(delivery_document, found.settled)),
        "repair": None if found.repair is None else document(found.repair, environment=environment),
    }


def _lines(found: Reconciled) -> Iterator[str]:
    from attest.cli.deliveries import line_of

    for one in found.settled:
        yield f"interrupted  {line_of(one)}"
    if found.unfinished is not None:
        yield f"unfinished  {line_of(found.unfinished)}"
    wide = max(map(len, found.found), default=0)
    for name, match in found.found.items():
        good = name not in found.drift
        yield f"  {click.style(str(match), fg='green' if good else 'red')}  {name:<{wide}}"
    what = f"drift: {escape(', '.join(found.drift))}" if found.drift else "everything runs as it should"
    yield f"{what}; current is delivery {found.current.number}"
