"""What a package is called: one value for all package managers, and its package URL.

Source: purl-spec, "Package URL specification" and the types deb, apk, rpm, pypi and npm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

_OS_RELEASE = re.compile(r"""([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9._+:/-]*))""")
_DASHES = re.compile(r"[-_.]+")


class PackagesInvalid(ValueError):
    """What should say which packages are installed cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A package as its manager knows it."""

    type: str
    """The purl type."""
    name: str
    version: str
    """As the package manager shows it, with the epoch and release that it may have."""
    architecture: str | None = None
    source: str | None = None
    """The source package."""
    epoch: int | None = None
    """Of an RPM that has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Which distribution an image is, from os-release(5)."""

    id: str | None = None
    version: str | None = None


def parse_os_release(content: bytes) -> Distribution:
    """The distribution that /etc/os-release names; what it does not name is None."""
    found: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        match = _OS_RELEASE.fullmatch(line.strip())
        if match is not None:
            found[match[1]] = match[2] or match[3] or match[4] or ""
    return Distribution(id=found.get("ID") or None, version=found.get("VERSION_ID") or None)


def package_url(package: Installed, distribution: Distribution) -> str:
    """The package URL, with the qualifiers in the order of their names."""
    namespace, name, version = "", package.name, package.version
    qualifiers: dict[str, str] = {}
    match package.type:
        case "deb" | "apk" | "rpm":
            default = {"deb": "debian", "apk": "alpine", "rpm": ""}[package.type]
            namespace = (distribution.id or default).lower()
            if package.architecture is not None:
                qualifiers["arch"] = package.architecture
            if distribution.id is not None and distribution.version is not None:
                qualifiers["distro"] = f"{distribution.id}-{distribution.version}"
            if package.epoch is not None:
                qualifiers["epoch"] = str(package.epoch)
                version = version.partition(":")[2]
        case "pypi":
            name = python_name(name)
        case "npm":
            scope, slash, rest = name.rpartition("/")
            namespace, name = (scope, rest) if slash else ("", name)
    path = "/".join(quote(part, safe="") for part in (namespace, name) if part)
    query = "&".join(f"{key}={quote(value, safe=':')}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{package.type}/{path}@{quote(version, safe=':')}" + (f"?{query}" if query else "")


def python_name(name: str) -> str:
    """A Python project's name in the one form that all its spellings share (PEP 503)."""
    return _DASHES.sub("-", name).lower()
