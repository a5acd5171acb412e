"""olareg: a small registry with the referrers API of distribution-spec 1.1."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.parts import web
from tests.parts.find import require
from tests.parts.process import LOOPBACK, Command, plain_environment, serve
from tests.parts.registry import Registry, write_docker_config


@contextlib.contextmanager
def olareg(directory: Path) -> Iterator[Registry]:
    """A registry that lets everybody push and delete, over plain http, without garbage collection."""
    program = require("olareg")
    storage = directory / "storage"
    storage.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> Command:
        options = ["--addr", LOOPBACK, "--port", str(port), "--dir", str(storage)]
        return Command(
            arguments=[
                program,
                "serve",
                *options,
                "--api-delete",
                "--api-blob-delete",
                "--gc-frequency",
                "-1s",
            ],
            environment=plain_environment(directory),
            directory=directory,
        )

    def answers(port: int) -> bool:
        return web.request("GET", f"http://{LOOPBACK}:{port}/v2/").status == 200

    with serve(command, answers=answers, log=directory / "server.log") as server:
        host = f"{LOOPBACK}:{server.port}"
        yield Registry(
            name="olareg",
            host=host,
            scheme="http",
            docker_config_dir=write_docker_config(directory / "docker", host, None, None),
        )
