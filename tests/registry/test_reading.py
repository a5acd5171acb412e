"""Everything that is attached is found, wherever a registry lists it, in few requests and in bounded memory."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from attest.adapters.registry import RegistryStore
from attest.core import limits, oci
from attest.core.oci import Platform
from attest.core.reference import RegistryImage, digest_of
from attest.core.referrers import fallback_tag, legacy_tag, own_tag
from attest.core.release import ChildKind
from attest.errors import LimitExceeded, NotFound, StoreError, StoreMisbehaved
from attest.ports import Attached
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import REPOSITORY, FaultyRegistry
from tests.registry.pushing import config, entry, index_of, manifest_of

BUNDLE = b'{"bundle": true}'


def attached(image: RegistryImage) -> list[Attached]:
    """What a fresh store finds attached, in the order of arrival."""
    found: list[Attached] = []
    RegistryStore(impatient()).read(image, platform=False, receive=found.append)
    return found


def carrier(bundle: bytes, *, media_type: str = oci.BUNDLE, number: int = 0) -> bytes:
    """A manifest with a bundle as its layer, and no subject."""
    return manifest_of(b"{}", layers=[entry(bundle, media_type=media_type)], annotations={"number": str(number)})


def test_platform_comes_from_the_configuration(faulty: FaultyRegistry) -> None:
    """The platform of a plain manifest is read where it is asked for, and only there."""
    image = faulty.add_image()
    store = RegistryStore(impatient())
    assert store.read(image, platform=True, receive=print).platform == Platform(os="linux", architecture="amd64")
    faulty.forget()
    assert store.read(image, platform=False, receive=print).platform is None
    assert not any("/blobs/" in seen.path for seen in faulty.seen)


def test_image_that_is_not_there(faulty: FaultyRegistry) -> None:
    """An image that the registry does not have is `NotFound`, not an image without attestations."""
    with pytest.raises(NotFound):
        attached(faulty.named(digest_of(b"nothing")))


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("inline", [True, False])
def test_requests(old_faulty: FaultyRegistry, count: int, inline: bool) -> None:
    """Reading N attestations takes at most 6 + 2N requests, and 6 + N where the bundles stand in the manifests."""
    image = old_faulty.add_image()
    manifests = [old_faulty.add_attestation(image, b'{"n":%d}' % number, inline=inline) for number in range(count)]
    old_faulty.list_at_fallback(image, *manifests)
    found: list[Attached] = []
    RegistryStore(impatient()).read(image, platform=True, receive=found.append)
    assert len(found) == count
    assert len(old_faulty.seen) <= 6 + (1 if inline else 2) * count


def test_three_requests_deep(old_faulty: FaultyRegistry) -> None:
    """All that can be asked at once is asked at once: three rounds in all, of which each has all its requests."""
    image = old_faulty.add_image()
    manifests = [old_faulty.add_attestation(image, b'{"n":%d}' % number) for number in range(5)]
    old_faulty.list_at_fallback(image, *manifests)
    rounds = [
        threading.Barrier(4),  # the manifest, the API, the fallback tag, the tags
        threading.Barrier(6),  # the configuration and five attestations
        threading.Barrier(5),  # five bundles
    ]
    config_digest = digest_of(config())
    first = rf"/manifests/{image.digest}|/referrers/|/manifests/{fallback_tag(image.digest)}$|/tags/"
    second = "|".join(f"/(manifests|blobs)/{digest}" for digest in (config_digest, *map(digest_of, manifests)))

    def meet(barrier: threading.Barrier) -> faults.Fault:
        def answer(handler: faults.Handler) -> None:
            barrier.wait(timeout=20)
            old_faulty.serve(handler, b"")

        return answer

    for path, barrier in zip((first, second, "/blobs/"), rounds, strict=True):
        old_faulty.misbehave(meet(barrier), path)
    found: list[Attached] = []
    RegistryStore(impatient(response_timeout=30.0)).read(image, platform=True, receive=found.append)
    assert len(found) == 5


def test_union_of_all_places(faulty: FaultyRegistry) -> None:
    """The API, the fallback list, own tags and the legacy tag are joined, and what is in several comes once."""
    image = faulty.add_image()
    by_api = faulty.add_attestation(image, b'{"by":"api"}')
    everywhere = faulty.add_attestation(image, b'{"by":"all"}')
    by_list, by_tag = carrier(b'{"by":"list"}'), carrier(b'{"by":"tag"}')
    for bundle in (b'{"by":"list"}', b'{"by":"tag"}', b'{"by":"legacy"}'):
        faulty.add_blob(bundle)
    faulty.add_manifest(by_list)
    faulty.list_at_fallback(image, by_list, everywhere)
    for manifest in (by_tag, everywhere):
        faulty.add_manifest(manifest, tag=own_tag(image.digest, digest_of(manifest)))
    legacy = carrier(b'{"by":"legacy"}', media_type=oci.DSSE_ENVELOPE)
    faulty.add_manifest(legacy, tag=legacy_tag(image.digest))
    found = {each.content: each for each in attached(image)}
    assert len(found) == len(attached(image)) == 5
    assert {each.subject for each in found.values()} == {image.digest}
    assert found[b'{"by":"api"}'].manifest == digest_of(by_api)
    assert [content for content, each in found.items() if each.legacy] == [b'{"by":"legacy"}']


def test_types_in_a_list_are_no_filter(old_faulty: FaultyRegistry) -> None:
    """An entry is read whatever artifactType and annotations the list gives it."""
    image = old_faulty.add_image()
    manifest = old_faulty.add_attestation(image, BUNDLE)
    lying = entry(manifest, artifactType="application/spdx+json", annotations={"org.example": "an SBOM"})
    old_faulty.add_manifest(index_of(lying), tag=fallback_tag(image.digest), media_type=oci.INDEX)
    assert [each.content for each in attached(image)] == [BUNDLE]


def test_other_referrers_are_passed_over(old_faulty: FaultyRegistry) -> None:
    """An SBOM, an index, and a manifest without layers are no attestations and no errors."""
    image = old_faulty.add_image()
    sbom = carrier(b"{}", media_type="application/spdx+json")
    empty = manifest_of(b"{}")
    index = index_of()
    for content, media_type in ((sbom, oci.MANIFEST), (empty, oci.MANIFEST), (index, oci.INDEX)):
        old_faulty.add_manifest(content, media_type=media_type)
    listing = index_of(entry(sbom), entry(empty), entry(index, media_type=oci.INDEX))
    old_faulty.add_manifest(listing, tag=fallback_tag(image.digest), media_type=oci.INDEX)
    assert attached(image) == []


def test_listed_but_gone(old_faulty: FaultyRegistry) -> None:
    """An entry whose manifest is not there is an error: it may have been the one that refuses the image."""
    image = old_faulty.add_image()
    old_faulty.list_at_fallback(image, carrier(BUNDLE))
    with pytest.raises(StoreError, match="listed") as raised:
        attached(image)
    assert not isinstance(raised.value, NotFound)


@pytest.mark.parametrize("change", [{"size": 3}, {"mediaType": oci.DOCKER_MANIFEST}])
def test_entry_must_agree_with_its_manifest(old_faulty: FaultyRegistry, change: dict[str, object]) -> None:
    """A listed size or type that the manifest does not have is an error."""
    image = old_faulty.add_image()
    manifest = old_faulty.add_attestation(image, BUNDLE)
    old_faulty.add_manifest(
        index_of({**entry(manifest), **change}), tag=fallback_tag(image.digest), media_type=oci.INDEX
    )
    with pytest.raises(StoreMisbehaved):
        attached(image)


def test_contradicting_entries(faulty: FaultyRegistry) -> None:
    """One digest with two sizes in two lists is an error."""
    image = faulty.add_image()
    manifest = faulty.add_attestation(image, BUNDLE)
    faulty.add_manifest(index_of(entry(manifest) | {"size": 3}), tag=fallback_tag(image.digest), media_type=oci.INDEX)
    with pytest.raises(StoreMisbehaved, match="two sizes"):
        attached(image)


def test_moved_own_tag(old_faulty: FaultyRegistry) -> None:
    """An own tag that stands for another manifest hides the one that it names: an error."""
    image = old_faulty.add_image()
    old_faulty.add_manifest(carrier(BUNDLE), tag=own_tag(image.digest, digest_of(b"hidden")))
    with pytest.raises(StoreMisbehaved, match="moved"):
        attached(image)


def test_fallback_tag_taken_for_the_digest(old_faulty: FaultyRegistry) -> None:
    """A registry that resolves `sha256-<hex>` to the image itself (GitLab) lists nothing by it."""
    image = old_faulty.add_image()
    old_faulty.manifests[fallback_tag(image.digest)] = old_faulty.manifests[image.digest]
    assert attached(image) == []


def test_fallback_tag_with_another_manifest(old_faulty: FaultyRegistry) -> None:
    """A plain manifest that is not the image stands where a list should: an error, not an empty list."""
    image = old_faulty.add_image()
    old_faulty.add_manifest(manifest_of(b"other"), tag=fallback_tag(image.digest))
    with pytest.raises(StoreMisbehaved, match="no list"):
        attached(image)


def test_fallback_list_of_the_images_own_platforms(old_faulty: FaultyRegistry) -> None:
    """Where the fallback tag of an index lists the index's own children, it lists no referrers."""
    child = carrier(BUNDLE)  # were it taken for a referrer, its bundle would be found
    old_faulty.add_blob(BUNDLE)
    old_faulty.add_manifest(child)
    index = index_of(entry(child, platform={"os": "linux", "architecture": "amd64"}))
    image = old_faulty.named(old_faulty.add_manifest(index, media_type=oci.INDEX))
    old_faulty.list_at_fallback(image, child)
    assert attached(image) == []


def add_index(registry: FaultyRegistry) -> tuple[RegistryImage, list[bytes]]:
    """Store an image index of two platforms; the children's manifests."""
    children = []
    entries = []
    for architecture in ("amd64", "arm64"):
        registry.add_blob(config(architecture))
        children.append(manifest_of(config(architecture)))
        registry.add_manifest(children[-1])
        entries.append(entry(children[-1], platform={"os": "linux", "architecture": architecture}))
    return registry.named(registry.add_manifest(index_of(*entries), media_type=oci.INDEX)), children


def test_index_and_its_platforms(faulty: FaultyRegistry) -> None:
    """What is attached to an index and to its platforms is told apart by its subject."""
    image, children = add_index(faulty)
    platforms = [faulty.named(digest_of(child)) for child in children]
    for number, subject in enumerate((image, *platforms)):
        faulty.add_attestation(subject, b'{"n":%d}' % number)
    found: list[Attached] = []
    stored = RegistryStore(impatient()).read(image, platform=True, receive=found.append)
    assert {each.subject: each.content for each in found} == {
        image.digest: b'{"n":0}',
        platforms[0].digest: b'{"n":1}',
        platforms[1].digest: b'{"n":2}',
    }
    assert stored.children is not None
    assert [(child.kind, str(child.platform)) for child in stored.children] == [
        (ChildKind.PLATFORM, "linux/amd64"),
        (ChildKind.PLATFORM, "linux/arm64"),
    ]
    assert stored.descriptor.media_type == oci.INDEX


def test_one_bundle_on_index_and_platform(faulty: FaultyRegistry) -> None:
    """One bundle that is attached to two subjects is handed on for each of them."""
    image, children = add_index(faulty)
    subjects = {image.digest, digest_of(children[0])}
    for subject in subjects:
        faulty.add_attestation(faulty.named(subject), BUNDLE)
    assert {each.subject for each in attached(image)} == subjects


def test_kinds_of_children(faulty: FaultyRegistry) -> None:
    """BuildKit's attestations are told from platforms by their manifests; an index in an index is named as such."""
    statement = manifest_of(b"{}", layers=[entry(b"{}", media_type=oci.IN_TOTO)])
    pretender = manifest_of(config())
    inner = index_of()
    unknown: dict[str, Any] = {
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    for content, media_type in ((statement, oci.MANIFEST), (pretender, oci.MANIFEST), (inner, oci.INDEX)):
        faulty.add_manifest(content, media_type=media_type)
    index = index_of(entry(statement, **unknown), entry(pretender, **unknown), entry(inner, media_type=oci.INDEX))
    image = faulty.named(faulty.add_manifest(index, media_type=oci.INDEX))
    faulty.add_attestation(faulty.named(digest_of(pretender)), BUNDLE)
    found: list[Attached] = []
    stored = RegistryStore(impatient()).read(image, platform=False, receive=found.append)
    assert stored.children is not None
    assert [child.kind for child in stored.children] == [ChildKind.ATTESTATION, ChildKind.PLATFORM, ChildKind.INDEX]
    assert [each.subject for each in found] == [digest_of(pretender)]


@pytest.mark.parametrize("wrong", ["absent", "size", "type"])
def test_every_child_is_checked(faulty: FaultyRegistry, wrong: str) -> None:
    """A child that is not there, or not what the index says of it, is an error."""
    child = manifest_of(config())
    changes: dict[str, dict[str, object]] = {
        "absent": {"digest": digest_of(b"absent")},
        "size": {"size": len(child) - 1},
        "type": {"mediaType": oci.DOCKER_MANIFEST},
    }
    faulty.add_manifest(child)
    image = faulty.named(faulty.add_manifest(index_of({**entry(child), **changes[wrong]}), media_type=oci.INDEX))
    with pytest.raises(StoreError):
        attached(image)


def test_too_many_platforms(faulty: FaultyRegistry) -> None:
    """An index of more children than anybody has is refused."""
    children = [entry(b"%d" % number) for number in range(limits.PLATFORMS + 1)]
    image = faulty.named(faulty.add_manifest(index_of(*children), media_type=oci.INDEX))
    with pytest.raises(LimitExceeded):
        attached(image)


@pytest.mark.parametrize("places", ["list", "list and tags", "tags"])
def test_limit_of_referrers(old_faulty: FaultyRegistry, places: str) -> None:
    """One more than `limits.REFERRERS`, over all places together, is refused and not cut off."""
    image = old_faulty.add_image()
    count = limits.REFERRERS + 1
    listed = {"list": count, "list and tags": count // 2, "tags": 0}[places]
    entries = [entry(b"%d" % number) for number in range(listed)]
    old_faulty.add_manifest(index_of(*entries), tag=fallback_tag(image.digest), media_type=oci.INDEX)
    for number in range(listed, count):
        old_faulty.add_manifest(b"%d" % number, tag=own_tag(image.digest, digest_of(b"%d" % number)))
    old_faulty.misbehave(faults.status(500), "/manifests/sha256:(?!316)")
    with pytest.raises(LimitExceeded, match=str(limits.REFERRERS)):
        attached(image)


def test_limit_of_layers(old_faulty: FaultyRegistry) -> None:
    """One manifest cannot hold more attestations than may be attached; none of them is asked for."""
    image = old_faulty.add_image()
    layer = entry(BUNDLE, media_type=oci.DSSE_ENVELOPE)
    old_faulty.add_manifest(manifest_of(b"{}", layers=[layer] * (limits.REFERRERS + 1)), tag=legacy_tag(image.digest))
    with pytest.raises(LimitExceeded, match=str(limits.REFERRERS)):
        attached(image)
    assert not any("/blobs/" in seen.path for seen in old_faulty.seen)


def test_bundle_that_is_too_large(old_faulty: FaultyRegistry) -> None:
    """A bundle over the limit is refused by its descriptor, before a byte of it is asked for."""
    image = old_faulty.add_image()
    manifest = manifest_of(b"{}", layers=[entry(BUNDLE, media_type=oci.BUNDLE) | {"size": limits.BUNDLE + 1}])
    old_faulty.add_manifest(manifest)
    old_faulty.list_at_fallback(image, manifest)
    with pytest.raises(LimitExceeded):
        attached(image)
    assert not any(str(digest_of(BUNDLE)) in seen.path for seen in old_faulty.seen)


def test_evidence_of_all_images_counts(old_faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on all evidence holds over several images, in one command."""
    monkeypatch.setattr(limits, "EVIDENCE", 3 * len(BUNDLE))
    image = old_faulty.add_image()
    manifests = [carrier(BUNDLE + b" " * number, number=number) for number in range(2)]
    for number, manifest in enumerate(manifests):
        old_faulty.add_manifest(manifest)
        old_faulty.add_blob(BUNDLE + b" " * number)
    old_faulty.list_at_fallback(image, *manifests)
    store = RegistryStore(impatient())
    store.read(image, platform=False, receive=print)
    with pytest.raises(LimitExceeded):
        store.read(image, platform=False, receive=print)


def test_same_bundle_in_two_manifests(old_faulty: FaultyRegistry) -> None:
    """A bundle in two manifests is fetched and handed on once; as an envelope, too, if one manifest says so."""
    image = old_faulty.add_image()
    old_faulty.add_blob(BUNDLE)
    manifests = [
        carrier(BUNDLE, number=1),
        carrier(BUNDLE, number=2),
        carrier(BUNDLE, number=3, media_type=oci.DSSE_ENVELOPE),
    ]
    for manifest in manifests:
        old_faulty.add_manifest(manifest)
    old_faulty.list_at_fallback(image, *manifests)
    assert sorted(each.legacy for each in attached(image)) == [False, True]


def test_receive_may_stop(faulty: FaultyRegistry) -> None:
    """What `receive` raises ends the reading and reaches the caller."""
    image = faulty.add_image()
    for number in range(5):
        faulty.add_attestation(image, b'{"n":%d}' % number)

    class Enough(Exception):
        pass

    calls = []

    def receive(each: Attached) -> None:
        calls.append(each)
        raise Enough

    with pytest.raises(Enough):
        RegistryStore(impatient()).read(image, platform=False, receive=receive)
    assert len(calls) == 1


def test_receive_runs_in_the_callers_thread(faulty: FaultyRegistry) -> None:
    """`receive` is called by the thread that reads, so never twice at once."""
    image = faulty.add_image()
    for number in range(20):
        faulty.add_attestation(image, b'{"n":%d}' % number)
    threads = set()
    RegistryStore(impatient()).read(image, platform=False, receive=lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def page(tags: list[str], following: str | None = None) -> faults.Fault:
    """A page of tags."""
    headers = {} if following is None else {"Link": f'<{following}>; rel="next"'}
    return faults.serve(json.dumps({"name": REPOSITORY, "tags": tags}).encode(), faults.JSON, headers)


TAGS = f"/v2/{REPOSITORY}/tags/list"


@pytest.mark.parametrize(
    ("first", "pages"),
    [
        (["OURS.a", "OURS.b"], 2),
        (["OURS.a", "v1"], 1),
        (["v1", "OURS.a"], 2),
        (["a", "OURS.a"], 2),
        (["a", "v1"], 2),
        ([], 2),
    ],
    ids=["ours only", "ordered and behind ours", "unordered", "ordered from the start", "last ignored", "empty"],
)
def test_pages_of_tags(old_faulty: FaultyRegistry, first: list[str], pages: int) -> None:
    """Another page of tags is read unless the first shows that tags are ordered and ours are over."""
    image = old_faulty.add_image()
    tags = [tag.replace("OURS", fallback_tag(image.digest)) for tag in first]
    old_faulty.misbehave(page(tags, f"{TAGS}?page=2"), "n=1000")
    old_faulty.misbehave(page([]), "page=2")
    assert attached(image) == []
    assert len([seen for seen in old_faulty.seen if seen.path.startswith(TAGS)]) == pages


def test_own_tag_on_a_later_page(old_faulty: FaultyRegistry) -> None:
    """An own tag on the second page of an unordered listing is found."""
    image = old_faulty.add_image()
    manifest = carrier(BUNDLE)
    old_faulty.add_blob(BUNDLE)
    tag = own_tag(image.digest, digest_of(manifest))
    old_faulty.add_manifest(manifest, tag=tag)
    old_faulty.misbehave(page(["z", "a"], f"{TAGS}?page=2"), "n=1000")
    old_faulty.misbehave(page([tag]), "page=2")
    assert [each.content for each in attached(image)] == [BUNDLE]


def test_missing_page(faulty: FaultyRegistry) -> None:
    """A 404 in the middle of a listing is an error: what stood on that page is unknown."""
    image = faulty.add_image()
    following = {"Link": f'</v2/{REPOSITORY}/referrers/x?page=2>; rel="next"'}
    faulty.misbehave(faults.status(404), "page=2")
    faulty.misbehave(faults.serve(index_of(), oci.INDEX, following), "/referrers/")
    with pytest.raises(StoreMisbehaved):
        attached(image)


def test_null_tags(old_faulty: FaultyRegistry) -> None:
    """`"tags": null`, as some registries write an empty list, is an empty list."""
    image = old_faulty.add_image()
    old_faulty.misbehave(faults.serve(b'{"name": "x", "tags": null}', faults.JSON), "/tags/")
    assert attached(image) == []


@pytest.mark.parametrize(
    "fault", [faults.wrong_type, faults.status(404), faults.serve(b"")], ids=["type", "404", "empty"]
)
@pytest.mark.parametrize("place", ["own tag", "listed"])
def test_what_is_being_written(old_faulty: FaultyRegistry, fault: faults.Fault, place: str) -> None:
    """A manifest that is half there because it is being written right now is there when it is looked at again."""
    image = old_faulty.add_image()
    manifest = old_faulty.add_attestation(image, BUNDLE)
    tag = own_tag(image.digest, digest_of(manifest))
    if place == "listed":
        old_faulty.list_at_fallback(image, manifest)
    else:
        old_faulty.add_manifest(manifest, tag=tag)
    old_faulty.misbehave(fault, f"/manifests/({tag}|{digest_of(manifest)})", times=2)
    assert [each.content for each in attached(image)] == [BUNDLE]
