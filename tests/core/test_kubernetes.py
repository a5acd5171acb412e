"""Pods, as an API server lists them, against the services that the manifests bind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.environment.kubernetes import BoundContainer, BoundService, Workload, observe, repository_of
from attest.core.environment.targets import Instance, Match, Observed, RunState, compare
from attest.core.reference import Digest, digest_of, parse_repository

NEW, OLD = digest_of(b"new"), digest_of(b"old")
REPOSITORY = "registry.example.org/plex/backend"
BACKEND = BoundService(name="backend", repository=parse_repository(REPOSITORY), oneshot=False)
DEPLOYMENT = Workload(kind="Deployment", name="web")


OF_REPLICASET = {"kind": "ReplicaSet", "name": "web-abc", "uid": "rs", "controller": True}


def bound(workload: Workload = DEPLOYMENT, container: str = "web") -> BoundContainer:
    """A container that the manifests bind to the backend."""
    return BoundContainer(service="backend", workload=workload, container=container)


def status(digest: Digest = NEW, name: str = "web", **state: Any) -> dict[str, Any]:
    """What a kubelet says of a container; that it runs, unless something else is given."""
    return {
        "name": name,
        "imageID": f"{REPOSITORY}@{digest}",
        "containerID": "containerd://c0ffee",
        "ready": True,
        "state": state or {"running": {"startedAt": "2026-07-01T10:00:00Z"}},
    }


def pod(
    *statuses: dict[str, Any],
    name: str = "web-1",
    owner: dict[str, Any] | None = None,
    phase: str = "Running",
    **more: Any,
) -> dict[str, Any]:
    """A pod of the ReplicaSet `web-abc`, with one container of the backend and these statuses of it."""
    metadata: dict[str, Any] = {"name": name, "uid": f"uid-{name}"}
    if owner != {}:
        metadata["ownerReferences"] = [
            owner or {"kind": "ReplicaSet", "name": "web-abc", "uid": "rs", "controller": True}
        ]
    return {
        "kind": "Pod",
        "metadata": metadata | more.pop("metadata", {}),
        "spec": {"containers": [{"name": "web", "image": f"{REPOSITORY}@{NEW}"}]} | more.pop("spec", {}),
        "status": {"phase": phase, "containerStatuses": list(statuses)} | more,
    }


REPLICASET = {
    "kind": "ReplicaSet",
    "metadata": {
        "name": "web-abc",
        "uid": "rs",
        "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "d", "controller": True}],
    },
}


def made(workload: Workload = DEPLOYMENT, *, generation: int = 2, seen: int = 2, **more: Any) -> dict[str, Any]:
    """A workload as the API server has it."""
    return {
        "kind": workload.kind,
        "metadata": {"name": workload.name, "uid": "d", "generation": generation},
        "spec": more.pop("spec", {}),
        "status": {"observedGeneration": seen} | more,
    }


def seen(*items: Any, containers: Any = None, service: BoundService = BACKEND) -> Observed:
    """What is observed of the backend."""
    return observe([service], [bound()] if containers is None else containers, [REPLICASET, *items])["backend"]


def only(*items: Any, **options: Any) -> Instance:
    """The one instance that is observed."""
    (instance,) = seen(*items, **options).instances
    return instance


NAMES = frozenset({NEW})


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        (REPOSITORY, REPOSITORY),
        (f"{REPOSITORY}:1.2", REPOSITORY),
        (f"{REPOSITORY}@{NEW}", REPOSITORY),
        (f"{REPOSITORY}:1.2@{NEW}", REPOSITORY),
        ("localhost:5000/plex", "localhost:5000/plex"),
        ("localhost:5000/plex:1", "localhost:5000/plex"),
        ("nginx:1", "nginx"),
        ("", ""),
    ],
)
def test_a_repository_is_an_image_without_tag_and_digest(image: str, repository: str) -> None:
    """A port is no tag."""
    assert repository_of(image) == repository


def test_a_pod_of_a_deployment_is_what_its_kubelet_says() -> None:
    """The image id of the container that runs counts, found through ReplicaSet and Deployment."""
    assert only(pod(status()), made()) == Instance(
        name="web-1/web",
        state=RunState.RUNNING,
        digests=NAMES,
        instance="containerd://c0ffee",
        started="2026-07-01T10:00:00Z",
    )
    assert compare(seen(pod(status()), made()), NAMES) is Match.SAME


def test_the_specification_of_a_pod_proves_nothing() -> None:
    """A pod that asks for the new image and runs the old one runs the old one."""
    assert compare(seen(pod(status(OLD)), made()), NAMES) is Match.OTHER


@pytest.mark.parametrize(
    ("image_id", "digests"),
    [
        (f"{REPOSITORY}@{NEW}", {NEW}),
        (f"docker-pullable://{REPOSITORY}@{NEW}", {NEW}),
        (f"docker://{NEW}", {NEW}),
        (NEW, {NEW}),
        ("", set()),
        (f"{REPOSITORY}:1", set()),
        (f"x{NEW}", set()),
        (None, set()),
    ],
)
def test_an_image_id_is_read_in_every_form(image_id: Any, digests: set[Digest]) -> None:
    """containerd, CRI-O and Docker write it each in their way; what has no digest says nothing."""
    assert only(pod(status() | {"imageID": image_id}), made()).digests == digests


def test_every_pod_counts() -> None:
    """One old replica that still runs, on its way out or not, makes it another image."""
    leaving = pod(status(OLD), name="web-0", metadata={"deletionTimestamp": "2026-07-01T10:00:00Z"})
    observed = seen(pod(status()), leaving, made())
    assert compare(observed, NAMES) is Match.OTHER
    assert [one.detail for one in observed.instances] == ["", "it is being ended"]


def test_a_container_changed_by_hand_is_still_the_service() -> None:
    """A container that the manifests bind counts when somebody gave it an image of another repository."""
    changed = pod(status(OLD), spec={"containers": [{"name": "web", "image": "registry.example.org/evil@x"}]})
    assert compare(seen(changed, made()), NAMES) is Match.OTHER


def test_a_pod_that_no_manifest_names_is_the_service_by_its_repository() -> None:
    """A stray pod with the service's image counts; one of another repository does not."""
    stray = pod(status(OLD), name="stray", owner={})
    assert [one.name for one in seen(pod(status()), stray, made()).instances] == ["web-1/web", "stray/web"]
    other = pod(status(OLD), name="other", owner={}, spec={"containers": [{"name": "web", "image": "nginx:1"}]})
    assert compare(seen(pod(status()), other, made()), NAMES) is Match.SAME


def test_sidecars_of_other_repositories_are_no_instances() -> None:
    """A container beside the service that the manifests do not bind is not looked at."""
    containers = [{"name": "web", "image": REPOSITORY}, {"name": "proxy", "image": "envoy:1"}]
    both = pod(status(), status(OLD, name="proxy"), spec={"containers": containers})
    assert [one.name for one in seen(both, made()).instances] == ["web-1/web"]


def test_init_and_ephemeral_containers_count() -> None:
    """An init container is made to end, a sidecar and an ephemeral container are not; each has its own image."""
    initial = [
        {"name": "migrate", "image": REPOSITORY},
        {"name": "log", "image": REPOSITORY, "restartPolicy": "Always"},
    ]
    whole = pod(
        status(),
        spec={"initContainers": initial, "ephemeralContainers": [{"name": "debug", "image": REPOSITORY}]},
        initContainerStatuses=[status(name="migrate", terminated={"exitCode": 0}), status(name="log")],
        ephemeralContainerStatuses=[status(OLD, name="debug")],
    )
    observed = seen(whole, made())
    assert {one.name.partition("/")[2]: (one.state, one.ends) for one in observed.instances} == {
        "web": (RunState.RUNNING, False),
        "migrate": (RunState.EXITED, True),
        "log": (RunState.RUNNING, False),
        "debug": (RunState.RUNNING, False),
    }
    assert compare(observed, NAMES) is Match.OTHER
    assert compare(observed, NAMES | {OLD}) is Match.SAME


@pytest.mark.parametrize(
    ("given_status", "state", "code", "detail"),
    [
        (status(waiting={"reason": "CrashLoopBackOff", "message": "10s"}), "waiting", None, "CrashLoopBackOff: 10s"),
        (status(waiting={"reason": "ImagePullBackOff"}), "waiting", None, "ImagePullBackOff"),
        (status(waiting={}), "waiting", None, ""),
        (status(terminated={"exitCode": 137, "reason": "OOMKilled"}), "exited", 137, "OOMKilled"),
        (status(terminated={"exitCode": "0"}), "exited", None, ""),
        (status() | {"ready": False}, "running", None, "it is not ready"),
        (status() | {"state": {}}, "unknown", None, "its node does not say what it does"),
        (status() | {"state": None}, "unknown", None, "its node does not say what it does"),
    ],
)  # fmt: skip
def test_each_state_of_a_container_is_told(given_status: Any, state: str, code: int | None, detail: str) -> None:
    """Waiting, ended and running are told with the kubelet's reasons; what it does not say is unknown."""
    instance = only(pod(given_status), made())
    assert (instance.state, instance.exit_code, instance.detail) == (state, code, detail)


def test_a_pod_of_a_lost_node_is_unknown() -> None:
    """What a node said last is not what runs now."""
    instance = only(pod(status(), phase="Unknown"), made())
    assert (instance.state, instance.detail) == (RunState.UNKNOWN, "its node does not answer")


def test_a_pod_without_a_status_waits_and_says_why() -> None:
    """The conditions that do not hold are the reason; without any it is the phase."""
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    waiting = only(
        pod(phase="Pending", conditions=[unscheduled, {"type": "X", "status": "True", "reason": "no"}]), made()
    )
    assert (waiting.state, waiting.detail, waiting.instance) == (
        RunState.WAITING,
        "Unschedulable: 0/3 nodes",
        "uid-web-1",
    )
    assert only(pod(phase="Pending"), made()).detail == "the pod is Pending"
    assert only(pod(phase=""), made()).detail == "the pod is new"


def test_pods_that_were_replaced_are_history() -> None:
    """A pod of a Deployment that was evicted or has ended says nothing of what runs."""
    evicted = pod(status(OLD, terminated={"exitCode": 137}), name="web-0", phase="Failed")
    assert compare(seen(pod(status()), evicted, made()), NAMES) is Match.SAME


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
def test_a_workload_that_was_not_looked_at_yet_waits(kind: str) -> None:
    """Until its controller has seen the newest specification, its pods are those of an older one."""
    workload = Workload(kind=kind, name="web")
    owner = {"kind": kind, "name": "web", "uid": "d", "controller": True}
    items = [pod(status(), owner=owner), made(workload, generation=3, seen=2, desiredNumberScheduled=1)]
    observed = seen(*items, containers=[bound(workload)])
    assert compare(observed, NAMES) is Match.WAITING
    assert observed.instances[-1].detail == "its controller has not looked at it yet"
    settled = [pod(status(), owner=owner), made(workload, desiredNumberScheduled=1)]
    assert compare(seen(*settled, containers=[bound(workload)]), NAMES) is Match.SAME
    silent = made(workload, desiredNumberScheduled=1)
    del silent["status"]["observedGeneration"]
    assert compare(seen(settled[0], silent, containers=[bound(workload)]), NAMES) is Match.WAITING


@pytest.mark.parametrize(
    ("workload", "detail"),
    [
        (made(spec={"replicas": 3}), "1 of 3 pods are there"),
        (made(Workload(kind="StatefulSet", name="web"), spec={"replicas": 2}), "1 of 2 pods are there"),
        (made(Workload(kind="ReplicationController", name="web"), spec={"replicas": 2}), "1 of 2 pods are there"),
        (made(Workload(kind="DaemonSet", name="web"), desiredNumberScheduled=4), "1 of 4 pods are there"),
    ],
)
def test_pods_that_are_not_there_are_waited_for(workload: dict[str, Any], detail: str) -> None:
    """Fewer pods than wanted is not yet what was wanted, whatever those that are there run."""
    named = Workload(kind=workload["kind"], name="web")
    owner = {"kind": workload["kind"], "name": "web", "uid": "d", "controller": True}
    observed = seen(pod(status(), owner=owner), workload, containers=[bound(named)])
    assert compare(observed, NAMES) is Match.WAITING
    assert observed.instances[-1].detail == detail


def test_nothing_is_absent() -> None:
    """Without pods, and with none wanted or no workload at all, there is no instance."""
    assert seen(made(spec={"replicas": 0})).state is RunState.ABSENT
    assert seen().state is RunState.ABSENT
    assert seen(made()).state is RunState.WAITING


JOB = Workload(kind="Job", name="migrate")
OF_JOB = {"kind": "Job", "name": "migrate", "uid": "d", "controller": True}
ENDED = status(terminated={"exitCode": 0})


def of_job(*items: Any) -> Observed:
    """What is observed where the backend is a job."""
    return seen(*items, containers=[bound(JOB)])


def test_a_job_has_done_its_work_when_its_pod_ended_with_0() -> None:
    """While it runs it is waited for; when it has succeeded it is the same image and done."""
    running = of_job(pod(status(), owner=OF_JOB), made(JOB, active=1))
    assert compare(running, NAMES) is Match.WAITING
    done = of_job(pod(ENDED, owner=OF_JOB, phase="Succeeded"), made(JOB, succeeded=1))
    assert compare(done, NAMES) is Match.SAME
    assert compare(of_job(made(JOB)), NAMES) is Match.WAITING


def test_a_job_that_tries_again_has_not_failed() -> None:
    """A pod that failed is history until the job gives up; then it decides."""
    failed = pod(status(terminated={"exitCode": 1}), name="m-0", owner=OF_JOB, phase="Failed")
    done = pod(ENDED, owner=OF_JOB, phase="Succeeded")
    assert compare(of_job(failed, done, made(JOB, succeeded=1)), NAMES) is Match.SAME
    assert compare(of_job(failed, made(JOB)), NAMES) is Match.WAITING
    given_up = made(JOB, conditions=[{"type": "Failed", "status": "True"}])
    assert compare(of_job(failed, given_up), NAMES) is Match.FAILED
    assert compare(of_job(failed), NAMES) is Match.ABSENT


def test_a_job_whose_pods_are_gone_is_unknown() -> None:
    """That it succeeded is said by the job alone; with what image, nobody says any more."""
    assert compare(of_job(made(JOB, succeeded=1)), NAMES) is Match.UNKNOWN


CRON = Workload(kind="CronJob", name="report")


def cron(image: str, **spec: Any) -> dict[str, Any]:
    """A CronJob that starts a container of this image."""
    template = {"spec": {"containers": [{"name": "web", "image": image}, {"name": "other", "image": "nginx"}]}}
    return made(CRON, spec={"jobTemplate": {"spec": {"template": template}}, **spec})


def test_a_cron_job_is_what_it_will_start() -> None:
    """Nothing runs, and the digest in the object that the API server has is what counts; a tag is nothing known."""
    scheduled = only(cron(f"{REPOSITORY}@{NEW}"), containers=[bound(CRON)])
    assert (scheduled.state, scheduled.digests, scheduled.detail) == (RunState.SCHEDULED, NAMES, "")
    suspended = only(cron(f"{REPOSITORY}@{NEW}", suspend=True), containers=[bound(CRON)])
    assert suspended.detail == "suspended"
    assert compare(seen(cron(f"{REPOSITORY}:1"), containers=[bound(CRON)]), NAMES) is Match.UNKNOWN


def test_a_run_of_a_cron_job_counts_while_it_runs() -> None:
    """What it started before and has ended is history; what still runs is of the image that it is of."""
    job = {
        "kind": "Job",
        "metadata": {
            "name": "report-1",
            "uid": "j",
            "ownerReferences": [{"kind": "CronJob", "name": "report", "uid": "d", "controller": True}],
        },
    }
    owner = {"kind": "Job", "name": "report-1", "uid": "j", "controller": True}
    past = pod(status(OLD, terminated={"exitCode": 0}), name="r-0", owner=owner, phase="Succeeded")
    here = [cron(f"{REPOSITORY}@{NEW}"), job, past]
    assert compare(seen(*here, containers=[bound(CRON)]), NAMES) is Match.SAME
    running = pod(status(OLD), name="r-1", owner=owner)
    assert compare(seen(*here, running, containers=[bound(CRON)]), NAMES) is Match.OTHER
    oneshot = BoundService(name="backend", repository=BACKEND.repository, oneshot=True)
    under_way = pod(status(), name="r-1", owner=owner)
    assert compare(seen(*here, under_way, containers=[bound(CRON)], service=oneshot), NAMES) is Match.SAME


def test_a_bare_pod_of_a_one_shot_service_may_end() -> None:
    """A pod without an owner is its own workload, and its end is what a one-shot service is there for."""
    alone = Workload(kind="Pod", name="once")
    ended = pod(ENDED, name="once", owner={}, phase="Succeeded")
    oneshot = BoundService(name="backend", repository=BACKEND.repository, oneshot=True)
    assert compare(seen(ended, containers=[bound(alone)], service=oneshot), NAMES) is Match.SAME
    assert compare(seen(ended, containers=[bound(alone)]), NAMES) is Match.FAILED


def test_owners_that_go_round_in_a_circle_end() -> None:
    """Objects that claim to control each other are followed a few times, and no further."""
    circle = {**REPLICASET, "metadata": {**REPLICASET["metadata"], "ownerReferences": [  # type: ignore[dict-item]
        {"kind": "ReplicaSet", "name": "web-abc", "uid": "rs", "controller": True}]}}  # fmt: skip
    observed = observe([BACKEND], [bound()], [circle, pod(status())])
    assert [one.name for one in observed["backend"].instances] == ["web-1/web"]


def test_an_owner_that_does_not_control_is_none() -> None:
    """Only the reference that says `controller` leads to the workload."""
    owner = {"kind": "Deployment", "name": "web", "uid": "d", "controller": False}
    spec = {"containers": [{"name": "web", "image": "nginx:1"}]}
    assert seen(pod(status(), owner=owner, spec=spec)).instances == ()


MEMBERS = [
    *("kind", "metadata", "spec", "status", "name", "uid", "ownerReferences", "controller", "phase", "conditions"),
    *("containers", "containerStatuses", "state", "imageID", "jobTemplate", "template"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=20,
)


@given(st.lists(JSON | st.just(pod(status())) | st.just(made()), max_size=4))
def test_whatever_the_api_server_lists_is_observed(items: list[Any]) -> None:
    """Objects of any shape are read without an error, and never make an image that no pod names."""
    observed = observe([BACKEND], [bound(), bound(CRON), bound(JOB)], items)["backend"]
    assert observed.digests <= NAMES
