"""`attest image diff`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from attest.cli.changelines import SHOWN, change_lines
from attest.cli.options import format_option, registry_options
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED, EXIT_REFUSED

if TYPE_CHECKING:
    from attest.core.image.diff import ImageDiff, PlatformDiff
    from attest.core.image.facts import ImageFacts

_WIDTH: Final = 13


@click.command(
    "diff",
    epilog="""\b
Examples:
  attest image diff registry.example.org/plex/backend@sha256:... oci:build/backend
  attest image diff oci:yesterday/backend oci:build/backend --format json > diff.json
  attest image diff oci-archive:one.tar docker-archive:other.tar --exit-code
""",
)
@click.argument("image_a", metavar="A")
@click.argument("image_b", metavar="B")
@click.option("--exit-code", is_flag=True, help="End with 1 if the images differ, as git diff does.")
@format_option
@registry_options
def command(
    image_a: str,
    image_b: str,
    exit_code: bool,
    output: str,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Show what is in image B and not in A, and the reverse: configuration, packages, files, sizes.

    Each difference is told with the layer and the build step that brought it. Platforms are matched by their names.
    Bytes of files are not compared: what another layer wrote again, alike in all that is known, is counted. An image
    may also stand in an archive: oci-archive:PATH or docker-archive:PATH.

    Exit code 0 means that both images were read, whatever differs; with --exit-code it is 1 if anything does.
    """
    from attest.core.image.diff import diff_images

    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    before, after = _facts(stores, image_a), _facts(stores, image_b)
    diff = diff_images(before, after)
    if output == "json":
        from attest.core.image.diffdocument import diff_document

        click.echo(json_text(diff_document(diff, before=image_a, after=image_b)))
    else:
        for line in _lines(diff, image_a, image_b):
            click.echo(line)
    return EXIT_REFUSED if exit_code and diff.differs else EXIT_PASSED


def _facts(stores: Stores, image: str) -> ImageFacts:
    from attest.cli.imagesources import layer_readers, open_image
    from attest.cli.layerprogress import reading_layers
    from attest.ops.facts import gather_facts

    with reading_layers() as progress, open_image(stores, image) as source:
        return gather_facts(source, layer_readers(), progress=progress)


def _lines(diff: ImageDiff, before: str, after: str) -> Iterator[str]:
    yield f"A  {escape(before)}  {diff.before}"
    yield f"B  {escape(after)}  {diff.after}"
    for platform in diff.platforms:
        yield from _platform(platform)
    for side, names in (("A", diff.only_before), ("B", diff.only_after)):
        for name in names:
            yield f"{escape(name)}  {click.style(f'only in {side}', fg='yellow')}"


def _platform(diff: PlatformDiff) -> Iterator[str]:
    same = "" if diff.count else f"  {click.style('no difference', fg='green')}"
    yield f"{escape(diff.platform)}{same}"
    if not diff.count and diff.before.manifest != diff.after.manifest:
        yield "  the manifests differ in nothing that is compared: times of the history, or how layers are compressed"
    for section, changes in diff.changes.items():
        if changes:
            yield f"  {click.style(section.value.ljust(_WIDTH), bold=True)}{len(changes)}"
        for each in changes[:SHOWN]:
            yield from change_lines(each.kind, each.message, each.origin, each.former, indent=4)
        if len(changes) > SHOWN:
            yield f"    and {len(changes) - SHOWN} more; --format json has them all"
    if diff.rewritten:
        yield f"  {click.style('rewritten'.ljust(_WIDTH), bold=True)}{len(diff.rewritten)}"
        yield "    files that another layer wrote again, alike in all that is known; their bytes are not compared"
    for side, facts in (("A", diff.before), ("B", diff.after)):
        for unread in facts.unread:
            words = f"{unread.what} in {unread.path}, layer {unread.layer}: {unread.reason}"
            yield f"  {click.style('not read'.ljust(_WIDTH), fg='yellow')}{side}: {escape(words)}"
