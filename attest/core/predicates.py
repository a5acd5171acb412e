"""What the predicates say that attest itself needs: the result of a test, the source of a build.

Sources: in-toto `test-result.md` v0.1; SLSA provenance v1 (`provenance.md`) as GitHub, BuildKit and others write
it, and v0.2; SLSA `verification_summary.md` v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from attest.core.reference import Digest
from attest.core.source import read_source
from attest.core.strictjson import Json, shown

TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE_V1: Final = "https://slsa.dev/provenance/v1"
PROVENANCE_V02: Final = "https://slsa.dev/provenance/v0.2"
SUMMARY: Final = "https://slsa.dev/verification_summary/v1"


class Result(StrEnum):
    """The result of a test-result predicate."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"


class PredicateInvalid(ValueError):
    """The predicate is not what its type says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Values that some place names; None where it does not."""

    repository: str | None = None
    commit: str | None = None
    ref: str | None = None


def result_of(predicate_type: str, predicate: Mapping[str, Json]) -> Result | None:
    """The result of a test-result; None for every other type, which has none.

    Raises:
        PredicateInvalid: a test-result whose `result` is not one of the three, or without `configuration`.
    """
    if predicate_type != TEST_RESULT:
        return None
    result = predicate.get("result")
    if not isinstance(result, str) or result not in _RESULTS:
        raise PredicateInvalid(f"the result {shown(result)} is not PASSED, WARNED or FAILED")
    if not isinstance(predicate.get("configuration"), list):
        raise PredicateInvalid("a test-result without configuration")
    return _RESULTS[result]


def test_result(
    result: Result, configuration: Sequence[Mapping[str, Json]] = (), *, url: str | None = None
) -> dict[str, Json]:
    """A test-result predicate; `url` leads people to the run."""
    predicate: dict[str, Json] = {"result": result.value, "configuration": list(configuration)}
    return predicate if url is None else predicate | {"url": url}


def build_sources(predicate_type: str, predicate: Mapping[str, Json]) -> tuple[Source, ...]:
    """Every place of a SLSA provenance that names the source; empty for every other type.

    A build has other git materials too (a submodule, a shared workflow). Of the resolved dependencies one counts as
    the source only if it is the only git repository among them, or the one that the build was started with.
    """
    if predicate_type == PROVENANCE_V1:
        places, dependencies = _v1_places(predicate), _get(predicate, "buildDefinition", "resolvedDependencies")
    elif predicate_type == PROVENANCE_V02:
        places, dependencies = _v02_places(predicate), _get(predicate, "materials")
    else:
        return ()
    started_with = [source for source in places if source is not None]
    materials = _git_materials(dependencies)
    repositories = {source.repository for source in started_with} or {source.repository for source in materials}
    if len(repositories) == 1 or started_with:
        started_with += [source for source in materials if source.repository in repositories]
    return tuple(started_with)


def summary(
    *,
    verifier_version: str,
    time_verified: str,
    resource_uri: str,
    policy_uri: str,
    policy_digest: Digest,
    inputs: Iterable[Digest],
    passed: bool,
) -> dict[str, Json]:
    """A SLSA Verification Summary: the receipt of a verdict, with all of its inputs."""
    return {
        "verifier": {"id": VERIFIER, "version": {"attest": verifier_version}},
        "timeVerified": time_verified,
        "resourceUri": resource_uri,
        "policy": {"uri": policy_uri, "digest": {"sha256": policy_digest.removeprefix("sha256:")}},
        "inputAttestations": [{"digest": {"sha256": digest.removeprefix("sha256:")}} for digest in sorted(inputs)],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [] if passed else ["FAILED"],
    }


VERIFIER: Final = "https://attest-gate.dev/verify"
"""`verifier.id` of our receipts: a name, not an address to ask."""

_RESULTS: Final = {result.value: result for result in Result}


def _v1_places(predicate: Mapping[str, Json]) -> list[Source | None]:
    parameters = _get(predicate, "buildDefinition", "externalParameters")
    workflow = _get(parameters, "workflow")
    vcs = _get(predicate, "runDetails", "metadata", "buildkit_metadata", "vcs")
    return [
        _uri_and_digest(_get(parameters, "configSource")),
        _source(_text(workflow, "repository"), ref=_text(workflow, "ref")),
        _source(_text(vcs, "source"), commit=_text(vcs, "revision")),
    ]


def _v02_places(predicate: Mapping[str, Json]) -> list[Source | None]:
    vcs = _get(predicate, "metadata", "https://mobyproject.org/buildkit@v1#metadata", "vcs")
    return [
        _uri_and_digest(_get(predicate, "invocation", "configSource")),
        _source(_text(vcs, "source"), commit=_text(vcs, "revision")),
    ]


def _git_materials(dependencies: Json) -> list[Source]:
    found = []
    for dependency in dependencies if isinstance(dependencies, list) else ():
        is_git = (_text(dependency, "uri") or "").startswith("git+") or _text(_get(dependency, "digest"), "gitCommit")
        source = _uri_and_digest(dependency) if is_git else None
        if source is not None:
            found.append(source)
    return found


def _uri_and_digest(place: Json) -> Source | None:
    digest = _get(place, "digest")
    return _source(_text(place, "uri"), commit=_text(digest, "gitCommit") or _text(digest, "sha1"))


def _source(uri: str | None, *, commit: str | None = None, ref: str | None = None) -> Source | None:
    """A place without a repository that can be read names no source: a bare commit is a commit of anything."""
    try:
        repository, ref_in_uri = read_source(uri or "")
    except ValueError:
        return None
    ref = ref or ref_in_uri
    return Source(repository=repository, commit=commit, ref=ref if ref and ref.startswith("refs/") else None)


def _get(value: Json, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Json, name: str) -> str | None:
    text = _get(value, name)
    return text if isinstance(text, str) and text else None
