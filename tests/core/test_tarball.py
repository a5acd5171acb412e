"""Archives are read member by member, and what two readers may take for two things is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.image.tarball import Member, MemberType, TarInvalid, TarReader, TarTooLarge
from tests.layerstacks import File, folder, hard_link, symlink, tar

END = bytes(1024)


def members(archive: bytes) -> list[Member]:
    """Every member of an archive."""
    stream = io.BytesIO(archive)
    reader = TarReader(stream.read, lambda size: len(stream.read(size)))
    found = []
    while (member := reader.next()) is not None:
        found.append(member)
    return found


def header(
    name: bytes = b"a",
    *,
    kind: bytes = b"0",
    size: bytes = b"00000000000\0",
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    tail: bytes = b"",
    checksum: Callable[[bytes], int] = sum,
) -> bytes:
    """One header block, field by field."""
    block = bytearray(512)
    for at, value in ((0, name), (100, mode), (108, uid), (116, b"0000000\0"), (124, size), (156, kind), (157, link)):
        block[at : at + len(value)] = value
    block[257 : 257 + len(magic)] = magic
    block[345 : 345 + len(prefix)] = prefix
    if tail:
        block[508:512] = tail
    block[148:156] = b" " * 8
    block[148:156] = f"{checksum(bytes(block)):06o}\0 ".encode()
    return bytes(block)


def octal(size: int) -> bytes:
    """A size as a header has it."""
    return f"{size:011o}\0".encode()


def extended(*records: bytes, kind: bytes = b"x") -> bytes:
    """An extended header of these records."""
    content = b"".join(records)
    return header(b"pax", kind=kind, size=octal(len(content))) + content + bytes(-len(content) % 512)


def record(key: str, value: bytes) -> bytes:
    """One record of an extended header."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def long(kind: bytes, text: bytes) -> bytes:
    """GNU tar's header for a long name (L) or link (K)."""
    content = text + b"\0"
    return header(b"././@LongLink", kind=kind, size=octal(len(content))) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_what_tarfile_writes_is_read(format: int) -> None:  # noqa: A002 - tarfile's own word
    """Every kind of member is read as it was written, in each format of tar, with a name of 150 bytes."""
    name = "/".join(["d" * 49] * 3)
    files = [
        folder("d/", 0o1777),
        File(name, b"content", mode=0o4755, uid=1000, gid=7),
        symlink("s", "d/x"),
        hard_link("h", name[:90]),
        File("c", type=tarfile.CHRTYPE),
        File("b", type=tarfile.BLKTYPE),
        File("f", type=tarfile.FIFOTYPE),
    ]
    found = members(tar(files, format=format))
    assert [(member.name, member.type, member.link) for member in found] == [
        ("d/", MemberType.DIRECTORY, ""),
        (name, MemberType.FILE, ""),
        ("s", MemberType.SYMLINK, "d/x"),
        ("h", MemberType.HARD_LINK, name[:90]),
        ("c", MemberType.CHARACTER_DEVICE, ""),
        ("b", MemberType.BLOCK_DEVICE, ""),
        ("f", MemberType.FIFO, ""),
    ]
    assert (found[1].mode, found[1].uid, found[1].gid, found[1].size) == (0o4755, 1000, 7, 7)


def test_content_is_read_and_skipped() -> None:
    """The content of one member is read whole while those around it are skipped, and offsets say where each lies."""
    archive = tar([File("a", b"x" * 600), File("b", b"yes"), File("c", b"z")])
    stream = io.BytesIO(archive)
    reader = TarReader(stream.read, lambda size: len(stream.read(size)))
    first, second = reader.next(), reader.next()
    assert first is not None
    assert second is not None
    assert reader.content(second) == b"yes"
    assert archive[first.offset : first.offset + 600] == b"x" * 600
    third = reader.next()
    assert third is not None
    assert archive[third.offset :].startswith(b"z")


def test_names_of_every_form() -> None:
    """POSIX prefixes, those of star, GNU's long names, names in extended headers, and bytes that are no UTF-8."""
    name = b"x" * 300
    found = members(
        header(b"a", prefix=b"p")
        + header(b"b", prefix=b"q" * 131, tail=b"tar\0")
        + header(b"c", magic=b"ustar  \0", prefix=b"ignored")
        + long(b"L", name)
        + long(b"K", b"t" * 200)
        + header(b"cut", kind=b"2", link=b"cut")
        + extended(record("path", b"caf\xe9"), record("comment", b"no matter"))
        + header(b"cut")
        + extended(record("linkpath", b"to"))
        + header(b"l", kind=b"1", link=b"cut")
        + header(b"v7/", kind=b"\0", magic=b"")
    )
    assert [(member.name, member.link) for member in found] == [
        ("p/a", ""),
        ("q" * 131 + "/b", ""),
        ("c", ""),
        (name.decode(), "t" * 200),
        ("caf\udce9", ""),
        ("l", "to"),
        ("v7/", ""),
    ]
    assert found[-1].type is MemberType.DIRECTORY


def test_numbers_of_every_form() -> None:
    """Sizes in octal, in base 256 and in extended headers; owners too; capabilities; signed checksums."""
    capability = struct.pack("<5I", 0x02000001, 1, 0, 0, 0)
    found = members(
        header(size=b"\x80" + bytes(10) + b"\x03")
        + b"abc".ljust(512, b"\0")
        + extended(record("size", b"3"), record("uid", b"70000"), record("gid", b"8"))
        + header(size=octal(3))
        + b"abc".ljust(512, b"\0")
        + extended(record("SCHILY.xattr.security.capability", capability))
        + header(mode=b" 755 \0\0\0")
        + header(b"\xff", checksum=lambda block: sum(byte - 256 * (byte > 127) for byte in block))
        + END
    )
    assert [member.size for member in found] == [3, 3, 0, 0]
    assert (found[1].uid, found[1].gid) == (70000, 8)
    assert (found[2].capability, found[2].mode) == (capability, 0o755)


def test_a_size_too_large_for_octal_digits() -> None:
    """A size of eight gigabytes stands in the extended header alone, as programs write it."""
    with pytest.raises(TarInvalid, match="ends within a member"):
        members(extended(record("size", str(8**11).encode())) + header())


def test_an_end_is_not_asked_for() -> None:
    """An archive may end without its blocks of zeros, and an empty one has no members."""
    assert [member.name for member in members(header())] == ["a"]
    assert members(b"") == []
    assert members(END) == []
    assert members(header() + bytes(20 * 512)) != []


HOSTILE = {
    "cut in a header": (header()[:100], "within a header"),
    "a wrong checksum": (b"b" + header()[1:], "checksum"),
    "a checksum of letters": (header()[:148] + b"zzzzzz\0 " + header()[156:], "checksum"),
    "content after the end": (header() + END + header(b"hidden"), "goes on after its end"),
    "cut in a member": (header(size=octal(600)) + b"x" * 512, "within a member"),
    "cut in an extended header": (header(kind=b"x", size=octal(30)) + b"30 path=", "within a member"),
    "an extended header alone": (extended(record("path", b"b")) + END, "after an extended header"),
    "a long name alone": (long(b"L", b"b") + END, "after an extended header"),
    "two extended headers": (extended(record("path", b"b")) * 2 + header(), "two extended headers"),
    "two long names": (long(b"L", b"b") * 2 + header(), "two extended headers"),
    "names in two ways": (long(b"L", b"b") + extended(record("path", b"c")) + header(), "two ways"),
    "sizes that differ": (extended(record("size", b"5")) + header(size=octal(3)), "told as 3 and as 5"),
    "a size that hides content": (extended(record("size", b"0")) + header(size=octal(512)), "told as 512 and as 0"),
    "a size from nothing": (extended(record("size", b"512")) + header(), "told as 0 and as 512"),
    "a size in words": (extended(record("size", b"1_0")) + header(), "size that is no number"),
    "a negative size": (header(size=b"\xff" * 12), "size that is no number"),
    "an owner of letters": (header(uid=b"000x000\0"), "uid that is no number"),
    "a size told twice": (extended(record("size", b"0"), record("size", b"0")) + header(), "size of one member twice"),
    "a record without end": (extended(b"20 path=a\n") + header(), "no list of records"),
    "a record without length": (extended(b"path=a\n") + header(), "no list of records"),
    "a record too short": (extended(b"3 a=b\n") + header(), "no list of records"),
    "a record without value": (extended(b"5 ab\n") + header(), "no KEY=VALUE"),
    "an empty path": (extended(record("path", b"")) + header(), "empty name of a member"),
    "an empty target": (extended(record("linkpath", b"")) + header(kind=b"2", link=b"a"), "empty target of a link"),
    "a record without key": (extended(b"5 =b\n") + header(), "no KEY=VALUE"),
    "another character set": (extended(record("hdrcharset", b"KOI8")) + header(), "character set"),
    "a sparse member": (header(kind=b"S"), "sparse"),
    "a sparse member of pax": (extended(record("GNU.sparse.major", b"1")) + header(), "sparse"),
    "a member of no type": (header(kind=b"V"), "type b'V'"),
    "a file named as a folder": (header(b"a/"), "ends in a slash"),
    "a link to nothing": (header(kind=b"2"), "link to nothing"),
    "a target for a file": (extended(record("linkpath", b"b")) + header(), "no link"),
    "a long target for a file": (long(b"K", b"b") + header(), "no link"),
    "a link with content": (header(kind=b"1", link=b"b", size=octal(5)), "hard-link that claims to have 5 bytes"),
    "a device with content": (header(kind=b"3", size=octal(5)), "device that claims"),
    "a folder with content": (header(kind=b"5", size=octal(5)), "directory that claims"),
    "a NUL in a name": (extended(record("path", b"a\0b")) + header(), "NUL"),
    "a global name": (extended(record("path", b"b"), kind=b"g") + header(), "global header that sets path"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str) -> None:
    """Each way of breaking an archive, or of showing two readers two things, is refused for what it is."""
    archive, reason = HOSTILE[name]
    with pytest.raises(TarInvalid, match=reason):
        members(archive)


def test_a_harmless_global_header_is_passed() -> None:
    """The comment that `git archive` writes for a whole archive changes nothing."""
    assert [member.name for member in members(extended(record("comment", b"c"), kind=b"g") + header())] == ["a"]


LARGE = {
    "a name": long(b"L", b"x" * limits.ENTRY_PATH) + header(),
    "a name of pax": extended(record("path", b"x" * (limits.ENTRY_PATH + 1))) + header(),
    "a long name": header(kind=b"L", size=octal(limits.ENTRY_PATH + 2)),
    "an extended header": header(kind=b"x", size=octal(limits.PAX_HEADER + 1)),
    "a file": header(size=b"\x80" + bytes(3) + struct.pack(">Q", limits.LAYER_BYTES + 1)),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_before_it_is_read(name: str) -> None:
    """Names, headers and files beyond their limits are refused by what they claim; a name at its limit is read."""
    if name == "a name":
        assert len(members(LARGE[name])[0].name) == limits.ENTRY_PATH
        return
    with pytest.raises(TarTooLarge):
        members(LARGE[name])


def test_endless_extended_headers_are_refused() -> None:
    """Extended headers that are small each are refused when all of them together are too much."""
    one = extended(record("comment", b"x" * (limits.PAX_HEADER - 100))) + header()
    served = bytearray()

    def read(size: int) -> bytes:
        nonlocal served
        while len(served) < size:
            served += one
        taken, served = bytes(served[:size]), served[size:]
        return taken

    reader = TarReader(read, lambda size: len(read(size)))
    for _ in range(limits.PAX_TOTAL // limits.PAX_HEADER):
        assert reader.next() is not None
    with pytest.raises(TarTooLarge, match="extended headers"):
        reader.next()


@given(st.binary(max_size=1600))
def test_any_bytes_end_in_members_or_a_refusal(content: bytes) -> None:
    """Whatever the bytes are, reading ends, and in nothing but members or TarInvalid."""
    with contextlib.suppress(TarInvalid):
        members(content)


@given(st.integers(0, 2047), st.integers(0, 255))
def test_a_changed_byte_is_noticed_or_changes_content_alone(at: int, value: int) -> None:
    """A byte that is changed in a header never goes unseen; one in content or padding is no matter here."""
    archive = tar([File("a", b"x" * 100), File("b", b"y")], format=tarfile.USTAR_FORMAT)
    changed = archive[:at] + bytes([value]) + archive[at + 1 :]
    in_header = at % 1024 < 512
    try:
        same = members(changed) == members(archive)
    except TarInvalid:
        same = False
    if changed == archive:
        assert same
    elif in_header and not 148 <= at % 1024 < 156:
        assert not same
