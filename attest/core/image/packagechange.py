"""How two lists of packages differ: what is new, what is gone, and what has another version.

Package URLs are compared, as `attest.core.image.packages.installed.package_url` writes them (purl-spec).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class Purl:
    """The parts of a package URL that people know a package by."""

    type: str
    name: str
    """With the npm scope; without the distribution that deb, apk and rpm have in its place."""
    version: str
    architecture: str | None


def parse_purl(text: str) -> Purl:
    """The parts of a package URL with a version.

    Raises:
        ValueError: it is none.
    """
    scheme, colon, rest = text.partition(":")
    rest, _, query = rest.partition("?")
    path, at, version = rest.rpartition("@")
    kind, slash, name = path.partition("/")
    if scheme != "pkg" or not (colon and at and slash and kind and name and version):
        raise ValueError(f"{text!r} is no package URL with a version")
    if kind in ("deb", "apk", "rpm"):
        name = name.rpartition("/")[2]
    qualifiers = dict(pair.partition("=")[::2] for pair in query.split("&"))
    architecture = qualifiers.get("arch")
    if "epoch" in qualifiers:
        version = f"{qualifiers['epoch']}:{version}"
    return Purl(
        type=kind,
        name=unquote(name),
        version=unquote(version),
        architecture=None if architecture is None else unquote(architecture),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersions:
    """Which versions a package had and has; None where it was not there, or is not any more."""

    type: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """One package that is new (`before` is None), gone (`after` is None) or another one than before."""

    type: str
    name: str
    before: str | None
    """Its package URL."""
    after: str | None

    @property
    def unversioned(self) -> str:
        """Its package URL without version and qualifiers, which is the same before and after."""
        return (self.after or self.before or "").partition("?")[0].rpartition("@")[0]

    @property
    def versions(self) -> PackageVersions:
        """The same with versions, for people."""
        return PackageVersions(
            type=self.type,
            name=self.name,
            before=None if self.before is None else parse_purl(self.before).version,
            after=None if self.after is None else parse_purl(self.after).version,
        )


def package_changes(before: Iterable[str], after: Iterable[str]) -> tuple[PackageChange, ...]:
    """How the package URLs differ, sorted by type and name.

    A package is one that changed if exactly one of its name and architecture is gone and exactly one is new; where
    several versions stand beside each other, as Node has them, each is gone or new for itself.
    """
    old, new = frozenset(before), frozenset(after)
    groups: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
    for side, purls in enumerate((old - new, new - old)):
        for text in sorted(purls):
            purl = parse_purl(text)
            groups.setdefault((purl.type, purl.name, purl.architecture or ""), ([], []))[side].append(text)
    found: list[PackageChange] = []
    for (kind, name, _), (gone, come) in sorted(groups.items()):
        if len(gone) == len(come) == 1:
            found.append(PackageChange(type=kind, name=name, before=gone[0], after=come[0]))
            continue
        found.extend(PackageChange(type=kind, name=name, before=purl, after=None) for purl in gone)
        found.extend(PackageChange(type=kind, name=name, before=None, after=purl) for purl in come)
    return tuple(found)
