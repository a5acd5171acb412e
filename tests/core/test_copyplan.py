"""What is copied, and in which order: each step needs only those before it, and nothing is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import oci
from attest.core.oci import Descriptor, Index, Manifest
from attest.core.promotion.copyplan import (
    FOREIGN_LAYERS,
    NESTING,
    CopyInvalid,
    CopyPlan,
    Listed,
    Part,
    newer_name,
    part_of,
    plan_copy,
)
from attest.core.reference import Digest
from attest.core.referrers import fallback_tag, legacy_tag
from tests.core import make

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def described(name: str, *, size: int = 10, media_type: str = LAYER) -> Descriptor:
    """A descriptor of something by this name."""
    return Descriptor(media_type=media_type, digest=make.digest(name), size=size)


def held(document: Mapping[str, Any]) -> Part:
    """A part from its JSON."""
    content = json.dumps(document).encode()
    return part_of(content, oci.parse_manifest(content))


def entry(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as JSON."""
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def manifest(name: str, *layers: Descriptor, **members: Any) -> Part:
    """An image manifest with these layers and a configuration of its own."""
    config = entry(described(f"config of {name}", media_type="application/vnd.oci.image.config.v1+json"))
    whole = {"schemaVersion": 2, "mediaType": oci.MANIFEST, "config": config, "layers": [entry(one) for one in layers]}
    return held({**whole, **members})


def index(*children: Part, **members: Any) -> Part:
    """An image index."""
    manifests = [entry(child.descriptor) for child in children]
    return held({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": manifests, **members})


def referrer(name: str, subject: Part) -> Part:
    """Something attached to a manifest."""
    return manifest(name, described(f"layer of {name}"), subject=entry(subject.descriptor))


def planned(image: Part, parts: Sequence[Part], listed: Mapping[Digest, Listed] | None = None) -> CopyPlan:
    """The plan for an image, of these parts."""
    return plan_copy(image.digest, {part.digest: part for part in (image, *parts)}, listed or {})


def attached(*parts: Part, **names: Part) -> Listed:
    """What is listed for something."""
    return Listed(
        referrers=tuple(part.descriptor for part in parts),
        names={name: part.descriptor for name, part in names.items()},
    )


# ---- parts


def test_a_manifest_has_blobs_and_no_children() -> None:
    """Its configuration and its layers are copied, in their order."""
    part = manifest("image", described("one"), described("two"))
    assert [blob.digest for blob in part.blobs] == [make.digest(name) for name in ("config of image", "one", "two")]
    assert (part.children, part.subject) == ((), None)


def test_an_index_has_children_and_no_blobs() -> None:
    """What it names is copied, and of its own there are only its bytes."""
    child = manifest("child")
    part = index(child)
    assert [one.digest for one in part.children] == [child.digest]
    assert part.blobs == ()


@pytest.mark.parametrize("media_type", sorted(FOREIGN_LAYERS))
def test_a_layer_that_is_not_distributed_is_not_copied(media_type: str) -> None:
    """It lives where its descriptor says, and registries take the manifest without it (image-spec)."""
    part = manifest("image", described("ours"), described("theirs", media_type=media_type))
    assert make.digest("theirs") not in [blob.digest for blob in part.blobs]
    assert make.digest("ours") in [blob.digest for blob in part.blobs]


def test_a_part_knows_its_subject_and_its_entry() -> None:
    """What it is attached to, and how a list of referrers names it, come from its bytes."""
    image = manifest("image")
    part = manifest("sbom", subject=entry(image.descriptor), artifactType="a/b", annotations={"c": "d"})
    assert part.subject == image.digest
    assert part.entry == {**entry(part.descriptor), "artifactType": "a/b", "annotations": {"c": "d"}}


def test_an_index_may_be_attached_too() -> None:
    """An index with a subject is listed by its own artifact type, or by none."""
    image = manifest("image")
    named = index(subject=entry(image.descriptor), artifactType="a/b", annotations={"c": "d"})
    assert named.entry == {**entry(named.descriptor), "artifactType": "a/b", "annotations": {"c": "d"}}
    assert index(subject=entry(image.descriptor)).entry == entry(index(subject=entry(image.descriptor)).descriptor)


@pytest.mark.parametrize(
    "members", [{}, {"artifactType": 5, "annotations": []}, {"artifactType": "", "annotations": {}}]
)
def test_what_an_index_says_wrongly_is_left_out(members: dict[str, Any]) -> None:
    """An artifact type or annotations that are none do not get into a list that others read."""
    part = index(subject=entry(manifest("image").descriptor), **members)
    assert part.entry == entry(part.descriptor)


def test_annotations_that_are_no_text_are_left_out() -> None:
    """Of annotations only text is listed."""
    part = index(subject=entry(manifest("image").descriptor), annotations={"a": "b", "c": 5})
    assert part.entry["annotations"] == {"a": "b"}


# ---- plans


def test_a_plain_image_is_one_manifest() -> None:
    """Its blobs, then its manifest; nothing is attached to anything."""
    image = manifest("image", described("layer", size=7))
    plan = planned(image, [])
    assert plan.image == image.descriptor
    assert [blob.digest for blob in plan.blobs] == [make.digest("config of image"), make.digest("layer")]
    assert plan.waves == ((image,),)
    assert (plan.attachments, dict(plan.names)) == ((), {})
    assert (plan.size, plan.manifests, plan.referrers) == (17, 1, 0)


def test_children_come_before_their_index_and_what_is_attached_behind_it() -> None:
    """Platforms, then the index, then what is attached to either, then what is attached to that."""
    one, two = manifest("one", described("shared")), manifest("two", described("shared"))
    image = index(one, two)
    sbom, test = referrer("sbom", one), referrer("test", image)
    note = referrer("note", sbom)
    listed = {one.digest: attached(sbom), image.digest: attached(test), sbom.digest: attached(note)}
    plan = planned(image, [one, two, sbom, test, note], listed)
    assert plan.waves == ((one, two), (image,), (sbom, test, note))
    assert [blob.digest for blob in plan.blobs].count(make.digest("shared")) == 1
    assert {one.subject.digest: one.referrers for one in plan.attachments} == {
        one.digest: (sbom,),
        image.digest: (test,),
        sbom.digest: (note,),
    }
    assert (plan.manifests, plan.referrers) == (6, 3)


def test_children_of_something_attached_are_copied_first() -> None:
    """An attached index comes behind what it names."""
    image, inner = manifest("image"), manifest("inner")
    outer = index(inner, subject=entry(image.descriptor))
    plan = planned(image, [inner, outer], {image.digest: attached(outer)})
    order = [part.digest for wave in plan.waves for part in wave]
    assert order == [image.digest, inner.digest, outer.digest]


def test_what_is_listed_twice_is_copied_once() -> None:
    """One manifest that is listed for two subjects is pushed once and listed for both."""
    one, two = manifest("one"), manifest("two")
    image = index(one, two)
    both = referrer("both", one)
    listed = {one.digest: attached(both, both), two.digest: attached(both)}
    plan = planned(image, [one, two, both], listed)
    assert plan.manifests == 4
    assert [len(attachment.referrers) for attachment in plan.attachments] == [1, 1]
    assert plan.referrers == 1


def test_lists_that_go_in_circles_end() -> None:
    """A list may claim anything, also that an image is attached to its own SBOM."""
    image = manifest("image")
    sbom = referrer("sbom", image)
    plan = planned(image, [sbom], {image.digest: attached(sbom), sbom.digest: attached(image)})
    assert [part.digest for wave in plan.waves for part in wave] == [image.digest, sbom.digest]
    assert len(plan.attachments) == 2


def test_tags_of_the_scheme_go_along() -> None:
    """What stands under a tag of the fallback scheme is copied, and the tag is remembered."""
    image, legacy = manifest("image"), manifest("legacy", described("envelope"))
    tag = legacy_tag(image.digest)
    plan = planned(image, [legacy], {image.digest: attached(**{tag: legacy})})
    assert dict(plan.names) == {tag: legacy}
    assert plan.waves == ((image,), (legacy,))
    assert (plan.attachments, plan.referrers) == ((), 0)


@pytest.mark.parametrize("tail", ["/../../x", "", " ", "?x", "%2e", "\n", "a" * 57])
def test_what_is_no_tag_is_refused(tail: str) -> None:
    """What a store lists as a tag would be part of a URL at the destination, and could lead anywhere there."""
    image = manifest("image")
    name = f"{fallback_tag(image.digest)}.{tail}"
    with pytest.raises(CopyInvalid, match="is listed as a tag, and is none"):
        planned(image, [], {image.digest: attached(**{name: image})})


def test_a_plan_covers_what_has_nothing_new() -> None:
    """In another order, or with less, it is covered; with one more manifest, listing or tag it is not."""
    image = manifest("image")
    one, two = referrer("one", image), referrer("two", image)
    parts = [one, two]
    plan = planned(image, parts, {image.digest: attached(one, two)})
    assert plan.covers(planned(image, parts, {image.digest: attached(two, one)}))
    less = planned(image, [one], {image.digest: attached(one)})
    assert plan.covers(less)
    assert not less.covers(plan)
    assert not plan.covers(planned(image, parts, {image.digest: attached(one, two), one.digest: attached(two)}))
    named = attached(one, two, **{legacy_tag(image.digest): two})
    assert not plan.covers(planned(image, parts, {image.digest: named}))


def test_two_sizes_of_one_blob_are_refused() -> None:
    """A digest that two manifests describe with two sizes cannot be both."""
    one, two = manifest("one", described("layer", size=1)), manifest("two", described("layer", size=2))
    with pytest.raises(CopyInvalid, match="two sizes"):
        planned(index(one, two), [one, two])


@pytest.mark.parametrize("depth", [NESTING, NESTING + 1])
def test_indexes_are_nested_only_so_deep(depth: int) -> None:
    """Indexes in indexes are followed to a bound, and refused behind it."""
    parts = [manifest("image")]
    for _ in range(depth):
        parts.append(index(parts[-1]))
    if depth <= NESTING:
        assert len(planned(parts[-1], parts[:-1]).waves) == depth + 1
    else:
        with pytest.raises(CopyInvalid, match="nested"):
            planned(parts[-1], parts[:-1])


@given(st.data())
def test_every_step_needs_only_those_before_it(data: st.DataObject) -> None:
    """Whatever hangs on whatever: children come in earlier waves, subjects of the image's own tree too, none twice."""
    parts: list[Part] = [manifest("root")]
    listed: dict[Digest, list[Part]] = {}
    for number in range(data.draw(st.integers(0, 12))):
        below = data.draw(st.lists(st.sampled_from(parts), max_size=3))
        made = index(*below, annotations={"n": str(number)}) if below else manifest(str(number))
        if made.digest not in {part.digest for part in parts}:
            parts.append(made)
    image = parts[-1]
    for part in parts:
        for other in data.draw(st.lists(st.sampled_from(parts), max_size=2)):
            listed.setdefault(part.digest, []).append(other)
    plan = planned(image, parts, {digest: attached(*found) for digest, found in listed.items()})
    place = {part.digest: level for level, wave in enumerate(plan.waves) for part in wave}
    assert len(place) == plan.manifests
    for wave in plan.waves:
        for part in wave:
            assert all(place[child.digest] < place[part.digest] for child in part.children)
            for found in listed.get(part.digest, []):
                assert found.digest in place
    assert all(wave for wave in plan.waves)


# ---- names


def document(kind: type[Manifest] | type[Index], *names: str) -> Manifest | Index:
    """Something that holds these."""
    part = index(*map(manifest, names)) if kind is Index else manifest("x", *map(described, names))
    found = part.children if kind is Index else part.blobs[1:]
    if kind is Index:
        return Index(media_type=oci.INDEX, manifests=found)
    return Manifest(
        media_type=oci.MANIFEST,
        config=described("config"),
        layers=found,
        subject=None,
        artifact_type=None,
        annotations={},
    )


@pytest.mark.parametrize("kind", [Manifest, Index])
def test_of_two_states_of_a_name_the_fuller_one_stays(kind: type[Manifest] | type[Index]) -> None:
    """What has all of the other is newer; where each has something of its own, neither is."""
    one, both, other = document(kind, "a"), document(kind, "a", "b"), document(kind, "c")
    assert newer_name(both, one)
    assert not newer_name(one, both)
    assert newer_name(one, one)
    with pytest.raises(CopyInvalid, match="each hold"):
        newer_name(both, other)
