"""The images that a command is about: named on its command line, or those of a release file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attest.cli.stores import Stores, named_images
from attest.errors import UsageError
from attest.ops.named import Named

if TYPE_CHECKING:
    from attest.core.releasedocument import ReleaseFile

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Images by digest, and the release that they are, where a file says so."""

    images: tuple[Named, ...]
    release: ReleaseFile | None = None

    @property
    def commit(self) -> str | None:
        """The source commit that the release names."""
        return None if self.release is None else self.release.commit

    def agree(self, commit: str | None, *, place: str) -> None:
        """Let a lane sign about a release only where it looked at the commit that the release is of.

        Raises:
            UsageError: `commit`, which `place` names, is another one.
        """
        if self.release is not None:
            from attest.ops.release import agree_on_commit

            agree_on_commit(self.release, commit, place=place)


def release_option(function: F) -> F:
    """`--release FILE`."""
    return click.option(
        "--release",
        "release_file",
        metavar="FILE",
        type=click.Path(),
        help="Take the images of this release instead of IMAGES; - is standard input.",
    )(function)


def choose_images(
    stores: Stores, images: Sequence[str], repositories: Sequence[str], release_file: str | None
) -> Chosen:
    """The images of the command line, or those of the release file; exactly one of the two names some.

    Raises:
        UsageError: both do, or none does.
        DocumentInvalid: the file is no release.
        TagReference, ReferenceInvalid: as `named_images`.
    """
    if release_file is None:
        if not images:
            hint = "name them by digest, as HOST/REPOSITORY@sha256:..., or give --release FILE"
            raise UsageError("nothing says which images", hint=hint)
        return Chosen(images=named_images(stores, images, repositories))
    if images or repositories:
        other = "IMAGES" if images else "--repository"
        raise UsageError(f"{other} and --release exclude each other", hint="the release file names the images")
    release = load_release(release_file)
    from attest.ops.release import images_of

    named = images_of(release)
    stores.open([image.reference for image in named])
    return Chosen(images=named, release=release)


def load_release(file: str) -> ReleaseFile:
    """The release in a file.

    Raises:
        DocumentInvalid: it cannot be read, or is no release; with the place.
    """
    from attest.adapters.documents import parse_document
    from attest.adapters.files import read_file
    from attest.ops.release import open_release

    return open_release(file, read_file=read_file, parse_document=parse_document)
