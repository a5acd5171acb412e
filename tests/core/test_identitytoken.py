"""`attest.core.lane.identitytoken`: what a token claims, how strictly it is read, and what it confirms of a context."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.lane.identitytoken import Disagreement, TokenClaims, TokenInvalid, disagreements, read_token
from attest.core.statement import Context

NOW = datetime(2026, 5, 6, 12, 0, 0, tzinfo=UTC)
COMMIT = 40 * "a"
SOURCE = "https://git.example.org/plex/playlist"

BASIC: Mapping[str, Any] = {
    "sub": "repo:plex/playlist:ref:refs/heads/main",
    "aud": "sigstore",
    "iat": int(NOW.timestamp()),
    "nbf": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 3600,
}
FORGEJO: Mapping[str, Any] = {
    **BASIC,
    "iss": "https://git.example.org/api/actions",
    "repository": "plex/playlist",
    "sha": COMMIT,
    "ref": "refs/heads/main",
    "run_id": "792",
    "run_number": "188",
    "run_attempt": "1",
    "event_name": "push",
}
GITHUB: Mapping[str, Any] = {**FORGEJO, "iss": "https://token.actions.githubusercontent.com"}
GITLAB: Mapping[str, Any] = {
    **BASIC,
    "iss": "https://git.example.org",
    "project_path": "plex/playlist",
    "sha": COMMIT,
    "ref": "main",
    "ref_type": "branch",
    "ref_path": "refs/heads/main",
    "pipeline_id": "792",
    "pipeline_source": "push",
    "job_id": "1",
}
CONTEXT: Mapping[str, Any] = {
    "lane": "unit",
    "repository": SOURCE,
    "commit": COMMIT,
    "ref": "refs/heads/main",
    "run_id": "792",
    "run_attempt": 1,
}


def part(content: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def raw(payload: bytes, header: bytes = b'{"alg":"RS256","typ":"JWT"}', signature: str = "c2ln") -> str:
    """A token of these bytes."""
    return f"{part(header)}.{part(payload)}.{signature}"


def token(claims: Mapping[str, Any], **changed: Any) -> str:
    """A token of these claims; None leaves one out."""
    merged = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    return raw(json.dumps(merged).encode())


def read(claims: Mapping[str, Any], **changed: Any) -> TokenClaims:
    """The claims as they are read."""
    return read_token(token(claims, **changed))


def differing(claims: Mapping[str, Any], context: Mapping[str, Any] = CONTEXT, **changed: Any) -> list[str]:
    """What token and context disagree about."""
    return [one.what for one in disagreements(read(claims, **changed), Context(**context))]


# ---- reading


def test_an_independent_library_writes_what_is_read() -> None:
    """A token that PyJWT made is read: issuer, subject, audience, times."""
    claims = read_token(jwt.encode(dict(FORGEJO), 32 * "k", algorithm="HS256"))
    assert (claims.issuer, claims.subject) == (FORGEJO["iss"], FORGEJO["sub"])
    assert claims.audiences == {"sigstore"}
    assert (claims.begins, claims.expires) == (NOW, NOW + timedelta(hours=1))


def test_several_audiences_are_read() -> None:
    """`aud` may be a list (RFC 7519 4.1.3)."""
    assert read(FORGEJO, aud=["other", "sigstore"]).audiences == {"other", "sigstore"}


def test_a_token_begins_when_all_its_claims_say_so() -> None:
    """The later of `iat` and `nbf` counts, and `nbf` may be missing."""
    assert read(FORGEJO, nbf=BASIC["iat"] + 7).begins == NOW + timedelta(seconds=7)
    assert read(FORGEJO, nbf=BASIC["iat"] - 7).begins == NOW
    assert read(FORGEJO, nbf=None).begins == NOW


def test_a_time_may_have_a_fraction() -> None:
    """A NumericDate need not be whole (RFC 7519 2)."""
    assert read(FORGEJO, exp=BASIC["exp"] + 0.5).expires == NOW + timedelta(hours=1, seconds=0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c.d",
        token(FORGEJO) + ".",
        token(FORGEJO).rpartition(".")[0] + ".",
        token(FORGEJO) + "=",
        token(FORGEJO) + "\n",
        " " + token(FORGEJO),
        token(FORGEJO).replace(".", "=.", 1),
        raw(b"[]"),
        raw(b"{"),
        raw(b'{"iss":"a","iss":"b"}'),
        raw(b"\xff"),
        raw(json.dumps(FORGEJO).encode(), header=b"[]"),
        raw(json.dumps(FORGEJO).encode(), header=b"{}"),
        raw(json.dumps(FORGEJO).encode(), header=b'{"alg":5}'),
        raw(json.dumps(FORGEJO).encode(), header=b'{"alg":""}'),
        raw(json.dumps(FORGEJO).encode(), header=b'{"alg":"None"}'),
        raw(json.dumps(FORGEJO).encode(), signature="c2lh"[:1]),
        raw(json.dumps(FORGEJO).encode(), signature="c2l"[:2] + "h"),
        raw(json.dumps(FORGEJO).encode(), signature="c2+n"),
        raw(json.dumps(FORGEJO).encode(), signature="A" * 200_000),
    ],
)
def test_what_is_no_token_is_not_read(text: str) -> None:
    """Anything but three parts of canonical base64url, a signing algorithm and strict JSON objects is refused."""
    with pytest.raises(TokenInvalid) as caught:
        read_token(text)
    assert caught.value.code == "token-unusable"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": None},
        {"iss": ""},
        {"iss": 5},
        {"sub": None},
        {"sub": ["a"]},
        {"aud": None},
        {"aud": []},
        {"aud": ["sigstore", 5]},
        {"aud": ["sigstore", ""]},
        {"aud": {"a": "sigstore"}},
        {"iat": None},
        {"iat": "now"},
        {"nbf": True},
        {"exp": None},
        {"exp": True},
        {"exp": 10**19},
        {"exp": -(10**18)},
        {"repository": 5},
        {"repository": "playlist"},
        {"repository": "plex/playlist/more"},
        {"repository": "plex/../playlist"},
        {"repository": "plex/.."},
        {"iss": "https://git.example.org"},
        {"iss": "https://token.actions.githubusercontent.com.example.org"},
        {"iss": "https://token.actions.a.b.ghe.com"},
        {"sha": "abc"},
        {"sha": 40 * "A"},
        {"sha": 5},
        {"ref": 5},
        {"run_id": 1.5},
        {"run_id": True},
        {"run_attempt": "first"},
        {"run_attempt": "01"},
        {"event_name": 5},
        {"federated_claims": "a"},
        {"federated_claims": {"connector_id": 5}},
    ],
    ids=str,
)
def test_a_claim_that_is_not_what_it_should_be_is_refused(changed: dict[str, Any]) -> None:
    """A missing or malformed claim, plain http beyond loopback, or a forge that is not known is an error."""
    with pytest.raises(TokenInvalid) as caught:
        read(FORGEJO, **changed)
    assert caught.value.code == "token-unusable"


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ("git.example.org/api/actions", "is no https URL"),
        ("ftp://git.example.org/api/actions", "is no https URL"),
        ("https:///api/actions", "is no https URL"),
        ("https://[git/api/actions", "is no https URL"),
        ("https://git.example.org/a b/api/actions", "is no https URL"),
        ("https://git.example.org/\u00e9/api/actions", "is no https URL"),
        ("https://git.example.org?/api/actions", "is no https URL"),
        ("https://git.example.org#/api/actions", "is no https URL"),
        ("https://me@git.example.org/api/actions", "is no https URL"),
        ("https://@git.example.org/api/actions", "is no https URL"),
        ("http://git.example.org/api/actions", "for loopback only"),
        ("http://127.0.0.1.example.org/api/actions", "for loopback only"),
        ("http://localhost.example.org/api/actions", "for loopback only"),
    ],
)
def test_an_issuer_is_an_address_that_is_safe(issuer: str, words: str) -> None:
    """An issuer that is no plain https URL is refused, and one over plain http unless it is on loopback."""
    with pytest.raises(TokenInvalid, match=words):
        read(FORGEJO, iss=issuer)


@given(st.text(max_size=200) | st.builds(raw, st.binary(max_size=200)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but TokenInvalid comes out of any text."""
    with contextlib.suppress(TokenInvalid):
        read_token(text)


@given(st.sampled_from(sorted(FORGEJO)), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_any_claim_is_read_or_refused(name: str, value: Any) -> None:
    """Whatever stands in a claim, reading and comparing either works or ends with TokenInvalid."""
    payload = json.dumps({**FORGEJO, name: value}).encode()
    with contextlib.suppress(TokenInvalid):
        disagreements(read_token(raw(payload)), Context(**CONTEXT))


def test_no_error_repeats_the_token() -> None:
    """A token that cannot be read does not stand in the message, nor does any part of it."""
    for text in (token(FORGEJO) + "=", token(FORGEJO, exp="secret-secret"), "secret-secret.b", "a.secret-secret.c"):
        with pytest.raises(TokenInvalid) as caught:
            read_token(text)
        assert not [
            piece for piece in (*text.split("."), "secret-secret") if len(piece) > 8 and piece in str(caught.value)
        ]
        assert caught.value.__cause__ is None


def test_who_vouches_for_a_person_is_read() -> None:
    """A token that passes on another issuer's word says whose it is; most do not."""
    federated = {"connector_id": "https://accounts.example.org", "user_id": "7"}
    assert read(BASIC, iss="https://dex.example.org", federated_claims=federated).federated_issuer == (
        "https://accounts.example.org"
    )
    assert read(FORGEJO).federated_issuer is None
    assert read(FORGEJO, federated_claims={}).federated_issuer is None


# ---- whether it can be used


def test_a_token_for_sigstore_can_be_used_until_it_expires() -> None:
    """It counts from a minute before it begins, since clocks differ, to the moment before it ends."""
    claims = read(FORGEJO)
    for moment in (NOW - timedelta(seconds=60), NOW, NOW + timedelta(seconds=3599)):
        claims.check_usable(moment)


@pytest.mark.parametrize(
    ("changed", "seconds", "code", "words"),
    [
        ({"aud": "others"}, 0, "token-audience", "'others' and not 'sigstore'"),
        ({"aud": ["sigstore2", "b"]}, 0, "token-audience", "'b', 'sigstore2'"),
        ({}, 3600, "token-expired", "expired at 2026-05-06 13:00:00 UTC"),
        ({}, 36000, "token-expired", "expired"),
        ({}, -61, "token-unusable", "only begins at 2026-05-06 12:00:00 UTC"),
    ],
)
def test_another_audience_and_another_time_are_refused(
    changed: dict[str, Any], seconds: int, code: str, words: str
) -> None:
    """A token for others, one that has ended, and one that begins later have a code and words of their own."""
    with pytest.raises(TokenInvalid, match=words) as caught:
        read(FORGEJO, **changed).check_usable(NOW + timedelta(seconds=seconds))
    assert caught.value.code == code


def test_another_audience_can_be_asked_for() -> None:
    """The audience is compared with the one that is wanted, which need not be Sigstore's usual one."""
    read(FORGEJO, aud="private").check_usable(NOW, audience="private")
    with pytest.raises(TokenInvalid):
        read(FORGEJO).check_usable(NOW, audience="private")


# ---- which repository is meant


@pytest.mark.parametrize(
    ("claims", "issuer", "repository"),
    [
        (FORGEJO, "https://git.example.org/api/actions", SOURCE),
        (FORGEJO, "https://git.example.org/forgejo/api/actions", "https://git.example.org/forgejo/plex/playlist"),
        (FORGEJO, "http://127.0.0.1:3000/api/actions", "http://127.0.0.1:3000/plex/playlist"),
        (FORGEJO, "http://localhost:3000/api/actions", "http://localhost:3000/plex/playlist"),
        (FORGEJO, "http://[::1]:3000/api/actions", "http://[::1]:3000/plex/playlist"),
        (GITHUB, "https://token.actions.githubusercontent.com", "https://github.com/plex/playlist"),
        (GITHUB, "https://token.actions.githubusercontent.com/example", "https://github.com/plex/playlist"),
        (GITHUB, "https://token.actions.example.ghe.com", "https://example.ghe.com/plex/playlist"),
        (GITHUB, "https://token.actions.example.ghe.com/example", "https://example.ghe.com/plex/playlist"),
        (GITHUB, "https://git.example.org/_services/token", SOURCE),
        (GITLAB, "https://git.example.org", SOURCE),
        (GITLAB, "https://git.example.org/gitlab", "https://git.example.org/gitlab/plex/playlist"),
    ],
)
def test_the_repository_is_joined_to_its_forge(claims: Mapping[str, Any], issuer: str, repository: str) -> None:
    """The forge's address comes out of the issuer, for each of the forges and their forms."""
    job = read(claims, iss=issuer).job
    assert job is not None
    assert job.repository == repository


def test_a_project_may_lie_in_groups_of_groups() -> None:
    """GitLab's path has as many parts as there are groups."""
    job = read(GITLAB, project_path="plex/music/playlist").job
    assert job is not None
    assert job.repository == "https://git.example.org/plex/music/playlist"


def test_a_token_that_is_no_job_confirms_and_denies_nothing() -> None:
    """The token of a person names no source, so there is nothing that could disagree."""
    claims = read({**BASIC, "iss": "https://accounts.example.org", "email": "me@example.org"})
    assert claims.job is None
    assert disagreements(claims, Context(**CONTEXT)) == ()


# ---- what it confirms


@pytest.mark.parametrize("claims", [FORGEJO, GITHUB, GITLAB], ids=["forgejo", "github", "gitlab"])
def test_a_job_confirms_its_own_context(claims: Mapping[str, Any]) -> None:
    """The context of the same job on each forge has nothing that the token denies."""
    repository = "https://github.com/plex/playlist" if claims is GITHUB else SOURCE
    assert differing(claims, {**CONTEXT, "repository": repository}) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"repository": "https://git.example.org/plex/other"}, "repository"),
        ({"repository": "https://other.example.org/plex/playlist"}, "repository"),
        ({"repository": "https://git.example.org/plex/Playlist"}, "repository"),
        ({"commit": 40 * "b"}, "commit"),
        ({"ref": "refs/heads/other"}, "ref"),
        ({"ref": "refs/tags/main"}, "ref"),
        ({"run_id": "793"}, "run"),
        ({"run_id": "0792"}, "run"),
        ({"run_attempt": 2}, "attempt"),
    ],
    ids=str,
)
@pytest.mark.parametrize("claims", [FORGEJO, GITLAB], ids=["forgejo", "gitlab"])
def test_each_value_is_compared(claims: Mapping[str, Any], changed: dict[str, Any], what: str) -> None:
    """Every single value that differs is found, alone."""
    assert differing(claims, {**CONTEXT, **changed}) == [what]


def test_all_differences_are_named() -> None:
    """Several differences are all there, in the order of the context."""
    context = {**CONTEXT, "repository": "https://a.example/b/c", "commit": 64 * "b", "ref": "refs/heads/b"}
    context |= {"run_id": "1", "run_attempt": 9}
    assert differing(FORGEJO, context) == ["repository", "commit", "ref", "run", "attempt"]


@pytest.mark.parametrize("name", ["ref", "run_id", "run_attempt"])
def test_what_the_context_leaves_out_cannot_disagree(name: str) -> None:
    """A context that names no ref, run or attempt claims nothing about them."""
    assert differing(FORGEJO, {**CONTEXT, name: None}) == []


@pytest.mark.parametrize(
    ("claims", "name", "what"),
    [
        (FORGEJO, "sha", ["commit"]),
        (FORGEJO, "ref", ["ref"]),
        (FORGEJO, "run_id", ["run"]),
        (FORGEJO, "run_attempt", []),
        (GITLAB, "sha", ["commit"]),
        (GITLAB, "pipeline_id", ["run"]),
        (GITLAB, "job_id", []),
    ],
)
def test_what_the_token_leaves_out_is_not_confirmed(claims: Mapping[str, Any], name: str, what: list[str]) -> None:
    """A missing or empty claim confirms nothing; only the attempt may be missing."""
    for nothing in (None, ""):
        assert differing({**claims, name: nothing}) == what


def test_numbers_may_be_written_as_numbers() -> None:
    """A run id or an attempt is the same whether it stands there as text or as a number."""
    assert differing(FORGEJO, run_id=792, run_attempt=1) == []
    assert differing(FORGEJO, run_id=793, run_attempt=2) == ["run", "attempt"]


@pytest.mark.parametrize(
    ("changed", "ref"),
    [
        ({"ref_path": None}, "refs/heads/main"),
        ({"ref_path": None, "ref_type": "tag"}, "refs/tags/main"),
        ({"ref_path": None, "ref_type": None}, None),
        ({"ref_path": None, "ref_type": "other"}, None),
        ({"ref_path": None, "ref": None}, None),
        ({"ref_path": "refs/merge-requests/3/head"}, "refs/merge-requests/3/head"),
    ],
    ids=str,
)
def test_the_ref_of_gitlab_is_made_full(changed: dict[str, Any], ref: str | None) -> None:
    """The full ref counts where the token has it, else it is made of name and kind."""
    job = read(GITLAB, **changed).job
    assert job is not None
    assert job.ref == ref


# ---- pull requests


def test_the_merge_commit_of_a_pull_request_is_another_commit() -> None:
    """On GitHub the token names the merge commit and the context the head: nothing may be signed over that."""
    head = {**CONTEXT, "repository": "https://github.com/plex/playlist", "ref": "refs/pull/3/head"}
    merge = {"sha": 40 * "c", "ref": "refs/pull/3/merge", "event_name": "pull_request"}
    claims = read(GITHUB, **merge)
    assert [one.what for one in disagreements(claims, Context(**head))] == ["commit", "ref"]
    assert claims.job is not None
    assert claims.job.proposed
    said = {**head, "commit": 40 * "c", "ref": "refs/pull/3/merge"}
    assert disagreements(claims, Context(**said)) == ()


def test_the_pull_request_of_forgejo_names_its_head() -> None:
    """Forgejo's token carries the head commit and its ref, as the context does."""
    head = {**CONTEXT, "ref": "refs/pull/3/head"}
    assert differing(FORGEJO, head, ref="refs/pull/3/head", event_name="pull_request") == []


@pytest.mark.parametrize("source", ["merge_request_event", "external_pull_request_event"])
def test_merge_requests_are_told_apart(source: str) -> None:
    """A pipeline of a merge request is known as one, one of a push is not."""
    requested, pushed = read(GITLAB, pipeline_source=source).job, read(GITLAB).job
    assert requested is not None
    assert pushed is not None
    assert (requested.proposed, pushed.proposed) == (True, False)


@pytest.mark.parametrize("event", ["push", "", None])
def test_a_run_without_a_request_is_no_pull_request(event: str | None) -> None:
    """Another event, or none at all, is no pull request."""
    job = read(FORGEJO, event_name=event).job
    assert job is not None
    assert not job.proposed


# ---- words


def test_a_disagreement_says_both_sides() -> None:
    """The words name what it is about, what the token says and what the context says."""
    assert str(Disagreement(what="commit", token="a", context="b")) == (
        "the commit is 'a' in the token and 'b' in the context"
    )
    assert str(Disagreement(what="ref", token=None, context="b")) == "the token names no ref, the context says 'b'"
