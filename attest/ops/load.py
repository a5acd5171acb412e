"""A policy from its file and the key files that it names, each of them read once.

In two steps, since the first is quick and says already what has to be read of the images, and the second loads much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attest.core import limits
from attest.core.document import Document
from attest.errors import DocumentInvalid
from attest.ports import ParseDocument, ReadFile

if TYPE_CHECKING:
    from attest.core.conditions import CompileCondition
    from attest.core.policy import Policy
    from attest.core.policydocument import OpenTrust


def load_policy(
    file: str,
    *,
    read_file: ReadFile,
    parse_document: ParseDocument,
    compile_condition: CompileCondition,
    open_trust: OpenTrust,
) -> Policy:
    """The policy in a file. Nothing but this file, the keys and the trusted root that it names is looked at.

    Raises:
        DocumentInvalid: it is no policy, or a file that it names cannot be used; with the place in the policy.
    """
    document = open_policy(file, read_file=read_file, parse_document=parse_document)
    return finish_policy(document, read_file=read_file, compile_condition=compile_condition, open_trust=open_trust)


def open_policy(file: str, *, read_file: ReadFile, parse_document: ParseDocument) -> Document:
    """The document in a policy's file, whatever it says.

    Raises:
        DocumentInvalid: it cannot be read, or is no document; with the place.
    """
    if file == "-":
        problem = "a policy is read from a file, since it names its keys relative to where it stands"
        raise DocumentInvalid(problem, file=file)
    return parse_document(read_file(file, limit=limits.DOCUMENT), file=file)


def names_platforms(document: Document) -> bool:
    """Whether a policy's document names the platforms of the images; nothing else of it is looked at."""
    return isinstance(document.value, dict) and "platforms" in document.value


def finish_policy(
    document: Document, *, read_file: ReadFile, compile_condition: CompileCondition, open_trust: OpenTrust
) -> Policy:
    """The policy that a document is, with the keys and the trusted root that it names.

    Raises:
        DocumentInvalid: it is no policy, or a file that it names cannot be used; with the place in the policy.
    """
    from attest.core.policydocument import build_policy, key_unusable, named_files, named_root, read_policy

    policy = read_policy(document)
    files: dict[str, bytes] = {}
    for name, path in named_files(policy):
        if name not in files:
            try:
                files[name] = read_file(beside(document.file, name), limit=limits.KEY_FILE)
            except DocumentInvalid as error:
                raise key_unusable(document, path, f"{name}: {error.problem}") from error
    root = named_root(policy)
    if root is not None and root[0] not in files:
        name, path = root
        try:
            files[name] = read_file(beside(document.file, name), limit=limits.DOCUMENT)
        except DocumentInvalid as error:
            raise document.invalid(path, f"{name}: {error.problem}") from error
    return build_policy(document, policy, files, compile_condition=compile_condition, open_trust=open_trust)


def beside(file: str, name: str) -> str:
    """The path of a file that a document names: absolute, or from the document's folder on."""
    if name.startswith("/"):
        return name
    folder, slash, _ = file.rpartition("/")
    return f"{folder}/{name}" if slash else f"./{name}"
