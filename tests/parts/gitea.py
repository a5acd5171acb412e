"""Gitea, a git forge and a registry: bearer tokens, no referrers API, manifests that live and die with their tags."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.parts import web
from tests.parts.find import require
from tests.parts.process import LOOPBACK, Command, PartError, free_port, plain_environment, run, serve
from tests.parts.registry import Registry, write_docker_config

USERNAME = "lane"
PASSWORD = "correct-horse-battery-staple"


def make_template(directory: Path) -> None:
    """Make what every Gitea of this run starts from: a migrated database with one administrator."""
    directory.mkdir(parents=True)
    _configure(directory, free_port())
    _gitea(directory, "migrate")
    user = ["--username", USERNAME, "--password", PASSWORD, "--email", "lane@example.com"]
    _gitea(directory, "admin", "user", "create", "--admin", "--must-change-password=false", *user)


def make_organization(registry: Registry, name: str) -> None:
    """Make an organization of the user, whose packages and repositories are below `name`."""
    _post(registry, "/api/v1/orgs", {"username": name})


def make_repository(registry: Registry, organization: str, name: str) -> str:
    """Make an empty git repository with the branch `main`; its URL, for git over http."""
    made = _post(registry, f"/api/v1/orgs/{organization}/repos", {"name": name, "default_branch": "main"})
    url: str = made["clone_url"]
    return url


def git_credentials(registry: Registry) -> dict[str, str]:
    """Environment variables with which git is the user, at this Gitea and nowhere else."""
    assert registry.username is not None
    assert registry.password is not None
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{registry.url}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {web.basic(registry.username, registry.password)}",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _post(registry: Registry, path: str, document: Mapping[str, object]) -> dict[str, Any]:
    assert registry.username is not None
    assert registry.password is not None
    headers = {
        "Authorization": web.basic(registry.username, registry.password),
        "Content-Type": "application/json",
    }
    answer = web.request("POST", registry.url + path, headers=headers, body=json.dumps(document).encode())
    if answer.status != 201:
        raise PartError(f"Gitea answers {path} with {answer.status}: {answer.body[:400]!r}")
    made: dict[str, Any] = json.loads(answer.body)
    return made


@contextlib.contextmanager
def gitea(directory: Path, template: Path) -> Iterator[Registry]:
    """A Gitea over plain http whose one user may push to `HOST:PORT/USER/NAME`."""
    shutil.copytree(template, directory, dirs_exist_ok=True)

    def command(port: int) -> Command:
        _configure(directory, port)
        return _command(directory, "web")

    def answers(port: int) -> bool:
        return web.request("GET", f"http://{LOOPBACK}:{port}/v2/").status == 401

    with serve(command, answers=answers, log=directory / "server.log") as server:
        host = f"{LOOPBACK}:{server.port}"
        yield Registry(
            name="gitea",
            host=host,
            scheme="http",
            username=USERNAME,
            password=PASSWORD,
            namespace=f"{USERNAME}/",
            docker_config_dir=write_docker_config(directory / "docker", host, USERNAME, PASSWORD),
        )


def _gitea(directory: Path, *arguments: str) -> None:
    run(_command(directory, *arguments))


def _command(directory: Path, *arguments: str) -> Command:
    return Command(
        arguments=[require("gitea"), "--config", directory / "app.ini", *arguments],
        environment=plain_environment(directory, GITEA_WORK_DIR=str(directory), USER=getpass.getuser()),
        directory=directory,
    )


def _configure(directory: Path, port: int) -> None:
    static = require("gitea").parents[1] / "static"
    lines = [
        "APP_NAME = attest tests",
        "RUN_MODE = prod",
        f"RUN_USER = {getpass.getuser()}",
        f"WORK_PATH = {directory}",
        *(["I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true"] if os.geteuid() == 0 else []),
        "[server]",
        "PROTOCOL = http",
        f"HTTP_ADDR = {LOOPBACK}",
        f"HTTP_PORT = {port}",
        f"ROOT_URL = http://{LOOPBACK}:{port}/",
        # A build without the front end reads its templates from here; a packaged one carries them.
        *([f"STATIC_ROOT_PATH = {static}"] if static.is_dir() else []),
        "DISABLE_SSH = true",
        "OFFLINE_MODE = true",
        "LFS_START_SERVER = false",
        "[database]",
        "DB_TYPE = sqlite3",
        f"PATH = {directory / 'gitea.db'}",
        # Fifty lanes at once ask more of SQLite than its defaults give; a forge in use has a real database.
        "SQLITE_JOURNAL_MODE = WAL",
        "SQLITE_TIMEOUT = 30000",
        "[security]",
        "INSTALL_LOCK = true",
        f"SECRET_KEY = {secrets.token_hex(32)}",
        f"INTERNAL_TOKEN = {secrets.token_hex(32)}",
        "[oauth2]",
        "ENABLED = false",
        f"JWT_SECRET = {secrets.token_urlsafe(32)}",
        "[packages]",
        "ENABLED = true",
        "[service]",
        "DISABLE_REGISTRATION = true",
        "[session]",
        "PROVIDER = memory",
        "[indexer]",
        "ISSUE_INDEXER_TYPE = db",
        "[actions]",
        "ENABLED = false",
        "[cron]",
        "ENABLED = false",
        "[cron.update_checker]",
        "ENABLED = false",
        "[i18n]",
        "LANGS = en-US",
        "NAMES = English",
        "[log]",
        "MODE = console",
        "LEVEL = warn",
        "",
    ]
    (directory / "app.ini").write_text("\n".join(lines))
