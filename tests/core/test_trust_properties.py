"""Whatever the bytes, a trust document is read and explained, or refused: nothing else happens."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.trust.answers import (
    AnswerInvalid,
    check_certificate_chain,
    check_timestamp_chain,
    read_chain,
    read_checkpoint,
    read_key,
    read_trust_bundle,
)
from attest.core.trust.document import (
    TrustDocument,
    TrustInvalid,
    config_document,
    read_trust,
    root_document,
    write_trust,
)
from attest.core.trust.window import Window
from attest.core.trust.words import describe, explain
from tests.core.make_trust import NOW, chain, checkpoint, key_pem, log, log_key, pem, root, signing

# What cryptography announces to refuse one day (a serial number of 0, say) it reads until then.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

CONFIG = write_trust(config_document(root(), signing()))
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4)


def say(content: bytes) -> TrustDocument | None:
    """Everything that is said about a document, or None where it is refused."""
    try:
        document = read_trust(content)
    except TrustInvalid:
        return None
    explain(document, NOW)
    json.dumps(describe(document, NOW))  # warnings among it
    return document


def flipped(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """The data with some bytes replaced."""
    out = bytearray(data)
    for place, value in changes:
        out[place % len(out)] = value
    return bytes(out)


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(content: bytes) -> None:
    """Random bytes raise nothing but the error of the module."""
    say(content)


@given(CHANGES)
def test_a_changed_document_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    """A document with some bytes changed is explained, or refused; what is read is written and read again the same."""
    document = say(flipped(CONFIG, changes))
    if document is not None and document.root is not None:
        assert read_trust(write_trust(root_document(document.root))).root == document.root


@given(CHANGES, st.integers(0, 1), st.sampled_from(["certificateAuthorities", "timestampAuthorities"]))
def test_a_changed_certificate_is_read_or_refused(changes: list[tuple[int, int]], which: int, kind: str) -> None:
    """Some bytes of a certificate changed: the document is explained, or refused."""
    document: Any = json.loads(CONFIG)
    entry = document["trustedRoot"][kind][0]["certChain"]["certificates"][which]
    entry["rawBytes"] = base64.b64encode(flipped(base64.b64decode(entry["rawBytes"]), changes)).decode()
    say(json.dumps(document).encode())


@given(CHANGES, st.sampled_from(["tlogs", "ctlogs"]))
def test_a_changed_key_is_read_or_refused(changes: list[tuple[int, int]], kind: str) -> None:
    """Some bytes of a key changed: the document is explained, or refused."""
    document: Any = json.loads(CONFIG)
    key = document["trustedRoot"][kind][0]["publicKey"]
    key["rawBytes"] = base64.b64encode(flipped(base64.b64decode(key["rawBytes"]), changes)).decode()
    say(json.dumps(document).encode())


@given(CHANGES)
def test_changed_answers_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    """Some bytes of a service's answer changed: it is read, or refused, and no changed checkpoint verifies."""
    texts = [one.decode() for one in (pem(chain()[:1]), pem(chain()[1:]))]
    bundle = json.dumps({"chains": [{"certificates": texts}]}).encode()
    with contextlib.suppress(AnswerInvalid):
        for one in read_trust_bundle(flipped(bundle, changes)):
            check_certificate_chain(one, NOW)
    with contextlib.suppress(AnswerInvalid):
        check_timestamp_chain(read_chain(flipped(pem(chain("tsa", stamping=True)), changes)), NOW)
    with contextlib.suppress(AnswerInvalid):
        read_key(flipped(key_pem(log_key().public_key()), changes))
    good = checkpoint(log_key())
    changed = flipped(good, changes)
    with contextlib.suppress(AnswerInvalid):
        read = read_checkpoint(changed)
        assert not read.signed_by(log_key().public_key()) or read.text == read_checkpoint(good).text


@given(st.datetimes(timezones=st.just(NOW.tzinfo)) | st.none(), st.datetimes(timezones=st.just(NOW.tzinfo)) | st.none())
def test_any_window_can_be_explained(start: object, end: object) -> None:
    """Windows at the ends of the calendar are told like any other."""
    window = Window(start=start, end=end)  # type: ignore[arg-type]
    trusted = root(logs=(log(window=window), replace(log(number=1), window=window)))
    document = TrustDocument(media_type="x", root=trusted, signing=None)
    explain(document, NOW)
    describe(document, NOW)
