"""Which code of attest this is: the digest of its own installed files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def code_digest() -> str:
    """The files of the package as `dirHash` (in-toto `digest_set.md`): lower-case hex of Go's `dirhash.Hash1`.

    That is the SHA-256 of a line for each file, sorted by name: the SHA-256 of its bytes, two spaces, `attest/...`.
    What Python compiled beside the files does not count. In the folder that holds the package, this is the same:

        find attest -type f -not -path '*/__pycache__/*' | LC_ALL=C sort | xargs sha256sum | sha256sum
    """
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(_files("attest")))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(package: str) -> Iterator[tuple[str, bytes]]:
    folders: list[tuple[str, Traversable]] = [(package, resources.files(package))]
    while folders:
        path, folder = folders.pop()
        for entry in folder.iterdir():
            name = f"{path}/{entry.name}"
            if entry.is_dir():
                if entry.name != "__pycache__":
                    folders.append((name, entry))
            else:
                yield name, entry.read_bytes()
