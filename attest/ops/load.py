"""A policy from its file and the key files that it names, each of them read once."""

from __future__ import annotations

from attest.core import limits
from attest.core.conditions import CompileCondition
from attest.core.policy import Policy
from attest.core.policydocument import build_policy, key_unusable, named_files, read_policy
from attest.errors import DocumentInvalid
from attest.ports import ParseDocument, ReadFile


def load_policy(
    file: str, *, read_file: ReadFile, parse_document: ParseDocument, compile_condition: CompileCondition
) -> Policy:
    """The policy in a file. Nothing but this file and the keys that it names is looked at.

    Raises:
        DocumentInvalid: it is no policy, or a key cannot be read; with the place in the policy.
    """
    if file == "-":
        problem = "a policy is read from a file, since it names its keys relative to where it stands"
        raise DocumentInvalid(problem, file=file)
    document = parse_document(read_file(file, limit=limits.DOCUMENT), file=file)
    policy = read_policy(document)
    keys: dict[str, bytes] = {}
    for name, path in named_files(policy):
        if name not in keys:
            try:
                keys[name] = read_file(_beside(file, name), limit=limits.KEY_FILE)
            except DocumentInvalid as error:
                raise key_unusable(document, path, f"{name}: {error.problem}") from error
    return build_policy(document, policy, keys, compile_condition=compile_condition)


def _beside(file: str, name: str) -> str:
    """The path of a file that a document names: absolute, or from the document's folder on."""
    if name.startswith("/"):
        return name
    folder, slash, _ = file.rpartition("/")
    return f"{folder}/{name}" if slash else f"./{name}"
