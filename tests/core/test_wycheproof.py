"""Project Wycheproof's vectors, through the API that verification uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attest.core.keys import public_key

GROUPS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "wycheproof.json").read_text())
FILES = sorted({group["file"] for group in GROUPS})


@pytest.mark.parametrize("file", FILES)
def test_wycheproof(file: str) -> None:
    """Every valid signature verifies, every invalid one does not, and none of them raises.

    What Wycheproof calls acceptable (a legacy encoding without NULL) is refused, as RFC 8017 asks.
    """
    wrong = []
    count = 0
    for group in GROUPS:
        if group["file"] != file:
            continue
        key = public_key(group["key"].encode())
        for vector in group["tests"]:
            count += 1
            verified = key.verifies(bytes.fromhex(vector["sig"]), bytes.fromhex(vector["msg"]))
            if verified != (vector["result"] == "valid"):
                wrong.append((vector["id"], vector["comment"]))
    assert count > 10
    assert not wrong


def test_the_selection_has_both_kinds() -> None:
    """The vectors cover each algorithm, with valid and with invalid signatures."""
    kinds = {(group["file"], vector["result"]) for group in GROUPS for vector in group["tests"]}
    assert len(FILES) == 5
    assert {(file, result) for file in FILES for result in ("valid", "invalid")} <= kinds
