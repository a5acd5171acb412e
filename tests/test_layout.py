"""Reading images and attestations from an OCI image layout, and what a hostile or damaged one may not do."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.layout import LayoutStore
from attest.core import limits, oci
from attest.core.reference import Digest, LayoutImage, LayoutTag, RegistryImage, RegistryTag, Repository
from attest.core.release import ChildKind, StoredImage
from attest.errors import (
    AccessDenied,
    InternalError,
    LimitExceeded,
    NotFound,
    ReferenceInvalid,
    StoreError,
    StoreMisbehaved,
)
from attest.ports import Attached
from tests.layouts import DSSE, MANIFEST, Entry, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty layout."""
    return Layout(tmp_path / "layout")


def at(layout: Layout, entry: Entry) -> LayoutImage:
    """The reference of an entry."""
    return LayoutImage(path=str(layout.path), digest=Digest(entry["digest"]))


def read(layout: Layout, entry: Entry, *, platform: bool = False) -> tuple[StoredImage, list[Attached]]:
    """The image, and what is attached to it."""
    found: list[Attached] = []
    stored = LayoutStore().read(at(layout, entry), platform=platform, receive=found.append)
    return stored, found


def contents(layout: Layout, entry: Entry) -> list[bytes]:
    """The bundles attached to an image."""
    return [attached.content for attached in read(layout, entry)[1]]


def test_an_image_without_attestations_is_read(layout: Layout) -> None:
    """A plain image has no children and, unless it was asked for, no platform."""
    image = layout.add(layout.image())
    stored, found = read(layout, image)
    assert found == []
    assert stored.children is None
    assert stored.platform is None
    assert stored.descriptor == oci.Descriptor(media_type=MANIFEST, digest=Digest(image["digest"]), size=image["size"])
    assert LayoutStore().describe(at(layout, image)) == stored.descriptor


def test_the_platform_comes_from_the_configuration(layout: Layout) -> None:
    """Asked for it, a plain image's platform is what its configuration names."""
    image = layout.add(layout.image(architecture="arm64"))
    assert read(layout, image, platform=True)[0].platform == oci.Platform(os="linux", architecture="arm64")


def test_a_configuration_without_a_platform_is_no_answer(layout: Layout) -> None:
    """An image whose configuration names no platform is an error where the platform is asked for."""
    image = layout.add(layout.manifest([]))
    with pytest.raises(StoreMisbehaved, match="names no os and architecture"):
        read(layout, image, platform=True)


def test_every_referrer_in_the_index_is_found(layout: Layout) -> None:
    """Manifests whose subject is the image are attestations, with the digests of what carries them."""
    image = layout.add(layout.image())
    first = layout.add(layout.referrer(image, b"one"))
    layout.add(layout.referrer(layout.image("another"), b"of another image"))
    second = layout.add(layout.referrer(image, b"two"))
    _, found = read(layout, image)
    assert [(item.content, item.manifest, item.subject, item.legacy) for item in found] == [
        (b"one", first["digest"], image["digest"], False),
        (b"two", second["digest"], image["digest"], False),
    ]


@pytest.mark.parametrize(
    "claim",
    [
        {"artifactType": "application/vnd.example.sbom"},
        {"artifactType": None},
        {"annotations": {"dev.sigstore.bundle.predicateType": "https://example.org/other"}},
        {"platform": {"os": "unknown", "architecture": "unknown"}},
    ],
)
def test_what_the_index_claims_hides_nothing(layout: Layout, claim: Entry) -> None:
    """An attestation is found by what its manifest says, whatever its entry says."""
    image = layout.add(layout.image())
    layout.add(layout.referrer(image, b"failed"), **claim)
    assert contents(layout, image) == [b"failed"]


def test_a_referrer_that_is_no_bundle_is_no_attestation(layout: Layout) -> None:
    """An SBOM attached to the image is passed over."""
    image = layout.add(layout.image())
    layout.add(layout.referrer(image, b"{}", media_type="application/spdx+json"))
    assert contents(layout, image) == []


def test_entries_that_are_no_manifests_are_passed_over(layout: Layout) -> None:
    """The image-spec's own example lists an XML file, which need not even be there."""
    image = layout.add(layout.image())
    layout.add({"mediaType": "application/xml", "digest": f"sha256:{'7' * 64}", "size": 5})
    assert contents(layout, image) == []
    assert LayoutStore().resolve(LayoutTag(path=str(layout.path), tag=None)) == image["digest"]


def test_a_fallback_list_is_followed(layout: Layout) -> None:
    """What a registry's list of the fallback scheme names is found, and once where the index has it too."""
    image = layout.add(layout.image())
    listed = layout.referrer(image, b"listed only")
    both = layout.add(layout.referrer(image, b"both"))
    foreign = layout.referrer(layout.image("another"), b"of another image")
    xml = {"mediaType": "application/xml", "digest": f"sha256:{'7' * 64}", "size": 5}
    tag = image["digest"].replace(":", "-")
    layout.add(layout.index([listed, both, listed, foreign, xml]), name=tag)
    assert sorted(contents(layout, image)) == [b"both", b"listed only"]


def test_a_fallback_list_under_a_whole_reference_is_followed(layout: Layout) -> None:
    """Some tools write the repository in front of the tag."""
    image = layout.add(layout.image())
    listed = layout.referrer(image, b"listed only")
    tag = image["digest"].replace(":", "-")
    layout.add(layout.index([listed]), name=f"registry.example.org/app:{tag}")
    assert contents(layout, image) == [b"listed only"]


def test_an_index_under_another_name_is_no_list(layout: Layout) -> None:
    """The list of another image, or any index, says nothing about this one, and may lack its parts."""
    image = layout.add(layout.image())
    gone = {"mediaType": MANIFEST, "digest": f"sha256:{'7' * 64}", "size": 5}
    layout.add(layout.index([gone]), name=f"sha256-{'8' * 64}")
    layout.add(layout.index([gone]))
    assert contents(layout, image) == []


def test_legacy_attestations_are_found(layout: Layout) -> None:
    """The layers of cosign's image `sha256-<hex>.att` are envelopes without a bundle."""
    image = layout.add(layout.image())
    tag = image["digest"].replace(":", "-") + ".att"
    layers = [layout.blob(b"one", DSSE), layout.blob(b"two", DSSE)]
    legacy = layout.add(layout.manifest(layers), name=tag)
    _, found = read(layout, image)
    assert [(item.content, item.legacy, item.manifest) for item in found] == [
        (b"one", True, legacy["digest"]),
        (b"two", True, legacy["digest"]),
    ]


def test_the_same_bundle_is_handed_over_once(layout: Layout) -> None:
    """A bundle in two manifests and in two entries is one bundle."""
    image = layout.add(layout.image())
    layout.add(layout.referrer(image, b"same"))
    layout.add(layout.referrer(image, b"same"))
    layout.add(layout.referrer(image, b"same", b"same", annotations={"created": "later"}))
    assert contents(layout, image) == [b"same"]


def test_children_of_an_index_are_read_and_told_apart(layout: Layout) -> None:
    """Platforms, BuildKit's attestation manifests and nested indexes are named as what they are."""
    one = {**layout.image("one"), "platform": {"os": "linux", "architecture": "amd64"}}
    two = {**layout.image("two"), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
    statement = layout.blob(b"{}", "application/vnd.in-toto+json")
    buildkit = {
        **layout.manifest([statement]),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    nested = layout.index([])
    index = layout.add(layout.index([one, two, buildkit, nested]))
    layout.add(layout.referrer(index, b"of the index"))
    layout.add(layout.referrer(two, b"of a platform"))
    layout.add(layout.referrer(buildkit, b"of no platform"))
    stored, found = read(layout, index, platform=True)
    assert stored.children is not None
    assert [(child.digest, child.kind, str(child.platform)) for child in stored.children] == [
        (one["digest"], ChildKind.PLATFORM, "linux/amd64"),
        (two["digest"], ChildKind.PLATFORM, "linux/arm64/v8"),
        (buildkit["digest"], ChildKind.ATTESTATION, "unknown/unknown"),
        (nested["digest"], ChildKind.INDEX, "None"),
    ]
    assert stored.platform is None
    assert {(item.subject, item.content) for item in found} == {
        (index["digest"], b"of the index"),
        (two["digest"], b"of a platform"),
    }


def test_a_child_of_an_index_is_an_image_too(layout: Layout) -> None:
    """A platform can be named by its own digest, though only the index has it in its list."""
    child = layout.image()
    layout.add(layout.index([child]))
    layout.add(layout.referrer(child, b"of the platform"))
    assert contents(layout, child) == [b"of the platform"]


@pytest.mark.parametrize("in_an_index", [False, True])
def test_the_type_of_a_manifest_may_stand_in_the_list_alone(layout: Layout, in_an_index: bool) -> None:
    """`mediaType` is optional in a manifest; then the descriptor has to name it."""
    document = {"schemaVersion": 2, "config": layout.blob(b"{}"), "layers": []}
    image = layout.blob(json.dumps(document).encode(), MANIFEST)
    with pytest.raises(StoreMisbehaved, match="media type None"):
        read(layout, image)
    layout.add(layout.index([image]) if in_an_index else image)
    assert read(layout, image)[0].descriptor.media_type == MANIFEST


def test_a_manifest_of_two_types_is_refused(layout: Layout) -> None:
    """An entry that contradicts its manifest is ambiguous (CVE-2021-41190)."""
    image = layout.image()
    layout.add(image, mediaType="application/vnd.docker.distribution.manifest.v2+json")
    with pytest.raises(StoreMisbehaved, match="but says that it is"):
        read(layout, image)


def test_an_image_that_is_not_there_is_not_found(layout: Layout) -> None:
    """An unknown digest is not found, in a layout with blobs and in one without."""
    image = LayoutImage(path=str(layout.path), digest=Digest(f"sha256:{'7' * 64}"))
    for _ in range(2):
        with pytest.raises(NotFound, match="has no blob"):
            LayoutStore().describe(image)
        if (layout.path / "blobs").exists():
            (layout.path / "blobs" / "sha256").rmdir()
            (layout.path / "blobs").rmdir()


@pytest.mark.parametrize("which", ["entry", "listed", "layer", "child"])
def test_a_missing_blob_is_never_an_absent_attestation(layout: Layout, which: str) -> None:
    """Whatever is listed and missing might be an attestation, or the image's part: the image cannot be decided."""
    child = layout.image()
    image = layout.add(layout.index([child]))
    listed = layout.referrer(image, b"listed")
    layout.add(layout.index([listed]), name=image["digest"].replace(":", "-"))
    entry = layout.add(layout.referrer(image, b"entry"))
    layer = layout.blob(b"entry")
    assert sorted(contents(layout, image)) == [b"entry", b"listed"]
    layout.file_of({"entry": entry, "listed": listed, "layer": layer, "child": child}[which]["digest"]).unlink()
    with pytest.raises(StoreMisbehaved, match="may be an attestation"):
        read(layout, image)


@pytest.mark.parametrize("which", ["image", "entry", "layer"])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer"])
def test_other_bytes_than_named_are_refused(layout: Layout, which: str, damage: str) -> None:
    """Every blob is compared with the digest and the size that name it (CVE-2023-33959)."""
    image = layout.add(layout.image())
    entry = layout.add(layout.referrer(image, b"a bundle"))
    layer = layout.blob(b"a bundle")
    blob = layout.file_of({"image": image, "entry": entry, "layer": layer}[which]["digest"])
    content = blob.read_bytes()
    match damage:
        case "flipped":
            blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "shorter":
            blob.write_bytes(content[:-1])
        case _:
            blob.write_bytes(content + b" ")
    with pytest.raises(StoreMisbehaved):
        read(layout, image)


def test_a_wrong_size_in_the_index_is_refused(layout: Layout) -> None:
    """Right bytes under a descriptor with another size are not what was described."""
    image = layout.add(layout.image())
    layout.add(layout.referrer(image, b"a bundle"), size=7)
    with pytest.raises(StoreMisbehaved, match="is named with 7"):
        read(layout, image)


@pytest.mark.parametrize("target", ["a file", "a folder"])
def test_links_are_not_followed(layout: Layout, tmp_path: Path, target: str) -> None:
    """A blob, or the folder of all blobs, that is a symbolic link leads out of the layout: it is not opened."""
    image = layout.add(layout.image())
    blob = layout.file_of(image["digest"])
    moved = blob if target == "a file" else layout.path / "blobs"
    moved.rename(tmp_path / "outside")
    moved.symlink_to(tmp_path / "outside")
    with pytest.raises(StoreMisbehaved, match=r"symbolic link|no directory of its own"):
        read(layout, image)


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_a_linked_index_is_not_followed(layout: Layout, tmp_path: Path, name: str) -> None:
    """The two files at the top may not be links either."""
    image = layout.add(layout.image())
    (layout.path / name).rename(tmp_path / "outside")
    (layout.path / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StoreMisbehaved, match="symbolic link"):
        read(layout, image)


def test_a_fifo_does_not_hang_the_reader(layout: Layout) -> None:
    """What is no regular file is refused, and not waited for."""
    image = layout.add(layout.image())
    blob = layout.file_of(image["digest"])
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(StoreMisbehaved, match="not a regular file"):
        read(layout, image)


def test_the_layout_itself_may_be_reached_through_a_link(layout: Layout, tmp_path: Path) -> None:
    """Only what the layout holds may not be a link: the path is the user's own."""
    image = layout.add(layout.image())
    (tmp_path / "link").symlink_to(layout.path)
    reference = LayoutImage(path=str(tmp_path / "link"), digest=Digest(image["digest"]))
    assert LayoutStore().describe(reference).digest == image["digest"]


def test_a_huge_manifest_is_refused_before_it_is_read(layout: Layout) -> None:
    """A blob larger than any manifest is not read into memory (a sparse file of a terabyte)."""
    image = layout.add(layout.image())
    with layout.file_of(image["digest"]).open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(LimitExceeded, match="bytes"):
        read(layout, image)


def test_a_bundle_that_is_said_to_be_huge_is_refused(layout: Layout) -> None:
    """The size in a layer's descriptor is enough to refuse it."""
    image = layout.add(layout.image())
    layer = {**layout.blob(b"a bundle", oci.BUNDLE), "size": limits.BUNDLE + 1}
    layout.add(layout.manifest([layer], subject=image))
    with pytest.raises(LimitExceeded, match="is said to have"):
        read(layout, image)


def test_too_many_children_are_refused(layout: Layout) -> None:
    """An index has at most as many children as the limit says."""
    child = layout.image()
    image = layout.add(layout.index([child] * (limits.PLATFORMS + 1)))
    with pytest.raises(LimitExceeded, match="children"):
        read(layout, image)


def test_too_many_attestations_are_refused_and_as_many_as_allowed_are_read(layout: Layout) -> None:
    """The limit counts attestations of one image; not one is left out silently."""
    image = layout.add(layout.image())
    bundles = [b"%d" % number for number in range(limits.REFERRERS)]
    layout.add(layout.referrer(image, *bundles))
    layout.add(layout.referrer(layout.image("another"), b"of another image"))
    assert contents(layout, image) == bundles
    layout.add(layout.referrer(image, b"one more"))
    with pytest.raises(LimitExceeded, match="more than 1000 attestations"):
        read(layout, image)


def test_the_sum_of_all_evidence_is_limited(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles that are each small enough may together be too much."""
    image = layout.add(layout.image())
    for number in range(3):
        layout.add(layout.referrer(image, b"%d" % number * 1000))
    monkeypatch.setattr(limits, "EVIDENCE", 6_000)
    assert len(contents(layout, image)) == 3
    monkeypatch.setattr(limits, "EVIDENCE", 3_000)
    with pytest.raises(LimitExceeded, match="of evidence"):
        read(layout, image)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("oci-layout", None, "no OCI image layout"),
        ("oci-layout", "{}", "of version None"),
        ("oci-layout", '{"imageLayoutVersion":"1.1.0"}', "of version '1.1.0'"),
        ("oci-layout", '{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"1.0.0"}', "twice"),
        ("oci-layout", "[]", "of version None"),
        ("index.json", None, "no OCI image layout"),
        ("index.json", "", "not strict JSON"),
        ("index.json", "[]", "not a JSON object"),
        ("index.json", '{"schemaVersion":2}', "not an array"),
        ("index.json", '{"schemaVersion":2,"manifests":[],"manifests":[]}', "twice"),
        ("index.json", '{"schemaVersion":2,"manifests":[],"layers":[]}', "no place"),
        ("index.json", '{"schemaVersion":2,"mediaType":"text/html","manifests":[]}', "no manifest"),
        ("index.json", '{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:77","size":1}]}', "digest"),
    ],
)
def test_what_is_no_layout_is_refused(layout: Layout, name: str, content: str | None, error: str) -> None:
    """Version and index are read strictly, and a defect is named."""
    image = layout.add(layout.image())
    (layout.path / name).unlink()
    if content is not None:
        (layout.path / name).write_text(content)
    with pytest.raises(StoreMisbehaved, match=error):
        read(layout, image)


@pytest.mark.parametrize("problem", ["missing", "a file", "a zero byte"])
def test_a_path_that_is_no_layout_is_named(tmp_path: Path, problem: str) -> None:
    """A path without a directory is a clear error, and no traceback."""
    (tmp_path / "a file").write_text("")
    image = LayoutImage(path=str(tmp_path / problem), digest=Digest(f"sha256:{'7' * 64}"))
    errors: dict[str, type[Exception]] = {"missing": NotFound, "a file": StoreError}
    if problem == "a zero byte":
        image = LayoutImage(path="a\0b", digest=image.digest)
    with pytest.raises(errors.get(problem, ReferenceInvalid)):
        LayoutStore().describe(image)


def test_a_folder_that_may_not_be_read_is_access_denied(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing rights are told apart from a missing image (root has all rights, so the kernel's answer is faked)."""
    image = layout.add(layout.image())

    def refuse(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AccessDenied, match="Permission denied"):
        read(layout, image)


def test_references_to_a_registry_are_a_defect() -> None:
    """A layout store that is asked about a registry says that attest is wrong, not that nothing is there."""
    repository = Repository(host="registry.example.org", path="app")
    with pytest.raises(InternalError):
        LayoutStore().describe(RegistryImage(repository=repository, digest=Digest(f"sha256:{'7' * 64}")))
    with pytest.raises(InternalError):
        LayoutStore().resolve(RegistryTag(repository=repository, tag="1.0"))


def test_what_receives_may_stop_the_reading(layout: Layout) -> None:
    """An exception of the receiver ends the reading and comes out unchanged."""
    image = layout.add(layout.image())
    layout.add(layout.referrer(image, b"one"))

    def stop(_: Attached) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        LayoutStore().read(at(layout, image), platform=False, receive=stop)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2**70), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@given(data=st.data())
def test_no_malformed_entry_or_manifest_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """With any member of a descriptor or manifest replaced by anything, the image is read or cannot be decided."""
    layout = Layout(tmp_path_factory.mktemp("malformed") / "layout")
    image = layout.add(layout.image())
    referrer = layout.referrer(image, b"a bundle", annotations={"a": "b"})
    manifest = json.loads(layout.file_of(referrer["digest"]).read_bytes())
    parts = [manifest, manifest["subject"], manifest["config"], manifest["layers"][0]]
    for part in data.draw(st.lists(st.sampled_from(parts), max_size=2)):
        part[data.draw(st.sampled_from([*sorted(parts[0]), *sorted(parts[1]), "data", "manifests"]))] = data.draw(_JSON)
    entry = {**layout.blob(json.dumps(manifest).encode(), MANIFEST), "artifactType": None, "platform": None}
    if data.draw(st.booleans()):
        entry[data.draw(st.sampled_from([*sorted(entry), "annotations", "data"]))] = data.draw(_JSON)
    layout.add(entry)
    found = []
    with contextlib.suppress(StoreError, LimitExceeded):
        found = contents(layout, image)
    assert found in ([], [b"a bundle"])


def resolve(layout: Layout, tag: str | None) -> str:
    """What a tag stands for."""
    return LayoutStore().resolve(LayoutTag(path=str(layout.path), tag=tag))


def test_a_name_resolves_to_its_entry(layout: Layout) -> None:
    """The reference name picks one entry among several."""
    one = layout.add(layout.image("one"), name="1.0")
    layout.add(layout.image("two"), name="2.0")
    assert resolve(layout, "1.0") == one["digest"]


def test_a_name_that_nothing_has_is_not_found(layout: Layout) -> None:
    """The error names what there is, attestations not among it."""
    image = layout.add(layout.image(), name="1.0")
    layout.add(layout.manifest([]), name=image["digest"].replace(":", "-") + ".att")
    with pytest.raises(NotFound) as caught:
        resolve(layout, "2.0")
    assert caught.value.hint == "names in this layout: 1.0"


def test_a_name_of_two_images_is_ambiguous(layout: Layout) -> None:
    """A name that two images have is nobody's; the error lists the digest references."""
    digests = sorted(layout.add(layout.image(content), name="1.0")["digest"] for content in ("one", "two"))
    with pytest.raises(ReferenceInvalid) as caught:
        resolve(layout, "1.0")
    assert caught.value.hint == "choose one: " + ", ".join(f"oci:{layout.path}@{digest}" for digest in digests)


def test_the_only_image_needs_no_name(layout: Layout) -> None:
    """Attestations of every kind, other referrers and an index's own parts do not count as images."""
    child = layout.add(layout.image())
    image = layout.add(layout.index([child]), name="latest")
    tag = image["digest"].replace(":", "-")
    layout.add(image, name="1.0")
    layout.add(layout.referrer(image, b"one"))
    layout.add(layout.referrer(image, b"{}", media_type="application/spdx+json"))
    layout.add(layout.index([layout.referrer(image, b"two")]), name=tag)
    layout.add(layout.manifest([layout.blob(b"three", DSSE)]), name=f"{tag}.att")
    layout.add(layout.manifest([]), name=f"registry.example.org/app:{tag}.sig")
    assert resolve(layout, None) == image["digest"]


def test_several_images_need_a_name(layout: Layout) -> None:
    """Two images and no name are an error of usage that lists both."""
    digests = sorted(layout.add(layout.image(content))["digest"] for content in ("one", "two"))
    with pytest.raises(ReferenceInvalid) as caught:
        resolve(layout, None)
    assert all(f"oci:{layout.path}@{digest}" in str(caught.value.hint) for digest in digests)


def test_an_empty_layout_has_no_only_image(layout: Layout) -> None:
    """Nothing is not an image."""
    with pytest.raises(NotFound, match="names no image"):
        resolve(layout, None)


def test_an_unreadable_entry_is_not_taken_for_no_image(layout: Layout) -> None:
    """The only image is known only where every entry can be read."""
    layout.add(layout.image())
    gone = layout.add(layout.image("another"))
    layout.file_of(gone["digest"]).unlink()
    with pytest.raises(StoreMisbehaved):
        resolve(layout, None)
