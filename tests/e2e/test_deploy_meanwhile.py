"""A release's tag changes while the release is deployed: what runs is the verified digest, or nothing of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from attest.core import oci
from attest.core.reference import parse_repository
from tests.e2e.staging import Staging, push_image, staging
from tests.parts import loopback
from tests.parts.delay import Delayed, Exchange
from tests.parts.registry import Registry
from tests.registry.pushing import push_blob

pytestmark = [pytest.mark.parts, pytest.mark.slow]

HOOK = """\
import json, pathlib, sys, urllib.parse, urllib.request

request = json.load(sys.stdin)
state = pathlib.Path("running.json")
running = json.loads(state.read_text())

def engine(what):
    with urllib.request.urlopen(sys.argv[1] + urllib.parse.quote(what, safe="")) as answer:
        return answer.read().decode()

if request["action"] in ("prepare", "apply"):
    with open("hook.log", "a") as log:
        log.write(request["action"] + "\\n")
    engine(request["action"])
if request["action"] == "apply":
    for name, service in request["services"].items():
        running[name] = {"digest": engine(service["image"]), "started": str(len(running))}
    state.write_text(json.dumps(running))
if request["action"] == "observe":
    print(json.dumps({"schema": "attest.hook/v1", "services": {
        name: [{"name": name + "-1", "state": "running", "digests": [running[name]["digest"]],
                "started": running[name]["started"]}] if name in running else []
        for name in request["services"]
    }}))
"""
"""Has an engine pull what it is told to run, when it is told, by that reference alone; no digest is believed."""

CHANGES = [
    *(("docker_registry", how) for how in ("moved", "re-pushed")),  # deletes no tags
    *((registry, how) for registry in ("gitea", "olareg") for how in ("moved", "re-pushed", "deleted")),
]
MOMENTS = ("evidence", "prepare", "apply")
"""While the evidence is read, while images would be fetched, and right before they are pulled."""


class Meanwhile(Delayed):
    """A registry behind a proxy, and an engine that pulls from it; something happens once, at a moment of choice."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        super().__init__(registry, directory, 0)
        self._event: Callable[[], object] | None = None
        self._moment = ""
        engine = self

        class Engine(loopback.Handler):
            def respond(self) -> None:
                status, text = engine.told(unquote(self.path.removeprefix("/")))
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        self.engine = loopback.Server(Engine)

    def at(self, moment: str, event: Callable[[], object]) -> None:
        """Let this happen the next time that this moment comes."""
        self._moment, self._event = moment, event

    @property
    def happened(self) -> bool:
        """Whether it did."""
        return self._event is None

    def record(self, exchange: Exchange) -> None:
        """One request was answered; that for the list of what is attached is the first about evidence."""
        if exchange.method == "GET" and ("/referrers/" in exchange.path or "/manifests/sha256-" in exchange.path):
            self._come("evidence")
        super().record(exchange)

    def told(self, what: str) -> tuple[int, str]:
        """A step of the hook, or an image to pull: the digest of what came."""
        if what in MOMENTS:
            self._come(what)
            return 200, ""
        repository, by_digest, reference = what.partition("@")
        if not by_digest:
            repository, _, reference = what.rpartition(":")
        answer = self.registry.manifest(repository, reference)
        return answer.status, f"sha256:{hashlib.sha256(answer.body).hexdigest()}" if answer.status == 200 else ""

    def _come(self, moment: str) -> None:
        if moment == self._moment and self._event is not None:
            event, self._event = self._event, None
            event()


@contextlib.contextmanager
def watched(registry: Registry, folder: Path) -> Iterator[tuple[Meanwhile, Staging]]:
    """An environment whose registry and engine let something happen."""
    proxy = Meanwhile(registry, folder / "docker")
    (folder / "site").mkdir()
    with proxy.running(), proxy.engine.running(), staging(folder / "site", proxy.registry) as site:
        (site.folder / "hook.py").write_text(HOOK)
        url = f"http://127.0.0.1:{proxy.engine.port}/"
        site.target = f"{{hook: {{argv: ['{sys.executable}', hook.py, '{url}'], timeout: 30s}}}}"
        site.write()
        yield proxy, site


def change(site: Staging, tag: str, how: str) -> None:
    """Move a tag to an image that is there, push it anew with other bytes, or delete it; and see that it is so."""
    repository = site.repository("app")
    path = parse_repository(repository).path
    if how == "deleted":
        assert site.registry.ask("DELETE", f"/v2/{path}/manifests/{tag}").status == 202
        assert site.registry.manifest(repository, tag).status == 404
        return
    digest = push_image(site.registry, repository, "evil" if how == "moved" else "never seen", tag=tag)
    assert f"sha256:{hashlib.sha256(site.registry.manifest(repository, tag).body).hexdigest()}" == digest


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("kind", "how"), CHANGES)
def test_what_runs_is_what_was_verified(
    kind: str, how: str, moment: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its tag is moved, pushed anew or deleted between verification and the pull: the verified digest runs."""
    with watched(request.getfixturevalue(kind), tmp_path) as (proxy, site):
        push_image(proxy.registry, site.repository("app"), "evil")
        site.release(1)
        resolved = site.attest("resolve", f"{site.repository('app')}:v1")
        assert resolved.out.strip() == site.images(1)[0]
        proxy.at(moment, lambda: change(site, "v1", how))
        ended = site.deploy(1)
        assert proxy.happened
        assert ended.code == 0, ended.err
        assert site.runs(1)
        assert site.states() == [("deploy", "succeeded")]


def leave_the_tag_alone(site: Staging, digest: str) -> None:
    """Have an image known by its tag only, as `docker push` leaves it."""
    repository = site.repository("app")
    path = parse_repository(repository).path
    manifest = site.registry.manifest(repository, digest).body
    configuration = site.registry.ask("GET", f"/v2/{path}/blobs/{json.loads(manifest)['config']['digest']}").body
    assert site.registry.ask("DELETE", f"/v2/{path}/manifests/{digest}").status == 202
    push_blob(site.registry, repository, configuration)
    headers = {"Content-Type": oci.MANIFEST}
    answer = site.registry.ask("PUT", f"/v2/{path}/manifests/v2", body=manifest, headers=headers)
    assert answer.status == 201


@pytest.mark.parametrize("moment", ["prepare", "apply"])
@pytest.mark.parametrize(("kind", "how"), [("gitea", "moved"), ("gitea", "deleted"), ("olareg", "by digest")])
def test_where_it_is_gone_nothing_else_runs(
    kind: str, how: str, moment: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A manifest that goes with its only tag, or is deleted, is not replaced by what the tag has now: exit 3."""
    with watched(request.getfixturevalue(kind), tmp_path) as (proxy, site):
        site.release(1)
        assert site.deploy(1).code == 0
        repository = site.repository("app")
        path = parse_repository(repository).path
        site.push(2)
        digest = site.images(2)[0].rpartition("@")[2]

        def take_away() -> None:
            if how == "by digest":
                assert proxy.registry.ask("DELETE", f"/v2/{path}/manifests/{digest}").status == 202
                push_image(proxy.registry, repository, "evil", tag="v2")
            else:
                change(site, "v2", how)
            assert proxy.registry.manifest(repository, digest).status == 404

        if kind == "gitea":
            leave_the_tag_alone(site, digest)
        for lane in site.lanes:
            site.sign(2, lane)
        proxy.at(moment, take_away)
        ended = site.deploy(2)
        assert proxy.happened
        assert ended.code == 3, ended.out
        assert site.runs(1)
        assert site.states()[-1] == ("deploy", "error")
