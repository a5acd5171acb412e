"""The ledger: records in a hash chain, and what breaks it.

A record's hash is the SHA-256 of the record without it, as RFC 8785 JSON, and with the hash of the record before. So
one hash stands for everything up to it: whoever knows the head of a ledger can tell when something before it was
changed, removed or inserted. Only what stands after the last known head can be cut off unseen, which is what signed
heads are for (`attest.core.ledger.head`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from attest.core import limits
from attest.core.canonicaljson import LARGEST, NotCanonical, canonical, read_canonical
from attest.core.reference import Digest, digest_of, is_digest
from attest.core.statement import format_time, parse_time
from attest.core.strictjson import Json, shown

GENESIS: Final = Digest("sha256:" + "0" * 64)
"""The `prev_hash` of the first record."""

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")
_MEMBERS: Final = ("seq", "time", "type", "environment", "actor", "payload", "prev_hash", "hash")


class RecordInvalid(ValueError):
    """What stands there is no record, or may not become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be recorded. The ledger adds number, time and hashes.

    Raises:
        RecordInvalid: `type` is no name, `environment` or `actor` is no line of 1 to 256 characters, or the payload has
            no canonical form (`attest.core.canonicaljson`).
    """

    type: str
    """Lower-case letters, digits and . _ - between them, at most 64."""
    environment: str
    actor: str
    """Who did it, for people: a user, a job."""
    payload: Mapping[str, Json]

    def __post_init__(self) -> None:
        if not isinstance(self.type, str) or _NAME.fullmatch(self.type) is None:
            raise RecordInvalid(f"{shown(self.type)} is no type of record")
        for name, value in (("environment", self.environment), ("actor", self.actor)):
            if not isinstance(value, str) or _LINE.fullmatch(value) is None:
                raise RecordInvalid(f"{shown(value)} is no {name}; it is a line of 1 to 256 characters")
        if not isinstance(self.payload, dict):
            raise RecordInvalid("the payload is not a JSON object")
        payload_text(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a ledger. That its hash is right, and that it follows another, is what `Chain` says.

    A record that `read_record` or `next_record` made has a payload with a canonical form and text in every field.
    """

    seq: int
    """From 1, without a gap."""
    time: datetime
    """When it was written, by the writer's clock, in UTC; the order of records is that of `seq`."""
    type: str
    environment: str
    actor: str
    payload: Mapping[str, Json]
    prev_hash: Digest
    """The hash of the record before; `GENESIS` in the first."""
    hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What stands where a record has to, and is none."""

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last record of a ledger at some moment, which stands for all before it."""

    seq: int
    hash: Digest
    time: datetime
    """That of the record."""


class Fault(StrEnum):
    """How a ledger is broken; stable codes."""

    UNREADABLE = "unreadable"
    """What stands there is no record, or not in the one form in which records are written."""
    CHANGED = "changed"
    """The record's hash is not the hash of what it says."""
    REMOVED = "removed"
    """Records are missing before this one."""
    INSERTED = "inserted"
    """The record has a number that was there already, or one that does not come next."""
    UNLINKED = "unlinked"
    """The record names another one before it than there is: either of them was replaced."""
    TRUNCATED = "truncated"
    """Records that a signed head stands for are gone from the end."""
    REWRITTEN = "rewritten"
    """The record that a signed head names is another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One thing that is wrong with a ledger."""

    seq: int
    """The record that it was seen at; of a truncation, the first that is gone."""
    fault: Fault
    message: str

    def __str__(self) -> str:
        return f"record {self.seq}: {self.message}"


def payload_text(payload: Mapping[str, Json]) -> bytes:
    """The canonical JSON of a payload.

    Raises:
        RecordInvalid: it has none, or more than `limits.RECORD` bytes.
    """
    try:
        text = canonical([dict(payload)])[1:-1]  # as deep as it stands in a record
    except NotCanonical as error:
        raise RecordInvalid(f"the payload cannot be recorded: {error}") from error
    if len(text) > limits.RECORD:
        raise RecordInvalid(f"the payload has {len(text)} bytes; at most {limits.RECORD} are recorded")
    return text


def hash_of(record: Record) -> Digest:
    """The hash that the record must have: SHA-256 over the RFC 8785 JSON of all its members but `hash`."""
    document = _document(record)
    del document["hash"]
    return digest_of(canonical(document))


def next_record(head: Head | None, entry: Entry, *, time: datetime) -> Record:
    """The record that an entry becomes after this head; None is the head of an empty ledger."""
    record = Record(
        seq=1 if head is None else head.seq + 1,
        time=parse_time(format_time(time)),
        type=entry.type,
        environment=entry.environment,
        actor=entry.actor,
        payload=entry.payload,
        prev_hash=GENESIS if head is None else head.hash,
        hash=GENESIS,
    )
    return replace(record, hash=hash_of(record))


def head_of(record: Record) -> Head:
    """The head of a ledger that ends with this record."""
    return Head(seq=record.seq, hash=record.hash, time=record.time)


def write_record(record: Record) -> bytes:
    """The record as a line of an export, without the line's end: RFC 8785 JSON of all its members."""
    return canonical(_document(record))


def read_record(line: bytes) -> Record:
    """The record that such a line is. Its hash is not looked at: that is for `Chain`.

    Raises:
        RecordInvalid: it is not the canonical JSON of a record.
    """
    if len(line) > 2 * limits.RECORD:
        raise RecordInvalid(f"more than {2 * limits.RECORD} bytes")
    try:
        document = read_canonical(line)
    except NotCanonical as error:
        raise RecordInvalid(str(error)) from error
    if not isinstance(document, dict):
        raise RecordInvalid("not a JSON object")
    return make_record(document)


def make_record(members: Mapping[str, Json]) -> Record:
    """A record of its members as they were stored.

    Raises:
        RecordInvalid: there are others, or one of them is not what stands there.
    """
    if set(members) != set(_MEMBERS):
        raise RecordInvalid(f"not exactly {', '.join(_MEMBERS)}")
    seq, prev_hash, hash_ = members["seq"], members["prev_hash"], members["hash"]
    if isinstance(seq, bool) or not isinstance(seq, int) or not 1 <= seq <= LARGEST:
        raise RecordInvalid(f"seq {shown(seq)} is no number from 1")
    for name, value in (("prev_hash", prev_hash), ("hash", hash_)):
        if not isinstance(value, str) or not is_digest(value):
            raise RecordInvalid(f"{name} {shown(value)} is no sha256 digest")
    entry = Entry(**{name: members[name] for name in ("type", "environment", "actor", "payload")})
    return Record(
        seq=seq,
        time=_time(members["time"]),
        type=entry.type,
        environment=entry.environment,
        actor=entry.actor,
        payload=entry.payload,
        prev_hash=Digest(prev_hash),
        hash=Digest(hash_),
    )


class Chain:
    """Follows records from the first, or from a head that is known to be right, and says what breaks the chain.

    After a breach it goes on from the record as it stands there, so that each thing that is wrong is told once.
    """

    __slots__ = ("_hash", "_seq", "head")

    def __init__(self, head: Head | None = None) -> None:
        self.head = head
        """The last record that was followed; None before the first."""
        self._seq = 0 if head is None else head.seq
        self._hash: Digest | None = GENESIS if head is None else head.hash

    def follow(self, found: Record | Unread) -> Iterator[Breach]:
        """What is wrong with what stands here. Exhaust it before the next one."""
        expected = self._seq + 1
        if isinstance(found, Unread):
            self._seq, self._hash = expected, None
            yield Breach(seq=expected, fault=Fault.UNREADABLE, message=found.problem)
            return
        before, self._seq, self._hash = self._hash, found.seq, found.hash
        self.head = head_of(found)
        if found.hash != hash_of(found):
            yield Breach(seq=found.seq, fault=Fault.CHANGED, message="its content was changed: its hash is another")
        if found.seq > expected:
            one = found.seq == expected + 1
            gone = f"record {expected} is" if one else f"records {expected} to {found.seq - 1} are"
            yield Breach(seq=found.seq, fault=Fault.REMOVED, message=f"before it, {gone} gone")
        elif found.seq < expected:
            yield Breach(seq=found.seq, fault=Fault.INSERTED, message=f"it stands where {expected} has to")
        elif before is not None and found.prev_hash != before:
            message = f"it follows a record of hash {found.prev_hash}, and the one before it has {before}"
            yield Breach(seq=found.seq, fault=Fault.UNLINKED, message=message)


def breaches(records: Iterable[Record | Unread], *, known: Iterable[Head] = ()) -> Iterator[Breach]:
    """Everything that is wrong with a whole ledger, which must agree with every head that is known of it."""
    heads: dict[int, set[Digest]] = {}
    for head in known:
        heads.setdefault(head.seq, set()).add(head.hash)
    chain, length = Chain(), 0
    for found in records:
        yield from chain.follow(found)
        if isinstance(found, Record):
            length = max(length, found.seq)
            if not heads.pop(found.seq, {found.hash}) <= {found.hash}:
                message = "a signed head says that another record stood there"
                yield Breach(seq=found.seq, fault=Fault.REWRITTEN, message=message)
    beyond = max(heads, default=0)
    if beyond > length:
        message = f"the ledger ends with record {length}, and a signed head knows of record {beyond}"
        yield Breach(seq=length + 1, fault=Fault.TRUNCATED, message=message)


def _document(record: Record) -> dict[str, Json]:
    return {
        "seq": record.seq,
        "time": format_time(record.time),
        "type": record.type,
        "environment": record.environment,
        "actor": record.actor,
        "payload": dict(record.payload),
        "prev_hash": record.prev_hash,
        "hash": record.hash,
    }


def _time(text: Json) -> datetime:
    """A time in the one form in which it is written: any other would be another text of the same record."""
    if isinstance(text, str):
        try:
            time = parse_time(text)
        except ValueError as error:
            raise RecordInvalid(str(error)) from error
        if format_time(time) == text:
            return time
    raise RecordInvalid(f"time {shown(text)} is not written as 2026-01-31T12:00:00.000000Z")
