"""Read a release and everything attached to it, and verify each bundle as it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attest.core.evaluate import Found
from attest.core.reference import ImageReference, RegistryImage, Repository
from attest.core.release import ReleaseImage, StoredImage
from attest.core.verify import Keyring, verify
from attest.errors import UsageError
from attest.ops.parallel import each
from attest.ports import Attached, Store


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


def gather(
    store: Store, images: Sequence[Named], keyring: Keyring, *, platform: bool
) -> tuple[tuple[ReleaseImage, ...], list[Found]]:
    """The images of a release as they are stored, and what verification makes of each bundle beside them.

    Bundles are verified as they arrive and only what a trusted key signed is kept, so that memory does not grow
    with what others attach. Images are read in parallel.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: something could not be listed or read, so nothing is decided.
    """
    found: list[Found] = []

    def read(image: ImageReference) -> StoredImage:
        def receive(attached: Attached) -> None:
            outcome = verify(attached.content, keyring, legacy=attached.legacy)
            found.append(Found(outcome=outcome, image=attached.subject))

        return store.read(image, platform=platform, receive=receive)

    stored = each(read, [image.reference for image in images])
    release = tuple(
        ReleaseImage(reference=str(image.reference), repository=image.repository, stored=content)
        for image, content in zip(images, stored, strict=True)
    )
    return release, found


def from_files(bundles: Sequence[bytes], keyring: Keyring) -> list[Found]:
    """What verification makes of bundles that were handed in; they only add to what is listed."""
    return [Found(outcome=verify(content, keyring), image=None) for content in dict.fromkeys(bundles)]
