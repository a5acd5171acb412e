"""An environment whose services run by a hook, a real program, with health over HTTP, on a real registry."""

from __future__ import annotations

import contextlib
import http.server
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attest.adapters.clock import SystemClock
from attest.adapters.ledger import create_ledger, open_ledger, parse_address
from attest.core import oci
from attest.core.reference import digest_of, parse_repository
from tests.cli.running import Ended
from tests.cli.scene import Scene, policy_text
from tests.parts.registry import Registry
from tests.registry.pushing import config, manifest_of, push_blob

ENVIRONMENT = "environment.yaml"
LEDGER = "sqlite:///ledger.db"

HOOK = """\
import json, os, pathlib, sys

request = json.load(sys.stdin)
state = pathlib.Path("running.json")
running = json.loads(state.read_text()) if state.exists() else {}
with open("hook.log", "a") as log:
    log.write(request["action"] + "\\n")
fault = pathlib.Path("fault")
said = fault.read_text().split() if fault.exists() else []
if request["action"] == "apply":
    for name, service in request["services"].items():
        if "ignore" not in said:
            running[name] = {"digest": service["image"].rpartition("@")[2], "started": str(len(running)) + "x"}
    part = state.with_suffix(".part")
    part.write_text(json.dumps(running))
    os.replace(part, state)
    sys.exit(9 if "apply-fails" in said else 0)
if request["action"] == "prepare":
    sys.exit(9 if "prepare-fails" in said else 0)
if "silent" in said:
    sys.exit(9)
print(json.dumps({"schema": "attest.hook/v1", "services": {
    name: [{"name": name + "-1", "state": "running", "digests": [running[name]["digest"]],
            "started": running[name]["started"]}] if name in running else []
    for name in request["services"]
}}))
"""


class _Health(http.server.BaseHTTPRequestHandler):
    """Answers for a service as what runs of it would: 500 where its image is sick."""

    folder: Path

    def do_GET(self) -> None:
        """200, or 500."""
        name = self.path.strip("/")
        running = json.loads((self.folder / "running.json").read_text())
        sick = (self.folder / "sick").read_text().split()
        status = 500 if running.get(name, {}).get("digest") in sick else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Nothing."""


@dataclass(slots=True, kw_only=True)
class Staging:
    """One environment with its ledger, and releases for it."""

    scene: Scene
    registry: Registry
    services: Sequence[str]
    port: int
    evidence: Sequence[str] = ()
    releases: dict[int, dict[str, str]] = field(default_factory=dict)
    lanes: Sequence[str] = ("unit", "e2e")
    prefix: str = ""
    ledger: str = LEDGER
    target: str = f"{{hook: {{argv: ['{sys.executable}', hook.py], timeout: 30s}}}}"

    @property
    def folder(self) -> Path:
        """Where everything stands."""
        return self.scene.folder

    def repository(self, service: str) -> str:
        """Where the images of a service are pulled from."""
        return f"{self.prefix}/{service}"

    def write(
        self, *, automatic: bool = True, soak: str = "", more: str = "", signer: str = "", patience: str = "1s"
    ) -> None:
        """The document of the environment."""
        times = f"successes: 1, timeout: {patience}, interval: 1s, attempt: 1s"
        services = [
            f"  {name}: {{repository: {self.repository(name)}{soak}, "
            f"probe: {{http: 'http://127.0.0.1:{self.port}/{name}', {times}}}}}"
            for name in self.services
        ]
        lines = [
            "version: 1",
            "name: staging",
            "policy: policy.yaml",
            f"evidence: [{', '.join(self.evidence)}]",
            f"ledger: {{url: '{self.ledger}'{signer}}}",
            f"target: {self.target}",
            "services:",
            *services,
            *([more] if more else []),
            f"rollback: {{automatic: {'true' if automatic else 'false'}}}",
        ]
        (self.folder / ENVIRONMENT).write_text("\n".join(lines) + "\n")

    def policy(self, *, serial: int = 1, lanes: Sequence[str] | None = None, more: str = "", rule: str = "") -> None:
        """The policy, of these lanes."""
        names = self.lanes if lanes is None else lanes
        rules = {
            lane: f"{{predicate-type: https://in-toto.io/attestation/test-result/v0.1, signer: {lane}{rule}}}"
            for lane in names
        }
        images = [f"{self.prefix}/*", *self.evidence]
        signers = {lane: f"{{key: keys/{lane}.pub}}" for lane in names}
        self.scene.write_policy(policy_text(rules, images=images, serial=serial, signers=signers, more=more))

    def push(self, number: int, *, repository: str | None = None, sick: bool = False) -> dict[str, str]:
        """The images of a release, one for each service, in their repositories; by service."""
        made = {}
        for name in self.services:
            where = repository or self.repository(name)
            made[name] = f"{where}@{push_image(self.registry, where, f'{name} {number}', tag=f'v{number}')}"
        self.releases[number] = made
        if sick:
            with (self.folder / "sick").open("a") as file:
                file.write("".join(f"{image.rpartition('@')[2]}\n" for image in made.values()))
        return made

    def release(self, number: int, *, lanes: Sequence[str] | None = None, sick: bool = False) -> dict[str, str]:
        """Images that lanes have signed."""
        made = self.push(number, sick=sick)
        for lane in self.lanes if lanes is None else lanes:
            self.sign(number, lane)
        return made

    def sign(self, number: int, lane: str, *options: object) -> None:
        """A lane signs about each image of a release."""
        for image in self.releases[number].values():
            self.scene.sign(lane, *options, image=image)

    def images(self, number: int) -> list[str]:
        """The references of a release."""
        return list(self.releases[number].values())

    def deploy(self, number: int, *options: object) -> Ended:
        """Deploy a release."""
        return self.attest("deploy", ENVIRONMENT, *self.images(number), *options)

    def attest(self, verb: str, *arguments: object) -> Ended:
        """Any command about the environment."""
        return self.scene.attest(verb, *arguments)

    def rollback(self, *options: object) -> Ended:
        """Roll back."""
        return self.attest("rollback", ENVIRONMENT, *options)

    def status(self, *options: object) -> Ended:
        """Ask how it stands."""
        return self.attest("status", ENVIRONMENT, "--format", "json", *options)

    def history(self) -> list[dict[str, Any]]:
        """Everything that happened."""
        ended = self.attest("history", ENVIRONMENT, "--format", "json")
        assert ended.code == 0, ended.err
        entries: list[dict[str, Any]] = ended.document["entries"]
        return entries

    def states(self) -> list[tuple[str, str]]:
        """Kind and state of every delivery, in order."""
        return [(one["kind"], one["state"]) for one in self.history() if one["what"] == "delivery"]

    def running(self) -> dict[str, str]:
        """The digest that each service runs."""
        state = self.folder / "running.json"
        if not state.exists():
            return {}
        return {name: one["digest"] for name, one in json.loads(state.read_text()).items()}

    def runs(self, number: int) -> bool:
        """Whether exactly this release runs."""
        return self.running() == {name: image.rpartition("@")[2] for name, image in self.releases[number].items()}

    def asked(self) -> list[str]:
        """What the hook was asked to do, in order; observations left out."""
        log = self.folder / "hook.log"
        return [line for line in (log.read_text().split() if log.exists() else []) if line != "observe"]

    def fault(self, text: str) -> None:
        """Let the hook fail in some way from now on; nothing is no fault."""
        (self.folder / "fault").write_text(text)

    def tamper(self, service: str, digest: str) -> None:
        """Have something else run."""
        state = self.folder / "running.json"
        running = json.loads(state.read_text())
        running[service] = {"digest": digest, "started": "by hand"}
        state.write_text(json.dumps(running))

    def records(self) -> list[str]:
        """The types of all records of the ledger."""
        with open_ledger(parse_address(f"sqlite:///{self.folder / 'ledger.db'}"), clock=SystemClock()) as ledger:
            return [record.type for record in ledger.records()]


def push_image(registry: Registry, repository: str, content: str, *, tag: str = "") -> str:
    """An image without layers that has this text in its configuration; its digest."""
    configuration = json.loads(config())
    configuration["config"] = {"Labels": {"content": content}}
    blob = json.dumps(configuration).encode()
    push_blob(registry, repository, blob)
    manifest = manifest_of(blob)
    digest = digest_of(manifest)
    path = parse_repository(repository).path
    for reference in [digest, *([tag] if tag else [])]:
        headers = {"Content-Type": oci.MANIFEST}
        answer = registry.ask("PUT", f"/v2/{path}/manifests/{reference}", body=manifest, headers=headers)
        assert answer.status == 201, answer
    return digest


@contextlib.contextmanager
def staging(
    folder: Path, registry: Registry, *, services: Sequence[str] = ("app",), evidence: Sequence[str] = ()
) -> Iterator[Staging]:
    """An environment to which nothing was deployed."""
    for name, content in (("sick", ""), ("running.json", "{}"), ("hook.py", HOOK), ("fault", "")):
        (folder / name).write_text(content)
    handler = type("Health", (_Health,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            scene = Scene(
                folder=folder, repository=None, environment={"DOCKER_CONFIG": str(registry.docker_config_dir)}
            )
            made = Staging(
                scene=scene,
                registry=registry,
                services=services,
                port=server.server_address[1],
                evidence=evidence,
                prefix=registry.fresh_repository(),
            )
            scene.make_keys("unit", "e2e", "gate")
            made.policy()
            made.write()
            assert scene.attest("ledger", "init", LEDGER).code == 0
            yield made
        finally:
            server.shutdown()


def make_ledger(file: Path) -> None:
    """A ledger with nothing in it."""
    create_ledger(parse_address(f"sqlite:///{file}"), clock=SystemClock()).close()
