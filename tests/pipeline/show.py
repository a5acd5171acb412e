"""What a step of the story shows and checks, on a terminal and in a document.

A step runs commands as a person would and keeps what they printed (`Shown`). What has to be true of it is compared at
once, and kept too (`Check`), so that a test can assert each by its name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.docs.console import normal

BEGIN: Final = "<!-- the story: written by `python -m tests.pipeline --write-readme` -->"
END: Final = "<!-- the end of the story -->"

_DIGEST: Final = re.compile(r"\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b")
_COMMIT: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28}\b")
_LONG: Final = 160
"""Longer lines are cut in the document, with three dots that say so."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A command as somebody types it, how it ended, and all that it printed."""

    command: str
    code: int
    output: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that has to be true after a step."""

    what: str
    got: object
    want: object

    @property
    def holds(self) -> bool:
        """Whether it is."""
        return self.got == self.want


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A step that was gone through."""

    name: str
    title: str
    told: str
    """What happens, in a few sentences."""
    shown: tuple[Shown, ...]
    checks: tuple[Check, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)


@dataclasses.dataclass(slots=True, kw_only=True)
class Recorder:
    """Prints what a step shows while it is played, and keeps it."""

    say: Callable[[str], None]
    shown: list[Shown] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)

    def show(self, command: str, code: int, output: str) -> None:
        """Somebody ran a command."""
        text = output.rstrip("\n")
        self.shown.append(Shown(command=command, code=code, output=text))
        self.say(f"$ {command}")
        if text:
            self.say(text)

    def check(self, what: str, got: object, want: object) -> None:
        """Compare; a difference ends the story when the step is over."""
        check = Check(what=what, got=got, want=want)
        self.checks.append(check)
        self.say(f"  ok: {what}: {got}" if check.holds else f"  NOT SO: {what}: {got!r}, and not {want!r}")


# ---- the document


def short(text: str) -> str:
    """Digests and commits by their first twelve digits, and lines that are too long cut."""
    text = _COMMIT.sub(r"\1", _DIGEST.sub(r"sha256:\1...", text))
    return "\n".join(line if len(line) <= _LONG else f"{line[: _LONG - 3]}..." for line in text.split("\n"))


def section(played: Played, *, plain: Callable[[str], str]) -> str:
    """A step as a section of the document. `plain` takes what is the machine's own out of a text."""
    lines = [f"### {played.title}", "", played.told, "", "```console"]
    for shown in played.shown:
        lines.append(f"$ {plain(shown.command)}")
        if shown.output:
            lines.append(short(plain(shown.output)))
    lines.append("```")
    return "\n".join(lines)


def story_text(steps: Iterable[Played], *, plain: Callable[[str], str]) -> str:
    """All sections."""
    return "\n\n".join(section(played, plain=plain) for played in steps)


def write_story(document: Path, text: str) -> None:
    """Put the story between its marks, where it does not say the same already but for digests and times."""
    before, _, rest = document.read_text().partition(BEGIN)
    old, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{document} has no place for the story")
    if normal(old.strip("\n")) != normal(text):
        document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
