"""Verdicts: what makes one Passed, and that nothing else does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from attest.core.verdict import (
    Findings,
    ImageVerdict,
    LaneVerdict,
    Passed,
    PassedThen,
    Reason,
    Refusal,
    Refused,
    State,
    conclude,
)
from tests.core import make

APP = make.image("app")
REFUSAL = Refusal(reason=Reason.POLICY_EXPIRED, message="x")


def passed() -> Passed:
    content = make.bundle(make.party("ci"), make.payload([APP.digest], make.context()))
    verdict = make.decide(make.policy([make.lane("test")]), make.release(APP), content)
    assert isinstance(verdict, Passed)
    return verdict


def image(*states: State, refusals: tuple[Refusal, ...] = ()) -> ImageVerdict:
    lanes = tuple(
        LaneVerdict(lane=str(number), state=state, reason=Reason.PRESENT, message="", evidence=())
        for number, state in enumerate(states)
    )
    return ImageVerdict(image=APP.reference, digest=APP.digest, refusals=refusals, lanes=lanes, rejected=())


def findings(*images: ImageVerdict, refusals: tuple[Refusal, ...] = ()) -> Findings:
    return dataclasses.replace(passed().findings, images=images, refusals=refusals)


GOOD = image(State.PRESENT, State.PRESENT)


@pytest.mark.parametrize("state", sorted(set(State) - {State.PRESENT}))
def test_one_lane_that_is_not_present_refuses(state: State) -> None:
    """Only `present` lets an image pass, in every lane of every image."""
    assert isinstance(conclude(findings(GOOD, GOOD), historical=False), Passed)
    for images in (
        [image(State.PRESENT, state)],
        [image(state, State.PRESENT)],
        [GOOD, image(state)],
        [image(state), GOOD],
    ):
        assert isinstance(conclude(findings(*images), historical=False), Refused)
        assert isinstance(conclude(findings(*images), historical=True), Refused)


@pytest.mark.parametrize(
    "whole",
    [
        findings(),
        findings(image()),
        findings(GOOD, image()),
        findings(GOOD, refusals=(REFUSAL,)),
        findings(image(State.PRESENT, refusals=(REFUSAL,))),
        findings(GOOD, image(State.PRESENT, refusals=(REFUSAL,))),
    ],
    ids=["no-image", "no-lane", "one-without-lanes", "refused-release", "refused-image", "second-image"],
)
def test_nothing_and_a_refusal_anywhere_refuse(whole: Findings) -> None:
    """No images, no lanes, and a refusal of the release or any image are Refused (CVE-2026-35205)."""
    assert isinstance(conclude(whole, historical=False), Refused)
    assert isinstance(conclude(whole, historical=True), Refused)


def test_a_verdict_on_the_past_is_no_passed() -> None:
    """PassedThen is a type of its own with the same findings."""
    then = conclude(findings(GOOD), historical=True)
    assert isinstance(then, PassedThen)
    assert not isinstance(then, Passed)
    assert then.findings == findings(GOOD)


def test_passed_cannot_be_made() -> None:
    """The constructor refuses every seal but its own."""
    for seal in (None, object(), True, passed()):
        with pytest.raises(TypeError, match="made by evaluate"):
            Passed(findings=findings(GOOD), seal=seal)


def test_passed_cannot_be_changed_or_copied() -> None:
    """Replacing, copying, pickling and assigning are refused, and the seal is not kept where it could be read."""
    verdict = passed()
    with pytest.raises((TypeError, ValueError), match="seal"):
        dataclasses.replace(verdict, findings=findings())  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="made by evaluate"):
        dataclasses.replace(verdict, findings=findings(), seal=object())
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not pickled or copied"):
            copied(verdict)
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.findings = findings()  # type: ignore[misc]
    assert not hasattr(verdict, "seal")


def test_passed_has_no_subclasses() -> None:
    """A subclass that skips the check cannot be written."""
    with pytest.raises(TypeError, match="no subclasses"):
        type("Forged", (Passed,), {})


def test_codes_are_different_and_stable_in_form() -> None:
    """States and reasons are lower-case words joined by hyphens, no two alike."""
    for kind in (State, Reason):
        codes: list[Any] = [member.value for member in kind]
        assert len(set(codes)) == len(codes)
        assert all(part.isalpha() and part.islower() for code in codes for part in code.split("-"))
