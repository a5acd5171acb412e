"""`attest environment check` and `attest environment schema`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from attest.adapters.clock import SystemClock
from attest.cli.options import format_option
from attest.cli.schemas import add_schema
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED

if TYPE_CHECKING:
    from attest.core.environment.definition import Environment
    from attest.core.explain import Section


@click.group("environment")
def command() -> None:
    """Check and explain environments: where services run, and how it is found out that they are well."""


@command.command(
    "check",
    epilog="""\b
Examples:
  attest environment check staging.yaml
  attest environment check staging.yaml --format json
""",
)
@click.argument("file", type=click.Path())
@format_option
def check(file: str, output: str) -> int:
    """Read the environment in FILE, and say in plain sentences what it is.

    Exit code 0 means that it is valid, 2 that it is not; the error names file, line, column and what would be right.
    Nothing that it names is looked at: neither its policy, nor its target, nor its ledger.
    """
    from attest.cli.environments import load_environment
    from attest.core.environment import words as environmentwords

    environment, now = load_environment(file), SystemClock().now()
    if output == "json":
        click.echo(json_text(environmentwords.document(environment, now=now)))
        return EXIT_PASSED
    for line in _lines(file, environment, environmentwords.explain(environment, now=now)):
        click.echo(line)
    return EXIT_PASSED


def _schema() -> Any:
    from attest.core.environment.model import schema

    return schema()


add_schema(command, "environment", of="an environment", schema=_schema)


def _lines(file: str, environment: Environment, sections: Iterable[Section]) -> Iterator[str]:
    yield f"{escape(file)} is a valid environment."
    yield ""
    yield f"name    {environment.name}"
    yield f"digest  {environment.digest}"
    for section in sections:
        yield ""
        yield click.style(section.title, bold=True)
        yield from (f"  {escape(sentence)}" for sentence in section.sentences)
