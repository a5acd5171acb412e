"""Read a release and everything attached to it, while what it is to be judged by is still being loaded.

Half of what a verdict takes is waiting for a registry, the other half is loading a policy and what reads one. So a
`Reading` begins on its own, and nothing here needs a key, a policy, or a library that is slow to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from attest.core import limits
from attest.core.release import ReleaseImage, StoredImage
from attest.ops.named import Named
from attest.ops.parallel import Channel, Work
from attest.ports import Attached, Reads

_ROOM: Final = 16 * limits.MIB
"""Bytes of bundles that may wait for the keys; the store waits when there are more."""
_ASIDE: Final = 1024
"""What a bundle takes besides its content."""


class Reading:
    """A release that threads of its own read from the moment that this is made.

    As a context manager it is given up at the end of the block: what is still on its way is not waited for.
    """

    def __init__(self, store: Reads, images: Sequence[Named], *, platforms: bool) -> None:
        """With `platforms`, the configuration of a plain image is read for its platform."""
        self._images = tuple(images)
        self._bundles: Channel[Attached] = Channel(senders=len(self._images), room=_ROOM)

        def read(image: Named) -> StoredImage:
            try:
                return store.read(image.reference, platform=platforms, receive=self._receive)
            finally:
                self._bundles.end()

        self._stored = Work(read, self._images)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bundles.abandon()

    def bundles(self) -> Iterator[Sequence[Attached]]:
        """The bundles as they arrive, those together that wait together, until all images are read or have failed."""
        return iter(self._bundles)

    def release(self) -> tuple[ReleaseImage, ...]:
        """The images as they are stored, in their order. To be asked once, behind the last bundle.

        Raises:
            StoreError, LimitExceeded, DeadlineExceeded: something could not be listed or read, so nothing is decided.
        """
        return tuple(
            ReleaseImage(reference=str(image.reference), repository=image.repository, stored=stored)
            for image, stored in zip(self._images, self._stored.results(), strict=True)
        )

    def _receive(self, attached: Attached) -> None:
        self._bundles.put(attached, weight=len(attached.content) + _ASIDE)
