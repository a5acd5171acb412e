"""Real lanes on a real image: their reports decide, what ran is what is signed, and a killed lane leaves no lie."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import COMMAND, SECONDS, Ended, clean_environment, spawn
from tests.cli.scene import LANES, SOURCE, TEST_RESULT, Scene, policy_text
from tests.e2e.gate import registry_scene
from tests.parts.containers import Podman
from tests.parts.delay import Delayed, Exchange
from tests.parts.images import BuiltImage, PushedImage, build_from, push
from tests.parts.process import free_port
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

OBSERVING = ("integration", "e2e")
SERVICE = Path(__file__).with_name("service")
PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A checkout of the sample service, its image in a registry, and the keys of its lanes."""

    scene: Scene
    image: PushedImage
    podman: Podman | None = None

    @property
    def folder(self) -> Path:
        """The checkout."""
        return self.scene.folder

    def run(self, lane: str, command: Sequence[object], *options: object, run_id: int = 1, **environment: str) -> Ended:
        """Run a lane in the checkout, with the reports that its options name."""
        words = self.words(lane, command, *options, run_id=run_id)
        return spawn(*words, cwd=self.folder, environment=self.environment(**environment))

    def words(self, lane: str, command: Sequence[object], *options: object, run_id: int = 1) -> list[str]:
        """The command line of a lane."""
        own = ("--lane", lane, "--key", f"keys/{lane}.key", "--run-id", run_id, *self.scene.options)
        return [str(word) for word in ("run", self.image.reference, *own, *options, "--", *command)]

    def environment(self, **more: str) -> dict[str, str]:
        """What a lane runs with."""
        path = {} if self.podman is None else {"PATH": self.podman.path}
        return {**clean_environment(self.folder), **self.scene.environment, **path, **more}

    def lanes(self) -> dict[str, tuple[str, str]]:
        """State and message of every lane at the gate."""
        (image,) = self.scene.verify("--format", "json").document["images"]
        return {lane["lane"]: (lane["state"], lane["message"]) for lane in image["lanes"]}

    def bundles(self) -> list[dict[str, Any]]:
        """What is attached; an attachment that cannot be read makes this fail."""
        ended = self.scene.attest("inspect", self.image.reference, "--format", "json", *self.scene.options)
        assert ended.code == 0, ended.err
        return [bundle for place in ended.document["places"] for bundle in place["bundles"]]


def git(folder: Path, *arguments: str) -> str:
    """Ask git in a folder."""
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def make_project(folder: Path, registry: Registry, image: PushedImage, podman: Podman | None = None) -> Project:
    """A checkout with one commit, and a policy of five lanes, two of which have to have seen the image run."""
    scene = registry_scene(folder, registry, image)
    for file in SERVICE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    git(folder, "init", "--quiet")
    git(folder, "remote", "add", "origin", SOURCE)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    scene.make_keys(*LANES)
    observed = ', where: ["predicate.attest_observed.exists(o, o.image == image.digest)"]'
    rules = {
        lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}{observed if lane in OBSERVING else ''}}}"
        for lane in LANES
    }
    signers = {lane: f"{{key: keys/{lane}.pub}}" for lane in LANES}
    scene.write_policy(policy_text(rules, images=[image.repository], signers=signers))
    return Project(scene=scene, image=image, podman=podman)


@pytest.fixture(scope="module")
def service_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """The image of the sample service."""
    return build_service(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def other_service_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """Another build of the sample service, which does the same."""
    return build_service(tmp_path_factory.mktemp("other-service"), "--label", "org.opencontainers.image.version=2")


def build_service(folder: Path, *arguments: str) -> BuiltImage:
    """Render the page and build its image."""
    context = folder / "context"
    shutil.copytree(SERVICE, context)
    subprocess.run([sys.executable, "render.py", "site"], cwd=context, check=True)
    return build_from(folder / "built", context, "--file", str(context / "Containerfile"), *arguments)


@pytest.fixture
def project(tmp_path: Path, docker_registry: Registry, service_image: BuiltImage, podman: Podman) -> Project:
    """The sample service, checked out and pushed, with an engine that has its image."""
    image = push(service_image, docker_registry)
    podman.pull(image)
    return make_project(tmp_path, docker_registry, image, podman)


@contextlib.contextmanager
def serving(podman: Podman, reference: str, name: str) -> Iterator[str]:
    """A container of the service that answers; its URL."""
    port = free_port()
    podman.run("run", "--detach", "--pull", "never", "--name", name, reference, str(port))
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10):
                break
        yield url
    finally:
        podman.remove(name)


def fast_check(project: Project, **options: Any) -> Ended:
    """ruff and pytest over the source."""
    script = (
        "mkdir -p out && ruff check --no-cache --output-format sarif --output-file out/ruff.sarif render.py"
        f" && {PYTEST} --junitxml out/unit.xml check_render.py"
    )
    reports = ("--report", "out/unit.xml", "--report", "out/ruff.sarif", "--materials", "render.py")
    path = f"{Path(sys.executable).parent}:{project.environment()['PATH']}"
    return project.run("fast-check", ["/bin/sh", "-c", script], *reports, PATH=path, **options)


def build(project: Project, **options: Any) -> Ended:
    """What the image serves is rendered again, and has to be the same."""
    script = f"{sys.executable} render.py site && {sys.executable} render.py again && diff -r site again"
    return project.run("build", ["/bin/sh", "-c", script], "--materials", "render.py", "--products", "site", **options)


def contract(project: Project, **options: Any) -> Ended:
    """What skopeo says about the image."""
    command = [*PYTEST.split(), "--junitxml", "out/contract.xml", "check_contract.py"]
    return project.run("contract", command, "--report", "out/contract.xml", IMAGE=project.image.reference, **options)


def integration(project: Project, url: str, container: str, **options: Any) -> Ended:
    """Black-box tests over HTTP against a container."""
    command = [*PYTEST.split(), "--junitxml", "out/http.xml", "check_http.py"]
    return project.run(
        *("integration", command, "--container", container, "--report", "out/http.xml", "--env", "SERVICE_URL"),
        SERVICE_URL=url,
        **options,
    )


def e2e(project: Project, url: str, container: str, runner: PushedImage, **options: Any) -> Ended:
    """A browser, in a container of an image of its own, against a container."""
    command = [
        "python3",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--junitxml",
        "out/e2e.xml",
        "check_browser.py",
    ]
    return project.run(
        *("e2e", command, "--container", container, "--report", "out/e2e.xml", "--env", "SERVICE_URL"),
        *("--runner-image", runner.reference, "--runner-network", "host"),
        SERVICE_URL=url,
        **options,
    )


def test_five_real_lanes(
    project: Project, podman: Podman, docker_registry: Registry, browser_image: BuiltImage
) -> None:
    """Source, image, HTTP, browser and build: each lane's own tests decide, and the gate passes with all five."""
    runner = push(browser_image, docker_registry)
    with serving(podman, project.image.reference, "playlist") as url:
        for ended in (
            fast_check(project),
            build(project),
            contract(project),
            integration(project, url, "playlist"),
            e2e(project, url, "playlist", runner),
        ):
            assert ended.code == 0, ended.err
    assert {lane: state for lane, (state, _) in project.lanes().items()} == dict.fromkeys(LANES, "present")
    assert project.scene.verify().code == 0


def test_a_broken_test_is_named_by_the_gate(project: Project, podman: Podman) -> None:
    """FAILED is signed, the gate refuses and names the test; mended and run again, the lane is present."""
    tests = project.folder / "check_http.py"
    text = tests.read_text()
    with serving(podman, project.image.reference, "playlist") as url:
        tests.write_text(text.replace("== 241", "== 242"))
        broken = integration(project, url, "playlist")
        assert broken.code == 1
        assert "assert 241 == 242" in broken.out
        state, message = project.lanes()["integration"]
        assert state == "failed"
        assert message.endswith("says FAILED: 'check_http.test_the_playlist_is_served'")
        refused = project.scene.verify()
        assert refused.code == 1
        assert "check_http.test_the_playlist_is_served" in refused.out
        tests.write_text(text)
        assert integration(project, url, "playlist", run_id=2).code == 0
    assert project.lanes()["integration"][0] == "present"


def test_another_container_signs_nothing(project: Project, podman: Podman, other_service_image: BuiltImage) -> None:
    """A container that does the same, of another digest, is refused before the tests run."""
    podman.load(other_service_image, "localhost/other-service:1")
    with serving(podman, "localhost/other-service:1", "playlist") as url:
        ended = integration(project, url, "playlist")
    assert ended.code == 3
    assert f"which is not {project.image.digest}" in ended.err
    assert not (project.folder / "out").exists()
    assert project.bundles() == []


@pytest.mark.parametrize("what", ["replaced", "restarted", "gone"])
def test_a_container_that_changes_meanwhile_signs_nothing(
    project: Project, podman: Podman, other_service_image: BuiltImage, what: str
) -> None:
    """Another image under the name, a restart and a container that is gone afterwards all sign nothing."""
    podman.load(other_service_image, "localhost/other-service:1")
    with serving(podman, project.image.reference, "playlist"):
        script = {
            "replaced": "podman rm -f -t 0 playlist && podman run -d --name playlist localhost/other-service:1 0",
            "restarted": "podman restart -t 0 playlist",
            "gone": "podman rm -f -t 0 playlist",
        }[what]
        ended = project.run("integration", ["/bin/sh", "-c", script], "--container", "playlist")
    assert ended.code == 3, ended.err
    assert "its result is not signed and attached" in ended.err
    assert project.bundles() == []


def test_what_was_observed_is_signed(project: Project, podman: Podman) -> None:
    """The container, its image and the runner's image stand in the test-result, by digest."""
    with serving(podman, project.image.reference, "playlist"):
        ended = project.run(
            *("integration", ["/bin/busybox", "true"], "--container", "playlist"),
            *("--runner-image", project.image.reference, "--output", "result.json", "--link-output", "link.json"),
        )
    assert ended.code == 0, ended.err
    envelope = json.loads((project.folder / "result.json").read_text())["dsseEnvelope"]
    predicate = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    (observed,) = predicate["attest_observed"]
    assert (observed["container"], observed["runtime"], observed["image"]) == (
        "playlist",
        "podman",
        project.image.digest,
    )
    assert project.image.digest in observed["digests"]
    roles = {
        one["annotations"]["role"]: one for one in predicate["configuration"] if "role" in one.get("annotations", {})
    }
    digests = {role: "sha256:" + one["digest"]["sha256"] for role, one in roles.items()}
    assert digests == {"container": project.image.digest, "runner": project.image.digest}
    assert project.lanes()["integration"][0] == "present"


def test_a_release_is_tested_together(
    project: Project, podman: Podman, docker_registry: Registry, other_service_image: BuiltImage
) -> None:
    """A joint lane signs one statement about both images, and only while containers of both of them run."""
    other = push(other_service_image, docker_registry)
    podman.pull(other)
    commit = git(project.folder, "rev-parse", "HEAD")
    services = {"backend": project.image.reference, "frontend": other.reference}
    release = {"version": 1, "commit": commit, "services": services}
    (project.folder / "release.yaml").write_text(json.dumps(release))
    words = ["run", "--release", "release.yaml", "--lane", "e2e", "--key", "keys/e2e.key", *project.scene.options]

    def run(*containers: str) -> Ended:
        options = [word for name in containers for word in ("--container", name)]
        return spawn(*words, *options, "--", "true", cwd=project.folder, environment=project.environment())

    with serving(podman, project.image.reference, "one"):
        alone = run("one")
        assert alone.code == 3
        assert f"no container that was named runs {other.digest}" in alone.err
        assert project.bundles() == []
        with serving(podman, other.reference, "two"):
            together = run("one", "two")
    assert together.code == 0, together.err
    assert {tuple(bundle["subjects"]) for bundle in project.bundles()} == {
        tuple(sorted([project.image.digest, other.digest]))
    }


# ---- supersession


@pytest.fixture
def simple(tmp_path: Path, docker_registry: Registry, sample_image: BuiltImage) -> Project:
    """A project with any image, whose lanes need no engine."""
    return make_project(tmp_path, docker_registry, push(sample_image, docker_registry))


def lane_with(project: Project, status: int, *options: object, run_id: int) -> None:
    """The lane `build` runs a command with this status."""
    assert project.run("build", ["/bin/sh", "-c", f"exit {status}"], *options, run_id=run_id).code == status


def test_later_runs_and_higher_attempts_supersede(simple: Project) -> None:
    """A rerun that passes stands, a later failure stands against it, and a later run that passes stands again."""
    job = ("--job", "build", "--run-attempt")
    for status, attempt, run_id, state in (
        (1, 1, 1, "failed"),
        (0, 2, 1, "present"),
        (1, 1, 2, "failed"),
        (0, 1, 3, "present"),
    ):
        lane_with(simple, status, *job, attempt, run_id=run_id)
        assert simple.lanes()["build"][0] == state
    results = [bundle["result"] for bundle in simple.bundles() if bundle["predicate_type"] == TEST_RESULT]
    assert sorted(results) == ["FAILED", "FAILED", "PASSED", "PASSED"]


def test_shards_of_one_run_never_supersede(simple: Project) -> None:
    """Of two shards with one job and attempt the one that failed stands, also against a later attempt of one."""
    job = ("--job", "build", "--run-attempt")
    for status, attempt in ((1, 1), (0, 1), (0, 2)):
        lane_with(simple, status, *job, attempt, run_id=1)
        assert simple.lanes()["build"][0] == "failed"


# ---- killed while it pushes


class Killing(Delayed):
    """A registry that ends a process with the answer to its Nth request."""

    kill: Callable[[], None] | None = None
    left = 0

    def record(self, exchange: Exchange) -> None:
        """Count, and end the process instead of answering it."""
        super().record(exchange)
        self.left -= 1
        if self.left == 0 and self.kill is not None:
            self.kill()


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_any_request_it_leaves_no_lie(
    tmp_path: Path, docker_registry: Registry, sample_image: BuiltImage, status: int, number: signal.Signals
) -> None:
    """Whichever request is its last: what is attached can be read, and never says PASSED of a command that failed."""
    proxy = Killing(docker_registry, tmp_path / "config", 0)
    with proxy.running():
        image = push(sample_image, proxy.registry)
        (tmp_path / "checkout").mkdir()
        project = make_project(tmp_path / "checkout", proxy.registry, image)
        ended_alone = False
        for last in range(1, 200, 2):
            words = project.words("build", ["/bin/sh", "-c", f"exit {status}"], run_id=last)
            with subprocess.Popen(
                [*COMMAND, *words],
                cwd=project.folder,
                env=project.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                proxy.kill, proxy.left = (lambda running=process: running.send_signal(number)), last
                code = process.wait(2 * SECONDS)
                proxy.kill = None
            found = [bundle["result"] for bundle in project.bundles() if bundle["predicate_type"] == TEST_RESULT]
            state = project.lanes()["build"][0]
            assert set(found) <= {"PASSED" if status == 0 else "FAILED"}
            assert state in ({"present", "missing"} if status == 0 else {"failed", "missing"})
            if code == status and last > 1:
                ended_alone = True
                break
            assert code not in {0, 1} or code == status
        assert ended_alone
        assert state == ("present" if status == 0 else "failed")
