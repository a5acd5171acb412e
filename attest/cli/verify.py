"""`attest verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attest.cli.images import choose_images, release_option
from attest.cli.options import format_option, password_option, registry_options, repository_option
from attest.cli.stores import Connection, Stores
from attest.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime


@click.command(
    "verify",
    epilog="""\b
Examples:
  attest verify registry.example.org/plex/backend@sha256:... --policy policies/staging.yaml
  attest verify BACKEND@sha256:... FRONTEND@sha256:... --policy policies/release.yaml --format json
  attest verify --release release.yaml --policy policies/release.yaml
  attest verify oci:build/backend@sha256:... --repository registry.example.org/plex/backend --policy p.yaml
  attest verify IMAGE --policy p.yaml --receipt-key gate.key --receipt-out receipt.json
  attest verify IMAGE --policy p.yaml --receipt receipt.json
""",
)
@click.argument("images", nargs=-1)
@release_option
@click.option("--policy", "policy_file", metavar="FILE", type=click.Path(), required=True, help="What the images need.")
@format_option
@repository_option
@click.option(
    "--bundle", "bundles", metavar="FILE", type=click.Path(), multiple=True, help="Evidence besides what is attached."
)
@click.option(
    "--receipt",
    "receipts",
    metavar="FILE",
    type=click.Path(),
    multiple=True,
    help="Refuse if an input of this earlier receipt is gone.",
)
@click.option("--receipt-key", metavar="FILE", type=click.Path(), help="Sign the verdict with this key.")
@click.option("--receipt-out", metavar="FILE", type=click.Path(), help="Where the signed verdict goes.")
@password_option
@click.option(
    "--state", metavar="FILE", type=click.Path(), help="Remember the highest serial seen of each policy here."
)
@click.option("--at", metavar="TIME", help="Look at a time in the past, as 2026-01-31T12:00:00Z.")
@registry_options
def command(
    images: tuple[str, ...],
    release_file: str | None,
    policy_file: str,
    output: str,
    repositories: tuple[str, ...],
    bundles: tuple[str, ...],
    receipts: tuple[str, ...],
    receipt_key: str | None,
    receipt_out: str | None,
    password_file: str | None,
    state: str | None,
    at: str | None,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Refuse IMAGES, named by digest, unless everything that the policy demands is there.

    Several images are one release: they pass together or not at all, and with --release only on evidence about the
    commit that the file names. Exit code 0 means passed, 1 refused, 2 a wrong command line or document, 3 that it
    could not be decided; only 0 may promote or deploy anything.
    """
    if (receipt_key is None) != (receipt_out is None):
        raise UsageError("--receipt-key and --receipt-out need each other")
    if at is not None and (receipt_key is not None or state is not None):
        raise UsageError("--at looks at the past: it makes no receipt and remembers no serial")
    moment = _moment(at)
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    chosen = choose_images(stores, images, repositories, release_file)
    from attest.cli.policies import open_policy
    from attest.ops.load import names_platforms
    from attest.ops.reading import Reading

    document = open_policy(policy_file)
    with Reading(stores, chosen.images, platforms=names_platforms(document)) as reading:
        from attest.cli.decide import Asked, decide  # slow to load; the store is answering meanwhile

        asked = Asked(
            images=[image.reference.digest for image in chosen.images],
            commit=chosen.commit,
            bundles=bundles,
            receipts=receipts,
            receipt_key=receipt_key,
            receipt_out=receipt_out,
            password_file=password_file,
            state=state,
            moment=moment,
            output=output,
            timeout=timeout,
        )
        return decide(reading, document, asked)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    from attest.core.statement import parse_time

    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"--at: {error}") from error
