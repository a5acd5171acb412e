"""The real parts are what the other tests take them for, and leave nothing behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

from tests.parts import crane, delay, find, images, oras_cli, process, web
from tests.parts import docker_registry as docker_registry_part
from tests.parts import olareg as olareg_part
from tests.parts.cosign import Cosign
from tests.parts.images import BuiltImage
from tests.parts.once import make_once
from tests.parts.registry import Registry, write_docker_config
from tests.parts.token_server import SERVICE, TokenServer

pytestmark = pytest.mark.parts

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PASSED = {"result": "PASSED", "configuration": [{"name": "unit"}]}

every_registry = pytest.mark.parametrize(
    "which",
    [
        "docker_registry",
        "docker_registry_htpasswd",
        "docker_registry_token",
        "docker_registry_tls",
        "gitea",
        "olareg",
    ],
)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# ---- registries


@pytest.mark.parametrize("which", ["docker_registry", "gitea"])
def test_no_referrers_api(which: str, request: pytest.FixtureRequest, sample_image: BuiltImage) -> None:
    """docker-registry and Gitea answer 404 in plain text where the referrers API would be."""
    registry: Registry = request.getfixturevalue(which)
    pushed = images.push(sample_image, registry)
    answer = registry.referrers(pushed.repository, pushed.digest)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_olareg_has_the_referrers_api(olareg: Registry, sample_image: BuiltImage, tmp_path: Path) -> None:
    """olareg lists referrers: an empty index at first, afterwards what was attached."""
    pushed = images.push(sample_image, olareg)
    before = olareg.referrers(pushed.repository, pushed.digest)
    assert (before.status, json.loads(before.body)["manifests"]) == (200, [])
    note = tmp_path / "note.txt"
    note.write_text("attached")
    oras_cli.attach(olareg, pushed.reference, artifact_type="text/x-note", file=note)
    (referrer,) = json.loads(olareg.referrers(pushed.repository, pushed.digest).body)["manifests"]
    assert referrer["artifactType"] == "text/x-note"


def test_htpasswd_refuses_strangers(docker_registry_htpasswd: Registry) -> None:
    """The registry with basic authentication lets in its user and nobody else."""
    url = docker_registry_htpasswd.url + "/v2/"
    stranger = web.request("GET", url)
    assert stranger.status == 401
    assert stranger.headers["www-authenticate"].startswith("Basic ")
    wrong = web.request("GET", url, headers={"Authorization": web.basic("lane", "wrong")})
    assert wrong.status == 401
    assert docker_registry_htpasswd.ask("GET", "/v2/").status == 200


def test_token_flow_is_recorded(
    docker_registry_token: Registry, token_server: TokenServer, sample_image: BuiltImage
) -> None:
    """A push to the registry with token authentication asks the token server for just that repository."""
    challenge = web.request("GET", docker_registry_token.url + "/v2/")
    assert challenge.status == 401
    assert f'Bearer realm="{token_server.realm}",service="{SERVICE}"' in challenge.headers["www-authenticate"]
    seen = len(token_server.asked)
    pushed = images.push(sample_image, docker_registry_token)
    name = pushed.repository.partition("/")[2]
    asked = token_server.asked[seen:]
    assert {one.query["service"][0] for one in asked} == {SERVICE}
    assert f"repository:{name}:pull,push" in {scope for one in asked for scope in one.query["scope"]}
    assert all(one.status == 200 for one in asked)


def test_token_server_refuses_a_wrong_password(docker_registry_token: Registry, token_server: TokenServer) -> None:
    """Without the password there is no token, and the registry takes neither no token nor a forged one."""
    scope = urllib.parse.urlencode({"service": SERVICE, "scope": "repository:any:pull"})
    wrong = {"Authorization": web.basic("lane", "wrong")}
    assert web.request("GET", f"{token_server.realm}?{scope}", headers=wrong).status == 401
    assert token_server.asked[-1].authorization == wrong["Authorization"]
    forged = {"Authorization": "Bearer e30.e30.e30"}
    assert web.request("GET", docker_registry_token.url + "/v2/any/tags/list", headers=forged).status == 401


def test_tls_needs_the_authority(docker_registry_tls: Registry) -> None:
    """The registry over TLS is refused by who does not know its authority, and trusted by who does."""
    with pytest.raises(ssl.SSLCertVerificationError):
        web.request("GET", docker_registry_tls.url + "/v2/")
    assert docker_registry_tls.ask("GET", "/v2/").status == 200


def test_gitea_gives_bearer_tokens(gitea: Registry) -> None:
    """Gitea sends strangers to a token endpoint on its own host."""
    answer = web.request("GET", gitea.url + "/v2/")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{gitea.url}/v2/token"')


def test_gitea_forgets_what_only_a_tag_held(gitea: Registry, sample_image: BuiltImage) -> None:
    """On Gitea a manifest that was pushed by tag only is gone when the tag moves; pushed by digest it stays."""
    pushed = images.push(sample_image, gitea)
    name = pushed.repository.partition("/")[2]
    by_tag = json.dumps({**json.loads(pushed.manifest), "annotations": {"pushed": "by tag"}}).encode()
    by_digest = json.dumps({**json.loads(pushed.manifest), "annotations": {"pushed": "by digest"}}).encode()
    kind = {"Content-Type": images.OCI_MANIFEST}

    def put(reference: str, manifest: bytes) -> None:
        answer = gitea.ask("PUT", f"/v2/{name}/manifests/{reference}", headers=kind, body=manifest)
        assert answer.status == 201

    put("moving", by_tag)
    assert gitea.manifest(pushed.repository, _digest(by_tag)).status == 200
    put(_digest(by_digest), by_digest)
    put("moving", by_digest)
    assert gitea.manifest(pushed.repository, _digest(by_tag)).status == 404
    put("moving", pushed.manifest)
    assert gitea.manifest(pushed.repository, _digest(by_digest)).body == by_digest


@every_registry
def test_every_registry_stores_the_bytes(
    which: str, request: pytest.FixtureRequest, sample_image: BuiltImage, index_image: BuiltImage
) -> None:
    """Every registry gives back an image and an image index byte for byte, by digest and by tag."""
    registry: Registry = request.getfixturevalue(which)
    for image in (sample_image, index_image):
        pushed = images.push(image, registry, tag="v1")
        assert _digest(pushed.manifest) == pushed.digest == image.digest
        assert registry.manifest(pushed.repository, "v1").body == image.manifest
        assert crane.digest(registry, f"{pushed.repository}:v1") == pushed.digest
        for child in pushed.platforms:
            assert registry.manifest(pushed.repository, child).status == 200


# ---- images


def test_images_are_what_they_are_called(
    sample_image: BuiltImage, other_image: BuiltImage, index_image: BuiltImage
) -> None:
    """The images are OCI images of real layers with different digests, the index has its two platforms."""
    assert len({sample_image.digest, other_image.digest, index_image.digest}) == 3
    manifest = json.loads(sample_image.manifest)
    assert manifest["mediaType"] == images.OCI_MANIFEST
    assert sum(layer["size"] for layer in manifest["layers"]) > 500_000
    index = json.loads(index_image.manifest)
    assert index["mediaType"] == images.OCI_INDEX
    platforms = sorted(child["platform"]["architecture"] for child in index["manifests"])
    assert platforms == ["amd64", "arm64"]


def test_docker_format(any_registry: Registry, sample_image: BuiltImage) -> None:
    """An image can be pushed with Docker's own manifest type, as most images in the world are."""
    pushed = images.push_docker_format(sample_image, any_registry)
    assert pushed.media_type == images.DOCKER_MANIFEST
    assert _digest(pushed.manifest) == pushed.digest


# ---- peers


@every_registry
def test_cosign_round_trip(
    which: str, request: pytest.FixtureRequest, sample_image: BuiltImage, cosign: Cosign
) -> None:
    """What cosign attests in any registry cosign verifies there, with that key and that type only; oras shows it."""
    registry: Registry = request.getfixturevalue(which)
    pushed = images.push(sample_image, registry)
    key = cosign.generate_key_pair(f"right-{which}", password="secret")
    stranger = cosign.generate_key_pair(f"wrong-{which}")
    cosign.attest(registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED)

    (statement,) = cosign.verify_attestation(
        registry, pushed.reference, public_key=key.public, predicate_type=TEST_RESULT
    )
    assert statement["predicate"] == PASSED
    assert statement["subject"][0]["digest"] == {"sha256": pushed.digest.removeprefix("sha256:")}
    with pytest.raises(process.PartError, match="no matching attestations"):
        cosign.verify_attestation(registry, pushed.reference, public_key=stranger.public, predicate_type=TEST_RESULT)
    with pytest.raises(process.PartError, match="none of the attestations matched the predicate type"):
        cosign.verify_attestation(
            registry, pushed.reference, public_key=key.public, predicate_type="https://example.com/other"
        )
    (found,) = oras_cli.discover(registry, pushed.reference)
    assert found.artifact_type == BUNDLE
    assert found.annotations["dev.sigstore.bundle.predicateType"] == TEST_RESULT


def test_cosign_legacy(any_registry: Registry, sample_image: BuiltImage, cosign: Cosign) -> None:
    """cosign's older form is one image at the tag `sha256-HEX.att`, a layer for each attestation, no referrer."""
    pushed = images.push(sample_image, any_registry)
    key = cosign.generate_key_pair(f"legacy-{any_registry.name}")
    for _ in range(2):
        cosign.attest_legacy(any_registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED)
    tag = pushed.digest.replace(":", "-") + ".att"
    assert crane.tags(any_registry, pushed.repository) == [tag]
    layers = json.loads(crane.manifest(any_registry, f"{pushed.repository}:{tag}"))["layers"]
    assert [layer["mediaType"] for layer in layers] == ["application/vnd.dsse.envelope.v1+json"] * 2
    assert oras_cli.discover(any_registry, pushed.reference) == []
    statements = cosign.verify_attestation(
        any_registry, pushed.reference, public_key=key.public, predicate_type=TEST_RESULT
    )
    assert [statement["predicate"] for statement in statements] == [PASSED, PASSED]


def test_cosign_stays_off_the_network(docker_registry: Registry, sample_image: BuiltImage, cosign: Cosign) -> None:
    """Neither attesting nor verifying asks anybody but the registry."""
    pushed = images.push(sample_image, docker_registry)
    key = cosign.generate_key_pair("hermetic")
    attesting = cosign.attesting(
        docker_registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED
    )
    verifying = cosign.verifying(docker_registry, pushed.reference, public_key=key.public, predicate_type=TEST_RESULT)
    for command in (attesting, verifying):
        result = process.attempt(command)
        assert result.returncode == 0
        assert b"TUF" not in result.stderr
        assert b"sigstore.dev" not in result.stderr


def test_oras_sees_a_layout(sample_image: BuiltImage, tmp_path: Path) -> None:
    """oras shows what is attached to an image in an OCI layout, and nothing before."""
    layout = images.copy_layout(sample_image, tmp_path / "layout").layout
    assert oras_cli.discover_in_layout(layout, sample_image.digest) == []
    note = tmp_path / "note.txt"
    note.write_text("attached")
    oras_cli.attach_in_layout(layout, sample_image.digest, artifact_type="text/x-note", file=note)
    (found,) = oras_cli.discover_in_layout(layout, sample_image.digest)
    assert found.artifact_type == "text/x-note"


# ---- the delay


def test_delay_changes_nothing_but_the_time(
    docker_registry: Registry, sample_image: BuiltImage, tmp_path: Path
) -> None:
    """Through the proxy an image is pushed and read as without it; every exchange lasts at least the delay."""
    with delay.delayed(docker_registry, tmp_path, milliseconds=20) as proxy:
        pushed = images.push(sample_image, proxy.registry)
        name = pushed.repository.partition("/")[2]
        head = proxy.registry.ask("HEAD", f"/v2/{name}/manifests/{pushed.digest}")
        exchanges = proxy.exchanges
    assert (head.headers["content-length"], head.body) == (str(pushed.size), b"")
    straight = docker_registry.manifest(f"{docker_registry.host}/{name}", pushed.digest)
    assert straight.body == pushed.manifest
    assert all(one.ended - one.started >= 0.02 for one in exchanges)
    assert exchanges[-1].method == "HEAD"
    assert exchanges[-1].path == f"/v2/{name}/manifests/{pushed.digest}"
    assert max(one.received_bytes for one in exchanges) == max(
        layer["size"] for layer in json.loads(pushed.manifest)["layers"]
    )


def _exchange(started: float, ended: float) -> delay.Exchange:
    return delay.Exchange(
        method="GET",
        path="/v2/",
        authorization=None,
        status=200,
        received_bytes=0,
        sent_bytes=0,
        started=started,
        ended=ended,
    )


@pytest.mark.parametrize(
    ("times", "deepest"),
    [
        ([], 0),
        ([(0, 1), (1, 2), (2, 3)], 3),
        ([(0, 1), (0, 2), (0.5, 3)], 1),
        ([(0, 9), (1, 2), (3, 4), (3.5, 5)], 2),
        ([(4, 5), (0, 1), (0, 3), (2, 3)], 3),
    ],
)
def test_depth_is_the_longest_row(times: list[tuple[float, float]], deepest: int) -> None:
    """Requests one after the other are as deep as they are many; what overlaps does not add up."""
    assert delay.depth([_exchange(*time) for time in times]) == deepest


def test_requests_in_sequence_are_deep(docker_registry: Registry, tmp_path: Path) -> None:
    """Three requests that wait for one another are recorded as three deep, until they are forgotten."""
    with delay.delayed(docker_registry, tmp_path, milliseconds=1) as proxy:
        for _ in range(3):
            assert proxy.registry.ask("GET", "/v2/").status == 200
        assert (len(proxy.exchanges), delay.depth(proxy.exchanges)) == (3, 3)
        proxy.clear()
        assert proxy.exchanges == ()


def test_the_delay_holds_nobody_else_up(docker_registry: Registry, tmp_path: Path) -> None:
    """Requests at the same time wait at the same time, and are one deep."""
    together = threading.Barrier(8, timeout=60)

    class Gathered(delay.Delayed):
        def hold(self) -> None:
            together.wait()

    with Gathered(docker_registry, tmp_path, 0).running() as proxy:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(proxy.registry.ask, "GET", "/v2/") for _ in range(8)]
        assert [one.result().status for one in asked] == [200] * 8
        assert (len(proxy.exchanges), delay.depth(proxy.exchanges)) == (8, 1)


def test_delay_keeps_the_credentials(
    docker_registry_htpasswd: Registry, sample_image: BuiltImage, tmp_path: Path
) -> None:
    """A registry that wants a password can be used through the proxy with the proxy's own docker configuration."""
    with delay.delayed(docker_registry_htpasswd, tmp_path, milliseconds=0) as proxy:
        pushed = images.push(sample_image, proxy.registry)
        assert proxy.registry.manifest(pushed.repository, pushed.digest).body == sample_image.manifest
        assert any(one.authorization for one in proxy.exchanges)


def test_tokens_come_through_the_delay(
    gitea: Registry, sample_image: BuiltImage, cosign: Cosign, tmp_path: Path
) -> None:
    """A registry that gives tokens itself gives them through the proxy, so that clients see one origin."""
    key = cosign.generate_key_pair("delayed")
    with delay.delayed(gitea, tmp_path, milliseconds=0) as proxy:
        pushed = images.push(sample_image, proxy.registry)
        proxy.clear()
        cosign.attest(proxy.registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED)
        assert any(one.path.startswith("/v2/token?") and one.status == 200 for one in proxy.exchanges)
        assert len(oras_cli.discover(proxy.registry, pushed.reference)) == 1


# ---- processes and files


def test_servers_end_with_their_block(tmp_path: Path) -> None:
    """A server is gone when its block ends, also by an exception."""
    with contextlib.suppress(ZeroDivisionError), docker_registry_part.plain(tmp_path) as registry:
        assert registry.ask("GET", "/v2/").status == 200
        raise ZeroDivisionError
    with pytest.raises(OSError, match="refused"):
        registry.ask("GET", "/v2/")


def test_servers_end_with_a_killed_test_run(tmp_path: Path) -> None:
    """A server does not outlive a test run that was killed outright."""
    program = (
        "import sys, time, pathlib\n"
        "from tests.parts import process\n"
        "def command(port):\n"
        "    return process.Command(\n"
        "        arguments=['sleep', '600'], environment={'PATH': '/usr/bin:/bin'}, directory=pathlib.Path('/'))\n"
        "with process.serve(command, answers=lambda port: True, log=pathlib.Path(sys.argv[1])) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log")], cwd=find.PROJECT, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        server = int(run.stdout.readline())
        assert _is_running(server)
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _is_running(server) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(server)


def test_a_server_that_fails_says_why(tmp_path: Path) -> None:
    """A server that ends at once is an error with what it printed, not an endless wait."""

    def command(_: int) -> process.Command:
        environment = process.plain_environment(tmp_path)
        arguments = ["sh", "-c", "echo no luck today; exit 3"]
        return process.Command(arguments=arguments, environment=environment, directory=tmp_path)

    broken = process.serve(command, answers=lambda _: False, log=tmp_path / "log")
    with pytest.raises(process.PartError, match=r"(?s)ended with 3:.*no luck today"), broken:
        pass


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    """A peer that takes too long is ended with everything that it started."""
    note = tmp_path / "pid"
    arguments = ["sh", "-c", f"sleep 600 & echo $! > {note}; wait"]
    command = process.Command(arguments=arguments, environment=process.plain_environment(tmp_path), directory=tmp_path)
    with pytest.raises(process.PartError, match="took more than"):
        process.run(command, seconds=1)
    assert not _is_running(int(note.read_text()))


def test_servers_see_nothing_of_the_users_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies and credentials of the user's environment reach no part."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    with olareg_part.olareg(tmp_path) as registry:
        assert registry.ask("GET", "/v2/").status == 200
    assert "HTTP_PROXY" not in process.plain_environment(tmp_path)
    assert "DOCKER_CONFIG" not in process.plain_environment(tmp_path)


@pytest.mark.parametrize(("variable", "outcome"), [("true", "Failed"), ("", "Skipped")])
def test_a_missing_part_is_never_silent(variable: str, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing part skips the test with its name and the way to get it, and fails it in CI."""
    monkeypatch.setenv("CI", variable)
    with pytest.raises(BaseException, match=r"no-such-part is not here; run \.ci/parts --install") as caught:
        find.require("no-such-part")
    assert type(caught.value).__name__ == outcome


def test_pinned_builds_win_over_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The version that is pinned is the one that is used, whatever else is installed."""
    monkeypatch.setenv("ATTEST_PARTS", str(tmp_path / "cache"))
    other = tmp_path / "path" / "oras"
    pins = hashlib.sha256(
        (find.PROJECT / "tools/peers/go.mod").read_bytes() + (find.PROJECT / "tools/peers/go.sum").read_bytes()
    ).hexdigest()
    pinned = tmp_path / "cache" / pins[:16] / "bin" / "oras"
    monkeypatch.setenv("PATH", str(other.parent))
    for program in (other, pinned):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    assert find.find("oras") == pinned
    pinned.unlink()
    assert find.find("oras") == other


def test_the_script_and_the_tests_agree(tmp_path: Path) -> None:
    """`.ci/parts` prints the folders in which the tests look for its builds."""
    # What is not built is named, not built: the stand-ins are there before the script asks.
    cache = tmp_path / "cache"
    for module in ("peers", "gitea"):
        folder = find.PROJECT / "tools" / module
        pinned = (folder / "go.mod").read_bytes() + (folder / "go.sum").read_bytes()
        (cache / hashlib.sha256(pinned).hexdigest()[:16] / "bin").mkdir(parents=True)
    environment = {**os.environ, "ATTEST_PARTS": str(cache)}
    script = [str(find.PROJECT / ".ci" / "parts")]
    printed = subprocess.run(script, env=environment, check=True, capture_output=True, text=True).stdout
    assert sorted(printed.split()) == sorted(str(folder / "bin") for folder in cache.iterdir() if folder.is_dir())
    wrong = subprocess.run([*script, "--instal"], env=environment, check=False, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "parts: unknown argument '--instal'; usage: .ci/parts [--install]\n"


def test_the_script_without_go(tmp_path: Path) -> None:
    """On a machine without Go, `.ci/parts` says so in one line and leaves nothing half built."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "cat", "cut", "dirname", "env", "flock", "id", "mkdir", "mktemp", "rm", "sed", "sha256sum"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    cache = tmp_path / "cache"
    result = subprocess.run(
        [str(tools / "bash"), str(find.PROJECT / ".ci" / "parts")],
        env={"PATH": str(tools), "ATTEST_PARTS": str(cache), "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("parts: go is not here; install Go ")
    assert [child.name for child in cache.iterdir()] == [".lock"]


def test_once_means_once(tmp_path: Path) -> None:
    """A shared folder is made by the first caller only, and again where making it failed."""
    made: list[Path] = []

    def broken(target: Path) -> None:
        target.mkdir()
        raise OSError("disk full")

    def works(target: Path) -> None:
        target.mkdir()
        made.append(target)

    with pytest.raises(OSError, match="disk full"):
        make_once(tmp_path, "thing", broken)
    assert make_once(tmp_path, "thing", works) == make_once(tmp_path, "thing", works) == tmp_path / "thing"
    assert made == [tmp_path / "thing"]


def test_docker_configuration_is_private(tmp_path: Path) -> None:
    """The credentials that the parts get are readable by their owner alone."""
    folder = write_docker_config(tmp_path, "127.0.0.1:1", "lane", "secret")
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
