"""Predicates: the result of a test, the places where a provenance names its source, and our own summary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from attest.core import predicates
from attest.core.predicates import (
    PROVENANCE_V02,
    PROVENANCE_V1,
    SUMMARY,
    TEST_RESULT,
    PredicateInvalid,
    Result,
    Source,
    build_sources,
    result_of,
    summary,
)
from tests.core.make import digest
from tests.core.test_strictjson import VALUES

REPOSITORY = "https://git.example.org/plex/playlist"
GIT = f"git+{REPOSITORY}@refs/heads/main"
MAIN = "refs/heads/main"
BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"


@pytest.mark.parametrize("result", list(Result))
def test_a_result_is_read_as_written(result: Result) -> None:
    """The predicate that is written for a result reads as that result, with its configuration."""
    predicate = predicates.test_result(result, [{"name": "pytest.ini"}])
    assert predicate == {"result": str(result), "configuration": [{"name": "pytest.ini"}]}
    assert result_of(TEST_RESULT, predicate) is result
    assert predicates.test_result(result)["configuration"] == []
    url = "https://ci.example.org/run/7"
    assert predicates.test_result(result, url=url) == {"result": str(result), "configuration": [], "url": url}


@pytest.mark.parametrize("value", ["passed", "PASS", "", None, 1, True, ["PASSED"], {"PASSED": 1}, [], {}])
def test_another_result_is_invalid(value: Any) -> None:
    """A result is one of three words and nothing else, of whatever JSON type."""
    with pytest.raises(PredicateInvalid, match="is not PASSED, WARNED or FAILED"):
        result_of(TEST_RESULT, {"result": value, "configuration": []})


@pytest.mark.parametrize("predicate", [{"result": "PASSED"}, {"result": "PASSED", "configuration": {}}])
def test_a_test_result_needs_its_configuration(predicate: dict[str, Any]) -> None:
    """A test-result without the list of configurations is invalid (test-result v0.1)."""
    with pytest.raises(PredicateInvalid, match="without configuration"):
        result_of(TEST_RESULT, predicate)


def test_other_predicates_have_no_result() -> None:
    """Only a test-result has one; a member of that name elsewhere means nothing."""
    assert result_of(PROVENANCE_V1, {"result": "FAILED"}) is None


def at(commit: str | None, ref: str | None = None) -> Source:
    """A source in the repository of these tests."""
    return Source(repository=REPOSITORY, commit=commit, ref=ref)


def v1(*, dependencies: Any = None, metadata: Any = None, **external: Any) -> dict[str, Any]:
    definition = {"externalParameters": external, "resolvedDependencies": dependencies}
    return {"buildDefinition": definition, "runDetails": {"metadata": metadata}}


WORKFLOW = {"repository": REPOSITORY, "ref": "refs/heads/main"}
CONFIG = {"uri": GIT, "digest": {"sha1": "a" * 40}}
VCS = {"source": f"{REPOSITORY}.git", "revision": "b" * 40}


@pytest.mark.parametrize(
    ("predicate", "sources"),
    [
        (v1(), []),
        (v1(workflow=WORKFLOW), [at(None, MAIN)]),
        (v1(workflow={"repository": REPOSITORY, "ref": "main"}), [at(None)]),
        (v1(workflow={"repository": "no repository", "ref": "refs/heads/main"}), []),
        (v1(workflow={"ref": "refs/heads/main"}), []),
        (v1(configSource=CONFIG), [at("a" * 40, MAIN)]),
        (v1(configSource={"uri": REPOSITORY, "digest": {"gitCommit": "d" * 40, "sha1": "a" * 40}}), [at("d" * 40)]),
        (v1(configSource={"digest": {"sha1": "a" * 40}}), []),
        (v1(metadata={"buildkit_metadata": {"vcs": VCS}}), [at("b" * 40)]),
        (
            v1(configSource=CONFIG, workflow=WORKFLOW, metadata={"buildkit_metadata": {"vcs": VCS}}),
            [at("a" * 40, MAIN), at(None, MAIN), at("b" * 40)],
        ),
        (v1(dependencies=[CONFIG]), [at("a" * 40, MAIN)]),
        (v1(dependencies=[{"uri": REPOSITORY, "digest": {"gitCommit": "a" * 40}}]), [at("a" * 40)]),
        (v1(dependencies=[{"uri": REPOSITORY, "digest": {"sha256": "a" * 64}}]), []),
        (v1(dependencies=[{"uri": "git+file:///src"}]), []),
        (v1(dependencies="git+"), []),
        (v1(dependencies=["git+", None, {}]), []),
    ],
)
def test_provenance_v1_names_its_source(predicate: dict[str, Any], sources: list[Source]) -> None:
    """Each place of a provenance v1 that names a repository is found, and none is made up."""
    assert list(build_sources(PROVENANCE_V1, predicate)) == sources


OTHER = {"uri": "git+https://git.example.org/tools/ci@refs/heads/v3", "digest": {"gitCommit": "e" * 40}}
MATERIAL = {"uri": GIT, "digest": {"gitCommit": "a" * 40}}


@pytest.mark.parametrize(
    ("external", "dependencies", "repositories"),
    [
        ({}, [OTHER, MATERIAL], []),
        ({}, [MATERIAL, MATERIAL], [REPOSITORY, REPOSITORY]),
        ({"workflow": WORKFLOW}, [OTHER, MATERIAL], [REPOSITORY, REPOSITORY]),
        ({"workflow": WORKFLOW}, [OTHER], [REPOSITORY]),
    ],
)
def test_other_git_materials_are_no_source(external: Any, dependencies: Any, repositories: list[str]) -> None:
    """A git dependency is the source if it is the only one, or the one that the build was started with."""
    found = build_sources(PROVENANCE_V1, v1(dependencies=dependencies, **external))
    assert [source.repository for source in found] == repositories


@pytest.mark.parametrize(
    ("predicate", "sources"),
    [
        ({}, []),
        ({"invocation": {"configSource": CONFIG}}, [at("a" * 40, MAIN)]),
        ({"metadata": {BUILDKIT: {"vcs": VCS}}}, [at("b" * 40)]),
        ({"materials": [MATERIAL]}, [at("a" * 40, MAIN)]),
        ({"materials": [MATERIAL, OTHER]}, []),
        ({"invocation": [], "metadata": "x", "materials": 3}, []),
    ],
)
def test_provenance_v02_names_its_source(predicate: dict[str, Any], sources: list[Source]) -> None:
    """The same for the places of provenance v0.2."""
    assert list(build_sources(PROVENANCE_V02, predicate)) == sources


def test_other_types_name_no_source() -> None:
    """Only provenance is asked; a look-alike under another type is not."""
    assert build_sources(TEST_RESULT, v1(workflow=WORKFLOW)) == ()


@given(VALUES, VALUES)
def test_hostile_provenance_raises_nothing(one: Any, two: Any) -> None:
    """Whatever stands in the places of a provenance, no exception comes of it."""
    for predicate in (
        {"buildDefinition": one, "runDetails": two},
        v1(
            configSource=one,
            workflow={"repository": one, "ref": two},
            dependencies=[two, {"uri": "git+", "digest": one}],
        ),
        v1(configSource={"uri": one, "digest": two}, metadata={"buildkit_metadata": {"vcs": one}}),
    ):
        build_sources(PROVENANCE_V1, predicate)
    build_sources(PROVENANCE_V02, {"invocation": {"configSource": one}, "materials": two, "metadata": {BUILDKIT: one}})


@pytest.mark.parametrize(("passed", "result", "levels"), [(True, "PASSED", []), (False, "FAILED", ["FAILED"])])
def test_a_summary_lists_all_inputs(passed: bool, result: str, levels: list[str]) -> None:
    """The receipt is a SLSA verification summary v1 with every input, sorted, and the policy's digest."""
    one, two = sorted([digest("one"), digest("two")])
    assert SUMMARY == "https://slsa.dev/verification_summary/v1"
    assert summary(
        verifier_version="1.2",
        time_verified="2026-07-01T12:00:00Z",
        resource_uri="registry.example.org/plex/app",
        policy_uri="staging.yaml",
        policy_digest=digest("policy"),
        inputs=[two, one],
        passed=passed,
    ) == {
        "verifier": {"id": "https://attest-gate.dev/verify", "version": {"attest": "1.2"}},
        "timeVerified": "2026-07-01T12:00:00Z",
        "resourceUri": "registry.example.org/plex/app",
        "policy": {"uri": "staging.yaml", "digest": {"sha256": digest("policy")[7:]}},
        "inputAttestations": [{"digest": {"sha256": one[7:]}}, {"digest": {"sha256": two[7:]}}],
        "verificationResult": result,
        "verifiedLevels": levels,
    }
