"""`attest status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from attest.adapters.clock import SystemClock
from attest.cli.environments import load_environment
from attest.cli.options import format_option
from attest.cli.terminal import escape, json_text
from attest.core.statement import format_time
from attest.errors import EXIT_PASSED, EXIT_REFUSED, EXIT_UNDECIDED, AttestError

if TYPE_CHECKING:
    from attest.core.delivery.history import Delivery, EnvironmentHistory
    from attest.core.delivery.verdicts import RecordedVerdict
    from attest.core.delivery.view import ServiceStatus, Status


@click.command(
    "status",
    epilog="""\b
Examples:
  attest status staging.yaml
  attest status staging.yaml --evidence
  attest status staging.yaml --recorded --format json
""",
)
@click.argument("environment", type=click.Path())
@click.option("--evidence", is_flag=True, help="Show what the last verdict rests on, lane by lane.")
@click.option("--recorded", is_flag=True, help="Say what the ledger says, without a look at what runs.")
@format_option
def command(environment: str, evidence: bool, recorded: bool, output: str) -> int:
    """Say of each service of ENVIRONMENT, a file, what should run, what was applied, what runs, what was good last.

    Nothing is changed, and nothing recorded.

    Exit codes: 0 everything runs as it should; 1 it does not, or a delivery is unfinished or ended badly; 2 a wrong
    command line or document; 3 nobody can tell.
    """
    from attest.cli.ledgers import opened
    from attest.cli.sites import open_target
    from attest.core.delivery.view import status, status_document
    from attest.ops.delivery.site import read_history

    found = load_environment(environment)
    with opened(found.ledger.url.url) as ledger:
        history, _ = read_history(ledger)
    observed, trouble = None, None
    if not recorded:
        try:
            observed = open_target(found)[0].observe()
        except AttestError as error:
            trouble = error.message
    shown = status(found, history.of(found.name), observed, now=SystemClock().now(), trouble=trouble)
    if output == "json":
        click.echo(json_text(status_document(shown, evidence=evidence)))
    else:
        for line in _lines(shown, evidence=evidence):
            click.echo(line)
    if trouble is not None:
        return EXIT_UNDECIDED
    if recorded:
        current = shown.history.current
        settled = current is not None and current.healthy and shown.history.unfinished is None
        return EXIT_PASSED if settled else EXIT_REFUSED
    return EXIT_PASSED if shown.is_settled else EXIT_REFUSED


def _lines(shown: Status, *, evidence: bool) -> Iterator[str]:
    from attest.cli.deliveries import line_of

    history = shown.history
    yield click.style(shown.environment, bold=True)
    if history.current is None:
        yield "  nothing was ever deployed"
    else:
        yield from _current(history, history.current)
    if history.unfinished is not None and history.unfinished != history.current:
        yield f"  {line_of(history.unfinished)}"
    if history.unfinished is not None:
        yield "  it is unfinished: somebody is at work, or was interrupted; the next command that deploys settles it"
    if history.hold is not None:
        yield f"  {_red('held')} since {format_time(history.hold.since)}: {escape(history.hold.message)}"
    if shown.frozen is not None:
        yield f"  {_red('frozen')}: {escape(shown.frozen)}"
    for bad in history.bad.values():
        yield f"  {_red('bad')} since delivery {bad.deployment}: {escape(bad.message)}"
    if shown.trouble is not None:
        yield f"  {_red('not observed')}: {escape(shown.trouble)}"
    for one in shown.services:
        yield from _service(one)
    if evidence and history.current is not None and history.current.verdict is not None:
        yield from _evidence(history.current.verdict)


def _current(history: EnvironmentHistory, current: Delivery) -> Iterator[str]:
    from attest.cli.deliveries import line_of, waived

    yield f"  {line_of(current)}"
    if current.verdict is not None and current.verdict.waiver is not None:
        yield f"  {waived(current.verdict.waiver)}"
        yield "  it has not passed: deploy a release that does; nothing goes back to this one"
    if history.undone is not None:
        yield f"  {line_of(history.undone)}"
    if history.undecided_rollback is not None:
        yield "  nobody can tell whether that is undone: `attest rollback` brings the same release again"


def _service(one: ServiceStatus) -> Iterator[str]:
    match = "" if one.match is None else f"  {click.style(str(one.match), fg='red' if one.drifted else 'green')}"
    yield f"{one.name}{match}"
    for what, image in (("desired", one.desired), ("applied", one.applied), ("good last", one.verified_good)):
        yield f"  {what:<9}  {'nothing' if image is None else image}"
    if one.observed is not None:
        yield f"  {'observed':<9}  {one.observed.state}  {', '.join(sorted(one.observed.digests)) or 'no digest'}"
        for instance in one.observed.instances:
            detail = f"  {escape(instance.detail)}" if instance.detail else ""
            yield f"  {'':<9}  {escape(instance.name)}  {instance.state}{detail}"


def _evidence(verdict: RecordedVerdict) -> Iterator[str]:
    policy = verdict.policy
    yield (
        f"verdict {verdict.decision} of {format_time(verdict.time)}; "
        f"policy {escape(policy.name)}, serial {policy.serial}, {policy.digest}"
    )
    for image in verdict.images:
        yield f"  {image.image}"
        for lane in image.lanes:
            yield f"    {lane.state}  {escape(lane.lane)}"
            for one in lane.evidence:
                when = "without a time" if one.time is None else format_time(one.time)
                yield f"      {one.digest}  {escape(', '.join(one.signers))}, {when}"


def _red(text: str) -> str:
    return click.style(text, fg="red", bold=True)
