"""`attest ledger`: make ledgers, check them, copy them, sign their heads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import write_file
from attest.cli.options import format_option, password_option, registry_options
from attest.cli.progress import waiting
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.core.statement import format_time
from attest.errors import EXIT_PASSED, EXIT_REFUSED, UsageError

if TYPE_CHECKING:
    from attest.cli.ledgers import KnownHeads
    from attest.core.ledger.chain import Head
    from attest.ops.ledger import Checked
    from attest.ops.ledgerhead import KeptHead


@click.group("ledger")
def command() -> None:
    """Make ledgers, check them, copy them, and sign their heads.

    A ledger records every deployment, rollback and refusal in a hash chain. LEDGER is sqlite:///FILE or
    postgresql://HOST/DATABASE.
    """


@command.command(
    "init",
    epilog="""\b
Examples:
  attest ledger init sqlite:///ledger.db
  attest ledger init postgresql://owner@db.example.org/attest
""",
)
@click.argument("ledger")
@format_option
def init(ledger: str, output: str) -> int:
    """Make LEDGER, or bring the tables of an older one up to date. Records that are there stay as they are.

    No other command makes a ledger: one that was deleted would look like a new one.
    """
    from attest.adapters.ledger import create_ledger, parse_address

    address = parse_address(ledger)
    with create_ledger(address, clock=SystemClock()) as made:
        head = made.head()
    if output == "json":
        click.echo(json_text({"schema": "attest.ledger/v1", "ledger": str(address), "head": _head(head)}))
    else:
        click.echo(f"ledger  {escape(str(address))}")
        click.echo(f"head    {_head_text(head)}")
    return EXIT_PASSED


@command.command(
    "verify",
    epilog="""\b
Examples:
  attest ledger verify sqlite:///ledger.db
  attest ledger verify ledger.jsonl
  attest ledger verify sqlite:///ledger.db --head registry.example.org/plex/ledger --key keys/deployer.pub
  attest ledger verify ledger.jsonl --head head.json --key keys/deployer.pub --format json
""",
)
@click.argument("ledger")
@click.option(
    "--head",
    "heads",
    metavar="FILE|REPO",
    multiple=True,
    help="A signed head, or the repository (or oci:PATH) that signed heads are kept in; repeatable.",
)
@click.option(
    "--key", "keys", metavar="FILE", type=click.Path(), multiple=True, help="A public key that signs heads; repeatable."
)
@format_option
@registry_options
def verify(
    ledger: str,
    heads: tuple[str, ...],
    keys: tuple[str, ...],
    output: str,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Follow the whole chain of LEDGER, which may also be the FILE of an export, and list all that is wrong with it.

    A record that was changed, removed or inserted shows in the chain itself. Records that were cut off at its end show
    only beside a signed head that knows of them: --head.

    Exit codes: 0 whole, 1 broken, 2 a wrong command line or file, 3 it could not be read.
    """
    from attest.cli.ledgers import everything_in, read_heads
    from attest.ops.ledger import check

    if bool(heads) != bool(keys):
        raise UsageError(
            "--head and --key need each other",
            hint="a head counts under the public keys of --key, and under no others",
        )
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    with waiting("following the chain"):
        known = read_heads(heads, keys, stores)
        with everything_in(ledger) as found:
            checked = check(found, known=known.records())
    name = _name(ledger)
    if output == "json":
        click.echo(json_text(_checked_document(name, checked, known)))
    else:
        for line in _checked_lines(name, checked, known):
            click.echo(line)
    return EXIT_PASSED if checked.whole else EXIT_REFUSED


@command.command(
    "export",
    epilog="""\b
Examples:
  attest ledger export sqlite:///ledger.db > ledger.jsonl
  attest ledger export postgresql://auditor@db.example.org/attest --output ledger.jsonl
""",
)
@click.argument("ledger")
@click.option(
    "--output", "file", metavar="FILE", type=click.Path(), default="-", help="Write them here, whole or not at all."
)
@format_option
def export(ledger: str, file: str, output: str) -> int:
    """Write all records of LEDGER as JSON Lines: one record a line, in the canonical form that its hash is over.

    The chain is followed on the way; a ledger that is broken ends with 3. With --output the file appears when it is
    whole, and a summary is printed.
    """
    from attest.adapters.ledger.exportfile import write_export
    from attest.cli.ledgers import opened
    from attest.core.ledger.chain import head_of, write_record

    head: Head | None = None
    with opened(ledger) as source:

        def lines() -> Iterator[bytes]:
            nonlocal head
            for record in source.records():
                head = head_of(record)
                yield write_record(record)

        if file == "-":
            terminal = sys.stdout.isatty()
            for line in lines():
                click.echo(escape(line.decode("utf-8")) if terminal else line)
            return EXIT_PASSED
        write_export(file, lines())
    if output == "json":
        document = {"schema": "attest.ledger/v1", "ledger": _name(ledger), "file": file, "head": _head(head)}
        click.echo(json_text(document))
    else:
        click.echo(f"file  {escape(file)}")
        click.echo(f"head  {_head_text(head)}")
    return EXIT_PASSED


@command.command(
    "import",
    epilog="""\b
Examples:
  attest ledger init sqlite:///copy.db && attest ledger import sqlite:///copy.db ledger.jsonl
  attest ledger export sqlite:///ledger.db | attest ledger import sqlite:///copy.db -
""",
)
@click.argument("ledger")
@click.argument("file", type=click.Path())
@format_option
def import_(ledger: str, file: str, output: str) -> int:
    """Take the records of an export over into LEDGER, all of them or none; - is standard input.

    Numbers, times and hashes stay as they are. What LEDGER holds already has to be the beginning of the same ledger, so
    importing once more adds what is new, and two ledgers are never mixed. What is not in canonical form is refused.
    """
    from attest.adapters.ledger.exportfile import export_lines
    from attest.cli.ledgers import opened
    from attest.ops.ledger import restore

    with opened(ledger) as target:
        new = restore(target, export_lines(file), file=file)
        head = target.head()
    if output == "json":
        document = {"schema": "attest.ledger/v1", "ledger": _name(ledger), "imported": new, "head": _head(head)}
        click.echo(json_text(document))
    else:
        click.echo(f"imported  {new} record{'' if new == 1 else 's'}")
        click.echo(f"head      {_head_text(head)}")
    return EXIT_PASSED


@command.command(
    "head",
    epilog="""\b
Examples:
  attest ledger head sqlite:///ledger.db
  attest ledger head sqlite:///ledger.db --sign keys/deployer.key --to registry.example.org/plex/ledger
  attest ledger head sqlite:///ledger.db --sign keys/deployer.key --output head.json
""",
)
@click.argument("ledger")
@click.option(
    "--sign", "key", metavar="KEY", type=click.Path(), help="Follow the chain, and sign its head with this private key."
)
@password_option
@click.option(
    "--to", "place", metavar="REPO", help="Keep the signed head in this repository (or oci:PATH), beside earlier ones."
)
@click.option(
    "--key",
    "keys",
    metavar="FILE",
    type=click.Path(),
    multiple=True,
    help="A public key that signed earlier heads there, besides the one that signs now; repeatable.",
)
@click.option("--output", "file", metavar="FILE", type=click.Path(), help="Write the signed head here.")
@format_option
@registry_options
def head(
    ledger: str,
    key: str | None,
    password_file: str | None,
    place: str | None,
    keys: tuple[str, ...],
    file: str | None,
    output: str,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Print the last record's number and hash, which stand for all records of LEDGER; with --sign, signed.

    Whoever keeps a signed head can tell later whether records were cut off. --to keeps it as an artifact of its own
    under a tag that is never moved; a place is for one ledger. Before that the ledger is compared with the heads that
    this key signed there before: one that does not agree with them is not signed.
    """
    if key is None and (place is not None or file is not None or password_file is not None or keys):
        raise UsageError("--to, --key, --output and --password-file need --sign", hint="--sign names the private key")
    if key is not None and place is None and file is None:
        raise UsageError("--sign without --to and --output would sign and throw it away", hint="add --to REPO")
    from attest.cli.ledgers import opened

    kept: KeptHead | None = None
    if key is None:
        with opened(ledger) as found:
            last = found.head()
    else:
        connection = Connection(
            timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts, push=place is not None
        )
        kept = _signed(ledger, key, password_file, place, keys, Stores(connection))
        last = kept.signed.head
        if file is not None:
            write_file(file, kept.bundle)
    where = kept.place if kept is not None and place is not None else None
    if output == "json":
        document = {"schema": "attest.ledger/v1", "ledger": _name(ledger), "head": _head(last)}
        click.echo(json_text(document | {"kept": where, "file": file}))
        return EXIT_PASSED
    click.echo(f"head  {_head_text(last)}")
    for name, value in (("kept", where), ("file", file)):
        if value is not None:
            click.echo(f"{name}  {escape(value)}")
    return EXIT_PASSED


def _signed(
    ledger: str, key: str, password_file: str | None, place: str | None, keys: tuple[str, ...], stores: Stores
) -> KeptHead:
    from attest.cli.ledgers import opened, parse_place, read_keyring
    from attest.cli.signers import open_signer
    from attest.core.verify import Keyring
    from attest.ops.ledgerhead import KeptHead, publish_head, sign_head
    from attest.ops.sign import Unwitnessed

    clock = SystemClock()
    where = None if place is None else parse_place(place)
    keyring = read_keyring(keys)
    private = open_signer(key, password_file)
    signer = Unwitnessed(key=private)
    with opened(ledger) as found, waiting("signing the head"):
        if where is None:
            signed, bundle = sign_head(found, signer=signer, clock=clock)
            return KeptHead(place="", signed=signed, bundle=bundle)
        trusted = Keyring([private.public, *keyring.keys])
        return publish_head(found, stores, where, signer=signer, keyring=trusted, clock=clock)


def _name(ledger: str) -> str:
    """The ledger for people: a URL without its password, or the name of a file."""
    if "://" not in ledger:
        return ledger
    from attest.adapters.ledger import parse_address

    return str(parse_address(ledger))


def _head(head: Head | None) -> dict[str, Any] | None:
    return None if head is None else {"seq": head.seq, "hash": head.hash, "time": format_time(head.time)}


def _head_text(head: Head | None) -> str:
    return "none: it has no record yet" if head is None else f"{head.seq}  {head.hash}  {format_time(head.time)}"


def _checked_document(name: str, checked: Checked, known: KnownHeads) -> dict[str, Any]:
    return {
        "schema": "attest.ledger-check/v1",
        "ledger": name,
        "whole": checked.whole,
        "records": checked.records,
        "head": _head(checked.head),
        "breaches": [{"seq": one.seq, "fault": one.fault.value, "message": one.message} for one in checked.breaches],
        "signed_heads": [
            {"place": place, "signed": format_time(signed.signed), **(_head(signed.head) or {})}
            for place, signed in known.found
        ],
        "passed_over": list(known.passed_over),
    }


def _checked_lines(name: str, checked: Checked, known: KnownHeads) -> Iterator[str]:
    count = f"{checked.records} record{'' if checked.records == 1 else 's'}"
    if checked.whole:
        yield click.style("whole", fg="green", bold=True) + f"   {escape(name)}: {count}"
    else:
        yield click.style("broken", fg="red", bold=True) + f"  {escape(name)}: {count} read"
        for breach in checked.breaches:
            yield f"  {escape(str(breach))}  ({breach.fault.value})"
    yield f"  head    {_head_text(checked.head)}"
    for place, signed in known.found:
        yield f"  signed  {_head_text(signed.head)}  {escape(place)}"
    for reason in known.passed_over:
        yield f"  passed over  {escape(reason)}"
    if not known.found:
        yield "  Records that were cut off at the end show only beside a signed head: --head"
