"""Everything that a library raises over bytes of strangers is a refusal with a code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from attest.core.certificate import NotCertified, Uncertified

_SHOWN: Final = 160
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")


@contextmanager
def refusing(code: Uncertified, what: str) -> Iterator[None]:
    """Turn what the block raises into `NotCertified` with this code.

    sigstore, pydantic, cryptography and the standard library raise errors of some twenty kinds between them, and Rust
    code panics outside of `Exception`. What is no fault of the input passes through: no memory, and whoever wants the
    program to stop.
    """
    try:
        yield
    except (NotCertified, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise NotCertified(code, f"{what}: {told(error)}") from error


def told(error: BaseException) -> str:
    """What an exception says, as one short line of printable ASCII: it may quote the input."""
    text = _UNPRINTABLE.sub(" ", str(error)).strip() or type(error).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
