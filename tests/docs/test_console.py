"""The documents show what happens."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs import console

README = (console.ROOT / "README.md").read_text()


def test_readme_shows_true_output() -> None:
    """Every command of the README's console blocks prints what the README says that it prints."""
    shown = [step for block in console.blocks(README) for step in console.steps(block)]
    assert len(shown) >= 8
    outputs = console.run([step.command for step in shown])
    for step, output in zip(shown, outputs, strict=True):
        assert console.normal(output) == console.normal(step.output), step.command


def test_false_output_is_noticed() -> None:
    """A document that shows something else than its command prints is told from one that shows the truth."""
    document = "```console\n$ echo yes\nno\n```\n"
    assert console.rewritten(document) == "```console\n$ echo yes\nyes\n```\n"


def test_commands_share_one_shell() -> None:
    """What one command sets, a later one of another block has."""
    document = "```console\n$ A=1\n```\ntext\n```console\n$ echo $A \\\n  2\n1 2\n```\n"
    assert console.rewritten(document) == document


def test_output_without_a_command_is_an_error() -> None:
    """A block that shows output of nothing is refused."""
    with pytest.raises(ValueError, match="below no command"):
        console.steps("output\n")


@pytest.mark.slow
def test_the_demo_tells_its_story() -> None:
    """The demo runs to its end: every step of it ends with the exit code that it promises."""
    done = subprocess.run(
        [sys.executable, "examples/demo.py"], cwd=console.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 steps shown" in done.stdout
