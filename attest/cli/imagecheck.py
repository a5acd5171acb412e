"""`attest image check`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import click

from attest.cli.claims import source_options
from attest.cli.contractlane import CONTRACT_LANE, SigningOptions, finish, prepare
from attest.cli.contracts import CheckOptions
from attest.cli.options import repository_option, transfer_options
from attest.cli.signers import SignerOptions, signer_options
from attest.cli.stores import Connection
from attest.cli.terminal import json_text
from attest.errors import EXIT_UNDECIDED, UsageError

if TYPE_CHECKING:
    from attest.cli.contractlane import Done
    from attest.core.contractreport import Checked

_STDIN: Final = "-"


@click.command(
    "check",
    epilog="""\b
Examples:
  attest image check registry.example.org/plex/backend@sha256:... --contract contract.yaml
  attest image check oci:build/backend --contract contract.yaml --lock contract.lock.json
  attest image check IMAGE --contract contract.yaml --baseline BASE@sha256:... --ci-image CI@sha256:...
  attest image check docker-archive:backend.tar --contract contract.yaml --format sarif > contract.sarif
  attest image check IMAGE --contract contract.yaml --lock contract.lock.json --sign --key contract.key
""",
)
@click.argument("image")
@click.option(
    "--contract",
    "contract_file",
    metavar="FILE",
    type=click.Path(),
    required=True,
    help="What the image may be: docs/contract.md.",
)
@click.option(
    "--lock", "lock_file", metavar="FILE", type=click.Path(), help="What the image was locked to, by attest image lock."
)
@click.option("--baseline", metavar="IMAGE", help="The image that it is built on, whose layers prove it.")
@click.option("--ci-image", metavar="IMAGE", help="The image that its tests run in, which it may share no layer with.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="For people, or for scripts, code scanning and test reports.",
)
@click.option("--sign", "wants_signature", is_flag=True, help="Sign the result as a lane, and attach it to the image.")
@click.option(
    "--lane",
    metavar="NAME",
    default=CONTRACT_LANE,
    show_default=True,
    help="With --sign: the validation lane that this is.",
)
@signer_options
@source_options
@click.option(
    "--output", "output_file", metavar="FILE", type=click.Path(), help="With --sign: write the bundle here, too."
)
@click.option("--no-push", is_flag=True, help="With --sign: attach it to nothing; needs --output.")
@repository_option
@transfer_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> int:
    """Hold IMAGE against a contract: which user runs it, what is in it, and what it was built on.

    Each layer is read once and nothing is unpacked; no container engine takes part. An image may also stand in an
    archive: oci-archive:PATH or docker-archive:PATH. Provenance beside the image is compared where the contract names
    `base.digest` or `ci.overlap`.

    Exit code 0 means that every check passed, 1 that one failed, 2 a wrong command line or document, and 3 that a check
    could not be decided. With --sign the result is signed whether it passed or failed, and what could not be decided is
    not signed.
    """
    given = {name for name in options if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    connection = Connection(**_taken(options, Connection))
    check_options = CheckOptions(**_taken(options, CheckOptions))
    signing = _signing(options, given)
    files = [check_options.contract_file, check_options.lock_file]
    if files.count(_STDIN) > 1:
        raise UsageError("of --contract and --lock only one can be standard input")
    return _run(check_options, signing, connection)


def _signing(options: dict[str, Any], given: set[str]) -> SigningOptions | None:
    """The options about signing, if there is to be any; without --sign none of them has a place."""
    if options.pop("wants_signature"):
        signer = SignerOptions(**_taken(options, SignerOptions))
        taken = _taken(options, SigningOptions)
        return SigningOptions(**taken, signer=signer, claims=options)
    misplaced = sorted(given & set(options))
    if misplaced:
        name = {"output_file": "output", "repositories": "repository"}.get(misplaced[0], misplaced[0])
        raise UsageError(
            f"--{name.replace('_', '-')} has no place without --sign", hint="add --sign to sign the result"
        )
    return None


def _taken(options: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """The options that are fields of this dataclass, taken out of the rest."""
    return {field.name: options.pop(field.name) for field in fields(kind) if field.name in options}


def _run(options: CheckOptions, signing: SigningOptions | None, connection: Connection) -> int:
    """The exit code.

    Raises:
        AttestError: nothing was decided, or nothing was signed about it.
    """
    from attest.cli.contractcheck import make_checks, refuse_unused
    from attest.cli.contracts import load_contract

    contract = load_contract(options.contract_file)
    refuse_unused(options, contract)
    ready = None
    if signing is not None:
        ready = prepare(signing, options.image, contract, connection)
        _tell(options, ready.lines())
    checked, warnings = make_checks(options, contract, connection)
    _tell(options, warnings)
    report = checked.report
    if options.output_format == "text":
        _write(options, checked, None)
    done = None
    if ready is not None and report.exit != EXIT_UNDECIDED:
        done = finish(ready, checked)
        _tell(options, done.lines())
    elif ready is not None:
        _tell(options, ["what could not be decided is not signed"])
    if options.output_format != "text":
        _write(options, checked, done)
    return report.exit


def _tell(options: CheckOptions, lines: Iterable[str]) -> None:
    """Something for people beside the report."""
    if options.output_format == "text":
        for line in lines:
            click.echo(line, err=True)


def _write(options: CheckOptions, checked: Checked, done: Done | None) -> None:
    """The report, alone on standard output."""
    match options.output_format:
        case "text":
            from attest.cli.contractlines import lines

            for line in lines(checked):
                click.echo(line)
        case "json":
            from attest.core.contractreport import document

            click.echo(json_text(document(checked, signed=None if done is None else done.document)))
        case "sarif":
            from attest.core.contractsarif import sarif

            click.echo(json_text(sarif(checked)))
        case _:
            from attest.adapters.junitxml import write_junit
            from attest.core.contractjunit import junit

            click.echo(write_junit(junit(checked)), nl=False)
