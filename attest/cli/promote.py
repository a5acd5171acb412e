"""`attest promote`."""

from __future__ import annotations

import click

from attest.cli.images import choose_images, release_option
from attest.cli.options import format_option, password_option, repository_option, transfer_options
from attest.cli.stores import Connection, Stores
from attest.cli.waivers import read_waiver, waiver_option


@click.command(
    "promote",
    epilog="""\b
Examples:
  attest promote registry.example.org/ci/backend@sha256:... --policy policies/staging.yaml \\
      --to registry.example.org/staging/backend
  attest promote --release release.yaml --policy policies/release.yaml --to registry.example.org/staging
  attest promote BACKEND@sha256:... FRONTEND@sha256:... --policy p.yaml --to prod.example.org/plex/
  attest promote oci:build/backend@sha256:... --repository registry.example.org/ci/backend --policy p.yaml \\
      --to registry.example.org/staging/backend
  attest promote --release release.yaml --policy p.yaml --to oci:out --receipt-key gate.key
  attest promote --release release.yaml --policy p.yaml --to registry.example.org/production \\
      --waiver waiver.json --environment production.yaml
""",
)
@click.argument("images", nargs=-1)
@release_option
@click.option("--policy", "policy_file", metavar="FILE", type=click.Path(), required=True, help="What the images need.")
@click.option(
    "--to",
    metavar="PLACE",
    required=True,
    help="Where they go: HOST/REPOSITORY, or oci:PATH for a layout. With --release, or with a / at the end, what each "
    "image's own name is added to.",
)
@click.option(
    "--tag-format",
    metavar="TEXT",
    help="The tag that each image gets last, never to be moved, of {commit}, {commit12}, {digest} and {digest12}.  "
    "[default: sha-{commit}-{digest12}]",
)
@click.option("--receipt-key", metavar="FILE", type=click.Path(), help="Sign the verdict at the destination with this.")
@click.option(
    "--release-out",
    metavar="FILE",
    type=click.Path(),
    help="Write the release as it is at the destination here; with --release.",
)
@waiver_option
@click.option(
    "--environment",
    metavar="FILE",
    type=click.Path(),
    help="With --waiver: the environment that it is for, whose ledger records it.",
)
@click.option("--actor", metavar="TEXT", help="With --waiver: who the ledger says it was.  [default: user@host]")
@password_option
@click.option(
    "--state", metavar="FILE", type=click.Path(), help="Remember the highest serial seen of each policy here."
)
@format_option
@repository_option
@transfer_options
def command(
    images: tuple[str, ...],
    release_file: str | None,
    policy_file: str,
    to: str,
    tag_format: str | None,
    receipt_key: str | None,
    release_out: str | None,
    waivers: tuple[str, ...],
    environment: str | None,
    actor: str | None,
    password_file: str | None,
    state: str | None,
    output: str,
    repositories: tuple[str, ...],
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Move IMAGES, named by digest, to where they are deployed from, if the policy lets them pass.

    They are verified, copied byte for byte with their platforms and everything that is attached to them, verified again
    where they are then, and tagged last. A refusal at the source changes nothing at the destination; after one at the
    destination there is no tag. Broken off anywhere, the same command goes on; done already, it changes nothing.

    In an emergency a signed waiver lets lanes be lacking on the way to the repositories of one environment. Its ledger
    has it before anything moves, and the receipt is FAILED and says who waived what.

    The policy's `images` have to name the destination too. Exit codes are those of `attest verify`.
    """
    from attest.cli.moving import Asked, Exemption, choose_moves, move
    from attest.cli.policies import open_policy
    from attest.core.promotion.destination import TAG_FORMAT, parse_tag_format
    from attest.errors import UsageError
    from attest.ops.load import names_platforms
    from attest.ops.reading import Reading

    if release_out is not None and release_file is None:
        raise UsageError("--release-out has no place without --release", hint="it writes the same release elsewhere")
    if password_file is not None and receipt_key is None:
        raise UsageError("--password-file has no place without --receipt-key", hint="there is no key file to open")
    if bool(waivers) != (environment is not None):
        raise UsageError("--waiver and --environment need each other", hint="a waiver is for one environment")
    if actor is not None and environment is None:
        raise UsageError("--actor has no place without --waiver", hint="nothing else is recorded in a ledger")
    format_of_tags = parse_tag_format(TAG_FORMAT if tag_format is None else tag_format)

    def connection(*, push: bool) -> Connection:
        return Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts, push=push)

    def stores(*, push: bool) -> Stores:
        return Stores(connection(push=push))

    exemption: Exemption | None = None
    if environment is not None:
        from attest.cli.environments import load_environment
        from attest.cli.sites import DEFAULT_WAIT, Who

        place = load_environment(environment)
        presented = read_waiver(waivers, environment=place.name)
        assert presented is not None  # noqa: S101 - they need each other
        who = Who(actor=actor, wait=DEFAULT_WAIT, password_file=None)
        exemption = Exemption(presented=presented, environment=place, connection=connection(push=False), who=who)
    source, target = stores(push=False), stores(push=True)
    chosen = choose_images(source, images, repositories, release_file)
    moves = choose_moves(chosen.images, to, release=release_file)
    target.open([one.destination.reference for one in moves])
    document = open_policy(policy_file)
    with Reading(source, chosen.images, platforms=names_platforms(document)) as reading:
        asked = Asked(
            moves=moves,
            release=chosen.release,
            tag_format=format_of_tags,
            receipt_key=receipt_key,
            release_out=release_out,
            password_file=password_file,
            state=state,
            output=output,
            exemption=exemption,
            timeout=timeout,
        )
        return move(reading, document, asked, source=source, target=target)
