"""Environments, from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attest.adapters.documents import parse_document
from attest.adapters.files import read_file

if TYPE_CHECKING:
    from attest.core.environment.definition import Environment


def load_environment(file: str) -> Environment:
    """The environment in a file. What it names is not looked at.

    Raises:
        attest.errors.DocumentInvalid: it is no environment; with the place.
    """
    from attest.ops import environment

    return environment.load_environment(file, read_file=read_file, parse_document=parse_document)
