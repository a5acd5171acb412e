"""`attest policy check` and `attest policy schema`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from attest.adapters.clock import SystemClock
from attest.cli.options import format_option
from attest.cli.schemas import add_schema
from attest.cli.terminal import escape, json_text
from attest.core.policy import Policy
from attest.core.statement import format_time
from attest.errors import EXIT_PASSED

if TYPE_CHECKING:
    from attest.core.explain import Section


@click.group("policy")
def command() -> None:
    """Check and explain policies."""


@command.command(
    "check",
    epilog="""\b
Examples:
  attest policy check policies/staging.yaml
  attest policy check policies/staging.yaml --format json
""",
)
@click.argument("file", type=click.Path())
@format_option
def check(file: str, output: str) -> int:
    """Load the policy in FILE with the keys that it names, and say in plain sentences what it demands.

    Exit code 0 means that it is valid, 2 that it is not; the error names file, line, column and what would be right.
    """
    from attest.cli.policies import load_policy
    from attest.core import explain

    policy = load_policy(file)
    if output == "json":
        click.echo(json_text(explain.document(policy)))
        return EXIT_PASSED
    for line in _lines(file, policy, explain.explain(policy)):
        click.echo(line)
    return EXIT_PASSED


def _schema() -> Any:
    from attest.core.policymodel import schema

    return schema()


add_schema(command, "policy", of="a policy", schema=_schema)


def _lines(file: str, policy: Policy, sections: Iterable[Section]) -> Iterator[str]:
    yield f"{escape(file)} is a valid policy."
    yield ""
    yield f"name     {policy.name}"
    yield f"serial   {policy.serial}"
    yield f"digest   {policy.digest}"
    if policy.expires is None:
        yield "expires  never"
    else:
        passed = policy.expires <= SystemClock().now()
        yield f"expires  {format_time(policy.expires)}{' (passed: it refuses everything)' if passed else ''}"
    for section in sections:
        yield ""
        yield click.style(section.title, bold=True)
        for sentence in section.sentences:
            for number, line in enumerate(sentence.split("\n")):
                yield f"  {'  ' if number else ''}{escape(line)}"
