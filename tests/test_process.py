"""A command as a process group of its own: its output, its end, and how it is stopped."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.adapters.process import TIMED_OUT, find_program, run_command
from attest.core.lane.outcome import Ended
from attest.errors import UsageError

PATIENCE = 60.0
"""After which something counts as never happening; no test measures how long it takes."""


def sh(script: str, *, timeout: float | None = None, grace: float = 30.0) -> Ended:
    """Run a shell script."""
    return run_command(["/bin/sh", "-c", script], timeout=timeout, grace=grace)


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pid_in(file: Path) -> int:
    """The process id that a script wrote into a file."""
    wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


# ---- the end


@pytest.mark.parametrize("status", [0, 1, 2, 77, 255])
def test_the_exit_status_is_kept(status: int) -> None:
    """Whatever number a command ends with is told."""
    assert sh(f"exit {status}") == Ended(status=status)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGPIPE])
def test_a_signal_is_128_and_its_number(number: signal.Signals) -> None:
    """A command that a signal ended is told by the signal's name, and by what a shell makes of it."""
    assert sh(f"kill -{number} $$") == Ended(status=128 + number, signal=number.name)


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    """A real-time signal ends a command like any other."""
    assert sh("kill -40 $$") == Ended(status=168, signal="signal 40")


def test_what_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    """A file that is no program fails before anything ran, as a wrong command line."""
    file = tmp_path / "program"
    file.write_bytes(b"\0")
    file.chmod(0o755)
    with pytest.raises(UsageError, match="could not be started"):
        run_command([str(file)], timeout=None)


@pytest.mark.parametrize("argv", [[], [""], ["no-such-program-at-all"], ["/no/such/program"], ["/etc/passwd"]])
def test_what_is_no_program_is_found_out_before(argv: list[str]) -> None:
    """No command, an unknown one and a file that cannot be run are refused before anything else happens."""
    with pytest.raises(UsageError):
        find_program(argv)


# ---- output


def test_output_goes_where_ours_goes(capfd: pytest.CaptureFixture[str]) -> None:
    """Both streams are handed on as they are, byte for byte."""
    assert sh("printf 'out\\n'; printf 'err\\n' >&2").status == 0
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_terminal_stays_one_and_is_not_read() -> None:
    """On a terminal the command's output is that terminal, and its input is not: nobody is there to be asked."""
    script = "import os; os.write(1, b'%d%d %r' % (os.isatty(1), os.isatty(2), os.read(0, 1)))"
    program = (
        f"from attest.adapters.process import run_command as r; r([{sys.executable!r}, '-c', {script!r}], timeout=60)"
    )
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            timeout=PATIENCE,
            check=True,
        )
        assert done.returncode == 0
        assert os.read(controller, 100) == b"11 b''"
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_pipe_is_handed_on_as_input() -> None:
    """Standard input that is no terminal is the command's."""
    program = "from attest.adapters.process import run_command as r; r(['/bin/cat'], timeout=60)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"given", capture_output=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == b"given"


def test_the_command_has_a_group_of_its_own() -> None:
    """What is sent to our group does not reach the command but through us."""
    assert sh(f'test "$(ps -o pgid= -p $$ | tr -d " ")" != {os.getpgrp()}').status == 0


# ---- time


def test_too_long_is_124_and_the_whole_group_ends(tmp_path: Path) -> None:
    """After the time the command is asked to end, and so is what it started."""
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; wait"
    assert sh(script, timeout=0.5) == Ended(status=TIMED_OUT, signal="SIGTERM", timed_out=True)
    wait_for(lambda: not is_running(pid_in(tmp_path / "pid")))


def test_who_ignores_being_asked_is_ended_by_force(tmp_path: Path) -> None:
    """A group that ignores SIGTERM gets SIGKILL after the grace, with all that it started."""
    script = f"trap '' TERM; (trap '' TERM; echo $$ > /dev/null; exec sleep 1000) & echo $! > {tmp_path}/pid; wait"
    assert sh(script, timeout=0.5, grace=0.3) == Ended(status=TIMED_OUT, signal="SIGKILL", timed_out=True)
    wait_for(lambda: not is_running(pid_in(tmp_path / "pid")))


def test_what_the_command_leaves_behind_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    """A command that ends well when it is asked takes nothing with it that ignores the question: we do."""
    script = f"(trap '' TERM; exec sleep 1000) & echo $! > {tmp_path}/pid; trap 'exit 0' TERM; wait"
    assert sh(script, timeout=0.5) == Ended(status=TIMED_OUT, timed_out=True)
    wait_for(lambda: not is_running(pid_in(tmp_path / "pid")))


def test_in_time_is_in_time() -> None:
    """A command that ends within its time ends as it does without one."""
    assert sh("exit 3", timeout=PATIENCE) == Ended(status=3)


def test_it_is_the_same_where_waiting_reaps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without waitid, as on macOS before Python 3.13, ends and times are told the same."""
    monkeypatch.delattr(os, "waitid")
    assert sh("exit 3") == Ended(status=3)
    assert sh("exit 3", timeout=PATIENCE) == Ended(status=3)
    script = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/pid; wait"
    assert sh(script, timeout=0.5, grace=0.3).timed_out
    wait_for(lambda: not is_running(pid_in(tmp_path / "pid")))


# ---- being told to stop


def stopped(script: str, *numbers: signal.Signals, ready: Path) -> str:
    """What `run_command` returns in a process that gets these signals once the script has made the file `ready`."""
    program = (
        f"from attest.adapters.process import run_command as r; print(r(['/bin/sh', '-c', {script!r}], timeout=None))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        wait_for(ready.exists)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.3)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return out.strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_us_is_handed_on_and_told(number: signal.Signals, tmp_path: Path) -> None:
    """The command gets it and may end as it likes; what is returned says that it was told to stop."""
    name = number.name.removeprefix("SIG")
    script = f"trap 'exit 0' {name}; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    assert stopped(script, number, ready=tmp_path / "ready") == str(Ended(status=0, interrupted=number.name))


def test_the_third_time_is_by_force(tmp_path: Path) -> None:
    """A command that ignores being told is ended when we are told for the third time."""
    script = f"trap '' INT TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"
    told = stopped(script, signal.SIGINT, signal.SIGTERM, signal.SIGINT, ready=tmp_path / "ready")
    assert told == str(Ended(status=137, signal="SIGKILL", interrupted="SIGINT"))


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """Under nohup, a SIGHUP changes nothing for us or for the command."""
    script = f"touch {tmp_path}/ready; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    program = (
        f"from attest.adapters.process import run_command as r; print(r(['/bin/sh', '-c', {script!r}], timeout=None))"
    )
    with subprocess.Popen(
        ["nohup", sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for((tmp_path / "ready").exists)
        process.send_signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        out, _ = process.communicate(timeout=PATIENCE)
    assert out.strip() == str(Ended(status=0))


def test_handlers_are_as_before_afterwards() -> None:
    """A command that ran leaves no handler of ours behind."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU)]
    sh("true")
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU)]
    assert after == before
