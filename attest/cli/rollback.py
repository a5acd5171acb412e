"""`attest rollback`."""

from __future__ import annotations

import click

from attest.cli.options import delivery_options, format_option
from attest.cli.sites import Who, reason_of, site, who_options
from attest.cli.stores import Connection


@click.command(
    "rollback",
    epilog="""\b
Examples:
  attest rollback staging.yaml --reason "the login is broken"
  attest rollback staging.yaml --to 12 --reason "the last one without the new search"
  attest rollback staging.yaml --format json
""",
)
@click.argument("environment", type=click.Path())
@click.option("--to", metavar="NUMBER", type=click.IntRange(min=1), help="Go to the release of this delivery, or stay.")
@click.option("--reason", metavar="TEXT", help="Why, for the ledger.")
@who_options
@format_option
@delivery_options
def command(
    environment: str,
    to: int | None,
    reason: str | None,
    actor: str | None,
    wait: float,
    password_file: str | None,
    output: str,
    store_timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Undo what changed ENVIRONMENT, a file, last: back to the newest release that is good today.

    Taken is the newest whole release that was probed healthy there, is not marked as bad, has all its images, and
    passes today's policy; newer ones are passed over, and it is said why. What is undone is marked as bad, and
    automatic deployments are held until `attest release-hold`. Where there is nothing to go back to, nothing is
    touched. A rollback of which nobody could tell what it came to is brought again, and goes no further back.

    Exit codes: 0 it runs, confirmed by digest and healthy; 1 there is nothing to go back to, or it failed; 2 a wrong
    command line or document; 3 it could not be decided.
    """
    connection = Connection(timeout=store_timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    why = reason_of(reason)
    with site(environment, connection, Who(actor=actor, wait=wait, password_file=password_file)) as place:
        from attest.cli.deliveries import finish
        from attest.ops.delivery.deploy import rollback

        done = rollback(place, reason=why, to=to)
        return finish(done, place.policy, environment=place.environment.name, output=output)
