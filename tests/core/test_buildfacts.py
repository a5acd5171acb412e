"""What builders say of a build: BuildKit's metadata and provenance, buildah's description, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.buildfacts import BuildFacts, FactsInvalid, Material, merge, read_metadata, read_provenance
from attest.core.predicates import PROVENANCE_V02, PROVENANCE_V1, TEST_RESULT, Source
from tests.core.make import digest

IMAGE = digest("image")
CONFIG = digest("config")
OTHER = digest("another image")
OWN = frozenset({IMAGE, CONFIG})
COMMIT = "c" * 40
REPOSITORY = "https://git.example.org/plex/playlist"
GOLANG = {"uri": "pkg:docker/golang@1.26?platform=linux%2Famd64", "digest": {"sha256": "1" * 64}}
FRONTEND = {"uri": "pkg:docker/docker/dockerfile@1", "digest": {"sha256": "2" * 64}}
TARBALL = {"uri": "https://example.org/source.tar.gz", "digest": {"sha256": "3" * 64}}
ARGS = {"target": "runtime", "build-arg:VERSION": "1.0", "build-arg:EMPTY": "", "cmdline": "docker/dockerfile:1"}


def v02(**changes: Any) -> dict[str, Any]:
    """The predicate that buildx puts into its metadata file unless it is told otherwise."""
    return {
        "buildType": "https://mobyproject.org/buildkit@v1",
        "builder": {"id": "https://ci.example.org/run/7"},
        "materials": [FRONTEND, GOLANG],
        "invocation": {
            "configSource": {"entryPoint": "Containerfile"},
            "parameters": {"frontend": "gateway.v0", "args": ARGS, "locals": [{"name": "context"}]},
            "environment": {"platform": "linux/amd64"},
        },
        "metadata": {
            "buildInvocationID": "dq6lxkyb3ibfp9gs3bzsnqkhk",
            "buildStartedOn": "2026-07-01T11:00:00.123456789Z",
            "buildFinishedOn": "2026-07-01T11:02:00Z",
            "https://mobyproject.org/buildkit@v1#metadata": {
                "vcs": {"localdir:context": ".", "revision": COMMIT, "source": f"{REPOSITORY}.git"}
            },
        },
        **changes,
    }


def v1(**changes: Any) -> dict[str, Any]:
    """The same as SLSA v1."""
    return {
        "buildDefinition": {
            "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
            "externalParameters": {"configSource": {"path": "Containerfile"}, "request": {"args": ARGS}},
            "internalParameters": {"builderPlatform": "linux/amd64"},
            "resolvedDependencies": [FRONTEND, GOLANG],
        },
        "runDetails": {
            "builder": {"id": "https://ci.example.org/run/7"},
            "metadata": {
                "invocationID": "dq6lxkyb3ibfp9gs3bzsnqkhk",
                "startedOn": "2026-07-01T11:00:00.123456789Z",
                "finishedOn": "2026-07-01T13:02:00+02:00",
                "buildkit_metadata": {"vcs": {"revision": COMMIT, "source": f"{REPOSITORY}.git"}},
            },
        },
        **changes,
    }


def metadata(**changes: Any) -> dict[str, Any]:
    """A metadata file of one build for one platform."""
    return {
        "buildx.build.provenance": v02(),
        "buildx.build.ref": "default/default/dq6lxkyb3ibfp9gs3bzsnqkhk",
        "containerimage.config.digest": CONFIG,
        "containerimage.digest": IMAGE,
        "image.name": "registry.example.org/plex/backend",
        **changes,
    }


BUILDAH = {
    "Type": "buildah 0.0.1",
    "FromImage": "localhost/app:latest",
    "FromImageID": CONFIG.removeprefix("sha256:"),
    "OCIv1": {"config": {"Labels": {"io.buildah.version": "1.28.2"}}},
}


def read(document: Any) -> BuildFacts:
    return read_metadata(document, place="build.json", image=OWN)


@pytest.mark.parametrize("predicate", [v02(), v1()], ids=["v0.2", "v1"])
def test_a_metadata_file_says_all_of_it(predicate: dict[str, Any]) -> None:
    """Both versions of the provenance say the same of a build, times in UTC with microseconds."""
    facts = read(metadata(**{"buildx.build.provenance": predicate}))
    assert facts == BuildFacts(
        place="build.json",
        digests=OWN,
        containerfile="Containerfile",
        target="runtime",
        arguments={"VERSION": "1.0", "EMPTY": ""},
        materials=(
            Material(uri=FRONTEND["uri"], digest=FRONTEND["digest"]),  # type: ignore[arg-type]
            Material(uri=GOLANG["uri"], digest=GOLANG["digest"]),  # type: ignore[arg-type]
        ),
        sources=(Source(repository=REPOSITORY, commit=COMMIT),),
        builder="https://ci.example.org/run/7",
        invocation="dq6lxkyb3ibfp9gs3bzsnqkhk",
        started=datetime(2026, 7, 1, 11, 0, 0, 123456, tzinfo=UTC),
        finished=datetime(2026, 7, 1, 11, 2, tzinfo=UTC),
    )


def test_a_provenance_in_an_index_is_read_by_its_type() -> None:
    """The type of the predicate says how it is read; another one is no provenance."""
    assert read_provenance(PROVENANCE_V1, v1(), place="p").target == "runtime"
    assert read_provenance(PROVENANCE_V02, v02(), place="p").target == "runtime"
    with pytest.raises(FactsInvalid, match=f"p is no SLSA provenance, but '{TEST_RESULT}'"):
        read_provenance(TEST_RESULT, v02(), place="p")


def test_both_spellings_of_the_invocation_are_read() -> None:
    """BuildKit writes `invocationID`, the specification `invocationId`."""
    predicate = v1(runDetails={"metadata": {"invocationId": "by the book"}})
    assert read_provenance(PROVENANCE_V1, predicate, place="p").invocation == "by the book"
    older = v02(metadata={"buildInvocationId": "by the book"})
    assert read_provenance(PROVENANCE_V02, older, place="p").invocation == "by the book"


def test_a_metadata_file_without_provenance_names_the_image() -> None:
    """Where provenance is switched off the digests are left, and nothing is made up."""
    facts = read({"containerimage.digest": IMAGE, "buildx.build.ref": "x"})
    assert facts == BuildFacts(place="build.json", digests=frozenset({IMAGE}))


def test_a_build_for_several_platforms_is_one() -> None:
    """Each platform's provenance adds its materials; times span all of them."""
    arm = v02(materials=[FRONTEND, TARBALL])
    arm["metadata"] = {"buildStartedOn": "2026-07-01T10:59:00Z", "buildFinishedOn": "2026-07-01T11:30:00Z"}
    document = metadata(**{"buildx.build.provenance/linux/amd64": v02(), "buildx.build.provenance/linux/arm64": arm})
    del document["buildx.build.provenance"]
    facts = read(document)
    assert [material.uri for material in facts.materials] == [FRONTEND["uri"], GOLANG["uri"], TARBALL["uri"]]
    assert [material.is_image for material in facts.materials] == [True, True, False]
    assert (facts.started, facts.finished) == (
        datetime(2026, 7, 1, 10, 59, tzinfo=UTC),
        datetime(2026, 7, 1, 11, 30, tzinfo=UTC),
    )


def test_of_a_bake_the_build_of_the_image_is_read() -> None:
    """A metadata file with several targets says only what it says of the image's own."""
    other = metadata(**{"containerimage.digest": OTHER, "containerimage.config.digest": OTHER})
    other["buildx.build.provenance"] = v02(builder={"id": "https://elsewhere.example.org"})
    facts = read({"frontend": other, "backend": metadata(), "buildx.warnings": []})
    assert facts.builder == "https://ci.example.org/run/7"
    assert facts.place == "build.json (backend)"


def test_a_changed_work_tree_is_seen() -> None:
    """buildx marks the commit of a changed work tree; the commit itself is read without the mark."""
    predicate = v1()
    predicate["runDetails"]["metadata"]["buildkit_metadata"]["vcs"]["revision"] = f"{COMMIT}-dirty"
    facts = read_provenance(PROVENANCE_V1, predicate, place="p")
    assert (facts.dirty, facts.sources) == (True, (Source(repository=REPOSITORY, commit=COMMIT),))


def test_buildah_names_the_configuration_and_itself() -> None:
    """buildah's description is tied to the image by its configuration, and tells the version."""
    assert read(BUILDAH) == BuildFacts(place="build.json", digests=frozenset({CONFIG}), tool={"buildah": "1.28.2"})
    for labels in (None, {}, {"io.buildah.version": ""}):
        assert read({**BUILDAH, "OCIv1": {"config": {"Labels": labels}}}).tool == {}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "build.json is no JSON object"),
        ({}, "build.json is neither what"),
        ({"a": 1, "b": {"c": 2}}, "build.json is neither what"),
        ({"buildx.build.ref": "x"}, "build.json does not say which image it is about"),
        (metadata(**{"containerimage.digest": 1}), "build.json: containerimage.digest is no digest"),
        (metadata(**{"containerimage.digest": "sha256:1"}), "build.json: containerimage.digest is no digest"),
        (
            metadata(**{"containerimage.digest": OTHER, "containerimage.config.digest": OTHER}),
            f"build.json is about another image: {OTHER}",
        ),
        (metadata(**{"buildx.build.provenance": []}), "build.json: buildx.build.provenance is no JSON object"),
        (metadata(**{"buildx.build.provenance": v02(builder=3)}), "build.json: builder is no JSON object"),
        (metadata(**{"buildx.build.provenance": v02(builder={"id": 3})}), "build.json: id is no line of text"),
        (metadata(**{"buildx.build.provenance": v02(builder={"id": "a\nb"})}), "build.json: id is no line of text"),
        (metadata(**{"buildx.build.provenance": v02(builder={"id": "a" * 4097})}), "build.json: id is no line of text"),
        (metadata(**{"buildx.build.provenance": v02(materials={})}), "build.json: its materials are no list"),
        (metadata(**{"buildx.build.provenance": v02(materials=[1])}), "build.json: a material is no JSON object"),
        (metadata(**{"buildx.build.provenance": v02(materials=[{"digest": {}}])}), "neither a URI nor a digest"),
        (
            metadata(**{"buildx.build.provenance": v02(materials=[{"uri": "a", "digest": {"sha256": 1}}])}),
            "build.json: a material with a malformed digest",
        ),
        (
            metadata(**{"buildx.build.provenance": v02(metadata={"buildStartedOn": "yesterday"})}),
            "build.json: buildStartedOn is no time",
        ),
        (
            metadata(**{"buildx.build.provenance": v02(metadata={"buildStartedOn": "2026-13-01T00:00:00Z"})}),
            "build.json: buildStartedOn is no time",
        ),
        (
            metadata(**{"buildx.build.provenance": v02(metadata={"buildStartedOn": "0001-01-01T00:00:00+23:00"})}),
            "build.json: buildStartedOn is no time",
        ),
        ({**BUILDAH, "FromImageID": "sha256:" + "1" * 64}, "build.json: FromImageID is no image id"),
        ({**BUILDAH, "FromImageID": None}, "build.json: FromImageID is no image id"),
        ({**BUILDAH, "FromImageID": "1" * 64}, f"build.json is about another image: sha256:{'1' * 64}"),
    ],
)
def test_what_is_no_description_of_this_build_is_refused(document: Any, said: str) -> None:
    """Another format, another image, or a malformed value is an error that names the file."""
    with pytest.raises(FactsInvalid) as caught:
        read(document)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"target": "runtime"}, {"target": "debug"}, "more than one target: 'runtime' (one) and 'debug' (other)"),
        ({"containerfile": "A"}, {"containerfile": "B"}, "more than one containerfile"),
        ({"builder": "https://a"}, {"builder": "https://b"}, "more than one builder"),
        (
            {"arguments": {"A": "1"}},
            {"arguments": {"A": "2"}},
            "the build argument A has two values, one of them in other",
        ),
    ],
)
def test_papers_that_contradict_each_other_are_refused(one: Any, other: Any, said: str) -> None:
    """Two places that say different things of one build are an error that names both."""
    with pytest.raises(FactsInvalid) as caught:
        merge([BuildFacts(place="one", **one), BuildFacts(place="other", **other)])
    assert said in str(caught.value)
    assert merge([BuildFacts(place="one", **one), BuildFacts(place="one", **one)]) == merge(
        [BuildFacts(place="one", **one)]
    )


def test_nothing_is_known_of_nothing() -> None:
    """Without any paper there are no facts."""
    assert merge([]) == BuildFacts(place="")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_hostile_papers_raise_nothing_else(one: Any, two: Any) -> None:
    """Whatever a paper holds, it is read, or refused as one."""
    documents = [
        one,
        metadata(**{"buildx.build.provenance": one, "containerimage.digest": two}),
        metadata(**{"buildx.build.provenance": v02(invocation=one, metadata=two)}),
        metadata(**{"buildx.build.provenance": v1(buildDefinition=one, runDetails=two)}),
        metadata(**{"buildx.build.provenance/x": v02(materials=[{"uri": one, "digest": two}])}),
        {**BUILDAH, "OCIv1": one, "FromImageID": two},
        {"target": one, "other": {"buildx.build.ref": two}},
    ]
    for document in documents:
        try:
            read(document)
        except FactsInvalid:
            continue
