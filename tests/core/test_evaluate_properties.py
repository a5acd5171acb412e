"""The evaluation against a second one, written from the policy's sentences; and what must hold of every verdict."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.evaluate import Found, evaluate
from attest.core.reference import digest_of
from attest.core.verdict import Passed, PassedThen, Refused, State, Verdict
from attest.core.verify import Rejected, VerifiedStatement
from tests.core import generate, make, naive
from tests.core.make_identity import certificate, certified

CHANCES = st.builds(Random, st.integers(0, 2**64))


def decide(case: generate.Case, *, historical: bool = False, now: Any = make.NOW) -> Verdict:
    found = case.found()
    return evaluate(case.policy, case.release, found, now=now, historical=historical)


def states(verdict: Verdict) -> list[Any]:
    """What a verdict says, without the words and the digests of bundles."""
    return [
        type(verdict),
        sorted(refusal.reason for refusal in verdict.findings.refusals),
        [
            (sorted(refusal.reason for refusal in image.refusals), [(lane.state, lane.reason) for lane in image.lanes])
            for image in verdict.findings.images
        ],
    ]


def compare(case: generate.Case, *, historical: bool = False) -> Verdict:
    """The verdict, after it was found to be the one of the naive evaluator."""
    now = make.NOW - make.HOUR / 2 if historical else make.NOW
    verdict = decide(case, historical=historical, now=now)
    answer = naive.answer(case.policy, case.release, case.verified(), now, historical=historical)
    passes = answer.passes and not naive.refused_before(case.policy, case.release, now)
    assert isinstance(verdict, PassedThen if historical else Passed) == passes, (verdict, answer)
    shown = {
        (number, lane.lane): lane.state for number, image in enumerate(verdict.findings.images) for lane in image.lanes
    }
    assert shown.keys() == answer.states.keys()
    for place, state in shown.items():
        assert state in answer.states[place], (place, state, answer.states[place], verdict)
    return verdict


@given(CHANCES)
def test_the_verdict_is_that_of_the_sentences(chance: Random) -> None:
    """On any policy, release and evidence the verdict and the lane states are those of the naive evaluator."""
    compare(generate.case(chance))


@given(CHANCES)
def test_the_verdict_on_the_past_is_that_of_the_sentences(chance: Random) -> None:
    """The same for a verdict on a time in the past, which is never a Passed."""
    compare(generate.case(chance), historical=True)


def seeded(seeds: range) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for seed in seeds:
        verdict = compare(generate.case(Random(seed)), historical=seed % 5 == 0)
        kinds[type(verdict).__name__] += 1
        kinds.update({lane.state.value for image in verdict.findings.images for lane in image.lanes})
    return kinds


def test_the_comparison_sees_every_kind_of_verdict_and_state() -> None:
    """Hundreds of seeded cases agree too, and among them are many verdicts of each kind and every lane state."""
    kinds = seeded(range(500))
    assert min(kinds["Passed"], kinds["Refused"]) > 60
    assert kinds["PassedThen"] > 10
    assert all(kinds[state.value] > 3 for state in State), kinds


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(1_000, 101_000, 10_000))
def test_a_hundred_thousand_cases_agree(start: int) -> None:
    """The same for a hundred thousand cases."""
    assert seeded(range(start, start + 10_000))["Passed"] > 1_200


@given(CHANCES)
def test_taking_good_evidence_away_never_helps(chance: Random) -> None:
    """Without a piece of evidence that is good a refused release stays refused.

    There are two exceptions. Of two candidates of one run, job and attempt (shards) the good one keeps a higher attempt
    from superseding the bad one, and nobody can know of it when it is withheld; nor of an older trusted time of
    evidence that is there in another wrapping.
    """
    case = generate.case(chance)
    if not isinstance(decide(case), Refused):
        return
    for position, signed in enumerate(case.signed):
        rest = dataclasses.replace(case, signed=case.signed[:position] + case.signed[position + 1 :])
        if isinstance(decide(rest), Refused):
            continue
        outcome = generate.verified(signed.bundle())
        assert isinstance(outcome, VerifiedStatement)
        (one,) = naive.merged([outcome])
        wrappings = [other for other in case.verified() if naive.key(other) == naive.key(one)]
        if len(wrappings) > 1:  # an older time was withheld
            continue
        context = one.statement.context
        shards = [
            other
            for other in case.verified()
            if other.statement.context.job == context.job and other.statement.context.run_id == context.run_id
        ]
        good = all(
            naive.good(one, lane, image, make.NOW)
            for image in case.release.images
            for lane in case.policy.lanes
            if one in naive.candidates(case.policy, case.release, image, lane, [one])
        )
        assert not good or len(shards) > 1


@given(CHANCES, st.integers(0, 3))
def test_what_no_trusted_key_signed_changes_nothing(chance: Random, count: int) -> None:
    """Foreign and broken bundles, found anywhere, leave every state, reason and word as it was."""
    case = generate.case(chance)
    found = case.found()
    before = evaluate(case.policy, case.release, found, now=make.NOW)
    stranger = generate.FOREIGN
    foreign = [make.bundle(stranger, one.payload) for one in case.signed[:count]] + [b"", b"{}", b"x" * count]
    nobody = certificate(stranger, identity="stranger")
    foreign += [certified(stranger, one.payload, says=nobody) for one in case.signed[:count]]
    place = chance.choice([None, *case.release.subjects])
    after = evaluate(case.policy, case.release, found + make.found(case.policy, *foreign, on=place), now=make.NOW)
    assert states(after) == states(before)
    lanes = [image.lanes for image in before.findings.images]
    assert [image.lanes for image in after.findings.images] == lanes
    assert after.findings.inputs == before.findings.inputs
    rejected = {one.bundle for image in after.findings.images for one in image.rejected}
    assert all(isinstance(one.outcome, Rejected) == (one.outcome.bundle in rejected) for one in found)


@given(CHANCES)
def test_the_order_of_evidence_does_not_matter(chance: Random) -> None:
    """However the bundles are ordered and whichever image they were found on, every word of the verdict is the same."""
    case = generate.case(chance)
    found = case.found()
    before = evaluate(case.policy, case.release, found, now=make.NOW)
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert words(evaluate(case.policy, case.release, shuffled, now=make.NOW)) == words(before)


@given(CHANCES)
def test_the_order_of_images_does_not_matter(chance: Random) -> None:
    """A release is a set: with its images in another order each has the same states."""
    case = generate.case(chance)
    reordered = dataclasses.replace(case.release, images=case.release.images[::-1])
    before, after = decide(case), decide(dataclasses.replace(case, release=reordered))
    assert type(after) is type(before)
    if isinstance(before, Passed):
        assert words(after)[1] == words(before)[1][::-1]


@given(CHANCES, st.booleans())
def test_duplicates_and_new_wrappings_do_not_matter(chance: Random, both: bool) -> None:
    """Bundles that are found twice, or wrapped anew around the same signature, count as what they are: one."""
    case = generate.case(chance)
    found = case.found()
    again = [one.bundle(hint="another") for one in case.signed]
    before = evaluate(case.policy, case.release, found, now=make.NOW)
    more = [*found, *found, *make.found(case.policy, *again)] if both else [*found, *found]
    assert states(evaluate(case.policy, case.release, more, now=make.NOW)) == states(before)


@given(CHANCES)
def test_revoking_a_payload_withstands_new_wrappings(chance: Random) -> None:
    """Evidence revoked by the digest of what was signed is gone, also where only another wrapping is found."""
    case = generate.case(chance)
    if not case.signed:
        return
    position = chance.randrange(len(case.signed))
    revoked = case.signed[position]
    asked = dataclasses.replace(case.policy, revoked=case.policy.revoked | {digest_of(revoked.payload)})
    rest = [one.bundle() for one in case.signed if one.payload != revoked.payload]
    wrapped = revoked.bundle(hint="another")
    without = evaluate(asked, case.release, make.found(asked, *rest), now=make.NOW)
    with_it = evaluate(asked, case.release, make.found(asked, *rest, wrapped), now=make.NOW)
    assert type(with_it) is type(without)


@given(CHANCES, st.integers(1, 200))
def test_time_alone_does_not_help_but_for_the_future(chance: Random, hours: int) -> None:
    """A later look at the same evidence never passes what was refused, unless a date in the future stood in the way."""
    case = generate.case(chance)
    later = make.NOW + timedelta(hours=hours)
    ahead = any(naive.future(one, make.NOW) for one in naive.merged(case.verified()))
    if isinstance(decide(case), Refused) and not ahead:
        assert isinstance(decide(case, now=later), Refused)


def words(verdict: Verdict) -> tuple[Any, list[Any]]:
    """A verdict in full, with evidence by its digest."""
    return (
        (type(verdict), verdict.findings.refusals, verdict.findings.inputs),
        [
            (image.image, image.refusals, image.rejected, [
                (lane.lane, lane.state, lane.reason, lane.message, [one.bundle for one in lane.evidence])
                for lane in image.lanes
            ])
            for image in verdict.findings.images
        ],
    )  # fmt: skip


def test_found_is_a_value() -> None:
    """Where evidence was found is kept with it."""
    (found,) = make.found(make.policy([make.lane("test")]), b"", on=make.digest("x"))
    assert isinstance(found, Found)
    assert found.image == make.digest("x")
