"""What finds, starts, slows down and ends the real parts does so, and leaves nothing behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.parts import delay, find, images, oras_cli, process
from tests.parts import docker_registry as docker_registry_part
from tests.parts import olareg as olareg_part
from tests.parts.cosign import Cosign
from tests.parts.images import BuiltImage
from tests.parts.once import make_once
from tests.parts.registry import Registry, write_docker_config

pytestmark = pytest.mark.parts

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PASSED = {"result": "PASSED", "configuration": [{"name": "unit"}]}


def _is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


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
        "import pathlib, sys, time\n"
        "from tests.parts import process\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "def command(port):\n"
        "    return process.Command(\n"
        "        arguments=['sh', '-c', 'touch up; exec sleep 600'],\n"
        "        environment=process.plain_environment(folder),\n"
        "        directory=folder)\n"
        "is_up = lambda port: (folder / 'up').exists()\n"
        "with process.serve(command, answers=is_up, log=folder / 'log') as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=find.PROJECT, stdout=subprocess.PIPE
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
        process.run(command, seconds=5)
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
    built: dict[str, Path] = {}
    for module in ("peers", "gitea", "sigstore", "kubernetes", "syft", "lint", "act", "playwright"):
        folder = find.PROJECT / "tools" / module
        pins = [folder / "go.mod", folder / "go.sum", *folder.glob("*/main.go")]
        if module == "playwright":
            pins = [folder / "package.json", folder / "package-lock.json"]
        pinned = b"".join(file.read_bytes() for file in pins)
        built[module] = cache / hashlib.sha256(pinned).hexdigest()[:16] / "bin"
        built[module].mkdir(parents=True)
    environment = {**os.environ, "ATTEST_PARTS": str(cache)}
    script = [str(find.PROJECT / ".ci" / "parts")]
    printed = subprocess.run(script, env=environment, check=True, capture_output=True, text=True).stdout
    assert sorted(printed.split()) == sorted(str(folder / "bin") for folder in cache.iterdir() if folder.is_dir())
    some = subprocess.run([*script, "lint", "act"], env=environment, check=True, capture_output=True, text=True)
    assert some.stdout.split() == [str(built["lint"]), str(built["act"])]
    wrong = subprocess.run([*script, "--instal"], env=environment, check=False, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == (
        "parts: unknown argument '--instal'; "
        "usage: .ci/parts [--install] [peers | gitea | sigstore | kubernetes | syft | lint | act | playwright]...\n"
    )


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
