"""Write docs/cli.md from the help texts: `python -m tests.cli.write_docs`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from attest.cli.main import attest
from tests.project import ROOT

DOCUMENT = ROOT / "docs" / "cli.md"
WIDTH = 100

_HEAD = """\
# Commands

What `attest COMMAND --help` prints. This file is written by `python -m tests.cli.write_docs`, and a test compares it.
"""


def commands() -> Iterator[tuple[str, click.Context]]:
    """Every command with its whole name, groups before what is in them."""
    yield from _below("attest", attest, None)


def _below(path: str, command: click.Command, parent: click.Context | None) -> Iterator[tuple[str, click.Context]]:
    name = path.rpartition(" ")[2]
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield path, context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is None:
                raise AssertionError(f"{path} lists {below} and does not have it")
            yield from _below(f"{path} {below}", found, context)


def render() -> str:
    """The whole document."""
    parts = [_HEAD]
    for path, context in commands():
        parts.append(f"## {path}\n\n```text\n{context.get_help().rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(render())
