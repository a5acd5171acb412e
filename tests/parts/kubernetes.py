"""A Kubernetes API server with its store, on loopback, and a hand that does what controllers and kubelets would do.

Nothing runs in it: there are no nodes. Objects are validated, kept and read back as in any cluster, and what pods are
said to run is written through the status subresource, as a kubelet writes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.parts.find import require
from tests.parts.process import LOOPBACK, Command, attempt, free_port, plain_environment, run, serve

CONTEXT = "tests"
_TOKEN = "token-of-the-tests"
_STARTED = "2026-07-01T10:00:00Z"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running API server, and a kubeconfig with the one context `CONTEXT`, which may do everything."""

    folder: Path
    program: Path
    kubeconfig: Path

    def kubectl(self, *words: str, standard_input: bytes = b"") -> bytes:
        """Run the client; PartError where it fails."""
        return run(self._command(*words), standard_input=standard_input)

    def attempt(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run the client, however it ends."""
        return attempt(self._command(*words))

    def _command(self, *words: str) -> Command:
        arguments: list[str | Path] = [self.program, "--kubeconfig", self.kubeconfig, *words]
        return Command(arguments=arguments, environment=plain_environment(self.folder), directory=self.folder)

    def make_namespace(self) -> str:
        """A new, empty namespace."""
        name = f"plex-{uuid.uuid4().hex[:12]}"
        self.kubectl("create", "namespace", name)
        return name

    def get(self, namespace: str, resource: str) -> dict[str, Any]:
        """An object, by `KIND/NAME`, or all of a kind."""
        found = json.loads(self.kubectl("--namespace", namespace, "get", resource, "--output", "json"))
        assert isinstance(found, dict)
        return found

    def create(self, namespace: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object; it as the server has it."""
        words = ("--namespace", namespace, "create", "--filename", "-", "--output", "json")
        made = json.loads(self.kubectl(*words, standard_input=json.dumps(document).encode()))
        assert isinstance(made, dict)
        return made

    def set_status(self, namespace: str, resource: str, status: Mapping[str, Any]) -> None:
        """Write what a controller or a kubelet says of an object, by `KIND/NAME`."""
        patch = json.dumps({"status": status})
        words = ("patch", resource, "--subresource", "status", "--type", "merge", "--patch", patch)
        self.kubectl("--namespace", namespace, *words)

    def roll_out(self, namespace: str, name: str) -> None:
        """Do what the controllers and a kubelet do for a Deployment: a ReplicaSet, one pod, and what they say of it."""
        deployment = self.get(namespace, f"deployment/{name}")
        labels = deployment["spec"]["selector"]["matchLabels"]
        self.kubectl("--namespace", namespace, "delete", "pods,replicasets", "--selector", _selector(labels), "--now")
        template = deployment["spec"]["template"]
        replica_set = self.create(
            namespace,
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": _metadata(f"{name}-{uuid.uuid4().hex[:8]}", deployment, labels),
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            },
        )
        self.set_status(
            namespace, f"replicaset/{replica_set['metadata']['name']}", {"replicas": 1, "observedGeneration": 1}
        )
        self.make_pod(namespace, template["spec"], owner=replica_set, labels=labels)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        seen = {"observedGeneration": deployment["metadata"]["generation"]}
        self.set_status(namespace, f"deployment/{name}", {**counts, **seen})

    def make_pod(
        self,
        namespace: str,
        spec: Mapping[str, Any],
        *,
        owner: Mapping[str, Any],
        labels: Mapping[str, str],
        images: Mapping[str, str] | None = None,
        state: Mapping[str, Any] | None = None,
        phase: str = "Running",
    ) -> str:
        """A pod as a kubelet would report it; its name.

        `images` has an image id for each container, those that the specification asks for where it is left out;
        `state` is that of the containers, running where it is left out.
        """
        name = f"pod-{uuid.uuid4().hex[:12]}"
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(name, owner, labels), "spec": spec}
        made = self.create(namespace, document)
        lists = {"containers": "containerStatuses", "initContainers": "initContainerStatuses"}
        ended = {"terminated": {"exitCode": 0, "startedAt": _STARTED, "finishedAt": _STARTED}}
        running = {"running": {"startedAt": _STARTED}}
        statuses = {
            statuses: [
                {
                    "name": one["name"],
                    "image": one["image"],
                    "imageID": (images or {}).get(one["name"], one["image"]),
                    "containerID": f"containerd://{uuid.uuid4().hex}",
                    "ready": True,
                    "restartCount": 0,
                    "state": state or (ended if listed == "initContainers" else running),
                }
                for one in made["spec"].get(listed, [])
            ]
            for listed, statuses in lists.items()
        }
        self.set_status(namespace, f"pod/{name}", {"phase": phase, **statuses})
        return name


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())


def _metadata(name: str, owner: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    return {"name": name, "labels": dict(labels), "ownerReferences": [reference]}


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """An API server with nothing in it but what every cluster has."""
    kubectl = require("kubectl")
    with _etcd(folder / "etcd") as store, _api_server(folder, store, kubectl) as made:
        yield made


@contextlib.contextmanager
def _etcd(folder: Path) -> Iterator[str]:
    """The address of a store."""
    program = require("etcd")
    folder.mkdir()
    peers = f"http://{LOOPBACK}:{free_port()}"

    def command(port: int) -> Command:
        clients = f"http://{LOOPBACK}:{port}"
        options = {
            "data-dir": folder / "data",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "log-level": "error",
        }
        arguments: list[str | Path] = [
            program,
            "--unsafe-no-fsync",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        return Command(arguments=arguments, environment=plain_environment(folder), directory=folder)

    def answers(port: int) -> bool:
        from tests.parts import web

        return web.request("GET", f"http://{LOOPBACK}:{port}/health").status == 200

    with serve(command, answers=answers, log=folder / "server.log") as server:
        yield f"http://{LOOPBACK}:{server.port}"


@contextlib.contextmanager
def _api_server(folder: Path, store: str, kubectl: Path) -> Iterator[Cluster]:
    program = require("kube-apiserver")
    private, public = _account_key(folder)
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{_TOKEN},tests,tests,"system:masters"\n')

    def command(port: int) -> Command:
        options = {
            "etcd-servers": store,
            "bind-address": LOOPBACK,
            "secure-port": port,
            "cert-dir": folder / "certificates",
            "token-auth-file": tokens,
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": public,
            "service-account-signing-key-file": private,
            "service-cluster-ip-range": "10.0.0.0/24",
            "disable-admission-plugins": "ServiceAccount",
        }
        arguments: list[str | Path] = [program, *(f"--{name}={value}" for name, value in options.items())]
        return Command(arguments=arguments, environment=plain_environment(folder), directory=folder)

    def at(port: int) -> Cluster:
        kubeconfig = folder / f"kubeconfig-{port}"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [
                        {
                            "name": CONTEXT,
                            "cluster": {"server": f"https://{LOOPBACK}:{port}", "insecure-skip-tls-verify": True},
                        }
                    ],
                    "users": [{"name": CONTEXT, "user": {"token": _TOKEN}}],
                    "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
                }
            )
        )
        return Cluster(folder=folder, program=kubectl, kubeconfig=kubeconfig)

    def answers(port: int) -> bool:
        return at(port).attempt("--context", CONTEXT, "get", "--raw", "/readyz").returncode == 0

    with serve(command, answers=answers, log=folder / "server.log") as server:
        made = at(server.port)
        made.kubectl("config", "use-context", CONTEXT)
        yield made


def _account_key(folder: Path) -> tuple[Path, Path]:
    """The key that signs service accounts' tokens, and its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "accounts.key", folder / "accounts.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public
