"""Policies, from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attest.adapters.deadline import Deadline
from attest.adapters.documents import parse_document
from attest.adapters.files import read_file
from attest.cli.options import DEFAULT_TIMEOUT
from attest.ops import load

if TYPE_CHECKING:
    from attest.adapters.sigstore.trust import SigstoreTrust
    from attest.core.document import Document
    from attest.core.policy import Policy
    from attest.core.policydocument import OpenTrust
    from attest.core.verify import Trust


def load_policy(file: str, *, timeout: float = DEFAULT_TIMEOUT) -> Policy:
    """The policy in a file, with what it names. If evidence needs a root that is fetched, that takes `timeout` seconds.

    Raises:
        attest.errors.DocumentInvalid: it is no policy, or what it names cannot be read; with the place in the policy.
    """
    return finish_policy(open_policy(file), timeout=timeout)


def open_policy(file: str) -> Document:
    """The first step of `load_policy`, as `attest.ops.load.open_policy`."""
    return load.open_policy(file, read_file=read_file, parse_document=parse_document)


def finish_policy(document: Document, *, timeout: float) -> Policy:
    """The second step, as `attest.ops.load.finish_policy`; what it takes is loaded with it."""
    from attest.adapters.conditions import compile_condition

    return load.finish_policy(
        document, read_file=read_file, compile_condition=compile_condition, open_trust=_trust_opener(timeout)
    )


def _trust_opener(timeout: float) -> OpenTrust:
    deadline = Deadline(timeout)

    def fetched() -> SigstoreTrust:
        from attest.adapters.sigstore.roots import public_good
        from attest.cli.folders import trust_cache

        return public_good(cache=trust_cache(), deadline=deadline)

    def open_trust(root: bytes | None, *, file: str) -> Trust:
        from attest.adapters.sigstore.deferred import DeferredTrust
        from attest.adapters.sigstore.trust import SigstoreTrust

        return DeferredTrust(fetched) if root is None else SigstoreTrust(root, file=file)

    return open_trust
