"""Credentials from docker's `config.json` and from docker's credential helpers.

Sources: docker's "docker login" reference ("Credential stores", "Credential helpers"), and the protocol of
docker/docker-credential-helpers: the server's name on standard input, JSON on standard output.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from attest.adapters.deadline import Deadline
from attest.core import limits
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import DocumentInvalid

_CONFIG_LIMIT: Final = 4 * limits.MIB
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HELPER_SECONDS: Final = 30.0
_NOT_FOUND: Final = b"credentials not found"
_IDENTITY_TOKEN_USER: Final = "<token>"  # noqa: S105  (a user name, by docker's convention)
_DOCKER_HUB: Final = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user's name and password, or an identity token in place of both. None of it is ever shown."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


def find_credentials(folder: Path, host: str, *, deadline: Deadline) -> Credentials | None:
    """What docker would use for the registry `HOST[:PORT]`, or None.

    A helper named for the host comes first, then the common one, then what stands in the file itself.

    Raises:
        DocumentInvalid: `config.json` cannot be read, is not what docker writes, or names a helper that fails.
    """
    file = folder / "config.json"
    config = _read(file)
    if config is None:
        return None
    server = _DOCKER_HUB if host == "docker.io" else host
    helper = _section(config, "credHelpers", file).get(server) or config.get("credsStore")
    if helper:
        found = _ask_helper(helper, server, file, deadline)
        if found is not None:
            return found
    for name, entry in _section(config, "auths", file).items():
        if _names(name, server):
            return _entry(entry, name, file)
    return None


def _read(file: Path) -> dict[str, Json] | None:
    try:
        with file.open("rb") as stream:
            content = stream.read(_CONFIG_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DocumentInvalid(f"cannot be read: {error.strerror}", file=str(file)) from error
    if len(content) > _CONFIG_LIMIT:
        raise DocumentInvalid(f"larger than {_CONFIG_LIMIT} bytes", file=str(file))
    try:
        config = loads(content)
    except JsonInvalid as error:
        raise DocumentInvalid(f"not JSON: {error}", file=str(file)) from None
    if not isinstance(config, dict):
        raise DocumentInvalid("not a JSON object", file=str(file))
    return config


def _section(config: dict[str, Json], name: str, file: Path) -> dict[str, Json]:
    section = config.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise DocumentInvalid(f"{name!r} is not an object", file=str(file))
    return section


def _names(key: str, server: str) -> bool:
    """Whether a key of `auths` means this registry: docker wrote URLs there once, and wrote `/v1/` behind them."""
    if key == server:
        return True
    bare = key.removeprefix("https://").removeprefix("http://")
    host, _, path = bare.partition("/")
    return host == server and path.strip("/") in ("", "v1", "v2")


def _entry(entry: Json, name: str, file: Path) -> Credentials | None:
    if not isinstance(entry, dict):
        raise DocumentInvalid(f"auths[{name!r}] is not an object", file=str(file))
    texts = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise DocumentInvalid(f"auths[{name!r}] has a member that is not a string", file=str(file))
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        try:
            username, colon, password = base64.b64decode(texts["auth"], validate=True).decode("utf-8").partition(":")
        except ValueError:
            colon = ""
        if not colon:
            raise DocumentInvalid(f"auths[{name!r}].auth is not base64 of USER:PASSWORD", file=str(file)) from None
        password = password.rstrip("\0")  # docker pads with it
    if not username and not texts["identitytoken"]:
        return None
    return Credentials(username=username, password=password, identity_token=texts["identitytoken"] or None)


def _ask_helper(helper: Json, server: str, file: Path, deadline: Deadline) -> Credentials | None:
    import subprocess

    if not isinstance(helper, str) or _HELPER.fullmatch(helper) is None:
        raise DocumentInvalid(f"{helper!r} is no name of a credential helper", file=str(file))
    program = f"docker-credential-{helper}"
    try:
        ran = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=min(_HELPER_SECONDS, deadline.remaining()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DocumentInvalid(f"names {program}, which did not answer in time", file=str(file)) from None
    except OSError as error:
        raise DocumentInvalid(f"names {program}, which cannot be run: {error.strerror}", file=str(file)) from error
    if ran.returncode != 0:
        if _NOT_FOUND in ran.stdout or _NOT_FOUND in ran.stderr:
            return None
        raise DocumentInvalid(
            f"names {program}, which failed with status {ran.returncode} for {server}",
            file=str(file),
            hint=f"try it: echo {server} | {program} get",
        )
    try:
        answer = loads(ran.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (JsonInvalid, KeyError, TypeError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise DocumentInvalid(f"names {program}, which answered no Username and Secret", file=str(file)) from None
    if not username and not secret:
        return None
    if username == _IDENTITY_TOKEN_USER:
        return Credentials(username="", password="", identity_token=secret)
    return Credentials(username=username, password=secret)
