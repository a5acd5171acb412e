"""An OpenID provider of the tests' own whose tokens look like those of Forgejo Actions."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.parts import loopback

_KEY_ID = "tests"
_TOKEN_SECONDS = 3600
_DISCOVERY = "/.well-known/openid-configuration"
_KEYS = "/.well-known/keys"
_REQUEST = "/request/"
COMMIT = "5f0c1d7a9e3b2c4d6e8f00112233445566778899"


class TokenIssuer:
    """Issues RS256 tokens for several forges on one loopback port, each under `http://HOST/NAME/api/actions`.

    `issuer` is that of the forge which most tests use, `other_issuer` that of a second one, `unknown_issuer`
    that of a third, which a Fulcio of the tests is not told about.
    """

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._http = loopback.Server(_handler(self))
        self._requests: dict[str, Mapping[str, object]] = {}
        self._lock = threading.Lock()
        base = f"http://{self._http.host}"
        self.issuer = f"{base}/api/actions"
        self.other_issuer = f"{base}/other/api/actions"
        self.unknown_issuer = f"{base}/unknown/api/actions"

    @contextlib.contextmanager
    def running(self) -> Iterator[TokenIssuer]:
        """Answer requests until the block ends."""
        with self._http.running():
            yield self

    def token(self, **claims: object) -> str:
        """A token of a push to `main`; a claim given here replaces the usual one, None leaves it out."""
        return self._sign(claims, self._key)

    def forged(self, **claims: object) -> str:
        """The same token under a key that the issuer does not publish."""
        return self._sign(claims, self._foreign)

    def job_environment(self, **claims: object) -> dict[str, str]:
        """The variables through which a job asks its forge for a token, which will have these claims.

        The audience is what the job asks for; Forgejo's own default is the owner's page.
        """
        name = secrets.token_hex(8)
        with self._lock:
            self._requests[name] = claims
        url = self.issuer.removesuffix("/api/actions") + f"{_REQUEST}{name}?api-version=2.0"
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": f"job-{name}"}

    def answer(self, target: str, authorization: str | None) -> tuple[int, Mapping[str, object]]:
        """Status and JSON document for one GET."""
        parts = urlsplit(target)
        if parts.path.startswith(_REQUEST):
            return self._hand_out(parts.path.removeprefix(_REQUEST), parse_qs(parts.query), authorization)
        for issuer in (self.issuer, self.other_issuer, self.unknown_issuer):
            path = urlsplit(issuer).path
            if parts.path == path + _DISCOVERY:
                return 200, _configuration(issuer)
            if parts.path == path + _KEYS:
                return 200, {"keys": [self._public()]}
        return 404, {"message": "not found"}

    def _hand_out(
        self, name: str, query: Mapping[str, list[str]], authorization: str | None
    ) -> tuple[int, Mapping[str, object]]:
        with self._lock:
            claims = self._requests.get(name)
        if claims is None or authorization not in {f"Bearer job-{name}", f"bearer job-{name}"}:
            return 401, {"message": "unauthorized"}
        audience = query.get("audience", [self.issuer.removesuffix("/api/actions") + "/plex"])[0]
        return 200, {"value": self.token(**{"aud": audience, **claims})}

    def _public(self) -> dict[str, object]:
        numbers = self._key.public_key().public_numbers()
        shown = {"n": _unpadded(numbers.n), "e": _unpadded(numbers.e)}
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": _KEY_ID, **shown}

    def _sign(self, claims: Mapping[str, object], key: rsa.RSAPrivateKey) -> str:
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        usual: dict[str, object] = {
            "iss": self.issuer,
            "aud": "sigstore",
            "iat": now,
            "nbf": now,
            "exp": now + _TOKEN_SECONDS,
            "actor": "alice",
            "actor_id": "7",
            "base_ref": "",
            "event_name": "push",
            "head_ref": "",
            "ref": "refs/heads/main",
            "ref_protected": "true",
            "ref_type": "branch",
            "repository": "plex/playlist",
            "repository_id": "12",
            "repository_owner": "plex",
            "repository_owner_id": "3",
            "run_attempt": "1",
            "run_id": "1564",
            "run_number": "43",
            "sha": COMMIT,
            "workflow": "check.yml",
            "workflow_ref": "plex/playlist/.forgejo/workflows/check.yml@refs/heads/main",
        }
        wanted = {**usual, **claims}
        wanted.setdefault("sub", f"repo:{wanted['repository']}:ref:{wanted['ref']}")
        present = {name: value for name, value in wanted.items() if value is not None}
        return jwt.encode(present, key, algorithm="RS256", headers={"kid": _KEY_ID})


def _configuration(issuer: str) -> Mapping[str, object]:
    return {
        "issuer": issuer,
        "jwks_uri": issuer + _KEYS,
        "subject_types_supported": ["public"],
        "response_types_supported": ["id_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
    }


def _unpadded(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _handler(issuer: TokenIssuer) -> type[loopback.Handler]:
    class Handler(loopback.Handler):
        def respond(self) -> None:
            self.body()
            status, document = issuer.answer(self.path, self.headers.get("Authorization"))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
