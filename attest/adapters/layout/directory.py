"""The files of an OCI image layout: opened without following links, read whole and checked, replaced atomically.

A layout may come from anybody: a blob may be a symbolic link to a private file, a FIFO that never answers, or a
file of a terabyte. Every file is therefore opened relative to an open directory, one component at a time.

Writing keeps the layout valid at every moment: a file gets its name only after its bytes are on the disk, and
blobs before the index that names them. All writing happens under one advisory lock on the file `oci-layout`,
the only one that nobody ever replaces, and the kernel lifts the lock of a process that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from attest.adapters.layout.system import errors_of, no_file_at
from attest.core import limits
from attest.core.reference import Digest, digest_of
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import (
    LimitExceeded,
    NotFound,
    ReferenceInvalid,
    StoreError,
    StoreMisbehaved,
    Unreachable,
)

_VERSION_FILE: Final = "oci-layout"
_INDEX_FILE: Final = "index.json"
_VERSION: Final = "1.0.0"
_VERSION_FILE_BYTES: Final = 64 * 1024
_VERSION_CONTENT: Final = b'{"imageLayoutVersion":"1.0.0"}'
_EMPTY_INDEX: Final = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
_OURS: Final = frozenset({"blobs", _INDEX_FILE})
"""What a layout that is being made holds before it is one."""

_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hang us
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_LOCK_SECONDS: Final = 60.0
_LOCK_PAUSE: Final = 0.02
_LEFTOVER: Final = re.compile(r"\.attest-[0-9a-f]{16}\.tmp")
_PART: Final = re.compile(r"\.attest-[0-9a-f]{16}\.part")
"""A blob that somebody streams, and holds a lock on for as long as he lives."""


class LayoutDirectory:
    """An open image layout. Use it as a context manager; each method raises `StoreError` or `LimitExceeded`."""

    def __init__(self, path: str) -> None:
        """Open the layout at `path` and check its version.

        Raises:
            ReferenceInvalid: `path` cannot be the name of a directory.
            NotFound: there is no such directory.
            StoreError: it cannot be read, or is no image layout of version 1.0.0.
        """
        if "\0" in path:
            raise ReferenceInvalid(f"{path!r} cannot be the path of an image layout")
        self.path = path
        self._closing = contextlib.ExitStack()
        try:
            with errors_of(path), no_file_at(path):
                self._root = self._kept(os.open(path, _OPEN_FOLDER))
            self._check_version()
            self._blobs = self._open_blobs()
        except BaseException:
            self._closing.close()
            raise

    @staticmethod
    def is_there(path: str) -> bool:
        """Whether there is a layout at `path`, or something that claims to be one. A half made one is not there yet."""
        return os.path.lexists(f"{path}/{_VERSION_FILE}")

    @staticmethod
    def make(path: str) -> None:
        """Have an image layout at `path`: one that is there stays as it is, and one that was half made is finished.

        Raises:
            StoreMisbehaved: something else is there.
            StoreError: it cannot be made.
        """
        if "\0" in path:
            raise ReferenceInvalid(f"{path!r} cannot be the path of an image layout")
        with errors_of(path), no_file_at(path):
            Path(path).mkdir(parents=True, exist_ok=True)
            folder = os.open(path, _OPEN_FOLDER)
        try:
            with errors_of(path):
                present = set(os.listdir(folder))  # noqa: PTH208 - pathlib knows no open directories
                if _VERSION_FILE in present:
                    return
                strange = sorted(name for name in present - _OURS if not _LEFTOVER.fullmatch(name))
                if strange:
                    raise StoreMisbehaved(
                        f"{path} is no OCI image layout, and holds {strange[0]!r}", hint="name a folder that is empty"
                    )
                _make_folders(folder, "blobs", "sha256")
                _make_file(folder, _INDEX_FILE, _EMPTY_INDEX)
                _make_file(folder, _VERSION_FILE, _VERSION_CONTENT)  # last: with it the layout is one
                os.fsync(folder)
        finally:
            os.close(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def read_index(self) -> bytes:
        """The bytes of `index.json`."""
        try:
            return self._read(_INDEX_FILE, self._root, _INDEX_FILE, limits.MANIFEST)
        except NotFound as error:
            raise StoreMisbehaved(f"{self.path} has no {_INDEX_FILE}, so it is no OCI image layout") from error

    def read_blob(self, digest: Digest, *, limit: int) -> bytes:
        """The blob of this digest, at most `limit` bytes, its digest checked.

        Raises:
            NotFound: the layout has no such blob.
            LimitExceeded: it is larger than `limit`.
            StoreError: it cannot be read, is no regular file, or has another digest.
        """
        if self._blobs is None:
            raise NotFound(f"{self.path} has no blob {digest}")
        try:
            content = self._read(_hex(digest), self._blobs, f"blobs/sha256/{_hex(digest)}", limit)
        except NotFound as error:
            raise NotFound(f"{self.path} has no blob {digest}") from error
        if digest_of(content) != digest:
            raise StoreMisbehaved(f"the blob {digest} in {self.path} has the digest {digest_of(content)}")
        return content

    def stream_blob(self, digest: Digest) -> Iterator[bytes]:
        """The blob of this digest piece by piece; neither its size nor its digest is checked.

        Raises:
            NotFound: the layout has no such blob.
            StoreError: it cannot be read, or is no regular file.
        """
        place = f"{self.path}/blobs/sha256/{_hex(digest)}"
        if self._blobs is None:
            raise NotFound(f"{self.path} has no blob {digest}")
        with errors_of(place), os.fdopen(os.open(_hex(digest), _OPEN_FILE, dir_fd=self._blobs), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise StoreMisbehaved(f"{place} is not a regular file")
            while piece := file.read(limits.MIB):
                yield piece

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only writer until the block ends; what a killed writer left half-written is swept away.

        Raises:
            AccessDenied: the layout may not be written to.
            Unreachable: another process holds the lock for longer than a minute.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NFS locks only what is open for writing
        with errors_of(f"{self.path}/{_VERSION_FILE}"):
            lock = os.open(_VERSION_FILE, flags, dir_fd=self._root)
        try:
            self._wait_for(lock)
            self._sweep()
            yield
        finally:
            os.close(lock)

    def has_blob(self, digest: Digest, *, size: int) -> bool:
        """Whether the layout holds a blob whole; a damaged one, or one of another size, it does not."""
        hasher = hashlib.sha256()
        length = 0
        try:
            for piece in self.stream_blob(digest):
                hasher.update(piece)
                length += len(piece)
                if length > size:
                    return False
        except (NotFound, StoreMisbehaved):
            return False
        return length == size and f"sha256:{hasher.hexdigest()}" == digest

    def stream_in(self, digest: Digest, pieces: Iterator[bytes]) -> None:
        """Have a blob on the disk whose pieces somebody has checked, without holding others up meanwhile.

        An error of `pieces` leaves nothing behind, and a killed writer only what the next one sweeps away.
        """
        if self._blobs is None:
            raise StoreMisbehaved(f"{self.path} has no folder blobs/sha256")
        passing = f".attest-{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with errors_of(f"{self.path}/{passing}"):
            with self.locked():
                file = os.fdopen(os.open(passing, flags, 0o666, dir_fd=self._root), "wb")
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            try:
                with file:
                    for piece in pieces:
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(passing, _hex(digest), src_dir_fd=self._root, dst_dir_fd=self._blobs)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(passing, dir_fd=self._root)
                raise

    def write_blob(self, content: bytes) -> Digest:
        """Have a blob on the disk. Call it under `locked`, and `sync_blobs` before anything names the blob."""
        digest = digest_of(content)
        if self._blobs is None:
            raise StoreMisbehaved(f"{self.path} has no folder blobs/sha256")
        with contextlib.suppress(NotFound, StoreMisbehaved, LimitExceeded):  # a damaged one is written anew
            if self.read_blob(digest, limit=len(content)) == content:
                return digest
        self._replace(_hex(digest), self._blobs, content, mode=None)
        return digest

    def sync_blobs(self) -> None:
        """Have the names of all blobs on the disk."""
        if self._blobs is not None:
            with errors_of(f"{self.path}/blobs/sha256"):
                os.fsync(self._blobs)

    def write_index(self, content: bytes) -> None:
        """Replace `index.json`, in one step and for good. Call it under `locked`."""
        with errors_of(f"{self.path}/{_INDEX_FILE}"):
            mode = stat.S_IMODE(os.stat(_INDEX_FILE, dir_fd=self._root, follow_symlinks=False).st_mode)
        self._replace(_INDEX_FILE, self._root, content, mode=mode)
        with errors_of(self.path):
            os.fsync(self._root)

    def _kept(self, descriptor: int) -> int:
        self._closing.callback(os.close, descriptor)
        return descriptor

    def _check_version(self) -> None:
        try:
            content = self._read(_VERSION_FILE, self._root, _VERSION_FILE, _VERSION_FILE_BYTES)
        except NotFound as error:
            raise StoreMisbehaved(
                f"{self.path} has no file {_VERSION_FILE}, so it is no OCI image layout",
                hint=f"make one with: skopeo copy docker://... oci:{self.path}:TAG",
            ) from error
        try:
            document = loads(content)
        except JsonInvalid as error:
            raise StoreMisbehaved(f"{self.path}/{_VERSION_FILE} is not strict JSON: {error}") from error
        version = document.get("imageLayoutVersion") if isinstance(document, dict) else None
        if version != _VERSION:
            raise StoreMisbehaved(
                f"{self.path} is an image layout of version {version!r}; only {_VERSION} is read here"
            )

    def _open_blobs(self) -> int | None:
        folder = self._root
        for name in ("blobs", "sha256"):
            try:
                with errors_of(f"{self.path}/blobs"):
                    folder = self._kept(os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=folder))
            except NotFound:
                return None
        return folder

    def _read(self, name: str, folder: int, shown: str, limit: int) -> bytes:
        place = f"{self.path}/{shown}"
        with errors_of(place), os.fdopen(os.open(name, _OPEN_FILE, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StoreMisbehaved(f"{place} is not a regular file")
            if status.st_size > limit:
                raise LimitExceeded(f"{place} has {status.st_size} bytes; at most {limit} are read")
            content = file.read(status.st_size + 1)
        if len(content) != status.st_size:
            raise StoreMisbehaved(f"{place} changed while it was read")
        return content

    def _wait_for(self, lock: int) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"another process has been writing to {self.path} for more than {_LOCK_SECONDS:.0f} s",
                        hint=f"`fuser {self.path}/{_VERSION_FILE}` names it",
                    ) from error
            except OSError as error:
                raise StoreError(f"{self.path} cannot be locked: {error.strerror}") from error
            time.sleep(_LOCK_PAUSE * (0.5 + random.random()))  # noqa: S311 - spreads writers, protects nothing

    def _sweep(self) -> None:
        with errors_of(self.path):
            for name in os.listdir(self._root):  # noqa: PTH208 - pathlib knows no open directories
                if _LEFTOVER.fullmatch(name) or (_PART.fullmatch(name) and self._is_abandoned(name)):
                    with contextlib.suppress(OSError):  # it harms nobody where it stays
                        os.unlink(name, dir_fd=self._root)

    def _is_abandoned(self, name: str) -> bool:
        """Whether nobody is writing this file any more: the kernel lifts the lock of a process that dies."""
        try:
            file = os.open(name, _OPEN_FILE, dir_fd=self._root)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(file)
        return True

    def _replace(self, name: str, folder: int, content: bytes, *, mode: int | None) -> None:
        """Write a file under a passing name, then give it its own; a missing `mode` is what the umask says."""
        passing = f".attest-{secrets.token_hex(8)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with errors_of(f"{self.path}/{passing}"):
            try:
                with os.fdopen(os.open(passing, flags, 0o666, dir_fd=self._root), "wb") as file:
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(passing, name, src_dir_fd=self._root, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(passing, dir_fd=self._root)
                raise


def _make_folders(folder: int, *names: str) -> None:
    """Have these folders, one in the other, without following links."""
    opened: list[int] = []
    try:
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            folder = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            opened.append(folder)
    finally:
        for one in opened:
            os.close(one)


def _make_file(folder: int, name: str, content: bytes) -> None:
    """Have a file of this name, whole at every moment; whoever was first stays."""
    passing = f".attest-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(passing, flags, 0o666, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(passing, dir_fd=folder)


def _hex(digest: Digest) -> str:
    return digest.removeprefix("sha256:")
