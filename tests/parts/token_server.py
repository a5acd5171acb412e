"""A token server of the tests' own (distribution's JWT tokens), which records what it is asked."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import json
import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization

from tests.parts import ca, loopback, web

SERVICE = "attest tests"
ISSUER = "attest tests token server"
_TOKEN_SECONDS = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that reached the token server; `query` holds every value of every parameter."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    authorization: str | None
    status: int


class TokenServer:
    """Gives tokens to one user; what it was asked stands in `asked`, oldest first.

    The realm is plain http on `localhost`: some clients refuse a realm on another port of a loopback address.
    """

    def __init__(self, directory: Path, *, username: str, password: str) -> None:
        self.asked: list[Asked] = []
        self._authority = ca.make_authority(directory, "token-signer")
        self._expected = web.basic(username, password)
        self._username = username
        self._lock = threading.Lock()
        self._http = loopback.Server(_handler(self))

    @property
    def realm(self) -> str:
        """The URL that a registry names as its realm."""
        return f"http://localhost:{self._http.port}/token"

    @property
    def roots(self) -> Path:
        """The PEM file with the certificate that the tokens are signed under."""
        return self._authority.certificate_file

    def answer(self, method: str, target: str, authorization: str | None) -> tuple[int, bytes]:
        """Status and JSON body for one request, which is recorded."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        granted = method == "GET" and parts.path == "/token" and self._is_user(authorization)
        asked = Asked(
            method=method,
            path=parts.path,
            query=query,
            authorization=authorization,
            status=200 if granted else 401,
        )
        with self._lock:
            self.asked.append(asked)
        if not granted:
            return 401, json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "who is asking?"}]}).encode()
        token = self._token(query.get("scope", []))
        return 200, json.dumps({"token": token, "expires_in": _TOKEN_SECONDS}).encode()

    @contextlib.contextmanager
    def running(self) -> Iterator[TokenServer]:
        """Answer requests until the block ends."""
        with self._http.running():
            yield self

    def _is_user(self, authorization: str | None) -> bool:
        return authorization is not None and secrets.compare_digest(authorization, self._expected)

    def _token(self, scopes: list[str]) -> str:
        now = datetime.datetime.now(datetime.UTC)
        claims = {
            "iss": ISSUER,
            "sub": self._username,
            "aud": SERVICE,
            "nbf": now - datetime.timedelta(seconds=10),
            "iat": now,
            "exp": now + datetime.timedelta(seconds=_TOKEN_SECONDS),
            "jti": uuid.uuid4().hex,
            "access": [_access(part) for scope in scopes for part in scope.split()],
        }
        der = self._authority.certificate.public_bytes(serialization.Encoding.DER)
        chain = [base64.b64encode(der).decode()]
        return jwt.encode(claims, self._authority.key, algorithm="ES256", headers={"x5c": chain})


def _access(scope: str) -> dict[str, object]:
    """`repository:NAME:pull,push` as the registry wants it in a token; a NAME may hold a port's colon."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _handler(server: TokenServer) -> type[loopback.Handler]:
    class Handler(loopback.Handler):
        def respond(self) -> None:
            self.body()
            status, body = server.answer(self.command, self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
