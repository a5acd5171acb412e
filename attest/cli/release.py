"""`attest release create`, `attest release check` and `attest release schema`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest.adapters.files import read_file, write_file
from attest.cli.options import format_option, registry_options, repository_option
from attest.cli.progress import waiting
from attest.cli.schemas import add_schema
from attest.cli.stores import Connection, Stores, named_images
from attest.cli.terminal import escape, json_text
from attest.core import limits
from attest.core.reference import LayoutImage
from attest.errors import EXIT_PASSED, DocumentInvalid, UsageError

if TYPE_CHECKING:
    from attest.core.releasedocument import ReleaseFile
    from attest.ops.named import Named


@click.group("release")
def command() -> None:
    """Make and explain release files: the images that are tested, promoted and deployed together."""


@command.command(
    "create",
    epilog="""\b
Examples:
  attest release create --service backend=registry.example.org/plex/backend@sha256:... \\
      --service frontend=registry.example.org/plex/frontend@sha256:... --output release.yaml
  attest release create --service backend=oci:build/backend@sha256:... \\
      --repository registry.example.org/plex/backend --commit 4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70
""",
)
@click.option(
    "--service",
    "service_texts",
    metavar="NAME=IMAGE",
    multiple=True,
    required=True,
    help="A service and the image that it runs, by digest; once for each.",
)
@repository_option
@click.option("--commit", metavar="SHA", help="The full commit that all images are built from; else the CI's or git's.")
@click.option("--output", "output_file", metavar="FILE", type=click.Path(), help="Write it here, not to the screen.")
@click.option("--force", is_flag=True, help="Overwrite a file that says something else.")
@registry_options
def create(
    service_texts: tuple[str, ...],
    repositories: tuple[str, ...],
    commit: str | None,
    output_file: str | None,
    force: bool,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Make a release file of images that are there, each named by digest.

    The same images and the same commit make the same bytes. A file that says something else is kept, unless --force
    is given. A release file proves nothing: lanes sign its images, and `attest verify --release FILE` decides.
    """
    from attest.core.releasedocument import write_release
    from attest.ops.release import create_release, service_names

    services = service_names(service_texts)
    source = _commit(commit)
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    named = dict(zip(services, named_images(stores, list(services.values()), repositories), strict=True))
    with waiting("looking for the images"):
        release = create_release(stores, named, commit=source)
    if output_file is None:
        click.echo(write_release(release), nl=False)
        return EXIT_PASSED
    content = write_release(_for_file(output_file, release)).encode()
    if _keep(output_file, content, force=force):
        click.echo(f"{escape(output_file)} says this already", err=True)
    else:
        write_file(output_file, content)
        click.echo(f"{escape(output_file)}: {_count(named)} of commit {source}", err=True)
    return EXIT_PASSED


@command.command(
    "check",
    epilog="""\b
Examples:
  attest release check release.yaml
  attest release check release.yaml --format json
""",
)
@click.argument("file", type=click.Path())
@format_option
def check(file: str, output: str) -> int:
    """Read the release in FILE, and say what it is.

    Exit code 0 means that it is valid, 2 that it is not; the error names file, line, column and what would be right.
    No registry is asked: whether the images are there and may be promoted is what `attest verify` says.
    """
    from attest.cli.images import load_release

    release = load_release(file)
    if output == "json":
        document = {
            "schema": "attest.release/v1",
            "commit": release.commit,
            "services": {
                name: {"image": str(one.image), "repository": str(one.repository), "digest": one.image.digest}
                for name, one in release.services.items()
            },
        }
        click.echo(json_text(document))
        return EXIT_PASSED
    for line in _lines(file, release):
        click.echo(line)
    return EXIT_PASSED


def _schema() -> Any:
    from attest.core.releasedocument import schema

    return schema()


add_schema(command, "release", of="a release file", schema=_schema)


def _commit(text: str | None) -> str:
    from attest.adapters.context import Flags, ForeignCode, detect

    detected = detect(
        os.environ,
        str(Path.cwd()),
        flags=Flags(source_commit=text),
        foreign_code=ForeignCode.ALLOW,  # nothing is signed here
    )
    found = detected.commit
    if found is None:
        raise UsageError(
            "no source commit is known: no flag, no CI and no git checkout says one", hint="name it with --commit"
        )
    if text is None:
        click.echo(f"  commit      {found.value}  ({escape(found.place)})", err=True)
    if detected.dirty:
        click.echo(f"  {click.style('dirty', fg='yellow')}       tracked files differ from the commit", err=True)
    return found.value


def _for_file(file: str, release: ReleaseFile) -> ReleaseFile:
    """The same with paths of layouts from the file's folder on, as they are read again."""
    from attest.core.releasedocument import ReleaseFile, Service

    folder = Path(file).parent
    services = {}
    for name, service in release.services.items():
        image = service.image
        if isinstance(image, LayoutImage) and not image.path.startswith("/"):
            image = LayoutImage(path=os.path.relpath(image.path, folder), digest=image.digest)
        services[name] = Service(image=image, repository=service.repository)
    return ReleaseFile(commit=release.commit, services=services)


def _keep(file: str, content: bytes, *, force: bool) -> bool:
    """Whether the file says this already."""
    path = Path(file)
    if force or not (path.exists() or path.is_symlink()) or (path.exists() and not path.is_file()):
        return False  # a device or a pipe is written to
    try:
        before = read_file(file, limit=limits.DOCUMENT)
    except DocumentInvalid as error:
        raise UsageError(f"{error.message}, and so is not overwritten", hint="give --force, or another --output") from (
            error
        )
    if before != content:
        raise UsageError(
            f"{file} is there and says something else", hint="give --force to overwrite it, or another --output"
        )
    return True


def _count(named: Mapping[str, Named]) -> str:
    return f"{len(named)} {'image' if len(named) == 1 else 'images'}"


def _lines(file: str, release: ReleaseFile) -> Iterator[str]:
    yield f"{escape(file)} is a valid release."
    yield ""
    yield f"commit    {release.commit}"
    yield "services"
    wide = max(map(len, release.services))
    for name, service in release.services.items():
        yield f"  {name:<{wide}}  {escape(str(service.image))}"
        if isinstance(service.image, LayoutImage):
            yield f"  {'':<{wide}}  stands for {escape(str(service.repository))}"
    yield ""
    shown = escape(file)
    yield "A joint lane signs one statement about exactly these images:"
    yield f"  attest sign --release {shown} --lane NAME --key FILE --result passed"
    yield "They pass together or not at all:"
    yield f"  attest verify --release {shown} --policy FILE"
