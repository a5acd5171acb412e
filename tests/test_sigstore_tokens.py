"""Identity tokens: where they are found, what is refused, and that they are nobody else's business."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.tokens import Token, find_token
from attest.errors import (
    AttestError,
    DocumentInvalid,
    ServiceFailed,
    TokenAudience,
    TokenExpired,
    TokenUnusable,
    UsageError,
)
from tests import faulty_service as faulty
from tests.faulty_service import FaultyService
from tests.parts.process import LOOPBACK, free_port
from tests.parts.sigstore_issuer import TokenIssuer

BEARER = "a-bearer-token-that-nobody-may-see"


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    """A forge that hands out tokens."""
    with TokenIssuer().running() as running:
        yield running


@pytest.fixture
def service() -> Iterator[FaultyService]:
    """A token service that does what a test wants."""
    with FaultyService().running() as running:
        yield running


def find(environment: dict[str, str] | None = None, *, file: str | None = None, seconds: float = 30) -> Token:
    """What is found at this moment."""
    network = Network(deadline=Deadline(seconds))
    return find_token(environment or {}, file=file, network=network, now=datetime.now(UTC))


def asking(url: str) -> dict[str, str]:
    """The variables of a job that has to ask there."""
    return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER}


# ---- where it is found


def test_a_job_asks_its_forge(issuer: TokenIssuer) -> None:
    """With the variables of Forgejo and GitHub the token is asked for, for Sigstore and nobody else."""
    token = find(issuer.job_environment(run_id="7"))
    assert token.claims.audiences == {"sigstore"}
    assert token.claims.issuer == issuer.issuer
    assert token.claims.job is not None
    assert token.claims.job.run_id == "7"
    assert token.place == "the forge's token service"


@pytest.mark.parametrize("query", ["", "?placeholder=true", "?api-version=2.0&x=a%26b", "?audience=others&y="])
def test_the_forge_is_asked_as_its_reference_says(query: str, service: FaultyService, issuer: TokenIssuer) -> None:
    """The address keeps its query and gets the audience, once; the bearer token goes in the header."""
    service.answer = faulty.says(200, {"value": issuer.token(), "count": 1})
    find(asking(f"{service.url}/token{query}"))
    (asked,) = service.asked
    parts = urlsplit(asked.target)
    expected = {**parse_qs(query.removeprefix("?"), keep_blank_values=True), "audience": ["sigstore"]}
    assert (asked.method, parts.path) == ("GET", "/token")
    assert parse_qs(parts.query, keep_blank_values=True) == expected
    assert asked.headers["authorization"] == f"Bearer {BEARER}"


def test_a_variable_is_taken_first(issuer: TokenIssuer) -> None:
    """`SIGSTORE_ID_TOKEN`, as a GitLab job has it, is used before a service is asked."""
    environment = {**issuer.job_environment(run_id="8"), "SIGSTORE_ID_TOKEN": f"\n {issuer.token(run_id='7')} \n"}
    token = find(environment)
    assert token.claims.job is not None
    assert token.claims.job.run_id == "7"
    assert token.place == "SIGSTORE_ID_TOKEN"


def test_a_file_wins_over_everything(issuer: TokenIssuer, tmp_path: Path) -> None:
    """A file that the command line names is used, and white space around the token is not part of it."""
    path = tmp_path / "token"
    text = issuer.token(run_id="6")
    path.write_text(f"\n\t {text} \r\n")
    environment = {**issuer.job_environment(), "SIGSTORE_ID_TOKEN": issuer.token()}
    token = find(environment, file=str(path))
    assert (token.text, token.place) == (text, str(path))


def test_what_passes_is_asked_again(service: FaultyService, issuer: TokenIssuer) -> None:
    """A token service that is busy at first is asked once more."""
    good = faulty.says(200, {"value": issuer.token()})

    def first_busy(handler: faulty.Handler, asked: faulty.Asked) -> None:
        (faulty.says(503, {}) if len(service.asked) == 1 else good)(handler, asked)

    service.answer = first_busy
    assert find(asking(service.url)).claims.issuer == issuer.issuer
    assert len(service.asked) == 2


# ---- where there is none


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "--identity-token"),
        ({"FORGEJO_ACTIONS": "true", "GITHUB_ACTIONS": "true"}, "enable-openid-connect: true"),
        ({"GITEA_ACTIONS": "true", "GITHUB_ACTIONS": "true"}, "sign with --key"),
        ({"GITLAB_CI": "true"}, "SIGSTORE_ID_TOKEN: {aud: sigstore}"),
        ({"GITHUB_ACTIONS": "true"}, "id-token: write"),
        ({"SIGSTORE_ID_TOKEN": ""}, "--identity-token"),
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": "https://git.example.org"}, "--identity-token"),
        ({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER}, "--identity-token"),
    ],
    ids=str,
)
def test_each_forge_has_its_own_hint(environment: dict[str, str], words: str) -> None:
    """Without a token the error says what the job of this forge lacks."""
    with pytest.raises(UsageError, match="no identity token") as caught:
        find(environment)
    assert words in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    """A missing file or a folder is an error of the document that the command line names."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(DocumentInvalid) as caught:
        find(file=str(tmp_path / name))
    assert caught.value.file == str(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"no token", b"a.b.c", b"A" * 200_000])
def test_a_file_without_a_token_is_refused(content: bytes, tmp_path: Path) -> None:
    """What is empty, no text, no token or too large is refused, and not repeated."""
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(DocumentInvalid) as caught:
        find(file=str(path))
    assert "no token" not in caught.value.problem


# ---- what cannot be used


def test_another_audience_has_its_own_code(issuer: TokenIssuer) -> None:
    """A token for somebody else is refused before it is sent anywhere."""
    with pytest.raises(TokenAudience, match=r"'https://elsewhere\.example' and not 'sigstore'") as caught:
        find({"SIGSTORE_ID_TOKEN": issuer.token(aud="https://elsewhere.example")})
    assert caught.value.exit_code == 2


def test_an_expired_token_has_its_own_code(issuer: TokenIssuer) -> None:
    """A token whose time is over is refused before it is sent anywhere, and the hint says what to do."""
    past = int((datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    with pytest.raises(TokenExpired, match="it expired at 2") as caught:
        find({"SIGSTORE_ID_TOKEN": issuer.token(exp=past)})
    assert caught.value.exit_code == 2
    assert "in the step that signs" in (caught.value.hint or "")


def test_a_malformed_token_has_its_own_code(issuer: TokenIssuer) -> None:
    """A token without an issuer is unusable, wherever it came from."""
    for environment in ({"SIGSTORE_ID_TOKEN": issuer.token(iss=None)}, issuer.job_environment(iss=None)):
        with pytest.raises(TokenUnusable, match="'iss'") as caught:
            find(environment)
        assert caught.value.code == "token-unusable"


# ---- services that fail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (faulty.says(401, {"message": "unauthorized"}), "answered 401: unauthorized"),
        (faulty.says(403, b"<html>"), "answered 403"),
        (faulty.says(500, ["a"]), "answered 500"),
        (faulty.says(503, {"message": 5}), "answered 503"),
        (faulty.says(200, b""), "without a token"),
        (faulty.says(200, b"{"), "without a token"),
        (faulty.says(200, b"\xff"), "without a token"),
        (faulty.says(200, []), "without a token"),
        (faulty.says(200, {}), "without a token"),
        (faulty.says(200, {"value": ""}), "without a token"),
        (faulty.says(200, {"value": ["a"]}), "without a token"),
        (faulty.says(200, b'{"value":"a","value":"b"}'), "without a token"),
        (faulty.redirects, "redirect"),
        (faulty.breaks_off, "broke off"),
        (faulty.no_http, "broke off"),
        (faulty.endless, "more than"),
    ],
)
def test_a_token_service_that_fails_is_named(answer: faulty.Answer, words: str, service: FaultyService) -> None:
    """Whatever a token service does but give a token, the error is 3 and says which service did what."""
    service.answer = answer
    with pytest.raises(ServiceFailed, match=words) as caught:
        find(asking(f"{service.url}/token?a=b"))
    assert f"the forge's token service at {service.url}" in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("answer", [faulty.silent, faulty.drips, faulty.drips_headers])
def test_a_slow_token_service_ends_with_the_deadline(answer: faulty.Answer, service: FaultyService) -> None:
    """A service that is silent, or sends a byte at a time, does not keep the command beyond its time."""
    service.answer = answer
    with pytest.raises(ServiceFailed, match="did not answer in time") as caught:
        find(asking(service.url), seconds=0.7)
    assert "--timeout" in (caught.value.hint or "")


def test_a_dead_token_service_is_named() -> None:
    """Where nobody listens, the error says so."""
    url = f"http://{LOOPBACK}:{free_port()}"
    with pytest.raises(ServiceFailed, match=f"{url} refused the connection"):
        find(asking(url))


def test_a_name_without_an_address_is_named() -> None:
    """A host that nobody knows is an error of the service."""
    with pytest.raises(ServiceFailed, match=r"token service at https://forge\.invalid"):
        find(asking("https://forge.invalid/token"))


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example.org/token",
        "http://127.0.0.1.example.org/token",
        "ftp://127.0.0.1/token",
        "https://user@git.example.org/token",
        "https://",
        "https://[git/",
        "file:///etc/passwd",
        "token",
    ],
)
def test_the_bearer_token_goes_over_https_only(url: str) -> None:
    """Plain http beyond loopback, another scheme or no address at all: nothing is sent."""
    with pytest.raises(UsageError, match="neither https nor on loopback"):
        find(asking(url))


def test_proxies_and_netrc_have_no_part(
    service: FaultyService, issuer: TokenIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a proxy of the environment nor a password in .netrc changes where a token goes, or which."""
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {LOOPBACK} login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    service.answer = faulty.says(200, {"value": issuer.token()})
    find(asking(service.url))
    assert service.asked[0].headers["authorization"] == f"Bearer {BEARER}"


# ---- secrecy


@pytest.mark.parametrize("kind", ["repeated", "no issuer", "no expiry", "file", "variable", "good"])
def test_no_token_is_ever_shown(
    kind: str, service: FaultyService, issuer: TokenIssuer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the token nor the bearer token stands in an error, its causes, a representation or a log."""
    caplog.set_level(logging.DEBUG)
    bad = issuer.token(aud="others", jti="canary-in-the-claims")
    path = tmp_path / "token"
    path.write_text(bad)
    answers = {
        "repeated": faulty.repeats_authorization,
        "no issuer": faulty.says(200, {"value": issuer.token(iss=None)}),
        "no expiry": faulty.says(200, {"value": issuer.token(exp=None)}),
    }
    service.answer = answers.get(kind, faulty.says(200, {"value": issuer.token()}))
    said = []
    try:
        token = find(
            {"SIGSTORE_ID_TOKEN": bad} if kind == "variable" else asking(service.url),
            file=str(path) if kind == "file" else None,
        )
        said.append(repr(token))
        assert kind == "good"
    except AttestError as error:
        following: BaseException | None = error
        while following is not None:
            said += [str(following), repr(following)]
            following = following.__cause__
        said.append(error.hint or "")
    said.append(caplog.text)
    text = "\n".join(said)
    assert BEARER not in text
    assert "canary-in-the-claims" not in text
    assert "eyJ" not in text
