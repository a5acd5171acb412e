"""What an image's manifest describes is read from either kind of store, byte for byte, or not at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.layout import LayoutStore
from attest.adapters.registry import Access, RegistrySettings, RegistryStore
from attest.core import limits
from attest.core.oci import Descriptor, Manifest
from attest.core.reference import Digest, ImageReference, LayoutImage, RegistryImage, digest_of, parse_repository
from attest.errors import InternalError, LimitExceeded, NotFound, StoreMisbehaved
from attest.ports import Store
from tests.layouts import Layout
from tests.registry.faults import FaultyRegistry

NOWHERE = Digest("sha256:" + "0" * 64)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A store with an image, and a way to damage a blob of it."""

    store: Store
    image: ImageReference
    damage: Any


def registry_store() -> RegistryStore:
    """A store for registries on loopback."""
    return RegistryStore(
        RegistrySettings(
            deadline=Deadline(30),
            access=Access.PULL,
            plain_http=False,
            ca_file=None,
            token_hosts=frozenset(),
            docker_config=None,
        )
    )


@pytest.fixture(params=["layout", "registry"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An image in a layout, and one in a registry."""
    if request.param == "layout":
        layout = Layout(tmp_path / "image")
        entry = layout.add(layout.image(), name="v1")

        def damage(digest: Digest, content: bytes) -> None:
            layout.file_of(digest).write_bytes(content)

        image = LayoutImage(path=str(tmp_path / "image"), digest=Digest(entry["digest"]))
        yield Place(store=LayoutStore(), image=image, damage=damage)
        return
    with FaultyRegistry().running() as registry:
        found = registry.add_image()

        def replace(digest: Digest, content: bytes) -> None:
            registry.blobs[digest] = content

        yield Place(store=registry_store(), image=found, damage=replace)


def config_of(place: Place) -> Descriptor:
    """The descriptor of the image's configuration."""
    manifest = place.store.manifest(place.image)
    assert isinstance(manifest, Manifest)
    return manifest.config


def test_what_a_manifest_describes_is_read(place: Place) -> None:
    """The configuration is exactly the bytes that the manifest describes."""
    config = config_of(place)
    content = place.store.blob(place.image, config, limit=limits.CONFIG)
    assert (digest_of(content), len(content)) == (config.digest, config.size)


def test_more_than_the_limit_is_not_read(place: Place) -> None:
    """A blob that is said to be larger than the limit is refused before it is read."""
    config = config_of(place)
    with pytest.raises(LimitExceeded):
        place.store.blob(place.image, config, limit=config.size - 1)


def test_a_blob_of_another_size_is_refused(place: Place) -> None:
    """A descriptor that lies about the size describes nothing, whichever way it lies."""
    config = config_of(place)
    for size in (config.size - 1, config.size + 1):
        with pytest.raises(StoreMisbehaved):
            place.store.blob(place.image, dataclasses.replace(config, size=size), limit=limits.CONFIG)


def test_other_bytes_are_refused(place: Place) -> None:
    """A store that holds other bytes under a digest is not believed."""
    config = config_of(place)
    place.damage(config.digest, b"x" * config.size)
    with pytest.raises(StoreMisbehaved):
        place.store.blob(place.image, config, limit=limits.CONFIG)


def test_what_is_not_there_is_not_found(place: Place) -> None:
    """An image or a blob that is not there is an error of its own."""
    with pytest.raises(NotFound):
        place.store.manifest(dataclasses.replace(place.image, digest=NOWHERE))
    with pytest.raises(NotFound):
        place.store.blob(place.image, dataclasses.replace(config_of(place), digest=NOWHERE), limit=limits.CONFIG)


def test_a_store_is_asked_about_its_own_images() -> None:
    """An image of the other kind is a defect of attest, and no image that is not there."""
    layout = LayoutImage(path="image", digest=NOWHERE)
    registry = RegistryImage(repository=parse_repository("localhost:5000/a"), digest=NOWHERE)
    with pytest.raises(InternalError):
        registry_store().manifest(layout)
    with pytest.raises(InternalError):
        LayoutStore().manifest(registry)
