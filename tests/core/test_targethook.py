"""What a hook is told, and that nothing but a whole answer is one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.environment.hook import INSTANCES, SCHEMA, Action, HookInvalid, read_answer, write_request
from attest.core.environment.targets import DesiredImage, RunState
from attest.core.reference import RegistryImage, digest_of, parse_repository

DIGEST = digest_of(b"image")
ONESHOT = {"backend": False, "migrate": True}
PLAN = [
    DesiredImage(
        service="backend",
        reference=RegistryImage(repository=parse_repository("registry.example.org/plex/backend"), digest=DIGEST),
    )
]
RUNNING: dict[str, Any] = {"name": "backend-1", "state": "running", "digests": [DIGEST]}
RIGHT: dict[str, Any] = {"schema": SCHEMA, "services": {"backend": [RUNNING], "migrate": []}}


def answer(document: Any) -> Any:
    return read_answer(json.dumps(document).encode(), oneshot=ONESHOT)


@pytest.mark.parametrize("action", [Action.PREPARE, Action.APPLY])
def test_a_hook_is_told_the_image_of_each_service_of_the_plan(action: Action) -> None:
    """Action, environment and the images by digest stand in one JSON object on one line."""
    request = write_request(action, environment="staging", oneshot=ONESHOT, plan=PLAN)
    assert request.count(b"\n") == 1
    assert json.loads(request) == {
        "schema": "attest.hook/v1",
        "action": str(action),
        "environment": "staging",
        "services": {"backend": {"image": f"registry.example.org/plex/backend@{DIGEST}", "oneshot": False}},
    }


def test_a_hook_is_asked_about_every_service() -> None:
    """To observe, all services of the environment are named, and no image that an answer could repeat."""
    request = json.loads(write_request(Action.OBSERVE, environment="staging", oneshot=ONESHOT))
    assert request["services"] == {"backend": {"oneshot": False}, "migrate": {"oneshot": True}}
    assert request["action"] == "observe"


def test_an_answer_says_what_runs() -> None:
    """Every value is taken as it stands; an empty array says that nothing is there."""
    ended = {"name": "m", "state": "exited", "digests": [], "exit-code": 0, "instance": "i", "started": "s"}
    document = {"schema": SCHEMA, "services": {"backend": [RUNNING], "migrate": [{**ended, "detail": "d"}]}}
    observed = answer(document)
    (backend,), (migrate,) = observed["backend"].instances, observed["migrate"].instances
    assert (backend.name, backend.state, backend.digests, backend.ends) == (
        *("backend-1", RunState.RUNNING, frozenset({DIGEST}), False),
    )
    assert (backend.exit_code, backend.instance, backend.started, backend.detail) == (None, None, None, "")
    assert (migrate.state, migrate.exit_code, migrate.instance, migrate.started, migrate.detail, migrate.ends) == (
        *(RunState.EXITED, 0, "i", "s", "d", True),
    )
    assert answer(RIGHT)["migrate"].state is RunState.ABSENT


def without(name: str) -> dict[str, Any]:
    """A running instance that lacks something."""
    return {key: value for key, value in RUNNING.items() if key != name}


def of_backend(*instances: Any) -> dict[str, Any]:
    """An answer with these instances of the backend."""
    return {"schema": SCHEMA, "services": {"backend": list(instances), "migrate": []}}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], 'no JSON object with "schema"'),
        ({"services": {}}, 'no JSON object with "schema"'),
        ({**RIGHT, "schema": "attest.hook/v2"}, 'no JSON object with "schema": "attest.hook/v1"'),
        ({"schema": SCHEMA}, "no services in the answer"),
        ({**RIGHT, "status": "ok"}, "'status' in the answer, which means nothing here"),
        ({**RIGHT, "services": []}, "services that are no object"),
        ({**RIGHT, "services": {"backend": []}}, "nothing about the service migrate"),
        ({**RIGHT, "services": {**RIGHT["services"], "cache": []}}, "a service 'cache' that nobody asked for"),
        ({**RIGHT, "services": {"backend": {}, "migrate": []}}, "instances of backend that are no array"),
        (of_backend(*[{}] * (INSTANCES + 1)), "no array of at most 1000"),
        (of_backend("running"), "backend[0] that is no object"),
        (of_backend(RUNNING, {**RUNNING, "digests": []}), "two instances of backend with the name 'backend-1'"),
        (of_backend({**RUNNING, "healthy": True}), "'healthy' in backend[0], which means nothing here"),
        *((of_backend(without(name)), f"no {name} in backend[0]") for name in ("name", "state", "digests")),
        (of_backend({**RUNNING, "name": ""}), "a name that is no text"),
        (of_backend({**RUNNING, "name": 7}), "a name that is no text"),
        (of_backend({**RUNNING, "detail": "x" * 1025}), "a detail that is no text"),
        (of_backend({**RUNNING, "started": None}), "a started that is no text"),
        (of_backend({**RUNNING, "state": "healthy"}), "in the state 'healthy'; there are running, waiting"),
        (of_backend({**RUNNING, "state": ["running"]}), "in the state an array"),
        (of_backend({**RUNNING, "exit-code": "0"}), "the exit code '0', which is no number of 32 bits"),
        (of_backend({**RUNNING, "exit-code": True}), "the exit code True, which is no number of 32 bits"),
        *(
            (of_backend({**RUNNING, "exit-code": code}), "which is no number of 32 bits")
            for code in (2**32, -(2**31) - 1, 2**60)
        ),
        (of_backend({**RUNNING, "digests": DIGEST}), "digests of backend[0] that are no array"),
        (of_backend({**RUNNING, "digests": [DIGEST] * 65}), "no array of at most 64"),
        (of_backend({**RUNNING, "digests": [f"registry.example.org/a@{DIGEST}"]}), "as a digest of backend[0]"),
        (of_backend({**RUNNING, "digests": [DIGEST.upper()]}), "as a digest of backend[0]"),
        (of_backend({**RUNNING, "digests": [None]}), "None as a digest of backend[0]"),
    ],
)
def test_what_is_no_whole_answer_is_none(document: Any, words: str) -> None:
    """A service left out, a word that means nothing, a digest that is none: each is refused, and named."""
    with pytest.raises(HookInvalid) as refused:
        answer(document)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"ok\n", b"{", json.dumps(RIGHT).encode() * 2, b'{"schema": "a", "schema": "b"}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_strict_json_is_no_answer(content: bytes) -> None:
    """Nothing, words, two answers and two equal keys are refused."""
    with pytest.raises(HookInvalid, match="no strict JSON"):
        read_answer(content, oneshot=ONESHOT)


@given(st.binary(max_size=64))
def test_garbage_is_never_an_answer(content: bytes) -> None:
    """Whatever a hook prints by accident is refused, and nothing else happens."""
    with pytest.raises(HookInvalid):
        read_answer(content, oneshot=ONESHOT)
