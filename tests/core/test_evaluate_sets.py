"""The full set and nothing less: subsets, single-field swaps, and sets that are whole in many ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, combinations
from random import Random
from typing import Any

import pytest

from attest.core.evaluate import evaluate
from attest.core.policy import Bind, EvidenceAt, Policy, SourceRule
from attest.core.predicates import PROVENANCE_V1, TEST_RESULT, Result
from attest.core.reference import digest_of
from attest.core.release import Release
from attest.core.verdict import LaneVerdict, Passed, Reason, Refused, State
from tests.core import generate, make

LANES = ["build", "contract", "fast-check", "integration", "lint", "e2e"]
APP, WEB = make.image("app"), make.image("web")


def full_policy(**changes: Any) -> Policy:
    """Six lanes, each with a signer and a key of its own."""
    lanes = [make.lane(name, signer=name, max_age=timedelta(days=7)) for name in LANES]
    source = SourceRule(
        repository=make.REPOSITORY, refs=("refs/heads/main",), bind=(Bind.REPOSITORY, Bind.COMMIT, Bind.RUN)
    )
    return make.policy(lanes, {name: [make.party(name)] for name in LANES}, **{"source": source, **changes})


def full_set(release: Release) -> dict[str, bytes]:
    """Good evidence for each of the six lanes, about every image of the release."""
    return {
        name: make.bundle(make.party(name), make.payload(sorted(release.subjects), make.context(name)))
        for name in LANES
    }


@pytest.mark.parametrize("release", [make.release(APP), make.release(APP, WEB)], ids=["one image", "two images"])
def test_every_proper_subset_is_refused_and_the_full_set_passes(release: Release) -> None:
    """All 63 proper subsets of six lanes are refused for exactly the lanes they lack; the full set passes."""
    asked, bundles = full_policy(), full_set(release)
    subsets = list(chain.from_iterable(combinations(LANES, size) for size in range(len(LANES) + 1)))
    assert len(subsets) == 64
    for subset in subsets:
        verdict = make.decide(asked, release, *(bundles[name] for name in subset))
        assert isinstance(verdict, Passed if len(subset) == len(LANES) else Refused)
        for image in verdict.findings.images:
            assert {lane.lane for lane in image.lanes if lane.state is State.PRESENT} == set(subset)
            assert {lane.reason for lane in image.lanes} <= {Reason.PRESENT, Reason.NOT_FOUND}


def swapped(**changes: Any) -> Callable[[], bytes]:
    """The evidence of the lane `lint` with fields of its context changed."""
    return lambda: make.bundle(make.party("lint"), make.payload([APP.digest], make.context("lint")._replace(**changes)))


def signed_by(name: str, **fields: Any) -> Callable[[], bytes]:
    """The evidence of the lane `lint` by another party, or with another result, type or subject."""
    subjects = fields.pop("subjects", [APP.digest])
    return lambda: make.bundle(make.party(name), make.payload(subjects, make.context("lint"), **fields))


SWAPS: dict[str, tuple[Callable[[], bytes], State, Reason]] = {
    "nothing": (lambda: b"", State.MISSING, Reason.NOT_FOUND),
    "signer": (signed_by("build"), State.UNTRUSTED, Reason.SIGNER_DIFFERS),
    "lane": (swapped(lane="linting"), State.MISSING, Reason.LANE_DIFFERS),
    "predicate type": (
        signed_by("lint", predicate_type=PROVENANCE_V1, predicate={}),
        State.MISSING,
        Reason.PREDICATE_TYPE_DIFFERS,
    ),
    "digest": (signed_by("lint", subjects=[make.digest("other")]), State.MISSING, Reason.SUBJECT_DIFFERS),
    "commit": (swapped(commit="d" * 40), State.MISMATCHED, Reason.COMMIT_DIFFERS),
    "repository": (
        swapped(repository="https://git.example.org/plex/playlist2"),
        State.MISMATCHED,
        Reason.REPOSITORY_DIFFERS,
    ),
    "ref": (swapped(ref="refs/heads/mainx"), State.MISMATCHED, Reason.REF_DIFFERS),
    "run": (swapped(run_id="101"), State.MISMATCHED, Reason.RUN_DIFFERS),
    "failed": (signed_by("lint", result=Result.FAILED), State.FAILED, Reason.RESULT_FAILED),
    "warned": (signed_by("lint", result=Result.WARNED), State.FAILED, Reason.RESULT_WARNED),
    "old": (swapped(finished=make.NOW - timedelta(days=7, microseconds=1)), State.STALE, Reason.TOO_OLD),
    "future": (swapped(finished=make.NOW + timedelta(seconds=60, microseconds=1)), State.STALE, Reason.IN_THE_FUTURE),
    "timeless": (swapped(finished=None), State.STALE, Reason.NO_TIME),
    "dirty": (swapped(dirty=True), State.MISMATCHED, Reason.WORK_TREE_DIRTY),
    "sourceless": (swapped(commit=None), State.MISMATCHED, Reason.SOURCE_UNNAMED),
}


def decide_with(content: bytes) -> LaneVerdict:
    """The state of `lint` with this evidence for it and the full set otherwise, which has to be present."""
    bundles = {**full_set(make.release(APP)), "lint": content}
    asked = full_policy()
    found = make.found(asked, *bundles.values(), on=APP.digest)
    verdict = evaluate(asked, make.release(APP), found, now=make.NOW)
    assert isinstance(verdict, Refused)
    lanes = {lane.lane: lane for lane in verdict.findings.images[0].lanes}
    lint = lanes.pop("lint")
    assert all(lane.state is State.PRESENT for lane in lanes.values())
    return lint


@pytest.mark.parametrize("swap", SWAPS)
def test_every_swap_of_one_field_is_refused_for_its_own_reason(swap: str) -> None:
    """Evidence that is right but for one field is refused with the state and the reason of that field."""
    make_content, state, reason = SWAPS[swap]
    lint = decide_with(make_content())
    assert (lint.state, lint.reason) == (state, reason)
    assert lint.message
    shows_evidence = reason is not Reason.NOT_FOUND
    assert bool(lint.evidence) is shows_evidence


def test_reasons_of_swaps_are_all_different() -> None:
    """No two of these swaps share a reason, so that a script can tell them apart."""
    reasons = [reason for _, _, reason in SWAPS.values()]
    assert len(set(reasons)) == len(reasons)


@pytest.mark.parametrize("swap", ["failed", "warned", "future"])
def test_a_bad_swap_stands_beside_the_full_set(swap: str) -> None:
    """What is bad refuses also where the good evidence for the same lane is there as well."""
    bundles = [*full_set(make.release(APP)).values(), SWAPS[swap][0]()]
    assert isinstance(make.decide(full_policy(), make.release(APP), *bundles), Refused)


@pytest.mark.parametrize("swap", sorted(set(SWAPS) - {"failed", "warned", "future"}))
def test_a_harmless_swap_beside_the_full_set_changes_nothing(swap: str) -> None:
    """What is of another source, lane, digest, time or signer does not take away what is there."""
    bundles = [*full_set(make.release(APP)).values(), SWAPS[swap][0]()]
    assert isinstance(make.decide(full_policy(), make.release(APP), *bundles), Passed)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": SourceRule(repository="https://git.example.org/plex/other", refs=None, bind=(Bind.COMMIT,))},
        {"source": SourceRule(repository=make.REPOSITORY, refs=("refs/tags/*",), bind=(Bind.COMMIT,))},
        {"images": ("registry.example.org/plexus/*",)},
        {"images": ("registry.example.org/plex",)},
        {"expires": make.NOW},
        {"revoked": [APP.digest]},
        {"revoked": [make.party("lint").trusted.fingerprint]},
        {"revoked": [digest_of(full_set(make.release(APP))["lint"])]},
        {"platforms": make.platforms(EvidenceAt.INDEX, make.ARM64)},
        {"lint": {"name": "linting"}},
        {"lint": {"predicate_type": PROVENANCE_V1}},
        {"lint": {"parties": frozenset({"build"})}},
        {"lint": {"threshold": 2}},
        {"lint": {"unlabelled": True}},
        {"lint": {"max_age": timedelta(minutes=59)}},
        {"lint": {"where": (generate.Says(value="ok"),)}},
    ],
)
def test_every_field_of_a_policy_matters(changes: dict[str, Any]) -> None:
    """Any field of a policy changed to what does not match turns Passed into Refused (CVE-2025-29778)."""
    bundles = full_set(make.release(APP)).values()
    assert isinstance(make.decide(full_policy(), make.release(APP), *bundles), Passed)
    of_lane = changes.get("lint", {})
    asked = full_policy(**{name: value for name, value in changes.items() if name != "lint"})
    lanes = tuple(dataclasses.replace(lane, **of_lane) if lane.name == "lint" else lane for lane in asked.lanes)
    verdict = make.decide(dataclasses.replace(asked, lanes=lanes), make.release(APP), *bundles)
    assert isinstance(verdict, Refused)


def valid_set(chance: Random) -> tuple[Policy, Release, list[bytes], timedelta]:
    """A policy, a release and a full set, of which much is free to vary and nothing is wrong."""
    names = LANES[: chance.choice([1, 2, 2, 3, 5])]
    bind = tuple(chance.sample(list(Bind), chance.randint(1, 4)))
    evidence = chance.choice(list(EvidenceAt))
    names_of_images = ("app", "web")[: chance.randint(1, 2)]
    plain = chance.random() < 0.5
    images = [make.image(name) if plain else make.index(name) for name in names_of_images]
    rule = make.platforms(evidence, make.AMD64) if plain else make.platforms(evidence)
    release = make.release(*images, commit=chance.choice([None, make.COMMIT]))
    lanes = [
        make.lane(
            name,
            signer=name,
            max_age=chance.choice([None, timedelta(days=1)]),
            joint=chance.random() < 0.2,
            allow_warned=chance.random() < 0.3,
            unbound=chance.random() < 0.2,
        )
        for name in names
    ]
    source = SourceRule(repository=make.REPOSITORY, refs=chance.choice([None, ("refs/heads/*",)]), bind=bind)
    asked = make.policy(lanes, {name: [make.party(name, "ed25519")] for name in names}, source=source, platforms=rule)
    run, bundles = str(chance.randint(1, 10**6)), []
    for lane in lanes:
        result = Result.WARNED if lane.allow_warned and chance.random() < 0.5 else Result.PASSED
        about = make.context(
            lane.name,
            run_id=run,
            run_attempt=chance.randint(1, 9),
            finished=make.NOW - timedelta(minutes=chance.randint(0, 1000)),
        )
        who = make.party(lane.name, "ed25519")
        if lane.joint:
            bundles.append(make.bundle(who, make.payload(sorted(release.subjects), about, result=result)))
            continue
        digests = sorted(frozenset().union(*(image.digests for image in images)))
        pieces = [digests] if chance.random() < 0.5 else [[digest] for digest in digests]
        bundles += [make.bundle(who, make.payload(piece, about, result=result)) for piece in pieces]
        if chance.random() < 0.3:  # an earlier failure of an earlier run, which is superseded
            earlier = about._replace(
                run_id="0", finished=make.NOW - timedelta(days=3), started=make.NOW - timedelta(days=4)
            )
            bundles.append(make.bundle(who, make.payload(digests[:1], earlier, result=Result.FAILED)))
    chance.shuffle(bundles)
    return asked, release, bundles, timedelta(seconds=chance.randint(-60, 60))


@pytest.mark.slow
def test_no_valid_set_is_refused() -> None:
    """A thousand full sets, each valid in another way, all pass."""
    for seed in range(1_000):
        asked, release, bundles, skew = valid_set(Random(seed))
        verdict = make.decide(asked, release, *bundles, now=make.NOW + skew)
        assert isinstance(verdict, Passed), (seed, verdict)


def test_no_valid_set_passes_without_one_of_its_lanes() -> None:
    """From a hundred such sets any one lane's evidence is taken away, and none passes."""
    for seed in range(100):
        asked, release, bundles, _ = valid_set(Random(seed))
        for lane in asked.lanes:
            rest = [found for found in make.found(asked, *bundles) if lane.name not in lanes_of(found.outcome)]
            assert isinstance(evaluate(asked, release, rest, now=make.NOW), Refused)


def lanes_of(outcome: Any) -> set[str]:
    return {outcome.statement.context.lane}


def test_the_predicate_type_of_these_sets_is_a_test_result() -> None:
    """The swap of the predicate type is one: the rest of the set is of the other type."""
    assert {lane.predicate_type for lane in full_policy().lanes} == {TEST_RESULT}
