"""The highest serial seen of each policy, in a file: `verify --state FILE`."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from attest.adapters.files import read_file, write_file
from attest.core import limits
from attest.core.evaluate import Remembered
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import DocumentInvalid, UsageError

_SCHEMA: Final = "attest.state/v1"


@dataclass(frozen=True, slots=True)
class StateFile:
    """Remembers policies by name. A file that is not there is an empty memory; one that is damaged is an error."""

    path: str

    def observe(self, name: str, seen: Remembered) -> Remembered | None:
        """What was remembered of a policy of this name before; `seen` is kept from now on if its serial is higher.

        One step under a lock: of two commands that run at once, one sees the other. Other policies stay as they are.

        Raises:
            DocumentInvalid: the file is there and is no state file.
            UsageError: it cannot be written.
        """
        with _locked(self.path):
            known = _read(self.path) if _is_there(self.path) else {}
            before = known.get(name)
            if before is None or seen.serial > before.serial:
                known[name] = seen
                policies = {key: {"serial": entry.serial, "digest": entry.digest} for key, entry in known.items()}
                document = {"schema": _SCHEMA, "policies": policies}
                write_file(self.path, json.dumps(document, indent=2, sort_keys=True).encode("utf-8") + b"\n")
            return before


def _is_there(path: str) -> bool:
    """Whether there is a file: what cannot be looked at is an error, and never an empty memory."""
    try:
        Path(path).stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DocumentInvalid(f"cannot be read: {error.strerror}", file=path) from error
    return True


def _read(path: str) -> dict[str, Remembered]:
    try:
        document = loads(read_file(path, limit=limits.DOCUMENT))
    except JsonInvalid as error:
        raise DocumentInvalid(f"no state file: {error}", file=path) from error
    policies = document.get("policies") if isinstance(document, dict) else None
    if not isinstance(policies, dict) or document.get("schema") != _SCHEMA:
        raise DocumentInvalid(
            f"no state file of schema {_SCHEMA}", file=path, hint="restore it, or name a new file to start anew"
        )
    return {name: _entry(path, name, entry) for name, entry in policies.items()}


def _entry(path: str, name: str, entry: Any) -> Remembered:
    serial, digest = (entry.get("serial"), entry.get("digest")) if isinstance(entry, dict) else (None, None)
    if type(serial) is not int or serial < 1 or not isinstance(digest, str) or not is_digest(digest):
        raise DocumentInvalid(f"the entry of {name!r} names no serial and digest", file=path)
    return Remembered(serial=serial, digest=Digest(digest))


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """One writer at a time, by a lock on the folder: the file itself is replaced."""
    try:
        folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
