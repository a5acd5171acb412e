"""Fixtures of the registry tests: a misbehaving registry, and a store that waits for nothing long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.registry import Access, RegistrySettings, RegistryStore
from tests.parts.registry import Registry
from tests.registry.faults import FaultyRegistry

MakeStore = Callable[..., RegistryStore]


def impatient(**changes: object) -> RegistrySettings:
    """Settings that do not wait long before another try. A test of slowness says how much is too slow."""
    settings: dict[str, object] = {
        "deadline": Deadline(20),
        "connect_timeout": 1.0,
        "response_timeout": 5.0,
        "refused_for": 0.05,
        "backoff": 0.001,
        **changes,
    }
    return RegistrySettings(**settings)  # type: ignore[arg-type]


def real(
    registry: Registry, *, access: Access = Access.PULL, token_hosts: frozenset[str] = frozenset()
) -> RegistryStore:
    """A store for a real registry, with its credentials and the patience of a command."""
    return RegistryStore(
        RegistrySettings(
            deadline=Deadline(120),
            access=access,
            docker_config=registry.docker_config_dir,
            ca_file=None if registry.ca_file is None else str(registry.ca_file),
            token_hosts=token_hosts,
        )
    )


@pytest.fixture
def faulty() -> Iterator[FaultyRegistry]:
    """A healthy registry with the referrers API, ready to be spoiled."""
    with FaultyRegistry().running() as registry:
        yield registry


@pytest.fixture
def old_faulty() -> Iterator[FaultyRegistry]:
    """A healthy registry without the referrers API, ready to be spoiled."""
    with FaultyRegistry(referrers=False).running() as registry:
        yield registry


@pytest.fixture
def canary(tmp_path: Path) -> Callable[[str], Path]:
    """Writes docker's configuration with the canary credential for one host."""

    def write(host: str) -> Path:
        folder = tmp_path / "docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": CANARY_BASIC}}}))
        return folder

    return write


CANARY = "canary-5f2a"
CANARY_BASIC = "bGFuZTpjYW5hcnktNWYyYQ=="
"""base64 of `lane:` and the canary."""
