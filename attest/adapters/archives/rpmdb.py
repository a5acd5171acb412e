"""`attest.ports.ReadRpmDatabase`: rpmdb.sqlite, opened in memory and never on the disk.

Source: rpm 4.18, lib/backend/sqlite.c: a table `Packages` with a header in the column `blob` of each row.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Final

from attest.core import limits
from attest.core.image.packages.installed import PackagesInvalid

_MAGIC: Final = b"SQLite format 3\0"
_MOST: Final = limits.PACKAGES
_STEPS: Final = 50_000
"""Ticks of a thousand instructions that the database may take."""


def read_rpm_database(content: bytes) -> Sequence[bytes]:
    """The headers of all packages.

    Raises:
        PackagesInvalid: it is no such database.
    """
    if not content.startswith(_MAGIC) or len(content) < 100:
        raise PackagesInvalid("it is no SQLite database")
    # A database in write-ahead mode cannot be opened in memory; bytes 18 and 19 say which mode it is in
    # (SQLite's "Database File Format"). What is in the log beside it is missing, and the caller asks for that.
    image = bytearray(content)
    image[18:20] = b"\x01\x01"
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        try:
            database.deserialize(bytes(image))
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA query_only = ON")
            ticks = iter(range(_STEPS))
            database.set_progress_handler(lambda: next(ticks, None) is None, 1000)
            kind = database.execute("SELECT type FROM sqlite_master WHERE name = 'Packages'").fetchone()
            if kind != ("table",):
                raise PackagesInvalid("it has no table of packages")
            rows = database.execute("SELECT blob FROM Packages ORDER BY hnum LIMIT ?", (_MOST + 1,)).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise PackagesInvalid("the SQLite database is damaged") from error
    if len(rows) > _MOST:
        raise PackagesInvalid(f"it has more than {_MOST} packages")
    headers = [row[0] for row in rows]
    if not all(isinstance(header, bytes) for header in headers):
        raise PackagesInvalid("a package has no header")
    return headers
