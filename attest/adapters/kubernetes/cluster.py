"""A namespace of a cluster, through `kubectl`: manifests applied, rollouts waited for, pods listed, commands run there.

That `kubectl` ended with 0 proves nothing about what runs: the pods' own image ids do
(`attest.core.environment.kubernetes`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attest.adapters.files import read_file, write_file
from attest.adapters.kubernetes.manifests import MANIFEST, ImagePlace, Manifest, read_manifest
from attest.adapters.programs import Answer, ask_program, require_success
from attest.core.environment.definition import EnvironmentService, KubernetesTarget, OneShot
from attest.core.environment.health import Health, Look
from attest.core.environment.kubernetes import BoundContainer, BoundService, observe
from attest.core.environment.targets import DesiredImage, Instance, Observed, RunState
from attest.core.reference import RegistryImage
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import AttestError, DocumentInvalid, NotObserved, TargetFailed, UsageError

_SECONDS: Final = 120.0
"""For an answer that changes nothing."""
_ALWAYS: Final = ("pods", "replicasets.apps", "jobs.batch")
_RESOURCES: Final = {
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
    "CronJob": "cronjobs.batch",
    "ReplicationController": "replicationcontrollers",
}
_ROLLED_OUT: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
"""Kinds that `kubectl rollout status` knows."""
_COMMAND_ENDED: Final = "command terminated with exit code"


class Kubernetes:
    """`attest.targetports.Target` in one namespace, and commands in the containers of a service."""

    def __init__(
        self, place: KubernetesTarget, services: Mapping[str, EnvironmentService], *, environment: str
    ) -> None:
        """For the services of the environment of this name. Nothing is asked yet.

        Raises:
            UsageError: kubectl is not installed.
        """
        program = shutil.which("kubectl")
        if program is None:
            raise UsageError("kubectl is not on PATH", hint="install it; no other client of Kubernetes is used")
        self._place = place
        self._services = services
        self._environment = environment
        self._command = [program, "--context", place.context, "--namespace", place.namespace]
        if place.kubeconfig is not None:
            self._command += ["--kubeconfig", place.kubeconfig]

    # ---- attest.targetports.Target

    def prepare(self, plan: Sequence[DesiredImage]) -> None:
        """Check the manifests against the plan, and let the API server check what would be applied."""
        manifests, images = self._planned(plan)
        content = "".join(f"---\n{one.with_images(images)}\n" for one in manifests)
        # The API server refuses another image for a job that is there; `apply` replaces it.
        how = "client" if self._outdated_jobs(manifests, images) else "server"
        self._ask("apply", f"--dry-run={how}", "--filename", "-", standard_input=content.encode())

    def apply(self, plan: Sequence[DesiredImage]) -> None:
        """Write the digests into the manifests, apply them, and wait until they are rolled out or the time is over."""
        manifests, images = self._planned(plan)
        end = time.monotonic() + self._place.timeout.total_seconds()
        jobs = self._outdated_jobs(manifests, images)
        for manifest in manifests:
            text = manifest.with_images(images)
            if text != manifest.text:
                write_file(manifest.file, text.encode())
        for job in jobs:
            self._ask("delete", "job", job, "--ignore-not-found")
        files = [word for manifest in manifests for word in ("--filename", manifest.file)]
        self._ask("apply", *files, seconds=self._place.timeout.total_seconds())
        for workload in dict.fromkeys(place.workload for place in _places(manifests, images)):
            left = end - time.monotonic()
            if workload.kind in _ROLLED_OUT and left > 0:
                # How it ends is of no interest: what runs by then is observed.
                self._run("rollout", "status", str(workload), f"--timeout={max(1, int(left))}s", seconds=left + 10)

    def observe(self) -> Mapping[str, Observed]:
        """What the pods of the namespace run."""
        containers = [
            BoundContainer(service=name, workload=place.workload, container=place.container)
            for manifest in self._manifests()
            for place in manifest.places
            for name in self._services
            if self._is_of(name, place)
        ]
        kinds = {_RESOURCES[one.workload.kind] for one in containers if one.workload.kind in _RESOURCES}
        try:
            items = self._items(",".join([*_ALWAYS, *sorted(kinds)]))
        except TargetFailed as error:
            raise NotObserved(error.message, hint=error.hint) from error
        services = [
            BoundService(name=name, repository=one.repository, oneshot=isinstance(one.health, OneShot))
            for name, one in self._services.items()
        ]
        return observe(services, containers, items)

    # ---- commands in containers

    def look_inside(self, service: str, argv: Sequence[str], *, seconds: float) -> Look:
        """Run a command in each container of a service that runs: healthy where it ends with 0 in all of them."""
        try:
            instances = [one for one in self.observe()[service].instances if not one.ends]
        except AttestError as error:
            return Look(health=Health.ERROR, detail=error.message)
        running = [one for one in instances if one.state is RunState.RUNNING]
        if len(running) < len(instances) or not running:
            states = ", ".join(f"{one.name} is {one.state}" for one in instances) or "there is no pod of it"
            return Look(health=Health.UNHEALTHY, detail=f"{service} does not run: {states}")
        for one in running:
            look = self._execute(one, argv, seconds=seconds)
            if look.health is not Health.HEALTHY:
                return look
        return Look(health=Health.HEALTHY, detail=f"{argv[0]} ended with 0")

    def _execute(self, one: Instance, argv: Sequence[str], *, seconds: float) -> Look:
        pod, _, container = one.name.partition("/")
        try:
            answer = self._run("exec", pod, "--container", container, "--", *argv, seconds=seconds)
        except TargetFailed as error:
            return Look(health=Health.ERROR, detail=error.message)
        if answer.status == 0:
            return Look(health=Health.HEALTHY, detail=f"{argv[0]} ended with 0 in {one.name}")
        ended = f"ended with {answer.status}" if answer.status is not None else f"did not end within {seconds:g} s"
        # kubectl itself fails with codes that commands have too, and tells the two apart in words alone.
        command_failed = f"{_COMMAND_ENDED} {answer.status}" in answer.said
        detail = f"{argv[0]} {ended} in {one.name}: {answer.said or 'it said nothing'}"
        return Look(health=Health.UNHEALTHY if command_failed else Health.ERROR, detail=detail)

    # ---- manifests

    def _manifests(self) -> tuple[Manifest, ...]:
        return tuple(read_manifest(read_file(file, limit=MANIFEST), file=file) for file in self._place.manifests)

    def _is_of(self, service: str, place: ImagePlace) -> bool:
        return str(self._services[service].repository) == place.repository

    def _planned(self, plan: Sequence[DesiredImage]) -> tuple[tuple[Manifest, ...], dict[str, RegistryImage]]:
        """The manifests, and the plan's images by repository; every image has its place in them."""
        manifests = self._manifests()
        images: dict[str, RegistryImage] = {}
        for desired in plan:
            bound = self._services.get(desired.service)
            if bound is None or bound.repository != desired.reference.repository:
                problem = f"{desired.reference} is no image of the service {desired.service} of {self._environment}"
                raise UsageError(problem)
            images[str(bound.repository)] = desired.reference
        for manifest in manifests:
            for place in manifest.places:
                if place.repository in images and place.namespace not in (None, self._place.namespace):
                    problem = f"{place.workload} is of the namespace {place.namespace}"
                    raise manifest.invalid(place, problem, hint=f"the environment is {self._place.namespace}")
                unplanned = next((name for name in self._services if self._is_of(name, place)), None)
                if unplanned is not None and place.repository not in images and "@sha256:" not in place.image:
                    problem = f"{unplanned} would be applied too, and {place.image} is no image by digest"
                    raise manifest.invalid(place, problem, hint=f"deploy {unplanned} with the others")
        there = {place.repository for place in _places(manifests, images)}
        for desired in plan:
            repository = str(desired.reference.repository)
            if repository not in there:
                problem = f"no container has an image of {repository}, which {desired.service} runs"
                hint = f"write `image: {repository}` where it belongs; attest adds the digest"
                raise DocumentInvalid(problem, file=self._place.manifests[0], hint=hint)
        return manifests, images

    def _outdated_jobs(self, manifests: Sequence[Manifest], images: Mapping[str, RegistryImage]) -> tuple[str, ...]:
        """The jobs that are there with another image: they cannot be changed, only made anew.

        Raises:
            TargetFailed: one of them still runs.
        """
        wanted: dict[str, dict[str, RegistryImage]] = {}
        for place in _places(manifests, images):
            if place.workload.kind == "Job":
                wanted.setdefault(place.workload.name, {})[place.container] = images[place.repository]
        if not wanted:
            return ()
        outdated = []
        for item in self._items("jobs.batch"):
            name = _dig(item, "metadata", "name")
            pod = _dig(item, "spec", "template", "spec")
            listed = [*(_dig(pod, "containers") or ()), *(_dig(pod, "initContainers") or ())]
            found = {_dig(one, "name"): _dig(one, "image") for one in listed}
            if not any(found.get(container) != str(image) for container, image in wanted.get(name, {}).items()):
                continue
            if _dig(item, "status", "active"):
                problem = f"the job {name} still runs another image"
                raise TargetFailed(problem, hint="let it end, or delete it, and try again")
            outdated.append(str(name))
        return tuple(outdated)

    # ---- kubectl

    def _items(self, resources: str) -> list[Any]:
        content = self._ask("get", resources, "--output", "json")
        try:
            document = loads(content)
        except JsonInvalid as error:
            raise TargetFailed(f"what kubectl get prints is no strict JSON: {error}") from error
        items = document.get("items") if isinstance(document, dict) else None
        if not isinstance(items, list):
            raise TargetFailed("what kubectl get prints is no list of objects")
        return items

    def _ask(self, *words: str, standard_input: bytes = b"", seconds: float = _SECONDS) -> bytes:
        return require_success(self._run(*words, standard_input=standard_input, seconds=seconds), f"kubectl {words[0]}")

    def _run(self, *words: str, standard_input: bytes = b"", seconds: float) -> Answer:
        who = f"kubectl {words[0]}"
        return ask_program([*self._command, *words], who=who, seconds=seconds, standard_input=standard_input)


def _places(manifests: Sequence[Manifest], images: Mapping[str, RegistryImage]) -> list[ImagePlace]:
    return [place for manifest in manifests for place in manifest.places if place.repository in images]


def _dig(value: Any, *names: str) -> Any:
    """What stands at a path of objects; None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
