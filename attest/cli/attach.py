"""`attest attach`, and what `attest sign` says when it has attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file
from attest.cli.images import choose_images, release_option
from attest.cli.options import format_option, registry_options
from attest.cli.progress import waiting
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.core import limits
from attest.core.envelope import EnvelopeInvalid
from attest.core.statement import StatementInvalid
from attest.errors import EXIT_PASSED, DocumentInvalid, UsageError
from attest.ops.sign import Attachment, attach, bundle_digest, describe


@click.command(
    "attach",
    epilog="""\b
Examples:
  attest sign IMAGE --lane e2e --key e2e.key --result passed --output e2e.json --no-push
  attest attach e2e.json registry.example.org/plex/backend@sha256:...
  attest attach e2e.json --release release.yaml
""",
)
@click.argument("bundle", type=click.Path())
@click.argument("images", nargs=-1)
@release_option
@format_option
@registry_options
def command(
    bundle: str,
    images: tuple[str, ...],
    release_file: str | None,
    output: str,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Attach BUNDLE, a Sigstore bundle of an in-toto Statement made elsewhere, to each of IMAGES.

    It ends with success only when the bundle is visible through the listing that `attest verify` uses. Attaching says
    nothing about trust: that is for `attest verify` and its policy.
    """
    connection = Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts, push=True)
    stores = Stores(connection)
    if bundle == release_file == "-":
        raise UsageError("BUNDLE and --release cannot both be standard input")
    named = choose_images(stores, images, (), release_file).images
    content = read_file(bundle, limit=limits.BUNDLE)
    try:
        with waiting("attaching the bundle"):
            targets = describe(stores, [image.reference for image in named])
            attachments = attach(stores, targets, content, clock=SystemClock())
    except (EnvelopeInvalid, StatementInvalid) as error:
        raise DocumentInvalid(f"no bundle of an in-toto Statement: {error}", file=bundle) from error
    report(output, content, attachments, {})
    return EXIT_PASSED


def report(output: str, bundle: bytes, attachments: Sequence[Attachment], more: Mapping[str, Any]) -> None:
    """Say what is attached where."""
    digest = bundle_digest(bundle)
    if output == "json":
        document = {
            "schema": "attest.attached/v1",
            "bundle": digest,
            **more,
            "attached": [{"image": str(item.image), "manifest": item.published.manifest} for item in attachments],
        }
        click.echo(json_text(document))
        return
    for item in attachments:
        click.echo(f"attached  {escape(str(item.image))}")
    click.echo(f"bundle    {digest}")
