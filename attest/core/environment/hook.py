"""What a hook is told and what it answers: strict JSON both ways (docs/environments.md, "Hook").

It is told what to do on standard input:

    {"schema": "attest.hook/v1", "action": "apply", "environment": "staging",
     "services": {"backend": {"image": "registry.example.org/plex/backend@sha256:...", "oneshot": false}}}

`apply` is answered by its exit code alone, `observe` by what runs, with every service that was asked for:

    {"schema": "attest.hook/v1",
     "services": {"backend": [{"name": "backend-1", "state": "running", "digests": ["sha256:..."]}]}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from attest.core.environment.targets import DesiredImage, Instance, Observed, RunState
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import Json, JsonInvalid, loads, shown

SCHEMA: Final = "attest.hook/v1"
INSTANCES: Final = 1_000
"""Of one service."""
DIGESTS: Final = 64
"""Of one instance."""
TEXT: Final = 1_024
"""Characters of a name or a detail."""

_REQUIRED: Final = frozenset({"name", "state", "digests"})
_OPTIONAL: Final = frozenset({"exit-code", "instance", "started", "detail"})


class Action(StrEnum):
    """What a hook is asked to do."""

    PREPARE = "prepare"
    """Whatever `apply` needs that changes nothing which runs: fetching images, checking access."""
    APPLY = "apply"
    OBSERVE = "observe"


class HookInvalid(ValueError):
    """What a hook printed is no answer."""


def write_request(
    action: Action, *, environment: str, oneshot: Mapping[str, bool], plan: Sequence[DesiredImage] = ()
) -> bytes:
    """What a hook reads.

    Args:
        action: What it is to do.
        environment: The name of the environment.
        oneshot: The services of the environment, and whether each does its work and ends.
        plan: The image of each service that is to run; empty to observe, which asks about all services.
    """
    services: dict[str, dict[str, Json]] = (
        {name: {"oneshot": one} for name, one in oneshot.items()}
        if action is Action.OBSERVE
        else {one.service: {"image": str(one.reference), "oneshot": oneshot[one.service]} for one in plan}
    )
    request = {"schema": SCHEMA, "action": str(action), "environment": environment, "services": services}
    return json.dumps(request, ensure_ascii=True, sort_keys=True).encode() + b"\n"


def read_answer(content: bytes, *, oneshot: Mapping[str, bool]) -> dict[str, Observed]:
    """What a hook says that runs; every service that was asked for, and no other.

    Raises:
        HookInvalid: it is anything else. What a hook does not say is never filled in.
    """
    try:
        document = loads(content)
    except JsonInvalid as error:
        raise HookInvalid(f"no strict JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise HookInvalid(f'no JSON object with "schema": "{SCHEMA}"')
    _members(document, "the answer", required={"schema", "services"})
    services = document["services"]
    if not isinstance(services, dict):
        raise HookInvalid("services that are no object")
    for name in services:
        if name not in oneshot:
            raise HookInvalid(f"a service {shown(name)} that nobody asked for")
    for name in oneshot:
        if name not in services:
            raise HookInvalid(f"nothing about the service {name}; an empty array says that none of it is there")
    return {name: _observed(name, services[name], ends=ends) for name, ends in oneshot.items()}


def _observed(service: str, value: Json, *, ends: bool) -> Observed:
    if not isinstance(value, list) or len(value) > INSTANCES:
        raise HookInvalid(f"instances of {service} that are no array of at most {INSTANCES}")
    instances = tuple(_instance(f"{service}[{position}]", one, ends=ends) for position, one in enumerate(value))
    names = [one.name for one in instances]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise HookInvalid(f"two instances of {service} with the name {shown(twice)}")
    return Observed(service=service, instances=instances)


def _instance(place: str, value: Json, *, ends: bool) -> Instance:
    if not isinstance(value, dict):
        raise HookInvalid(f"{place} that is no object")
    _members(value, place, required=_REQUIRED, optional=_OPTIONAL)
    state, code = value["state"], value.get("exit-code")
    if not isinstance(state, str) or state not in list(RunState):
        raise HookInvalid(f"{place} in the state {shown(state)}; there are {', '.join(RunState)}")
    if code is not None and (type(code) is not int or not -(2**31) <= code < 2**32):
        raise HookInvalid(f"{place} with the exit code {shown(code)}, which is no number of 32 bits")
    return Instance(
        name=_text(value, "name", place) or "",
        state=RunState(state),
        digests=_digests(value["digests"], place),
        exit_code=code,
        ends=ends,
        instance=_text(value, "instance", place),
        started=_text(value, "started", place),
        detail=_text(value, "detail", place) or "",
    )


def _digests(value: Json, place: str) -> frozenset[Digest]:
    if not isinstance(value, list) or len(value) > DIGESTS:
        raise HookInvalid(f"digests of {place} that are no array of at most {DIGESTS}")
    for one in value:
        if not isinstance(one, str) or not is_digest(one):
            raise HookInvalid(f"{shown(one)} as a digest of {place}")
    return frozenset(map(Digest, value))


def _text(value: dict[str, Json], name: str, place: str) -> str | None:
    if name not in value:
        return None
    found = value[name]
    if not isinstance(found, str) or not found or len(found) > TEXT:
        raise HookInvalid(f"{place} with a {name} that is no text of 1 to {TEXT} characters")
    return found


def _members(
    value: dict[str, Json], place: str, *, required: set[str] | frozenset[str], optional: frozenset[str] = frozenset()
) -> None:
    for name in value:
        if name not in required | optional:
            raise HookInvalid(f"{shown(name)} in {place}, which means nothing here")
    for name in sorted(required - value.keys()):
        raise HookInvalid(f"no {name} in {place}")
