"""Materials and products, hashed by in-toto's `runlib`, as every other tool that writes Links hashes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attest.core import limits
from attest.core.reference import Digest
from attest.errors import DocumentInvalid

_SCHEME: Final = "file:"
"""Said always, so that no path is taken for one of in-toto's other kinds of artifacts."""
_LEFT_OUT: Final = (".git",)
"""As in-toto itself leaves it out: it changes with every look at it, and the commit names what is in it."""


def record_artifacts(paths: Sequence[str]) -> dict[str, Digest]:
    """The SHA-256 of each file, and of every file below each folder except `.git`, by its path as it was named.

    Links to files are followed, links to folders are not.

    Raises:
        DocumentInvalid: a path is not there or cannot be read, a name is not UTF-8, or there are too many files.
    """
    if not paths:
        return {}
    for path in paths:
        if not Path(path).exists():
            raise DocumentInvalid("not there", file=path)
        _check(path)
    from in_toto.runlib import record_artifacts_as_dict

    found: dict[str, Digest] = {}
    try:
        recorded = record_artifacts_as_dict([_SCHEME + path for path in paths], exclude_patterns=list(_LEFT_OUT))
    except OSError as error:
        raise DocumentInvalid(f"cannot be read: {error.strerror or error}", file=str(error.filename)) from error
    for name, hashes in recorded.items():
        found[str(name).removeprefix(_SCHEME)] = Digest("sha256:" + str(hashes["sha256"]))
    return found


def _check(path: str) -> None:
    """Refuse a folder with more files than a Link can name, or with names that JSON cannot say, before any is read."""
    _check_name(path)
    count = 0
    for folder, below, names in os.walk(path):
        below[:] = [one for one in below if one not in _LEFT_OUT]
        count += len(names)
        if count > limits.ARTIFACTS:
            raise DocumentInvalid(
                f"more than {limits.ARTIFACTS} files", file=path, hint="name the folders that matter, not all of them"
            )
        for name in (*below, *names):
            _check_name(f"{folder}/{name}")


def _check_name(path: str) -> None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise DocumentInvalid("its name is not UTF-8, so nothing can be signed about it", file=shown) from error
