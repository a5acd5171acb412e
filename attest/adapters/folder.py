"""A folder that files are added to, and in which nothing is ever overwritten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from attest.adapters.files import read_file
from attest.core import limits
from attest.errors import UsageError

_EXECUTABLE: Final = 0o777
_PLAIN: Final = 0o666


class WorkTree:
    """Implements `attest.ops.init.Folder`. No link leads out of it: what is written lies below it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def read(self, path: str) -> bytes | None:
        """What a file holds, or None.

        Raises:
            DocumentInvalid: it is no regular file, cannot be read, or is larger than `limits.DOCUMENT`.
        """
        file = self._root / path
        if not file.exists() and not file.is_symlink():
            return None
        return read_file(str(file), limit=limits.DOCUMENT)

    def create(self, path: str, content: bytes, *, executable: bool) -> None:
        """Write a new file, with the folders above it; one that is there is never replaced.

        Raises:
            UsageError: it cannot be written.
        """
        mode = _EXECUTABLE if executable else _PLAIN
        self._write(path, content, os.O_CREAT | os.O_EXCL, mode)

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file.

        Raises:
            UsageError: it cannot be written.
        """
        self._write(path, content, os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, _PLAIN)

    def _write(self, path: str, content: bytes, flags: int, mode: int) -> None:
        file = self._root / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.parent.resolve().is_relative_to(self._root):
                raise UsageError(f"{path} cannot be written: its folder lies outside {self._root}")
            descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC | flags, mode)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
