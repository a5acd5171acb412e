"""Members of a tar archive, read one after the other from bytes that nobody has vouched for; nothing is unpacked.

Readers of tar differ in what they make of a broken or ambiguous archive, and an image is only what all of them see. So
whatever two readers may take for two different things is refused here: a header that does not add up, a size that is
told twice, names from several places, sparse and unknown members, anything but zeros after the end.

Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format";
OCI image-spec v1.1, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from attest.core import limits

_BLOCK: Final = 512
_ZEROS: Final = bytes(_BLOCK)
_CAPABILITY: Final = "SCHILY.xattr.security.capability"
_OCTAL: Final = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_LARGEST_OCTAL: Final = 8**11 - 1
_DECIMAL: Final = re.compile(rb"[0-9]{1,19}")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,7}) ")
_UNIQUE: Final = frozenset({"path", "linkpath", "size", "uid", "gid"})
_HEADER_SIZES: Final = {b"x": limits.PAX_HEADER, b"L": limits.ENTRY_PATH + 1, b"K": limits.ENTRY_PATH + 1}


class TarInvalid(ValueError):
    """The bytes are no tar archive that every reader would read alike."""


class TarTooLarge(TarInvalid):
    """The archive is beyond what is read (`attest.core.limits`)."""


class MemberType(enum.Enum):
    """What a member is."""

    FILE = "file"
    HARD_LINK = "hard-link"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character-device"
    BLOCK_DEVICE = "block-device"
    DIRECTORY = "directory"
    FIFO = "fifo"


_TYPES: Final = {
    b"0": MemberType.FILE,
    b"\0": MemberType.FILE,
    b"7": MemberType.FILE,
    b"1": MemberType.HARD_LINK,
    b"2": MemberType.SYMLINK,
    b"3": MemberType.CHARACTER_DEVICE,
    b"4": MemberType.BLOCK_DEVICE,
    b"5": MemberType.DIRECTORY,
    b"6": MemberType.FIFO,
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member. Names keep bytes that are no UTF-8 as surrogates (PEP 383)."""

    name: str
    type: MemberType
    mode: int
    """The twelve permission bits."""
    uid: int
    gid: int
    size: int
    """Bytes of content; 0 for all but files."""
    link: str
    """The target of a link, else empty."""
    capability: bytes | None
    """The extended attribute security.capability."""
    offset: int
    """Where the content begins in the archive."""


class TarReader:
    """Reads an archive forwards through two functions.

    `read(n)` returns n bytes, fewer only at the end; `skip(n)` passes over n bytes and returns how many there were.
    """

    def __init__(self, read: Callable[[int], bytes], skip: Callable[[int], int]) -> None:
        self._read = read
        self._skip = skip
        self._offset = 0
        self._left = 0
        """Bytes of the current member that were not read yet, with its padding."""
        self._pax_total = 0

    def next(self) -> Member | None:
        """The next member, or None at the end of the archive. What was not read of the one before is skipped.

        Raises:
            TarInvalid: the archive is broken, ambiguous, or has a member of a kind that is not read.
            TarTooLarge: a header is beyond `attest.core.limits`.
        """
        self._pass(self._left)
        self._left = 0
        pax: Mapping[str, bytes] | None = None
        long: dict[bytes, bytes] = {}
        while True:
            block = self._block()
            if block is None:
                if pax is not None or long:
                    raise self._invalid("ends after an extended header")
                return None
            kind = block[156:157]
            if kind in _HEADER_SIZES:
                content = self._header_content(block, _HEADER_SIZES[kind])
                if (kind == b"x" and pax is not None) or kind in long:
                    raise self._invalid("two extended headers for one member")
                if kind == b"x":
                    pax = self._records(content)
                else:
                    long[kind] = content.removesuffix(b"\0")
            elif kind == b"g":
                self._check_global(self._header_content(block, limits.PAX_HEADER))
            else:
                return self._member(block, pax or {}, long)

    def content(self, member: Member) -> bytes:
        """The content of the member that `next` has just returned.

        Raises:
            TarInvalid: the archive ends within it.
        """
        content = self._take(member.size)
        self._left -= member.size
        return content

    # Blocks

    def _block(self) -> bytes | None:
        block = self._read(_BLOCK)
        self._offset += len(block)
        if not block:
            return None
        if len(block) != _BLOCK:
            raise self._invalid("ends within a header")
        if block == _ZEROS:
            self._check_end()
            return None
        expected = _number(block[148:156])
        stored = block[148:156]
        total = sum(block) - sum(stored) + 8 * 32
        if expected != total and expected != total - 256 * sum(
            byte > 127 for byte in block[:148] + block[156:]
        ):  # some old writers summed signed bytes
            raise self._invalid("has a header whose checksum is wrong")
        return block

    def _check_end(self) -> None:
        """After the first block of zeros only zeros may follow: what is behind the end some readers find."""
        while chunk := self._read(64 * 1024):
            self._offset += len(chunk)
            if chunk.count(0) != len(chunk):
                raise self._invalid("goes on after its end")

    def _take(self, size: int) -> bytes:
        content = self._read(size)
        self._offset += len(content)
        if len(content) != size:
            raise self._invalid("ends within a member")
        return content

    def _pass(self, size: int) -> None:
        if size:
            passed = self._skip(size)
            self._offset += passed
            if passed != size:
                raise self._invalid("ends within a member")

    def _header_content(self, block: bytes, limit: int) -> bytes:
        size = self._size(block)
        if size > limit:
            raise TarTooLarge(f"an extended header at byte {self._offset} has {size} bytes; at most {limit} are read")
        self._pax_total += size
        if self._pax_total > limits.PAX_TOTAL:
            raise TarTooLarge(f"the extended headers have more than {limits.PAX_TOTAL} bytes")
        content = self._take(size)
        self._pass(-size % _BLOCK)
        return content

    # Extended headers

    def _records(self, content: bytes) -> dict[str, bytes]:
        """The records of a pax header: `LENGTH KEY=VALUE` and a newline each."""
        found: dict[str, bytes] = {}
        at = 0
        while at < len(content):
            match = _RECORD.match(content, at)
            end = at + int(match[1]) if match else 0
            if match is None or end > len(content) or content[end - 1 : end] != b"\n" or end <= match.end():
                raise self._invalid("has an extended header that is no list of records")
            name, equals, value = content[match.end() : end - 1].partition(b"=")
            key = name.decode("utf-8", "surrogateescape")
            if not equals or not key:
                raise self._invalid("has an extended header with a record that is no KEY=VALUE")
            if key in found and (key in _UNIQUE or key == _CAPABILITY):
                raise self._invalid(f"tells {key} of one member twice")
            if key.startswith("GNU.sparse."):
                raise self._invalid("has a sparse member; write the archive without --sparse")
            if key == "hdrcharset" and value not in (b"ISO-IR 10646 2000 UTF-8", b"BINARY"):
                raise self._invalid("has names in a character set that is not read here")
            found[key] = value
            at = end
        return found

    def _check_global(self, content: bytes) -> None:
        """Readers disagree on whether a global header counts, so it may say nothing that matters."""
        said = self._records(content).keys() & (_UNIQUE | {_CAPABILITY})
        if said:
            raise self._invalid(f"has a global header that sets {min(said)}")

    # Members

    def _member(self, block: bytes, pax: Mapping[str, bytes], long: Mapping[bytes, bytes]) -> Member:
        kind = block[156:157]
        named = self._name(pax.get("path"), long.get(b"L"), _short_name(block), "name")
        link = b""
        type_ = _TYPES.get(kind)
        if type_ is None:
            if kind == b"S":
                raise self._invalid("has a sparse member; write the archive without --sparse")
            raise self._invalid(f"has a member of the type {kind!r}, which is not read here")
        if named.endswith(b"/") and type_ is MemberType.FILE:
            if kind != b"\0":
                raise self._invalid("has a file whose name ends in a slash")
            type_ = MemberType.DIRECTORY  # how the archives of Unix V7 write one
        if type_ in (MemberType.HARD_LINK, MemberType.SYMLINK):
            link = self._name(pax.get("linkpath"), long.get(b"K"), _text(block[157:257]), "target of a link")
            if not link:
                raise self._invalid("has a link to nothing")
        elif "linkpath" in pax or b"K" in long:
            raise self._invalid("has the target of a link for what is no link")
        size = self._size(block, pax.get("size"))
        if size and type_ is not MemberType.FILE:
            raise self._invalid(f"has a {type_.value} that claims to have {size} bytes of content")
        if size > limits.LAYER_BYTES:
            raise TarTooLarge(f"a file of {size} bytes; at most {limits.LAYER_BYTES} are read")
        self._left = size + -size % _BLOCK
        return Member(
            named.decode("utf-8", "surrogateescape"),
            type_,
            self._field(block[100:108], "mode") & 0o7777,
            self._owner(block[108:116], pax, "uid"),
            self._owner(block[116:124], pax, "gid"),
            size,
            link.decode("utf-8", "surrogateescape"),
            pax.get(_CAPABILITY),
            self._offset,
        )

    def _name(self, pax: bytes | None, long: bytes | None, short: bytes, what: str) -> bytes:
        if pax is not None and long is not None:
            raise self._invalid(f"tells the {what} of one member in two ways")
        if pax == b"":  # Go keeps the name of the header then; others take the record for it
            raise self._invalid(f"has an empty {what} of a member")
        name = pax if pax is not None else long if long is not None else short
        if len(name) > limits.ENTRY_PATH:
            raise TarTooLarge(f"the {what} of a member has {len(name)} bytes; at most {limits.ENTRY_PATH} are read")
        if b"\0" in name:
            raise self._invalid(f"has a NUL in the {what} of a member")
        return name

    def _size(self, block: bytes, pax: bytes | None = None) -> int:
        size = self._field(block[124:136], "size")
        if pax is None:
            return size
        told = self._decimal(pax, "size")
        if size != told and not (size == 0 and told > _LARGEST_OCTAL):
            raise self._invalid(f"has a member whose size is told as {size} and as {told}")
        return told

    def _owner(self, field: bytes, pax: Mapping[str, bytes], name: str) -> int:
        told = pax.get(name)
        return self._field(field, name) if told is None else self._decimal(told, name)

    def _decimal(self, text: bytes, name: str) -> int:
        if _DECIMAL.fullmatch(text) is None:
            raise self._invalid(f"has a {name} that is no number")
        return int(text)

    def _field(self, field: bytes, name: str) -> int:
        value = _number(field)
        if value is None or value < 0:
            raise self._invalid(f"has a {name} that is no number")
        return value

    def _invalid(self, what: str) -> TarInvalid:
        return TarInvalid(f"the archive {what} (before byte {self._offset})")


def _number(field: bytes) -> int | None:
    """A number in octal digits, or in base 256 as GNU tar writes large ones."""
    if field[0] & 0x80:
        return None if field[0] != 0x80 else int.from_bytes(field[1:], "big")
    match = _OCTAL.fullmatch(field)
    return None if match is None else int(match[1] or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _short_name(block: bytes) -> bytes:
    """The name in a header: POSIX has a prefix of 155 bytes, star one of 131, GNU and V7 have none."""
    name = _text(block[0:100])
    if block[257:263] != b"ustar\0":
        return name
    prefix = _text(block[345:476] if block[508:512] == b"tar\0" else block[345:500])
    return prefix + b"/" + name if prefix else name
