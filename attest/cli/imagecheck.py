"""`attest image check`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

import click

from attest.cli.claims import source_options
from attest.cli.contractformats import FORMATS, Saved, rendered, save
from attest.cli.contractlane import CONTRACT_LANE, SigningOptions, finish, prepare
from attest.cli.contracts import CheckOptions
from attest.cli.options import repository_option, transfer_options
from attest.cli.signers import SignerOptions, signer_options
from attest.cli.stores import Connection
from attest.errors import EXIT_UNDECIDED, UsageError

_STDIN: Final = "-"


@click.command(
    "check",
    epilog="""\b
Examples:
  attest image check registry.example.org/plex/backend@sha256:... --contract contract.yaml
  attest image check oci:build/backend --contract contract.yaml --lock contract.lock.json
  attest image check IMAGE --contract contract.yaml --baseline BASE@sha256:... --ci-image CI@sha256:...
  attest image check docker-archive:backend.tar --contract contract.yaml --format sarif > contract.sarif
  attest image check IMAGE --contract contract.yaml --lock contract.lock.json --sign --key contract.key \\
      --save sarif=contract.sarif --save junit=contract.xml
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
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="For people, or for scripts, code scanning and test reports.",
)
@click.option(
    "--save",
    "saved",
    metavar="FORMAT=FILE",
    multiple=True,
    help="Write the report in this format to a file, too; repeatable.",
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
    saved = tuple(Saved.read(text) for text in options.pop("saved"))
    check_options = CheckOptions(**_taken(options, CheckOptions), saved=saved)
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
        hint = "--save FORMAT=FILE keeps the report" if name == "output" else "add --sign to sign the result"
        raise UsageError(f"--{name.replace('_', '-')} has no place without --sign", hint=hint)
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
    if options.output_format == "text":  # people see it, whatever comes of the signature
        click.echo(rendered("text", checked, None), nl=False)
    done = None
    if ready is not None and checked.report.exit != EXIT_UNDECIDED:
        done = finish(ready, checked)
        _tell(options, done.lines())
    elif ready is not None:
        _tell(options, ["what could not be decided is not signed"])
    signed = None if done is None else done.document
    for one in options.saved:
        save(one, checked, signed)
    if options.output_format != "text":
        click.echo(rendered(options.output_format, checked, signed), nl=False)
    return checked.report.exit


def _tell(options: CheckOptions, lines: Iterable[str]) -> None:
    """Something for people beside the report."""
    if options.output_format == "text":
        for line in lines:
            click.echo(line, err=True)
