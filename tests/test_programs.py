"""Programs that are asked for an answer: all of it, in time, and gone afterwards."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from attest.adapters.programs import Answer, ask_program, require_success
from attest.errors import TargetFailed

SECONDS = 60.0


def ask(code: str, *, seconds: float = SECONDS, **more: object) -> Answer:
    """Run a Python program."""
    return ask_program([sys.executable, "-c", code], who="the program", seconds=seconds, **more)  # type: ignore[arg-type]


def test_a_program_gets_its_input_and_gives_its_answer() -> None:
    """More than a pipe holds goes both ways at once, and standard error is kept apart."""
    size = 1_000_000
    code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data * 2); sys.stderr.write('a  b\\n')"
    answer = ask(code, standard_input=b"x" * size)
    assert (answer.status, len(answer.output), answer.complaint) == (0, 2 * size, b"a  b\n")
    assert answer.said == "a b"
    assert require_success(answer, "the program") == answer.output


def test_a_program_may_leave_its_input_unread() -> None:
    """A program that ends without reading what it is told has still answered."""
    assert ask("print('done')", standard_input=b"x" * 1_000_000).output == b"done\n"


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    """Words with signs that mean something to a shell reach the program as they are, in the folder that was named."""
    code = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ.get('ONLY'))"
    answer = ask_program(
        [sys.executable, "-c", code, "$(id)", "a b;"],
        who="the program",
        seconds=SECONDS,
        folder=str(tmp_path),
        environment={"ONLY": "this"},
    )
    assert answer.output.decode() == f"['$(id)', 'a b;'] {tmp_path} this\n"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("raise SystemExit(3)", 3, "the program ended with 3: it said nothing"),
        ("import sys; sys.exit('it is\\n  full')", 1, "the program ended with 1: it is full"),
        ("import os; print('out', flush=True); os.kill(os.getpid(), 9)", -9, "the program was ended by signal 9: out"),
    ],
)
def test_how_a_program_failed_is_said(code: str, status: int, words: str) -> None:
    """The code or the signal stands in the error, with what it complained about."""
    answer = ask(code)
    assert answer.status == status
    with pytest.raises(TargetFailed) as failed:
        require_success(answer, "the program", hint="look there")
    assert (failed.value.message, failed.value.hint) == (words, "look there")


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """When its time is over it is ended with what it started, also where it does not heed being asked."""
    mark = tmp_path / "mark"
    child = f"import time; time.sleep(1.5); open({str(mark)!r}, 'w')"
    code = (
        "import signal, subprocess, sys, time; print('begun', flush=True); "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    )
    answer = ask(code, seconds=1.0)
    assert (answer.status, answer.output) == (None, b"begun\n")
    with pytest.raises(TargetFailed, match=r"the program did not end within 1 s; it said: begun"):
        require_success(answer, "the program")
    quiet = Answer(status=None, output=b"", complaint=b"", seconds=2)
    with pytest.raises(TargetFailed, match=r"did not end within 2 s$"):
        require_success(quiet, "the program")
    ask("import time; time.sleep(1)")
    assert not mark.exists()


def test_what_a_program_leaves_behind_is_not_waited_for() -> None:
    """A server that a program started and that holds its output does not hold up the answer, and goes on running."""
    child = "import time; time.sleep(20)"
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid)"
    answer = ask(code)
    assert answer.status == 0
    os.kill(int(answer.output), signal.SIGKILL)  # fails where it does not run any more


def test_a_long_answer_is_refused() -> None:
    """More than is read is no answer; a complaint of any length is cut from its front."""
    with pytest.raises(TargetFailed, match="the program printed more than 1000 bytes"):
        ask("print('x' * 1_000_000)", limit=1000)
    answer = ask("import sys; sys.stderr.write('x' * 1_000_000 + 'the end')")
    assert answer.said.endswith("the end")
    assert len(answer.complaint) <= 16 * 1024
    assert len(answer.said) <= 600


@pytest.mark.parametrize("argv", [["./no-such-program"], ["a\0b"], ["/"]])
def test_a_program_that_cannot_be_started(argv: list[str]) -> None:
    """What is not there, cannot be named or is no program is an error of ours."""
    with pytest.raises(TargetFailed, match="the program cannot be run"):
        ask_program(argv, who="the program", seconds=SECONDS)
