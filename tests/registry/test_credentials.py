"""Docker's configuration and its helpers are read as docker reads them; what is wrong with them is said."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.registry import docker_config_folder
from attest.adapters.registry.credentials import Credentials, find_credentials
from attest.errors import DeadlineExceeded, DocumentInvalid

HOST = "registry.example.org:5000"


def auth(text: str) -> str:
    """The `auth` member for `USER:PASSWORD`."""
    return base64.b64encode(text.encode()).decode()


def find(folder: Path, config: object, host: str = HOST) -> Credentials | None:
    """What a configuration has for a host."""
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return find_credentials(folder, host, deadline=Deadline(30))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper `docker-credential-fake`; its answer is the shell script that a test writes there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs / "docker-credential-fake"


def says(program: Path, script: str) -> None:
    """Make the helper run a script."""
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"https://{HOST}/", f"https://{HOST}/v1/", f"http://{HOST}/v2"]
)
def test_auth(tmp_path: Path, key: str) -> None:
    """`auth` is base64 of user and password, under the host or an URL of it; a password may hold a colon."""
    found = find(tmp_path, {"auths": {"other.example.org": {"auth": auth("a:b")}, key: {"auth": auth("lane:p:w")}}})
    assert found == Credentials(username="lane", password="p:w")


@pytest.mark.parametrize(
    "key", ["registry.example.org", f"{HOST}/team", f"https://{HOST}/v3", f"x{HOST}", f"https://a@{HOST}", ""]
)
def test_keys_of_others(tmp_path: Path, key: str) -> None:
    """Another port, a path and a longer name are not this registry."""
    assert find(tmp_path, {"auths": {key: {"auth": auth("lane:x")}}}) is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "https://index.docker.io/v1"])
def test_docker_hub(tmp_path: Path, key: str) -> None:
    """`docker.io` has its credentials under the name that docker always gave it."""
    found = find(tmp_path, {"auths": {key: {"auth": auth("lane:x")}}}, host="docker.io")
    assert (found is not None) is (key == "https://index.docker.io/v1/")


def test_user_and_password(tmp_path: Path) -> None:
    """User and password may also stand by themselves."""
    found = find(tmp_path, {"auths": {HOST: {"username": "lane", "password": "x"}}})
    assert found == Credentials(username="lane", password="x")


def test_identity_token(tmp_path: Path) -> None:
    """An identity token comes with `auth` or alone."""
    entry = {"identitytoken": "t", "auth": auth("lane:")}
    found = find(tmp_path, {"auths": {HOST: entry}})
    assert found is not None
    assert found.identity_token == "t"


@pytest.mark.parametrize("config", [{}, {"auths": {}}, {"auths": None}, {"auths": {HOST: {}}}, {"credsStore": ""}])
def test_none(tmp_path: Path, config: object) -> None:
    """No entry, or an empty one, means no credentials."""
    assert find(tmp_path, config) is None


def test_no_file(tmp_path: Path) -> None:
    """No file means no credentials."""
    assert find_credentials(tmp_path / "nowhere", HOST, deadline=Deadline(1)) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"auths": {}, "auths": {}}', "stands twice"),
        ({"auths": []}, "'auths' is not an object"),
        ({"credHelpers": 1}, "'credHelpers' is not an object"),
        ({"auths": {HOST: "x"}}, "is not an object"),
        ({"auths": {HOST: {"auth": 1}}}, "not a string"),
        ({"auths": {HOST: {"auth": "%%"}}}, "not base64"),
        ({"auths": {HOST: {"auth": auth("nocolon")}}}, "not base64 of USER:PASSWORD"),
        ({"auths": {HOST: {"auth": "/w=="}}}, "not base64"),
        ({"credsStore": "../evil"}, "no name of a credential helper"),
        ({"credsStore": "a b"}, "no name of a credential helper"),
        ({"credHelpers": {HOST: ["x"]}}, "no name of a credential helper"),
        ({"credsStore": "not-installed-anywhere"}, "cannot be run"),
    ],
)
def test_wrong_configuration(tmp_path: Path, config: object, message: str) -> None:
    """A configuration that is not docker's is an error of the user's input, and the error names the file."""
    with pytest.raises(DocumentInvalid, match=message) as raised:
        find(tmp_path, config)
    assert raised.value.file == str(tmp_path / "config.json")
    assert raised.value.exit_code == 2


def test_unreadable_file(tmp_path: Path) -> None:
    """A folder in place of the file cannot be read, and is not taken for no credentials."""
    (tmp_path / "config.json").mkdir()
    with pytest.raises(DocumentInvalid, match="cannot be read"):
        find_credentials(tmp_path, HOST, deadline=Deadline(1))


@pytest.mark.parametrize("config", [{"credsStore": "fake"}, {"credHelpers": {HOST: "fake"}, "credsStore": "other"}])
def test_helper(tmp_path: Path, helper: Path, config: dict[str, object]) -> None:
    """A helper is asked with the host on standard input, and answers before what stands in the file."""
    says(helper, f'[ "$1" = get ] && [ "$(cat)" = "{HOST}" ] && echo \'{{"Username": "lane", "Secret": "s"}}\'')
    config["auths"] = {HOST: {"auth": auth("other:x")}}
    assert find(tmp_path, config) == Credentials(username="lane", password="s")


def test_helper_with_an_identity_token(tmp_path: Path, helper: Path) -> None:
    """The user `<token>` means that the secret is an identity token."""
    says(helper, 'echo \'{"Username": "<token>", "Secret": "s"}\'')
    found = find(tmp_path, {"credsStore": "fake"})
    assert found == Credentials(username="", password="", identity_token="s")


def test_helper_that_knows_nothing(tmp_path: Path, helper: Path) -> None:
    """Where a helper has nothing, what stands in the file counts."""
    says(helper, "echo credentials not found in native keychain; exit 1")
    config = {"credsStore": "fake", "auths": {HOST: {"auth": auth("lane:x")}}}
    assert find(tmp_path, config) == Credentials(username="lane", password="x")


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nothing", "echo '{}'", "echo '[]'", 'echo \'{"Username": 1, "Secret": ""}\'']
)
def test_helper_that_fails(tmp_path: Path, helper: Path, script: str) -> None:
    """A helper that fails, or answers nonsense, is an error and not "no credentials"."""
    says(helper, script)
    with pytest.raises(DocumentInvalid, match="docker-credential-fake"):
        find(tmp_path, {"credsStore": "fake"})


def test_helper_that_hangs(tmp_path: Path, helper: Path) -> None:
    """A helper cannot outlast the command."""
    says(helper, "exec sleep 60")
    (tmp_path / "config.json").write_text('{"credsStore": "fake"}')
    with pytest.raises((DocumentInvalid, DeadlineExceeded)):
        find_credentials(tmp_path, HOST, deadline=Deadline(0.3))


def test_nothing_is_shown() -> None:
    """No representation of credentials has a secret in it."""
    shown = repr(Credentials(username="lane", password="secret", identity_token="token"))
    assert shown == "Credentials()"


def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder is `DOCKER_CONFIG`, else `.docker` at home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert docker_config_folder({"DOCKER_CONFIG": "/somewhere"}) == Path("/somewhere")
    assert docker_config_folder({}) == tmp_path / ".docker"
    assert docker_config_folder({"DOCKER_CONFIG": ""}) == tmp_path / ".docker"


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home has no configuration, and the working directory is not taken for one."""

    def unknown(_: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", unknown)
    assert docker_config_folder({}) is None
