"""What became of a delivery, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from attest.cli.terminal import escape, json_text
from attest.cli.verdict import lines as verdict_lines
from attest.core.delivery.history import Delivery
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import PassedOver, PassedOverRest
from attest.core.delivery.verdicts import RecordedWaiver
from attest.core.delivery.view import delivery_document, rest_in_words
from attest.core.policy import Policy
from attest.core.statement import format_time
from attest.core.verdict import Refused
from attest.core.waiver import Waived
from attest.errors import EXIT_PASSED, EXIT_REFUSED, EXIT_UNDECIDED
from attest.ops.delivery.deploy import Done

SCHEMA = "attest.delivery/v1"

_COLOURS = {Phase.SUCCEEDED: "green", Phase.SUPERSEDED: "green", Phase.PLANNED: "cyan", Phase.VERIFIED: "cyan"}
_BUSY = frozenset({Phase.APPLYING, Phase.PROBING, Phase.ROLLING_BACK})


def finish(done: Done, policy: Policy, *, environment: str, output: str) -> int:
    """Print what was done, and return the exit code."""
    if output == "json":
        click.echo(json_text(document(done, environment=environment)))
    else:
        for line in _lines(done, policy):
            click.echo(line)
    return exit_code(done)


def exit_code(done: Done) -> int:
    """0 where what was asked for runs, 1 where it does not, 3 where nobody can tell."""
    asked = done.delivery
    if asked is None:
        return EXIT_REFUSED
    if asked.phase is Phase.SUCCEEDED:
        return EXIT_PASSED
    last = asked if done.rollback is None else done.rollback
    return EXIT_UNDECIDED if last.phase is Phase.ERROR else EXIT_REFUSED


def document(done: Done, *, environment: str) -> dict[str, Any]:
    """What was done, as JSON values; the schema is `attest/schemas/delivery.v1.json`."""
    verdict = None if done.delivery is None or done.delivery.verdict is None else done.delivery.verdict
    return {
        "schema": SCHEMA,
        "environment": environment,
        "delivery": None if done.delivery is None else delivery_document(done.delivery),
        "settled": list(map(delivery_document, done.settled)),
        "rollback": None if done.rollback is None else delivery_document(done.rollback),
        "hold": None
        if done.hold is None
        else {
            "since": format_time(done.hold.since),
            "deployment": done.hold.deployment,
            "message": done.hold.message,
        },
        "verdict": None if verdict is None else verdict.model_dump(mode="json"),
    }


def _lines(done: Done, policy: Policy) -> Iterator[str]:
    for one in done.settled:
        yield f"interrupted  {line_of(one)}"
    if isinstance(done.verdict, Refused | Waived):
        yield from verdict_lines(done.verdict, policy)
    if done.delivery is None:
        message = "" if done.hold is None else f"  {escape(done.hold.message)}"
        yield f"{click.style('held', fg='red', bold=True)}{message}"
    else:
        yield from block(done.delivery)
    if done.obstacle is not None:
        yield f"  {click.style('next', fg='cyan')}: {escape(done.obstacle.hint)}"
    if done.rollback is not None:
        yield from block(done.rollback)
    if done.hold is not None and done.delivery is not None:
        yield f"automatic deployments are held: {escape(done.hold.message)}; `attest release-hold` ends that"


def block(one: Delivery) -> Iterator[str]:
    """A delivery with its images."""
    yield line_of(one)
    wide = max(map(len, one.release.services))
    for name, image in one.release.services.items():
        yield f"  {name:<{wide}}  {image}"
    waiver = None if one.verdict is None else one.verdict.waiver
    if waiver is not None:
        yield f"  {waived(waiver)}"
    yield from passed_over(one.planned.passed_over, one.planned.passed_over_rest)


def passed_over(listed: Iterable[PassedOver], rest: PassedOverRest | None) -> Iterator[str]:
    """The releases that a rollback did not take."""
    for over in listed:
        yield f"  passed over delivery {over.deployment}  {escape(over.message)}  [{over.reason}]"
    if rest is not None:
        yield f"  passed over {escape(rest_in_words(rest))}; `attest history` tells what became of each"


def line_of(one: Delivery) -> str:
    """A delivery in one line."""
    what = str(one.kind)
    if one.planned.reverts is not None:
        what = f"{one.kind} of delivery {one.planned.reverts}"
    elif one.undoes is not None:
        what = f"{one.kind}, to undo delivery {one.undoes}"
    cause = "" if one.cause is None else f"  [{one.cause}]"
    message = f"  {escape(one.message)}" if one.message and one.phase is not Phase.PROBING else ""
    return f"{state(one.phase)}  delivery {one.number} ({what}){message}{cause}"


def waived(waiver: RecordedWaiver) -> str:
    """That something goes by a waiver, in one line."""
    word = click.style("WAIVED", fg="red", bold=True)
    lanes, who = escape(", ".join(waiver.lanes)), escape(", ".join(waiver.signers))
    return f"{word}  {lanes} by {who}  {escape(waiver.ticket)}: {escape(waiver.reason)}  {waiver.digest}"


def state(phase: Phase) -> str:
    """The state of a delivery, in its colour."""
    colour = _COLOURS.get(phase, "yellow" if phase in _BUSY else "red")
    return click.style(str(phase), fg=colour, bold=colour == "red")
