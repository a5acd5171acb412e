"""RPM packages: the headers of which an rpm database is made. An adapter takes them out of it.

Source: rpm's documentation, "RPM Package format", "Header structure" and "Tags".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from attest.core.image.packages.installed import Installed, PackagesInvalid

_NAME: Final = 1000
_VERSION: Final = 1001
_RELEASE: Final = 1002
_EPOCH: Final = 1003
_ARCHITECTURE: Final = 1022
_SOURCE: Final = 1044
_INT32: Final = 4
_STRING: Final = 6
_I18N: Final = 9
_ENTRY: Final = struct.Struct(">IIII")
_ENTRIES: Final = 10_000


def parse_headers(headers: Iterable[bytes]) -> list[Installed]:
    """The packages of these headers, but for the keys that rpm keeps among them under the name gpg-pubkey.

    Raises:
        PackagesInvalid: one is no header, or names no package.
    """
    return [package for header in headers if (package := _package(header)).name != "gpg-pubkey"]


def _package(header: bytes) -> Installed:
    tags = _tags(header)
    name, version, release = (tags.get(tag) for tag in (_NAME, _VERSION, _RELEASE))
    if not isinstance(name, str) or not isinstance(version, str) or not isinstance(release, str):
        raise PackagesInvalid("a header names no package, version and release")
    epoch, architecture, source = tags.get(_EPOCH), tags.get(_ARCHITECTURE), tags.get(_SOURCE)
    full = f"{version}-{release}"
    return Installed(
        type="rpm",
        name=name,
        version=f"{epoch}:{full}" if isinstance(epoch, int) else full,
        architecture=architecture if isinstance(architecture, str) else None,
        source=_source_name(source) if isinstance(source, str) else None,
        epoch=epoch if isinstance(epoch, int) else None,
    )


def _source_name(file: str) -> str | None:
    """The name in `NAME-VERSION-RELEASE.src.rpm`."""
    return file.rsplit("-", 2)[0] if file.count("-") >= 2 else None


def _tags(header: bytes) -> dict[int, str | int]:
    if len(header) < 8:
        raise PackagesInvalid("a header is too short")
    count, size = struct.unpack_from(">II", header)
    start = 8 + 16 * count
    if not 0 < count <= _ENTRIES or start + size != len(header):
        raise PackagesInvalid("a header has another size than it says")
    found: dict[int, str | int] = {}
    for number in range(count):
        tag, kind, offset, _ = _ENTRY.unpack_from(header, 8 + 16 * number)
        if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE, _SOURCE):
            continue
        at = start + offset
        if kind in (_STRING, _I18N):
            end = header.find(b"\0", at)
            if offset >= size or end < 0:
                raise PackagesInvalid("a text of a header has no end")
            try:
                found[tag] = header[at:end].decode("utf-8")
            except UnicodeDecodeError as error:
                raise PackagesInvalid("a text of a header is not UTF-8") from error
        elif kind == _INT32 and at + 4 <= len(header):
            (found[tag],) = struct.unpack_from(">I", header, at)
        else:
            raise PackagesInvalid("a header has a tag of a type that is not expected")
    return found
