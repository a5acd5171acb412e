"""A release that is read before anybody knows the keys: at once, within bounds, and given up without a trace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import pytest

from attest.adapters.registry import RegistryStore, crew
from attest.core import limits, oci
from attest.core.oci import Descriptor
from attest.core.reference import Digest, ImageReference, RegistryImage, Repository, TagReferences, digest_of
from attest.core.release import StoredImage
from attest.errors import NotFound, StoreError
from attest.ops import parallel
from attest.ops.named import Named
from attest.ops.reading import Reading
from attest.ports import Attached, Published
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry
from tests.registry.pushing import manifest_of

PATIENCE = 20.0
"""Seconds after which something counts as stuck; no test measures how long it takes."""


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    """A healthy registry, ready to be spoiled."""
    with FaultyRegistry().running() as running:
        yield running


def ours() -> set[threading.Thread]:
    """The threads that read."""
    return {thread for thread in threading.enumerate() if thread.name in (parallel.THREADS, crew.THREADS)}


def reading_of(*images: RegistryImage, platforms: bool = False) -> Reading:
    """A reading of images in a real store."""
    return Reading(
        RegistryStore(impatient()),
        [Named(reference=image, repository=image.repository) for image in images],
        platforms=platforms,
    )


def wait_until(condition: Callable[[], object]) -> bool:
    """Whether something becomes true."""
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return True
        threading.Event().wait(0.01)
    return False


@dataclass(slots=True)
class Flood:
    """A store without an end: no real one sends so much, since adapters have limits of their own."""

    size: int
    sent: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """Send bundles until nobody wants more."""
        assert not platform
        try:
            for number in range(100_000):
                content = number.to_bytes(4, "big") + bytes(self.size - 4)
                receive(
                    Attached(
                        subject=image.digest,
                        manifest=image.digest,
                        digest=Digest(f"sha256:{number:064x}"),
                        content=content,
                        legacy=False,
                    )
                )
                self.sent += 1
        finally:
            self.stopped.set()
        descriptor = Descriptor(media_type=oci.MANIFEST, digest=image.digest, size=1)
        return StoredImage(descriptor=descriptor, children=None, platform=None)

    def resolve(self, tag: TagReferences) -> Digest:
        """Not asked for."""
        raise NotImplementedError

    def describe(self, image: ImageReference) -> Descriptor:
        """Not asked for."""
        raise NotImplementedError

    def publish(
        self, image: ImageReference, subject: Descriptor, bundle: bytes, *, predicate_type: str, created: str
    ) -> Published:
        """Not asked for."""
        raise NotImplementedError


# ---- it begins at once


def test_reading_begins_before_anybody_asks(registry: FaultyRegistry) -> None:
    """The registry is asked for everything, the bundles included, though nobody has looked at the reading yet."""
    image = registry.add_image()
    registry.add_attestation(image, b"a bundle")
    with reading_of(image) as reading:
        assert wait_until(lambda: any("/blobs/" in seen.path for seen in registry.seen))
        (bundle,) = chain.from_iterable(reading.bundles())
        (stored,) = reading.release()
    assert (bundle.content, bundle.subject, stored.digest) == (b"a bundle", image.digest, image.digest)


def test_every_bundle_of_every_image_arrives(registry: FaultyRegistry) -> None:
    """Of several images all bundles arrive, each with its subject, and the release has the order of the images."""
    images = []
    for number in range(12):
        content = manifest_of(b"%d" % number)
        registry.add_blob(b"%d" % number)
        image = registry.named(registry.add_manifest(content))
        images.append(image)
        for one in range(3):
            registry.add_attestation(image, b"bundle %d of %d" % (one, number))
    with reading_of(*images) as reading:
        found = {(bundle.subject, bundle.content) for bundle in chain.from_iterable(reading.bundles())}
        release = reading.release()
    assert found == {
        (image.digest, b"bundle %d of %d" % (one, number)) for number, image in enumerate(images) for one in range(3)
    }
    assert [image.digest for image in release] == [image.digest for image in images]


@pytest.mark.parametrize("platforms", [True, False])
def test_the_configuration_is_read_where_platforms_are_named(platforms: bool, registry: FaultyRegistry) -> None:
    """The platform of a plain image is read in the same go where it is asked for, and costs no request elsewhere."""
    image = registry.add_image()
    with reading_of(image, platforms=platforms) as reading:
        assert list(reading.bundles()) == []
        (stored,) = reading.release()
    assert any("/blobs/" in seen.path for seen in registry.seen) is platforms
    assert (stored.platforms[0][1] is not None) is platforms


# ---- errors


def test_an_error_comes_behind_the_bundles(registry: FaultyRegistry) -> None:
    """What could not be read is an error of the release, never an end of the bundles that looks like all of them."""
    image = registry.add_image()
    registry.add_attestation(image, b"a bundle")
    registry.misbehave(faults.status(403), "/tags/")
    with reading_of(image) as reading:
        assert len(list(reading.bundles())) <= 1
        with pytest.raises(StoreError):
            reading.release()


def test_the_first_image_that_fails_is_told(registry: FaultyRegistry) -> None:
    """Of several images the error is that of the first which fails, in the order in which they were named."""
    absent = [registry.named(digest_of(b"%d" % number)) for number in range(3)]
    with reading_of(registry.add_image(), *absent) as reading:
        assert list(reading.bundles()) == []
        with pytest.raises(NotFound, match=absent[0].digest):
            reading.release()


# ---- bounds


@pytest.mark.parametrize("size", [16, 1000, 1_000_000])
def test_what_waits_for_the_keys_is_bounded(size: int) -> None:
    """Of 100,000 bundles that a hostile store sends before the keys are known, some 16 MiB are held and no more; while

    they are verified, as many again.
    """
    flood = Flood(size)
    image = RegistryImage(repository=Repository(host="registry.example.org", path="app"), digest=digest_of(b"x"))
    with Reading(flood, [Named(reference=image, repository=image.repository)], platforms=False) as reading:
        room = 16 * limits.MIB
        most = room // (size + 1024)
        assert wait_until(lambda: flood.sent >= most)
        assert not flood.stopped.wait(0.2)
        assert flood.sent == most
        bundles = reading.bundles()
        first = next(bundles)
        assert (len(first), first[0].content[:4]) == (most, bytes(4))
        assert wait_until(lambda: flood.sent == 2 * most)
        assert not flood.stopped.wait(0.2)
        assert flood.sent == 2 * most
    assert flood.stopped.wait(PATIENCE)
    assert flood.sent <= 2 * most + 1


# ---- giving up


@pytest.mark.parametrize("fault", [None, faults.hang, faults.status(500), faults.reset])
def test_giving_up_waits_for_nobody(fault: faults.Fault | None, registry: FaultyRegistry) -> None:
    """A reading that is given up is left at once, whatever the registry does, and its threads end with its answers."""
    before = ours()
    image = registry.add_image()
    registry.add_attestation(image, b"a bundle")
    if fault is not None:
        registry.misbehave(fault)
    with reading_of(image, registry.named(digest_of(b"another"))):
        assert wait_until(lambda: registry.seen)
    left = ours() - before
    assert all(thread.daemon for thread in left)
    registry.stopping.set()
    assert wait_until(lambda: not any(thread.is_alive() for thread in left | (ours() - before)))


def test_an_error_in_the_block_ends_the_reading(registry: FaultyRegistry) -> None:
    """An error inside the block, as that of a policy, is the error that is told, and the reading ends."""
    before = ours()
    image = registry.add_image()
    with pytest.raises(LookupError, match="of the policy"), reading_of(image):
        raise LookupError("of the policy")
    assert wait_until(lambda: not ours() - before)
