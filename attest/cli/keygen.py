"""`attest keygen`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from attest.adapters.keys import ALGORITHMS, Algorithm, generate, read_passphrase
from attest.cli.options import format_option, password_option
from attest.cli.signers import prompt_for
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED, UsageError


@click.command(
    "keygen",
    epilog="""\b
Examples:
  attest keygen integration
  attest keygen builder --directory keys --algorithm ed25519
  ATTEST_KEY_PASSWORD=... attest keygen e2e
""",
)
@click.argument("name")
@click.option(
    "--directory", metavar="DIR", type=click.Path(), default="keys", show_default=True, help="Where the pair goes."
)
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], show_default=True)
@password_option
@click.option("--no-password", is_flag=True, help="Write the private key without encryption.")
@format_option
def command(
    name: str, directory: str, algorithm: Algorithm, password_file: str | None, no_password: bool, output: str
) -> int:
    """Make a key pair: NAME.key, encrypted, for the lane that signs, and NAME.pub for the policies that trust it.

    Nothing is ever overwritten.
    """
    if no_password and password_file is not None:
        raise UsageError("--no-password and --password-file exclude each other")
    passphrase = None
    if not no_password:
        passphrase = read_passphrase(
            password_file=None if password_file is None else Path(password_file),
            environment=os.environ,
            prompt=prompt_for(f"Passphrase for the new key {name}", confirm=True),
        )
    pair = generate(name, Path(directory), algorithm, passphrase)
    if output == "json":
        document = {
            "schema": "attest.keygen/v1",
            "private": str(pair.private),
            "public": str(pair.public),
            "fingerprint": pair.fingerprint,
            "algorithm": algorithm,
        }
        click.echo(json_text(document))
    else:
        public = escape(str(pair.public))
        click.echo(f"{escape(str(pair.private))}  private, for the lane alone")
        click.echo(f"{public}  public, for policies: signers: {{{name}: {{key: {public}}}}}")
        click.echo(f"fingerprint  {pair.fingerprint}")
    return EXIT_PASSED
