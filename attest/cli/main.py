"""The command `attest`: its commands, and what becomes of errors.

Exit codes: 0 passed, 1 refused, 2 usage or an invalid document, 3 could not decide. A command says which by the
number that it returns; whatever ends otherwise, a defect included, is 3.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Sequence
from typing import Any

import click

from attest import __version__
from attest.cli.streams import abandon_output, colours, complain, prepare_streams
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_UNDECIDED, EXIT_USAGE, AttestError, InternalError, NotSigned, Undecided, UsageError

_COMMANDS = {
    "attach": ("attest.cli.attach", "Attach a bundle that was made elsewhere."),
    "completion": ("attest.cli.completion", "Print the completion script of a shell."),
    "deploy": ("attest.cli.deploy", "Have a release run in an environment, if it passes."),
    "environment": ("attest.cli.environment", "Check and explain environments."),
    "events": ("attest.cli.events", "Tell what happened in an environment, as CDEvents."),
    "freeze": ("attest.cli.freeze", "Let nothing be deployed to an environment for a while."),
    "history": ("attest.cli.history", "Tell everything that happened in an environment."),
    "image": ("attest.cli.image", "Look into images, without a container engine."),
    "init": ("attest.cli.init", "Write a first gate into a repository."),
    "inspect": ("attest.cli.inspect", "Show what is attached to an image."),
    "keygen": ("attest.cli.keygen", "Make a key pair."),
    "ledger": ("attest.cli.ledger", "Make, check and copy ledgers, and sign their heads."),
    "metrics": ("attest.cli.metrics", "Print metrics of an environment, for Prometheus."),
    "policy": ("attest.cli.policy", "Check and explain policies."),
    "promote": ("attest.cli.promote", "Move images that pass to where they are deployed from."),
    "provenance": ("attest.cli.provenance", "Make the provenance of an image."),
    "reconcile": ("attest.cli.reconcile", "Have run again what should run in an environment."),
    "release": ("attest.cli.release", "Make and explain release files."),
    "release-hold": ("attest.cli.hold", "Let automatic deployments go on after a rollback."),
    "resolve": ("attest.cli.resolve", "Print the digest reference that a tag stands for now."),
    "rollback": ("attest.cli.rollback", "Go back to the newest release that is good today."),
    "run": ("attest.cli.run", "Run a lane's command and sign what happened."),
    "sign": ("attest.cli.sign", "Sign a lane's outcome about images."),
    "status": ("attest.cli.status", "Say what should run in an environment, and what does."),
    "trust": ("attest.cli.trust", "Make and explain the trusted roots of a Sigstore."),
    "unfreeze": ("attest.cli.unfreeze", "Let an environment be deployed to again."),
    "verify": ("attest.cli.verify", "Refuse images without the full set of evidence."),
    "waive": ("attest.cli.waive", "Sign that lanes may be lacking, in an emergency."),
}

INTERRUPTED = 130
"""The exit code where the user gave up: what a shell says of a program that SIGINT (2) ended."""
_NO_COMPLETION = ""


class _Stopped(Exception):
    """A command ended with the cause of this exception, hidden from click, which would make an exit code of it."""


class Commands(click.Group):
    """A group that imports a command when it is used, and not before."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the command line; what is printed here, `--help` and `--version`, fails as a command's answer does."""
        try:
            return super().make_context(*arguments, **more)
        except OSError as error:
            raise _Stopped from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what click would make an exit code of reaches `run` as it is."""
        try:
            return super().invoke(ctx)
        except (OSError, SystemExit) as error:
            raise _Stopped from error

    def _main_shell_completion(self, ctx_args: Any, prog_name: str, complete_var: str | None = None) -> None:
        if complete_var != _NO_COMPLETION:
            super()._main_shell_completion(ctx_args, prog_name, complete_var)

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
    prepare_streams()
    try:
        if sys.stdout is None:
            raise Undecided("standard output is closed", hint="an answer that nobody gets is none; send it to a file")
        code = _invoke(arguments)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        complain(error.format_message())
        return EXIT_USAGE
    except click.ClickException as error:
        return _fail(_usage(error), arguments, debug)
    except AttestError as error:
        return _fail(error, arguments, debug)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a defect must not end as anything but "could not decide"
        return _interrupted() if _is_interrupt(error) else _unexpected(error, arguments, debug)
    return code


def _invoke(arguments: Sequence[str]) -> int:
    # The completion scripts ask a bare `attest`: with arguments, click's variable in the environment must not make a
    # script of a command, which would end with 0.
    completion = _NO_COMPLETION if arguments else None
    try:
        code: Any = attest.main(
            args=list(arguments), prog_name="attest", complete_var=completion, standalone_mode=False, color=colours()
        )
    except click.exceptions.Exit as stop:
        return stop.exit_code
    # --help and --version end here with 0; a command has to return a number of its own
    return code if type(code) is int else EXIT_UNDECIDED


def _interrupted() -> int:
    if sys.stdout is not None:
        abandon_output()
    complain("attest: interrupted")
    return INTERRUPTED


def _is_interrupt(error: BaseException) -> bool:
    """Whether an interrupt is behind an error: Python 3.11 makes a RuntimeError of one inside a class statement."""
    seen: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in seen:
        if isinstance(behind, KeyboardInterrupt):
            return True
        seen.append(behind)
        behind = behind.__cause__ or behind.__context__
    return False


def _usage(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = "attest" if context is None else context.command_path
    return UsageError(" ".join(error.format_message().split()), hint=f"`{path} --help` shows how it is used")


def _unexpected(error: BaseException, arguments: Sequence[str], debug: bool) -> int:
    """What becomes of an exception that nobody planned for; `SystemExit(0)` from a library is one as well."""
    cause = error.__cause__ if isinstance(error, _Stopped) else error
    lost = abandon_output()
    if isinstance(lost, BrokenPipeError) or (lost is None and isinstance(cause, BrokenPipeError)):
        return EXIT_UNDECIDED  # whoever read our output has gone, as `head` does: nobody is there to tell
    if lost is not None:
        problem: AttestError = Undecided(f"standard output cannot be written: {lost.strerror or lost}")
    else:
        hint = "run it again as `attest --debug ...` and report what it prints"
        problem = InternalError(f"a defect of attest ({type(cause).__name__}: {cause})", hint=hint)
    problem.__cause__ = cause
    return _fail(problem, arguments, debug)


def _fail(error: AttestError, arguments: Sequence[str], debug: bool) -> int:
    if debug:
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            complain(escape(line))
    complain(click.style("error", fg="red", bold=True) + f": {escape(error.message)}")
    if error.hint:
        complain(click.style("hint", fg="cyan") + f": {escape(error.hint)}")
    if _wants_json(arguments) and not error.told and sys.stdout is not None:
        document = {"schema": "attest.error/v1", "error": error.code, "message": error.message, "hint": error.hint}
        try:
            click.echo(json_text(document))
        except OSError:
            abandon_output()
    return error.status if isinstance(error, NotSigned) else error.exit_code


def _wants_json(arguments: Sequence[str]) -> bool:
    ours = list(itertools.takewhile(lambda argument: argument != "--", arguments))
    return "--format=json" in ours or ("--format", "json") in itertools.pairwise(ours)
