"""The images of the example: built as a team builds them, held against their contracts, searched, and run together."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attest.cli.contracts import load_contract
from attest.core.contract.table import CHECKS
from attest.core.reference import digest_of
from tests.cli.running import Ended, spawn
from tests.parts import web
from tests.parts.containers import Podman
from tests.parts.images import push
from tests.parts.process import Command, attempt, free_port, plain_environment, run
from tests.parts.registry import Registry
from tests.pipeline import changes
from tests.pipeline.bases import Bases, inherited, prepare
from tests.pipeline.images import PLAYLIST, SERVICES, builder, size, sizes
from tests.pipeline.telltale import Telltale, telltale, traces

real = (pytest.mark.parts, pytest.mark.slow, pytest.mark.xdist_group("pipeline-images"))
each_service = pytest.mark.parametrize("service", SERVICES)

PORTS = {"backend": "PLAYLIST_PORT", "frontend": "FRONTEND_PORT"}
"""The variable that says which port a service listens at."""
NO_WAY = ("--env=http_proxy=http://127.0.0.1:9", "--env=no_proxy=")
"""A proxy that nobody runs, as engines hand theirs to every container: services and tests have to find each other."""
SOURCE = "https://git.example.com/plex/playlist"


def marked(test: Any) -> Any:
    """A test that builds images, for minutes, and shares what was built with the others of this file."""
    for mark in real:
        test = mark(test)
    return test


@dataclasses.dataclass(slots=True, kw_only=True)
class Site:
    """A checkout of the example, a registry with the pinned images, and a builder."""

    folder: Path
    registry: Registry
    pinned: dict[str, str]
    """References of the images that `ci/images.env` would pin, by name."""
    path: str

    @property
    def prefix(self) -> str:
        """Where images are pushed to."""
        return f"{self.registry.host}/plex"

    def checkout(self, *names: str) -> Path:
        """A new checkout with these changes, committed."""
        made = self.folder / f"checkout-{uuid.uuid4().hex[:8]}"
        shutil.copytree(PLAYLIST, made, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        for name in names:
            changes.apply(made, name)
        for words in (
            ("init", "--quiet", "--initial-branch", "main"),
            ("remote", "add", "origin", SOURCE.replace("//", "//ann:secret@") + ".git"),
            ("add", "."),
            ("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "--message", "one"),
        ):
            run(Command(arguments=["git", *words], environment=plain_environment(made), directory=made))
        return made

    def build(self, checkout: Path, service: str, **more: str) -> str:
        """Build and push a service as its lane does; the reference that is told."""
        environment = {
            **plain_environment(self.folder, **inherited()),
            "PATH": self.path,
            "REGISTRY": self.prefix,
            "BUILD_IMAGE": self.pinned["build"],
            "BASE_IMAGE": self.pinned["base"],
            "ARTIFACTS": "artifacts",
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            **more,
        }
        command = Command(arguments=["ci/build-image", service], environment=environment, directory=checkout)
        return run(command, seconds=600).decode().strip()

    def attest(self, checkout: Path, *words: object) -> Ended:
        """Run attest in a checkout."""
        return spawn(*words, cwd=checkout, environment=plain_environment(self.folder))

    def check(self, checkout: Path, service: str, image: str) -> Ended:
        """Hold an image against the contract and the lock of a checkout, as its lane does."""
        return self.attest(
            checkout,
            *("image", "check", image, "--format", "json", "--contract", f"{service}/contract.yaml"),
            *("--lock", f"{service}/contract.lock.json"),
            *("--baseline", self.pinned["base"], "--ci-image", self.pinned["ci"]),
        )


@dataclasses.dataclass(slots=True, kw_only=True)
class Built:
    """Both services, built on a machine with telltale settings, and locked."""

    checkout: Path
    images: dict[str, str]
    telltale: Telltale
    got: dict[str, int]
    """How many packages the build of each got through the proxy."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """What the example is built from and tested in."""
    return prepare(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, docker_registry: Registry, bases: Bases) -> Site:
    """A registry that has the pinned images."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{docker_registry.host}"\ninsecure = true\n')
    programs = builder(folder / "buildah")
    where = f"{docker_registry.host}/plex"
    images = {field.name: getattr(bases, field.name) for field in dataclasses.fields(bases)}
    return Site(
        folder=folder,
        registry=docker_registry,
        pinned={name: push(image, docker_registry, f"{where}/{name}").reference for name, image in images.items()},
        path=os.pathsep.join([str(programs), os.environ["PATH"]]),
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Built]:
    """Both services, with today's locks."""
    checkout = site.checkout()
    images, got = {}, {}
    with telltale(tmp_path_factory.mktemp("telltale")) as settings:
        for service in SERVICES:
            before = settings.files(".deb")
            images[service] = site.build(checkout, service, **settings.environment)
            got[service] = settings.files(".deb") - before
            (checkout / service / "contract.lock.json").unlink()
            ended = site.attest(
                checkout,
                *("image", "lock", images[service], "--contract", f"{service}/contract.yaml"),
                *("--baseline", site.pinned["base"], "--output", f"{service}/contract.lock.json"),
            )
            assert ended.code == 0, ended.err
        yield Built(checkout=checkout, images=images, telltale=settings, got=got)


# ---- the contracts


@each_service
def test_a_contract_asks_for_everything(service: str) -> None:
    """The contract of a service names every check that there is, and excepts nothing."""
    contract = load_contract(str(PLAYLIST / service / "contract.yaml"))
    assert contract.name == f"playlist-{service}"
    assert set(contract.checks) == {check.id for check in CHECKS}
    assert contract.exemptions == ()


@each_service
def test_the_lock_in_the_tree_is_of_the_contract_beside_it(service: str) -> None:
    """The lock that stands there as an example was made under the contract as it is."""
    lock = json.loads((PLAYLIST / service / "contract.lock.json").read_bytes())
    assert lock["contract"]["digest"] == digest_of((PLAYLIST / service / "contract.yaml").read_bytes())


@marked
@each_service
def test_an_image_keeps_its_contract(site: Site, built: Built, service: str) -> None:
    """Every check of the contract passes on what was built: no shell, no test tool, no compiler, no package manager."""
    ended = site.check(built.checkout, service, built.images[service])
    assert ended.code == 0, ended.out
    outcomes = {result["check"]: result["outcome"] for result in ended.document["results"]}
    assert outcomes == {check.id: "passed" for check in CHECKS}


@marked
def test_a_test_tool_in_the_image_breaks_the_contract(site: Site, built: Built) -> None:
    """pytest in the runtime image is found, by its packages, in the layer and the build step that brought it."""
    checkout = site.checkout("leaked-tool")
    shutil.copy(built.checkout / "backend" / "contract.lock.json", checkout / "backend")
    ended = site.check(checkout, "backend", site.build(checkout, "backend"))
    assert ended.code == 1
    failed = {one["check"]: one["findings"] for one in ended.document["results"] if one["outcome"] == "failed"}
    assert {"package.forbidden", "path.allowed"} <= set(failed)
    (tool,) = [found for found in failed["package.forbidden"] if found["place"].startswith("pkg:pypi/pytest@")]
    assert changes.LEAKING_STEP in tool["layer"]["created_by"]


# ---- how they are built


@marked
@each_service
def test_an_image_says_where_it_is_from(site: Site, built: Built, service: str) -> None:
    """Commit, source and base stand in the labels, and the credentials of the checkout do not."""
    commit = run(
        Command(
            arguments=["git", "rev-parse", "HEAD"], environment=plain_environment(site.folder), directory=built.checkout
        )
    )
    ended = site.attest(built.checkout, "image", "facts", built.images[service], "--format", "json")
    (platform,) = ended.document["platforms"]
    labels = platform["config"]["labels"]
    named = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert named["revision"] == commit.decode().strip()
    assert named["source"] == SOURCE
    assert f"{named['base.name']}@{named['base.digest']}" == site.pinned["base"]


@marked
def test_a_commit_makes_the_same_layers_again(site: Site, built: Built, tmp_path: Path) -> None:
    """From an empty builder a commit comes to the same layers, bit for bit, as it did from another one."""
    elsewhere = dataclasses.replace(site, path=os.pathsep.join([str(builder(tmp_path)), os.environ["PATH"]]))
    again = elsewhere.build(built.checkout, "frontend", ARTIFACTS=str(tmp_path))
    both = [site.registry.manifest(*reference.split("@")).body for reference in (built.images["frontend"], again)]
    first, second = (json.loads(manifest)["layers"] for manifest in both)
    assert first == second


@marked
@each_service
def test_the_settings_of_the_machine_are_used_and_not_kept(site: Site, built: Built, service: str) -> None:
    """Packages came through the proxy from the machine's index, and no part of the image knows of either."""
    assert built.got[service] > 3
    assert all(built.telltale.mark in one.partition(" ")[2] for one in built.telltale.asked)
    assert traces(site.registry, built.images[service], built.telltale.mark) == []


@marked
def test_a_trace_would_be_found(site: Site, built: Built) -> None:
    """The search finds what does stand in an image: the commit, in the configuration and in a file of a layer."""
    revision = json.loads((built.checkout / "artifacts" / "backend.build.json").read_bytes())
    commit = revision["Docker"]["config"]["Labels"]["org.opencontainers.image.revision"]
    found = traces(site.registry, built.images["backend"], commit)
    assert [place.split()[0].rpartition(".")[2] for place in found] == ["v1+json", "gzip"]


@marked
def test_the_image_of_the_lanes_keeps_no_settings_either(site: Site, tmp_path: Path, docker_registry: Registry) -> None:
    """Tools came from the machine's index by pip and apt, and no part of the CI image knows of it."""
    with telltale(tmp_path) as settings:
        environment = {
            **plain_environment(tmp_path, **inherited()),
            **settings.environment,
            "PATH": site.path,
            "CONTAINERS_REGISTRIES_CONF": str(site.folder / "registries.conf"),
        }

        def step(*words: str | Path) -> bytes:
            return run(Command(arguments=words, environment=environment, directory=tmp_path), seconds=600)

        options = step(PLAYLIST / "ci" / "settings", tmp_path / "settings").decode().split()
        # On what services are built in, which is a Debian as well.
        step(
            *("buildah", "build", "--quiet", *options, "--build-arg", f"DEBIAN_IMAGE={site.pinned['build']}"),
            *("--tag", "telltale-ci", "--file", PLAYLIST / "ci" / "Containerfile", PLAYLIST / "ci"),
        )
        where = docker_registry.fresh_repository()
        step("buildah", "push", "--quiet", "--digestfile", tmp_path / "digest", "telltale-ci", f"docker://{where}:1")
    assert settings.files(".deb") > 3
    assert settings.files("/pytest/") == 1
    assert traces(docker_registry, f"{where}@{(tmp_path / 'digest').read_text()}", settings.mark) == []


@marked
def test_what_is_deployed_is_small(site: Site, built: Built) -> None:
    """Each runtime image is a fraction of the image that its tests run in, and the table says how large they are."""
    images = {**built.images, "CI image": site.pinned["ci"], "browser image": site.pinned["e2e"]}
    _, ci = size(site.registry, site.pinned["ci"])
    for service in SERVICES:
        assert size(site.registry, built.images[service])[1] * 4 < ci
    table = sizes(site.registry, images).splitlines()
    assert [line.split("  ")[0] for line in table] == ["image", *images]
    assert table[1].endswith(" MB")


# ---- how they run


@contextlib.contextmanager
def running(podman: Podman, image: str, *options: str) -> Iterator[str]:
    """A container of a service, on the host's network; its name."""
    name = f"playlist-{uuid.uuid4().hex[:12]}"
    podman.trust(image.partition("/")[0])
    try:
        podman.run("run", "--detach", "--quiet", "--name", name, "--network", "host", *NO_WAY, *options, image)
        yield name
    finally:
        podman.remove(name)


def answer(url: str) -> web.Answer:
    """What a service answers once it answers at all."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return web.request("GET", url)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclasses.dataclass(slots=True, kw_only=True)
class Together:
    """Both services in containers that know each other."""

    backend: str
    frontend: str
    environment: dict[str, str]
    """What tests need to find them."""


@contextlib.contextmanager
def together(podman: Podman, backend: str, frontend: str) -> Iterator[Together]:
    """Run both, each on a port of its own, until the block ends."""
    ports = {"PLAYLIST_PORT": str(free_port()), "FRONTEND_PORT": str(free_port())}
    with (
        running(podman, backend, "--env", f"PLAYLIST_PORT={ports['PLAYLIST_PORT']}") as first,
        running(
            podman,
            frontend,
            *("--env", f"FRONTEND_PORT={ports['FRONTEND_PORT']}", "--env", f"BACKEND_PORT={ports['PLAYLIST_PORT']}"),
        ) as second,
    ):
        urls = {
            "PLAYLIST_URL": f"http://127.0.0.1:{ports['PLAYLIST_PORT']}",
            "FRONTEND_URL": f"http://127.0.0.1:{ports['FRONTEND_PORT']}",
        }
        for url in urls.values():
            assert answer(f"{url}/health").status == 200
        yield Together(backend=first, frontend=second, environment=urls)


def run_tests(podman: Podman, image: str, checkout: Path, folder: str, environment: dict[str, str]) -> dict[str, bool]:
    """Run the tests of a folder in an image; whether each passed, by the JUnit report."""
    podman.trust(image.partition("/")[0])
    words = [f"--env={name}={value}" for name, value in {**environment, "ARTIFACTS": "artifacts"}.items()]
    report = checkout / "artifacts" / f"{folder}.xml"
    command = Command(
        arguments=[
            *(str(podman.programs / "podman"), "run", "--rm", "--quiet", "--network", "host", *NO_WAY, *words),
            *("--volume", f"{checkout}:{checkout}", "--workdir", str(checkout), image),
            *("pytest", "--quiet", "--junitxml", str(report), folder),
        ],
        environment=plain_environment(podman.folder),
        directory=checkout,
    )
    done = attempt(command, seconds=300)
    cases = {case.attrib["name"]: case for case in ET.parse(report).getroot().iter("testcase")}
    passed = {name: case.find("failure") is None and case.find("error") is None for name, case in cases.items()}
    assert done.returncode == (0 if all(passed.values()) else 1), done.stdout.decode()
    return passed


@marked
def test_both_services_work_together(podman: Podman, site: Site, built: Built) -> None:
    """The example's own tests pass on the running images: black-box in the CI image, and in the browser's."""
    with together(podman, built.images["backend"], built.images["frontend"]) as services:
        black_box = run_tests(podman, site.pinned["ci"], built.checkout, "integration", services.environment)
        browser = run_tests(podman, site.pinned["e2e"], built.checkout, "e2e", services.environment)
    assert len(black_box) > 10
    assert all(black_box.values()), black_box
    assert changes.BROKEN_TEST in browser
    assert all(browser.values()), browser
    assert (built.checkout / "artifacts" / "page.png").read_bytes().startswith(b"\x89PNG\r\n")


@marked
def test_a_service_looks_after_itself(podman: Podman, built: Built) -> None:
    """The health check of each image works without a shell, notices a service that is away, and stopping is orderly."""
    with together(podman, built.images["backend"], built.images["frontend"]) as services:
        for name, image in ((services.backend, "backend"), (services.frontend, "frontend")):
            (described,) = json.loads(podman.run("image", "inspect", built.images[image]))
            check = described["Healthcheck"]["Test"]
            assert check[0] == "CMD"
            podman.run("exec", name, *check[1:])
            (wrong,) = [
                one for one in ("PLAYLIST_PORT", "FRONTEND_PORT") if one[0] == ("P" if image == "backend" else "F")
            ]
            command = ["exec", "--env", f"{wrong}={free_port()}", name, *check[1:]]
            away = attempt(
                Command(
                    arguments=[podman.programs / "podman", *command],
                    environment=plain_environment(podman.folder),
                    directory=podman.folder,
                )
            )
            assert away.returncode == 1
            podman.run("stop", "--time", "20", name)
            assert podman.inspect(name)["State"]["ExitCode"] == 0


@marked
def test_a_broken_page_is_seen_in_the_browser_alone(podman: Podman, site: Site, built: Built) -> None:
    """The page that shows no songs passes the black-box tests, and fails the browser's test that says so."""
    checkout = site.checkout("broken-page")
    with together(podman, built.images["backend"], site.build(checkout, "frontend")) as services:
        black_box = run_tests(podman, site.pinned["ci"], checkout, "integration", services.environment)
        browser = run_tests(podman, site.pinned["e2e"], checkout, "e2e", services.environment)
    assert all(black_box.values()), black_box
    failed = [name for name, passed in browser.items() if not passed]
    assert failed[0] == changes.BROKEN_TEST


@marked
def test_a_bad_release_is_well_until_it_cannot_write(podman: Podman, site: Site) -> None:
    """The bad release is healthy where lanes test it, and not where nothing of the image can be written."""
    image = site.build(site.checkout("hot-fix", "bad-release"), "backend")
    answers = {}
    for strict in ("", "--read-only"):
        port = free_port()
        options = [f"--env=PLAYLIST_PORT={port}", "--cap-drop=ALL", "--volume=/data", *([strict] if strict else [])]
        with running(podman, image, *options):
            answers[strict] = answer(f"http://127.0.0.1:{port}/health")
    assert answers[""].status == 200
    assert answers["--read-only"].status == 503
    assert b"Read-only file system" in answers["--read-only"].body


@marked
@each_service
def test_a_service_runs_where_nothing_can_be_written(podman: Podman, built: Built, service: str) -> None:
    """Each service is well on a read-only root without any capability, as staging runs it."""
    port = free_port()
    options = [f"--env={PORTS[service]}={port}", "--cap-drop=ALL", "--read-only"]
    options += ["--volume=/data"] if service == "backend" else []
    with running(podman, built.images[service], *options):
        assert answer(f"http://127.0.0.1:{port}/health").status == 200
