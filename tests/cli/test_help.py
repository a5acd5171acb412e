"""Help texts: every command has them, with examples that parse, and docs/cli.md repeats them."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from tests.cli import write_docs
from tests.cli.running import attest, spawn

COMMANDS = dict(write_docs.commands())


def test_the_document_repeats_the_help() -> None:
    """docs/cli.md is what the help texts say today; `python -m tests.cli.write_docs` writes it."""
    assert write_docs.DOCUMENT.read_text() == write_docs.render()


def test_every_command_of_the_issue_is_there() -> None:
    """The commands are those that are documented, and no others."""
    below = (
        "attach",
        "completion",
        "deploy",
        "environment",
        "environment check",
        "environment schema",
        "events",
        "freeze",
        "history",
        "image",
        "image check",
        "image diff",
        "image facts",
        "image lock",
        "image schema",
        "init",
        "inspect",
        "keygen",
        "ledger",
        "ledger export",
        "ledger head",
        "ledger import",
        "ledger init",
        "ledger verify",
        "metrics",
        "policy",
        "policy check",
        "policy schema",
        "promote",
        "provenance",
        "reconcile",
        "release",
        "release check",
        "release create",
        "release schema",
        "release-hold",
        "resolve",
        "rollback",
        "run",
        "sign",
        "status",
        "trust",
        "trust init",
        "trust show",
        "unfreeze",
        "verify",
        "waive",
    )
    assert list(COMMANDS) == ["attest", *(f"attest {name}" for name in below)]


@pytest.mark.parametrize("path", COMMANDS)
def test_help_ends_with_0_and_explains_itself(path: str, tmp_path: Path) -> None:
    """`--help` and `-h` print the same, with a usage line, a sentence and every option explained."""
    arguments = path.split()[1:]
    long, short = (attest(*arguments, option, cwd=tmp_path) for option in ("--help", "-h"))
    assert (long.code, long.err) == (0, "")
    assert long.raw == short.raw
    assert long.out.startswith(f"Usage: {path} ")
    command = COMMANDS[path].command
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not isinstance(parameter.type, click.Choice):
            assert parameter.help, parameter.name


def examples(path: str) -> list[str]:
    """The command lines in a command's epilog, continued lines joined."""
    epilog = COMMANDS[path].command.epilog or ""
    lines = epilog.replace("\\\n", " ").partition("Examples:\n")[2].splitlines()
    return [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize(
    "path",
    [path for path, made in COMMANDS.items() if path == "attest" or not isinstance(made.command, click.Group)],
)
def test_every_command_has_examples_that_parse(path: str) -> None:
    """Each example names only commands and options that exist; it fails on a typo, not on a missing file."""
    shown = examples(path)
    assert shown
    assert any(line.partition(path)[1] for line in shown)
    for line in shown:
        for part in line.replace("$(", "; ").replace(")", " ; ").replace("&&", ";").replace("|", ";").split(";"):
            words = shlex.split(part.partition(">")[0])
            words = words[next((place for place, word in enumerate(words) if word == "attest"), len(words)) :]
            if words:
                parse(words)


def parse(words: list[str]) -> None:
    """Let click parse a command line without running it."""
    name = " ".join(words[:3]) if " ".join(words[:3]) in COMMANDS else " ".join(words[:2])
    context = COMMANDS[name]
    arguments = [word for word in words[len(name.split()) :] if word != "..."]
    names = ["-h", "--help"]  # click keeps the help option that it makes first
    with click.Context(context.command, info_name=name, help_option_names=names) as fresh:
        context.command.parse_args(fresh, arguments)


def test_a_wrong_example_is_noticed() -> None:
    """An option that does not exist makes an example fail."""
    with pytest.raises(click.NoSuchOption):
        parse(["attest", "verify", "IMAGE", "--policy", "p.yaml", "--no-such-option"])


def test_the_version_is_printed(tmp_path: Path) -> None:
    """`attest --version` prints the name and the version."""
    from attest import __version__

    assert attest("--version", cwd=tmp_path).out == f"attest, version {__version__}\n"


@pytest.mark.parametrize("width", ["40", "200"])
def test_help_fits_any_terminal(width: str, tmp_path: Path) -> None:
    """A narrow or a wide terminal makes no command fail."""
    for path in COMMANDS:
        assert attest(*path.split()[1:], "--help", cwd=tmp_path, COLUMNS=width).code == 0


# ---- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, tmp_path: Path) -> None:
    """Each shell gets a script that asks `attest` by the variable that `attest` answers to."""
    ended = attest("completion", shell, cwd=tmp_path)
    assert ended.code == 0
    assert f"_ATTEST_COMPLETE={shell}_complete" in ended.out


def test_an_unknown_shell_is_2(tmp_path: Path) -> None:
    """A shell without a script ends with 2 and names those that have one."""
    ended = attest("completion", "tcsh", cwd=tmp_path)
    assert ended.code == 2
    assert all(shell in ended.err for shell in ("bash", "zsh", "fish"))


@pytest.mark.parametrize(
    ("words", "cursor", "offered"),
    [("attest ver", 1, "verify"), ("attest verify --pol", 2, "--policy"), ("attest policy ch", 2, "check")],
)
def test_the_script_gets_its_completions(words: str, cursor: int, offered: str, tmp_path: Path) -> None:
    """What the bash script asks a bare `attest` is answered with commands and options."""
    ended = spawn(cwd=tmp_path, COMP_WORDS=words, COMP_CWORD=str(cursor), _ATTEST_COMPLETE="bash_complete")
    assert f"plain,{offered}" in ended.out.splitlines()
