"""`attest image`: the commands that look into images. Each is imported when it is used."""

from __future__ import annotations

import importlib
from typing import Final

import click

_COMMANDS: Final = {
    "check": ("attest.cli.imagecheck", "Hold an image against a contract."),
    "diff": ("attest.cli.imagediff", "Show how two images differ."),
    "facts": ("attest.cli.imagefacts", "Print what is known of an image."),
    "lock": ("attest.cli.imagelock", "Write down what an image is, or compare it with that."),
    "schema": ("attest.cli.imageschema", "Print the JSON Schemas of the documents."),
}


class _Commands(click.Group):
    """A group that imports a command when it is used, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in order."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of a name, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        found = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(found, click.Command)  # noqa: S101 - a defect, not an input
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group("image", cls=_Commands)
def command() -> None:
    """Look into images, without a container engine."""
