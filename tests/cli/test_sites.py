"""Who the ledger says that it was."""

from __future__ import annotations

import getpass
import socket

import pytest

from attest.cli.sites import Who, check_actor, reason_of
from attest.errors import UsageError


def who(actor: str | None) -> Who:
    """Somebody."""
    return Who(actor=actor, wait=0, password_file=None)


def test_the_user_and_the_machine() -> None:
    """Whoever says nothing is named by user and host; whoever says something is believed, since it is for people."""
    assert who(None).name == f"{getpass.getuser()}@{socket.gethostname()}"
    assert who("alice").name == "alice"


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no username set")])
def test_a_user_without_a_name(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that knows no name of the user the number stands for it."""

    def nameless() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert who(None).name.startswith("uid ")
    check_actor(who(None).name)


@pytest.mark.parametrize("actor", ["two\nlines", "", "x" * 257, "\x1b[31m"])
def test_what_is_no_actor(actor: str) -> None:
    """What the ledger would not take is a usage error before anything begins."""
    with pytest.raises(UsageError, match="--actor"):
        check_actor(actor)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, "half \udc80"])
def test_what_is_no_reason(reason: str) -> None:
    """A reason is one line of text."""
    with pytest.raises(UsageError, match="--reason"):
        reason_of(reason)
    assert reason_of("x" * 500) == "x" * 500
    assert reason_of(None) is None
