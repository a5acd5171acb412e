"""Kubernetes: manifests applied to a real API server, and what its pods are said to run."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.kubernetes import Kubernetes
from attest.core.environment.definition import EnvironmentService, ExecProbe, KubernetesTarget
from attest.core.environment.health import Health, ProbeRule
from attest.core.environment.targets import DesiredImage, Match, RunState, compare
from attest.core.reference import Digest, RegistryImage, digest_of, parse_repository
from attest.errors import DocumentInvalid, NotObserved, TargetFailed, UsageError
from tests.parts.kubernetes import CONTEXT, Cluster, cluster

BACKEND = "registry.example.org/plex/backend"
FRONTEND = "registry.example.org/plex/frontend"
FIRST, SECOND = digest_of(b"first"), digest_of(b"second")
RULE = ProbeRule(
    successes=1, timeout=timedelta(seconds=60), interval=timedelta(seconds=1), patience=timedelta(seconds=60)
)
LABELS = {"app": "web"}
WEB = f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{greeting: hello}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      initContainers: [{{name: migrate, image: {BACKEND}}}]
      containers:
        - name: web
          image: {BACKEND}:1.0   # attest writes the digest
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server for the tests of this file."""
    with cluster(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A namespace of its own, and a folder with manifests."""

    cluster: Cluster
    namespace: str
    folder: Path

    def write(self, text: str, *, name: str = "app.yaml") -> Path:
        """A file of manifests."""
        path = self.folder / name
        path.write_text(text)
        return path

    def target(
        self, *, files: tuple[str, ...] = ("app.yaml",), seconds: float = 60, context: str = CONTEXT
    ) -> Kubernetes:
        """The target of an environment with the services `backend` and `frontend`."""
        place = KubernetesTarget(
            manifests=tuple(str(self.folder / file) for file in files),
            context=context,
            namespace=self.namespace,
            kubeconfig=str(self.cluster.kubeconfig),
            timeout=timedelta(seconds=seconds),
        )
        return Kubernetes(place, SERVICES, environment="staging")

    @contextlib.contextmanager
    def controlled(self, name: str = "web") -> Iterator[None]:
        """Roll a Deployment out whenever it was changed, as controllers do, until the block ends."""
        over = threading.Event()

        def control() -> None:
            while not over.wait(0.2):
                listed = self.cluster.get(self.namespace, "deployments")["items"]
                found = [one for one in listed if one["metadata"]["name"] == name]
                if found and found[0]["status"].get("observedGeneration") != found[0]["metadata"]["generation"]:
                    self.cluster.roll_out(self.namespace, name)

        thread = threading.Thread(target=control)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def deploy(self, digest: Digest) -> Kubernetes:
        """Deploy a digest of the backend with a Deployment, and let it be rolled out."""
        target = self.target()
        with self.controlled():
            target.apply(plan(digest))
        return target


SERVICES = {
    name: EnvironmentService(
        name=name, repository=parse_repository(repository), health=ExecProbe(argv=("x",), rule=RULE), soak=timedelta(0)
    )
    for name, repository in (("backend", BACKEND), ("frontend", FRONTEND))
}


def plan(digest: Digest, repository: str = BACKEND, service: str = "backend") -> list[DesiredImage]:
    """This digest for a service."""
    reference = RegistryImage(repository=parse_repository(repository), digest=digest)
    return [DesiredImage(service=service, reference=reference)]


@pytest.fixture
def stage(server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage with the manifests of a Deployment in `app.yaml`."""
    monkeypatch.setenv("PATH", f"{server.program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    made = Stage(cluster=server, namespace=server.make_namespace(), folder=tmp_path)
    made.write(WEB)
    return made


@pytest.mark.parts
def test_a_release_is_deployed_and_seen_by_digest(stage: Stage) -> None:
    """Digests are written in place, the API server has them, and what the pod's kubelet says is what is seen."""
    target = stage.target()
    assert target.observe()["backend"].state is RunState.ABSENT
    target.prepare(plan(FIRST))
    assert (stage.folder / "app.yaml").read_text() == WEB
    assert stage.cluster.get(stage.namespace, "deployments")["items"] == []
    stage.deploy(FIRST)
    written = WEB.replace(f"{BACKEND}:1.0", BACKEND).replace(BACKEND, f"{BACKEND}@{FIRST}")
    assert (stage.folder / "app.yaml").read_text() == written
    live = stage.cluster.get(stage.namespace, "deployment/web")["spec"]["template"]["spec"]
    assert [live[key][0]["image"] for key in ("containers", "initContainers")] == [f"{BACKEND}@{FIRST}"] * 2
    observed = target.observe()["backend"]
    assert sorted(one.name.partition("/")[2] for one in observed.instances) == ["migrate", "web"]
    assert compare(observed, frozenset({FIRST})) is Match.SAME
    assert compare(observed, frozenset({SECOND})) is Match.OTHER
    assert target.observe()["frontend"].state is RunState.ABSENT
    stage.deploy(SECOND)
    assert compare(target.observe()["backend"], frozenset({SECOND})) is Match.SAME


@pytest.mark.parts
def test_a_rollout_that_does_not_end_is_no_error_and_is_seen(stage: Stage) -> None:
    """Without controllers nothing happens: the time is waited for, and what is seen is not what was wanted."""
    target = stage.target(seconds=2)
    target.apply(plan(FIRST))
    observed = target.observe()["backend"]
    assert compare(observed, frozenset({FIRST})) is Match.WAITING
    assert [one.detail for one in observed.instances] == [
        *("its controller has not looked at it yet", "0 of 1 pods are there")
    ]


@pytest.mark.parts
def test_what_somebody_changed_by_hand_is_seen_and_repaired(stage: Stage) -> None:
    """Another image in the live object is another image in its pods, until the same plan is applied again."""
    target = stage.deploy(FIRST)
    words = ("--namespace", stage.namespace, "set", "image", "deployment/web", f"web={BACKEND}@{SECOND}")
    stage.cluster.kubectl(*words)
    stage.cluster.roll_out(stage.namespace, "web")
    assert compare(target.observe()["backend"], frozenset({FIRST})) is Match.OTHER
    stage.deploy(FIRST)
    assert compare(target.observe()["backend"], frozenset({FIRST})) is Match.SAME


@pytest.mark.parts
def test_a_kubelet_that_runs_something_else_is_believed(stage: Stage) -> None:
    """A pod whose specification has the digest and whose image id is another one runs another image."""
    target = stage.deploy(FIRST)
    owner = stage.cluster.get(stage.namespace, "replicasets")["items"][0]
    spec = {"containers": [{"name": "web", "image": f"{BACKEND}@{FIRST}"}]}
    images = {"web": f"{BACKEND}@{SECOND}"}
    stage.cluster.make_pod(stage.namespace, spec, owner=owner, labels=LABELS, images=images)
    observed = target.observe()["backend"]
    assert len(observed.instances) == 3
    assert compare(observed, frozenset({FIRST})) is Match.OTHER


JOB = f"""\
apiVersion: batch/v1
kind: Job
metadata: {{name: migrate}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: migrate, image: {BACKEND}}}]
"""


def end_job(stage: Stage, digest: Digest) -> None:
    """Let the pod of the job end with 0, of this image."""
    job = stage.cluster.get(stage.namespace, "job/migrate")
    stage.cluster.make_pod(
        stage.namespace,
        {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": f"{BACKEND}@{digest}"}]},
        owner=job,
        labels={"job": "migrate"},
        state={
            "terminated": {"exitCode": 0, "startedAt": "2026-07-01T10:00:00Z", "finishedAt": "2026-07-01T10:00:01Z"}
        },
        phase="Succeeded",
    )
    stage.cluster.set_status(
        stage.namespace,
        "job/migrate",
        {"succeeded": 1, "startTime": "2026-07-01T10:00:00Z", "uncountedTerminatedPods": {}},
    )


@pytest.mark.parts
def test_a_job_is_made_anew_for_another_image(stage: Stage) -> None:
    """A job cannot be changed: the old one is replaced, unless it still runs; the same image leaves it alone."""
    stage.write(JOB)
    target = stage.target()
    target.apply(plan(FIRST))
    end_job(stage, FIRST)
    assert compare(target.observe()["backend"], frozenset({FIRST})) is Match.SAME
    before = stage.cluster.get(stage.namespace, "job/migrate")["metadata"]["uid"]
    target.apply(plan(FIRST))
    assert stage.cluster.get(stage.namespace, "job/migrate")["metadata"]["uid"] == before
    target.prepare(plan(SECOND))
    assert stage.cluster.get(stage.namespace, "job/migrate")["metadata"]["uid"] == before
    stage.cluster.set_status(stage.namespace, "job/migrate", {"active": 1})
    for step in (target.prepare, target.apply):
        with pytest.raises(TargetFailed, match="the job migrate still runs another image"):
            step(plan(SECOND))
    assert str(FIRST) in (stage.folder / "app.yaml").read_text()
    stage.cluster.set_status(stage.namespace, "job/migrate", {"active": 0})
    target.apply(plan(SECOND))
    made = stage.cluster.get(stage.namespace, "job/migrate")
    assert made["metadata"]["uid"] != before
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == f"{BACKEND}@{SECOND}"


@pytest.mark.parts
def test_a_cron_job_is_what_it_will_start(stage: Stage) -> None:
    """Nothing runs, and the API server says which digest will."""
    text = f"""\
apiVersion: batch/v1
kind: CronJob
metadata: {{name: report}}
spec:
  schedule: "0 0 * * *"
  jobTemplate:
    spec:
      template:
        spec: {{restartPolicy: Never, containers: [{{name: report, image: {BACKEND}}}]}}
"""
    stage.write(text)
    target = stage.target()
    target.apply(plan(FIRST))
    observed = target.observe()["backend"]
    assert (observed.state, compare(observed, frozenset({FIRST}))) == (RunState.SCHEDULED, Match.SAME)
    assert compare(observed, frozenset({SECOND})) is Match.OTHER


@pytest.mark.parts
def test_what_the_api_server_refuses_touches_nothing(stage: Stage) -> None:
    """A manifest that is wrong is found before anything is applied, and no file is written."""
    wrong = WEB.replace("spec:\n  selector", "spec:\n  replicaz: 1\n  selector")
    stage.write(wrong)
    with pytest.raises(TargetFailed, match=r"kubectl apply ended with 1: .*replicaz"):
        stage.target().prepare(plan(FIRST))
    assert (stage.folder / "app.yaml").read_text() == wrong
    assert stage.cluster.get(stage.namespace, "configmaps")["items"] == []


@pytest.mark.parts
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WEB.replace(BACKEND, "registry.example.org/other"), f"no container has an image of {BACKEND}"),
        (WEB.replace("name: web\nspec", "name: web\n  namespace: x\nspec"), "deployment/web is of the namespace x"),
        (WEB + f"        - {{name: front, image: {FRONTEND}:1}}\n", "frontend would be applied too, and"),
        (WEB + f"        - {{name: front, image: {FRONTEND}}}\n", "frontend would be applied too, and"),
        (WEB.replace("kind: Deployment", "kind: [Deployment"), "this is not YAML"),
    ],
)  # fmt: skip
def test_manifests_that_do_not_allow_a_plan_are_refused(stage: Stage, text: str, words: str) -> None:
    """An image without its place, of another namespace, or that would be applied by its tag: nothing is touched."""
    file = stage.write(text)
    target = stage.target()
    for step in (target.prepare, target.apply):
        with pytest.raises(DocumentInvalid, match=words):
            step(plan(FIRST))
    assert file.read_text() == text
    assert stage.cluster.get(stage.namespace, "configmaps")["items"] == []


@pytest.mark.parts
def test_a_service_of_an_earlier_plan_stays_as_it_is(stage: Stage) -> None:
    """Its digest stands in the manifest already, and is applied again as it is."""
    stage.write(WEB + f"        - {{name: front, image: {FRONTEND}@{FIRST}}}\n")
    with stage.controlled():
        stage.target().apply(plan(SECOND))
    observed = stage.target().observe()
    assert compare(observed["frontend"], frozenset({FIRST})) is Match.SAME
    assert compare(observed["backend"], frozenset({SECOND})) is Match.SAME


@pytest.mark.parts
def test_a_plan_for_something_else_is_no_plan(stage: Stage) -> None:
    """A service is bound to one repository, and no other service is deployed."""
    for wrong in (plan(FIRST, FRONTEND), plan(FIRST, service="cache")):
        with pytest.raises(UsageError, match="is no image of the service"):
            stage.target().apply(wrong)


@pytest.mark.parts
def test_a_cluster_that_is_not_there_is_an_error(stage: Stage) -> None:
    """A context that nobody knows is no empty environment, and neither are manifests that are not there."""
    target = stage.target(context="elsewhere")
    with pytest.raises(NotObserved, match=r"kubectl get ended with 1: .*elsewhere"):
        target.observe()
    with pytest.raises(TargetFailed, match=r"kubectl apply ended with 1: .*elsewhere"):
        target.prepare(plan(FIRST))
    assert target.look_inside("backend", ["true"], seconds=60).health is Health.ERROR
    with pytest.raises(DocumentInvalid, match="cannot be read"):
        stage.target(files=("missing.yaml",)).observe()


@pytest.mark.parts
def test_a_command_in_a_container_needs_its_node(stage: Stage) -> None:
    """A service without a pod is unhealthy; where the API server cannot reach the node, nobody can tell."""
    target = stage.target()
    look = target.look_inside("backend", ["/bin/true"], seconds=60)
    assert (look.health, look.detail) == (Health.UNHEALTHY, "backend does not run: there is no pod of it")
    stage.deploy(FIRST)
    look = target.look_inside("backend", ["/bin/true"], seconds=60)
    assert look.health is Health.ERROR, look


# ---- kubectl, by its answers


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Kubernetes:
    """A target whose kubectl is a script."""
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (folder / "app.yaml").write_text(WEB)
    place = KubernetesTarget(
        manifests=(str(folder / "app.yaml"),),
        context="c",
        namespace="n",
        kubeconfig=None,
        timeout=timedelta(seconds=60),
    )
    return Kubernetes(place, SERVICES, environment="staging")


POD = {
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "a", "image": BACKEND}]},
    "status": {"containerStatuses": [{"name": "a", "imageID": FIRST, "state": {"running": {}}}]},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("execute", "health"),
    [
        ("exit 0", Health.HEALTHY),
        ("echo 'command terminated with exit code 7' >&2; exit 7", Health.UNHEALTHY),
        ("echo 'not yet'; echo 'command terminated with exit code 1' >&2; exit 1", Health.UNHEALTHY),
        ("echo 'error: unable to upgrade connection' >&2; exit 1", Health.ERROR),
        ("exit 1", Health.ERROR),
        ("sleep 100", Health.ERROR),
    ],
)
def test_how_a_command_ended_is_told_from_how_kubectl_did(
    execute: str, health: Health, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what kubectl says that the command ended with is the release's doing."""
    items = json.dumps({"items": [POD]})
    script = f"""case "$*" in *' get '*) echo '{items}';; *' exec p --container a -- check'*) {execute};; esac"""
    look = fake(tmp_path, monkeypatch, script).look_inside("backend", ["check"], seconds=3)
    assert look.health is health, look


@pytest.mark.parametrize("printed", ["", "no", "[]", "{}", '{"items": {}}', '{"items": [], "items": []}'])
def test_what_is_no_list_of_objects_observed_nothing(
    printed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an answer is none, and never an empty environment."""
    with pytest.raises(NotObserved, match="what kubectl get prints is no"):
        fake(tmp_path, monkeypatch, f"echo '{printed}'").observe()


def test_kubectl_that_is_not_installed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing can be deployed, and the error says so at once."""
    monkeypatch.setenv("PATH", str(tmp_path))
    place = KubernetesTarget(
        manifests=("a",), context="c", namespace="n", kubeconfig=None, timeout=timedelta(seconds=60)
    )
    with pytest.raises(UsageError, match="kubectl is not on PATH"):
        Kubernetes(place, SERVICES, environment="staging")
