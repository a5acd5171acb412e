"""Records, their hash chain, and everything that breaks it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.ledger.chain import (
    GENESIS,
    Breach,
    Chain,
    Entry,
    Fault,
    Head,
    Record,
    RecordInvalid,
    Unread,
    breaches,
    hash_of,
    head_of,
    next_record,
    payload_text,
    read_record,
    write_record,
)
from attest.core.reference import Digest, digest_of
from tests.core.make import NOW
from tests.core.test_canonicaljson import TEXT, VALUES


def entry(number: int = 0, **changes: Any) -> Entry:
    """What is to be recorded."""
    members = {"type": "deploy.verified", "environment": "staging", "actor": "ci", "payload": {"n": number}}
    return Entry(**(members | changes))


def ledger(length: int, *, salt: str = "") -> list[Record]:
    """A whole ledger of so many records; another salt, another ledger."""
    records: list[Record] = []
    for number in range(1, length + 1):
        head = head_of(records[-1]) if records else None
        payload = {"n": number, "salt": salt}
        records.append(next_record(head, entry(payload=payload), time=NOW + timedelta(seconds=number)))
    return records


def rehashed(record: Record, **changes: Any) -> Record:
    """The record with other members and the hash that fits them, as a forger makes it."""
    changed = dataclasses.replace(record, **changes)
    return dataclasses.replace(changed, hash=hash_of(changed))


def found(records: Iterable[Record | Unread], *, known: Iterable[Head] = ()) -> list[tuple[int, Fault]]:
    """What is wrong with a ledger."""
    return [(breach.seq, breach.fault) for breach in breaches(records, known=known)]


# ---- records


def test_the_first_record_follows_nothing() -> None:
    """The first record has number 1 and 64 zeros before it; the next one has its hash."""
    first, second = ledger(2)
    assert (first.seq, first.prev_hash) == (1, "sha256:" + "0" * 64)
    assert (second.seq, second.prev_hash) == (2, first.hash)


def test_the_hash_is_what_the_documentation_says() -> None:
    """The hash is SHA-256 over the RFC 8785 JSON of all members but the hash, made here by other means."""
    (record,) = ledger(1)
    document = json.loads(write_record(record))
    assert document.pop("hash") == "sha256:" + hashlib.sha256(rfc8785.dumps(document)).hexdigest()
    assert sorted(document) == ["actor", "environment", "payload", "prev_hash", "seq", "time", "type"]


def test_a_time_is_kept_in_utc_with_microseconds() -> None:
    """A time of another zone is recorded as the same moment in UTC, in the one form that is written."""
    there = datetime(2026, 7, 1, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    record = next_record(None, entry(), time=there)
    assert record.time == there
    assert record.time.tzinfo == UTC
    assert b'"time":"2026-07-01T12:00:00.000005Z"' in write_record(record)


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", fullmatch=True)
LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=256)


@given(NAMES, LINES, LINES, st.dictionaries(TEXT, VALUES, max_size=4), st.datetimes(timezones=st.just(UTC)))
def test_a_line_is_read_back(kind: str, environment: str, actor: str, payload: dict[str, Any], time: datetime) -> None:
    """Every record that can be made is read back from its line as it was, and is the start of a whole ledger."""
    made = next_record(None, Entry(type=kind, environment=environment, actor=actor, payload=payload), time=time)
    assert read_record(write_record(made)) == made
    assert found([made]) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "Deploy"}, "no type of record"),
        ({"type": ""}, "no type of record"),
        ({"type": "a" * 65}, "no type of record"),
        ({"type": "deploy\n"}, "no type of record"),
        ({"type": 7}, "no type of record"),
        ({"environment": ""}, "is no environment"),
        ({"environment": "a\nb"}, "is no environment"),
        ({"environment": "a\ud800"}, "is no environment"),
        ({"environment": None}, "is no environment"),
        ({"actor": "x" * 257}, "is no actor"),
        ({"actor": "\x9b"}, "is no actor"),
        ({"payload": []}, "not a JSON object"),
        ({"payload": None}, "not a JSON object"),
        ({"payload": {"a": 0.5}}, "only whole numbers"),
        ({"payload": {"a": "x" * limits.RECORD}}, "at most 1048576"),
    ],
)
def test_what_is_no_entry_is_refused(changes: dict[str, Any], said: str) -> None:
    """Each member of an entry that may not be recorded is refused before anything is hashed."""
    with pytest.raises(RecordInvalid, match=said):
        entry(**changes)


def test_a_payload_is_as_deep_as_a_record_can_be() -> None:
    """A payload that is accepted can be read again in its record: the record's own level counts."""
    value: Any = 1
    for _ in range(limits.JSON_DEPTH - 2):
        value = [value]
    made = next_record(None, entry(payload={"a": value}), time=NOW)
    assert read_record(write_record(made)) == made
    with pytest.raises(RecordInvalid, match="nested deeper"):
        entry(payload={"a": [value]})


def test_the_text_of_a_payload_is_canonical() -> None:
    """`payload_text` is the payload's part of the line, byte for byte."""
    payload = {"z": [1, None], "a": {"\u00e9": True}}
    text = payload_text(payload)
    assert text == '{"a":{"é":true},"z":[1,null]}'.encode()
    assert text in write_record(next_record(None, entry(payload=payload), time=NOW))


def line(**changes: Any) -> bytes:
    """The canonical line of a record with other members, whatever they are; None takes one away."""
    document = json.loads(write_record(ledger(1)[0])) | changes
    return rfc8785.dumps({name: value for name, value in document.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not strict JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "not exactly seq, time"),
        (line(hash=None), "not exactly"),
        (line(more=1), "not exactly"),
        (line(seq=0), "no number from 1"),
        (line(seq=True), "no number from 1"),
        (line(seq="1"), "no number from 1"),
        (line(hash="sha256:" + "A" * 64), "no sha256 digest"),
        (line(hash=7), "no sha256 digest"),
        (line(prev_hash="sha256:0"), "no sha256 digest"),
        (line(time="2026-07-01T12:00:00Z"), "is not written as"),
        (line(time="2026-07-01 12:00:00.000000Z"), "is no time"),
        (line(time="2026-02-30T12:00:00.000000Z"), "day"),
        (line(time=5), "is not written as"),
        (line(actor=""), "is no actor"),
        (line() + b" ", "not in canonical form"),
        (line().replace(b'"n":1', b'"n":1.0'), "only whole numbers"),
        (b" " * (2 * limits.RECORD + 1), "more than 2097152 bytes"),
    ],
)
def test_what_is_no_record_is_refused(text: bytes, said: str) -> None:
    """Each line that is not the canonical JSON of a record is refused with the reason."""
    with pytest.raises(RecordInvalid, match=said):
        read_record(text)


# ---- the chain


def test_a_whole_ledger_has_nothing_wrong() -> None:
    """A ledger as it was written has no breach, whatever of its own heads is known; nor has an empty one."""
    records = ledger(5)
    assert found(records, known=[head_of(record) for record in records]) == []
    assert found([]) == []


def test_every_changed_member_is_found() -> None:
    """A record of which one member was changed, whichever, is said to be changed, and so is its hash itself."""
    records = ledger(3)
    changes: dict[str, Any] = {
        "time": NOW,
        "type": "deploy.failed",
        "environment": "production",
        "actor": "mallory",
        "payload": {"n": 2, "salt": "x"},
        "hash": digest_of(b"x"),
    }
    for name, value in changes.items():
        changed = [records[0], dataclasses.replace(records[1], **{name: value}), records[2]]
        assert (2, Fault.CHANGED) in found(changed), name
    numbered = [records[0], dataclasses.replace(records[1], seq=7), records[2]]
    assert found(numbered)[0] == (7, Fault.CHANGED)
    unlinked = [records[0], dataclasses.replace(records[1], prev_hash=GENESIS), records[2]]
    assert found(unlinked) == [(2, Fault.CHANGED), (2, Fault.UNLINKED)]


def test_a_changed_record_with_a_new_hash_is_found() -> None:
    """A forger who makes the hash anew is found by the next record, which names the old one."""
    records = ledger(4)
    records[1] = rehashed(records[1], payload={"n": 99})
    assert found(records) == [(3, Fault.UNLINKED)]


@pytest.mark.parametrize("at", range(4))
def test_a_removed_record_is_found(at: int) -> None:
    """A record that is gone from any place but the end is missed by the next one."""
    records = ledger(5)
    del records[at]
    assert found(records) == [(at + 2, Fault.REMOVED)]


def test_several_removed_records_are_told_once() -> None:
    """A gap of several records is one breach, which names them."""
    records = ledger(6)
    (breach,) = breaches([records[0], *records[4:]])
    assert str(breach) == "record 5: before it, records 2 to 4 are gone"


def test_an_inserted_record_is_found() -> None:
    """A record put between two others, with a hash that fits, is found; so is a record that stands there twice."""
    records = ledger(4)
    stranger = next_record(head_of(records[1]), entry(payload={"n": 77}), time=NOW)
    assert found([*records[:2], stranger, *records[2:]]) == [(3, Fault.INSERTED)]
    assert found([*records[:2], records[1], *records[2:]]) == [(2, Fault.INSERTED)]


def test_swapped_records_are_found() -> None:
    """Two records in each other's place are found."""
    records = ledger(4)
    assert found([records[0], records[2], records[1], records[3]]) == [
        (3, Fault.REMOVED),
        (2, Fault.INSERTED),
        (4, Fault.REMOVED),
    ]


def test_a_truncated_ledger_is_found_by_a_head_alone() -> None:
    """A ledger whose end is gone is whole in itself; a head that knew the end finds it, even when nothing is left."""
    records = ledger(5)
    head = head_of(records[-1])
    assert found(records[:3]) == []
    assert found(records[:3], known=[head]) == [(4, Fault.TRUNCATED)]
    assert found([], known=[head]) == [(1, Fault.TRUNCATED)]


def test_a_rewritten_ledger_is_found_by_a_head() -> None:
    """A ledger of the same length that was written anew is whole in itself, and a head of the old one finds it."""
    old, new = ledger(5), ledger(5, salt="x")
    assert found(new) == []
    assert found(new, known=[head_of(old[2])]) == [(3, Fault.REWRITTEN)]
    assert found(old, known=[head_of(old[2]), head_of(new[2])]) == [(3, Fault.REWRITTEN)]


def test_truncated_and_continued_is_found() -> None:
    """A ledger that lost its end and was written on, past the known head, is found as rewritten."""
    old = ledger(5)
    records = old[:3]
    for number in range(4):
        records.append(next_record(head_of(records[-1]), entry(number), time=NOW))
    assert found(records) == []
    assert found(records, known=[head_of(old[4])]) == [(5, Fault.REWRITTEN)]


def test_every_breach_is_told() -> None:
    """Two things that are wrong far from each other are both told, each once."""
    records = ledger(9)
    records[2] = rehashed(records[2], actor="mallory")
    del records[6]
    assert found(records) == [(4, Fault.UNLINKED), (8, Fault.REMOVED)]


def test_an_unreadable_record_is_told_once() -> None:
    """What is no record is told where it stands; what follows it is compared with its number, having no hash."""
    records = ledger(5)
    held: list[Record | Unread] = [*records[:2], Unread(problem="no JSON"), *records[3:]]
    assert list(breaches(held)) == [Breach(seq=3, fault=Fault.UNREADABLE, message="no JSON")]
    assert found([*held[:3], *held[4:]]) == [(3, Fault.UNREADABLE), (5, Fault.REMOVED)]
    assert found(held, known=[head_of(records[4])]) == [(3, Fault.UNREADABLE)]
    assert found([Unread(problem="no JSON")], known=[head_of(records[0])]) == [
        (1, Fault.UNREADABLE),
        (1, Fault.TRUNCATED),
    ]


def test_a_chain_goes_on_from_a_known_head() -> None:
    """From a head that is known to be right, only what follows has to be looked at."""
    records = ledger(4)
    chain = Chain(head_of(records[1]))
    assert [breach for record in records[2:] for breach in chain.follow(record)] == []
    assert chain.head == head_of(records[3])
    again = Chain(Head(seq=2, hash=Digest("sha256:" + "1" * 64), time=NOW))
    assert [breach.fault for breach in again.follow(records[2])] == [Fault.UNLINKED]


@given(st.data())
def test_every_single_byte_change_of_an_export_is_found(data: st.DataObject) -> None:
    """A byte of an exported ledger that becomes another one makes it unreadable or breaks its chain."""
    export = b"".join(write_record(record) + b"\n" for record in ledger(4))
    at = data.draw(st.integers(0, len(export) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != export[at]))
    changed = export[:at] + bytes([value]) + export[at + 1 :]
    lines = changed.split(b"\n")
    if lines.pop() != b"":
        return  # no line's end at the end: what reads an export refuses it
    try:
        records = [read_record(one) for one in lines]
    except RecordInvalid:
        return
    assert found(records) != []


def test_a_breach_says_where() -> None:
    """A breach in words begins with the record that it was seen at."""
    breach = Breach(seq=3, fault=Fault.CHANGED, message="its content was changed")
    assert str(breach) == "record 3: its content was changed"
