"""Whether a blob can be had, without fetching it: what is there, what is not, and what nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attest.adapters.layout import LayoutStore
from attest.adapters.registry import RegistryStore
from attest.core.oci import Descriptor
from attest.core.reference import LayoutImage, RegistryImage, digest_of, parse_repository
from attest.errors import StoreError
from tests.layouts import Layout
from tests.parts.registry import Registry
from tests.registry.conftest import impatient, real
from tests.registry.faults import FaultyRegistry
from tests.registry.pushing import push_blob

CONTENT = b"a layer"
BLOB = Descriptor(media_type="layer", digest=digest_of(CONTENT), size=len(CONTENT))
OTHERS = (
    Descriptor(media_type="layer", digest=digest_of(b"another"), size=7),
    replace(BLOB, size=BLOB.size + 1),
)
"""A blob that is not there, and one that has another size than is described."""


@pytest.mark.parts
def test_real_registries_say_what_they_hold(any_registry: Registry) -> None:
    """A blob of the repository is there; another one, one of another size, and one next door are not."""
    repository, neighbour = any_registry.fresh_repository(), any_registry.fresh_repository()
    push_blob(any_registry, repository, CONTENT)
    push_blob(any_registry, neighbour, b"something")
    here, there = (
        RegistryImage(repository=parse_repository(one), digest=digest_of(b"image")) for one in (repository, neighbour)
    )
    store = real(any_registry)
    assert store.holds(here, BLOB)
    assert [store.holds(here, other) for other in OTHERS] == [False, False]
    assert not store.holds(there, BLOB)


def test_it_is_one_request_without_a_body(faulty: FaultyRegistry) -> None:
    """Nothing is fetched."""
    faulty.add_blob(CONTENT)
    assert RegistryStore(impatient()).holds(faulty.named(digest_of(b"image")), BLOB)
    assert [handled.method for handled in faulty.seen] == ["HEAD"]


@pytest.mark.parametrize("status", [401, 403, 500, 302])
def test_what_is_no_answer_is_an_error(faulty: FaultyRegistry, status: int) -> None:
    """Only 404 says that a blob is gone: anything else is never taken for that."""
    faulty.add_blob(CONTENT)
    faulty.misbehave(lambda handler: handler.reply(status, b"", {}), "/blobs/")
    with pytest.raises(StoreError):
        RegistryStore(impatient()).holds(faulty.named(digest_of(b"image")), BLOB)


def test_a_layout_says_what_it_holds(tmp_path: Path) -> None:
    """A blob whose bytes are there and are what they should be; not one of another size, or one that was damaged."""
    layout = Layout(tmp_path / "layout")
    file = layout.path / "blobs" / "sha256" / BLOB.digest.removeprefix("sha256:")
    file.write_bytes(CONTENT)
    image = LayoutImage(path=str(layout.path), digest=digest_of(b"image"))
    assert LayoutStore().holds(image, BLOB)
    assert [LayoutStore().holds(image, other) for other in OTHERS] == [False, False]
    file.write_bytes(b"A layer")
    assert not LayoutStore().holds(image, BLOB)
