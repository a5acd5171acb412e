"""A registry that lies, breaks and stalls, met by whole commands: none takes it for a yes, none leaks a password."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from attest.core import oci
from attest.core.reference import RegistryImage, Repository
from tests.cli.running import Ended
from tests.cli.scene import REPOSITORY, Scene, policy_text
from tests.parts.registry import write_docker_config
from tests.registry import faults
from tests.registry.faults import Fault, FaultyRegistry, Handler

CANARY = "canary-7c1d"

FAULTS: dict[str, Fault] = {
    "400": faults.status(400),
    "401 without a challenge": faults.status(401),
    "401 loop": faults.status(401, {"WWW-Authenticate": 'Basic realm="x"'}),
    "401 with nonsense": faults.status(401, {"WWW-Authenticate": 'Bearer realm="x'}),
    "403": faults.status(403),
    "405": faults.status(405),
    "429": faults.status(429),
    "429 with a wish": faults.status(429, {"Retry-After": "30"}),
    "500": faults.status(500),
    "503": faults.status(503),
    "204": faults.status(204, body=b""),
    "206": faults.status(206),
    "304": faults.status(304),
    "redirect loop": faults.redirect_loop,
    "endless redirects": faults.redirect_on,
    "redirect without a place": faults.status(307),
    "redirect to a file": faults.redirect("file:///etc/passwd"),
    "redirect to link-local": faults.redirect("http://169.254.169.254/latest/meta-data/"),
    "reset": faults.reset,
    "garbage": faults.garbage,
    "endless headers": faults.endless_headers,
    "short body": faults.short_body,
    "declared huge": faults.declared_huge,
    "endless body": faults.endless_body,
    "gzip bomb": faults.gzip_bomb,
    "longer": faults.longer,
    "another byte": faults.flipped,
    "wrong type": faults.wrong_type,
    "nothing": faults.serve(b""),
    "html": faults.serve(b"<html>log in</html>", "text/html"),
    "null": faults.serve(b"null", oci.INDEX),
    "a list": faults.serve(b"[]", oci.INDEX),
    "deep": faults.serve(b"[" * 100_000, oci.INDEX),
    "both kinds": faults.serve(b'{"schemaVersion": 2, "manifests": [], "layers": []}', oci.INDEX),
}
SLOW: dict[str, Fault] = {
    "no answer": faults.hang,
    "slow drip of headers": faults.drip_headers,
    "slow drip of the body": faults.drip_body,
}
ROUTES = {"manifests": "/manifests/", "referrers": "/referrers/", "blobs": "/blobs/", "tags": "/tags/"}
HARMLESS = {
    # White space after a document that no digest names changes nothing in it.
    ("longer", "referrers"),
    ("longer", "tags"),
    # The type that a blob or the tags are served under says nothing: the one has a digest, the other is only JSON.
    ("wrong type", "blobs"),
    ("wrong type", "tags"),
}
"""Faults that leave intact what is read; the verdict is then that of the evidence."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """A registry with an image that passes: one lane, signed, found through the referrers API."""

    registry: FaultyRegistry
    image: RegistryImage
    scene: Scene
    kept: str
    """Another image that passes, in a layout."""

    def promotion(self, to: str) -> tuple[str, ...]:
        """The options of a promotion."""
        return ("--policy", "policy.yaml", "--to", to)

    def command(self, verb: str) -> Ended:
        """Run one of the commands that speak to registries."""
        image = str(self.image)
        limit = ("--timeout", "1")
        match verb:
            case "verify":
                return self.scene.verify(*limit)
            case "inspect":
                return self.scene.attest("inspect", image, *limit)
            case "resolve":
                return self.scene.attest("resolve", f"{self.image.repository}:v1", *limit)
            case "attach":
                return self.scene.attest("attach", "failed.json", image, *limit)
            case "promote from":
                return self.scene.attest("promote", image, *self.promotion("oci:out"), *limit)
            case "promote to":
                stands_for = ("--repository", REPOSITORY)
                return self.scene.attest(
                    "promote", self.kept, *stands_for, *self.promotion(str(self.image.repository)), *limit
                )
            case _:
                return self.scene.attest(*self.scene.sign_arguments("unit", "--run-id", "3", *limit))


VERBS = ("verify", "inspect", "resolve", "sign", "attach", "promote from", "promote to")


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage, healthy until a test spoils it."""
    with FaultyRegistry().running() as registry:
        image = registry.add_image()
        scene = Scene(folder=tmp_path_factory.mktemp("stage"), image=str(image), repository=None)
        scene.make_keys("unit")
        scene.write_policy(policy_text(("unit",), images=[str(image.repository), REPOSITORY]))
        scene.sign("unit", "--output", "passed.json", "--no-push")
        scene.sign("unit", "--result", "failed", "--run-id", "2", "--output", "failed.json", "--no-push")
        registry.add_attestation(image, (scene.folder / "passed.json").read_bytes())
        other = Scene(folder=scene.folder)
        other.make_image("kept")
        other.sign("unit")
        yield Stage(registry=registry, image=image, scene=scene, kept=other.image)


def assert_undecided(ended: Ended) -> None:
    """It ended with 3, in words, and without a traceback."""
    assert ended.code == 3, ended
    assert ended.raw == b""
    assert ended.err.strip().splitlines()[-1].startswith(("error: ", "hint: "))
    assert "a defect of attest" not in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("verb", VERBS)
def test_a_healthy_registry_is_believed(verb: str, stage: Stage) -> None:
    """Without a fault every command succeeds here, so that the failures below are those of the faults."""
    ended = stage.command(verb)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("verb", VERBS)
def test_a_refused_connection_is_undecided(verb: str, stage: Stage) -> None:
    """Where nothing listens every command ends with 3."""
    nowhere = Repository(host="127.0.0.1:1", path=stage.image.repository.path)
    stage.image = RegistryImage(repository=nowhere, digest=stage.image.digest)
    stage.scene.image = str(stage.image)
    stage.scene.write_policy(policy_text(("unit",), images=[str(nowhere), REPOSITORY]))
    assert_undecided(stage.command(verb))


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", [*FAULTS, "404"])
def test_a_registry_that_answers_so_to_everything(fault: str, verb: str, stage: Stage) -> None:
    """Whatever a registry answers to every request, no command takes it for success, for absence or for a refusal."""
    stage.registry.misbehave(faults.status(404) if fault == "404" else FAULTS[fault])
    ended = stage.command(verb)
    if (fault, verb) == ("longer", "resolve"):
        # A tag may stand for anything: the digest is that of the bytes that came, and nothing else passes for it.
        assert ended.out.startswith(f"{stage.image.repository}@sha256:")
        assert stage.image.digest not in ended.out
    else:
        assert_undecided(ended)


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_cannot_be_hidden_behind_an_error(fault: str, route: str, stage: Stage) -> None:
    """Where a later failure is attached, no fault of any one route makes the gate pass: refused or undecided."""
    stage.registry.add_attestation(stage.image, (stage.scene.folder / "failed.json").read_bytes())
    assert stage.scene.verify().code == 1
    stage.registry.misbehave(FAULTS[fault], ROUTES[route])
    ended = stage.command("verify")
    assert ended.code in {1, 3}, ended
    if (fault, route) in HARMLESS:
        assert ended.code == 1
    else:
        assert_undecided(ended)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", SLOW)
def test_the_deadline_is_kept(fault: str, verb: str, stage: Stage) -> None:
    """A registry that stalls ends every command with 3 about when --timeout says, long before the registry gives up."""
    stage.registry.misbehave(SLOW[fault])
    started = time.monotonic()
    assert_undecided(stage.command(verb))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("fault", ["looped_pages", "endless_pages"])
@pytest.mark.parametrize("route", ["referrers", "tags"])
def test_pages_without_an_end(fault: str, route: str, stage: Stage) -> None:
    """Pages that loop or never end are given up on, undecided."""
    stage.registry.misbehave(getattr(faults, fault), ROUTES[route])
    assert_undecided(stage.command("verify"))


def test_too_many_entries_are_not_cut_off(stage: Stage) -> None:
    """A list of 1,001 attestations is more than is read: undecided, never a verdict on the first thousand."""
    entries = [{"mediaType": oci.MANIFEST, "digest": f"sha256:{number:064x}", "size": 2} for number in range(1001)]
    body = json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": entries}).encode()
    stage.registry.misbehave(faults.serve(body, oci.INDEX), ROUTES["referrers"])
    ended = stage.command("verify")
    assert_undecided(ended)
    assert "1000" in ended.err


def test_bytes_that_change_between_two_reads(stage: Stage) -> None:
    """A registry that answers one thing first and another later is found out by the digest, whichever comes first."""
    stage.registry.misbehave(faults.flipped, f"/manifests/{stage.image.digest}", times=1)
    assert_undecided(stage.command("verify"))
    assert stage.command("verify").code == 0


# ---- credentials


def demanding(then: Fault) -> Fault:
    """A registry that wants a password before it misbehaves, so that there is something to leak."""

    def fault(handler: Handler) -> None:
        if handler.headers.get("Authorization") is None:
            handler.reply(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})
        else:
            then(handler)

    return fault


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("way", ["redirect", "permanent redirect", "location", "link", "realm", "realm with basic"])
def test_a_password_never_leaves_its_origin(way: str, verb: str, stage: Stage) -> None:
    """Neither redirects, upload locations, next pages nor realms bring the password, or a token, to another place."""
    with FaultyRegistry().running() as elsewhere:
        there = elsewhere.url
        match way:
            case "redirect":
                stage.registry.misbehave(demanding(faults.redirect(f"{there}/v2/team/app/x")))
            case "permanent redirect":
                stage.registry.misbehave(demanding(faults.redirect(f"{there}/v2/team/app/x", 308)))
            case "location":
                stage.registry.misbehave(
                    demanding(faults.status(202, {"Location": f"{there}/upload"})), "/uploads/", method="POST"
                )
                stage.registry.misbehave(demanding(lambda handler: handler.registry.serve(handler, b"")), method="GET")
            case "link":
                stage.registry.misbehave(
                    demanding(
                        faults.serve(
                            b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}',
                            oci.INDEX,
                            {"Link": f'<{there}/next>; rel="next"'},
                        )
                    )
                )
            case "realm":
                stage.registry.misbehave(
                    faults.status(401, {"WWW-Authenticate": f'Bearer realm="{there}/token",service="x",scope="y"'})
                )
            case _:
                challenge = f'Basic realm="x", Bearer realm="{there}/token",service="x"'
                stage.registry.misbehave(faults.status(401, {"WWW-Authenticate": challenge}))
        config = write_docker_config(stage.scene.folder / "docker", stage.registry.host, "lane", CANARY)
        stage.scene.environment["DOCKER_CONFIG"] = str(config)
        ended = stage.command(verb)
        arrived = list(elsewhere.seen)
    reading = ("verify", "inspect", "resolve", "promote from")
    unaffected = {*(("location", verb) for verb in reading), ("link", "resolve")}
    if (way, verb) not in unaffected:
        assert_undecided(ended)
    assert CANARY not in ended.err
    assert {seen.authorization for seen in arrived} <= {None}
    secret = base64.b64encode(f"lane:{CANARY}".encode())
    assert not any(CANARY in seen.path or CANARY.encode() in seen.body or secret in seen.body for seen in arrived)
    if not way.startswith("realm"):
        sent = {seen.authorization for seen in stage.registry.seen}
        assert f"Basic {secret.decode()}" in sent  # it did go where it belongs
