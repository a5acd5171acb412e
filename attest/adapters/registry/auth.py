"""Authentication to one registry: Basic, and tokens from the realm that it names.

A registry that is asked for nothing can still name any realm. So credentials go to the registry itself and to
hosts that the user named, and nowhere else (CVE-2026-48978, CVE-2026-50151).
Sources: distribution, "Token Authentication" and "OAuth2 Token Authentication"; RFC 6750; RFC 7617.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from attest.adapters.registry.challenge import Challenge, parse_challenges
from attest.adapters.registry.transport import Answer, Request
from attest.adapters.registry.url import Origin, Url, parse_url
from attest.core import limits
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import AccessDenied, StoreError, StoreMisbehaved

if TYPE_CHECKING:
    from attest.adapters.registry.credentials import Credentials

_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_CLIENT: Final = "attest"


class Authenticator:
    """Knows, for each scope, the `Authorization` header that the registry wants. Threads may share it."""

    def __init__(
        self,
        *,
        host: str,
        registry: Origin,
        token_hosts: frozenset[str],
        find_credentials: Callable[[], Credentials | None],
        send: Callable[[Request], Answer],
    ) -> None:
        """`send` repeats what may be repeated, and neither follows redirects nor authenticates."""
        self._host = host
        self._registry = registry
        self._token_hosts = token_hosts
        self._find_credentials = find_credentials
        self._send = send
        self._lock = threading.Lock()
        self._ready = False
        self._credentials: Credentials | None = None
        self._challenge: Challenge | None = None
        self._headers: dict[str, str | None] = {}

    def authorization(self, scope: str) -> str | None:
        """The header for the first try, or None for none.

        One thread asks `/v2/` and the realm, the others wait for it. Where no credentials are known and the
        registry is on loopback over plain http, nothing is asked.

        Raises:
            AttestError: credentials cannot be read, or the registry or its realm refused or misbehaved.
        """
        with self._lock:
            if not self._ready:
                self._credentials = self._find_credentials()
                if self._credentials is not None or self._registry.scheme == "https" or not self._registry.is_loopback:
                    self._challenge = self._ask()
                self._ready = True
            if scope not in self._headers:
                known = self._challenge if self._can_answer(self._challenge) else None
                self._headers[scope] = None if known is None else self._answer_to(known, scope)
            return self._headers[scope]

    def renew(self, scope: str, refused: str | None, answer: Answer) -> str:
        """The header for one more try after a 401 that `refused` was answered with.

        Raises:
            AccessDenied: there is nothing else to try.
            AttestError: as `authorization`.
        """
        with self._lock:
            current = self._headers.get(scope)
            if current is not None and current != refused:
                return current
            challenge = self._best(answer)
            if challenge is None:
                raise self._denied()
            header = self._answer_to(challenge, scope)
            if header == refused:
                raise self._denied()
            self._challenge = challenge
            self._headers[scope] = header
            return header

    def _ask(self) -> Challenge | None:
        url = Url(origin=self._registry, target="/v2/")
        answer = self._send(Request(method="GET", url=url, what=f"its API at {self._host}", limit=limits.TOKEN_ANSWER))
        return self._best(answer) if answer.status == 401 else None

    def _best(self, answer: Answer) -> Challenge | None:
        try:
            challenges = parse_challenges(answer.headers.getlist("WWW-Authenticate"))
        except ValueError as error:
            raise StoreMisbehaved(f"{self._host} asks for authentication in an unreadable way: {error}") from error
        known = {challenge.scheme: challenge for challenge in reversed(challenges)}
        return known.get("bearer") or known.get("basic")

    def _can_answer(self, challenge: Challenge | None) -> bool:
        """Whether there is an answer to try: a token may be had without credentials, a password may not.

        What wants a password at `/v2/` may still be open where images are.
        """
        return challenge is not None and (
            challenge.scheme == "bearer" or (self._credentials is not None and self._credentials.identity_token is None)
        )

    def _answer_to(self, challenge: Challenge, scope: str) -> str:
        if challenge.scheme == "bearer":
            return "Bearer " + self._token(challenge, scope)
        if self._credentials is None or self._credentials.identity_token is not None:
            raise self._denied()
        return self._credentials.basic

    def _token(self, challenge: Challenge, scope: str) -> str:
        realm = self._checked_realm(challenge.parameters.get("realm"))
        what = f"a token for {self._host}"
        query: dict[str, str | list[str]] = {"scope": scope}
        if service := challenge.parameters.get("service"):
            query["service"] = service
        known = self._credentials
        if known is not None and known.identity_token is not None:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": _CLIENT,
                **query,
            }
            request = Request(
                method="POST",
                url=realm,
                what=what,
                limit=limits.TOKEN_ANSWER,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(form).encode("ascii"),
            )
        else:
            joint = "&" if "?" in realm.target else "?"
            query["scope"] = scope.split(" ")  # a parameter for each repository, as the specification has it
            request = Request(
                method="GET",
                url=Url(origin=realm.origin, target=f"{realm.target}{joint}{urlencode(query, doseq=True)}"),
                what=what,
                limit=limits.TOKEN_ANSWER,
                headers={} if known is None else {"Authorization": known.basic},
            )
        answer = self._send(request)
        if answer.status in (400, 401, 403):
            raise self._denied()
        if answer.status != 200:
            raise StoreError(f"{realm.origin.authority} answered {answer.status} when asked for {what}")
        return self._token_of(answer.body, realm.origin)

    def _token_of(self, body: bytes, origin: Origin) -> str:
        try:
            document: Json = loads(body)
        except JsonInvalid:
            document = None
        token = (document.get("token") or document.get("access_token")) if isinstance(document, dict) else None
        if not isinstance(token, str) or _BEARER_TOKEN.fullmatch(token) is None:
            raise StoreMisbehaved(f"{origin.authority} answered no token for {self._host}")
        return token

    def _checked_realm(self, text: str | None) -> Url:
        try:
            realm = parse_url(text or "")
        except ValueError as error:
            raise StoreMisbehaved(f"{self._host} names no usable realm for tokens: {error}") from error
        origin = realm.origin
        if origin.scheme == "http" and self._registry.scheme != "http":
            raise AccessDenied(f"{self._host} wants credentials sent over plain http to {origin.authority}")
        own = (origin.host, origin.port) == (self._registry.host, self._registry.port)
        if not own and origin.authority not in self._token_hosts:
            raise AccessDenied(
                f"{self._host} wants credentials sent to {origin.authority}, which is another place",
                hint=f"if it is the registry's own token service, say so: --token-host {origin.authority}",
            )
        return realm

    def _denied(self) -> AccessDenied:
        if self._credentials is None:
            return AccessDenied(f"{self._host} wants credentials", hint=f"docker login {self._host}")
        return AccessDenied(
            f"{self._host} refused the credentials of docker's configuration",
            hint=f"docker login {self._host} renews them; an account may also lack the right for this repository",
        )
