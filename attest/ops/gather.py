"""Read a release and everything attached to it, and verify each bundle as it arrives."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.evaluate import Found
from attest.core.reference import ImageReference
from attest.core.release import ReleaseImage, StoredImage
from attest.core.verify import Keyring, verify
from attest.ops.named import Named
from attest.ops.parallel import each
from attest.ports import Attached, Store


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
