"""`attest run`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import click

from attest.cli.claims import source_options
from attest.cli.images import release_option
from attest.cli.options import repository_option, store_options
from attest.cli.reports import report_options
from attest.cli.signers import SignerOptions, signer_options
from attest.cli.stores import Connection
from attest.core.statement import is_lane
from attest.errors import UsageError

_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_UNITS: Mapping[str, float] = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A span of time: a number of seconds, or one with a unit as `90m`."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if _NUMBER.fullmatch(number) is None or float(number) <= 0:
        message = f"{text!r} is no span of time; write seconds, or a number with s, m, h or d"
        raise click.BadParameter(message, ctx=context, param=parameter)
    return float(number) * _UNITS[unit]


_COMMAND_LINE: Final = "attest.run.command-line"


class _BeforeDashes(click.Command):
    """A command whose own words end at the first `--`; what follows is another's command line, and not looked at."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the foreign command line off, and read the rest."""
        own = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND_LINE] = tuple(args[own + 1 :])
        return super().parse_args(ctx, args[:own])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line names it, too."""
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


@click.command(
    "run",
    cls=_BeforeDashes,
    epilog="""\b
Examples:
  attest run IMAGE --lane fast-check --key fast-check.key --report out/unit.xml -- pytest --junitxml out/unit.xml
  attest run IMAGE --lane integration --key integration.key --container backend \\
      --report out/api.xml --timeout 30m -- pytest --junitxml out/api.xml tests/api
  attest run --release release.yaml --lane e2e --key e2e.key --container backend --container frontend \\
      --runner-image registry.example.org/ci/browser@sha256:... --report out/e2e.xml -- npx playwright test
  attest run IMAGE --lane build --key builder.key --materials Containerfile --products image.tar -- make image.tar
""",
)
@click.argument("images", nargs=-1)
@release_option
@click.option("--lane", metavar="NAME", required=True, help="The validation lane that the command is.")
@signer_options
@report_options
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=_seconds,
    help="Stop the command after so many seconds, or 90m, 2h; else it may take as long as it takes.",
)
@click.option(
    "--container",
    "containers",
    metavar="NAME",
    multiple=True,
    help="A container that the command tests: sign only if it runs the image, before the command and after it.",
)
@click.option(
    "--observe",
    "hooks",
    metavar="HOOK",
    multiple=True,
    help="The same for another runtime: a command line that prints what runs, as docs/lanes.md says.",
)
@click.option(
    "--engine",
    type=click.Choice(["docker", "podman"]),
    help="Whom to ask about containers; else podman, or docker where there is no podman.",
)
@click.option("--runner-image", metavar="REF", help="Run the command in a container of this image, named by digest.")
@click.option("--runner-network", metavar="NAME", help="The network of that container, as host.")
@click.option("--runner-user", metavar="UID[:GID]", help="The user in that container; else whoever runs attest.")
@click.option(
    "--env",
    "variables",
    metavar="NAME",
    multiple=True,
    help="Sign the value of this variable, too; in a runner image, the command gets this one and no other.",
)
@click.option(
    "--materials", metavar="PATH", multiple=True, help="Files, or folders of files, to hash before the command."
)
@click.option("--products", metavar="PATH", multiple=True, help="The same after it.")
@source_options
@click.option(
    "--source-elsewhere",
    is_flag=True,
    help="What runs here is of another repository than the source that is signed about.",
)
@click.option("--output", "output_file", metavar="FILE", type=click.Path(), help="Write the test-result's bundle here.")
@click.option("--link-output", metavar="FILE", type=click.Path(), help="Write the link's bundle here.")
@click.option("--no-push", is_flag=True, help="Attach nothing; needs --output and --link-output.")
@click.option("--summary", metavar="FILE", type=click.Path(), help="Write what was signed here, as JSON.")
@repository_option
@store_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> int:
    """Run COMMAND, which is the lane NAME about IMAGES, and sign what happened.

    Its output is passed through, and its exit status is that of `attest run`: 128+N where signal N ended it, 124 where
    its time was over. Where it is 0, `attest run` ends with 1 if FAILED was signed, and with 3 if nothing was.

    Two attestations are made: a link (what was run, on which files, and how it ended), and a test-result, PASSED only
    if the command ended with 0 and its reports say so. Everything that can be known to fail before the command fails
    before it, and then the command is not run.
    """
    lane: str = options["lane"]
    if not is_lane(lane):
        raise UsageError(
            f"{lane!r} cannot name a lane", hint="lower-case letters, digits and . _ - between them, at most 64"
        )
    if options["no_push"] and (options["output_file"] is None or options["link_output"] is None):
        raise UsageError(
            "--no-push without --output and --link-output would sign and throw it away", hint="add both of them"
        )
    if options["identity_token"] == "-":  # noqa: S105 - a file name
        raise UsageError(
            "--identity-token - can be read once, and a token is needed before the command and after it",
            hint="name a file; or leave it out, and a forge's job asks for a new one",
        )
    signer = SignerOptions(**_taken(options, SignerOptions))
    connection = Connection(
        timeout=options.pop("store_timeout"),
        plain_http=options.pop("plain_http"),
        ca_file=options.pop("ca_file"),
        token_hosts=options.pop("token_hosts"),
        push=not options["no_push"],
    )
    from attest.cli.lane import LaneRun
    from attest.cli.laneoptions import LaneOptions

    argv = context.meta[_COMMAND_LINE]
    lane_options = LaneOptions(**_taken(options, LaneOptions), argv=argv, claims=options)
    return LaneRun(lane_options, signer, connection).run()


def _taken(options: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """The options that are fields of this dataclass, taken out of the rest."""
    return {field.name: options.pop(field.name) for field in fields(kind) if field.name in options}
