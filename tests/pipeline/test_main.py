"""`make pipeline` ends as its story did, plays nothing behind a step that failed, and says in a line what it lacks."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.process import PartError
from tests.pipeline import __main__ as program
from tests.pipeline import story
from tests.pipeline.machine import Signing
from tests.pipeline.show import Check, Played


class Stage:
    """Stands in for machine and story, which take minutes: steps that hold or do not, and what was asked for."""

    def __init__(self, *steps: bool) -> None:
        """Steps, by whether they end as they should."""
        self.steps = steps
        self.played: list[str] = []
        self.signing: Signing | None = None
        self.error: BaseException | None = None

    @contextlib.contextmanager
    def machine(self, folder: Path, *, signing: Signing, say: object) -> Iterator[None]:
        """A machine, or the error that it does not start for."""
        del folder, say
        self.signing = signing
        if self.error is not None:
            raise self.error
        yield None

    def play(self, *_: Any) -> Iterator[Played]:
        """The steps, each when it is asked for."""
        for number, holds in enumerate(self.steps, 1):
            self.played.append(f"step {number}")
            check = Check(what="it holds", got=holds, want=True)
            yield Played(
                name=str(number), title=f"step {number}", told="", shown=(), checks=(check,), seconds=float(number)
            )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage of three good steps."""
    made = Stage(True, True, True)
    monkeypatch.setattr(program, "machine", made.machine)
    monkeypatch.setattr(story, "play", made.play)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return made


def test_a_good_story_ends_with_0(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Every step is played, its time is told, and lanes have keys unless it is said otherwise."""
    assert program.main([]) == 0
    assert stage.played == ["step 1", "step 2", "step 3"]
    assert stage.signing is Signing.KEYS
    out = capsys.readouterr().out
    assert "     3 s  step 3\n" in out
    assert "NOT SO" not in out


def test_nothing_is_played_behind_a_step_that_failed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The first step that does not end as it should ends the story with 1, and is named."""
    stage.steps = (True, False, True)
    assert program.main(["--keyless"]) == 1
    assert stage.played == ["step 1", "step 2"]
    assert stage.signing is Signing.KEYLESS
    assert "step 2  NOT SO\n" in capsys.readouterr().out


def test_a_story_that_failed_is_not_written_down(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document is left alone where a step did not end as it should."""
    stage.steps = (False,)
    monkeypatch.setattr(story, "README", Path("/nowhere/README.md"))
    assert program.main(["--write-readme"]) == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PartError("no free port"), 3, "make pipeline: no free port\n"),
        (pytest.skip.Exception("act is not here"), 3, "make pipeline: act is not here\n"),
        (KeyboardInterrupt(), 130, "\nmake pipeline: stopped; nothing is left running\n"),
    ],
)
def test_what_stops_it_is_said(
    stage: Stage, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    """What the machine lacks, and whoever stops it, ends it with a line and a code of its own, not with a traceback."""
    stage.error = error
    assert program.main([]) == code
    assert capsys.readouterr().err == said
