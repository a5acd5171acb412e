"""Policies, from files."""

from __future__ import annotations

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.adapters.files import read_file
from attest.core.policy import Policy
from attest.ops import load


def load_policy(file: str) -> Policy:
    """The policy in a file, with the keys that it names.

    Raises:
        attest.errors.DocumentInvalid: it is no policy, or a key cannot be read; with the place in the policy.
    """
    return load.load_policy(
        file, read_file=read_file, parse_document=parse_document, compile_condition=compile_condition
    )
