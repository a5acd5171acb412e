"""Where a ledger is: `sqlite:///FILE`, or `postgresql://...` as libpq writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from attest.core.strictjson import shown
from attest.errors import UsageError

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql", "postgres")
_HINT: Final = "write sqlite:///FILE (four slashes for an absolute path), or postgresql://HOST/DATABASE"


class Engine(Enum):
    """The kind of database."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a ledger is. Printed, it has no password."""

    engine: Engine
    target: str = field(repr=False)
    """The path of the file, or the whole URL with the password that it may have."""
    name: str
    """For people."""

    def __str__(self) -> str:
        return self.name


def parse_address(text: str, *, folder: Path | None = None) -> Address:
    """The address that a URL is. A relative path of a file is looked up in `folder`, else where the command runs.

    Raises:
        UsageError: it is no URL of a ledger.
    """
    if text.startswith(_SQLITE):
        path = text.removeprefix(_SQLITE)
        if not path or "\0" in path or "?" in path or path.startswith(":"):
            raise UsageError(f"{shown(text)} names no file for a ledger", hint=_HINT)
        found = Path(path) if folder is None else folder / path
        return Address(engine=Engine.SQLITE, target=str(found), name=f"{_SQLITE}{found}")
    try:
        url = urlsplit(text)
        named = url.scheme in _POSTGRES and (url.port is None or url.port > 0)
    except ValueError:
        named = False
    if not named:
        # The text may hold a password, so it is not repeated.
        raise UsageError("this is no URL of a ledger", hint=_HINT)
    if not url.path.strip("/"):
        raise UsageError("the URL of the ledger names no database", hint=_HINT)
    whole = f"postgresql:{text.partition(':')[2]}"
    return Address(engine=Engine.POSTGRESQL, target=whole, name=_public(url))


def _public(url: SplitResult) -> str:
    """The URL without password and without parameters, which may hold one."""
    user, at, place = url.netloc.rpartition("@")
    return f"postgresql://{user.partition(':')[0]}{at}{place}{url.path}"
