"""`attest.ports.ReadLayer`: one pass over the bytes of a layer, in two threads and in little memory.

One thread fetches, hashes and uncompresses, which does not need the interpreter for most of its time; the other reads
the archive and searches it. A few pieces may wait between them.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from attest.adapters.archives.compression import CHUNK, uncompressed
from attest.adapters.archives.search import SecretSearch
from attest.core import limits
from attest.core.image.layercontent import LayerContent
from attest.core.image.tarball import Member, MemberType, TarInvalid, TarReader, TarTooLarge
from attest.core.oci import Descriptor
from attest.core.reference import Digest
from attest.errors import LimitExceeded, StoreMisbehaved

_WAITING: Final = 4
"""Pieces that wait to be read."""
_POLL: Final = 0.1


def read_layer(
    pieces: Iterator[bytes],
    layer: Descriptor,
    diff_id: Digest,
    *,
    keep: Callable[[str], int | None],
    progress: Callable[[int], None],
) -> LayerContent:
    """As `attest.ports.ReadLayer`.

    Raises:
        StoreMisbehaved: the bytes are not those that were described, or no layer.
        LimitExceeded: something in it is larger than what is read.
    """
    what = f"the layer {layer.digest}"
    with _Pump(pieces, layer, what=what, progress=progress) as pump:
        content = _read(pump, what, keep)
    if pump.diff_id != diff_id:
        raise StoreMisbehaved(
            f"{what} holds an archive of digest {pump.diff_id}, and its configuration names {diff_id}"
        )
    return content


class _Pump:
    """Fetches, checks and uncompresses a blob in a thread of its own; an iterator of its pieces."""

    def __init__(
        self, pieces: Iterator[bytes], layer: Descriptor, *, what: str, progress: Callable[[int], None]
    ) -> None:
        self._pieces = pieces
        self._layer = layer
        self._what = what
        self._progress = progress
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)
        self._uncompressed = hashlib.sha256()
        self.size = 0
        """Bytes of the archive so far."""

    def __enter__(self) -> _Pump:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    @property
    def diff_id(self) -> Digest:
        """The digest of the archive; once all of it was read."""
        return Digest("sha256:" + self._uncompressed.hexdigest())

    def next(self) -> bytes:
        """The next piece; empty at the end, which is reached only if size and digest are right."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            self._queue.put(None)
            return b""
        self.size += len(item)
        return item

    def _run(self) -> None:
        try:
            for piece in uncompressed(self._checked(), size=self._layer.size, what=self._what):
                self._uncompressed.update(piece)
                if not self._put(piece):
                    return
        except BaseException as error:  # noqa: BLE001 - the thread that reads raises it
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: bytes | BaseException | None) -> bool:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL)
                return True
        return False

    def _checked(self) -> Iterator[bytes]:
        hashed = hashlib.sha256()
        size = 0
        for piece in self._pieces:
            size += len(piece)
            if size > self._layer.size:
                raise StoreMisbehaved(f"{self._what} has more than the {self._layer.size} bytes of its descriptor")
            hashed.update(piece)
            self._progress(size)
            for start in range(0, len(piece), CHUNK):
                yield piece[start : start + CHUNK]
        if size != self._layer.size:
            raise StoreMisbehaved(f"{self._what} has {size} bytes, and not the {self._layer.size} of its descriptor")
        if (digest := "sha256:" + hashed.hexdigest()) != self._layer.digest:
            raise StoreMisbehaved(f"{self._what} has the digest {digest}")


class _Archive:
    """The bytes of an archive for `TarReader`, shown to the search as they come."""

    def __init__(self, pump: _Pump, search: SecretSearch) -> None:
        self._pump = pump
        self._search = search
        self._piece = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        if self._at + size <= len(self._piece):
            self._at += size
            return self._piece[self._at - size : self._at]
        parts = []
        while size:
            part = self._piece[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
            if size and not self._more():
                break
        return b"".join(parts)

    def peek(self, size: int) -> bytes:
        """The next so many bytes, which are read again."""
        while len(self._piece) - self._at < size:
            left = self._piece[self._at :]
            if not self._more():
                self._piece = left
                return left
            self._piece = left + self._piece
        return self._piece[self._at : self._at + size]

    def skip(self, size: int) -> int:
        """Pass over so many bytes; how many there were."""
        passed = 0
        while True:
            step = min(size - passed, len(self._piece) - self._at)
            self._at += step
            passed += step
            if passed == size or not self._more():
                return passed

    def _more(self) -> bool:
        self._piece, self._at = self._pump.next(), 0
        self._search.piece(self._piece)
        return bool(self._piece)


def _read(pump: _Pump, what: str, keep: Callable[[str], int | None]) -> LayerContent:
    search = SecretSearch(what=what)
    archive = _Archive(pump, search)
    reader = TarReader(archive.read, archive.skip)
    members: list[Member] = []
    kept: dict[int, bytes] = {}
    total = 0
    try:
        while (member := reader.next()) is not None:
            number = len(members)
            members.append(member)
            if number >= limits.ENTRIES:
                raise LimitExceeded(f"{what} has more than {limits.ENTRIES} entries")
            if member.type is not MemberType.FILE:
                continue
            search.file(start=member.offset, size=member.size, member=number, first=archive.peek(min(8, member.size)))
            most = keep(member.name)
            if most is None:
                continue
            total += member.size
            if member.size > most or total > limits.PACKAGE_FILES:
                raise LimitExceeded(
                    f"{what} has files about packages and accounts of more than {min(most, limits.PACKAGE_FILES)} bytes"
                )
            kept[number] = reader.content(member)
        while pump.next():  # to its end: an error of its size or digest comes last
            raise StoreMisbehaved(f"{what}: something follows the archive")
    except TarTooLarge as error:
        raise LimitExceeded(f"{what}: {error}") from error
    except TarInvalid as error:
        raise StoreMisbehaved(f"{what}: {error}") from error
    return LayerContent(members=tuple(members), kept=kept, secrets=search.finish(), unpacked=pump.size)
