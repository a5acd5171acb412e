"""A registry that the tests started: where it is, who may use it, and how to ask it something."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from tests.parts import web

_MANIFEST_TYPES = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A running registry.

    `host` is `HOST:PORT`; `ca_file` is what its certificate needs where `scheme` is https.
    `docker_config_dir` is a value for DOCKER_CONFIG, with the registry's credentials where it wants any.
    `namespace` is what every repository name starts with (`USER/` on a forge).
    """

    name: str
    host: str
    scheme: str
    docker_config_dir: Path
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None
    namespace: str = ""

    @property
    def url(self) -> str:
        """Scheme and host, without a slash at the end."""
        return f"{self.scheme}://{self.host}"

    def fresh_repository(self) -> str:
        """The name of a repository that nobody has used yet, as `HOST:PORT/[NAMESPACE/]NAME`."""
        return f"{self.host}/{self.namespace}sample-{uuid.uuid4().hex[:12]}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> web.Answer:
        """Send a request to `path`, with the user's credentials where they are asked for."""
        sent = {"Accept": _MANIFEST_TYPES, **(headers or {})}
        first = web.request(method, self.url + path, headers=sent, body=body, ca_file=self.ca_file)
        challenge = first.headers.get("www-authenticate", "")
        if first.status != 401 or self.username is None or self.password is None:
            return first
        credentials = web.basic(self.username, self.password)
        if challenge.lower().startswith("bearer"):
            credentials = "Bearer " + self._token(challenge, credentials)
        sent["Authorization"] = credentials
        return web.request(method, self.url + path, headers=sent, body=body, ca_file=self.ca_file)

    def manifest(self, repository: str, reference: str) -> web.Answer:
        """GET a manifest by tag or digest; `repository` is as `fresh_repository` gives it."""
        return self.ask("GET", f"/v2/{repository.removeprefix(self.host + '/')}/manifests/{reference}")

    def referrers(self, repository: str, digest: str) -> web.Answer:
        """GET the referrers API for a digest; `repository` is as `fresh_repository` gives it."""
        return self.ask("GET", f"/v2/{repository.removeprefix(self.host + '/')}/referrers/{digest}")

    def _token(self, challenge: str, credentials: str) -> str:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        query = urlencode({name: fields[name] for name in ("service", "scope") if name in fields})
        answer = web.request(
            "GET", f"{fields['realm']}?{query}", headers={"Authorization": credentials}, ca_file=self.ca_file
        )
        document = json.loads(answer.body)
        token: str = document.get("token") or document["access_token"]
        return token


def write_docker_config(directory: Path, host: str, username: str | None, password: str | None) -> Path:
    """Write a docker `config.json` into `directory`, with credentials for `host` where a user is given."""
    directory.mkdir(parents=True, exist_ok=True)
    auths: dict[str, dict[str, str]] = {}
    if username is not None:
        auths[host] = {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}
    target = directory / "config.json"
    target.write_text(json.dumps({"auths": auths}))
    target.chmod(0o600)
    return directory
