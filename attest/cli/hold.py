"""`attest release-hold`."""

from __future__ import annotations

import click

from attest.cli.options import delivery_options, format_option
from attest.cli.sites import Who, desk, reason_of, who_options
from attest.cli.stores import Connection
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED


@click.command(
    "release-hold",
    epilog="""\b
Examples:
  attest release-hold staging.yaml --reason "the fix is on its way"
  attest release-hold staging.yaml --release 14 --reason "it was the database, not the release"
""",
)
@click.argument("environment", type=click.Path())
@click.option(
    "--release",
    "releases",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    multiple=True,
    help="Lift the mark on the release of this delivery instead, so that it may be deployed again; repeatable.",
)
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the ledger.")
@who_options
@format_option
@delivery_options
def command(
    environment: str,
    releases: tuple[int, ...],
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
    """Let automatic deployments to ENVIRONMENT, a file, go on after a rollback, or lift the mark on bad releases.

    Whoever may write to the ledger may do this; the ledger says who did, and why.
    """
    from attest.ops.delivery.stops import release_hold

    why = reason_of(reason)
    connection = Connection(timeout=store_timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    with desk(environment, connection, Who(actor=actor, wait=wait, password_file=password_file)) as place:
        lifted = release_hold(place, reason=why or "", releases=releases)
        if output == "json":
            document = {
                "schema": "attest.release-hold/v1",
                "environment": place.environment,
                "hold": lifted.hold is not None,
                "releases": [{"deployment": one.deployment, "release": one.key} for one in lifted.releases],
            }
            click.echo(json_text(document))
        else:
            if lifted.hold is not None:
                click.echo(f"automatic deployments to {escape(place.environment)} may go on")
            for one in lifted.releases:
                click.echo(f"the release of delivery {one.deployment} may be deployed again")
    return EXIT_PASSED
