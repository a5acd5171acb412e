"""`attest metrics`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from attest import __version__
from attest.adapters.clock import SystemClock
from attest.cli.environments import load_environment
from attest.cli.streams import complain
from attest.cli.terminal import escape
from attest.errors import EXIT_PASSED, EXIT_UNDECIDED, AttestError, LedgerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attest.adapters.prometheus import ListenAddress
    from attest.core.delivery.metrics import Family
    from attest.core.environment.definition import Environment
    from attest.core.environment.targets import Observed


@click.command(
    "metrics",
    epilog="""\b
Examples:
  attest metrics staging.yaml
  attest metrics staging.yaml --textfile /var/lib/node_exporter/attest-staging.prom
  attest metrics staging.yaml --listen 127.0.0.1:9464
""",
)
@click.argument("environment", type=click.Path())
@click.option("--textfile", metavar="FILE", type=click.Path(), help="Write them to FILE, whole or not at all.")
@click.option("--listen", metavar="ADDRESS", help="Serve them at http://ADDRESS/metrics until interrupted.")
@click.option("--recorded", is_flag=True, help="Say what the ledger says, without a look at what runs.")
def command(environment: str, textfile: str | None, listen: str | None, recorded: bool) -> int:
    """Print metrics of ENVIRONMENT, a file, for Prometheus.

    They are counted from the ledger each time; what runs is looked at, too. docs/observability.md names them all.

    Exit codes: 0 printed or written; 2 a wrong command line or document; 3 the ledger cannot be believed or it could
    not be seen what runs, which the metrics say as well.
    """
    from attest.adapters import prometheus

    if textfile is not None and listen is not None:
        raise UsageError("--textfile and --listen exclude each other", hint="start attest twice")
    address = None if listen is None else prometheus.parse_listen(listen)
    place = load_environment(environment)
    if address is not None:
        return _serve(place, address, recorded=recorded)
    families, code = _collect(place, recorded=recorded)
    text = prometheus.text(families)
    if textfile is None:
        click.echo(text.decode("utf-8"), nl=False)
    else:
        from attest.adapters.files import write_file

        write_file(textfile, text)
    return code


def _serve(place: Environment, address: ListenAddress, *, recorded: bool) -> int:
    from attest.adapters import prometheus

    with prometheus.serving(address, lambda: _collect(place, recorded=recorded)[0]) as found:
        complain(f"{place.name}: metrics at http://{found}/metrics")
        threading.Event().wait()
    return EXIT_PASSED


def _collect(place: Environment, *, recorded: bool) -> tuple[tuple[Family, ...], int]:
    """The metrics, and the exit code that goes with them; what is wrong is told on standard error."""
    from attest.cli.ledgers import opened
    from attest.core.delivery.metrics import metrics, unbelieved
    from attest.core.delivery.view import status
    from attest.ops.delivery.site import read_history

    try:
        with opened(place.ledger.url.url) as ledger:
            history, _ = read_history(ledger)
    except LedgerError as error:
        _tell(place, error)
        return unbelieved(place.name, version=__version__), EXIT_UNDECIDED
    seen, trouble = (None, None) if recorded else _look(place)
    shown = status(place, history.of(place.name), seen, now=SystemClock().now(), trouble=trouble)
    observed = None if recorded else seen is not None
    found = metrics(place, history, shown, observed=observed, version=__version__)
    return found, EXIT_PASSED if trouble is None else EXIT_UNDECIDED


def _look(place: Environment) -> tuple[Mapping[str, Observed] | None, str | None]:
    from attest.cli.sites import open_target

    try:
        return open_target(place)[0].observe(), None
    except AttestError as error:
        _tell(place, error)
        return None, error.message


def _tell(place: Environment, error: AttestError) -> None:
    complain(f"{place.name}: {escape(error.message)}")
