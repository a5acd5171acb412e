"""Uncompressing a stream with a bound: never more bytes at once than a chunk, never more in all than a limit.

Which compression it is its first bytes say (RFC 1952, RFC 8878); the media type only claims it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from attest.core import limits
from attest.errors import LimitExceeded, StoreMisbehaved

CHUNK: Final = 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_WINDOW: Final = 128 * limits.MIB
"""The largest zstd window that is allowed for; `zstd --ultra` stays within it."""


def uncompressed(pieces: Iterator[bytes], *, size: int, what: str) -> Iterator[bytes]:
    """The bytes that were compressed, in pieces of at most `CHUNK`.

    Raises:
        StoreMisbehaved: what is compressed is damaged, cut off, or followed by something else.
        LimitExceeded: it grows beyond `limits.LAYER_BYTES`, or `limits.LAYER_RATIO` times the `size` of the blob.
    """
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= len(_ZSTD):
            break
    whole = _prepended(first, pieces)
    if first.startswith(_GZIP):
        found = _gunzip(whole, what)
    elif first.startswith(_ZSTD):
        found = _unzstd(whole, what)
    else:
        found = whole
    most = min(limits.LAYER_BYTES, max(limits.LAYER_FREE, size * limits.LAYER_RATIO))
    total = 0
    for piece in found:
        total += len(piece)
        if total > most:
            raise LimitExceeded(
                f"{what} grows beyond {most} bytes",
                hint=f"at most {limits.LAYER_RATIO} times the {size} bytes of the blob are read",
            )
        yield piece


def _prepended(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _gunzip(pieces: Iterator[bytes], what: str) -> Iterator[bytes]:
    machine = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            data = piece
            while data:
                if machine.eof:  # one gzip file may follow another (RFC 1952, 2.2)
                    if not _GZIP.startswith(data[:2]):
                        raise StoreMisbehaved(f"{what}: something follows the compressed data")
                    machine = zlib.decompressobj(wbits=31)
                if found := machine.decompress(data, CHUNK):
                    yield found
                data = machine.unused_data if machine.eof else machine.unconsumed_tail
    except zlib.error as error:
        raise StoreMisbehaved(f"{what}: the compressed data is damaged") from error
    if not machine.eof:
        raise StoreMisbehaved(f"{what}: the compressed data is cut off")


class _Pieces:
    """An iterator as what zstandard reads from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _unzstd(pieces: Iterator[bytes], what: str) -> Iterator[bytes]:
    import zstandard

    machine = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        # A frame that is cut off shows by the diff_id: zstandard does not tell it from a whole one.
        reader = machine.stream_reader(_Pieces(pieces), read_size=128 * 1024, read_across_frames=True)  # type: ignore[arg-type]
        while found := reader.read(CHUNK):
            yield found
    except zstandard.ZstdError as error:
        raise StoreMisbehaved(f"{what}: the compressed data is damaged, or needs too much memory") from error
