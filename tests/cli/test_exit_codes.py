"""The exit code is the answer: 0 only after an explicit Passed, and whatever goes wrong is never 0 and never 1."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from attest import errors
from attest.cli import main
from attest.errors import AttestError
from tests.cli.running import COMMAND, Ended, attest, clean_environment, spawn, started
from tests.cli.scene import Scene, policy_text
from tests.registry import faults
from tests.registry.faults import FaultyRegistry


def with_command(monkeypatch: pytest.MonkeyPatch, body: Callable[[], object]) -> None:
    """Put a command in the place of every other; the code that runs it is the real one."""
    command = click.command("stub")(body)
    monkeypatch.setattr(main.Commands, "get_command", lambda *_: command)


def raising(error: BaseException) -> Callable[[], object]:
    """A command that ends with this exception."""

    def body() -> object:
        raise error

    return body


@pytest.mark.parametrize("returned", [None, True, False, "0", 0.0, [], object()])
def test_a_command_that_does_not_return_a_number_is_undecided(
    returned: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A command that forgets to return its exit code ends with 3, so forgetting never means yes."""
    with_command(monkeypatch, lambda: returned)
    assert attest("stub", cwd=tmp_path).code == 3


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_number_that_a_command_returns_is_the_exit_code(
    code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a command returns is what the process ends with."""
    with_command(monkeypatch, lambda: code)
    assert attest("stub", cwd=tmp_path).code == code


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("it broke"),
        MemoryError(),
        RecursionError(),
        KeyError("x"),
        OSError(28, "No space left on device"),
        AssertionError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_that_nobody_expected_is_one_line_and_undecided(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A defect ends with 3, says so in one line with a hint, and shows no traceback."""
    with_command(monkeypatch, raising(error))
    ended = attest("stub", cwd=tmp_path)
    assert (ended.code, ended.raw) == (3, b"")
    lines = ended.err.splitlines()
    assert lines[0].startswith("error: a defect of attest (" + type(error).__name__)
    assert lines[1:] == ["hint: run it again as `attest --debug ...` and report what it prints"]


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With --debug the traceback of a defect is shown, and the exit code stays 3."""
    with_command(monkeypatch, raising(RuntimeError("it broke")))
    ended = attest("--debug", "stub", cwd=tmp_path)
    assert ended.code == 3
    assert "Traceback (most recent call last)" in ended.err
    assert "RuntimeError: it broke" in ended.err


@pytest.mark.parametrize("code", [0, 1, None, "text"])
def test_a_library_that_exits_decides_nothing(code: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SystemExit from inside a command, even SystemExit(0), is undecided: only a returned number is an answer."""
    with_command(monkeypatch, raising(SystemExit(code)))
    assert attest("stub", cwd=tmp_path).code == 3


@pytest.mark.parametrize(
    "error", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AttestError)]
)
def test_every_error_of_attest_ends_with_its_own_code(
    error: type[AttestError], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each error type ends with its exit code, 2 or 3, its message in one line and its hint in another."""
    more: dict[str, object] = {"file": "f"} if issubclass(error, errors.DocumentInvalid) else {}
    more |= {"status": 0} if error is errors.NotSigned else {}
    more |= {"holder": "somebody", "since": datetime.now(UTC)} if error is errors.LeaseHeld else {}
    with_command(monkeypatch, raising(error("what is wrong", hint="what to do", **more)))
    ended = attest("stub", cwd=tmp_path)
    assert ended.code == error.exit_code in {2, 3}
    assert [line.partition(": ")[0] for line in ended.err.splitlines()] == ["error", "hint"]
    assert "what is wrong" in ended.err
    assert ended.err.endswith("hint: what to do\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError(), click.Abort()], ids=lambda one: type(one).__name__)
def test_an_interrupt_is_130(error: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C and a prompt without an answer end with 130 and one line."""
    with_command(monkeypatch, raising(error))
    ended = attest("stub", cwd=tmp_path)
    assert ended.code == 130
    assert ended.err.strip() == "attest: interrupted"


def test_an_interrupt_inside_a_class_statement_is_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An interrupt that Python, or a library, made another error of is an interrupt, and no defect."""

    class Interrupting:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def body() -> None:
        type("Made", (), {"one": Interrupting()})

    with_command(monkeypatch, body)
    ended = attest("stub", cwd=tmp_path)
    assert (ended.code, ended.err.strip()) == (130, "attest: interrupted")


def test_an_error_in_a_circle_is_a_defect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error that names itself as its cause is told like any other."""
    error = RuntimeError("it broke")
    error.__cause__ = error
    with_command(monkeypatch, raising(error))
    assert attest("stub", cwd=tmp_path).code == 3


@pytest.fixture
def _heeded() -> Iterator[None]:
    """SIGINT is not ignored, as it is by what a script starts in the background, and by all that this starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeded")
@pytest.mark.parametrize("verb", ["resolve", "verify", "sign"])
def test_ctrl_c_ends_a_command_that_waits_for_a_registry(verb: str, tmp_path: Path) -> None:
    """SIGINT while a registry does not answer ends the process at once with 130, without a traceback."""
    with FaultyRegistry().running() as registry:
        image = registry.add_image()
        scene = Scene(folder=tmp_path, image=str(image), repository=None)
        scene.make_keys("unit")
        scene.write_policy(policy_text(("unit",), images=[str(image.repository)]))
        arguments: dict[str, list[object]] = {
            "resolve": ["resolve", image],
            "verify": ["verify", image, "--policy", "policy.yaml"],
            "sign": scene.sign_arguments("unit", "--format", "json"),
        }
        registry.misbehave(faults.hang)
        with started(*arguments[verb], cwd=tmp_path) as process:
            while not registry.seen and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.decode().strip() == "attest: interrupted"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["verify"],
        ["verify", "--no-such-option"],
        ["verify", "registry.example.org/a@sha256:" + 64 * "0"],
        ["verify", "registry.example.org/a@sha256:" + 64 * "0", "--policy", "p.yaml", "--format", "yaml"],
        ["verify", "registry.example.org/a@sha256:" + 64 * "0", "--policy", "p.yaml", "--timeout", "0"],
        ["verify", "registry.example.org/a@sha256:" + 64 * "0", "--policy", "no-such-file.yaml"],
        ["verify", "not a reference", "--policy", "p.yaml"],
        ["sign", "registry.example.org/a@sha256:" + 64 * "0", "--lane", "unit", "--key", "no-such.key"],
        ["inspect", "registry.example.org/a@sha512:" + 128 * "0"],
        ["--no-such-option"],
        [],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_2(arguments: list[str], tmp_path: Path) -> None:
    """What makes no sense ends with 2, says why on standard error and nothing on standard output."""
    ended = attest(*arguments, cwd=tmp_path)
    assert ended.code == 2, ended.err
    assert ended.err
    assert ended.raw == b""


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["verify", "IMAGE", "--policy", "p.yaml"], "--timeout"),
        (["promote", "IMAGE", "--policy", "p.yaml", "--to", "PLACE"], "--timeout"),
        (["trust", "init", "folder"], "--timeout"),
        (["deploy", "environment.yaml"], "--store-timeout"),
        (["deploy", "environment.yaml"], "--wait"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_time_that_never_ends_is_2(arguments: list[str], option: str, value: str, tmp_path: Path) -> None:
    """What is no number of seconds is refused by its name: no comparison with NaN ever says that the time is over."""
    ended = attest(*arguments, option, value, cwd=tmp_path)
    assert (ended.code, f"'{option}'" in ended.err) == (2, True), ended.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["completion", "bash"], ["verify", "--help"], ["--help"], ["--version"]])
def test_a_reader_that_goes_away_is_undecided(arguments: list[str], unbuffered: str, tmp_path: Path) -> None:
    """Output into a pipe that nobody reads ends with 3, not with click's 1, which would mean refused."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONUNBUFFERED=unbuffered),
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_broken_pipe_inside_a_command_is_undecided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A BrokenPipeError, wherever it comes from, is 3."""
    with_command(monkeypatch, raising(BrokenPipeError(32, "Broken pipe")))
    assert attest("stub", cwd=tmp_path).code == 3


def shell(line: str, *arguments: str, cwd: Path, **environment: str) -> Ended:
    """Run `attest` with the redirections of a shell line; `"$@"` in it is the command."""
    done = subprocess.run(
        ["/bin/sh", "-c", line, "sh", *COMMAND, *arguments],
        cwd=cwd,
        env=clean_environment(cwd, **environment),
        capture_output=True,
        check=False,
    )
    return Ended(code=done.returncode, raw=done.stdout, err=done.stderr.decode())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"$@" >/dev/full', "standard output cannot be written: No space left on device"),
        ('"$@" >&-', "standard output is closed"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [["completion", "bash"], ["--version"], ["--help"], ["ledger", "head", "sqlite:///ledger.db"]]
)
def test_an_answer_that_cannot_be_given_is_undecided(
    arguments: list[str], unbuffered: str, line: str, words: str, tmp_path: Path
) -> None:
    """Where standard output is closed or full the command ends with 3 and says so: nobody got its answer."""
    assert attest("ledger", "init", "sqlite:///ledger.db", cwd=tmp_path).code == 0
    ended = shell(line, *arguments, cwd=tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert ended.code == 3
    assert ended.err.splitlines()[0] == f"error: {words}"
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_half_an_answer_is_none(unbuffered: str, tmp_path: Path) -> None:
    """Where there is room for the beginning of the answer alone, it ends with 3: no rest is lost without a word."""
    whole = shell('"$@"', "--help", cwd=tmp_path)
    assert len(whole.raw) > 1024
    line = 'ulimit -f 1; "$@" >answer'  # no file of more than 512 bytes, or 1,024 in other shells
    ended = shell(line, "--help", cwd=tmp_path, PYTHONUNBUFFERED=unbuffered, PYTHONDONTWRITEBYTECODE="1")
    assert whole.raw.startswith((tmp_path / "answer").read_bytes())
    assert (ended.code, "standard output cannot be written: File too large" in ended.err) == (3, True), ended.err


@pytest.mark.parametrize("line", ['"$@" 2>&-', '"$@" 2>/dev/full', '"$@" <&-'])
def test_only_the_answer_has_to_be_written(line: str, tmp_path: Path) -> None:
    """A closed or full standard error, or a closed standard input, changes neither the answer nor the exit code."""
    right = shell(line, "completion", "bash", cwd=tmp_path)
    assert right.code == 0
    assert b"complete" in right.raw
    wrong = shell(line, "resolve", "not a reference", cwd=tmp_path)
    assert wrong.code == 2


@pytest.mark.parametrize("line", ['"$@" 2>&-', '"$@" 2>/dev/full', '"$@" <&-', '"$@" >/dev/full', '"$@" >&-'])
def test_a_refusal_is_never_0_whatever_is_closed(line: str, scene: Scene) -> None:
    """A refused image stays refused (1), or undecided (3) where the answer cannot be given."""
    arguments = ["verify", scene.image, "--policy", "policy.yaml"]
    ended = shell(line, *arguments, cwd=scene.folder)
    assert ended.code == (3 if " >" in line else 1)
    assert "Traceback" not in ended.err


def test_characters_that_the_terminal_cannot_show_are_escaped(scene: Scene) -> None:
    """Text from a stranger in a script that the locale lacks is escaped; it is no reason to end without a verdict."""
    scene.sign("unit", "--job", "\N{SNOWMAN} \N{HIRAGANA LETTER A}")
    ended = spawn("inspect", scene.image, cwd=scene.folder, PYTHONIOENCODING="latin-1")
    assert ended.code == 0, ended.err
    assert "\\u2603 \\u3042" in ended.out


def test_the_shell_completion_variable_cannot_answer_for_a_command(scene: Scene) -> None:
    """click's completion variable, left in the environment, does not turn a command into a script that ends with 0."""
    for value in ("bash_source", "zsh_source", "fish_source", "bash_complete", "no_such"):
        ended = spawn("verify", scene.image, "--policy", "policy.yaml", cwd=scene.folder, _ATTEST_COMPLETE=value)
        assert ended.code == 1, ended
