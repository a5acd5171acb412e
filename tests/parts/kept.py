"""What takes minutes to make and is kept from run to run, beside what `.ci/parts` builds."""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.parts.find import cache_root


def pin(*made_of: bytes | str | Path) -> str:
    """16 hex digits over what something is made of: texts, and files and folders with their content."""
    total = hashlib.sha256()
    for part in made_of:
        for content in _contents(part):
            total.update(hashlib.sha256(content).digest())
    return total.hexdigest()[:16]


def keep(name: str, make: Callable[[Path], Path]) -> Path:
    """The folder `name` of the cache, for reading only. The first caller on a machine makes it, the others wait.

    `make` gets an empty folder to work in and returns what is kept of it; it appears whole or not at all. The name has
    to say what the folder is made of (`pin`), for it is never made again.
    """
    made = cache_root() / name
    made.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{made}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(prefix=f".building-{name}.", dir=made.parent) as building:
                make(Path(building)).rename(made)
    return made


def _contents(part: bytes | str | Path) -> Iterable[bytes]:
    if isinstance(part, str):
        return (part.encode(),)
    if isinstance(part, bytes):
        return (part,)
    if part.is_file():
        return (part.read_bytes(),)
    files = sorted(path for path in part.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return (content for path in files for content in (str(path.relative_to(part)).encode(), path.read_bytes()))
