"""What the pods of a namespace run, from the objects that its API server lists.

Sources: Kubernetes API, `core/v1` PodStatus and ContainerStatus, `apps/v1` and `batch/v1`. A pod belongs to a workload
through its controllers (`ownerReferences` with `controller: true`): Pod, ReplicaSet, Deployment. What counts is the
image that the kubelet says it runs (`imageID`), never the one that a specification asks for, except of a CronJob,
of which nothing may run at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from attest.core.environment.targets import Instance, Observed, RunState
from attest.core.reference import Digest, Repository
from attest.core.strictjson import Json

_IMAGE_ID: Final = re.compile(r"(?:^|[@/])(sha256:[0-9a-f]{64})")
_CONTROLLERS: Final = 8
"""From a pod to its workload there are two at most; owners that go round in a circle end here."""


class Role(StrEnum):
    """The lists of containers that the specification of a pod has."""

    MAIN = "containers"
    INIT = "initContainers"
    EPHEMERAL = "ephemeralContainers"


_STATUSES: Final = {
    Role.MAIN: "containerStatuses",
    Role.INIT: "initContainerStatuses",
    Role.EPHEMERAL: "ephemeralContainerStatuses",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """An object that makes pods, or is one."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundContainer:
    """A container of a workload that runs images of a service."""

    service: str
    workload: Workload
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundService:
    """What is known of a service before anything is looked at."""

    name: str
    repository: Repository
    oneshot: bool


def repository_of(image: str) -> str:
    """The repository of an image as a manifest names it: without its digest and its tag."""
    name = image.partition("@")[0]
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def observe(
    services: Sequence[BoundService], containers: Sequence[BoundContainer], items: Sequence[Json]
) -> dict[str, Observed]:
    """What each service runs.

    Args:
        services: All services of the environment.
        containers: Where the manifests say that their images run.
        items: Every pod of the namespace, the objects that control them, and the workloads of the manifests.
    """
    objects = [_Object(item) for item in items if isinstance(item, dict)]
    by_uid = {one.uid: one for one in objects if one.uid}
    pods = [(one, _root(one, by_uid)) for one in objects if one.kind == "Pod"]
    made = {Workload(kind=one.kind, name=one.name): one for one in objects}
    return {
        service.name: Observed(
            service=service.name,
            instances=tuple(
                _instances(service, [one for one in containers if one.service == service.name], pods, made)
            ),
        )
        for service in services
    }


class _Object:
    """One object of the API, read without trust in its shape."""

    def __init__(self, value: dict[str, Json]) -> None:
        self.kind = _text(value, "kind")
        self.metadata = _mapping(value, "metadata")
        self.name = _text(self.metadata, "name")
        self.uid = _text(self.metadata, "uid")
        self.spec = _mapping(value, "spec")
        self.status = _mapping(value, "status")

    @property
    def controller(self) -> dict[str, Json]:
        """The reference to what made it; empty where nothing did."""
        owners = (owner for owner in _list(self.metadata, "ownerReferences") if owner.get("controller") is True)
        return next(owners, {})


def _root(pod: _Object, by_uid: Mapping[str, _Object]) -> Workload:
    here = Workload(kind=pod.kind, name=pod.name)
    owner = pod.controller
    for _ in range(_CONTROLLERS):
        if not owner:
            break
        here = Workload(kind=_text(owner, "kind"), name=_text(owner, "name"))
        above = by_uid.get(_text(owner, "uid"))
        owner = above.controller if above is not None else {}
    return here


def _instances(
    service: BoundService,
    containers: Sequence[BoundContainer],
    pods: Sequence[tuple[_Object, Workload]],
    made: Mapping[Workload, _Object],
) -> Iterator[Instance]:
    """Of the workloads that the manifests name, and of every other pod of the namespace with its images."""
    names: dict[Workload, set[str]] = {}
    for one in containers:
        names.setdefault(one.workload, set()).add(one.container)
    there = dict.fromkeys(names, 0)
    for pod, root in pods:
        if _is_history(pod, root, made.get(root)):
            continue
        if root in there:
            there[root] += 1
        # A run of a CronJob may be under way whenever somebody looks, and is gone from here when it has ended.
        ends = root.kind != "CronJob" and (service.oneshot or root.kind == "Job")
        yield from _of_pod(service, pod, names.get(root, set()), ends=ends)
    for workload, count in there.items():
        if workload in made:
            yield from _missing(workload, made[workload], count)
            if workload.kind == "CronJob":
                yield from _scheduled(workload, made[workload], names[workload])


def _is_history(pod: _Object, root: Workload, made: _Object | None) -> bool:
    """Whether a pod has ended and says nothing of what runs: it was replaced, or will be."""
    phase = _text(pod.status, "phase")
    match root.kind:
        case "Pod":
            return False
        case "Job":  # it tries again until it gives up
            conditions = [] if made is None else _list(made.status, "conditions")
            given_up = any(one.get("type") == "Failed" and one.get("status") == "True" for one in conditions)
            return phase == "Failed" and not given_up
        case _:
            return phase in ("Succeeded", "Failed")


def _of_pod(service: BoundService, pod: _Object, names: Set[str], *, ends: bool) -> Iterator[Instance]:
    for role in Role:
        statuses = {_text(one, "name"): one for one in _list(pod.status, _STATUSES[role])}
        for container in _list(pod.spec, role):
            name = _text(container, "name")
            if name not in names and repository_of(_text(container, "image")) != str(service.repository):
                continue
            # Of the init containers only a sidecar, which says so by its restart policy, goes on running.
            made_to_end = ends or (role is Role.INIT and container.get("restartPolicy") != "Always")
            yield _instance(pod, name, statuses.get(name), ends=made_to_end)


def _instance(pod: _Object, name: str, status: dict[str, Json] | None, *, ends: bool) -> Instance:
    full = f"{pod.name}/{name}"
    if status is None:
        return Instance(name=full, state=RunState.WAITING, ends=ends, instance=pod.uid or None, detail=_pending(pod))
    state, code, started, detail = _state(status)
    if _text(pod.status, "phase") == "Unknown":  # its node is lost, and what it said last is old
        state, detail = RunState.UNKNOWN, "its node does not answer"
    if "deletionTimestamp" in pod.metadata:
        detail = detail or "it is being ended"
    identity = _text(status, "containerID")
    return Instance(
        name=full,
        state=state,
        digests=frozenset(map(Digest, _IMAGE_ID.findall(_text(status, "imageID")))),
        exit_code=code,
        ends=ends,
        instance=identity or pod.uid or None,
        started=started,
        detail=detail,
    )


def _state(status: dict[str, Json]) -> tuple[RunState, int | None, str | None, str]:
    state = _mapping(status, "state")
    if "running" in state:
        ready = "" if status.get("ready") is not False else "it is not ready"
        return RunState.RUNNING, None, _text(_mapping(state, "running"), "startedAt") or None, ready
    if "terminated" in state:
        ended = _mapping(state, "terminated")
        code = ended.get("exitCode")
        number = code if type(code) is int else None
        return RunState.EXITED, number, _text(ended, "startedAt") or None, _text(ended, "reason")
    if "waiting" in state:
        waiting = _mapping(state, "waiting")
        return RunState.WAITING, None, None, _joined(_text(waiting, "reason"), _text(waiting, "message"))
    return RunState.UNKNOWN, None, None, "its node does not say what it does"


def _pending(pod: _Object) -> str:
    """Why nothing of a pod runs yet: the conditions that do not hold."""
    reasons = [
        _joined(_text(one, "reason"), _text(one, "message"))
        for one in _list(pod.status, "conditions")
        if one.get("status") == "False"
    ]
    return "; ".join(filter(None, reasons)) or f"the pod is {_text(pod.status, 'phase') or 'new'}"


def _missing(workload: Workload, made: _Object, there: int) -> Iterator[Instance]:
    """What a workload has yet to do: look at its newest specification, make its pods, or start at all."""
    generation, observed = made.metadata.get("generation"), made.status.get("observedGeneration")
    if workload.kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet") and (
        type(generation) is not int or type(observed) is not int or observed < generation
    ):
        yield _due(workload, "its controller has not looked at it yet")
    wanted: Json = 0
    match workload.kind:
        case "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController":
            wanted = made.spec.get("replicas", 1)
        case "DaemonSet":
            wanted = made.status.get("desiredNumberScheduled", 0)
        case "Job":
            wanted = 0 if made.status.get("succeeded") else 1
        case _:
            pass
    if type(wanted) is int and there < wanted:
        yield _due(workload, f"{there} of {wanted} pods are there")
    if workload.kind == "Job" and not wanted and not there:
        yield Instance(name=str(workload), state=RunState.UNKNOWN, ends=True, detail="its pods are gone")


def _due(workload: Workload, detail: str) -> Instance:
    return Instance(name=str(workload), state=RunState.WAITING, detail=detail)


def _scheduled(workload: Workload, made: _Object, names: Set[str]) -> Iterator[Instance]:
    """What a CronJob will start."""
    job = _mapping(_mapping(made.spec, "jobTemplate"), "spec")
    pod = _mapping(_mapping(job, "template"), "spec")
    for role in Role:
        for container in _list(pod, role):
            if _text(container, "name") in names:
                digests = _IMAGE_ID.findall(_text(container, "image"))
                yield Instance(
                    name=f"{workload}/{_text(container, 'name')}",
                    state=RunState.SCHEDULED,
                    digests=frozenset(map(Digest, digests)),
                    detail="suspended" if made.spec.get("suspend") is True else "",
                )


def _joined(reason: str, message: str) -> str:
    return f"{reason}: {message}" if reason and message else reason or message


def _mapping(value: Mapping[str, Json], name: str) -> dict[str, Json]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    found = value.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(value: Mapping[str, Json], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
