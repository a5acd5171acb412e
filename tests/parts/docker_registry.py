"""Debian's docker-registry 2.8, without the referrers API: plain, with htpasswd, with tokens, over TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.parts import ca, web
from tests.parts.find import require
from tests.parts.process import LOOPBACK, Command, plain_environment, serve
from tests.parts.registry import Registry, write_docker_config
from tests.parts.token_server import ISSUER, SERVICE, TokenServer

USERNAME = "lane"
PASSWORD = "correct horse: battery staple"
_HTPASSWD = "lane:$2y$05$dc8dlH6wRta9p5WYekuY7uxf7zu6XLALwSR70ItEUjgwVc35FBcX6\n"
"""The line that `htpasswd -nbB` prints for the user above; the registry reads bcrypt only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenRegistry:
    """A registry whose tokens come from a server of the tests' own."""

    registry: Registry
    token_server: TokenServer


@contextlib.contextmanager
def plain(directory: Path) -> Iterator[Registry]:
    """A registry that lets everybody do everything, over plain http."""
    with _running("docker-registry", directory) as registry:
        yield registry


@contextlib.contextmanager
def with_htpasswd(directory: Path) -> Iterator[Registry]:
    """A registry with basic authentication for one user, over plain http."""
    directory.mkdir(parents=True, exist_ok=True)
    users = directory / "htpasswd"
    users.write_text(_HTPASSWD)
    auth = {"htpasswd": {"realm": "attest tests", "path": str(users)}}
    with _running("docker-registry-htpasswd", directory, auth=auth) as registry:
        yield registry


@contextlib.contextmanager
def with_tokens(directory: Path) -> Iterator[TokenRegistry]:
    """A registry that sends everybody to a token server for one user, both over plain http on `localhost`."""
    with TokenServer(directory, username=USERNAME, password=PASSWORD).running() as tokens:
        auth = {
            "token": {
                "realm": tokens.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(tokens.roots),
            }
        }
        with _running("docker-registry-token", directory, auth=auth, name_of_host="localhost") as registry:
            yield TokenRegistry(registry=registry, token_server=tokens)


@contextlib.contextmanager
def with_tls(directory: Path) -> Iterator[Registry]:
    """A registry over TLS whose certificate comes from an authority that nobody knows."""
    authority = ca.make_authority(directory / "tls", "ca")
    with _running("docker-registry-tls", directory, tls=ca.issue_server(authority, directory / "tls")) as registry:
        yield dataclasses.replace(registry, ca_file=authority.certificate_file)


@contextlib.contextmanager
def _running(
    name: str,
    directory: Path,
    *,
    auth: Mapping[str, Mapping[str, str]] | None = None,
    tls: ca.Issued | None = None,
    name_of_host: str = LOOPBACK,
) -> Iterator[Registry]:
    program = require("docker-registry")
    directory.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> Command:
        http: dict[str, object] = {"addr": f"{LOOPBACK}:{port}", "secret": "of no use with one server"}
        if tls is not None:
            http["tls"] = {"certificate": str(tls.certificate_file), "key": str(tls.key_file)}
        config = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(directory / "storage"), "maxthreads": 100},
                "cache": {"blobdescriptor": "inmemory"},
                "delete": {"enabled": True},
            },
            "http": http,
            **({"auth": auth} if auth else {}),
        }
        # YAML 1.2 takes JSON as it is.
        (directory / "config.yml").write_text(json.dumps(config))
        return Command(
            arguments=[program, "serve", directory / "config.yml"],
            environment=plain_environment(directory, OTEL_TRACES_EXPORTER="none"),
            directory=directory,
        )

    scheme = "http" if tls is None else "https"
    trusted = None if tls is None else directory / "tls" / "ca.crt"

    def answers(port: int) -> bool:
        answer = web.request("GET", f"{scheme}://{LOOPBACK}:{port}/v2/", ca_file=trusted)
        return answer.status == (200 if auth is None else 401)

    with serve(command, answers=answers, log=directory / "server.log") as server:
        host = f"{name_of_host}:{server.port}"
        user = None if auth is None else USERNAME
        password = None if auth is None else PASSWORD
        yield Registry(
            name=name,
            host=host,
            scheme=scheme,
            username=user,
            password=password,
            docker_config_dir=write_docker_config(directory / "docker", host, user, password),
        )
