"""Trusted times of bundles that a managed key signed."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.sigstore.trust import SigstoreTrust
from tests.core import make
from tests.sigstore_forge import IN_TOTO, PAYLOAD, Recipe, pae
from tests.sigstore_instance import AT, MINUTE, REKOR_V1, REKOR_V2, TSA, YEAR, Authority, p256, sign, spki, trusted_root

KEY = p256("job")
HINT = base64.b64encode(hashlib.sha256(spki(KEY)).digest()).decode()
PEM = make.pem(KEY.public_key())
EVIL_TSA = Authority(name="evil timestamps", timestamping=True)
TRUST = SigstoreTrust(trusted_root())


def managed(**changes: Any) -> Recipe:
    """A bundle of a managed key, with an entry of a Rekor v1 log."""
    return replace(Recipe(hint=HINT, logged_verifier=PEM), **changes)


def spoiled(change: Callable[[dict[str, Any]], object], recipe: Recipe | None = None) -> bytes:
    document = copy.deepcopy((recipe or managed()).document)
    change(document)
    return json.dumps(document).encode()


def without_entry(*stamps: tuple[Authority, Any], **changes: Any) -> bytes:
    """A bundle with timestamps and no log entry, as a signer without a log makes it."""
    recipe = managed(stamps=stamps, **changes)
    return spoiled(lambda one: one["verificationMaterial"].update(tlogEntries=[]), recipe)


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_a_promised_entry_of_this_envelope_gives_its_time(kind: str) -> None:
    """The integrated time of a Rekor v1 entry counts under its promise."""
    assert TRUST.times(managed(kind=kind).content) == (AT + MINUTE,)


def test_a_timestamp_gives_its_time() -> None:
    """RFC 3161 timestamps over the signature count, with a log entry and without."""
    assert TRUST.times(without_entry((TSA, AT + 2 * MINUTE))) == (AT + 2 * MINUTE,)
    both = managed(stamps=[(TSA, AT + 2 * MINUTE), (EVIL_TSA, AT + 3 * MINUTE)])
    assert TRUST.times(both.content) == (AT + MINUTE, AT + 2 * MINUTE)


def test_a_rekor_v2_entry_gives_no_time() -> None:
    """A Rekor v2 log says no time; the timestamp beside it does, and neither does without it."""

    def v2(document: dict[str, Any]) -> None:
        entry = document["verificationMaterial"]["tlogEntries"][0]
        entry["kindVersion"] = {"kind": "hashedrekord", "version": "0.0.2"}

    assert TRUST.times(spoiled(v2)) == ()
    assert TRUST.times(spoiled(v2, managed(stamps=[(TSA, AT)]))) == (AT,)


@pytest.mark.parametrize(
    "changes",
    [
        {"promised": False},
        {"integrated": None},
        {"promise_key": p256("evil")},
        {"log": REKOR_V2, "kind": "dsse", "log_id": REKOR_V1.id},
        {"log_id": b"\0" * 32},
        {"logged_payload": PAYLOAD + b" "},
        {"logged_signature": b"another"},
        {"logged_verifier": make.pem(p256("evil").public_key())},
        {"logged_verifier": b"junk"},
        {"logged_verifier": None},
        {"signer": p256("evil")},
        {"body": b"{}"},
    ],
)
@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_an_entry_that_does_not_hold_gives_no_time(kind: str, changes: dict[str, Any]) -> None:
    """No promise, one by another key, another log, and an entry of another envelope, signature or key."""
    assert TRUST.times(managed(**{"kind": kind, **changes}).content) == ()


def test_an_entry_outside_its_logs_window_gives_no_time() -> None:
    """The log had ended, or began later: its key may be anybody's."""
    for window in ({"start": AT + 2 * MINUTE}, {"end": AT}):
        trust = SigstoreTrust(trusted_root(logs=[REKOR_V1.described(**window)]))
        assert trust.times(managed().content) == ()
    trust = SigstoreTrust(trusted_root(logs=[REKOR_V1.described(start=AT + MINUTE, end=AT + MINUTE)]))
    assert trust.times(managed().content) == (AT + MINUTE,)


@pytest.mark.parametrize(
    "content",
    [
        without_entry((EVIL_TSA, AT)),
        without_entry((TSA, AT), stamped=b"another"),
        without_entry((TSA, AT), (TSA, AT)),
        without_entry(*((TSA, AT + n * MINUTE) for n in range(33))),
        without_entry((TSA, AT + 2 * YEAR)),
    ],
)
def test_a_timestamp_that_does_not_hold_gives_no_time(content: bytes) -> None:
    """Another authority, another signature, doubled ones, too many, and one outside the authority's time."""
    assert TRUST.times(content) == ()


def test_many_entries_are_not_looked_at() -> None:
    """More than 32 log entries are an attack on whoever verifies them."""

    def many(document: dict[str, Any]) -> None:
        document["verificationMaterial"]["tlogEntries"] *= 33

    assert TRUST.times(spoiled(many)) == ()
    assert TRUST.times(spoiled(lambda one: one["verificationMaterial"].update(tlogEntries=[]))) == ()


def test_a_hint_decides_nothing() -> None:
    """The times are the same without the hint and with another one: it is nobody's word."""
    for hint in ({}, {"hint": "other"}):
        assert TRUST.times(spoiled(lambda one, hint=hint: one["verificationMaterial"].update(publicKey=hint))) == (  # type: ignore[misc]
            AT + MINUTE,
        )


@given(st.binary(max_size=200))
def test_times_never_raises(content: bytes) -> None:
    """Whatever the bytes are, there is an answer."""
    assert TRUST.times(content) == ()


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_flip_gives_another_time(position: int, mask: int) -> None:
    """A bundle with one byte changed gives the times that it has, or fewer, and never raises."""
    content = bytearray(managed(stamps=[(TSA, AT + 2 * MINUTE)]).content)
    content[position % len(content)] ^= mask
    assert set(TRUST.times(bytes(content))) <= {AT + MINUTE, AT + 2 * MINUTE}


def test_the_signature_is_checked_with_the_logged_key() -> None:
    """A log takes what it is given only once it verifies; what does not, it cannot have promised."""
    wrong = sign(KEY, pae(IN_TOTO, PAYLOAD + b" "))
    assert TRUST.times(managed(signature=wrong).content) == ()
