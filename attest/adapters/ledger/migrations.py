"""The tables of a ledger, as numbered steps: what a database has is the number in its `attest_schema`.

A step is never changed once it was released; a new one is added. Records are never rewritten by a step: their hashes
are over their content, and the columns hold exactly that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from attest.adapters.ledger.address import Engine

Statements = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step."""

    number: int
    statements: Mapping[Engine, Statements]


_VERSIONS: Final = "CREATE TABLE attest_schema (version BIGINT NOT NULL PRIMARY KEY, applied TEXT NOT NULL)"

_RECORDS: Final = """
CREATE TABLE attest_record (
    seq BIGINT NOT NULL PRIMARY KEY CHECK (seq >= 1),
    time TEXT NOT NULL,
    type TEXT NOT NULL,
    environment TEXT NOT NULL,
    actor TEXT NOT NULL,
    payload TEXT NOT NULL,
    prev_hash TEXT NOT NULL UNIQUE CHECK (length(prev_hash) = 71),
    hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 71)
)
"""
"""`payload` is the canonical JSON, byte for byte. The unique columns make a fork impossible."""

_LEASES: Final = """
CREATE TABLE attest_lease (
    environment TEXT NOT NULL PRIMARY KEY,
    token BIGINT NOT NULL,
    holder TEXT,
    since TEXT NOT NULL,
    expires TEXT NOT NULL,
    present BIGINT NOT NULL
)
"""
"""The one table that changes. `holder` is null where the lease was given back; `token` never goes down; `present` is 1
where the holder has the file lock beside a SQLite ledger."""

_SQLITE_TRIGGERS: Final = (
    "CREATE TRIGGER attest_record_update BEFORE UPDATE ON attest_record"
    " BEGIN SELECT RAISE(ABORT, 'a ledger is append-only'); END",
    "CREATE TRIGGER attest_record_delete BEFORE DELETE ON attest_record"
    " BEGIN SELECT RAISE(ABORT, 'a ledger is append-only'); END",
    # Without this one, INSERT OR REPLACE would delete without asking the trigger above.
    "CREATE TRIGGER attest_record_insert BEFORE INSERT ON attest_record WHEN"
    " NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM attest_record) OR NEW.prev_hash <>"
    " coalesce((SELECT hash FROM attest_record ORDER BY seq DESC LIMIT 1),"
    " 'sha256:0000000000000000000000000000000000000000000000000000000000000000')"
    " BEGIN SELECT RAISE(ABORT, 'a record follows the last one'); END",
)

_POSTGRESQL_TRIGGERS: Final = (
    "CREATE FUNCTION attest_record_refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
    " BEGIN RAISE EXCEPTION 'a ledger is append-only'; END $$",
    "CREATE TRIGGER attest_record_change BEFORE UPDATE OR DELETE OR TRUNCATE ON attest_record"
    " FOR EACH STATEMENT EXECUTE FUNCTION attest_record_refuse()",
    "CREATE FUNCTION attest_record_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM attest_record) OR NEW.prev_hash <>"
    " coalesce((SELECT hash FROM attest_record ORDER BY seq DESC LIMIT 1),"
    " 'sha256:0000000000000000000000000000000000000000000000000000000000000000')"
    " THEN RAISE EXCEPTION 'a record follows the last one'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER attest_record_insert BEFORE INSERT ON attest_record"
    " FOR EACH ROW EXECUTE FUNCTION attest_record_follow()",
)

MIGRATIONS: Final = (
    Migration(
        number=1,
        statements={
            Engine.SQLITE: (_VERSIONS, _RECORDS, *_SQLITE_TRIGGERS),
            Engine.POSTGRESQL: (_VERSIONS, _RECORDS, *_POSTGRESQL_TRIGGERS),
        },
    ),
    Migration(number=2, statements={Engine.SQLITE: (_LEASES,), Engine.POSTGRESQL: (_LEASES,)}),
)

LATEST: Final = MIGRATIONS[-1].number
