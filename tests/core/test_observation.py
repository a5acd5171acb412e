"""What a container was seen to run, against the images that would be signed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.observation import (
    Observation,
    ObservationRefused,
    Seen,
    describe,
    descriptors,
    match,
    read_hook,
    unchanged,
)
from attest.core.reference import Digest, digest_of

A, A_CONFIG, B, B_CONFIG, OTHER = (digest_of(name.encode()) for name in ("a", "a-config", "b", "b-config", "other"))
IMAGES = {A: frozenset({A, A_CONFIG}), B: frozenset({B, B_CONFIG})}
ONE = {A: IMAGES[A]}


def runs(*digests: Digest, container: str = "backend", **fields: Any) -> Observation:
    """A container with an image of these names."""
    given_fields = {"runtime": "podman", "instance": "c0ffee", "started": "2026-07-01T10:00:00Z", **fields}
    return Observation(container=container, digests=frozenset(digests), **given_fields)


@pytest.mark.parametrize("name", [A, A_CONFIG])
def test_an_image_is_known_by_each_of_its_names(name: Digest) -> None:
    """The digest of the manifest and that of the configuration both say that it is this image."""
    (seen,) = match([runs(name, OTHER)], ONE)
    assert seen.image == A


def test_another_image_is_refused_by_name() -> None:
    """A container of another image is refused, with what it runs and what it should."""
    with pytest.raises(ObservationRefused) as refused:
        match([runs(OTHER)], ONE)
    assert str(refused.value) == f"backend runs {OTHER}, which is not {A}, nor a platform of it"
    with pytest.raises(ObservationRefused, match="which is none of "):
        match([runs(OTHER)], IMAGES)


def test_a_container_without_a_digest_is_refused() -> None:
    """A runtime that names no digest has said nothing."""
    with pytest.raises(ObservationRefused, match="runs nothing that it names by a digest"):
        match([runs()], ONE)


def test_every_image_has_to_run() -> None:
    """An image that no container runs was not tested, whatever the others run."""
    with pytest.raises(ObservationRefused) as refused:
        match([runs(A)], IMAGES)
    assert str(refused.value) == f"no container that was named runs {B}"
    assert [one.image for one in match([runs(B_CONFIG), runs(A, container="f"), runs(A)], IMAGES)] == [B, A, A]


def test_two_images_with_one_content_are_both_run() -> None:
    """Two manifests of one configuration are the same bytes; one container runs them both."""
    twins = {A: frozenset({A, OTHER}), B: frozenset({B, OTHER})}
    assert [one.image for one in match([runs(OTHER)], twins)] == [A]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instance": "other"}, "backend is another container now than before the command"),
        ({"started": "2026-07-01T11:00:00Z"}, "backend was started again while the command ran"),
        ({"mounts": ("/app",)}, "backend is not what it was before the command"),
        ({"digests": frozenset({A, OTHER})}, "backend is not what it was before the command"),
        ({"container": "frontend"}, "backend is not what it was before the command"),
    ],
)
def test_what_changed_does_not_count(change: dict[str, Any], words: str) -> None:
    """Another container, a restart and any other difference between before and after is refused."""
    before = Seen(observation=runs(A), image=A)
    after = dataclasses.replace(before, observation=dataclasses.replace(before.observation, **change))
    unchanged([before], [before])
    with pytest.raises(ObservationRefused) as refused:
        unchanged([before], [after])
    assert str(refused.value) == words


def test_another_image_under_the_same_container_does_not_count() -> None:
    """The image matters, too, not only what the runtime says of the container."""
    with pytest.raises(ObservationRefused, match="is not what it was"):
        unchanged([Seen(observation=runs(A), image=A)], [Seen(observation=runs(A), image=B)])


def test_containers_that_came_or_went_do_not_count() -> None:
    """A hook that names more or fewer containers afterwards has seen something change."""
    seen = Seen(observation=runs(A), image=A)
    with pytest.raises(ObservationRefused, match="1 containers were there before the command, and 2 after it"):
        unchanged([seen], [seen, seen])


def test_a_hook_says_what_runs() -> None:
    """Each digest is a container of its own; instance and start are taken over."""
    one, two = read_hook(json.dumps({"digests": [A, B], "instance": "rs-7", "started": "x"}).encode(), hook="h")
    assert one == Observation(
        container="h", runtime="hook", digests=frozenset({A}), instance="rs-7", started="x", mounts=()
    )
    assert two.digests == {B}
    assert read_hook(json.dumps({"digests": [A]}).encode(), hook="h")[0].instance is None


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"", "the hook h printed no strict JSON: "),
        (b"[]", "the hook h printed no JSON object"),
        (b"{}", "the hook h printed no digests"),
        (b'{"digests": []}', "the hook h printed no digests"),
        (b'{"digests": "x"}', "the hook h printed no digests"),
        (b'{"digests": ["latest"]}', "the hook h printed 'latest' as a digest"),
        (b'{"digests": [1]}', "the hook h printed 1 as a digest"),
        (b'{"digests": ["x"], "image": "y"}', "the hook h printed 'image', which means nothing here"),
        (f'{{"digests": ["{A}"], "instance": 1}}'.encode(), "the hook h printed a instance that is no string"),
        (f'{{"digests": ["{A}"], "started": {{}}}}'.encode(), "the hook h printed a started that is no string"),
        (f'{{"digests": ["{A}"], "digests": ["{B}"]}}'.encode(), "the hook h printed no strict JSON: "),
    ],
)
def test_a_hook_that_says_something_else_says_nothing(printed: bytes, words: str) -> None:
    """No digests, something that is none, an unknown member and doubled ones are all refused."""
    with pytest.raises(ObservationRefused) as refused:
        read_hook(printed, hook="h")
    assert str(refused.value).startswith(words)


@given(st.lists(st.frozensets(st.sampled_from([A, A_CONFIG, B, B_CONFIG, OTHER]), max_size=3), max_size=4))
def test_only_containers_of_these_images_match(found: list[frozenset[Digest]]) -> None:
    """Accepted only if each container shares a name with an image, and each image with a container."""
    observations = [runs(*digests, container=str(place)) for place, digests in enumerate(found)]
    each_fits = all(any(digests & aliases for aliases in IMAGES.values()) for digests in found)
    all_seen = all(any(digests & aliases for digests in found) for aliases in IMAGES.values())
    try:
        seen = match(observations, IMAGES)
    except ObservationRefused:
        assert not (each_fits and all_seen)
    else:
        assert each_fits
        assert all_seen
        assert [one.observation for one in seen] == observations


def test_what_was_seen_stands_in_the_predicate() -> None:
    """The extension has all that the runtime said, the configuration the image as a resource."""
    seen = Seen(observation=runs(A_CONFIG, mounts=("/data",)), image=A)
    assert describe([seen]) == [
        {
            "container": "backend",
            "runtime": "podman",
            "image": A,
            "digests": [A_CONFIG],
            "instance": "c0ffee",
            "started": "2026-07-01T10:00:00Z",
            "mounts": ["/data"],
        }
    ]
    (resource,) = descriptors([seen])
    assert resource["name"] == "backend"
    assert resource["digest"] == {"sha256": A.removeprefix("sha256:")}
    assert resource["annotations"] == {"role": "container", "runtime": "podman"}
