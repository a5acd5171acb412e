"""Debian packages: /var/lib/dpkg/status, and the files of /var/lib/dpkg/status.d that images without dpkg have.

Source: deb-control(5), dpkg-query(1), Debian Policy 5.1 "Syntax of control files".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attest.core import limits
from attest.core.image.packages.installed import Installed, PackagesInvalid

_WANTED = frozenset({"package", "status", "version", "architecture", "source"})


def parse_dpkg(content: bytes) -> list[Installed]:
    """The packages that are installed; what is only configured still, or half installed, is not.

    Raises:
        PackagesInvalid: it is no such database.
    """
    found: list[Installed] = []
    for stanza in _stanzas(content):
        name, version = stanza.get("package"), stanza.get("version")
        if not name:
            raise PackagesInvalid("a paragraph names no package")
        status = stanza.get("status", "install ok installed").split()
        if len(status) != 3:
            raise PackagesInvalid(f"the package {name!r} has a status that is not three words")
        if status[2] != "installed" and not status[2].startswith(("unpacked", "half-configured", "triggers-")):
            continue
        if not version:
            raise PackagesInvalid(f"the package {name!r} has no version")
        if len(found) >= limits.PACKAGES:
            raise PackagesInvalid(f"it names more than {limits.PACKAGES} packages")
        source = stanza.get("source", name).partition(" ")[0]
        found.append(
            Installed(
                type="deb", name=name, version=version, architecture=stanza.get("architecture"), source=source or None
            )
        )
    return found


def _stanzas(content: bytes) -> Iterator[Mapping[str, str]]:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PackagesInvalid(f"not UTF-8 at byte {error.start}") from error
    fields: dict[str, str] = {}
    for line in _lines(content):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
            continue
        if line[0] in " \t":  # more of the field before
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise PackagesInvalid("a line is no field")
        key = key.lower()
        if key in fields:
            raise PackagesInvalid(f"a paragraph has the field {key!r} twice")
        fields[key] = value.strip() if key in _WANTED else ""
    if fields:
        yield fields


def _lines(content: bytes) -> Iterator[str]:
    """One line after the other: all together they take many times the memory."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        yield content[start:end].decode("utf-8")
        start = end + 1
