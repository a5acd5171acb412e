"""`attest image schema`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import click

from attest.cli.terminal import json_text
from attest.errors import EXIT_PASSED


@click.command(
    "schema",
    epilog="""\b
Examples:
  attest image schema > contract-v1.json
  attest image schema report > contract-report-v1.json
""",
)
@click.argument("document", type=click.Choice(["contract", "facts", "lock", "report"]), default="contract")
def command(document: str) -> int:
    """Print the JSON Schema (draft 2020-12) of a DOCUMENT: the contract, unless another one is named.

    That of the contract is for editors. It allows some documents that `attest image check` refuses, for reasons that no
    schema can give, and never the reverse. The others describe what `attest image` writes: the facts of an image, a
    lock, and the report of `attest image check --format json`.
    """
    click.echo(json_text(_schema(document)))
    return EXIT_PASSED


def _schema(document: str) -> Any:
    match document:
        case "facts":
            from attest.core.image.factsdocument import facts_schema

            return facts_schema()
        case "lock":
            from attest.core.lock.locking import lock_schema

            return lock_schema()
        case "report":
            return json.loads((resources.files("attest") / "schemas" / "contract-report.v1.json").read_text("utf-8"))
        case _:
            from attest.core.contract import schema

            return schema()
