"""A tar archive on the disk, of which single members are read; they are listed first, and nothing is unpacked."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final, Self

from attest.core.image.tarball import MemberType, TarInvalid, TarReader, TarTooLarge
from attest.errors import AccessDenied, LimitExceeded, NotFound, StoreError, StoreMisbehaved

_PIECE: Final = 1024 * 1024
_MEMBERS: Final = 100_000
_COMPRESSED: Final = {b"\x1f\x8b": "gzip -d", b"\x28\xb5\x2f\xfd": "zstd -d", b"BZh": "bzip2 -d", b"\xfd7zXZ": "xz -d"}


class ArchiveFile:
    """An open archive. Use it as a context manager. Threads may share it: each reading has a place of its own."""

    def __init__(self, path: str) -> None:
        """Open the archive and list its members.

        Raises:
            NotFound: there is no such file.
            StoreError, LimitExceeded: it cannot be read, or is no archive that is read here.
        """
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise _translated(path, error) from error
        try:
            self._members = self._list()
        except OSError as error:
            self.close()
            raise _translated(path, error) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return name in self._members

    def size(self, name: str) -> int:
        """The bytes of a file.

        Raises:
            NotFound: there is none of this name.
        """
        return self._place(name)[1]

    def read(self, name: str, *, limit: int) -> bytes:
        """A file, whole.

        Raises:
            NotFound: there is none of this name.
            LimitExceeded: it is larger than `limit`.
            StoreError: it cannot be read.
        """
        size = self.size(name)
        if size > limit:
            raise LimitExceeded(f"{name} in {self.path} has {size} bytes; at most {limit} are read")
        return b"".join(self.stream(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """A file, piece by piece.

        Raises:
            NotFound: there is none of this name.
            StoreError: it cannot be read.
        """
        at, left = self._place(name)
        while left:
            piece = self._piece(min(_PIECE, left), at)
            if not piece:
                raise StoreMisbehaved(f"{self.path} changed while it was read")
            yield piece
            at += len(piece)
            left -= len(piece)

    def _place(self, name: str) -> tuple[int, int]:
        try:
            return self._members[name]
        except KeyError:
            raise NotFound(f"{self.path} has no file {name}") from None

    def _piece(self, size: int, at: int) -> bytes:
        try:
            return os.pread(self._file, size, at)
        except OSError as error:
            raise _translated(self.path, error) from error

    def _list(self) -> dict[str, tuple[int, int]]:
        """Offset and size of each file by its name; links to files of the archive are those files."""
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            raise StoreMisbehaved(f"{self.path} is not a regular file")
        for magic, command in _COMPRESSED.items():
            if os.pread(self._file, len(magic), 0) == magic:
                raise StoreMisbehaved(
                    f"{self.path} is compressed as a whole, and its members cannot be reached",
                    hint=f"uncompress it: {command} {self.path}",
                )
        place = 0

        def read(size: int) -> bytes:
            nonlocal place
            found = os.pread(self._file, size, place)
            place += len(found)
            return found

        def skip(size: int) -> int:
            nonlocal place
            step = max(0, min(size, status.st_size - place))
            place += step
            return step

        try:
            return _listed(TarReader(read, skip), self.path)
        except TarTooLarge as error:
            raise LimitExceeded(f"{self.path}: {error}") from error
        except TarInvalid as error:
            raise StoreMisbehaved(f"{self.path}: {error}") from error


def _listed(reader: TarReader, path: str) -> dict[str, tuple[int, int]]:
    """Offset and size of each file by its name; a link to a file of the archive is that file."""
    found: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    while (member := reader.next()) is not None:
        name = member.name.removeprefix("./")
        if name in found or name in links:
            raise StoreMisbehaved(f"{path} holds {name!r} twice")
        if len(found) + len(links) >= _MEMBERS:
            raise LimitExceeded(f"{path} has more than {_MEMBERS} members")
        if member.type is MemberType.FILE:
            found[name] = (member.offset, member.size)
        elif member.type is MemberType.HARD_LINK:
            links[name] = member.link.removeprefix("./")
        elif member.type is MemberType.SYMLINK:
            links[name] = _beside(name, member.link)
    for name, target in links.items():
        if target in found:  # older programs link a layer that two images share
            found[name] = found[target]
    return found


def _beside(name: str, target: str) -> str:
    """Where a symbolic link leads, seen from the folder that it is in."""
    parts = name.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _translated(path: str, error: OSError | ValueError) -> StoreError:
    match error:
        case FileNotFoundError():
            return NotFound(f"{path} does not exist")
        case PermissionError():
            return AccessDenied(f"{path}: {error.strerror}")
        case OSError():
            return StoreError(f"{path}: {error.strerror}")
        case _:
            return StoreError(f"{path!r} cannot be the name of a file")
