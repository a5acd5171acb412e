"""Programs that are asked for an answer: all of it, in time, and gone afterwards."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from attest.adapters.programs import Answer, alone_in, ask_program, require_success
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


@pytest.mark.slow
def test_a_program_that_does_not_end_is_ended() -> None:
    """When its time is over it is ended with what it started, also where that does not heed being asked."""
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    code = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE); "
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(600)"
    )
    answer = ask(code, seconds=10)
    assert answer.status is None
    pid = int(answer.output)
    with pytest.raises(TargetFailed, match=rf"the program did not end within 10 s; it said: {pid}$"):
        require_success(answer, "the program")
    end = time.monotonic() + SECONDS
    while _runs(pid):
        assert time.monotonic() < end, "what it started still runs"
        time.sleep(0.05)
    quiet = Answer(status=None, output=b"", complaint=b"", seconds=2)
    with pytest.raises(TargetFailed, match=r"did not end within 2 s$"):
        require_success(quiet, "the program")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_program_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    """A server that a program started and that holds its output does not hold up the answer, and goes on running."""
    ended = tmp_path / "ended"
    child = f"import time; time.sleep(30); open({str(ended)!r}, 'w')"
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid)"
    answer = ask(code, seconds=3600)
    assert (answer.status, ended.exists()) == (0, False)
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


def test_one_of_us_at_a_time_is_in_a_folder(tmp_path: Path) -> None:
    """A second one waits, and gives up with an error; nothing is written there."""
    with alone_in(str(tmp_path), who="the program", seconds=0):
        for seconds in (0, 0.2):
            words = "the program of another command still runs in"
            with pytest.raises(TargetFailed, match=words), alone_in(str(tmp_path), who="the program", seconds=seconds):
                pytest.fail("there were two")
    with alone_in(str(tmp_path), who="the program", seconds=0):
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(TargetFailed, match="cannot be opened"), alone_in(f"{tmp_path}/x", who="it", seconds=0):
        pytest.fail("there is no such folder")


def test_what_a_program_leaves_behind_keeps_nobody_out(tmp_path: Path) -> None:
    """A server that inherits every file of the program that started it, as a container's monitor may, has no lock."""
    child = "import time; time.sleep(600)"
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {child!r}], close_fds=False).pid)"
    with alone_in(str(tmp_path), who="the program", seconds=0) as hold:
        answer = ask(code, hold=hold)
        assert (answer.status, ask("raise SystemExit(3)", hold=hold).status) == (0, 3)
    try:
        with alone_in(str(tmp_path), who="the program", seconds=0):
            pass
    finally:
        os.kill(int(answer.output), signal.SIGKILL)
