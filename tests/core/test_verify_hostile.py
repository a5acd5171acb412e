"""Changed bundles: nothing is accepted with other content than was signed, and nothing raises."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.envelope import EnvelopeInvalid, pae, read_bundle
from attest.core.strictjson import JsonInvalid, loads
from attest.core.verify import Keyring, Rejected, Unreadable, VerifiedStatement, verify
from tests.core import make

CI, FOREIGN = make.party("ci"), make.party("foreign")
ED = make.party("other", "ed25519")
RING = Keyring([ED.trusted, CI.trusted])
PAYLOAD = make.payload([make.digest("image app")], make.context())
BUNDLE = make.bundle(CI, PAYLOAD)
ED_BUNDLE = make.bundle(ED, PAYLOAD)


def check(content: bytes, *, legacy: bool = False) -> bool:
    """Whether it is accepted; if it is, then as exactly what was signed, by the one who signed it."""
    outcome = verify(content, RING, legacy=legacy)
    if isinstance(outcome, VerifiedStatement):
        assert outcome.payload == PAYLOAD
        assert outcome.credential in (CI.trusted, ED.trusted)
        return True
    # A trusted key signed nothing here but the payload, so nothing else can be unreadable under one.
    assert isinstance(outcome, Rejected), outcome
    return False


@pytest.mark.parametrize("content", [BUNDLE, ED_BUNDLE], ids=["ecdsa", "ed25519"])
def test_every_truncation_is_rejected(content: bytes) -> None:
    """A bundle cut anywhere, at either end, is never accepted."""
    for length in range(len(content)):
        assert not check(content[:length])
        assert not check(content[len(content) - length :])


@pytest.mark.parametrize("content", [BUNDLE, ED_BUNDLE], ids=["ecdsa", "ed25519"])
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_every_flipped_byte_is_rejected_or_harmless(content: bytes, mask: int) -> None:
    """With any one byte changed a bundle is rejected, or still says exactly what was signed (a changed hint)."""
    accepted = 0
    for position in range(len(content)):
        accepted += check(content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :])
    assert accepted < len(content) / 10


@pytest.mark.parametrize("mask", [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF])
def test_every_flipped_byte_of_a_payload_is_rejected(mask: int) -> None:
    """With any bit, or all bits, of any byte flipped in what was signed, the signature is not over it."""
    envelope = read_bundle(BUNDLE)
    for position in range(len(PAYLOAD)):
        changed = PAYLOAD[:position] + bytes([PAYLOAD[position] ^ mask]) + PAYLOAD[position + 1 :]
        assert not CI.trusted.verifies(envelope.signature, pae(envelope.payload_type, changed))


@given(st.binary(max_size=300))
def test_random_bytes_are_rejected(content: bytes) -> None:
    """Bytes that mean nothing are rejected, as a bundle and as an envelope."""
    assert not check(content)
    assert not check(content, legacy=True)


@given(st.data())
def test_changed_bytes_are_rejected_or_harmless(data: st.DataObject) -> None:
    """Bytes cut out of a valid bundle, put in, or moved within it, never change what is accepted."""
    start = data.draw(st.integers(0, len(BUNDLE)))
    stop = data.draw(st.integers(start, min(len(BUNDLE), start + 40)))
    source = data.draw(st.sampled_from([BUNDLE, ED_BUNDLE]))
    offset = data.draw(st.integers(0, len(source)))
    middle = data.draw(st.binary(max_size=8) | st.just(source[offset : offset + 40]))
    check(BUNDLE[:start] + middle + BUNDLE[stop:])


# Structured mutations: JSON stays JSON, the meaning changes


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.5, 10**19, "", "x", "PASSED", "\ud83d\ude00", [], {}, [[]], {"a": {}}, [None],
    "application/vnd.in-toto+json", "application/vnd.dev.sigstore.bundle.v0.3+json", "AAAA", "e30=", "e30",
]  # fmt: skip
NAMES = ["payload", "payloadType", "signatures", "sig", "keyid", "dsseEnvelope", "mediaType", "hint", "publicKey"]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: its container and its key or position."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *places(value[key])]
    return found


def mutate(document: Any, chance: random.Random) -> None:
    """Changes one place of a document, in one of many ways."""
    container, key = chance.choice(places(document))
    other, other_key = chance.choice(places(document))
    value = container[key]
    match chance.randrange(9):
        case 0:
            del container[key]
        case 1:
            container[key] = copy.deepcopy(chance.choice(VALUES))
        case 2:
            container[key] = json.loads(json.dumps(other[other_key]))
        case 3:
            container[key] = [value]
        case 4:
            container[key] = {chance.choice(NAMES): value}
        case 5 if isinstance(container, dict):
            container[chance.choice(NAMES)] = container.pop(key)
        case 6 if isinstance(container, list):
            container.append(json.loads(json.dumps(value)))
        case 7 if isinstance(value, str):
            at = chance.randrange(len(value) + 1)
            container[key] = value[:at] + chance.choice("=+/-_ \n\0Aa1\u00e9") + value[at + chance.randrange(2) :]
        case _ if isinstance(value, str):
            container[key] = chance.choice(
                [value.upper(), value.lower(), value + "=", value[:-1], value * 2, value[::-1]]
            )
        case _:
            container[key] = copy.deepcopy(chance.choice(VALUES))


def mutated(seed: int) -> bytes:
    """A bundle, changed in one to four places; now and then written so that a key stands twice."""
    chance = random.Random(seed)
    document = json.loads(chance.choice([BUNDLE, ED_BUNDLE]))
    for _ in range(chance.randint(1, 4)):
        if places(document):
            mutate(document, chance)
    content = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.1:
        name = chance.choice(NAMES)
        content = content.replace("{", f'{{"{name}": {json.dumps(chance.choice(VALUES))}, ', 1)
    return content.encode("utf-8", "surrogatepass")


def run(seeds: range) -> None:
    accepted = 0
    for seed in seeds:
        content = mutated(seed)
        accepted += check(content)
        check(content, legacy=True)
    assert accepted < len(seeds) / 2


def test_structured_mutations_are_rejected_or_harmless() -> None:
    """Thousands of bundles with members changed, moved, doubled and removed: no changed content, no exception."""
    run(range(4_000))


@pytest.mark.fuzz
@pytest.mark.parametrize("million", range(0, 1_000_000, 50_000))
def test_a_million_structured_mutations_are_rejected_or_harmless(million: int) -> None:
    """The same for a million bundles."""
    run(range(million, million + 50_000))


def statements(seed: int) -> bytes:
    """A Statement with one to three places changed, to be signed by a trusted key."""
    chance = random.Random(seed)
    document = json.loads(PAYLOAD)
    for _ in range(chance.randint(1, 3)):
        if places(document):
            mutate(document, chance)
    return json.dumps(document).encode()


def test_mutated_statements_are_verified_or_unreadable() -> None:
    """Whatever a trusted key signs is either a valid Statement, kept as signed, or unreadable, which refuses."""
    kinds = set()
    for seed in range(1_500):
        payload = statements(seed)
        outcome = verify(make.bundle(ED, payload), RING)
        assert isinstance(outcome, VerifiedStatement | Unreadable)
        if isinstance(outcome, VerifiedStatement):
            assert outcome.payload == payload
            assert outcome.statement.document == json.loads(payload)
        kinds.add(type(outcome))
    assert len(kinds) == 2


def test_large_values_make_no_large_messages() -> None:
    """A reason for a rejection stays readable however large the value is that it is about (CVE-2026-44245)."""
    huge = "x" * 1_000_000
    contents = [
        json.dumps({"mediaType": huge}),
        json.dumps({huge: 1}) + "x",
        f'{{"{huge}": 1, "{huge}": 1}}',
        json.dumps({"mediaType": [huge]}),
    ]
    for content in contents:
        outcome = verify(content.encode(), RING)
        assert isinstance(outcome, Rejected)
        assert len(outcome.message) < 300
    signed = [
        {**json.loads(PAYLOAD), "_type": huge},
        {**json.loads(PAYLOAD), "predicate": {"result": huge}},
        *(
            {**json.loads(PAYLOAD), "subject": [{"digest": {"sha256": "a" * 64}, "annotations": annotations}]}
            for annotations in (
                {"attest-gate/" + huge: ""},
                *(
                    {f"attest-gate/{name}": huge}
                    for name in ("lane", "repository", "started", "commit", "dirty", "ref")
                ),
            )
        ),
    ]
    for document in signed:
        unreadable = verify(make.bundle(ED, json.dumps(document).encode()), RING)
        assert isinstance(unreadable, Unreadable)
        assert len(unreadable.message) < 300


@given(st.data())
def test_what_is_accepted_is_also_read_strictly(data: st.DataObject) -> None:
    """No bundle that strict JSON refuses is ever read, whatever the envelope in it is."""
    content = mutated(data.draw(st.integers(0, 10**9)))
    try:
        loads(content)
    except JsonInvalid:
        with pytest.raises(EnvelopeInvalid):
            read_bundle(content)
