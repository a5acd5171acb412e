"""Exports of ledgers: JSON Lines in a file or on a stream, read and written line by line."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from attest.core import limits
from attest.errors import DocumentInvalid, UsageError

_LONGEST: Final = 2 * limits.RECORD


def export_lines(path: str) -> Iterator[bytes]:
    """The lines of an export without their ends; `-` is standard input.

    Raises:
        DocumentInvalid: it cannot be read, is empty, has a line that no record is as long as, or ends within a line.
    """
    number = 0
    with _opened(path) as stream:
        while line := _read(stream, path):
            number += 1
            if len(line) > _LONGEST:
                raise DocumentInvalid("a line longer than any record", file=path, line=number)
            if not line.endswith(b"\n"):
                raise DocumentInvalid("the last line has no end: the rest of it was cut off", file=path, line=number)
            yield line[:-1]
    if number == 0:
        raise DocumentInvalid("it holds no record", file=path)


def write_export(path: str, lines: Iterable[bytes]) -> None:
    """Write an export whole, or not at all: a reader sees the file that was there before, or all of the new one.

    A device or a pipe is written to, and stays what it is.

    Raises:
        UsageError: it cannot be written there. Whatever making the lines raises is raised.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                _write_all(stream, lines, path)
            return
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _write_all(stream, lines, path)
            _finish(stream, path)
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _write_all(stream: BinaryIO, lines: Iterable[bytes], path: str) -> None:
    """Only what writing raises is an error of the file: the lines come from a ledger, which has errors of its own."""
    for line in lines:
        try:
            stream.write(line + b"\n")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _finish(stream: BinaryIO, path: str) -> None:
    mask = os.umask(0)
    os.umask(mask)
    try:
        stream.flush()
        os.fchmod(stream.fileno(), 0o666 & ~mask)
        os.fsync(stream.fileno())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        descriptor = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise DocumentInvalid(f"cannot be read: {_words(error)}", file=path) from error
    if path != "-" and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DocumentInvalid("not a regular file", file=path)
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def _read(stream: BinaryIO, path: str) -> bytes:
    try:
        return stream.readline(_LONGEST + 2)
    except OSError as error:
        raise DocumentInvalid(f"cannot be read: {error.strerror}", file=path) from error


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
