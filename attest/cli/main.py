"""The command `attest`: its commands, and what becomes of errors.

Exit codes: 0 passed, 1 refused, 2 usage or an invalid document, 3 could not decide. A command says which by the
number that it returns; whatever ends otherwise, a defect included, is 3.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from attest import __version__
from attest.cli.terminal import escape
from attest.errors import EXIT_UNDECIDED, EXIT_USAGE, AttestError, InternalError

_COMMANDS = {
    "attach": ("attest.cli.attach", "Attach a bundle that was made elsewhere."),
    "completion": ("attest.cli.completion", "Print the completion script of a shell."),
    "inspect": ("attest.cli.inspect", "Show what is attached to an image."),
    "keygen": ("attest.cli.keygen", "Make a key pair."),
    "policy": ("attest.cli.policy", "Check and explain policies."),
    "resolve": ("attest.cli.resolve", "Print the digest reference that a tag stands for now."),
    "sign": ("attest.cli.sign", "Sign a lane's outcome about images."),
    "verify": ("attest.cli.verify", "Refuse images without the full set of evidence."),
}

_INTERRUPTED = 130


class Commands(click.Group):
    """A group that imports a command when it is used, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in order."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of a name, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)  # noqa: S101 - a defect, not an input
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  attest keygen integration
  attest sign registry.example.org/app@sha256:... --lane integration --key keys/integration.key --result passed
  attest verify registry.example.org/app@sha256:... --policy policies/staging.yaml
""",
)
@click.version_option(__version__, prog_name="attest")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def attest(debug: bool) -> None:
    """A promotion gate for container images.

    Each validation lane signs what it found about an image digest; `attest verify` refuses the image unless
    everything that a policy demands is there.

    Exit codes: 0 passed, 1 refused, 2 usage or an invalid document, 3 could not decide.
    """
    del debug  # read from the arguments by `run`, which outlives the commands


def run(arguments: Sequence[str]) -> int:
    """Run the command line; the exit code."""
    debug = "--debug" in itertools.takewhile(lambda argument: argument.startswith("-"), arguments)
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except click.exceptions.Abort:
        click.echo("attest: interrupted", err=True)
        return _INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except AttestError as error:
        return _fail(error, arguments, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer has no reader any more
        return EXIT_UNDECIDED
    except Exception as error:  # noqa: BLE001 - a defect must not end as anything but "could not decide"
        kind = type(error).__name__
        hint = "run it again as `attest --debug ...` and report what it prints"
        defect = InternalError(f"a defect of attest ({kind}: {error})", hint=hint)
        defect.__cause__ = error
        return _fail(defect, arguments, debug)
    return code


def _invoke(arguments: Sequence[str]) -> int:
    try:
        code: Any = attest.main(args=list(arguments), prog_name="attest", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    # --help and --version end here with 0; a command has to return a number of its own
    return code if type(code) is int else EXIT_UNDECIDED


def _fail(error: AttestError, arguments: Sequence[str], debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    click.echo(click.style("error", fg="red", bold=True) + f": {escape(error.message)}", err=True)
    if error.hint:
        click.echo(click.style("hint", fg="cyan") + f": {escape(error.hint)}", err=True)
    if _wants_json(arguments):
        document = {"schema": "attest.error/v1", "error": error.code, "message": error.message, "hint": error.hint}
        click.echo(json.dumps(document, indent=2))
    return error.exit_code


def _wants_json(arguments: Sequence[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in itertools.pairwise(arguments)
