"""Steps 2, 5 and 6: who may fill a lane, what binds the lanes together, and how many signers are enough."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from attest.core.policy import Bind, Lane, Policy, SourceRule
from attest.core.predicates import PROVENANCE_V1, Result
from attest.core.reference import Digest
from attest.core.statement import NO_CONTEXT, Context
from attest.core.verdict import Passed, Reason, Refused, State, Verdict
from tests.core import generate, make

APP, WEB = make.image("app"), make.image("web")
CI = make.party("ci")
OTHER = generate.OTHER_REPOSITORY


def source(*bind: Bind, refs: tuple[str, ...] | None = None) -> SourceRule:
    return SourceRule(repository=make.REPOSITORY, refs=refs, bind=bind or (Bind.COMMIT,))


def good(about: Context, *subjects: Digest, who: make.Party = CI, **fields: Any) -> bytes:
    return make.bundle(who, make.payload(subjects or [APP.digest], about, **fields))


def states(verdict: Verdict) -> list[list[tuple[str, State, Reason]]]:
    return [[(lane.lane, lane.state, lane.reason) for lane in image.lanes] for image in verdict.findings.images]


def one(verdict: Verdict) -> tuple[State, Reason]:
    lane = make.only_lane(verdict)
    return lane.state, lane.reason


# What binds


DIFFERENT = {Bind.COMMIT: {"commit": "d" * 40}, Bind.REF: {"ref": "refs/heads/other"}, Bind.RUN: {"run_id": "101"}}


@pytest.mark.parametrize("bind", list(itertools.chain(*(itertools.combinations(Bind, size) for size in (1, 2, 3, 4)))))
@pytest.mark.parametrize("differing", DIFFERENT)
def test_lanes_share_what_bind_names_and_nothing_more(bind: tuple[Bind, ...], differing: Bind) -> None:
    """Two lanes that differ in a value are refused exactly where `bind` names it, with that value's reason."""
    asked = make.policy([make.lane("a"), make.lane("b")], source=source(*bind))
    verdict = make.decide(
        asked, make.release(APP), good(make.context("a")), good(make.context("b", **DIFFERENT[differing]))
    )
    assert isinstance(verdict, Refused) == (differing in bind)
    if differing in bind:
        reason = {Bind.COMMIT: Reason.COMMIT_DIFFERS, Bind.REF: Reason.REF_DIFFERS, Bind.RUN: Reason.RUN_DIFFERS}
        (lanes,) = states(verdict)
        assert sorted(state for _, state, _ in lanes) == [State.MISMATCHED, State.PRESENT]
        assert {found for _, state, found in lanes if state is State.MISMATCHED} == {reason[differing]}


@pytest.mark.parametrize("bind", list(Bind))
@pytest.mark.parametrize("lacking", ["repository", "commit", "ref", "run_id"])
def test_a_lane_that_lacks_a_bound_value_is_mismatched(bind: Bind, lacking: str) -> None:
    """A missing value is no value that anything can share; the repository is always compared."""
    asked = make.policy([make.lane("test")], source=source(bind))
    verdict = make.decide(asked, make.release(APP), good(make.context("test", **{lacking: None})))
    refused = lacking.removesuffix("_id") == bind or lacking == "repository"
    assert one(verdict) == ((State.MISMATCHED, Reason.SOURCE_UNNAMED) if refused else (State.PRESENT, Reason.PRESENT))
    if refused:
        assert f"names no {lacking.removesuffix('_id')}," in make.only_lane(verdict).message


def test_a_run_is_a_repository_and_an_id() -> None:
    """A run without a repository is none, and the message of two runs names both."""
    asked = make.policy([make.lane("a"), make.lane("b")], source=source(Bind.RUN))
    verdict = make.decide(
        asked,
        make.release(APP),
        good(make.context("a")),
        good(make.context("b", run_id="7", finished=make.NOW - 3 * make.HOUR)),
    )
    (lane,) = [lane for lane in verdict.findings.images[0].lanes if lane.state is State.MISMATCHED]
    assert lane.message == (f"it is about run {make.REPOSITORY} run 7; the other lanes share {make.REPOSITORY} run 100")


def test_two_images_of_two_commits_are_no_release() -> None:
    """Each image may be complete by itself: together they are refused."""
    asked = make.policy([make.lane("test")], source=source(Bind.COMMIT))
    first, second = make.context(), make.context(commit="d" * 40)
    assert isinstance(make.decide(asked, make.release(APP), good(first)), Passed)
    assert isinstance(make.decide(asked, make.release(WEB), good(second, WEB.digest)), Passed)
    verdict = make.decide(asked, make.release(APP, WEB), good(first), good(second, WEB.digest))
    assert isinstance(verdict, Refused)
    assert sorted(state for ((_, state, _),) in states(verdict)) == [State.MISMATCHED, State.PRESENT]


@pytest.mark.parametrize("bind", [Bind.RUN, Bind.COMMIT])
def test_two_images_of_two_runs_of_one_commit(bind: Bind) -> None:
    """They are refused where `bind` names the run, and pass where it names the commit alone."""
    asked = make.policy([make.lane("test")], source=source(bind))
    verdict = make.decide(
        asked, make.release(APP, WEB), good(make.context()), good(make.context(run_id="101"), WEB.digest)
    )
    assert isinstance(verdict, Refused) == (bind is Bind.RUN)


def test_one_whole_combination_among_others_is_enough() -> None:
    """Lanes of an older and of a newer commit beside one commit that has them all do no harm."""
    asked = make.policy([make.lane("a"), make.lane("b"), make.lane("c")], source=source(Bind.COMMIT))
    whole = [good(make.context(name)) for name in "abc"]
    others = [
        good(make.context("a", commit="d" * 40, run_id="101", finished=make.NOW)),
        good(make.context("b", commit="d" * 40, run_id="101", finished=make.NOW)),
        good(make.context("c", commit="e" * 40, run_id="99")),
    ]
    verdict = make.decide(asked, make.release(APP), *others, *whole)
    assert isinstance(verdict, Passed)
    for lane in verdict.findings.images[0].lanes:
        assert {found.statement.context.commit for found in lane.evidence} == {make.COMMIT}
    assert isinstance(make.decide(asked, make.release(APP), *others, *whole[:2]), Refused)


def test_the_combination_shown_is_the_fullest_and_then_the_newest() -> None:
    """Where none is whole, lanes are held against the one with the most lanes, and of equals the newest."""
    asked = make.policy([make.lane(name) for name in "abc"], source=source(Bind.COMMIT))
    two = [good(make.context(name, finished=make.NOW - 9 * make.HOUR)) for name in "ab"]
    newer = good(make.context("c", commit="d" * 40, finished=make.NOW))
    (lanes,) = states(make.decide(asked, make.release(APP), *two, newer))
    assert [state for _, state, _ in lanes] == [State.PRESENT, State.PRESENT, State.MISMATCHED]
    (lanes,) = states(make.decide(asked, make.release(APP), two[0], newer))
    assert [state for _, state, _ in lanes] == [State.MISMATCHED, State.MISSING, State.PRESENT]


def test_evidence_without_time_counts_as_the_oldest() -> None:
    """Between combinations that are as full as each other the one with a time is shown, also from long ago."""
    asked = make.policy([make.lane("a"), make.lane("b")], source=source(Bind.COMMIT))
    timeless = good(make.context("a", commit="d" * 40, finished=None))
    dated = good(make.context("b", commit="a" * 40, finished=make.NOW - 9999 * make.HOUR))
    (lanes,) = states(make.decide(asked, make.release(APP), timeless, dated))
    assert [state for _, state, _ in lanes] == [State.MISMATCHED, State.PRESENT]


def test_one_value_may_be_unnamed_where_another_is_compared() -> None:
    """A release's commit asks for the commit alone, and `refs` for the ref alone."""
    asked = make.policy([make.lane("test")], source=source(Bind.REPOSITORY))
    content = good(make.context(ref=None, run_id=None))
    assert isinstance(make.decide(asked, make.release(APP, commit=make.COMMIT), content), Passed)
    asked = make.policy([make.lane("test")], source=source(Bind.REPOSITORY, refs=("refs/heads/main",)))
    assert isinstance(make.decide(asked, make.release(APP), good(make.context(commit=None, run_id=None))), Passed)


def test_unbound_lanes_join_any_combination() -> None:
    """A lane that is `unbound` may be of another commit, run and ref, or name none; its repository still holds."""
    asked = make.policy([make.lane("a"), make.lane("b", unbound=True)], source=source(*Bind))
    first = good(make.context("a"))
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"commit": "d" * 40, "run_id": "7", "ref": "refs/heads/x"}, True),
        ({"repository": None, "commit": None, "ref": None, "run_id": None}, True),
        ({"repository": OTHER}, False),
    ]
    for changes, passes in cases:
        verdict = make.decide(asked, make.release(APP), first, good(make.context("b", **changes)))
        assert isinstance(verdict, Passed) == passes
    assert isinstance(make.decide(asked, make.release(APP), good(make.context("b"))), Refused)


def test_a_policy_of_unbound_lanes_alone_passes() -> None:
    """Without a bound lane there is nothing to share, and the lanes are asked all the same."""
    asked = make.policy([make.lane("a", unbound=True), make.lane("b", unbound=True)])
    both = [good(make.context("a")), good(make.context("b", commit="d" * 40))]
    assert isinstance(make.decide(asked, make.release(APP), *both), Passed)
    assert isinstance(make.decide(asked, make.release(APP), both[0]), Refused)


# The source


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"repository": OTHER}, Reason.REPOSITORY_DIFFERS),
        ({"repository": make.REPOSITORY + "2"}, Reason.REPOSITORY_DIFFERS),
        ({"ref": "refs/heads/mainx"}, Reason.REF_DIFFERS),
        ({"ref": "refs/heads/main/x"}, Reason.REF_DIFFERS),
        ({"ref": "refs/heads/Main"}, Reason.REF_DIFFERS),
        ({"ref": "refs/tags"}, Reason.REF_DIFFERS),
        ({"ref": "refs/tags/"}, Reason.REF_DIFFERS),
        ({"ref": "refs/tags/v1"}, None),
        ({"ref": "refs/tags/release/v1"}, None),
        ({"ref": None}, Reason.SOURCE_UNNAMED),
        ({"commit": "d" * 40}, Reason.COMMIT_DIFFERS),
        ({"commit": None}, Reason.SOURCE_UNNAMED),
        ({"dirty": True}, Reason.WORK_TREE_DIRTY),
        ({}, None),
    ],
)
@pytest.mark.parametrize("unbound", [False, True])
def test_the_source_is_that_of_the_policy_and_of_the_release(
    changes: dict[str, Any], reason: Reason | None, unbound: bool
) -> None:
    """Repository, refs and the release's commit hold for every lane; an unbound one need not name them."""
    rule = source(Bind.REPOSITORY, refs=("refs/heads/main", "refs/tags/*"))
    asked = make.policy([make.lane("test", unbound=unbound)], source=rule)
    verdict = make.decide(asked, make.release(APP, commit=make.COMMIT), good(make.context(**changes)))
    if reason is None or (unbound and reason is Reason.SOURCE_UNNAMED):
        assert isinstance(verdict, Passed)
    else:
        assert one(verdict) == (State.MISMATCHED, reason)


def test_a_dirty_work_tree_is_allowed_where_the_lane_says_so() -> None:
    """`allow_dirty` takes evidence of uncommitted changes, and nothing else does."""
    dirty = good(make.context(dirty=True))
    assert isinstance(make.decide(make.policy([make.lane("test", allow_dirty=True)]), make.release(APP), dirty), Passed)


def provenance(about: Context, **says: str) -> bytes:
    """A provenance whose predicate names a repository, commit and ref of its own."""
    config = {"uri": says.get("repository", make.REPOSITORY) + "@" + says.get("ref", "refs/heads/main")}
    config_source = {**config, "digest": {"gitCommit": says.get("commit", make.COMMIT)}}
    predicate = {"buildDefinition": {"externalParameters": {"configSource": config_source}}}
    return good(about, predicate_type=PROVENANCE_V1, predicate=predicate)


BUILD = make.lane("build", predicate_type=PROVENANCE_V1)


@pytest.mark.parametrize("says", [{"repository": OTHER}, {"commit": "d" * 40}, {"ref": "refs/heads/other"}])
@pytest.mark.parametrize("unbound", [False, True])
def test_every_place_that_names_the_source_agrees(says: dict[str, str], unbound: bool) -> None:
    """A provenance that contradicts its own context is mismatched, unless the lane takes the context alone."""
    strict, lenient = (
        make.policy([dataclasses.replace(BUILD, unbound=unbound, source_from_statement=alone)])
        for alone in (False, True)
    )
    content = provenance(make.context("build"), **says)
    assert one(make.decide(strict, make.release(APP), content)) == (State.MISMATCHED, Reason.SOURCE_DISAGREES)
    assert isinstance(make.decide(lenient, make.release(APP), content), Passed)
    assert isinstance(make.decide(strict, make.release(APP), provenance(make.context("build"))), Passed)


def test_the_source_of_unlabelled_evidence_is_in_its_predicate() -> None:
    """For a provenance without context the predicate alone names repository, commit and ref."""
    asked = make.policy([dataclasses.replace(BUILD, unlabelled=True)], source=source(Bind.COMMIT, Bind.REF))
    assert isinstance(make.decide(asked, make.release(APP), provenance(NO_CONTEXT)), Passed)
    wrong = provenance(NO_CONTEXT, repository=OTHER)
    assert one(make.decide(asked, make.release(APP), wrong)) == (State.MISMATCHED, Reason.REPOSITORY_DIFFERS)
    released = make.release(APP, commit="d" * 40)
    assert one(make.decide(asked, released, provenance(NO_CONTEXT))) == (State.MISMATCHED, Reason.COMMIT_DIFFERS)


@pytest.mark.parametrize("lane", ["build", "other"])
def test_labelled_evidence_never_fills_an_unlabelled_lane(lane: str) -> None:
    """A statement with any lane label, the lane's own name too, is no candidate of an unlabelled lane."""
    asked = make.policy([dataclasses.replace(BUILD, unlabelled=True)])
    verdict = make.decide(asked, make.release(APP), provenance(make.context(lane)))
    assert one(verdict) == (State.MISSING, Reason.LANE_DIFFERS)
    assert one(make.decide(make.policy([BUILD]), make.release(APP), provenance(NO_CONTEXT))) == (
        State.MISSING,
        Reason.LANE_DIFFERS,
    )


# Joint lanes


@pytest.mark.parametrize(
    ("subjects", "passes"),
    [
        ([APP, WEB], True),
        ([WEB, APP], True),
        ([APP], False),
        ([WEB], False),
        ([APP, WEB, make.image("api")], False),
        ([APP, make.image("api")], False),
    ],
)
def test_a_joint_lane_wants_exactly_the_images_of_the_release(subjects: Sequence[Any], passes: bool) -> None:
    """A run of A with B says nothing about A alone, A with C, or A with B and C."""
    asked = make.policy([make.lane("e2e", joint=True)])
    content = good(make.context("e2e"), *(image.digest for image in subjects))
    verdict = make.decide(asked, make.release(APP, WEB), content)
    assert isinstance(verdict, Passed) == passes
    shown = [lane for image in states(verdict) for lane in image]
    expected = (State.PRESENT, Reason.PRESENT) if passes else (State.MISMATCHED, Reason.SUBJECTS_DIFFER)
    assert [(state, reason) for _, state, reason in shown] == [expected] * 2
    alone = make.decide(asked, make.release(make.image("other")), content)
    assert states(alone) == [[("e2e", State.MISSING, Reason.SUBJECT_DIFFERS)]]


def test_a_joint_statement_about_something_else_too_is_not_joint() -> None:
    """A further subject that is no image, without sha256, makes it another set of subjects."""
    document = make.payload([APP.digest, WEB.digest], make.context("e2e")).decode()
    first = document.index('{"name"')
    annotations = document[document.index('"annotations"') : document.index("}", document.index('"annotations"')) + 1]
    more = document[:first] + '{"name":"x","digest":{"sha512":"00"},' + annotations + "}," + document[first:]
    asked = make.policy([make.lane("e2e", joint=True)])
    assert isinstance(make.decide(asked, make.release(APP, WEB), make.bundle(CI, document.encode())), Passed)
    verdict = make.decide(asked, make.release(APP, WEB), make.bundle(CI, more.encode()))
    assert states(verdict) == [[("e2e", State.MISMATCHED, Reason.SUBJECTS_DIFFER)]] * 2


def test_a_failed_joint_run_of_other_images_says_nothing_about_these() -> None:
    """Only statements about exactly this release are candidates, the bad ones too."""
    asked = make.policy([make.lane("e2e", joint=True)])
    failed = good(make.context("e2e", run_id="101"), APP.digest, result=Result.FAILED)
    passed = good(make.context("e2e"), APP.digest, WEB.digest)
    assert isinstance(make.decide(asked, make.release(APP, WEB), failed, passed), Passed)
    assert isinstance(make.decide(asked, make.release(APP), failed), Refused)


# Enough


A, B, C, SHARED = (make.party(name, "ed25519") for name in ("anne", "bert", "cora", "shared"))


def threshold(count: int, signers: Mapping[str, Sequence[make.Party]], **changes: Any) -> Policy:
    lane: Lane = make.lane("test", "reviewers", parties=frozenset(signers), threshold=count, **changes)
    return make.policy([lane], signers)


@pytest.mark.parametrize(
    ("count", "signers", "signed", "passes"),
    [
        (2, {"a": [A], "b": [B], "c": [C]}, [A, B], True),
        (2, {"a": [A], "b": [B], "c": [C]}, [C, A], True),
        (2, {"a": [A], "b": [B], "c": [C]}, [A], False),
        (2, {"a": [A], "b": [B], "c": [C]}, [A, A], False),
        (3, {"a": [A], "b": [B], "c": [C]}, [A, B], False),
        (3, {"a": [A], "b": [B], "c": [C]}, [A, B, C], True),
        (2, {"a": [A, B], "c": [C]}, [A, B], False),
        (2, {"a": [A, B], "c": [C]}, [A, C], True),
        (2, {"a": [SHARED], "b": [SHARED]}, [SHARED], False),
        (2, {"a": [SHARED, A], "b": [SHARED]}, [SHARED], False),
        (2, {"a": [SHARED, A], "b": [SHARED]}, [SHARED, A], True),
        (2, {"a": [SHARED], "b": [SHARED, B]}, [SHARED, B], True),
        (3, {"a": [SHARED, A], "b": [SHARED, B], "c": [A]}, [SHARED, A, B], True),
        (3, {"a": [SHARED, A], "b": [SHARED, A], "c": [SHARED, A]}, [SHARED, A], False),
        (0, {"a": [A]}, [], False),
        (-1, {"a": [A]}, [], False),
        (0, {"a": [A]}, [A], True),
    ],
)
def test_signers_are_distinct_names_with_distinct_keys(
    count: int, signers: dict[str, list[make.Party]], signed: list[make.Party], passes: bool
) -> None:
    """A threshold counts names that can each be given a key of their own, and never signatures (CVE-2026-49834)."""
    asked = threshold(count, signers)
    contents = [good(make.context(finished=make.NOW - n * make.HOUR), who=who) for n, who in enumerate(signed)]
    verdict = make.decide(asked, make.release(APP), *contents)
    assert isinstance(verdict, Passed) == passes
    if not passes:
        expected = Reason.TOO_FEW_SIGNERS if signed else Reason.NOT_FOUND
        assert one(verdict) == (State.MISSING, expected)
    if not passes and signed:
        assert f"of the {count} signers of reviewers" in make.only_lane(verdict).message


def test_signers_are_counted_within_one_combination() -> None:
    """Two signers of two commits are not two signers of either."""
    asked = threshold(2, {"a": [A], "b": [B], "c": [C]})
    split = [good(make.context(), who=A), good(make.context(commit="d" * 40, run_id="101"), who=B)]
    assert one(make.decide(asked, make.release(APP), *split)) == (State.MISMATCHED, Reason.COMMIT_DIFFERS)
    assert isinstance(make.decide(asked, make.release(APP), *split, good(make.context(), who=C)), Passed)


def test_too_few_in_every_combination_are_too_few() -> None:
    """Where the signers of all combinations together are too few, that is what is said."""
    asked = threshold(3, {"a": [A], "b": [B], "c": [C]})
    split = [good(make.context(), who=A), good(make.context(commit="d" * 40, run_id="101"), who=B)]
    verdict = make.decide(asked, make.release(APP), *split)
    assert one(verdict) == (State.MISSING, Reason.TOO_FEW_SIGNERS)
    assert make.only_lane(verdict).message.startswith("signed by 1 of the 3")


def test_a_lane_wholly_of_another_combination_is_mismatched() -> None:
    """Where none of a lane's signers is of the combination that the others share, that is what is said."""
    lanes = [make.lane("a"), make.lane("test", "reviewers", parties=frozenset({"a", "b"}), threshold=2)]
    asked = make.policy(lanes, {"ci": [CI], "a": [A], "b": [B]})
    verdict = make.decide(asked, make.release(APP), good(make.context("a")), good(make.context(commit="d" * 40), who=A))
    assert states(verdict)[0][1] == ("test", State.MISMATCHED, Reason.COMMIT_DIFFERS)


def test_a_bad_result_of_one_signer_stands_against_all() -> None:
    """Enough others that pass do not outvote a failure."""
    asked = threshold(2, {"a": [A], "b": [B], "c": [C]})
    bad = good(make.context(), who=C, result=Result.FAILED)
    assert isinstance(
        make.decide(asked, make.release(APP), good(make.context(), who=A), good(make.context(), who=B)), Passed
    )
    verdict = make.decide(asked, make.release(APP), good(make.context(), who=A), good(make.context(), who=B), bad)
    assert one(verdict) == (State.FAILED, Reason.RESULT_FAILED)
