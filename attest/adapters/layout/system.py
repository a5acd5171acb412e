"""What the operating system says about the files of an image layout, in our own exceptions."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from attest.errors import AccessDenied, NotFound, StoreError, StoreMisbehaved


@contextlib.contextmanager
def no_file_at(path: str) -> Iterator[None]:
    """Say what stands where a layout, or a folder above it, would be."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        for place in (Path(path), *Path(path).parents):
            if os.path.lexists(place) and not place.is_dir():
                kind = "a file" if place.is_file() else "no folder"
                hint = "name a folder: oci:PATH takes no archive"
                raise StoreMisbehaved(f"{place} is {kind}, and no OCI image layout", hint=hint) from error
        raise


@contextlib.contextmanager
def errors_of(place: str) -> Iterator[None]:
    """What the operating system says about `place`, in our own exceptions."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{place} does not exist") from error
    except PermissionError as error:
        raise AccessDenied(f"{place}: {error.strerror}") from error
    except OSError as error:
        match error.errno:
            case errno.EROFS:
                raise AccessDenied(f"{place}: {error.strerror}") from error
            case errno.ELOOP:
                raise StoreMisbehaved(f"{place} is a symbolic link, and links are not followed here") from error
            case errno.ENOTDIR:
                raise StoreMisbehaved(f"{place} is no directory of its own") from error
            case _:
                raise StoreError(f"{place}: {error.strerror}") from error
