"""Where package managers keep what they know, by path, and how each of these files is read."""

from __future__ import annotations

import enum
import re
from typing import Final

from attest.core import limits


class Database(enum.Enum):
    """What a file that names installed packages is."""

    DPKG = "dpkg"
    APK = "apk"
    RPM_SQLITE = "rpm-sqlite"
    RPM_OTHER = "rpm-other"
    """Of the kind ndb, as SUSE has it, or Berkeley DB, as old distributions do. Nobody reads it here."""
    PYTHON = "python"
    NODE = "node"


_FIXED: Final = {
    "var/lib/dpkg/status": Database.DPKG,
    "lib/apk/db/installed": Database.APK,
    "usr/lib/apk/db/installed": Database.APK,
    **{
        f"{folder}/{name}": database
        for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
        for name, database in (
            ("rpmdb.sqlite", Database.RPM_SQLITE),
            ("Packages.db", Database.RPM_OTHER),
            ("Packages", Database.RPM_OTHER),
        )
    },
}
FOLDERS: Final = ("var/lib/dpkg/status.d",)
"""Where every file is a database."""
FILES: Final = tuple(_FIXED)
"""Where one file is a database, whatever else there is."""
_STATUS_D: Final = re.compile(r"var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)")
_PYTHON: Final = re.compile(r"(?:.*/)?([^/]+\.dist-info/METADATA|[^/]+\.egg-info(?:/PKG-INFO)?)")
_VENDORED: Final = re.compile(r"(?:^|/)(?:site|dist)-packages/(?:.*/)?[^/]+/[^/]+\.(?:dist|egg)-info(?:$|/)")
_NODE: Final = re.compile(
    r"(?:(?!node_modules/)[^/]+/)*(?:node_modules/(?:\.pnpm/[^/]+/node_modules/)?(?:@[^/]+/)?(?!\.)[^/@]+/)+package\.json"
)


def database_at(path: str) -> Database | None:
    """What the file at a path, without a leading slash, says about packages; None for any other file.

    A Python distribution inside of another one's folder is that one's own affair, as pip has it; a folder in
    node_modules is a package only if it stands where Node looks for one.
    """
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    if path.endswith("package.json"):
        return Database.NODE if _NODE.fullmatch(path) else None
    if path.startswith("var/lib/dpkg/status.d/"):
        return Database.DPKG if _STATUS_D.fullmatch(path) else None
    if path.endswith((".dist-info/METADATA", ".egg-info", ".egg-info/PKG-INFO")):
        return Database.PYTHON if _PYTHON.fullmatch(path) and not _VENDORED.search(path) else None
    return None


def size_limit(database: Database) -> int:
    """How many bytes of such a file are read at most."""
    return limits.PACKAGE_FILE if database in (Database.PYTHON, Database.NODE) else limits.PACKAGE_DATABASE
