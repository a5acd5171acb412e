"""Where the identity token of a job comes from: a file, a variable, or the forge's token service.

GitHub and Forgejo (from version 15) hand a job an address and a bearer token to ask with, in
`ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`; GitLab puts tokens into variables that the job
names, of which `SIGSTORE_ID_TOKEN` is the one that Sigstore's tools agree on. The token is a password for as long as
it lives: it stands in no error, no representation and no log.

The library `id` asks GitHub in the same way, but over any scheme, following redirects, and it quotes the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attest.adapters.files import read_file
from attest.core import limits
from attest.core.lane.identitytoken import AUDIENCE, TokenClaims, TokenInvalid, read_token
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import ServiceFailed, TokenAudience, TokenExpired, TokenUnusable, UsageError

if TYPE_CHECKING:
    from attest.adapters.sigstore.exchange import Network

_VARIABLE: Final = "SIGSTORE_ID_TOKEN"
_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
_BEARER: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_ERRORS: Final = {"token-expired": TokenExpired, "token-audience": TokenAudience}
_HINTS: Final = {
    "FORGEJO_ACTIONS": "the job needs `enable-openid-connect: true` and Forgejo 15 or later; a fork's pull request "
    "gets no token",
    "GITEA_ACTIONS": "Gitea hands out no identity tokens: sign with --key",
    "GITLAB_CI": f"the job needs `id_tokens: {{{_VARIABLE}: {{aud: {AUDIENCE}}}}}`",
    "GITHUB_ACTIONS": "the job needs `permissions: id-token: write`; a fork's pull request gets no token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An identity token, and what it claims."""

    text: str = field(repr=False)
    place: str
    """Where it came from: a file, a variable or a service."""
    claims: TokenClaims


def find_token(environment: Mapping[str, str], *, file: str | None, network: Network, now: datetime) -> Token:
    """The token in the file (`-` is standard input), else the one of the job that this is.

    Raises:
        UsageError: no file is given, and this is no job that can have a token.
        TokenUnusable, TokenExpired, TokenAudience: it is none that a certificate authority would take.
        ServiceFailed: the forge's token service did not give one.
    """
    if file is not None:
        place = "standard input" if file == "-" else file
        return _checked(_decoded(read_file(file, limit=limits.TOKEN_ANSWER), place), place, now)
    text = environment.get(_VARIABLE)
    if text:
        return _checked(text, _VARIABLE, now)
    url, bearer = environment.get(_URL), environment.get(_BEARER)
    if url and bearer:
        return _checked(_asked(url, bearer, network), "the forge's token service", now)
    raise UsageError("there is no identity token to sign with", hint=_hint(environment))


def _hint(environment: Mapping[str, str]) -> str:
    for variable, hint in _HINTS.items():
        if environment.get(variable, "").lower() == "true":
            return hint
    return "--identity-token FILE names one; in a job of Forgejo, GitHub or GitLab it is found"


def _checked(text: str, place: str, now: datetime) -> Token:
    text = text.strip()
    try:
        claims = read_token(text)
        claims.check_usable(now)
    except TokenInvalid as error:
        kind = _ERRORS.get(error.code, TokenUnusable)
        raise kind(f"the identity token cannot be used: {error}", file=place, hint=_advice(error.code)) from None
    return Token(text=text, place=place, claims=claims)


def _advice(code: str) -> str | None:
    match code:
        case "token-expired":
            return "forges make tokens that live for minutes: ask for one in the step that signs"
        case "token-audience":
            return f"the token has to be asked for with the audience {AUDIENCE}"
        case _:
            return None


def _decoded(content: bytes, place: str) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise TokenUnusable("the identity token cannot be used: it is not text", file=place) from None


def _asked(url: str, bearer: str, network: Network) -> str:
    """Ask as GitHub's reference for OpenID Connect says; Forgejo's address is made to be asked in the same way."""
    from attest.adapters.sigstore.exchange import Service, answering, is_safe

    if not is_safe(url):
        raise UsageError(f"{_URL} is neither https nor on loopback, so the job's secret is not sent there")
    parts = urlsplit(url)
    service = Service(name="the forge's token service", url=f"{parts.scheme}://{parts.netloc}")
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "audience"]
    target = urlunsplit(parts._replace(query=urlencode([*query, ("audience", AUDIENCE)])))
    with answering(service), network.session(service) as session:
        response = session.get(target, headers={"Authorization": f"Bearer {bearer.strip()}"})
    try:
        document = loads(response.content)
    except JsonInvalid:
        document = None
    value = document.get("value") if isinstance(document, dict) else None
    if not isinstance(value, str) or not value:
        raise ServiceFailed(f"{service} answered without a token")
    return value
