"""`attest provenance`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file, write_file
from attest.cli.claims import claims_options, collect_claims
from attest.cli.options import registry_options
from attest.cli.progress import waiting
from attest.cli.stores import Connection, Stores, named_images
from attest.cli.terminal import escape, json_text
from attest.core import limits
from attest.core.reference import RegistryImage
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import EXIT_PASSED, DocumentInvalid, UsageError

if TYPE_CHECKING:
    from attest.ops.provenance import Made

_LANE = "build"  # of the context, which has no part in the predicate


@click.command(
    "provenance",
    epilog="""\b
Examples:
  docker buildx build --target runtime --metadata-file build.json --push --tag registry.example.org/plex/backend .
  attest provenance registry.example.org/plex/backend@sha256:... --metadata build.json \\
      --builder-id https://git.example.org/plex/playlist/.forgejo/workflows/build.yml --output provenance.json
  attest sign registry.example.org/plex/backend@sha256:... --lane build --key keys/build.key \\
      --predicate-type https://slsa.dev/provenance/v1 --predicate provenance.json
  attest provenance IMAGE --containerfile Containerfile --target runtime \\
      --base registry.example.org/base/debian@sha256:... --builder-id https://ci.example.org/builder
""",
)
@click.argument("image")
@click.option(
    "--metadata",
    "metadata_files",
    metavar="FILE",
    type=click.Path(),
    multiple=True,
    help="What the builder wrote: buildx --metadata-file, or `buildah inspect --type image`.",
)
@click.option("--containerfile", metavar="FILE", type=click.Path(), help="The recipe of the image; its digest is told.")
@click.option("--target", metavar="STAGE", help="The stage of the recipe that was built.")
@click.option(
    "--build-arg", "arguments", metavar="NAME[=VALUE]", multiple=True, help="Tell this build argument; no other is."
)
@click.option(
    "--base",
    "bases",
    metavar="IMAGE",
    multiple=True,
    help="The image that it is built on, by digest; refused unless its layers are the first ones.",
)
@click.option(
    "--used-image", "used", metavar="IMAGE", multiple=True, help="An image that another stage was built on, by digest."
)
@click.option("--builder-id", metavar="URI", help="Who built it, as policies name builders.")
@click.option("--invocation-id", metavar="ID", help="Which build it was; else what the builder or the CI says.")
@claims_options
@click.option("--output", "output_file", metavar="FILE", type=click.Path(), help="Write it here, not to the screen.")
@registry_options
def command(
    image: str,
    metadata_files: tuple[str, ...],
    containerfile: str | None,
    target: str | None,
    arguments: tuple[str, ...],
    bases: tuple[str, ...],
    used: tuple[str, ...],
    builder_id: str | None,
    invocation_id: str | None,
    output_file: str | None,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
    **claims: Any,
) -> int:
    """Make the SLSA Provenance v1 of IMAGE, named by digest: a predicate for the build lane to sign.

    What it says comes from the options, from what the builder wrote and, for an image index, from the provenance that
    BuildKit put there, which is unsigned: it tells what to say, and proves nothing. All of them have to agree with each
    other and with the source that the options, the CI or git name. Nothing is signed or pushed.
    """
    from attest.core.lane.provenance import Recipe
    from attest.ops.provenance import Wanted, make_provenance

    if list(metadata_files).count("-") + (containerfile == "-") > 1:
        raise UsageError("of --metadata and --containerfile only one can be standard input")
    has_ended = claims["finished"] is not None  # else the context's is the moment of asking
    collected = collect_claims(_LANE, claims, clock=SystemClock())
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    (named,) = named_images(stores, (image,), ())
    wanted = Wanted(
        image=named.reference,
        recipe=Recipe(
            builder=_uri("--builder-id", builder_id),
            invocation=_line("--invocation-id", invocation_id),
            containerfile=None if containerfile == "-" else _line("--containerfile", containerfile),
            target=_line("--target", target),
            arguments=_arguments(arguments),
            started=collected.context.started,
            finished=collected.context.finished if has_ended else None,
        ),
        bases=_in_registries(stores, "--base", bases),
        images=_in_registries(stores, "--used-image", used),
        containerfile=None if containerfile is None else read_file(containerfile, limit=limits.DOCUMENT),
        papers={file: _json(file) for file in metadata_files},
    )
    with waiting("looking at the image"):
        made = make_provenance(stores, wanted, collected.context)
    for line in (*collected.lines(), *_lines(made)):
        click.echo(line, err=True)
    text = json_text(made.predicate)
    if output_file is None:
        click.echo(text)
    else:
        write_file(output_file, f"{text}\n".encode())
    return EXIT_PASSED


def _lines(made: Made) -> Iterator[str]:
    if made.facts.place:
        yield f"  facts from  {escape(made.facts.place)}"
    definition: Any = made.predicate["buildDefinition"]
    for dependency in definition["resolvedDependencies"]:
        if dependency["name"] == "base":
            yield f"  base        {escape(dependency['uri'])}"
    for name in definition["internalParameters"].get("omittedBuildArguments", ()):
        yield f"  not told    build argument {escape(name)} (--build-arg {escape(name)} tells its value)"


def _in_registries(stores: Stores, option: str, texts: Sequence[str]) -> list[RegistryImage]:
    found = []
    for named in named_images(stores, texts, ()):
        if not isinstance(named.reference, RegistryImage):
            raise UsageError(
                f"{option} {named.reference} is in a layout", hint="name it where others can find it, in a registry"
            )
        found.append(named.reference)
    return found


def _arguments(texts: Sequence[str]) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.isidentifier() or not name.isascii() or not value.isprintable():
            raise UsageError(f"--build-arg {name[:80]!r}: it must be NAME or NAME=VALUE, in one line")
        if name in found:
            raise UsageError(f"--build-arg {name} is given twice")
        found[name] = value if equals else None
    return found


def _line(option: str, text: str | None) -> str | None:
    if text is not None and (not text.strip() or not text.isprintable() or len(text) > 1024):
        raise UsageError(f"{option}: it must be a line of text, of at most 1024 characters")
    return text


def _uri(option: str, text: str | None) -> str | None:
    _line(option, text)
    if text is not None and (":" not in text or " " in text):
        raise UsageError(f"{option}: {text!r} is no URI", hint="write https://HOST/..., as policies name this builder")
    return text


def _json(file: str) -> Json:
    try:
        return loads(read_file(file, limit=limits.BUNDLE))
    except JsonInvalid as error:
        raise DocumentInvalid(f"no description of a build: {error}", file=file) from error
