"""`attest waive`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file, write_file
from attest.cli.environments import load_environment
from attest.cli.images import choose_images, release_option
from attest.cli.options import format_option, registry_options, repository_option
from attest.cli.signers import SignerOptions, choose_signer, signed_document, signed_lines, signer_options
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.core import limits
from attest.core.reference import digest_of
from attest.core.statement import NO_CONTEXT, format_time, parse_time
from attest.errors import EXIT_PASSED, UsageError

if TYPE_CHECKING:
    from attest.cli.signers import Chosen
    from attest.ops.waiver import SignedWaiver, Wish

SCHEMA = "attest.waiver/v1"


@click.command(
    "waive",
    epilog="""\b
Examples:
  attest waive production.yaml --release release.yaml --lane e2e --lifetime 4h --ticket OPS-4711 \\
      --reason "the runner is down and login is broken" --key boss.key --output waiver.json
  attest waive production.yaml --countersign waiver.json --key bob.key --output waiver-bob.json
  attest deploy production.yaml --release release.yaml --waiver waiver.json --waiver waiver-bob.json
""",
)
@click.argument("environment", type=click.Path())
@click.argument("images", nargs=-1)
@release_option
@click.option("--lane", "lanes", metavar="NAME", multiple=True, help="A lane that may be lacking; once for each.")
@click.option("--reason", metavar="TEXT", help="Why, for everybody who will ask.")
@click.option("--ticket", metavar="TEXT", help="Where it is talked about: an incident, a change request.")
@click.option("--lifetime", metavar="AGE", help="How long it holds: 4h, 30m.")
@click.option("--expires", metavar="TIME", help="When it ends, as 2026-01-31T12:00:00Z, instead of --lifetime.")
@click.option("--not-before", metavar="TIME", help="When it begins to hold.  [default: now]")
@click.option(
    "--countersign",
    metavar="FILE",
    type=click.Path(),
    help="Sign this waiver of somebody else, word for word, instead of making one.",
)
@click.option(
    "--policy",
    "policy_file",
    metavar="FILE",
    type=click.Path(),
    help="Waive under this policy, that of a promotion.  [default: the environment's]",
)
@signer_options
@click.option(
    "--output", "output_file", metavar="FILE", type=click.Path(), required=True, help="Where the signed waiver goes."
)
@format_option
@repository_option
@registry_options
def command(
    environment: str,
    images: tuple[str, ...],
    release_file: str | None,
    lanes: tuple[str, ...],
    reason: str | None,
    ticket: str | None,
    lifetime: str | None,
    expires: str | None,
    not_before: str | None,
    countersign: str | None,
    policy_file: str | None,
    key: str | None,
    password_file: str | None,
    keyless: bool,
    trust_config: str | None,
    identity_token: str | None,
    output_file: str,
    output: str,
    repositories: tuple[str, ...],
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Break the glass: sign that lanes may be lacking for IMAGES in ENVIRONMENT, a file, for a short time.

    The waiver is for exactly these images, together, under exactly today's policy, whose `waivers` say who may sign it,
    which lanes it may name and how long it may hold. Nothing is attached anywhere: `attest promote` and `attest deploy`
    take it with --waiver. What it lets through is recorded in the ledger, and never counts as verified.
    """
    from attest.cli.policies import load_policy
    from attest.ops.waiver import countersign as sign_too
    from attest.ops.waiver import waive

    options = SignerOptions(
        key=key,
        password_file=password_file,
        keyless=keyless,
        trust_config=trust_config,
        identity_token=identity_token,
    )
    place = load_environment(environment)
    now = SystemClock().now()
    wish: Wish | None = None
    if countersign is None:
        stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
        named = choose_images(stores, images, repositories, release_file).images
        from attest.ops.waiver import Wish as Wished

        begin = now if not_before is None else _moment("--not-before", not_before)
        wish = Wished(
            images=named,
            environment=place.name,
            lanes=_given(lanes, "--lane", "name each lane that may be lacking"),
            reason=_line(reason, "--reason", "say in one line why"),
            ticket=_line(ticket, "--ticket", "name where it is talked about"),
            not_before=begin,
            expires=_end(begin, lifetime, expires),
        )
    elif any((images, repositories, release_file, lanes, reason, ticket, lifetime, expires, not_before)):
        hint = "it says itself for what it is, why, and until when; leave everything else out"
        raise UsageError("--countersign signs a waiver as it stands", hint=hint)
    policy = load_policy(place.policy if policy_file is None else policy_file, timeout=timeout)
    chosen = choose_signer(options, NO_CONTEXT, timeout=timeout, ca_file=ca_file, clock=SystemClock())
    if wish is not None:
        made = waive(wish, policy, signer=chosen.signer, now=now)
    else:
        assert countersign is not None  # noqa: S101 - else there would be a wish
        content = read_file(countersign, limit=limits.BUNDLE)
        made = sign_too(countersign, content, policy, environment=place.name, signer=chosen.signer, now=now)
    write_file(output_file, made.signed.bundle)
    if output == "json":
        click.echo(json_text(_document(made, chosen, output_file)))
    else:
        for line in _lines(made, chosen, output_file):
            click.echo(line)
    return EXIT_PASSED


def _given(lanes: tuple[str, ...], option: str, hint: str) -> tuple[str, ...]:
    if not lanes:
        raise UsageError(f"nothing is waived without {option}", hint=hint)
    return lanes


def _line(text: str | None, option: str, hint: str) -> str:
    if text is None or not text.strip() or len(text) > 500 or not text.isprintable():
        raise UsageError(f"a waiver needs {option}, a line of at most 500 characters", hint=hint)
    return text


def _end(begin: datetime, lifetime: str | None, expires: str | None) -> datetime:
    if (lifetime is None) == (expires is None):
        raise UsageError("a waiver needs an end: --lifetime or --expires, not both", hint="as in --lifetime 4h")
    if expires is not None:
        return _moment("--expires", expires)
    from attest.core.policyfields import parse_age

    assert lifetime is not None  # noqa: S101 - one of the two is there
    try:
        age: timedelta = parse_age(lifetime)
        return begin + age
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--lifetime: {error}") from error


def _moment(option: str, text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _lines(made: SignedWaiver, chosen: Chosen, file: str) -> Iterator[str]:
    waiver = made.waiver
    yield f"waiver       {waiver.digest}"
    yield f"environment  {escape(waiver.environment)}"
    yield f"policy       {escape(waiver.policy)}, {waiver.policy_digest}"
    for image in sorted(waiver.images):
        yield f"image        {image}"
    yield f"waived       {click.style(escape(', '.join(waiver.lanes)), fg='red', bold=True)}"
    yield f"reason       {escape(waiver.reason)}"
    yield f"ticket       {escape(waiver.ticket)}"
    yield f"holds        from {format_time(waiver.not_before)} until {format_time(waiver.expires)}"
    more = "" if made.needed == 1 else f"; it needs {made.needed} who sign it: `attest waive --countersign`"
    yield f"signed by    {escape(made.signer)}{more}"
    yield from chosen.lines()
    yield from signed_lines(made.signed)
    yield f"bundle       {digest_of(made.signed.bundle)}  {escape(file)}"


def _document(made: SignedWaiver, chosen: Chosen, file: str) -> dict[str, Any]:
    from attest.core.waiver import waiver_document

    return {
        "schema": SCHEMA,
        "waiver": waiver_document(made.waiver, made.signer.split(",")),
        "images": sorted(made.waiver.images),
        "signers_needed": made.needed,
        "bundle": digest_of(made.signed.bundle),
        "file": file,
        **signed_document(made.signed, chosen),
    }
