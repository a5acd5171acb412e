"""The context that `attest sign` signs: its options, where each value came from, and how it is shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from attest.adapters.context import Detected, Flags, ForeignCode, detect
from attest.cli.terminal import escape
from attest.core import limits
from attest.core.statement import Context, format_time, parse_time
from attest.errors import UsageError
from attest.ports import Clock

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = ("repository", "commit", "ref", "run_id", "run_attempt", "job", "run_url")

_FOREIGN = click.option(
    "--allow-pull-request-target",
    is_flag=True,
    help="Sign in a pull_request_target job, which runs a stranger's code.",
)
_SOURCE_AND_RUN = (
    click.option("--run-url", metavar="URL", help="Where people can look at the run."),
    click.option("--job", metavar="NAME", help="The job within the run."),
    click.option("--run-attempt", metavar="N", help="Which attempt of the job it is."),
    click.option("--run-id", metavar="ID", help="The CI run; a higher number is a later run."),
    click.option("--source-ref", metavar="REF", help="Its full ref, as refs/heads/main."),
    click.option("--source-commit", metavar="SHA", help="The full commit that the lane looked at."),
    click.option("--source-repository", metavar="URL", help="The repository that the source is from."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The context to sign, and what it was found out from."""

    context: Context
    detected: Detected

    @property
    def commit_place(self) -> str:
        """The flag, the variable or the git command that named the commit."""
        return "" if self.detected.commit is None else self.detected.commit.place

    def lines(self) -> Iterator[str]:
        """What was used and where it came from, for people."""
        for name in _SHOWN:
            found = getattr(self.detected, name)
            if found is not None:
                yield f"  {name.replace('_', ' '):<11} {escape(str(found.value))}  ({escape(found.place)})"
        if self.context.started is not None:
            yield f"  started     {format_time(self.context.started)}"
        if self.context.finished is not None:
            yield f"  finished    {format_time(self.context.finished)}"
        if self.context.dirty:
            yield f"  {click.style('dirty', fg='yellow')}       tracked files differ from the commit"
        for warning in self.detected.warnings:
            yield f"  {click.style('warning', fg='yellow')}     {escape(warning)}"


def claims_options(function: F) -> F:
    """The options that name source, run and times."""
    for option in (
        _FOREIGN,
        click.option("--finished", metavar="TIME", help="When the lane ended, as 2026-01-31T12:00:00Z; else now."),
        click.option("--started", metavar="TIME", help="When the lane began."),
        *_SOURCE_AND_RUN,
    ):
        function = option(function)
    return function


def source_options(function: F) -> F:
    """The options that name source and run, for a command that knows the times itself."""
    for option in (_FOREIGN, *_SOURCE_AND_RUN):
        function = option(function)
    return function


def collect_claims(lane: str, options: dict[str, Any], *, clock: Clock) -> Claims:
    """The context from the options, else from the CI's variables, else from git.

    Raises:
        UsageError: repository or commit are not known, a value is malformed, or the times contradict each other.
    """
    foreign = ForeignCode.ALLOW if options.pop("allow_pull_request_target") else ForeignCode.REFUSE
    started, finished = (
        _time("--started", options.pop("started", None)),
        _time("--finished", options.pop("finished", None)),
    )
    now = clock.now()
    if finished is not None and finished > now + timedelta(seconds=limits.CLOCK_SKEW):
        raise UsageError("--finished lies in the future", hint="leave it out to sign the moment of signing")
    if started is not None and started > (finished or now):
        raise UsageError("--started is later than the lane's end")
    detected = detect(os.environ, str(Path.cwd()), flags=Flags(**options), foreign_code=foreign)
    return Claims(context=detected.context(lane=lane, started=started, finished=finished or now), detected=detected)


def _time(flag: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error
