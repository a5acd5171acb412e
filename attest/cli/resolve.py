"""`attest resolve`."""

from __future__ import annotations

import click

from attest.cli.options import format_option, registry_options
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.core.reference import LayoutImage, RegistryImage, parse_reference
from attest.errors import EXIT_PASSED


@click.command(
    "resolve",
    epilog="""\b
Examples:
  attest resolve registry.example.org/plex/backend:main
  attest resolve oci:build/backend
  image=$(attest resolve registry.example.org/plex/backend:main) && attest verify "$image" --policy p.yaml
""",
)
@click.argument("reference")
@format_option
@registry_options
def command(
    reference: str, output: str, timeout: float, plain_http: bool, ca_file: str | None, token_hosts: tuple[str, ...]
) -> int:
    """Print the digest reference that REFERENCE stands for at this moment.

    A tag can be moved; resolve it once, and use the digest from then on. A reference by digest is checked to be there.
    """
    connection = Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    stores = Stores(connection)
    parsed = parse_reference(reference)
    if isinstance(parsed, RegistryImage | LayoutImage):
        stores.describe(parsed)
        image = parsed
    else:
        image = parsed.at(stores.resolve(parsed))
    if output == "json":
        document = {"schema": "attest.resolve/v1", "reference": reference, "image": str(image), "digest": image.digest}
        click.echo(json_text(document))
    else:
        click.echo(escape(str(image)))
    return EXIT_PASSED
