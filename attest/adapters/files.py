"""Files that a command line names: read with a limit, written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from attest.errors import DocumentInvalid, UsageError


def read_file(path: str, *, limit: int) -> bytes:
    """The bytes of a regular file, at most `limit` of them; `-` is standard input.

    Raises:
        DocumentInvalid: it is not there, no regular file, not readable, or larger.
    """
    try:
        if path == "-":
            with os.fdopen(os.dup(0), "rb") as stream:
                content = stream.read(limit + 1)
        else:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise DocumentInvalid("not a regular file", file=path)
                content = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise DocumentInvalid(f"cannot be read: {_words(error)}", file=path) from error
    if len(content) > limit:
        raise DocumentInvalid(f"more than {limit} bytes", file=path)
    return content


def is_there(path: str) -> bool:
    """Whether there is something of this name. A name that no file can have, or that may not be looked up, is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def write_file(path: str, content: bytes) -> None:
    """Write a file whole: a reader sees the old content or the new, never a part.

    A link leads to the file behind it. A device or a pipe is written to, and stays what it is.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                stream.write(content)
            return
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(descriptor, 0o666 & ~_umask())
                os.fsync(descriptor)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written: {_words(error)}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
