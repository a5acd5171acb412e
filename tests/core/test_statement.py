"""Statements and the context in them: what is read, what is refused, and that writing and reading agree."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.predicates import TEST_RESULT
from attest.core.reference import Digest
from attest.core.statement import (
    NO_CONTEXT,
    PREFIX,
    TYPE_V01,
    TYPE_V1,
    Context,
    StatementInvalid,
    format_time,
    is_commit,
    is_lane,
    parse_time,
    read_statement,
    write_context,
    write_statement,
)
from tests.core import make

HEX = "a" * 64
OTHER_HEX = "b" * 64
VALID: dict[str, str] = write_context(make.context("fast-check", dirty=True))


def subject(sha256: Any = HEX, annotations: Any = None, **changes: Any) -> dict[str, Any]:
    """A subject as JSON."""
    whole = {"name": "image", "digest": {"sha256": sha256}, "annotations": annotations, **changes}
    return {name: value for name, value in whole.items() if value is not None}


def read(**changes: Any) -> Any:
    """What a Statement with these members reads as; a member that is `...` is left out."""
    whole: dict[str, Any] = {
        "_type": TYPE_V1,
        "subject": [subject()],
        "predicateType": "https://example.org/t",
        "predicate": {"a": 1},
    }
    whole |= changes
    return read_statement(json.dumps({name: value for name, value in whole.items() if value is not ...}).encode())


def test_a_statement_is_read() -> None:
    """Type, predicate, digests and the whole document come out as they stand."""
    statement = read(subject=[subject(), subject(OTHER_HEX)])
    assert statement.digests == {"sha256:" + HEX, "sha256:" + OTHER_HEX}
    assert (statement.predicate_type, statement.predicate) == ("https://example.org/t", {"a": 1})
    assert statement.document["_type"] == TYPE_V1
    assert statement.context is NO_CONTEXT


@pytest.mark.parametrize("kind", [TYPE_V1, TYPE_V01])
def test_both_versions_are_read(kind: str) -> None:
    """Statement v1, and v0.1 as cosign writes it."""
    assert read(_type=kind).digests == {"sha256:" + HEX}


@pytest.mark.parametrize(
    "kind", [..., None, "", "https://in-toto.io/Statement/v1 ", "https://in-toto.io/Statement/v2", [TYPE_V1], 1]
)
def test_another_type_is_refused(kind: Any) -> None:
    """Nothing but the two exact `_type`s is a Statement (CVE-2022-35929)."""
    with pytest.raises(StatementInvalid, match="is no in-toto Statement"):
        read(_type=kind)


@pytest.mark.parametrize("predicate_type", [..., None, "", 1, ["https://example.org/t"]])
def test_a_predicate_type_is_required(predicate_type: Any) -> None:
    """A Statement says what its predicate is."""
    with pytest.raises(StatementInvalid, match="no predicateType"):
        read(predicateType=predicate_type)


@pytest.mark.parametrize("predicate", [None, [], "x", 1])
def test_a_predicate_is_an_object(predicate: Any) -> None:
    """A predicate that is there is an object; one that is not there is empty."""
    with pytest.raises(StatementInvalid, match="the predicate is not a JSON object"):
        read(predicate=predicate)
    assert read(predicate=...).predicate == {}


@pytest.mark.parametrize(
    ("payload", "message"), [(b"", "not strict JSON"), (b"[]", "not a JSON object"), (b'{"a":1,"a":2}', "stands twice")]
)
def test_a_payload_is_a_strict_json_object(payload: bytes, message: str) -> None:
    """The signed bytes are read as strictly as everything else."""
    with pytest.raises(StatementInvalid, match=message):
        read_statement(payload)


@pytest.mark.parametrize("subjects", [..., None, [], {}, "x"])
def test_a_subject_is_required(subjects: Any) -> None:
    """A Statement is about something."""
    with pytest.raises(StatementInvalid, match="no subject"):
        read(subject=subjects)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("x", r"subject\[1\] is not a JSON object"),
        ({"name": "x"}, r"subject\[1\] has no digest"),
        ({"digest": {}}, r"subject\[1\] has no digest"),
        ({"digest": ["sha256"]}, r"subject\[1\] has no digest"),
        ({"digest": {"sha256": None}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": 1}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": ""}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": "B" * 64}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": "b" * 63}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": "b" * 65}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": "b" * 64 + "\n"}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": "sha256:" + "b" * 64}}, r"subject\[1\] has a malformed sha256"),
        ({"digest": {"sha256": "\u0661" * 64}}, r"subject\[1\] has a malformed sha256"),
        (subject(), f"the subject sha256:{HEX} stands twice"),
        (subject(OTHER_HEX, []), r"the annotations of subject\[1\] are not a JSON object"),
        (subject(OTHER_HEX, {PREFIX + "lane": "x"}), "do not carry the same context"),
    ],
)
def test_a_malformed_subject_makes_the_statement_invalid(item: Any, message: str) -> None:
    """One subject that is malformed, doubled or of another context is enough; the message says which."""
    with pytest.raises(StatementInvalid, match=message):
        read(subject=[subject(), item])


def test_subjects_are_limited_exactly() -> None:
    """1,024 subjects are read, and one more is refused."""
    many = [subject(f"{number:064x}") for number in range(limits.SUBJECTS + 1)]
    assert len(read(subject=many[1:]).digests) == limits.SUBJECTS
    with pytest.raises(StatementInvalid, match="more than 1024 subjects"):
        read(subject=many)


def test_a_subject_of_another_kind_is_no_image() -> None:
    """A subject without sha256 is read and names no image, and a Statement with one is not about images alone."""
    both = read(subject=[subject(), {"digest": {"sha512": "c" * 128}}])
    assert both.digests == {"sha256:" + HEX}
    assert both.subject_count == 2
    assert not both.is_exactly_about(both.digests)
    assert read().is_exactly_about(both.digests)
    assert not read().is_exactly_about(both.digests | {make.digest("more")})
    assert not read().is_exactly_about(frozenset({make.digest("other")}))
    assert not read(subject=[subject(), subject(OTHER_HEX)]).is_exactly_about(both.digests)
    assert read(subject=[{"digest": {"gitCommit": "c" * 40}}]).digests == frozenset()


def test_a_context_is_read() -> None:
    """Every annotation of ours is read into the field that it is of."""
    assert read(subject=[subject(annotations=VALID)]).context == make.context("fast-check", dirty=True)


def test_other_annotations_are_nobodys_business() -> None:
    """Annotations without our prefix may have any value and differ between subjects."""
    one, two = subject(annotations={**VALID, "x": 1}), subject(OTHER_HEX, {**VALID, "attest-gatelane": []})
    assert read(subject=[one, two]).context == make.context("fast-check", dirty=True)
    assert read(subject=[subject(annotations={"org.example/lane": "x"})]).context is NO_CONTEXT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lane", ""),
        ("lane", "Fast"),
        ("lane", "a\n"),
        ("lane", "-a"),
        ("lane", "a" * 65),
        ("repository", "git.example.org/plex/playlist"),
        ("repository", "https://GIT.example.org/plex/playlist"),
        ("repository", "https://git.example.org/plex/playlist.git"),
        ("repository", "https://git.example.org/plex/playlist/"),
        ("repository", "ssh://git@git.example.org/plex/playlist"),
        ("commit", "abc1234"),
        ("commit", "C" * 40),
        ("commit", "c" * 41),
        ("commit", "c" * 40 + "\n"),
        ("ref", ""),
        ("ref", "refs/heads/\x1b[31m"),
        ("ref", "refs/heads/\x85"),
        ("ref", "r" * 1025),
        ("run-id", "1\n2"),
        ("run-attempt", "01"),
        ("run-attempt", "1_0"),
        ("run-attempt", "-1"),
        ("run-attempt", " 1"),
        ("run-attempt", "\u0661"),
        ("run-attempt", "1" * 19),
        ("job", "\x7f"),
        ("run-url", ""),
        ("started", "2026-07-01"),
        ("finished", "2026-07-01T12:00:00+00:00"),
        ("dirty", "false"),
        ("dirty", ""),
    ],
)
def test_a_malformed_annotation_makes_the_statement_invalid(name: str, value: str) -> None:
    """A value outside its grammar is refused, and the message names the annotation."""
    with pytest.raises(StatementInvalid, match=f"annotation '{PREFIX}{name}'"):
        read(subject=[subject(annotations={**VALID, PREFIX + name: value})])


@pytest.mark.parametrize("name", sorted(VALID))
@pytest.mark.parametrize("value", [None, 1, True, [], {}])
def test_an_annotation_is_a_string(name: str, value: Any) -> None:
    """No annotation of ours is read from another type, null included."""
    with pytest.raises(StatementInvalid, match=f"annotation '{name}' is not a string"):
        read(subject=[subject(annotations={**VALID, name: value})])


def test_an_unknown_annotation_of_ours_is_refused() -> None:
    """A key with our prefix that nobody knows might matter, so nobody can know what was meant."""
    with pytest.raises(StatementInvalid, match="unknown annotation 'attest-gate/Lane'"):
        read(subject=[subject(annotations={**VALID, PREFIX + "Lane": "x"})])


def test_a_context_has_a_lane() -> None:
    """A context that names no lane is refused: it would be taken for a foreign tool's evidence."""
    without = {name: value for name, value in VALID.items() if name != PREFIX + "lane"}
    with pytest.raises(StatementInvalid, match="a context without a lane"):
        read(subject=[subject(annotations=without)])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),
        ("2026-07-01T12:00:00.5Z", datetime(2026, 7, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-07-01T23:59:59.000001Z", datetime(2026, 7, 1, 23, 59, 59, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, moment: datetime) -> None:
    """RFC 3339 in UTC, with as many as six decimals."""
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is UTC or parse_time(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-07-01",
        "2026-07-01T12:00:00",
        "2026-07-01T12:00:00z",
        "2026-07-01 12:00:00Z",
        "2026-07-01T12:00:00+00:00",
        "2026-07-01T12:00:00.Z",
        "2026-07-01T12:00:00.1234567Z",
        "2026-07-01T12:00:60Z",
        "2026-07-01T12:60:00Z",
        "2026-07-01T24:00:00Z",
        "2026-07-01T25:00:00Z",
        "2026-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-07-01T12:00:00Z\n",
        "2026-W01-1T12:00:00Z",
        "\u0662026-07-01T12:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Other forms of ISO 8601, other zones, impossible times, leap seconds and 24:00 are refused."""
    with pytest.raises(ValueError, match=r"time|day|month|hour|minute|second|year"):
        parse_time(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_being_written(moment: datetime) -> None:
    """Every moment from the year 1 on is written with a four-digit year and microseconds, and read back."""
    assert len(format_time(moment)) == len("2026-07-01T12:00:00.000000Z")
    assert parse_time(format_time(moment)) == moment


def test_a_time_is_written_in_utc() -> None:
    """A time in another zone is the same moment in UTC."""
    moment = datetime(2026, 7, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2026-06-30T23:30:00.000000Z"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a", True),
        ("fast-check", True),
        ("a.b_c-1", True),
        ("a" * 64, True),
        ("", False),
        ("a" * 65, False),
        ("A", False),
        ("a-", False),
        (".a", False),
        ("a/b", False),
        ("a\n", False),
    ],
)
def test_names_of_lanes(text: str, is_one: bool) -> None:
    """Lower-case letters and digits, with . _ - between them, at most 64."""
    assert is_lane(text) is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a" * 40, True),
        ("0" * 64, True),
        ("a" * 39, False),
        ("a" * 41, False),
        ("A" * 40, False),
        ("a" * 40 + "\n", False),
        ("g" * 40, False),
    ],
)
def test_ids_of_commits(text: str, is_one: bool) -> None:
    """Full SHA-1 and SHA-256 commit ids alone: an abbreviation is not a commit."""
    assert is_commit(text) is is_one


@pytest.mark.parametrize(
    ("run_id", "number"),
    [(None, None), ("0", 0), ("12345678901", 12345678901), ("9" * 18, 10**18 - 1)]
    + [(text, None) for text in ("", "07", "1a", "-1", "1_0", " 1", "\u0661", "9" * 19, "1.0")],
)
def test_a_run_id_is_a_number_or_has_no_order(run_id: str | None, number: int | None) -> None:
    """Plain decimal numbers are run numbers; everything that Python's `int` also takes is not."""
    assert Context(run_id=run_id).run_number == number


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
TIMES = st.datetimes(timezones=st.just(UTC))
CONTEXTS = st.builds(
    Context,
    lane=st.sampled_from(["a", "fast-check", "e2e.9_x", "z" * 64]),
    repository=st.none() | st.sampled_from([make.REPOSITORY, "http://localhost:3000/a/b"]),
    commit=st.none() | st.sampled_from(["c" * 40, "0123456789abcdef" * 4]),
    ref=st.none() | LINES,
    run_id=st.none() | LINES,
    run_attempt=st.none() | st.integers(0, 10**18 - 1),
    job=st.none() | LINES,
    run_url=st.none() | LINES,
    started=st.none() | TIMES,
    finished=st.none() | TIMES,
    dirty=st.booleans(),
)


@given(CONTEXTS, st.sets(st.text(max_size=3).map(make.digest), min_size=1, max_size=4))
def test_a_statement_survives_being_written(context: Context, digests: set[Digest]) -> None:
    """Whatever context and subjects are written are read back, the same."""
    payload = write_statement(
        subjects=dict.fromkeys(digests, "n\u00e4me"),
        context=context,
        predicate_type=TEST_RESULT,
        predicate={"a": [1.5]},
    )
    statement = read_statement(payload)
    assert statement.context == context
    assert statement.is_exactly_about(frozenset(digests))
    assert statement.predicate == {"a": [1.5]}


def test_a_statement_without_context_carries_no_annotations() -> None:
    """Evidence for an unlabelled lane is written as other tools write it."""
    payload = write_statement(
        subjects={make.digest("a"): "a"}, context=NO_CONTEXT, predicate_type="https://example.org/t", predicate={}
    )
    assert json.loads(payload) == {
        "_type": TYPE_V1,
        "subject": [{"name": "a", "digest": {"sha256": make.digest("a")[7:]}}],
        "predicateType": "https://example.org/t",
        "predicate": {},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subjects": {}}, "no subject"),
        ({"predicate_type": ""}, "no predicateType"),
        ({"context": Context(lane="No Lane")}, "is no lane"),
        ({"context": Context(commit="c" * 40)}, "a context without a lane"),
        ({"predicate": {"a": float("nan")}}, "no JSON can be written"),
        ({"predicate": {"a": object()}}, "no JSON can be written"),
        ({"predicate": {"a": "\ud800"}}, "no JSON can be written"),
        ({"predicate": {"a": 10**20}}, "an integer of more than 20 digits"),
    ],
)
def test_nothing_is_written_that_would_not_be_read(changes: dict[str, Any], message: str) -> None:
    """Writing refuses what reading would refuse, with the same exception."""
    whole = {"subjects": {make.digest("a"): "a"}, "context": make.context(), "predicate_type": "t", "predicate": {}}
    with pytest.raises(StatementInvalid, match=message):
        write_statement(**{**whole, **changes})
