"""Which packages an image has and had: from the databases of all its layers, in the order in which they replaced one
another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from attest.core.image.facts import Package, Unread, View
from attest.core.image.packages import places
from attest.core.image.packages.apk import parse_apk
from attest.core.image.packages.dpkg import parse_dpkg
from attest.core.image.packages.installed import Distribution, Installed, PackagesInvalid, package_url
from attest.core.image.packages.node import parse_node
from attest.core.image.packages.python import parse_python
from attest.core.image.packages.rpm import parse_headers


@dataclass(frozen=True, slots=True)
class Database:
    """What a file says about packages, or why nobody can tell."""

    packages: tuple[Installed, ...]
    trouble: str | None = None

    @staticmethod
    def read(kind: places.Database, content: bytes, read_rpm: Callable[[bytes], Sequence[bytes]]) -> Database:
        """What a file of this kind says."""
        try:
            return Database(tuple(_parsed(kind, content, read_rpm)))
        except PackagesInvalid as error:
            return Database.unreadable(str(error))

    @staticmethod
    def unreadable(reason: str) -> Database:
        """A file that says nothing that could be understood."""
        return Database((), reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A database at its path: from which layer on, and which one hid it."""

    path: str
    database: Database
    layer: int
    hidden_by: int | None


def package_history(
    databases: Iterable[Kept], distribution: Distribution
) -> tuple[tuple[Package, ...], tuple[Unread, ...]]:
    """Every package, effective or shadowed, and the databases that could not be read.

    A package that a later version of its database names too came with the first of them. One that is back after it
    was gone, or in another version, is another one.
    """
    times: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    by_key: dict[tuple[str, str], Installed] = {}
    unread = []
    for kept in databases:
        if kept.database.trouble is not None:
            unread.append(
                Unread(
                    what="packages",
                    path=kept.path,
                    layer=kept.layer,
                    reason=kept.database.trouble,
                    view=View.EFFECTIVE if kept.hidden_by is None else View.SHADOWED,
                )
            )
        for package in kept.database.packages:
            key = (package_url(package, distribution), kept.path)
            by_key[key] = package
            times.setdefault(key, []).append((kept.layer, kept.hidden_by))
    found = [
        _package(by_key[key], key, start, end)
        for key, spans in times.items()
        for start, end in _relevant(_joined(spans))
    ]
    return (
        tuple(sorted(found, key=lambda package: (package.purl, package.path, package.layer))),
        tuple(sorted(unread, key=lambda each: (each.path, each.layer))),
    )


def _joined(spans: Iterable[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """Spans of layers, with those that follow one another without a gap made one."""
    joined: list[tuple[int, int | None]] = []
    for start, end in sorted(set(spans), key=lambda span: (span[0], span[1] is None, span[1] or 0)):
        if joined and joined[-1][1] is not None and joined[-1][1] >= start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _relevant(spans: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """A package that is there now is not told as one that was removed before as well."""
    return spans[-1:] if spans[-1][1] is None else spans


def _package(package: Installed, key: tuple[str, str], layer: int, hidden_by: int | None) -> Package:
    return Package(
        purl=key[0],
        type=package.type,
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        source=package.source,
        path=key[1],
        layer=layer,
        view=View.EFFECTIVE if hidden_by is None else View.SHADOWED,
        hidden_by=hidden_by,
    )


def _parsed(kind: places.Database, content: bytes, read_rpm: Callable[[bytes], Sequence[bytes]]) -> list[Installed]:
    match kind:
        case places.Database.DPKG:
            return parse_dpkg(content)
        case places.Database.APK:
            return parse_apk(content)
        case places.Database.RPM_SQLITE:
            return parse_headers(read_rpm(content))
        case places.Database.RPM_OTHER:
            raise PackagesInvalid("an RPM database of the kind ndb or Berkeley DB, of which only sqlite is read here")
        case places.Database.PYTHON:
            return parse_python(content)
        case places.Database.NODE:
            return parse_node(content)
        case _:
            assert_never(kind)
