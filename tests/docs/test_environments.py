"""The document about environments shows what is read, what a hook is told, and an answer that counts."""

from __future__ import annotations

import json
import re

from attest.adapters.documents import parse_document
from attest.core.environment.definition import (
    ComposeTarget,
    Environment,
    EnvironmentService,
    HookTarget,
    KubernetesTarget,
)
from attest.core.environment.document import (
    ONESHOT_TIMEOUT,
    PROBE_ATTEMPT,
    PROBE_INTERVAL,
    PROBE_TIMEOUT,
    SUCCESSES,
    TARGET_TIMEOUT,
    read_environment,
)
from attest.core.environment.hook import Action, read_answer, write_request
from attest.core.environment.model import (
    ComposeDocument,
    EnvironmentDocument,
    HookDocument,
    KubernetesDocument,
    ProbeDocument,
    ServiceDocument,
)
from attest.core.environment.targets import DesiredImage, Match, RunState, compare
from attest.core.policydocument import lifetime
from attest.core.reference import RegistryImage, parse_reference
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "environments.md").read_text()


def blocks(language: str) -> list[str]:
    """The blocks of the document in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found
    return found


def environments() -> list[Environment]:
    """Every environment that is shown."""
    return [
        read_environment(parse_document(text.encode(), file="docs/environments.md"), locate=lambda name: name)
        for text in blocks("yaml")
    ]


def test_the_environments_that_are_shown_are_read() -> None:
    """There is one for each kind of target, and the defaults are those that the tables name."""
    compose, kubernetes, hook = environments()
    assert isinstance(compose.target, ComposeTarget)
    assert isinstance(kubernetes.target, KubernetesTarget)
    assert isinstance(hook.target, HookTarget)
    assert compose.target.override == "compose.staging.attest.yaml"
    for default in (PROBE_TIMEOUT, PROBE_INTERVAL, PROBE_ATTEMPT):
        shown = "60s" if default == PROBE_TIMEOUT else lifetime(default)
        assert re.search(rf"^\|.*\| {shown} \|$", DOCUMENT, re.MULTILINE), shown
    assert f"| {SUCCESSES} |" in DOCUMENT
    assert lifetime(TARGET_TIMEOUT) == lifetime(ONESHOT_TIMEOUT) == "10m"


def test_every_key_is_described() -> None:
    """Each key of the document and of its parts stands in a table, in code."""
    models = (EnvironmentDocument, ServiceDocument, ProbeDocument, ComposeDocument, KubernetesDocument, HookDocument)
    for model in models:
        for field in model.model_fields.values():
            assert f"`{field.alias}`" in DOCUMENT, field.alias


def test_what_a_hook_is_told_and_answers_is_what_is_shown() -> None:
    """The request is what the code writes, and the answer is one, in each state that the text names."""
    request, answer = map(json.loads, blocks("json"))
    (edge,) = [environment for environment in environments() if isinstance(environment.target, HookTarget)]
    (service,) = edge.services.values()
    assert isinstance(service, EnvironmentService)
    reference = parse_reference(request["services"]["backend"]["image"])
    assert isinstance(reference, RegistryImage)
    plan = [DesiredImage(service="backend", reference=reference)]
    written = write_request(Action.APPLY, environment=edge.name, oneshot={"backend": False}, plan=plan)
    assert json.loads(written) == request
    observed = read_answer(json.dumps(answer).encode(), oneshot={"backend": False})
    assert compare(observed["backend"], frozenset({reference.digest})) is Match.SAME
    for word in (*RunState, *Action, "exit-code", "instance", "started", "detail"):
        assert f"`{word}`" in DOCUMENT, word
