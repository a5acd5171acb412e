"""Files that a command has to write: told from what was there before it by content, file and time."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attest.adapters.files import read_file
from attest.errors import DocumentInvalid, UsageError


@dataclass(frozen=True, slots=True)
class _Known:
    """A file as it was: another content, another file of that name or another time makes it a new one."""

    digest: bytes
    device: int
    inode: int
    modified: int
    """Nanoseconds."""


def read_files(patterns: Sequence[str], *, limit: int) -> tuple[tuple[str, bytes], ...]:
    """Every file that the names and patterns mean, with its content, each once; at most `limit` bytes of each.

    Raises:
        DocumentInvalid: one is not there, cannot be read, or is larger.
    """
    for pattern in patterns:
        if _is_pattern(pattern) and not _matches(pattern):
            raise DocumentInvalid("no file matches this pattern", file=pattern)
    return tuple((path, read_file(path, limit=limit)) for path in _paths(patterns))


class FreshFiles:
    """Files, or patterns of files, as they are before a command runs."""

    def __init__(self, patterns: Sequence[str], *, limit: int) -> None:
        """Look at what is there now. At most `limit` bytes of each file are read.

        Raises:
            UsageError: a pattern is standard input, or empty.
            DocumentInvalid: a file is there and cannot be read, or is larger.
        """
        for pattern in patterns:
            if pattern in ("", "-"):
                raise UsageError(f"--report {pattern!r} names no file that a command could write")
        self._patterns = tuple(patterns)
        self._limit = limit
        there = [path for path in _paths(patterns) if os.path.lexists(path)]
        self._before = {path: self._known(path, read_file(path, limit=limit)) for path in there}

    def read(self) -> tuple[tuple[str, bytes], ...]:
        """Every file with its content, in order.

        Raises:
            DocumentInvalid: one is not there, cannot be read, is larger, or is the same as before.
        """
        found = []
        for path, content in read_files(self._patterns, limit=self._limit):
            if self._known(path, content) == self._before.get(path):
                raise DocumentInvalid(
                    "the command has not written it: it is the very file that was there before",
                    file=path,
                    hint="let the command write its report here, and remove old ones first",
                )
            found.append((path, content))
        return tuple(found)

    @staticmethod
    def _known(path: str, content: bytes) -> _Known:
        try:
            status = Path(path).stat()
        except OSError as error:
            raise DocumentInvalid(f"cannot be read: {error.strerror or error}", file=path) from error
        return _Known(hashlib.sha256(content).digest(), status.st_dev, status.st_ino, status.st_mtime_ns)


def _paths(patterns: Sequence[str]) -> list[str]:
    """The files of all patterns, each once. What a pattern matches that is no file is an error when it is read."""
    paths: dict[str, None] = {}
    for pattern in patterns:
        for path in _matches(pattern) if _is_pattern(pattern) else [pattern]:
            paths[path] = None
    return list(paths)


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not os.path.lexists(text)


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - paths stay as the user wrote them
