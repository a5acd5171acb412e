"""Policies, from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attest.adapters.documents import parse_document
from attest.adapters.files import read_file
from attest.ops import load

if TYPE_CHECKING:
    from attest.core.document import Document
    from attest.core.policy import Policy


def load_policy(file: str) -> Policy:
    """The policy in a file, with the keys that it names.

    Raises:
        attest.errors.DocumentInvalid: it is no policy, or a key cannot be read; with the place in the policy.
    """
    return finish_policy(open_policy(file))


def open_policy(file: str) -> Document:
    """The first step of `load_policy`, as `attest.ops.load.open_policy`."""
    return load.open_policy(file, read_file=read_file, parse_document=parse_document)


def finish_policy(document: Document) -> Policy:
    """The second step, as `attest.ops.load.finish_policy`; what it takes is loaded with it."""
    from attest.adapters.conditions import compile_condition

    return load.finish_policy(document, read_file=read_file, compile_condition=compile_condition)
