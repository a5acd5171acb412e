"""OCI image layouts beside other tools: what buildah made is read, and oras sees what we attach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attest.adapters.layout import LayoutStore
from attest.core.reference import Digest, LayoutImage, LayoutTag
from attest.core.release import ChildKind, StoredImage
from attest.ports import Attached, Published
from tests.parts import oras_cli
from tests.parts.images import BuiltImage, copy_layout

pytestmark = pytest.mark.parts

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
CREATED = "2026-01-02T03:04:05Z"


def reference(image: BuiltImage, digest: str | None = None) -> LayoutImage:
    """The image, or another digest in its layout."""
    return LayoutImage(path=str(image.layout), digest=Digest(digest or image.digest))


def publish(image: BuiltImage, bundle: bytes, digest: str | None = None) -> Published:
    """Attach a bundle."""
    store, named = LayoutStore(), reference(image, digest)
    return store.publish(named, store.describe(named), bundle, predicate_type=PREDICATE, created=CREATED)


def read(image: BuiltImage) -> tuple[StoredImage, list[Attached]]:
    """The image and what is attached to it."""
    found: list[Attached] = []
    return LayoutStore().read(reference(image), platform=True, receive=found.append), found


def test_a_built_image_is_read_and_resolved(sample_image: BuiltImage) -> None:
    """buildah's layout of one image names its tag, its platform and no attestations."""
    stored, found = read(sample_image)
    assert stored.descriptor.size == len(sample_image.manifest)
    assert stored.platform is not None
    assert stored.platform.os == "linux"
    assert found == []
    for tag in (sample_image.tag, None):
        assert LayoutStore().resolve(LayoutTag(path=str(sample_image.layout), tag=tag)) == sample_image.digest


def test_a_built_index_is_read_with_its_platforms(index_image: BuiltImage) -> None:
    """buildah's layout of an index names two platforms, and a platform is an image of its own."""
    stored, _ = read(index_image)
    assert stored.children is not None
    assert [(child.digest, str(child.platform), child.kind) for child in stored.children] == [
        (digest, platform, ChildKind.PLATFORM) for platform, digest in index_image.by_platform.items()
    ]
    assert sorted(index_image.by_platform) == ["linux/amd64", "linux/arm64"]
    child = reference(index_image, index_image.by_platform["linux/arm64"])
    platform = LayoutStore().read(child, platform=True, receive=lambda _: None).platform
    assert str(platform) == "linux/arm64"


def test_oras_discovers_what_is_published(sample_image: BuiltImage, tmp_path: Path) -> None:
    """`oras discover --oci-layout` lists every attestation, with its type and annotations."""
    image = copy_layout(sample_image, tmp_path / "layout")
    published = [publish(image, b"bundle %d" % number) for number in range(3)]
    found = oras_cli.discover_in_layout(image.layout, image.digest)
    assert {one.digest for one in found} == {one.manifest for one in published}
    assert {one.artifact_type for one in found} == {BUNDLE}
    assert {one.annotations["dev.sigstore.bundle.predicateType"] for one in found} == {PREDICATE}


def test_what_is_published_to_a_platform_is_no_referrer_of_the_index(index_image: BuiltImage, tmp_path: Path) -> None:
    """A child of an index has attestations of its own: found through both, and not shown as the index's by oras."""
    image = copy_layout(index_image, tmp_path / "layout")
    child = image.platforms[1]
    of_the_child, of_the_index = publish(image, b"of the child", child), publish(image, b"of the index")
    assert {(one.subject, one.manifest) for one in read(image)[1]} == {
        (child, of_the_child.manifest),
        (image.digest, of_the_index.manifest),
    }
    assert [one.digest for one in oras_cli.discover_in_layout(image.layout, image.digest)] == [of_the_index.manifest]


def test_oras_and_attest_leave_each_other_s_referrers_alone(sample_image: BuiltImage, tmp_path: Path) -> None:
    """Each adds to an index that the other has written; nothing is lost, and the image is still the only one."""
    image = copy_layout(sample_image, tmp_path / "layout")
    sbom = tmp_path / "sbom.json"
    sbom.write_text(json.dumps({"spdxVersion": "SPDX-2.3"}))
    oras_cli.attach_in_layout(image.layout, image.digest, artifact_type="application/spdx+json", file=sbom)
    publish(image, b"one")
    oras_cli.attach_in_layout(image.layout, image.digest, artifact_type="application/vnd.example", file=sbom)
    publish(image, b"two")
    found = oras_cli.discover_in_layout(image.layout, image.digest)
    assert sorted(one.artifact_type for one in found) == [
        "application/spdx+json",
        BUNDLE,
        BUNDLE,
        "application/vnd.example",
    ]
    assert sorted(one.content for one in read(image)[1]) == [b"one", b"two"]
    assert LayoutStore().resolve(LayoutTag(path=str(image.layout), tag=None)) == image.digest
