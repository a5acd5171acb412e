"""The contract lane of the sample service: what its image may be, by its configuration in the registry."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The configuration of IMAGE, as skopeo reads it."""
    image = f"docker://{os.environ['IMAGE']}"
    said = subprocess.run(
        ["skopeo", "inspect", "--config", "--tls-verify=false", image], capture_output=True, timeout=120, check=True
    )
    found = json.loads(said.stdout)["config"]
    assert isinstance(found, dict)
    return found


def test_nobody_is_root(config: dict[str, Any]) -> None:
    """The user is a number, and not that of root."""
    assert int(config["User"].partition(":")[0]) > 0


def test_the_entrypoint_is_no_shell(config: dict[str, Any]) -> None:
    """The program is started directly."""
    assert config["Entrypoint"][:2] == ["/bin/busybox", "httpd"]


def test_the_labels_say_what_it_is(config: dict[str, Any]) -> None:
    """Title and source are there."""
    assert config["Labels"]["org.opencontainers.image.title"] == "playlist"
