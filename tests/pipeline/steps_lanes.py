"""The part of the story that happens before anything is promoted: what lanes sign, and what the gate makes of it."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from typing import Final

from tests.parts import web
from tests.parts.process import free_port
from tests.pipeline import changes
from tests.pipeline.forge import OWNER, REPOSITORY
from tests.pipeline.images import SERVICES, sizes
from tests.pipeline.machine import Signing, Workflow
from tests.pipeline.runner import Push
from tests.pipeline.signing import identity
from tests.pipeline.steps_shared import ENVIRONMENT, LANES, PROMOTE, Release, Story, StoryError, both, step

EVERY: Final = dict.fromkeys(LANES, "present")
PNG: Final = b"\x89PNG\r\n\x1a\n"
_TRIES: Final = 150


@step("A release that passes")
def green(story: Story) -> None:
    """A push starts the workflow.

    `build` makes both images, four lanes look at exactly these digests at the same time, each signs with what is
    its own, and behind them `promote` and `deploy` ask the policy.
    """
    result = story.run(ends=dict.fromkeys((*LANES, "promote", "deploy"), "success"))
    release = story.release("1", story.machine.commit, result)
    story.command(f"cat {release.file}", code=0)
    story.command(f"attest verify --release {release.file} --policy {PROMOTE}", code=0)
    story.check("the lanes of each image", story.lanes(release.file, code=0), both(EVERY))
    story.command(f"attest status {ENVIRONMENT}", code=0)
    story.runs("1")
    story.delivery(kind="deploy", state="succeeded", healthy=True)
    values = story.machine.values
    songs = story.command(f"curl --silent --fail http://127.0.0.1:{values.frontend_port}/api/songs", code=0)
    pinned = pinned_images(story)
    measured = {**release.images, "the CI image": pinned["CI_IMAGE"], "the browser's": pinned["E2E_IMAGE"]}
    story.tell("# what a machine downloads", sizes(story.machine.forge.registry, measured).splitlines())
    picture = story.artifacts / "page.png"
    shutil.copy(result.artifacts / "e2e" / "page.png", picture)
    story.check("what the browser saw is a picture", picture.read_bytes()[:8], PNG)
    story.check("the page's own way to the songs answers with JSON", songs.lstrip()[:1] in ("[", "{"), True)


@step("The browser finds what nobody else sees")
def failing_e2e(story: Story) -> None:
    """A change breaks the page.

    Linter, unit tests and black-box tests pass, since the API is as it was. The browser's lane signs FAILED, and
    the gate refuses the release and names the test. Staging goes on with release 1.
    """
    changes.apply(story.machine.checkout, "broken-page")
    commit = story.commit("Make the list of songs simpler")
    result = story.run(
        ends={**dict.fromkeys(("build", "contract", "source", "integration"), "success"), "e2e": "failure"}
    )
    release = story.release("2", commit, result)
    said = story.command(f"attest verify --release {release.file} --policy {PROMOTE}", code=1)
    story.check("the refusal names the test", changes.BROKEN_TEST in said, True)
    story.check(
        "the lanes of each image",
        story.lanes(release.file, code=1),
        both({**EVERY, "e2e": "result-failed"}),
    )
    story.check("job promote", result.jobs["promote"], "failure")
    story.runs("1")


@step("A test tool in the runtime image")
def leaked_tool(story: Story) -> None:
    """Somebody wants to try things where they go wrong, and puts pytest into the backend's image.

    The contract says what may be in there, and names the package and the layer that brought it.
    """
    changes.revert(story.machine.checkout, "broken-page")
    changes.apply(story.machine.checkout, "leaked-tool")
    commit = story.commit("Have the test tool where things go wrong")
    result = story.run("build", "contract", ends={"build": "success", "contract": "failure"})
    release = story.release("3", commit, result)
    images = pinned_images(story)
    check = (
        f"attest image check {release.images['backend']} --contract backend/contract.yaml"
        f" --lock backend/contract.lock.json --baseline {images['BASE_IMAGE']} --ci-image {images['CI_IMAGE']}"
    )
    lines = check.replace(" --", " \\\n    --")
    said = story.command(f"{lines} \\\n    | sed --quiet '/failed  *package/,/fix:/p; /^FAILED/p'", code=1)
    report = story.ask(*check.split()[1:], code=1)
    layers = [
        finding["layer"]["created_by"]
        for result_ in report["results"]
        if result_["check"] == "package.forbidden"
        for finding in result_["findings"]
        if finding["place"].startswith("pkg:pypi/pytest@")
    ]
    story.check("the layers that the contract names for pytest", len(layers), 1)
    story.check("the build step of that layer", changes.LEAKING_STEP in str(layers), True)
    story.check("and says so to people", "pkg:pypi/pytest" in said, True)
    lanes = story.lanes(release.file, code=1)
    story.check("the contract lane of the backend", lanes["backend"]["contract"], "result-failed")
    story.check("the contract lane of the frontend", lanes["frontend"]["contract"], "present")
    story.runs("1")


@step("A hot fix is another image")
def hot_fix(story: Story) -> None:
    """One line is mended and the images are built anew.

    Everything that was signed about release 1 is about other digests, so it does not count: of the hot fix only the
    build is known.
    """
    changes.revert(story.machine.checkout, "leaked-tool")
    changes.apply(story.machine.checkout, "hot-fix")
    commit = story.commit("Give slow connections more time")
    result = story.run("build", ends={"build": "success"})
    release = story.release("4", commit, result)
    for service in SERVICES:
        same = release.digest(service) == story.releases["1"].digest(service)
        story.check(f"the digest of the {service} is that of release 1", same, False)
    story.command(f"attest verify --release {release.file} --policy {PROMOTE}", code=1)
    missing = {**dict.fromkeys(LANES, "not-found"), "build": "present"}
    story.check("the lanes of each image", story.lanes(release.file, code=1), both(missing))
    story.runs("1")


@step("The same tests on the bare host")
def bare_host(story: Story) -> None:
    """The lanes of the hot fix run.

    But the black-box tests run on the runner itself, with whatever Python it has, and not in the CI image. They
    pass, and they are signed; the policy wants to see the CI image, and refuses. Run again where they belong, as a
    second attempt, they count.
    """
    release = story.releases["4"]
    for name in ("contract", "source"):
        story.lane(name, release)
    with _both(story, release) as urls:
        story.command(
            f"attest run --release {release.file} --lane integration {_signer(story, 'integration')} \\\n"
            "    --container bare-backend --container bare-frontend --env PLAYLIST_URL --env FRONTEND_URL \\\n"
            "    --report artifacts/bare.xml \\\n"
            "    -- pytest --quiet -p no:cacheprovider --junitxml artifacts/bare.xml integration",
            code=0,
            **_job(story, release, "integration"),
            **urls,
        )
    story.command(f"attest verify --release {release.file} --policy {PROMOTE}", code=1)
    lanes = story.lanes(release.file, code=1)
    for service in SERVICES:
        story.check(f"the integration lane of the {service}", lanes[service]["integration"], "condition-unmet")
    story.lane("integration", release, attempt=2)
    story.command(f"attest verify --release {release.file} --policy {PROMOTE} | grep integration", code=1)
    lanes = story.lanes(release.file, code=1)
    want = {**EVERY, "e2e": "not-found"}
    story.check("the lanes of each image after that", lanes, both(want))


@step("A backend and a frontend that never met")
def different_runs(story: Story) -> None:
    """The backend of release 1 and the frontend of release 5 each passed every lane, with another partner.

    A release file can name them together; the gate wants one run and one commit, and a browser test of exactly
    these two.
    """
    one, other = story.releases["1"], story.releases["5"]
    line = (
        f"attest release create --service backend={one.images['backend']} --service frontend={other.images['frontend']}"
        f" --commit {one.commit} --output release-mixed.yaml"
    )
    story.command(line, code=0)
    story.command(f"attest verify --release release-mixed.yaml --policy {PROMOTE}", code=1)
    lanes = story.lanes("release-mixed.yaml", code=1)
    never = {"e2e": "subjects-differ"}
    story.check("the backend's lanes", lanes["backend"], {**EVERY, **never})
    story.check("the frontend's lanes", lanes["frontend"], {**dict.fromkeys(LANES, "commit-differs"), **never})
    story.command(
        f"attest promote --release release-mixed.yaml --policy {PROMOTE} --to $STAGING | tail --lines 2", code=1
    )
    story.runs("1")


def _signer(story: Story, lane: str) -> str:
    """The options by which a lane signs."""
    keyless = story.machine.signing is Signing.KEYLESS
    return "--keyless --trust-config $TRUST_CONFIG" if keyless else f"--key $KEYS/{lane}.key"


def _job(story: Story, release: Release, name: str) -> dict[str, str]:
    """What a job of the run that made a release finds in its environment, on the runner itself."""
    server = story.machine.values.source.removesuffix(f"/{OWNER}/{REPOSITORY}")
    push = Push(commit=release.commit, server=server, workflow=Workflow.FORGEJO, run=release.run, attempt=1)
    sigstore = story.machine.sigstore
    asks = {} if sigstore is None else identity(sigstore, push.context())
    return {
        **push.variables(),
        "GITHUB_JOB": name,
        **asks,
        **({} if sigstore is None else {"TRUST_CONFIG": str(sigstore.trust_config)}),
    }


@contextlib.contextmanager
def _both(story: Story, release: Release) -> Iterator[dict[str, str]]:
    """Containers of both services, on ports of their own; what their tests are told."""
    podman, ports = story.machine.podman, {service: str(free_port()) for service in SERVICES}
    settings = {
        "backend": ("--env", f"PLAYLIST_PORT={ports['backend']}"),
        "frontend": ("--env", f"FRONTEND_PORT={ports['frontend']}", "--env", f"BACKEND_PORT={ports['backend']}"),
    }
    urls = {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}
    try:
        for service in SERVICES:
            what = ("--network", "host", "--name", f"bare-{service}", *settings[service], release.images[service])
            podman.run("run", "--detach", *what)
            _wait_for(f"{urls[service]}/health")
        yield {"PLAYLIST_URL": urls["backend"], "FRONTEND_URL": urls["frontend"]}
    finally:
        for service in SERVICES:
            podman.remove(f"bare-{service}")


def _wait_for(url: str) -> None:
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            if web.request("GET", url).status == 200:
                return
        time.sleep(0.2)
    raise StoryError(f"nothing answers at {url}")


def pinned_images(story: Story) -> dict[str, str]:
    """ci/images.env: the images that the lanes work with, by digest."""
    lines = (story.machine.checkout / "ci" / "images.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
