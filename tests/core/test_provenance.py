"""The SLSA provenance that a build lane signs: what it says, from where, and when it is not made."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from attest.adapters.conditions import compile_condition
from attest.core.contract import read_claim
from attest.core.lane.buildfacts import BuildFacts, Material
from attest.core.lane.provenance import (
    BUILD_TYPE,
    ProvenanceInvalid,
    Recipe,
    UsedImage,
    diff_ids,
    is_built_on,
    provenance,
    used,
)
from attest.core.oci import OciInvalid
from attest.core.predicates import PROVENANCE_V1, Source, build_sources
from attest.core.reference import RegistryImage, parse_repository
from attest.core.statement import Context
from tests.core.make import COMMIT, REPOSITORY, digest

BUILDER = "https://ci.example.org/builder"
CONTEXT = Context(
    lane="build", repository=REPOSITORY, commit=COMMIT, ref="refs/heads/main", run_id="7", run_url="https://ci/7"
)
BASE = UsedImage(repository=parse_repository("registry.example.org:5000/base/debian"), digest=digest("base"))
TOOLS = UsedImage(repository=parse_repository("registry.example.org/golang"), digest=digest("tools"))
SOURCE = {"uri": f"git+{REPOSITORY}@refs/heads/main", "digest": {"gitCommit": COMMIT}}
NO_FACTS = BuildFacts(place="")


def make(recipe: Recipe, facts: BuildFacts = NO_FACTS, context: Context = CONTEXT) -> Any:
    """The predicate, whatever is in it."""
    return provenance(dataclasses.replace(recipe, builder=recipe.builder or BUILDER), facts, context)


def test_a_lane_that_says_everything() -> None:
    """Everything that a lane says stands where the build type has it, the source where policies look."""
    recipe = Recipe(
        builder=BUILDER,
        invocation="42",
        containerfile="docker/Containerfile",
        containerfile_digest=digest("recipe"),
        target="runtime",
        arguments={"VERSION": "1.0", "A": ""},
        bases=[BASE],
        images=[TOOLS],
        platforms=["linux/amd64"],
        started=datetime(2026, 7, 1, tzinfo=UTC),
        finished=datetime(2026, 7, 2, tzinfo=UTC),
    )
    made = make(recipe)
    assert made == {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configSource": {**SOURCE, "path": "docker/Containerfile"},
                "request": {"args": {"target": "runtime", "build-arg:A": "", "build-arg:VERSION": "1.0"}},
            },
            "internalParameters": {"platforms": ["linux/amd64"]},
            "resolvedDependencies": [
                {"name": "source", **SOURCE},
                {"name": "containerfile", "digest": {"sha256": digest("recipe")[7:]}},
                {
                    "name": "base",
                    "uri": f"pkg:oci/debian@sha256%3A{digest('base')[7:]}"
                    "?repository_url=registry.example.org%3A5000/base/debian",
                    "digest": {"sha256": digest("base")[7:]},
                },
                {
                    "name": "image",
                    "uri": f"pkg:oci/golang@sha256%3A{digest('tools')[7:]}?repository_url=registry.example.org/golang",
                    "digest": {"sha256": digest("tools")[7:]},
                },
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER},
            "metadata": {
                "invocationId": "42",
                "startedOn": "2026-07-01T00:00:00.000000Z",
                "finishedOn": "2026-07-02T00:00:00.000000Z",
            },
        },
    }
    assert set(build_sources(PROVENANCE_V1, made)) == {
        Source(repository=REPOSITORY, commit=COMMIT, ref="refs/heads/main")
    }
    claim = read_claim(PROVENANCE_V1, made, place="here")
    assert (claim.target, claim.bases) == ("runtime", frozenset({digest("base")})), (
        "the contract lane reads what is written here"
    )


FACTS = BuildFacts(
    place="build.json",
    containerfile="Containerfile",
    target="runtime",
    arguments={"VERSION": "1.0", "PASSWORD": "hunter2"},
    materials=(
        Material(uri="pkg:docker/debian@12", digest={"sha256": digest("base")[7:]}),
        Material(uri="pkg:docker/golang@1.26", digest={"sha256": digest("tools")[7:]}),
        Material(uri="https://example.org/a.tar.gz", digest={}),
    ),
    sources=(Source(repository=REPOSITORY, commit=COMMIT), Source(repository=REPOSITORY)),
    builder="https://ci.example.org/run/7",
    tool={"buildkit": "0.20", "buildah": "1.28"},
    invocation="by the builder",
    started=datetime(2026, 7, 1, tzinfo=UTC),
    finished=datetime(2026, 7, 2, tzinfo=UTC),
)


def test_what_the_builder_says_is_told() -> None:
    """Without a word of the lane the builder's papers fill the same places; a base is only what was looked at."""
    made: Any = provenance(Recipe(), FACTS, CONTEXT)
    definition, details = made["buildDefinition"], made["runDetails"]
    assert definition["externalParameters"]["request"] == {"args": {"target": "runtime"}}
    assert definition["externalParameters"]["configSource"]["path"] == "Containerfile"
    assert [(one["name"], one["uri"]) for one in definition["resolvedDependencies"]] == [
        ("source", SOURCE["uri"]),
        ("image", "pkg:docker/debian@12"),
        ("image", "pkg:docker/golang@1.26"),
        ("material", "https://example.org/a.tar.gz"),
    ]
    assert details == {
        "builder": {"id": "https://ci.example.org/run/7", "version": {"buildah": "1.28", "buildkit": "0.20"}},
        "metadata": {
            "invocationId": "by the builder",
            "startedOn": "2026-07-01T00:00:00.000000Z",
            "finishedOn": "2026-07-02T00:00:00.000000Z",
        },
    }


def test_an_image_is_told_once() -> None:
    """A base that the builder names too, or that is named twice, stands there once, as the base."""
    made = make(Recipe(bases=[BASE, BASE], images=[BASE, TOOLS]), FACTS)
    dependencies = made["buildDefinition"]["resolvedDependencies"]
    assert [one["name"] for one in dependencies] == ["source", "base", "image", "material"]
    assert dependencies[1]["uri"] == BASE.uri
    assert dependencies[2]["uri"] == TOOLS.uri


def test_only_the_arguments_that_are_named_are_told() -> None:
    """The values of other build arguments stay out of the public statement; their names are in it."""
    made = make(Recipe(arguments={"VERSION": None}), FACTS)
    assert made["buildDefinition"]["externalParameters"]["request"]["args"] == {
        "target": "runtime",
        "build-arg:VERSION": "1.0",
    }
    assert made["buildDefinition"]["internalParameters"] == {"omittedBuildArguments": ["PASSWORD"]}
    assert "hunter2" not in json.dumps(made)


@pytest.mark.parametrize(
    ("context", "facts"),
    [
        (CONTEXT._replace(dirty=True), NO_FACTS),
        (CONTEXT, BuildFacts(place="p", dirty=True)),
    ],
)
def test_a_changed_work_tree_is_told(context: Context, facts: BuildFacts) -> None:
    """Changes that are in no commit are told, whoever saw them."""
    assert make(Recipe(), facts, context)["buildDefinition"]["internalParameters"] == {"dirty": True}


@pytest.mark.parametrize(
    ("context", "invocation"),
    [
        (CONTEXT, "https://ci/7"),
        (CONTEXT._replace(run_url=None), "7"),
        (CONTEXT._replace(run_url=None, run_id=None), None),
    ],
)
def test_the_run_is_the_invocation_where_nobody_says_another(context: Context, invocation: str | None) -> None:
    """The address of the run, else its id, says which build it was."""
    assert make(Recipe(), NO_FACTS, context)["runDetails"]["metadata"].get("invocationId") == invocation


def test_a_source_without_a_ref_is_one() -> None:
    """A build of a commit that no ref was named for has a source all the same."""
    made = make(Recipe(), NO_FACTS, CONTEXT._replace(ref=None))
    assert made["buildDefinition"]["externalParameters"]["configSource"]["uri"] == f"git+{REPOSITORY}"


@pytest.mark.parametrize(
    ("recipe", "facts", "said"),
    [
        (Recipe(builder=BUILDER, target="debug"), FACTS, "--target is debug, and build.json says runtime"),
        (
            Recipe(builder=BUILDER, containerfile="docker/Other"),
            FACTS,
            "--containerfile is docker/Other, and build.json says Containerfile",
        ),
        (
            Recipe(builder=BUILDER, arguments={"VERSION": "2"}),
            FACTS,
            "build.json says another value of the build argument VERSION",
        ),
        (Recipe(builder=BUILDER, arguments={"X": None}), FACTS, "nothing says the value of the build argument X"),
        (
            Recipe(builder=BUILDER, arguments={"T": "ghp_" + "a1B2" * 9}),
            NO_FACTS,
            "buildDefinition.externalParameters.request.args.build-arg:T looks like a GitHub token",
        ),
        (
            Recipe(builder=BUILDER),
            BuildFacts(place="p", materials=(Material(uri="https://me:hunter2@example.org/a.git", digest={}),)),
            "buildDefinition.resolvedDependencies[1].uri looks like a URL with a password, and would be public",
        ),
        (Recipe(), NO_FACTS, "nothing says who the builder is"),
        (
            Recipe(builder=BUILDER),
            BuildFacts(place="p", sources=(Source(repository=REPOSITORY, commit="d" * 40),)),
            f"p is about the commit {'d' * 40}, and this lane about {COMMIT}",
        ),
        (
            Recipe(builder=BUILDER),
            BuildFacts(place="p", sources=(Source(repository="https://git.example.org/a/b"),)),
            "p is about the repository https://git.example.org/a/b",
        ),
    ],
)
def test_what_does_not_fit_together_is_not_told(recipe: Recipe, facts: BuildFacts, said: str) -> None:
    """A contradiction, an unknown builder or a value that may be a credential is an error that says what and where."""
    with pytest.raises(ProvenanceInvalid) as caught:
        provenance(recipe, facts, CONTEXT)
    assert said in str(caught.value)
    assert "ghp_" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_recipe_elsewhere_in_the_tree_is_the_same() -> None:
    """A builder names the recipe from its context's folder on, the lane from the source's: the last parts agree."""
    made = make(Recipe(containerfile="docker/Containerfile"), FACTS)
    assert made["buildDefinition"]["externalParameters"]["configSource"]["path"] == "docker/Containerfile"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("predicate.buildDefinition.externalParameters.request.args.target == 'runtime'", True),
        ("predicate.buildDefinition.externalParameters.request.args.target == 'debug'", False),
        (
            f"predicate.buildDefinition.resolvedDependencies.exists(d, d.name == 'base' && "
            f"d.digest.sha256 == '{digest('base')[7:]}')",
            True,
        ),
        (
            f"predicate.buildDefinition.resolvedDependencies.exists(d, d.name == 'base' && "
            f"d.digest.sha256 == '{digest('tools')[7:]}')",
            False,
        ),
        (f"predicate.runDetails.builder.id == '{BUILDER}'", True),
    ],
)
def test_a_policy_can_demand_what_is_told(condition: str, holds: bool) -> None:
    """Target, base and builder can be asked for in a `where`, and another value does not hold."""
    made = make(Recipe(target="runtime", bases=[BASE], images=[TOOLS]))
    compiled = compile_condition(condition)
    assert compiled.holds(predicate=made, statement={}, image={}, certificate={}) is holds


# ---- layers


def config(layers: Any) -> bytes:
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": layers}}).encode()


def test_layers_are_read_from_the_configuration() -> None:
    """An image has the layers that its configuration names, in order; none is an image too."""
    assert diff_ids(config([digest("a"), digest("b")])) == (digest("a"), digest("b"))
    assert diff_ids(config([])) == ()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"rootfs":[]}', b'{"rootfs":{}}', config({}), config([1]), config(["sha256:1"])]
)
def test_a_configuration_without_layers_is_refused(content: bytes) -> None:
    """What names no layers, or malformed ones, is no configuration of an image."""
    with pytest.raises(OciInvalid):
        diff_ids(content)


@pytest.mark.parametrize(
    ("image", "base", "on"),
    [
        ("abc", "ab", True),
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("abc", "ac", False),
        ("abc", "bc", False),
        ("abc", "", False),
        ("", "", False),
    ],
)
def test_an_image_is_built_on_what_it_begins_with(image: str, base: str, on: bool) -> None:
    """All layers of a base come first, in order; a base without layers is the base of nothing."""
    assert is_built_on(list(image), list(base)) is on


def test_an_image_of_a_registry_becomes_a_dependency() -> None:
    """Repository and digest are those of the reference."""
    assert used(RegistryImage(repository=BASE.repository, digest=BASE.digest)) == BASE
