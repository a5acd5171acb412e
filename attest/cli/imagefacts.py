"""`attest image facts`: what is known of an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from attest.cli.options import format_option, transfer_options
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape
from attest.core.oci import Platform, parse_platform
from attest.errors import EXIT_PASSED, UsageError

if TYPE_CHECKING:
    from attest.core.image.facts import ImageFacts, PlatformFacts


@click.command(
    "facts",
    epilog="""\b
Examples:
  attest image facts registry.example.org/plex/backend@sha256:... --format json > facts.json
  attest image facts oci:build/backend
  attest image facts docker-archive:backend.tar --platform linux/amd64
""",
)
@click.argument("image")
@click.option(
    "--platform", "platforms", metavar="OS/ARCH", multiple=True, help="Of an index only this platform; repeatable."
)
@format_option
@transfer_options
def command(
    image: str,
    platforms: tuple[str, ...],
    output: str,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Print what is known of IMAGE: its configuration, layers, files, packages, accounts and secrets.

    Each layer is read once and nothing is unpacked; every digest is checked on the way. People get a summary, and
    `--format json` everything. An image may also stand in an archive: oci-archive:PATH or docker-archive:PATH.
    """
    from attest.cli.imagesources import layer_readers, open_image
    from attest.cli.layerprogress import reading_layers
    from attest.core.image.factsdocument import facts_json
    from attest.ops.facts import gather_facts

    only = [_platform(text) for text in platforms]
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    with reading_layers() as progress, open_image(stores, image) as source:
        found = gather_facts(source, layer_readers(), only=only, progress=progress)
    if output == "json":
        click.echo(facts_json(found))
        return EXIT_PASSED
    for line in _summary(image, found):
        click.echo(line)
    return EXIT_PASSED


def _platform(text: str) -> Platform:
    try:
        return parse_platform(text)
    except ValueError as error:
        raise UsageError(f"--platform: {error}") from error


def _summary(image: str, found: ImageFacts) -> Iterator[str]:
    yield escape(image)
    for platform in found.platforms:
        yield f"  {escape(str(platform.platform))}  {platform.manifest}"
        for name, value in _lines(platform):
            yield f"    {name:<12}{escape(value)}"


def _lines(facts: PlatformFacts) -> Iterator[tuple[str, str]]:
    config, sizes = facts.config, facts.sizes
    yield "user", config.user or "root, since none is set"
    yield "starts", " ".join((*(config.entrypoint or ()), *(config.cmd or ()))) or "nothing"
    yield "layers", f"{len(facts.layers)}"
    yield "size", f"{sizes.compressed} bytes, {sizes.unpacked} unpacked, {sizes.wasted} of them seen by no container"
    yield "files", f"{len(facts.files)}, and {len(facts.shadowed)} that a later layer hides"
    packages = Counter(package.type for package in facts.packages)
    yield "packages", ", ".join(f"{count} {kind}" for kind, count in sorted(packages.items())) or "none"
    yield "executables", f"{sum(1 for _ in facts.executables)}"
    for file in facts.setid:
        yield "set-id", f"{file.path}  {file.capabilities or file.mode}  layer {file.layer}"
    for secret in facts.secrets:
        hidden = "" if secret.hidden_by is None else f", hidden by layer {secret.hidden_by}"
        place = "" if secret.layer is None else f"  layer {secret.layer}{hidden}"
        yield "secret", f"{secret.rule} in {secret.place.value} {secret.name}{place}"
    for unread in facts.unread:
        yield "not read", f"{unread.what} {unread.path}  layer {unread.layer}: {unread.reason}"
