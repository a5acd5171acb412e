"""The command `schema` of each kind of document that people write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from attest.cli.terminal import json_text
from attest.errors import EXIT_PASSED


def add_schema(group: click.Group, kind: str, *, of: str, schema: Callable[[], Any]) -> None:
    """Give a group the command that prints the JSON Schema of its documents.

    Args:
        group: Has a command `check` as well.
        kind: The name of the group.
        of: What the documents are, with an article.
        schema: Loads what it needs when it is called.
    """

    @group.command(
        "schema",
        help=f"""Print the JSON Schema (draft 2020-12) of {of}, for editors.

        The schema allows some documents that `attest {kind} check` refuses, for reasons that no schema can give, and
        never the reverse.
        """,
        epilog=f"""\b
Examples:
  attest {kind} schema > {kind}-v1.json
""",
    )
    def command() -> int:
        click.echo(json_text(schema()))
        return EXIT_PASSED
