"""The story of `make pipeline`, step by step: exit codes, reason codes, what runs, what the ledger recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.machine import Machine, machine
from tests.pipeline.show import Played, alike, told
from tests.pipeline.steps_shared import Step
from tests.pipeline.story import README, STEPS, play, text

pytestmark = [pytest.mark.parts, pytest.mark.slow, pytest.mark.xdist_group("pipeline")]


class Tale:
    """The story as far as somebody asked for it; each step is played once."""

    def __init__(self, made: Machine, artifacts: Path) -> None:
        """Nothing is played yet."""
        self.machine = made
        self.artifacts = artifacts
        self._rest = play(made, artifacts, print)
        self._played: list[Played] = []

    def until(self, step: Step) -> Played:
        """Play what leads to a step, and the step."""
        while len(self._played) <= STEPS.index(step):
            played = next(self._rest, None)
            if played is None:
                pytest.fail("a step before this one could not be played", pytrace=False)
            self._played.append(played)
        return self._played[STEPS.index(step)]

    @property
    def played(self) -> list[Played]:
        """All steps."""
        self.until(STEPS[-1])
        return self._played


@pytest.fixture(scope="module")
def tale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tale]:
    """A machine with nothing deployed; pictures go to ARTIFACTS where that is set."""
    folder = tmp_path_factory.mktemp("pipeline")
    with machine(folder / "machine", say=print) as made:
        yield Tale(made, Path(os.environ.get("ARTIFACTS", folder / "artifacts")))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_ends_as_it_should(tale: Tale, step: Step) -> None:
    """Every command ends as it has to, for the reason that it has to, and staging runs what it should."""
    played = tale.until(step)
    assert [(check.what, check.got, check.want) for check in played.failed] == []
    assert played.shown
    assert len([check for check in played.checks if check.what.startswith("exit code")]) > 0
    assert len([check for check in played.checks if not check.what.startswith("exit code")]) > 0


def test_the_readme_tells_what_happens(tale: Tale) -> None:
    """The story in the example's README is what the commands print, but for digests, times, amounts and ports."""
    assert alike(told(README.read_text())) == alike(text(tale.machine, tale.played))


def test_the_pictures_are_there(tale: Tale) -> None:
    """The browser's picture of the page and of the history, and the history itself, are left as artifacts."""
    assert tale.played
    assert {path.name for path in tale.artifacts.iterdir()} >= {"page.png", "history.html", "history.png"}
