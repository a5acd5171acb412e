"""Where a passphrase comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest.adapters.keys import read_passphrase
from attest.core import limits
from attest.errors import DocumentInvalid, UsageError


def test_a_passphrase_comes_from_the_first_place_that_has_one(tmp_path: Path) -> None:
    """The file goes before the environment, that before the terminal; only our own variable is read."""
    file = tmp_path / "password"
    file.write_bytes(b"of the file\n")
    environment = {"ATTEST_KEY_PASSWORD": "of the environment", "COSIGN_PASSWORD": "of cosign"}

    def ask(place: Path | None, variables: dict[str, str]) -> bytes:
        return read_passphrase(password_file=place, environment=variables, prompt=lambda: "of the person ü")

    assert ask(file, environment) == b"of the file"
    assert ask(None, environment) == b"of the environment"
    assert ask(None, {"COSIGN_PASSWORD": "of cosign"}) == "of the person ü".encode()
    assert ask(None, {"ATTEST_KEY_PASSWORD": ""}) == b""


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"a\n", b"a"),
        (b"a", b"a"),
        (b"a\n\n", b"a\n"),
        (b"a\r\n", b"a"),
        (b" a \n", b" a "),
        (b"\n", b""),
        (b"a\r", b"a\r"),
    ],
)
def test_one_line_break_at_the_end_of_a_password_file_is_not_the_passphrase(
    tmp_path: Path, content: bytes, passphrase: bytes
) -> None:
    """Editors end files with a line break; everything else in the file counts."""
    file = tmp_path / "password"
    file.write_bytes(content)
    assert read_passphrase(password_file=file, environment={}, prompt=None) == passphrase


def test_without_a_terminal_a_missing_passphrase_is_an_error_of_usage() -> None:
    """A pipeline does not hang on a prompt, and learns what to set."""
    with pytest.raises(UsageError) as caught:
        read_passphrase(password_file=None, environment={"COSIGN_PASSWORD": "of cosign"}, prompt=None)
    assert "ATTEST_KEY_PASSWORD" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "error"), [("missing", "No such file"), (".", "Is a directory"), ("large", "at most")]
)
def test_an_unreadable_password_file_is_an_error(tmp_path: Path, name: str, error: str) -> None:
    """A password file that is missing, a folder or endless is named, and the environment is not asked instead."""
    (tmp_path / "large").write_bytes(b"a" * (limits.KEY_FILE + 1))
    with pytest.raises(DocumentInvalid, match=error):
        read_passphrase(
            password_file=tmp_path / name, environment={"ATTEST_KEY_PASSWORD": "other"}, prompt=lambda: "other"
        )
