"""`make pipeline`: run the example from commit to staging and back on this machine, and show what a person sees.

Exit codes: 0 everything came out as it should; 1 something did not; 2 the command line is wrong; 3 the machine lacks
something, or a part of it broke down.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

from tests.parts.process import PartError
from tests.pipeline import story
from tests.pipeline.machine import Machine, Signing, machine
from tests.pipeline.show import Played, retold
from tests.pipeline.steps_shared import StoryError

_WELL: Final = 0
_NOT_SO: Final = 1
_BROKEN: Final = 3
_ARTIFACTS: Final = Path("build/pipeline")


def main(arguments: Sequence[str]) -> int:
    """Play the story; the exit code."""
    options = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    started = time.monotonic()
    how = Signing.KEYLESS if options.keyless else Signing.KEYS
    try:
        with (
            tempfile.TemporaryDirectory(prefix="playlist-", ignore_cleanup_errors=True) as folder,
            machine(Path(folder), signing=how, say=_say) as running,
        ):
            ready = time.monotonic()
            played = _play(running, options.artifacts)
            if options.write_readme and not _failed(played):
                story.README.write_text(retold(story.README.read_text(), story.text(running, played)))
    except (PartError, StoryError, OSError, pytest.skip.Exception, pytest.fail.Exception) as error:
        print(f"make pipeline: {error}", file=sys.stderr)
        return _BROKEN
    except KeyboardInterrupt:
        print("\nmake pipeline: stopped; nothing is left running", file=sys.stderr)
        return 130
    _say("")
    _say(f"{ready - started:6.0f} s  the machine, and the first commit")
    for one in played:
        _say(f"{one.seconds:6.0f} s  {one.title}{'  NOT SO' if one.failed else ''}")
    _say(f"{time.monotonic() - started:6.0f} s  altogether; nothing is left running")
    _say(f"Pictures and pages: {options.artifacts}/")
    return _NOT_SO if _failed(played) else _WELL


def _play(running: Machine, artifacts: Path) -> list[Played]:
    """The steps up to the first that did not come out as it should: those behind it stand on it."""
    played = []
    for one in story.play(running, artifacts.absolute(), _say):
        played.append(one)
        if one.failed:
            break
    return played


def _failed(played: Sequence[Played]) -> bool:
    return any(one.failed for one in played)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keyless", action="store_true", help="lanes sign as what their jobs are")
    parser.add_argument("--artifacts", type=Path, default=_ARTIFACTS, help="where pictures and pages go (%(default)s)")
    parser.add_argument("--write-readme", action="store_true", help="write what was shown into the example's README.md")
    return parser.parse_args(arguments)


def _stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
