"""What a step of the story shows and checks, on a terminal and in a document.

A step runs commands as a person would and keeps what they printed (`Shown`). What has to be true of it is compared at
once, and kept too (`Check`), so that a test can assert each by its name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Final

BEGIN: Final = "<!-- the story: written by `python -m tests.pipeline --write-readme` -->"
END: Final = "<!-- the end of the story -->"

_DIGEST: Final = re.compile(r"\b(sha256[:/][0-9a-f]{12})[0-9a-f]{52}\b")
_COMMIT: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28}\b")
_DIFFERS: Final = (
    # Quotes stand around a commit where YAML would take it for a number.
    (re.compile(r"\"?\b[0-9a-f]{12,64}\b(?:\.\.\.)?\"?"), "<digest>"),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]+)?Z"), "<time>"),
    (re.compile(r"\b[0-9.]+ ?(?:ms|s|min|B|kB|MB|KiB|MiB)\b"), "<amount>"),
    (re.compile(r"127\.0\.0\.1:[0-9]+"), "<address>"),
    (re.compile(r"printf [AB] (.*) seek=[0-9]+"), r"printf <byte> \1 seek=<place>"),
)
"""What one run of the story has otherwise than another."""
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


def named_short(text: str) -> str:
    """Digests and commits by their first twelve digits."""
    return _COMMIT.sub(r"\1", _DIGEST.sub(r"\1...", text))


def short(text: str) -> str:
    """The same, and lines that are too long cut."""
    lines = named_short(text).split("\n")
    return "\n".join(line if len(line) <= _LONG else f"{line[: _LONG - 3]}..." for line in lines)


def alike(text: str) -> str:
    """A text without what differs from run to run: digests, times, amounts, ports."""
    for pattern, word in _DIFFERS:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def section(played: Played, *, plain: Callable[[str], str]) -> str:
    """A step as a section of the document. `plain` takes what is the machine's own out of a text."""
    lines = [f"### {played.title}", "", played.told, "", "```console"]
    for shown in played.shown:
        lines.append(f"$ {named_short(plain(shown.command))}")
        if shown.output:
            lines.append(short(plain(shown.output)))
        if shown.code:
            lines.append(f"exit code {shown.code}")
    lines.append("```")
    return "\n".join(lines)


def story_text(steps: Iterable[Played], *, plain: Callable[[str], str]) -> str:
    """All sections."""
    return "\n\n".join(section(played, plain=plain) for played in steps)


def told(document: str) -> str:
    """The story that stands in a document.

    Raises:
        ValueError: there is no place for one.
    """
    _, begin, rest = document.partition(BEGIN)
    text, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has no place for the story")
    return text.strip("\n")


def retold(document: str, text: str) -> str:
    """The document with this story, unless it says the same already but for what differs from run to run."""
    old = told(document)
    if alike(old) == alike(text):
        return document
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"
