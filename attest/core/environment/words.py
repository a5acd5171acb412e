"""An environment in plain sentences, and as data: what `attest environment check` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_never

from attest.core.environment.definition import (
    ComposeTarget,
    Environment,
    EnvironmentService,
    ExecProbe,
    HookTarget,
    HttpProbe,
    KubernetesTarget,
    OneShot,
)
from attest.core.environment.health import ProbeRule
from attest.core.explain import Section
from attest.core.policydocument import lifetime
from attest.core.statement import format_time
from attest.core.strictjson import Json

SCHEMA = "attest.environment/v1"


def explain(environment: Environment, *, now: datetime) -> tuple[Section, ...]:
    """The whole environment: what has to pass, where it goes, each service, and what happens when one fails."""
    return (
        Section(title="evidence", sentences=tuple(_evidence(environment))),
        Section(title="target", sentences=tuple(_target(environment))),
        *(
            Section(title=f"service {one.name}", sentences=tuple(_service(one)))
            for one in environment.services.values()
        ),
        Section(title="deployment", sentences=tuple(_deployment(environment, now))),
        Section(title="ledger", sentences=tuple(_ledger(environment))),
    )


def document(environment: Environment, *, now: datetime) -> dict[str, Json]:
    """The environment as data, for `--format json`; durations are whole seconds, `explanation` has the sentences."""
    return {
        "schema": SCHEMA,
        "name": environment.name,
        "digest": environment.digest,
        "policy": environment.policy,
        "evidence": [str(one) for one in environment.evidence],
        "ledger": {
            "url": environment.ledger.url.url,
            "signer": environment.ledger.signer,
            "head": None if environment.ledger.head is None else str(environment.ledger.head),
        },
        "target": _target_data(environment),
        "services": {name: _service_data(one) for name, one in environment.services.items()},
        "freeze": [
            {"from": format_time(one.start), "to": format_time(one.end), "reason": one.reason}
            for one in environment.freezes
        ],
        "rollback": {"automatic": environment.automatic_rollback},
        "explanation": [
            {"title": section.title, "sentences": list(section.sentences)} for section in explain(environment, now=now)
        ],
    }


def _evidence(environment: Environment) -> Iterator[str]:
    yield f"Before anything is deployed or rolled back, the release has to pass the policy {environment.policy}."
    if environment.evidence:
        yield "Evidence beside the images counts, and that in:"
        yield from (f"- {one}" for one in environment.evidence)
    else:
        yield "Only evidence beside the images counts: what is signed elsewhere after promotion is not seen."


def _target(environment: Environment) -> Iterator[str]:
    match environment.target:
        case ComposeTarget() as compose:
            yield f"Compose of {compose.engine}, with {', '.join(compose.files)}."
            yield f"attest writes {compose.override}, and nothing else: the image of each service by digest."
            if compose.project is not None:
                yield f"The project is {compose.project}."
        case KubernetesTarget() as kubernetes:
            yield f"The namespace {kubernetes.namespace} of the cluster that the context {kubernetes.context} names."
            yield f"Digests are written into {', '.join(kubernetes.manifests)}; nothing else in them is changed."
        case HookTarget() as hook:
            yield f"The program {hook.argv[0]} deploys, and says what runs."
        case other:
            assert_never(other)
    yield f"One run of its tools takes at most {lifetime(environment.target.timeout)}."


def _service(service: EnvironmentService) -> Iterator[str]:
    yield f"It runs images of {service.repository}, by digest."
    match service.health:
        case HttpProbe() as http:
            yield f"It is healthy when {http.url} answers with 200 to 299, {_often(http.rule)}."
            if http.ca_file is not None:
                yield f"The authorities in {http.ca_file} count for that, and no others."
        case ExecProbe() as probe:
            yield f"It is healthy when `{' '.join(probe.argv)}` ends with 0 in its containers, {_often(probe.rule)}."
        case OneShot() as oneshot:
            yield f"It does its work and ends: with 0, within {lifetime(oneshot.timeout)}."
        case other:
            assert_never(other)
    if service.soak:
        yield f"After that it has to stay so for {lifetime(service.soak)}."


def _often(rule: ProbeRule) -> str:
    times = "once" if rule.successes == 1 else f"{rule.successes} times in a row"
    return f"{times}, every {lifetime(rule.interval)}, within {lifetime(rule.timeout)}"


def _deployment(environment: Environment, now: datetime) -> Iterator[str]:
    if environment.automatic_rollback:
        yield "A release that fails is rolled back at once to the last one that was verified and healthy."
    else:
        yield "A release that fails stays until somebody runs `attest rollback`."
    for freeze in environment.freezes:
        over = " (over)" if freeze.end <= now else " (now)" if freeze.start <= now else ""
        window = f"From {format_time(freeze.start)} to {format_time(freeze.end)}{over} nothing is deployed"
        yield f"{window}, only rolled back: {freeze.reason}"


def _ledger(environment: Environment) -> Iterator[str]:
    ledger = environment.ledger
    yield f"Everything is recorded in {ledger.url.url}."
    if ledger.signer is None:
        yield "Its head is not signed: who can write to it could cut off its end unseen."
    elif ledger.head is None:
        yield f"Its head is signed by {ledger.signer}."
    else:
        yield f"Its head is signed by {ledger.signer}, and pushed to {ledger.head}."


def _target_data(environment: Environment) -> dict[str, Json]:
    match environment.target:
        case ComposeTarget() as compose:
            return {
                "kind": "compose",
                "engine": str(compose.engine),
                "files": list(compose.files),
                "project": compose.project,
                "override": compose.override,
                "env-file": compose.env_file,
                "timeout": _seconds(compose.timeout),
            }
        case KubernetesTarget() as kubernetes:
            return {
                "kind": "kubernetes",
                "manifests": list(kubernetes.manifests),
                "context": kubernetes.context,
                "namespace": kubernetes.namespace,
                "kubeconfig": kubernetes.kubeconfig,
                "timeout": _seconds(kubernetes.timeout),
            }
        case HookTarget() as hook:
            return {"kind": "hook", "argv": list(hook.argv), "timeout": _seconds(hook.timeout)}
        case other:
            assert_never(other)


def _service_data(service: EnvironmentService) -> dict[str, Json]:
    return {
        "repository": str(service.repository),
        "health": _health_data(service.health),
        "soak": _seconds(service.soak),
    }


def _health_data(health: HttpProbe | ExecProbe | OneShot) -> dict[str, Json]:
    match health:
        case HttpProbe():
            return {"kind": "http", "url": health.url, "ca-file": health.ca_file, **_rule_data(health.rule)}
        case ExecProbe():
            return {"kind": "exec", "argv": list(health.argv), **_rule_data(health.rule)}
        case OneShot():
            return {"kind": "oneshot", "timeout": _seconds(health.timeout)}
        case other:
            assert_never(other)


def _rule_data(rule: ProbeRule) -> dict[str, Json]:
    return {
        "successes": rule.successes,
        "timeout": _seconds(rule.timeout),
        "interval": _seconds(rule.interval),
        "attempt": _seconds(rule.patience),
    }


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())
