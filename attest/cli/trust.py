"""`attest trust init` and `attest trust show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.adapters.clock import SystemClock
from attest.adapters.deadline import Deadline
from attest.adapters.files import read_file, write_file
from attest.cli.options import DEFAULT_TIMEOUT, Seconds, format_option
from attest.cli.progress import waiting
from attest.cli.terminal import escape, json_text
from attest.core import limits
from attest.core.reference import digest_of
from attest.core.statement import parse_time
from attest.errors import EXIT_PASSED, DocumentInvalid, UsageError

if TYPE_CHECKING:
    from attest.core.keys import PublicKey
    from attest.core.trust.document import TrustDocument
    from attest.core.trust.root import SigningConfig, TrustedRoot

_FILES = ("trusted_root.json", "signing_config.json", "trust_config.json")


@click.group("trust")
def command() -> None:
    """Make and explain the trusted roots of a Sigstore."""


@command.command(
    "init",
    epilog="""\b
Examples:
  attest trust init --fulcio https://fulcio.example.org --rekor https://rekor.example.org --rekor-key rekor.pub \\
      --tsa https://tsa.example.org --ctlog-key ctlog.pub --output trust
  attest trust init --fulcio https://fulcio.example.org --rekor https://rekor.example.org --rekor-key rekor.pub \\
      --tsa https://tsa.example.org --ctlog-key ctlog-2027.pub --output trust --after trust/trusted_root.json --force
""",
)
@click.option("--fulcio", metavar="URL", required=True, help="The certificate authority; it is asked for its chains.")
@click.option("--rekor", metavar="URL", required=True, help="The transparency log, v1 or v2.")
@click.option(
    "--rekor-key",
    metavar="FILE",
    type=click.Path(),
    help="The log's public key in PEM. Rekor v2 does not hand it out; what v1 hands out is compared with it.",
)
@click.option("--tsa", metavar="URL", help="The timestamp authority; it is asked for its chain.")
@click.option(
    "--ctlog-key",
    metavar="FILE",
    type=click.Path(),
    help="Public key in PEM of the certificate transparency log that Fulcio uses.",
)
@click.option("--ctlog", metavar="URL", default="", help="That log's address, for the record; it is not asked.")
@click.option("--operator", metavar="NAME", help="Who runs the services.  [default: the host name of --fulcio]")
@click.option(
    "--start", metavar="TIME", help="From when on what the services say is believed.  [default: a minute ago]"
)
@click.option(
    "--after",
    metavar="FILE",
    type=click.Path(),
    help="Keep what this trusted root has; where a service has another key now, its old window ends.",
)
@click.option("--until", metavar="TIME", help="When the old windows end, with --after.  [default: now]")
@click.option(
    "--retired",
    metavar="URL",
    multiple=True,
    help="With --after: what is at this address is used no more, and its windows end; once for each.",
)
@click.option("--output", "folder", metavar="DIR", type=click.Path(), required=True, help="Where the files go.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option(
    "--ca-file",
    metavar="FILE",
    type=click.Path(),
    help="Trust the certificate authorities in this PEM file instead of the system's.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(zero=False),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="Give up, undecided, after this long.",
)
@format_option
def init(
    fulcio: str,
    rekor: str,
    rekor_key: str | None,
    tsa: str | None,
    ctlog_key: str | None,
    ctlog: str,
    operator: str | None,
    start: str | None,
    after: str | None,
    until: str | None,
    retired: tuple[str, ...],
    folder: str,
    force: bool,
    ca_file: str | None,
    timeout: float,
    output: str,
) -> int:
    """Ask running Sigstore services for their chains and keys, show fingerprints, and write three files.

    trusted_root.json is for policies, signing_config.json says which services signers ask, and trust_config.json is
    both, for `attest sign --keyless --trust-config`. Compare the fingerprints with what the services were set up
    with: nothing else vouches for what they answered. Plain http is spoken on loopback only.
    """
    from attest.adapters.sigstore.services import ask_services, is_address
    from attest.core.trust.document import TRUST_CONFIG, TrustDocument
    from attest.core.trust.root import succeed
    from attest.ops.trust import Named, assemble

    for option, url in (("--fulcio", fulcio), ("--rekor", rekor), ("--tsa", tsa)):
        if url is not None and not is_address(url):
            raise UsageError(f"{option} {url} is neither an https address nor on loopback")
    if after is None and (until is not None or retired):
        raise UsageError("--until and --retired are about the windows of --after, and there is no --after")
    now = SystemClock().now()
    begin = _time("--start", start) or (now - timedelta(seconds=limits.CLOCK_SKEW)).replace(microsecond=0)
    end = _time("--until", until) or now.replace(microsecond=0)
    targets = [Path(folder, name) for name in _FILES]
    if not force:
        _refuse_existing(targets)
    before = None if after is None else _root_in(after)
    named = Named(
        fulcio=fulcio,
        rekor=rekor,
        rekor_key=_key(rekor_key),
        tsa=tsa,
        ctlog=ctlog.rstrip("/"),
        ctlog_key=_key(ctlog_key),
    )
    with waiting("asking the services"):
        ask = ask_services(Deadline(timeout), ca_file=ca_file)
        assembled = assemble(named, ask=ask, now=now, start=begin, operator=operator)
    root = assembled.root
    if before is not None:
        try:
            root = succeed(before, root, until=end, retired=frozenset(retired))
        except ValueError as error:
            raise UsageError(f"--after {after}: {error}") from error
    _write(targets, root, assembled.signing)
    document = TrustDocument(media_type=TRUST_CONFIG, root=root, signing=assembled.signing)
    if output == "json":
        _print_json(document, now, {"files": [str(path) for path in targets], "remarks": list(assembled.remarks)})
        return EXIT_PASSED
    for line in _lines(document, now):
        click.echo(line)
    click.echo()
    for remark in assembled.remarks:
        click.echo(escape(remark))
    for path in targets:
        click.echo(f"written {escape(str(path))}")
    return EXIT_PASSED


@command.command(
    "show",
    epilog="""\b
Examples:
  attest trust show trust/trusted_root.json
  attest trust show trust/trust_config.json --format json
""",
)
@click.argument("file", type=click.Path())
@format_option
def show(file: str, output: str) -> int:
    """Explain the trusted root, signing configuration or client trust configuration in FILE.

    Says who is believed and who is asked, from when to when, with fingerprints, and warns of windows that have ended,
    begin later, overlap or leave gaps. Warnings do not change the exit code; 2 means that the file is no such document.
    """
    from attest.core.trust.words import kind_of

    content = read_file(file, limit=limits.DOCUMENT)
    document = _read(content, file)
    now = SystemClock().now()
    if output == "json":
        _print_json(document, now, {"digest": digest_of(content)})
        return EXIT_PASSED
    click.echo(f"{escape(file)} is a {kind_of(document)}.")
    click.echo(f"digest  {digest_of(content)}")
    click.echo()
    for line in _lines(document, now):
        click.echo(line)
    return EXIT_PASSED


def _lines(document: TrustDocument, now: datetime) -> Iterator[str]:
    from attest.core.trust.words import explain, warnings

    for part in explain(document, now):
        yield click.style(part.title, bold=True)
        for entry in part.entries:
            for number, line in enumerate(entry):
                yield f"  {'  ' if number else ''}{escape(line)}"
        yield ""
    warned = warnings(document, now)
    if not warned:
        yield "Nothing to warn of: everything is valid now, without gaps or overlaps."
    for one in warned:
        yield click.style("warning", fg="yellow", bold=True) + f": {one.concern}: {escape(one.text)}"


def _print_json(document: TrustDocument, now: datetime, more: dict[str, object]) -> None:
    from attest.core.trust.words import describe

    click.echo(json_text({**describe(document, now), **more}))


def _read(content: bytes, file: str) -> TrustDocument:
    from attest.core.trust.document import TrustInvalid, read_trust

    try:
        return read_trust(content)
    except TrustInvalid as error:
        hint = "attest trust init makes trusted roots; a TUF repository's root.json is something else"
        raise DocumentInvalid(str(error), file=file, hint=hint) from error


def _root_in(file: str) -> TrustedRoot:
    root = _read(read_file(file, limit=limits.DOCUMENT), file).root
    if root is None:
        raise DocumentInvalid("there is no trusted root in it", file=file)
    return root


def _key(file: str | None) -> PublicKey | None:
    from attest.core.trust.answers import AnswerInvalid, read_key

    if file is None:
        return None
    try:
        return read_key(read_file(file, limit=limits.KEY_FILE))
    except AnswerInvalid as error:
        raise DocumentInvalid(str(error), file=file) from error


def _time(option: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _refuse_existing(targets: Sequence[Path]) -> None:
    there = [path for path in targets if path.exists() or path.is_symlink()]
    if there:
        raise UsageError(f"{there[0]} is there already", hint="--force overwrites it; --after FILE keeps what it has")


def _write(targets: Sequence[Path], root: TrustedRoot, signing: SigningConfig) -> None:
    from attest.core.trust.document import config_document, root_document, signing_document, write_trust

    folder = targets[0].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
    documents = (root_document(root), signing_document(signing), config_document(root, signing))
    for path, content in zip(targets, documents, strict=True):
        write_file(str(path), write_trust(content))
