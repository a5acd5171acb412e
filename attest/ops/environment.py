"""An environment from its file."""

from __future__ import annotations

from attest.core import limits
from attest.core.environment.definition import Environment
from attest.core.environment.document import read_environment
from attest.errors import DocumentInvalid
from attest.ops.load import beside
from attest.ports import ParseDocument, ReadFile


def load_environment(file: str, *, read_file: ReadFile, parse_document: ParseDocument) -> Environment:
    """The environment in a file. What it names, its policy, manifests or keys, is not looked at.

    Raises:
        DocumentInvalid: it cannot be read, or is no environment; with the place.
    """
    if file == "-":
        problem = "an environment is read from a file, since it names other files relative to where it stands"
        raise DocumentInvalid(problem, file=file)
    document = parse_document(read_file(file, limit=limits.DOCUMENT), file=file)
    return read_environment(document, locate=lambda name: beside(file, name))
