"""Both ends of a copy in registries that lie, lose and break: all of it arrives, or it is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from attest.adapters.registry import Access, RegistryStore
from attest.copyports import Moved
from attest.core import limits, oci
from attest.core.promotion import copyplan
from attest.core.promotion.copyplan import CopyPlan
from attest.core.reference import Digest, RegistryImage, digest_of
from attest.core.referrers import fallback_tag, legacy_tag, own_tag
from attest.errors import AttestError, LimitExceeded, NotFound, NotPublished, StoreError, StoreMisbehaved, TagTaken
from attest.ops.copy import Copied, Tally, carry, copy, discover
from attest.ports import Attached
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry, Handler
from tests.registry.pushing import described, entry, index_of, manifest_of

LAYER = b"a layer" * 1000


@dataclass(slots=True)
class Both:
    """A source with an image, and a target."""

    source: FaultyRegistry
    target: FaultyRegistry
    image: RegistryImage

    @property
    def there(self) -> RegistryImage:
        """The image at the target."""
        return self.target.named(self.image.digest)

    def plan(self) -> CopyPlan:
        """What there is to copy."""
        return discover(RegistryStore(impatient()).copy_source(self.image))

    def copy(self, plan: CopyPlan | None = None) -> Copied:
        """Copy it."""
        source = RegistryStore(impatient()).copy_source(self.image)
        target = RegistryStore(impatient(access=Access.PUSH)).copy_target(self.there)
        return copy(source, target, self.plan() if plan is None else plan, Tally())

    def tag(self, tag: str = "sha-1") -> None:
        """Tag it at the target."""
        target = RegistryStore(impatient(access=Access.PUSH)).copy_target(self.there)
        target.tag(tag, described(self.target.manifests[self.image.digest][1]))

    def found(self) -> list[bytes]:
        """The bundles that a verifier finds at the target, sorted."""
        found: list[Attached] = []
        RegistryStore(impatient()).read(self.there, platform=False, receive=found.append)
        return sorted(one.content for one in found)


@pytest.fixture(params=[True, False], ids=["api", "no api"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    """An image with a layer and two attestations; the target with and without the referrers API."""
    with FaultyRegistry().running() as source, FaultyRegistry(referrers=request.param).running() as target:
        source.add_blob(LAYER)
        configuration = b'{"os":"linux","architecture":"amd64"}'
        source.add_blob(configuration)
        layer = {"mediaType": "layer", "digest": digest_of(LAYER), "size": len(LAYER)}
        image = source.named(source.add_manifest(manifest_of(configuration, layers=[layer])))
        for bundle in (b"one", b"two"):
            source.add_attestation(image, bundle)
        yield Both(source, target, image)


def puts(registry: FaultyRegistry) -> list[str]:
    """What manifests were pushed to, in order: digests and tags."""
    return [one.path.rpartition("/")[2] for one in registry.seen if one.method == "PUT" and "/manifests/" in one.path]


# ---- all of it


def test_all_of_it_arrives(both: Both) -> None:
    """Image and evidence are there, byte for byte, as a verifier finds them."""
    copied = both.copy()
    assert (copied.manifests, copied.referrers) == (3, 2)
    assert copied.blobs == {Moved.PRESENT: 0, Moved.UPLOADED: 5, Moved.MOUNTED: 0}
    assert both.found() == [b"one", b"two"]
    for digest, held in both.source.manifests.items():
        assert both.target.manifests[digest] == held
    assert both.source.blobs.items() <= both.target.blobs.items()


def test_a_second_time_sends_nothing(both: Both) -> None:
    """What is there is looked at and left."""
    both.copy()
    both.target.forget()
    copied = both.copy()
    assert copied.sent == 0
    assert {one.method for one in both.target.seen} == {"GET", "HEAD"}


def test_nothing_is_pushed_by_a_tag_first(both: Both) -> None:
    """Every manifest goes by its digest before a tag names it, and the image before what is attached to it."""
    both.copy()
    pushed = puts(both.target)
    first = [reference for reference in pushed if reference.startswith("sha256:")]
    assert pushed[: len(first)] == first
    assert first[0] == both.image.digest
    lists = {digest for digest, (kind, _) in both.target.manifests.items() if kind == oci.INDEX}
    assert both.target.manifests.keys() == set(pushed) | lists


def test_what_is_attached_to_what_is_attached(both: Both) -> None:
    """A note on an attestation is found and copied; so is one that hangs on a platform of an index."""
    attestation = next(one for one, (_, content) in both.source.manifests.items() if b"subject" in content)
    content = both.source.manifests[attestation][1]
    note = both.source.add_attestation(both.source.named(digest_of(content)), b"a note")
    assert both.copy().referrers == 3
    assert digest_of(note) in both.target.manifests


def test_lists_name_what_the_registry_does_not() -> None:
    """Without the API the list at the fallback tag names everything, with types and annotations, for other tools."""
    with FaultyRegistry().running() as source, FaultyRegistry(referrers=False).running() as target:
        image = source.add_image()
        attestation = source.add_attestation(image, b"one")
        Both(source, target, image).copy()
        [listed] = json.loads(target.manifests[fallback_tag(image.digest)][1])["manifests"]
        assert listed["digest"] == digest_of(attestation)
        assert listed["artifactType"] == oci.BUNDLE
        assert listed["annotations"] == json.loads(attestation)["annotations"]


def test_what_others_listed_at_the_destination_stays(both: Both) -> None:
    """An attestation that the destination had before is listed there afterwards, too."""
    source_image = both.source.manifests[both.image.digest]
    both.target.add_manifest(source_image[1])
    theirs = both.target.add_attestation(both.there, b"theirs")
    both.target.list_at_fallback(both.there, theirs)
    both.copy()
    assert both.found() == [b"one", b"theirs", b"two"]
    if not both.target.referrers:
        listed = json.loads(both.target.manifests[fallback_tag(both.image.digest)][1])["manifests"]
        assert listed[0] == entry(theirs)
        assert len(listed) == 3


def test_what_only_its_own_tag_names_is_copied(both: Both) -> None:
    """An attestation that a lost update took out of the source's list is found by its tag."""
    attestation = both.source.add_attestation(both.image, b"hidden")
    both.source.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    both.source.add_manifest(attestation, tag=own_tag(both.image.digest, digest_of(attestation)))
    both.copy()
    assert both.found() == [b"hidden"]


def test_what_is_listed_for_another_subject_stays_listed(both: Both) -> None:
    """What a list names is evidence wherever its subject says, so it is listed at the destination as well."""
    other = both.source.add_manifest(manifest_of(b"{}", annotations={"other": "image"}))
    stray = both.source.add_attestation(both.source.named(other), b"stray")
    both.source.list_at_fallback(both.image, stray)
    both.copy()
    assert both.found() == [b"one", b"stray", b"two"]


def test_a_registry_that_loses_its_own_list(both: Both) -> None:
    """Where the destination's API lists nothing of it, tags and list do."""
    both.target.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    both.copy()
    assert both.found() == [b"one", b"two"]
    assert len(json.loads(both.target.manifests[fallback_tag(both.image.digest)][1])["manifests"]) == 2


def test_a_list_that_cannot_be_written(both: Both) -> None:
    """Where the destination takes no list, the own tags alone make everything visible."""
    both.target.misbehave(faults.status(405), f"/manifests/{fallback_tag(both.image.digest)}$", method="PUT")
    both.copy()
    assert both.found() == [b"one", b"two"]


def test_a_registry_that_takes_the_tag_for_the_image(both: Both) -> None:
    """Where the tag `sha256-<hex>` means the image itself (GitLab), no list is written over it."""

    def image(handler: Handler) -> None:
        media_type, content = both.target.manifests[both.image.digest]
        handler.reply(200, content, {"Content-Type": media_type})

    both.target.misbehave(image, f"/manifests/{fallback_tag(both.image.digest)}$", method="GET")
    both.copy()
    assert fallback_tag(both.image.digest) not in puts(both.target)
    assert both.found() == [b"one", b"two"]


# ---- less than all of it is an error


@pytest.mark.parametrize("route", ["/referrers/", "/tags/", "/manifests/sha256-"])
@pytest.mark.parametrize("code", [400, 403, 500])
def test_what_cannot_be_listed_is_not_copied(code: int, route: str, both: Both) -> None:
    """A source that does not say what is attached is an error before anything moves."""
    both.source.misbehave(faults.status(code), route)
    with pytest.raises(StoreError):
        both.plan()
    assert both.target.seen == []


def test_what_is_listed_and_gone_is_an_error(both: Both) -> None:
    """An attestation that is listed at the source and is not there may be the one that refuses."""
    ghost = entry(b"ghost")
    both.source.add_manifest(index_of(ghost), tag=fallback_tag(both.image.digest), media_type=oci.INDEX)
    with pytest.raises(StoreError, match=r"is listed in .* but is not there"):
        both.plan()


def test_an_own_tag_that_was_moved_is_an_error(both: Both) -> None:
    """A tag that names one manifest and leads to another is no attestation to copy."""
    tag = own_tag(both.image.digest, digest_of(b"another"))
    both.source.add_manifest(manifest_of(b"{}"), tag=tag)
    with pytest.raises(StoreMisbehaved, match="was moved"):
        both.plan()


def test_a_tag_that_is_listed_and_gone_is_an_error(both: Both) -> None:
    """A tag of the scheme that the source lists and does not have is an error."""
    both.source.add_manifest(manifest_of(b"{}"), tag=legacy_tag(both.image.digest))
    both.source.misbehave(faults.status(404), f"/manifests/{legacy_tag(both.image.digest)}$")
    with pytest.raises(StoreMisbehaved, match=r"is listed in .*, but is not there"):
        both.plan()


@pytest.mark.parametrize("tail", ["/../../../other/manifests/v1", "?x=y", "%2e%2e", " "])
def test_a_tag_that_is_none_leads_nowhere(tail: str, both: Both) -> None:
    """What a source lists as a tag is asked for at neither end if it is none: as part of a URL it leads elsewhere."""
    name = f"{fallback_tag(both.image.digest)}.{tail}"
    both.source.misbehave(faults.serve(json.dumps({"tags": [name]}).encode(), faults.JSON), "/tags/")
    with pytest.raises(StoreMisbehaved, match="as a tag, which is none"):
        both.plan()
    assert not any(".sha256" in one.path or tail in one.path for one in both.source.seen)
    assert both.target.seen == []


def test_an_image_that_is_not_there(both: Both) -> None:
    """What the source does not have is not found."""
    both.image = both.source.named(digest_of(b"nothing"))
    with pytest.raises(NotFound):
        both.plan()


def test_more_than_is_copied_is_refused(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source with more manifests than are copied is refused, and never copied in part."""
    monkeypatch.setattr("attest.ops.copy.MANIFESTS", 2)
    with pytest.raises(LimitExceeded, match="more than 2 manifests"):
        both.plan()


def test_more_than_is_listed_is_refused(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination that would have more attestations than a verifier reads gets none of them listed."""
    plan = both.plan()
    monkeypatch.setattr(limits, "REFERRERS", 1)
    with pytest.raises(LimitExceeded, match=r"more than 1 (attestations|manifests)"):
        both.copy(plan)
    assert not [tag for tag in puts(both.target) if ".attest-" in tag]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("code", [401, 403, 404, 405, 413, 500])
def test_a_destination_that_takes_nothing(code: int, method: str, both: Both) -> None:
    """Whatever a destination refuses with, the copy is an error and nothing is tagged."""
    both.target.misbehave(faults.status(code), method=method)
    with pytest.raises(AttestError):
        both.copy()


def test_a_destination_that_changes_manifests(both: Both) -> None:
    """A manifest that reads otherwise than it was written is an error."""
    both.target.misbehave(faults.flipped, f"/manifests/{both.image.digest}$", method="GET")
    with pytest.raises(StoreError):
        both.copy()


def test_a_destination_that_forgets_manifests(both: Both) -> None:
    """A manifest that was taken and is not there is an error."""
    both.target.misbehave(faults.status(201), "/manifests/sha256:", method="PUT")
    with pytest.raises(NotFound):
        both.copy()


def test_a_destination_that_shows_nothing(both: Both) -> None:
    """What is taken and never listed is not published, and so not promoted."""
    both.target.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    both.target.misbehave(faults.serve(b'{"tags": []}', faults.JSON), "/tags/")
    both.target.misbehave(faults.status(404), "/manifests/sha256-", method="GET")
    with pytest.raises(NotPublished, match="does not list it as attached"):
        both.copy()


def test_a_source_with_other_bytes(both: Both) -> None:
    """A layer that is another one never arrives whole."""
    both.source.misbehave(faults.serve(b"A" + LAYER[1:]), f"/blobs/{digest_of(LAYER)}")
    with pytest.raises(StoreMisbehaved):
        both.copy()
    assert digest_of(LAYER) not in both.target.blobs


def test_a_source_that_never_rests(both: Both) -> None:
    """A source that gets new attestations faster than they can be copied is given up, before any tag."""
    number = 0

    def another(handler: Handler) -> None:
        nonlocal number
        number += 1
        both.source.add_attestation(both.image, b"%d" % number)
        both.source.serve(handler, b"")

    both.source.misbehave(another, f"/referrers/{both.image.digest}")
    store = RegistryStore(impatient(access=Access.PUSH))
    with pytest.raises(StoreError, match="faster than they can be copied"):
        carry(store.copy_source(both.image), store.copy_target(both.there), both.plan(), Tally())


def test_a_source_that_lists_in_any_order(both: Both) -> None:
    """A list whose order changes from one request to the next has nothing new in it."""
    turn = 0

    def shuffled(handler: Handler) -> None:
        nonlocal turn
        turn += 1
        attached = [content for _, content in both.source.manifests.values() if b'"subject"' in content]
        listed = sorted(attached, reverse=turn % 2 == 0)
        handler.reply(200, index_of(*map(entry, listed)), {"Content-Type": oci.INDEX})

    both.source.misbehave(shuffled, f"/referrers/{both.image.digest}")
    store = RegistryStore(impatient(access=Access.PUSH))
    carry(store.copy_source(both.image), store.copy_target(both.there), both.plan(), Tally())
    assert turn == 2
    assert both.found() == [b"one", b"two"]


def test_what_comes_meanwhile_is_counted_with_the_rest(both: Both) -> None:
    """An attestation that comes while layers are copied goes along, and the figures are those of both rounds."""
    plan = both.plan()
    both.source.add_attestation(both.image, b"late")
    store = RegistryStore(impatient(access=Access.PUSH))
    final, copied = carry(store.copy_source(both.image), store.copy_target(both.there), plan, Tally())
    assert both.found() == [b"late", b"one", b"two"]
    assert (copied.manifests, copied.referrers) == (4, 3)
    assert copied.blobs == {Moved.PRESENT: 0, Moved.UPLOADED: 6, Moved.MOUNTED: 0}
    assert copied.sent == final.size


# ---- tags


def test_a_tag_is_written_last_and_stays(both: Both) -> None:
    """It stands for the image; again it is nothing new."""
    both.copy()
    both.tag()
    assert both.target.manifests["sha-1"] == both.target.manifests[both.image.digest]
    both.target.forget()
    both.tag()
    assert puts(both.target) == []


def test_a_taken_tag_is_left(both: Both) -> None:
    """A tag of something else is an error, and what it stands for does not change."""
    both.copy()
    other = both.target.add_manifest(manifest_of(b"{}"), tag="sha-1")
    with pytest.raises(TagTaken, match=other):
        both.tag()
    assert digest_of(both.target.manifests["sha-1"][1]) == other


def test_a_tag_that_somebody_else_writes_meanwhile(both: Both) -> None:
    """Where the tag stands for something else after it was written, that is an error too."""
    both.copy()

    def lose(handler: Handler) -> None:
        both.target.add_manifest(manifest_of(b"{}"), tag="sha-1")
        handler.reply(201, b"")

    both.target.misbehave(lose, "/manifests/sha-1$", method="PUT")
    with pytest.raises(TagTaken):
        both.tag()


def test_a_tag_that_does_not_stand(both: Both) -> None:
    """A registry that takes a tag and does not have it has not tagged anything."""
    both.copy()
    both.target.misbehave(faults.status(201), "/manifests/sha-1$", method="PUT")
    with pytest.raises(TagTaken, match="stands for nothing"):
        both.tag()


@pytest.mark.parametrize(("mine", "theirs", "stays"), [("12", "1", "12"), ("1", "12", "12"), ("1", "1", "1")])
def test_of_two_legacy_images_the_fuller_one_stays(mine: str, theirs: str, stays: str, both: Both) -> None:
    """What cosign before v3 kept under one tag is never less afterwards than it was at either end."""
    tag = legacy_tag(both.image.digest)

    def image(names: str) -> bytes:
        for name in names:
            both.source.add_blob(name.encode())
        layers = [{"mediaType": "x/y", "digest": digest_of(name.encode()), "size": 1} for name in names]
        both.source.add_blob(b"{}")
        return manifest_of(b"{}", layers=layers)

    both.source.add_manifest(image(mine), tag=tag)
    both.target.add_manifest(image(theirs), tag=tag)
    both.copy()
    assert both.target.manifests[tag][1] == image(stays)


def test_two_legacy_images_that_differ_are_an_error(both: Both) -> None:
    """Where each end has something of its own, nothing is lost and nobody guesses."""
    tag = legacy_tag(both.image.digest)
    both.source.add_blob(b"{}")
    for registry, name in ((both.source, b"1"), (both.target, b"2")):
        registry.add_blob(name)
        layers = [{"mediaType": "x/y", "digest": digest_of(name), "size": 1}]
        registry.add_manifest(manifest_of(b"{}", layers=layers), tag=tag)
    before = both.target.manifests[tag]
    with pytest.raises(StoreError, match="cannot be copied"):
        both.copy()
    assert both.target.manifests[tag] == before


def test_a_source_that_cannot_be_planned(both: Both) -> None:
    """One blob with two sizes cannot be copied, and that is the source's fault."""
    layers = [{"mediaType": "layer", "digest": digest_of(LAYER), "size": size} for size in (1, 2)]
    both.source.add_blob(b"{}")
    strange = both.source.add_manifest(manifest_of(b"{}", layers=layers))
    both.image = both.source.named(Digest(strange))
    with pytest.raises(StoreMisbehaved, match="described with two sizes"):
        both.plan()
    assert copyplan.MANIFESTS == 4 * limits.REFERRERS
