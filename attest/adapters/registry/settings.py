"""What a command says about registries: how to connect, whom to trust, how long to wait."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attest.adapters.deadline import Deadline


class Access(enum.Enum):
    """What a command will do in a repository: the actions of the token's scope (distribution, "Token Scope")."""

    PULL = "pull"
    PUSH = "pull,push"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """How a command speaks to registries. Times are in seconds."""

    deadline: Deadline
    """The end of the whole command."""
    access: Access = Access.PULL
    """With `PUSH`, one token serves for everything, and what pushing needs is loaded while the network waits."""
    plain_http: bool = False
    """Speak plain http to registries that are not on loopback, too."""
    ca_file: str | None = None
    """PEM file of the authorities to trust in place of the system's. Naming it asks for TLS on loopback, too."""
    token_hosts: frozenset[str] = frozenset()
    """`HOST[:PORT]` to which credentials may go in exchange for a token, besides the registry itself."""
    docker_config: Path | None = None
    """The folder of docker's `config.json`; None to use no credentials."""
    connect_timeout: float = 5.0
    response_timeout: float = 30.0
    """For a whole response, from the first byte sent to the last one received."""
    refused_for: float = 5.0
    """How long a refused connection is tried again."""
    backoff: float = 0.2
    """The first pause before another try; each one after it is twice as long."""


def docker_config_folder(environment: Mapping[str, str]) -> Path | None:
    """The folder of docker's configuration: `DOCKER_CONFIG`, else `.docker` in the home folder, if there is one."""
    named = environment.get("DOCKER_CONFIG")
    if named:
        return Path(named)
    try:
        return Path("~/.docker").expanduser()
    except RuntimeError:  # nobody knows this user
        return None
