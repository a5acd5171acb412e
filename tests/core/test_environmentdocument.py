"""Environments: what a document says, and every error of one against tests/golden/environment-errors.txt.

`ATTEST_GOLDEN=write python -m pytest tests/core/test_environmentdocument.py` writes them anew; read what changed.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from attest.adapters.documents import parse_document
from attest.core.environment import model as environmentmodel
from attest.core.environment.definition import (
    ComposeTarget,
    Environment,
    ExecProbe,
    Freeze,
    HookTarget,
    HttpProbe,
    KubernetesTarget,
    OneShot,
)
from attest.core.environment.document import read_environment
from attest.core.environment.fields import ComposeEngine
from attest.core.environment.health import ProbeRule
from attest.core.reference import Repository, digest_of, parse_repository
from attest.errors import EXIT_USAGE, DocumentInvalid
from tests.core.environment_cases import CASES, COMPOSE, HOOK, KUBERNETES, RIGHT, wrong

GOLDEN = Path(__file__).parents[1] / "golden" / "environment-errors.txt"


def load(text: str = RIGHT) -> Environment:
    """The environment that a text is, in the folder `here`."""
    document = parse_document(text.encode(), file="here/environment.yaml")
    return read_environment(document, locate=lambda name: f"here/{name}")


def repository(name: str) -> Repository:
    return parse_repository(f"staging.example.org/plex/{name}")


def seconds(number: int) -> timedelta:
    return timedelta(seconds=number)


def test_an_environment_says_what_stands_in_it() -> None:
    """Every value of the document is there, and paths are found from its folder on."""
    environment = load()
    assert (environment.name, environment.policy) == ("staging", "here/../policies/staging.yaml")
    assert environment.digest == digest_of(RIGHT.encode())
    assert [str(one) for one in environment.evidence] == [
        "registry.example.org/plex/backend",
        "registry.example.org/plex/frontend",
    ]
    ledger = environment.ledger
    assert (ledger.url.url, ledger.url.file) == ("sqlite:///here/state/ledger.db", "here/state/ledger.db")
    assert (ledger.signer, str(ledger.head)) == ("here/keys/ledger.key", "registry.example.org/plex/ledger")
    assert environment.target == ComposeTarget(
        files=("here/compose.yaml",),
        engine=ComposeEngine.PODMAN,
        project=None,
        override="here/compose.staging.attest.yaml",
        env_file=None,
        timeout=seconds(600),
    )
    assert list(environment.services) == ["backend", "frontend", "migrate"]
    backend, frontend, migrate = environment.services.values()
    assert (backend.name, backend.repository, backend.soak) == ("backend", repository("backend"), seconds(30))
    rule = ProbeRule(successes=3, timeout=seconds(60), interval=seconds(1), patience=seconds(5))
    assert backend.health == HttpProbe(url="http://127.0.0.1:8080/health", ca_file=None, rule=rule)
    assert (frontend.health, frontend.soak) == (ExecProbe(argv=("/bin/check", "--quick"), rule=rule), seconds(0))
    assert migrate.health == OneShot(timeout=seconds(300))
    assert environment.automatic_rollback is True
    (freeze,) = environment.freezes
    assert freeze.reason == "the year ends"


def test_what_is_left_out_has_one_meaning() -> None:
    """No evidence elsewhere is written out; no freeze, no signer and no time have their defaults."""
    text = RIGHT[: RIGHT.index("freeze:")] + "rollback: {automatic: false}\n"
    text = text.replace("[registry.example.org/plex/backend, registry.example.org/plex/frontend]", "[]")
    text = text.replace("  signer: keys/ledger.key\n  head: registry.example.org/plex/ledger\n", "")
    environment = load(text.replace("    timeout: 5m\n", ""))
    assert (environment.evidence, environment.freezes, environment.automatic_rollback) == ((), (), False)
    assert (environment.ledger.signer, environment.ledger.head) == (None, None)
    assert environment.services["migrate"].health == OneShot(timeout=seconds(600))


def test_a_compose_target_may_have_more() -> None:
    """Several files, a project, an override, a file of variables and a time are taken as they stand."""
    more = "{files: [a.yaml, b/prod.yml], engine: docker, project: plex, env-file: .env, timeout: 2h}"
    target = load(wrong(COMPOSE, f"compose: {more}")).target
    assert target == ComposeTarget(
        files=("here/a.yaml", "here/b/prod.yml"),
        engine=ComposeEngine.DOCKER,
        project="plex",
        override="here/b/prod.staging.attest.yaml",
        env_file="here/.env",
        timeout=timedelta(hours=2),
    )
    for file, override in (("compose", "compose"), (".compose", ".compose"), ("a.b.yaml", "a.b")):
        compose = load(wrong("file: compose.yaml", f"file: {file}")).target
        assert isinstance(compose, ComposeTarget)
        assert compose.override == f"here/{override}.staging.attest.yaml"
    named = load(wrong("engine: podman", "engine: podman, override: state/images.yaml")).target
    assert isinstance(named, ComposeTarget)
    assert named.override == "here/state/images.yaml"


def test_a_kubernetes_target() -> None:
    """Manifests and the kubeconfig are files of the document; context and namespace are names."""
    assert load(wrong(COMPOSE, KUBERNETES)).target == KubernetesTarget(
        manifests=("here/k8s/app.yaml",), context="staging", namespace="plex", kubeconfig=None, timeout=seconds(600)
    )
    target = load(wrong(COMPOSE, KUBERNETES.replace("}", ", kubeconfig: kube, timeout: 90s}"))).target
    assert isinstance(target, KubernetesTarget)
    assert (target.kubeconfig, target.timeout) == ("here/kube", seconds(90))


def test_a_hook_target() -> None:
    """A program with a slash is a file of the document; one without is looked up on PATH, and all run in its folder."""
    text = wrong(COMPOSE, HOOK).replace("exec: [/bin/check, --quick]", "http: https://plex.example.org/")
    assert load(text).target == HookTarget(argv=("here/./deploy.py", "--quiet"), folder="here/.", timeout=seconds(600))
    on_path = load(text.replace("./deploy.py, --quiet", "deploy, bin/x]").replace("]]", "], timeout: 1h")).target
    assert on_path == HookTarget(argv=("deploy", "bin/x"), folder="here/.", timeout=seconds(3600))


def test_a_probe_may_have_more() -> None:
    """Authorities, the interval and the time of one attempt are taken as they stand."""
    more = "http: https://plex.example.org/up?deep=1\n      ca-file: ca.pem\n      interval: 2s\n      attempt: 1s"
    text = wrong("http: http://127.0.0.1:8080/health", more)
    rule = ProbeRule(successes=3, timeout=seconds(60), interval=seconds(2), patience=seconds(1))
    probe = HttpProbe(url="https://plex.example.org/up?deep=1", ca_file="here/ca.pem", rule=rule)
    assert load(text).services["backend"].health == probe


@pytest.mark.parametrize(
    "url",
    ["postgresql://db.example.org/ledger", "postgresql://attest@db.example.org:5433/ledger?sslmode=verify-full"],
)
def test_a_ledger_in_a_database(url: str) -> None:
    """A PostgreSQL address without a password is taken as it stands, and is no file."""
    ledger = load(wrong("sqlite:///state/ledger.db", url)).ledger
    assert (ledger.url.url, ledger.url.file) == (url, None)


def test_services_of_one_repository_are_found_together() -> None:
    """In Compose several services may run the same image: each of them belongs to the image's repository."""
    environment = load(RIGHT.replace("plex/migrate", "plex/backend"))
    assert environment.services_of(repository("backend")) == ("backend", "migrate")
    assert environment.services_of(repository("frontend")) == ("frontend",)
    assert environment.services_of(repository("other")) == ()


def test_a_freeze_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    """Of windows that overlap the one that ends last is named, since that is how long it takes."""
    (first,) = load().freezes
    assert first == Freeze(
        start=datetime(2026, 12, 20, tzinfo=UTC), end=datetime(2027, 1, 2, tzinfo=UTC), reason="the year ends"
    )
    longer = Freeze(start=first.start + timedelta(days=1), end=first.end + timedelta(days=1), reason="a move")
    environment = dataclasses.replace(load(), freezes=(longer, first))
    moment = timedelta(microseconds=1)
    assert environment.freeze_at(first.start - moment) is None
    assert environment.freeze_at(first.start) == first
    assert environment.freeze_at(first.end - moment) == longer
    assert environment.freeze_at(longer.end - moment) == longer
    assert environment.freeze_at(longer.end) is None


def _told(text: str, title: str) -> Iterator[str]:
    with pytest.raises(DocumentInvalid) as caught:
        load(text)
    error = caught.value
    assert (error.exit_code, error.file) == (EXIT_USAGE, "here/environment.yaml"), title
    assert None not in (error.line, error.column), title
    assert "hunter2" not in f"{error.message}{error.hint}", title
    yield error.message.removeprefix("here/")
    if error.hint:
        yield f"  hint: {error.hint}"


def test_every_wrong_environment_is_refused_in_the_words_of_the_golden_file() -> None:
    """Each mistake has exit code 2, a line and a column, no secret in it, and exactly the sentence agreed on."""
    lines = []
    for title, old, new, _ in CASES:
        lines += [f"# {title}", *_told(wrong(old, new), title), ""]
    text = "\n".join(lines)
    if os.environ.get("ATTEST_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_titles_of_the_mistakes_are_distinct() -> None:
    """Each mistake can be found in the golden file by its title."""
    titles = [title for title, _, _, _ in CASES]
    assert len(set(titles)) == len(titles)


def test_the_schema_allows_what_is_read_and_refuses_what_a_schema_can() -> None:
    """The published schema is one, accepts environments that are read, and refuses the mistakes that it can see."""
    schema = environmentmodel.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    hook = wrong(COMPOSE, HOOK).replace("exec: [/bin/check, --quick]", "http: https://plex.example.org/")
    for text in (RIGHT, wrong(COMPOSE, KUBERNETES), hook):
        validator.validate(parse_document(text.encode(), file="environment.yaml").value)
    for title, old, new, seen in CASES:
        value = parse_document(wrong(old, new).encode(), file="environment.yaml").value
        assert validator.is_valid(value) is not seen, title
