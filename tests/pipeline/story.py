"""The story: what a pipeline lets through and what it stops, step by step, on one machine.

Each step is played once, by `make pipeline` and by the tests alike: it runs commands as a person would, shows them, and
compares exit codes, reason codes, what the engine says that runs, and what the ledger recorded. Steps stand on each
other, in the order of `STEPS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.pipeline import steps_audit, steps_lanes, steps_staging
from tests.pipeline.images import PLAYLIST
from tests.pipeline.machine import Machine
from tests.pipeline.rendering import unrendered
from tests.pipeline.show import Played, Recorder, story_text
from tests.pipeline.steps_shared import Step, Story

STEPS: Final[tuple[Step, ...]] = (
    steps_lanes.green,
    steps_lanes.failing_e2e,
    steps_lanes.leaked_tool,
    steps_lanes.hot_fix,
    steps_staging.moved_tag,
    steps_lanes.bare_host,
    steps_staging.bad_release,
    steps_lanes.different_runs,
    steps_staging.break_glass,
    steps_audit.auditor,
    steps_audit.history_page,
)


README: Final = PLAYLIST / "README.md"
"""The document that tells the story."""


def text(machine: Machine, played: Iterable[Played]) -> str:
    """The story as the document has it, on the hosts of the example."""

    def plain(printed: str) -> str:
        printed = unrendered(printed, machine.values)
        for place in ("registry", "staging"):
            printed = printed.replace(getattr(machine.values, place).partition("/")[0], f"{place}.example.com")
        return printed.replace(str(machine.checkout), "playlist").replace(str(machine.folder), "...")

    return story_text(played, plain=plain)


def play(machine: Machine, artifacts: Path, say: Callable[[str], None]) -> Iterator[Played]:
    """Play the steps in their order, each when it is asked for. Pictures and pages go to `artifacts`."""
    artifacts.mkdir(parents=True, exist_ok=True)
    story = Story(machine=machine, artifacts=artifacts, recorder=Recorder(say=say))
    for step in STEPS:
        recorder = story.recorder = Recorder(say=say)
        say(f"\n== {step.title}\n{step.told}\n")
        started = time.monotonic()
        step.play(story)
        yield Played(
            name=step.name,
            title=step.title,
            told=step.told,
            shown=tuple(recorder.shown),
            checks=tuple(recorder.checks),
            seconds=time.monotonic() - started,
        )
