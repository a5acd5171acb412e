"""Why a lane has no candidate: what is offered as nearly right, and what is not."""

from __future__ import annotations

from typing import Any

from attest.core.evaluate import evaluate
from attest.core.policy import Policy
from attest.core.reference import Digest
from attest.core.release import Release
from attest.core.statement import Context
from attest.core.verdict import Reason, State, Verdict
from tests.core import make

APP, WEB = make.image("app"), make.image("web")
CI = make.party("ci")
BUILDER, STRANGER = make.party("builder"), make.party("foreign")


def good(about: Context, *subjects: Digest, who: make.Party = CI, **fields: Any) -> bytes:
    return make.bundle(who, make.payload(subjects or [APP.digest], about, **fields))


def states(verdict: Verdict) -> list[list[tuple[str, State, Reason]]]:
    return [[(lane.lane, lane.state, lane.reason) for lane in image.lanes] for image in verdict.findings.images]


def one(verdict: Verdict) -> tuple[State, Reason]:
    lane = make.only_lane(verdict)
    return lane.state, lane.reason


def near(*contents: bytes, asked: Policy | None = None, release: Release | None = None) -> tuple[State, Reason]:
    return one(make.decide(asked or make.policy([make.lane("test")]), release or make.release(APP), *contents))


def test_two_differences_are_nothing_found() -> None:
    """Evidence that differs in more than one thing is not offered as what was meant."""
    assert near(good(make.context("other"), make.digest("else"))) == (State.MISSING, Reason.NOT_FOUND)
    assert near(good(make.context("other"), who=STRANGER)) == (State.MISSING, Reason.NOT_FOUND)


def test_evidence_of_another_lane_is_not_offered() -> None:
    """What fills a lane of its own is no near miss of its neighbour."""
    asked = make.policy([make.lane("test"), make.lane("scan")])
    verdict = make.decide(asked, make.release(APP), good(make.context("scan")))
    assert states(verdict) == [[("test", State.MISSING, Reason.NOT_FOUND), ("scan", State.PRESENT, Reason.PRESENT)]]


def test_a_key_of_another_lane_is_untrusted_and_a_foreign_one_only_rejected() -> None:
    """The builder's key signs no test lane; a key that the policy does not know is not even evidence."""
    asked = make.policy([make.lane("test"), make.lane("build", "builder")], {"ci": [CI], "builder": [BUILDER]})
    verdict = make.decide(asked, make.release(APP), good(make.context("test"), who=BUILDER))
    assert states(verdict)[0][0] == ("test", State.UNTRUSTED, Reason.SIGNER_DIFFERS)
    verdict = make.decide(asked, make.release(APP), good(make.context("test"), who=STRANGER))
    assert states(verdict)[0][0] == ("test", State.MISSING, Reason.NOT_FOUND)
    assert len(verdict.findings.images[0].rejected) == 1


def test_evidence_about_another_digest_is_offered_where_it_was_found() -> None:
    """What hangs on this image and is about another digest is said to; what hangs elsewhere is not mentioned."""
    elsewhere = good(make.context(), make.digest("else"))
    asked = make.policy([make.lane("test")])
    for place, reason in [
        (APP.digest, Reason.SUBJECT_DIFFERS),
        (WEB.digest, Reason.NOT_FOUND),
        (None, Reason.SUBJECT_DIFFERS),
    ]:
        verdict = evaluate(asked, make.release(APP, WEB), make.found(asked, elsewhere, on=place), now=make.NOW)
        assert states(verdict)[0] == [("test", State.MISSING, reason)]


def test_what_fell_is_shown_before_what_came_near() -> None:
    """A lane with stale evidence and with a neighbour's is stale, and the newest stale one is shown."""
    asked = make.policy([make.lane("test", max_age=make.HOUR)])
    stale = [good(make.context(finished=make.NOW - hours * make.HOUR, run_id=str(hours))) for hours in (5, 3, 4)]
    verdict = make.decide(asked, make.release(APP), *stale, good(make.context("other", finished=make.NOW)))
    lane = make.only_lane(verdict)
    assert (lane.state, lane.reason) == (State.STALE, Reason.TOO_OLD)
    assert [found.time for found in lane.evidence] == [make.NOW - 3 * make.HOUR]


def test_evidence_is_shown_newest_first_and_without_time_last() -> None:
    """The evidence of a lane is in the order of its times, each once."""
    contents = [
        good(make.context(finished=None if hours == 9 else make.NOW - hours * make.HOUR)) for hours in (2, 9, 1, 3)
    ]
    lane = make.only_lane(make.decide(make.policy([make.lane("test")]), make.release(APP), *contents, *contents))
    assert lane.state is State.PRESENT
    times = [make.NOW - hours * make.HOUR for hours in (1, 2, 3)]
    assert [found.time for found in lane.evidence] == [*times, None]
