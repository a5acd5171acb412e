"""A real API server: deploy, fail and go back, repair what was changed by hand. The test is kubelet and controller."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.staging import ENVIRONMENT, Staging, staging
from tests.parts.kubernetes import CONTEXT, Cluster, cluster
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
        - name: app
          image: REPOSITORY   # attest writes the digest
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server for the tests of this file."""
    with cluster(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


def live(server: Cluster, namespace: str) -> str | None:
    """The digest that the Deployment asks for."""
    for one in server.get(namespace, "deployments")["items"]:
        image: str = one["spec"]["template"]["spec"]["containers"][0]["image"]
        return image.rpartition("@")[2]
    return None


@contextlib.contextmanager
def controlled(server: Cluster, namespace: str, site: Staging) -> Iterator[None]:
    """Roll the Deployment out whenever it was changed, until the block ends; what runs then answers over HTTP."""
    over = threading.Event()

    def control() -> None:
        while not over.wait(0.2):
            for one in server.get(namespace, "deployments")["items"]:
                if one["status"].get("observedGeneration") != one["metadata"]["generation"]:
                    running = {"app": {"digest": live(server, namespace), "started": "now"}}
                    (site.folder / "running.json").write_text(json.dumps(running))
                    server.roll_out(namespace, "app")

    thread = threading.Thread(target=control)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def site(server: Cluster, olareg: Registry, tmp_path: Path) -> Iterator[tuple[Staging, str]]:
    """An environment in a namespace of its own, and the name of that."""
    namespace = server.make_namespace()
    with staging(tmp_path, olareg) as made:
        made.target = (
            f"{{kubernetes: {{manifests: [app.yaml], context: {CONTEXT}, namespace: {namespace}, "
            f"kubeconfig: {server.kubeconfig}, timeout: 60s}}}}"
        )
        made.scene.environment["PATH"] = f"{server.program.parent}{os.pathsep}{os.environ['PATH']}"
        (tmp_path / "app.yaml").write_text(MANIFEST.replace("REPOSITORY", made.repository("app")))
        made.write(patience="10s")
        with controlled(server, namespace, made):
            yield made, namespace


def test_deploy_fail_go_back_and_repair(site: tuple[Staging, str], server: Cluster) -> None:
    """Pods run what was verified; a release that fails its probe is rolled back; a change by hand is repaired."""
    made, namespace = site
    made.release(1)
    ended = made.deploy(1)
    assert ended.code == 0, ended.err
    digest = made.images(1)[0].rpartition("@")[2]
    assert live(server, namespace) == digest
    assert f"image: {made.images(1)[0]}   # attest writes the digest" in (made.folder / "app.yaml").read_text()
    made.release(2, sick=True)
    ended = made.deploy(2, "--format", "json")
    assert ended.code == 1, ended.err
    assert ended.document["delivery"]["state"] == "rolled-back"
    assert live(server, namespace) == digest
    by_hand = f"deployment/app app={made.repository('app')}@sha256:{'0' * 64}"
    server.kubectl("--namespace", namespace, "set", "image", *by_hand.split())
    assert _until_drifted(made)
    ended = made.attest("reconcile", ENVIRONMENT)
    assert ended.code == 0, ended.err
    assert live(server, namespace) == digest
    assert made.status().code == 0


def _until_drifted(made: Staging) -> bool:
    """Whether the drift is seen, once the controller has done what somebody told it."""
    return any(made.status().document["drift"] == ["app"] for _ in range(20))
