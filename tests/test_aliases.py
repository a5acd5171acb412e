"""The digests that a container of an image may be known by, from layouts and from real registries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.layout import LayoutStore
from attest.adapters.registry import Access, RegistrySettings, RegistryStore
from attest.core import limits
from attest.core.reference import Digest, LayoutImage, RegistryImage, digest_of, parse_reference
from attest.errors import LimitExceeded, NotFound
from tests.layouts import Entry, Layout
from tests.parts.images import BuiltImage, push
from tests.parts.registry import Registry

UNKNOWN = {"os": "unknown", "architecture": "unknown"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty layout."""
    return Layout(tmp_path / "layout")


def at(layout: Layout, entry: Entry) -> LayoutImage:
    """The reference of an entry."""
    return LayoutImage(path=str(layout.path), digest=Digest(entry["digest"]))


def config_of(layout: Layout, entry: Entry) -> str:
    """The digest of the configuration of an image in a layout."""
    digest: str = json.loads(layout.file_of(entry["digest"]).read_bytes())["config"]["digest"]
    return digest


def test_a_plain_image_has_two_names(layout: Layout) -> None:
    """Its manifest, and its configuration; nothing of another image in the same layout."""
    image, other = layout.add(layout.image()), layout.add(layout.image("another"))
    assert LayoutStore().aliases(at(layout, image)) == {image["digest"], config_of(layout, image)}
    assert other["digest"] not in LayoutStore().aliases(at(layout, image))


def test_an_index_has_those_of_its_platforms(layout: Layout) -> None:
    """Index, manifests and configurations; BuildKit's attestation and an index in the index are nothing that runs."""
    images = [layout.image("one"), layout.image("two", architecture="arm64")]
    attestation = layout.manifest([layout.blob(b"{}", "application/vnd.in-toto+json")])
    buildkit = attestation | {
        "platform": UNKNOWN,
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    inner = layout.index([layout.image("hidden")])
    index = layout.add(layout.index([*images, buildkit, inner]))
    expected = {index["digest"], *(image["digest"] for image in images), *(config_of(layout, one) for one in images)}
    assert LayoutStore().aliases(at(layout, index)) == expected


def test_an_image_that_is_not_there_has_no_names(layout: Layout) -> None:
    """Nobody gets an empty set for it."""
    with pytest.raises(NotFound):
        LayoutStore().aliases(LayoutImage(path=str(layout.path), digest=digest_of(b"x")))


def test_too_many_platforms_are_refused(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on children holds here as everywhere."""
    index = layout.add(layout.index([layout.image("one"), layout.image("two")]))
    monkeypatch.setattr(limits, "PLATFORMS", 1)
    with pytest.raises(LimitExceeded):
        LayoutStore().aliases(at(layout, index))


def stored(registry: Registry, reference: str) -> tuple[RegistryStore, RegistryImage]:
    """A store that reads the registry, and the image in it."""
    settings = RegistrySettings(
        deadline=Deadline(60),
        access=Access.PULL,
        plain_http=False,
        ca_file=None,
        token_hosts=frozenset(),
        docker_config=registry.docker_config_dir,
    )
    image = parse_reference(reference)
    assert isinstance(image, RegistryImage)
    return RegistryStore(settings), image


@pytest.mark.parts
def test_registries_and_layouts_say_the_same(
    any_registry: Registry,
    sample_image: BuiltImage,
    index_image: BuiltImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plain image and an index have the same names in a registry as in the layout that they come from."""
    for built in (sample_image, index_image):
        store, image = stored(any_registry, push(built, any_registry).reference)
        local = parse_reference(built.reference)
        assert isinstance(local, LayoutImage)
        found = store.aliases(image)
        assert found == LayoutStore().aliases(local)
        assert len(found) == 2 + 2 * len(built.platforms) - bool(built.platforms)
        with pytest.raises(NotFound):
            store.aliases(RegistryImage(repository=image.repository, digest=digest_of(b"x")))
    monkeypatch.setattr(limits, "PLATFORMS", 1)
    with pytest.raises(LimitExceeded):
        store.aliases(image)
