"""in-toto Statements, and the context that attest keeps in them.

Sources: in-toto attestation spec v1 (`statement.md`, `resource_descriptor.md`, `digest_set.md`); Statement v0.1 is
read as well, since cosign writes it. The context stands in the annotations of each subject, because third-party
predicates have no room for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from attest.core import limits
from attest.core.reference import Digest, is_digest
from attest.core.source import normalise_repository
from attest.core.strictjson import Json, JsonInvalid, loads, shown

TYPE_V1: Final = "https://in-toto.io/Statement/v1"
TYPE_V01: Final = "https://in-toto.io/Statement/v0.1"
PREFIX: Final = "attest-gate/"

_LANE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")
_PRINTABLE = re.compile(r"[ -~\xa0-\U0010ffff]{1,1024}")


class StatementInvalid(ValueError):
    """The bytes are no Statement that may be signed or believed."""


class Context(NamedTuple):
    """Which lane this is about, what source it looked at, in which run, and when. Times are UTC."""

    lane: str | None = None
    repository: str | None = None
    commit: str | None = None
    ref: str | None = None
    run_id: str | None = None
    run_attempt: int | None = None
    job: str | None = None
    run_url: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    dirty: bool = False
    """The work tree had changes that are not in the commit."""

    @property
    def run_number(self) -> int | None:
        """The run id, where it is a number: such runs of one repository have an order."""
        return int(self.run_id) if self.run_id is not None and _NUMBER.fullmatch(self.run_id) else None


NO_CONTEXT: Final = Context()


class Statement(NamedTuple):
    """A Statement as it was read: `digests` are the sha256 digests of its subjects, without order."""

    digests: frozenset[Digest]
    subject_count: int
    """Of all subjects, those too that have no sha256 digest and so can be no image."""
    predicate_type: str
    predicate: Mapping[str, Json]
    context: Context
    document: Mapping[str, Json]

    def is_exactly_about(self, digests: frozenset[Digest]) -> bool:
        """Whether its subjects are these images and nothing else."""
        return self.digests == digests and self.subject_count == len(digests)


def is_lane(text: str) -> bool:
    """Whether the text can name a lane: lower-case letters, digits and . _ - between them, at most 64."""
    return _LANE.fullmatch(text) is not None


def is_commit(text: str) -> bool:
    """Whether the text is a full commit id: 40 or 64 lower-case hexadecimal digits."""
    return _COMMIT.fullmatch(text) is not None


def parse_time(text: str) -> datetime:
    """An RFC 3339 time in UTC, ending in Z, with at most microseconds.

    Raises:
        ValueError: it is anything else, a leap second included.
    """
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is no time; write 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(text)


def format_time(moment: datetime) -> str:
    """RFC 3339, in UTC, with microseconds: the only form that is written."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def read_statement(payload: bytes) -> Statement:
    """The Statement that a verified payload is.

    Raises:
        StatementInvalid: not strict JSON, another `_type`, no predicate type, no subjects, a malformed or doubled
            digest, or a context that is malformed or not the same for all subjects.
    """
    try:
        document = loads(payload)
    except JsonInvalid as error:
        raise StatementInvalid(f"not strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise StatementInvalid("not a JSON object")
    if document.get("_type") not in (TYPE_V1, TYPE_V01):
        raise StatementInvalid(f"_type {shown(document.get('_type'))} is no in-toto Statement")
    predicate_type = document.get("predicateType")
    if not isinstance(predicate_type, str) or not predicate_type:
        raise StatementInvalid("no predicateType")
    predicate = document.get("predicate", {})
    if not isinstance(predicate, dict):
        raise StatementInvalid("the predicate is not a JSON object")
    subjects: Json = document.get("subject")
    digests, context = _subjects(subjects)
    return Statement(digests, len(subjects), predicate_type, predicate, context, document)


def write_statement(
    *, subjects: Mapping[Digest, str], context: Context, predicate_type: str, predicate: Mapping[str, Json]
) -> bytes:
    """A Statement v1 about these digests, each with the name given, all with the same context.

    Raises:
        StatementInvalid: what would be written is not what `read_statement` accepts.
    """
    annotations = write_context(context)
    document = {
        "_type": TYPE_V1,
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}, "annotations": annotations}
            if annotations
            else {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for digest, name in subjects.items()
        ],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    try:
        payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise StatementInvalid(f"no JSON can be written of it: {error}") from error
    read_statement(payload)
    return payload


def write_context(context: Context) -> dict[str, str]:
    """The annotations that say the same as the context."""
    values = {
        "lane": context.lane,
        "repository": context.repository,
        "commit": context.commit,
        "ref": context.ref,
        "run-id": context.run_id,
        "run-attempt": None if context.run_attempt is None else str(context.run_attempt),
        "job": context.job,
        "run-url": context.run_url,
        "started": None if context.started is None else format_time(context.started),
        "finished": None if context.finished is None else format_time(context.finished),
        "dirty": "true" if context.dirty else None,
    }
    return {PREFIX + name: value for name, value in values.items() if value is not None}


def _subjects(subjects: Json) -> tuple[frozenset[Digest], Context]:
    if not isinstance(subjects, list) or not subjects:
        raise StatementInvalid("no subject")
    if len(subjects) > limits.SUBJECTS:
        raise StatementInvalid(f"more than {limits.SUBJECTS} subjects")
    digests: set[Digest] = set()
    contexts: list[dict[str, Json]] = []
    for position, subject in enumerate(subjects):
        if not isinstance(subject, dict):
            raise StatementInvalid(f"subject[{position}] is not a JSON object")
        digest = _sha256(subject.get("digest"), position)
        if digest in digests:
            raise StatementInvalid(f"the subject {digest} stands twice")
        if digest is not None:
            digests.add(digest)
        annotations = subject.get("annotations")
        if annotations is None:
            annotations = {}
        elif not isinstance(annotations, dict):
            raise StatementInvalid(f"the annotations of subject[{position}] are not a JSON object")
        contexts.append(annotations)
    if len(contexts) > 1 and any(map(_own(contexts[0]).__ne__, map(_own, contexts))):
        raise StatementInvalid("the subjects do not carry the same context")
    return frozenset(digests), _context(contexts[0])


def _own(annotations: dict[str, Json]) -> dict[str, Json]:
    """The annotations that are ours; whatever else stands there is no part of the context."""
    return {name: value for name, value in annotations.items() if name.startswith(PREFIX)}


def _sha256(digest_set: Json, position: int) -> Digest | None:
    if not isinstance(digest_set, dict) or not digest_set:
        raise StatementInvalid(f"subject[{position}] has no digest")
    if "sha256" not in digest_set:
        return None
    hexadecimal = digest_set["sha256"]
    if not isinstance(hexadecimal, str) or not is_digest("sha256:" + hexadecimal):
        raise StatementInvalid(f"subject[{position}] has a malformed sha256")
    return Digest("sha256:" + hexadecimal)


def _context(annotations: dict[str, Json]) -> Context:
    fields: dict[str, Any] = {}
    for name, value in annotations.items():
        entry = _FIELDS.get(name)
        if entry is None:
            if not name.startswith(PREFIX):
                continue
            raise StatementInvalid(f"unknown annotation {shown(name)}")
        if not isinstance(value, str):
            raise StatementInvalid(f"annotation {name!r} is not a string")
        field, matches, what, convert = entry
        if matches(value) is None:
            raise StatementInvalid(f"annotation {name!r}: {shown(value)} is no {what}")
        if convert is None:
            fields[field] = value
            continue
        try:
            fields[field] = convert(value)
        except ValueError as error:
            raise StatementInvalid(f"annotation {name!r}: {error}") from error
    if not fields:
        return NO_CONTEXT
    if "lane" not in fields:
        raise StatementInvalid("a context without a lane")
    return Context(**fields)


def _repository(text: str) -> str:
    if normalise_repository(text) != text:
        raise ValueError(f"{shown(text)} is not in normal form; write {shown(normalise_repository(text))}")
    return text


def _true(text: str) -> bool:
    if text != "true":
        raise ValueError(f"{shown(text)} is not 'true'")
    return True


_Field = tuple[str, Callable[[str], re.Match[str] | None], str, Callable[[str], Any] | None]
"""The name in `Context`, what the text looks like, what that is called, and what else is made of it."""

_FIELDS: Final[Mapping[str, _Field]] = {
    PREFIX + "lane": ("lane", _LANE.fullmatch, "lane", None),
    PREFIX + "repository": ("repository", _PRINTABLE.fullmatch, "line of text", _repository),
    PREFIX + "commit": ("commit", _COMMIT.fullmatch, "full commit id", None),
    PREFIX + "ref": ("ref", _PRINTABLE.fullmatch, "line of text", None),
    PREFIX + "run-id": ("run_id", _PRINTABLE.fullmatch, "line of text", None),
    PREFIX + "run-attempt": ("run_attempt", _NUMBER.fullmatch, "number", int),
    PREFIX + "job": ("job", _PRINTABLE.fullmatch, "line of text", None),
    PREFIX + "run-url": ("run_url", _PRINTABLE.fullmatch, "line of text", None),
    PREFIX + "started": ("started", _TIME.fullmatch, "time; write 2026-01-31T12:00:00Z", datetime.fromisoformat),
    PREFIX + "finished": ("finished", _TIME.fullmatch, "time; write 2026-01-31T12:00:00Z", datetime.fromisoformat),
    PREFIX + "dirty": ("dirty", _PRINTABLE.fullmatch, "line of text", _true),
}
