"""Contracts and their locks, from files, and what a command line says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attest.adapters.documents import parse_document
from attest.adapters.files import read_file
from attest.core import limits
from attest.core.reference import Digest, digest_of

if TYPE_CHECKING:
    from attest.cli.contractformats import Saved
    from attest.core.contract import Contract
    from attest.core.lock.locking import ImageLock


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What the command line says about the checks of an image."""

    image: str
    contract_file: str
    lock_file: str | None
    baseline: str | None
    ci_image: str | None
    output_format: str
    saved: tuple[Saved, ...]


def load_contract(file: str) -> Contract:
    """The contract in a file.

    Raises:
        attest.errors.DocumentInvalid: it cannot be read, or is no contract; with the place.
    """
    from attest.core.contract import read_contract

    return read_contract(parse_document(read_file(file, limit=limits.DOCUMENT), file=file))


def load_lock(file: str, contract: Contract) -> tuple[ImageLock, Digest]:
    """The lock in a file, for the checks of this contract, and the digest of the file.

    Raises:
        attest.errors.DocumentInvalid: it cannot be read, or is no lock.
    """
    from attest.core.lock.document import SIZE_LIMIT, LockedContract, read_lock
    from attest.core.lock.locking import ImageLock

    content = read_file(file, limit=SIZE_LIMIT)
    made_under = LockedContract(name=contract.name, digest=contract.digest)
    return ImageLock(lock=read_lock(content, file=file), contract=made_under), digest_of(content)
