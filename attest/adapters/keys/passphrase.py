"""Where a passphrase comes from: a file, the environment, or the person at the terminal, in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from attest.core import limits
from attest.errors import DocumentInvalid, UsageError

VARIABLE: Final = "ATTEST_KEY_PASSWORD"
"""The only environment variable that is read."""


def read_passphrase(
    *, password_file: Path | None, environment: Mapping[str, str], prompt: Callable[[], str] | None
) -> bytes:
    """The passphrase, from the first of these that there is.

    Args:
        password_file: the file of `--password-file`; one line break at its end is not part of the passphrase.
        environment: the variables of the process.
        prompt: asks the person; None where no terminal is there to ask on.

    Raises:
        UsageError: there is none of them.
        DocumentInvalid: the file cannot be read.
    """
    if password_file is not None:
        return _of_file(password_file)
    from_environment = environment.get(VARIABLE)
    if from_environment is not None:
        return from_environment.encode("utf-8", "surrogateescape")
    if prompt is not None:
        return prompt().encode("utf-8", "surrogateescape")
    raise UsageError(
        "the key needs a passphrase, and there is no terminal to ask for it on",
        hint=f"set {VARIABLE}, or use --password-file FILE",
    )


def _of_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limits.KEY_FILE + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise DocumentInvalid(f"the password file cannot be read: {said}", file=str(path)) from error
    if len(content) > limits.KEY_FILE:
        raise DocumentInvalid(f"a password file has at most {limits.KEY_FILE} bytes", file=str(path))
    return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content
