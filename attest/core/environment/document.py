"""An environment from its document: what no schema can say is checked here, and an `Environment` is made.

Every error names the place in the document and what would be right. Nothing that an environment needs is guessed from
the machine: neither an engine, nor a cluster, nor whether a bad release is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from attest.core.document import Document, Path
from attest.core.environment.definition import (
    ComposeTarget,
    Environment,
    EnvironmentService,
    ExecProbe,
    Freeze,
    HookTarget,
    HttpProbe,
    KubernetesTarget,
    LedgerPlace,
    OneShot,
    TargetPlace,
)
from attest.core.environment.fields import SQLITE, LedgerUrl
from attest.core.environment.health import ProbeRule
from attest.core.environment.model import (
    ComposeDocument,
    EnvironmentDocument,
    HookDocument,
    KubernetesDocument,
    LedgerDocument,
    ProbeDocument,
    ServiceDocument,
    TargetDocument,
)
from attest.core.model import read_model
from attest.core.reference import Repository, digest_of

SUCCESSES: Final = 3
PROBE_TIMEOUT: Final = timedelta(seconds=60)
PROBE_INTERVAL: Final = timedelta(seconds=1)
PROBE_ATTEMPT: Final = timedelta(seconds=5)
TARGET_TIMEOUT: Final = timedelta(minutes=10)
ONESHOT_TIMEOUT: Final = timedelta(minutes=10)

Locate = Callable[[str], str]
"""Finds a file that the document names: the path by which it can be opened."""


def read_environment(document: Document, *, locate: Locate) -> Environment:
    """The environment that a document is.

    Args:
        document: What was read of its file.
        locate: Makes of a file's name in the document, relative to its folder, a path that can be opened.

    Raises:
        DocumentInvalid: it is none; with the place.
    """
    model = read_model(EnvironmentDocument, document)
    target = _target(document, model, locate)
    return Environment(
        name=model.name,
        digest=digest_of(document.content),
        policy=locate(model.policy),
        evidence=tuple(model.evidence),
        ledger=_ledger(document, model.ledger, locate),
        target=target,
        services=_services(document, model, target, locate),
        freezes=_freezes(document, model),
        automatic_rollback=model.rollback.automatic,
    )


def _ledger(document: Document, ledger: LedgerDocument, locate: Locate) -> LedgerPlace:
    if ledger.head is not None and ledger.signer is None:
        problem = "`ledger.head` is where a signed head goes, and no `signer` says who signs it"
        raise document.invalid_key(("ledger", "head"), problem, hint="give the ledger a `signer`, a private key's file")
    url = ledger.url
    if url.file is not None:
        file = locate(url.file)
        url = LedgerUrl(url=SQLITE + file, file=file)
    return LedgerPlace(url=url, signer=_located(ledger.signer, locate), head=ledger.head)


def _located(file: str | None, locate: Locate) -> str | None:
    return None if file is None else locate(file)


def _target(document: Document, model: EnvironmentDocument, locate: Locate) -> TargetPlace:
    kinds = {name: getattr(model.target, name) for name in TargetDocument.model_fields}
    given = [name for name, kind in kinds.items() if kind is not None]
    if len(given) != 1:
        problem = f"a target with `{'` and `'.join(given)}`" if given else "a target of no kind"
        hint = "it is exactly one of `compose`, `kubernetes` and `hook`"
        raise document.invalid_key(("target",), problem, hint=hint)
    match kinds[given[0]]:
        case ComposeDocument() as compose:
            return _compose(document, model.name, compose, locate)
        case KubernetesDocument() as kubernetes:
            return KubernetesTarget(
                manifests=tuple(map(locate, kubernetes.manifests)),
                context=kubernetes.context,
                namespace=kubernetes.namespace,
                kubeconfig=_located(kubernetes.kubeconfig, locate),
                timeout=kubernetes.timeout or TARGET_TIMEOUT,
            )
        case hook:
            assert isinstance(hook, HookDocument)  # noqa: S101 - the third of three
            return _hook(hook, locate)


def _compose(document: Document, name: str, compose: ComposeDocument, locate: Locate) -> ComposeTarget:
    path: Path = ("target", "compose")
    if (compose.file is None) == (compose.files is None):
        problem = "`compose` with `file` and `files`" if compose.file else "`compose` without a file"
        raise document.invalid_key(path, problem, hint="it has `file`, or `files` where Compose merges several")
    files = tuple(map(locate, compose.files or [compose.file or ""]))
    override = locate(compose.override) if compose.override is not None else _override(files[-1], name)
    if override in files:
        problem = "the file that attest writes is one that Compose is given; what stands in it would be lost"
        raise document.invalid((*path, "override"), problem, hint="name one of its own")
    return ComposeTarget(
        files=files,
        engine=compose.engine,
        project=compose.project,
        override=override,
        env_file=_located(compose.env_file, locate),
        timeout=compose.timeout or TARGET_TIMEOUT,
    )


def _override(file: str, name: str) -> str:
    """Beside the last of the files: `compose.yaml` becomes `compose.staging.attest.yaml`, one for each environment."""
    folder, slash, base = file.rpartition("/")
    stem, dot, _ = base.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else base}.{name}.attest.yaml"


def _hook(hook: HookDocument, locate: Locate) -> HookTarget:
    program = hook.argv[0]
    if "/" in program:  # as a shell has it: a name without a slash is looked up on PATH
        program = locate(program)
    return HookTarget(argv=(program, *hook.argv[1:]), folder=locate("."), timeout=hook.timeout or TARGET_TIMEOUT)


def _services(
    document: Document, model: EnvironmentDocument, target: TargetPlace, locate: Locate
) -> dict[str, EnvironmentService]:
    services: dict[str, EnvironmentService] = {}
    seen: dict[Repository, str] = {}
    for name, service in model.services.items():
        path: Path = ("services", name)
        services[name] = _service(document, path, name, service, target, locate)
        twin = seen.setdefault(service.repository, name)
        if twin != name and isinstance(target, KubernetesTarget):
            problem = f"{name} has the same repository as {twin}, and in manifests a service is known by its repository"
            hint = "leave one of them out: a service is every container of its repository, in whatever workload"
            raise document.invalid((*path, "repository"), problem, hint=hint)
    return services


def _service(
    document: Document, path: Path, name: str, service: ServiceDocument, target: TargetPlace, locate: Locate
) -> EnvironmentService:
    if service.oneshot:
        for key in ("probe", "soak"):
            if getattr(service, key) is not None:
                problem = f"{name} is one-shot: it is well when it has ended with 0, and has no `{key}`"
                raise document.invalid_key((*path, key), problem)
        health: HttpProbe | ExecProbe | OneShot = OneShot(timeout=service.timeout or ONESHOT_TIMEOUT)
    else:
        if service.timeout is not None:
            problem = "`timeout` is how long a one-shot service may take; the time of a probe stands in the `probe`"
            raise document.invalid_key((*path, "timeout"), problem)
        if service.probe is None:
            problem = f"nothing says how {name} shows that it is well"
            hint = "give it a `probe` with `http` or `exec`, or say `oneshot: true` if it does its work and ends"
            raise document.invalid_key(path, problem, hint=hint)
        health = _probe(document, (*path, "probe"), service.probe, target, locate)
    return EnvironmentService(
        name=name, repository=service.repository, health=health, soak=service.soak or timedelta(0)
    )


def _probe(
    document: Document, path: Path, probe: ProbeDocument, target: TargetPlace, locate: Locate
) -> HttpProbe | ExecProbe:
    rule = ProbeRule(
        successes=probe.successes or SUCCESSES,
        timeout=probe.timeout or PROBE_TIMEOUT,
        interval=probe.interval or PROBE_INTERVAL,
        patience=probe.attempt or PROBE_ATTEMPT,
    )
    least = rule.interval * (rule.successes - 1)
    if least >= rule.timeout:
        problem = f"{rule.successes} successes, {rule.interval.total_seconds():g} s apart, can never be had"
        problem += f" within {rule.timeout.total_seconds():g} s"
        raise document.invalid_key(path, problem, hint="raise `timeout`, or lower `successes` or `interval`")
    if probe.http is not None and probe.exec is None:
        if probe.ca_file is not None and not probe.http.startswith("https://"):
            problem = "`ca-file` without https: no certificate would ever be looked at"
            raise document.invalid_key((*path, "ca-file"), problem)
        return HttpProbe(url=probe.http, ca_file=_located(probe.ca_file, locate), rule=rule)
    if probe.exec is None or probe.http is not None:
        problem = "a probe with `http` and `exec`" if probe.exec else "a probe of no kind"
        raise document.invalid_key(path, problem, hint="it is exactly one of `http` and `exec`")
    if probe.ca_file is not None:
        raise document.invalid_key((*path, "ca-file"), "`ca-file` is for an https probe; a command has none")
    if isinstance(target, HookTarget):
        problem = "an `exec` probe runs inside a container, and a hook gives no way into one"
        raise document.invalid_key(
            (*path, "exec"), problem, hint="probe by `http`, or let the hook wait until it is well"
        )
    return ExecProbe(argv=probe.exec, rule=rule)


def _freezes(document: Document, model: EnvironmentDocument) -> tuple[Freeze, ...]:
    for position, freeze in enumerate(model.freeze):
        if freeze.to <= freeze.from_:
            raise document.invalid(("freeze", position, "to"), "it ends before it begins, and would freeze nothing")
    return tuple(Freeze(start=one.from_, end=one.to, reason=one.reason) for one in model.freeze)
