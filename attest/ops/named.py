"""The images that a command is about, by digest, and the repositories that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attest.core.reference import ImageReference, RegistryImage, Repository
from attest.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An image as the user named it, and the repository that it stands for (None: nobody said)."""

    reference: ImageReference
    repository: Repository | None


def name_images(images: Sequence[ImageReference], repositories: Sequence[Repository]) -> tuple[Named, ...]:
    """Give each image of a layout the repository that it stands for, in order.

    Raises:
        UsageError: more repositories than layout images, or the same image twice.
    """
    waiting = list(repositories)
    named = []
    for image in images:
        if isinstance(image, RegistryImage):
            named.append(Named(reference=image, repository=image.repository))
        else:
            named.append(Named(reference=image, repository=waiting.pop(0) if waiting else None))
    if waiting:
        raise UsageError(
            f"--repository {waiting[0]} is one more than there are oci: images",
            hint="give one --repository for each oci: image, in their order; images in a registry need none",
        )
    twice = {str(image.reference) for image in named if named.count(image) > 1}
    if twice:
        raise UsageError(f"{twice.pop()} is named twice", hint="name each image of the release once")
    return tuple(named)
