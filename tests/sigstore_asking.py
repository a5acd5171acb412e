"""Asking our own verification about forged bundles."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import Certified, NotCertified, Uncertified
from tests.sigstore_forge import Recipe
from tests.sigstore_instance import trusted_root

ROOT: Final = trusted_root()
V1: Final = ("dsse", "intoto")
"""Kinds of entry of a Rekor v1 log."""
ALL: Final = (*V1, "hashedrekord")
"""Kinds of entry that we read."""
Change = Callable[[dict[str, Any]], object]


def certify(recipe: Recipe, root: bytes = ROOT) -> Certified:
    """What is certified of it."""
    return SigstoreTrust(root).certify(recipe.content)


def code_of(content: bytes, root: bytes = ROOT) -> Uncertified:
    """Why it is refused, which is said in one line."""
    with pytest.raises(NotCertified) as caught:
        SigstoreTrust(root).certify(content)
    assert str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value.code


def spoiled(recipe: Recipe, change: Change) -> bytes:
    """The recipe's bundle with its JSON changed."""
    document = copy.deepcopy(recipe.document)
    change(document)
    return json.dumps(document).encode()


def entry_of(document: dict[str, Any]) -> dict[str, Any]:
    """The log entry of a bundle's JSON."""
    entry: dict[str, Any] = document["verificationMaterial"]["tlogEntries"][0]
    return entry
