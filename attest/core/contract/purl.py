"""Package URLs as contracts name them: type, namespace and name as a glob, and perhaps a version.

Source: purl-spec, "Package URL specification" (percent-encoding, the version after an `@`, qualifiers after a `?`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from attest.core.contract.glob import Component, Glob, GlobInvalid, compile_glob
from attest.core.image.packages.installed import python_name

_TYPES: Final = ("deb", "apk", "rpm", "pypi", "npm")
"""The types of packages that facts of an image have."""
_DISTRIBUTED: Final = ("deb", "apk", "rpm")
"""Those of them that have the distribution as a namespace."""


@dataclass(frozen=True, slots=True)
class PurlGlob:
    """A pattern of package URLs. Qualifiers, such as the architecture, are not compared."""

    text: str
    package: Glob
    version: Component | None
    """None is any version."""

    def matches(self, purl: str) -> bool:
        """Whether a package URL is one of these."""
        package, _, version = without_qualifiers(purl).partition("@")
        return self.package.matches(package) and (self.version is None or self.version.matches(version))


def without_qualifiers(purl: str) -> str:
    """A package URL up to its version: what stays the same wherever the package is installed."""
    return purl.partition("?")[0]


def compile_purl_glob(text: str) -> PurlGlob:
    """The pattern that a text is.

    Raises:
        GlobInvalid: it is no pattern, or one that could never match.
    """
    scheme, colon, rest = text.partition(":")
    if scheme != "pkg" or not colon:
        raise GlobInvalid("it does not begin with pkg:; write pkg:TYPE/NAME, as in pkg:pypi/pytest or pkg:deb/*/gcc*")
    if "?" in text or "#" in text:
        raise GlobInvalid("only type, namespace, name and version are compared; leave out what begins with ? or #")
    # npm scopes begin with an @, which a package URL encodes
    rest = "/".join(f"%40{part[1:]}" if part.startswith("@") else part for part in rest.split("/"))
    path, at, version = rest.partition("@")
    kind, slash, name = path.rpartition("/")
    if not slash or not name or "" in kind.split("/"):
        raise GlobInvalid("it names no package; write pkg:TYPE/NAME, as in pkg:npm/npm or pkg:npm/@playwright/*")
    if at and (not version or "/" in version or "**" in version):
        raise GlobInvalid("after the @ stands a version, in which * is any run of characters")
    _check_type(kind.partition("/")[0])
    if kind == "pypi" and python_name(name) != name:
        raise GlobInvalid(f"names of Python projects are lower-case, with single hyphens; write {python_name(name)}")
    if kind in _DISTRIBUTED and name != "**":
        raise GlobInvalid(f"packages of this type have a namespace, the distribution; write pkg:{kind}/**/{name}")
    return PurlGlob(text, compile_glob(f"pkg:{path}"), Component(tuple(version.split("*"))) if at else None)


def _check_type(kind: str) -> None:
    pattern = Component(tuple(kind.split("*")))
    if "**" in kind or not any(pattern.matches(known) for known in _TYPES):
        raise GlobInvalid(f"there are no packages of the type {kind[:80]!r}; there are {', '.join(_TYPES)}")
