"""Runs the `console` blocks of a Markdown file, and compares or rewrites the output that they show.

A line that begins with `$ ` is run by bash, all in one folder and one shell, in the order of the file; the lines
below it are its output. Digests and times differ from run to run, so both sides are compared without them.

    python -m tests.docs.console README.md          writes the true output into the file
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "-- end of command --"
_VARIABLE = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:<digest>"),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]+)?Z"), "<time>"),
    (re.compile(r"\bin [0-9.]+s\b"), "in <seconds>"),
    (re.compile(r"[A-Za-z0-9+/]{43}="), "<hint>"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command of a document, and the output that stands below it."""

    command: str
    output: str


def steps(block: str) -> list[Step]:
    """The commands of a block. A command goes on over lines that end in a backslash."""
    found: list[Step] = []
    lines = block.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            raise ValueError(f"{line!r} stands below no command")
        command = [line.removeprefix("$ ")]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        found.append(Step(command="\n".join(command), output="\n".join(output)))
    return found


def blocks(markdown: str) -> list[str]:
    """The console blocks of a document."""
    return _BLOCK.findall(markdown)


def run(commands: list[str]) -> list[str]:
    """The output of each command, run in one shell in an empty folder that has the examples beside it."""
    script = "".join(f"{command}\necho '{_MARK}'\n" for command in commands)
    keep = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryDirectory() as folder:
        for shared in ("examples", "policies"):
            (Path(folder) / shared).symlink_to(ROOT / shared)
        done = subprocess.run(
            ["bash", "-c", f"exec 2>&1\n{script}"],
            cwd=folder,
            env={**keep, "HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    return [part.strip("\n") for part in done.stdout.split(f"{_MARK}\n")][: len(commands)]


def normal(output: str) -> str:
    """Output without what differs from run to run."""
    for pattern, word in _VARIABLE:
        output = pattern.sub(word, output)
    return "\n".join(line.rstrip() for line in output.splitlines())


def rewritten(markdown: str) -> str:
    """The document with the output that its commands have now."""
    found = [step.command for block in blocks(markdown) for step in steps(block)]
    outputs = iter(run(found))

    def replace(match: re.Match[str]) -> str:
        text = ""
        for step in steps(match[1]):
            output = next(outputs)
            same = normal(output) == normal(step.output)
            shown = step.output if same else output
            text += f"$ {step.command}\n" + (f"{shown}\n" if shown else "")
        return f"```console\n{text}```"

    return _BLOCK.sub(replace, markdown)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(rewritten(path.read_text()))
