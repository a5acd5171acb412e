"""A registry that answers with another bundle than it listed, or than it gave before, never gets a yes.

All that it answers is real: signed by the right keys, for the right image or for another one. It only is not what was
asked for.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from attest.core.reference import parse_repository
from tests.cli.running import Ended
from tests.cli.scene import TEST_RESULT
from tests.e2e.staging import Staging, push_image, staging
from tests.parts.delay import Delayed
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

LARGE = {"configuration": [{"name": "x" * 70_000}]}
"""So much that a bundle is a blob of its own, and not in the manifest as well."""


class Exchanging(Delayed):
    """A registry behind a proxy that gives one thing where another one is asked for."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        super().__init__(registry, directory, 0)
        self._exchanges_by_end: dict[str, tuple[str, int]] = {}
        self._asked: Counter[str] = Counter()
        self._counting = threading.Lock()

    def give(self, other: str, *, instead_of: str, after: int = 0) -> None:
        """Answer requests to read what ends like this with the other one; the first `after` of them honestly."""
        with self._counting:
            self._exchanges_by_end[instead_of] = (other, after)
            self._asked[instead_of] = 0

    def exchanged(self, instead_of: str) -> int:
        """How many requests for it were made since."""
        with self._counting:
            return self._asked[instead_of]

    def connect(self) -> http.client.HTTPConnection:
        """A connection that asks the registry for something else."""
        proxy = self

        class Lying(http.client.HTTPConnection):
            def putrequest(self, method: str, url: str, *given: Any, **named: Any) -> None:
                super().putrequest(method, proxy._other(method, url), *given, **named)

        return Lying(self._upstream, timeout=60)

    def _other(self, method: str, url: str) -> str:
        path, mark, query = url.partition("?")
        with self._counting:
            for end, (other, after) in self._exchanges_by_end.items():
                if method in ("GET", "HEAD") and path.endswith(end):
                    self._asked[end] += method == "GET"
                    if self._asked[end] > after:
                        return f"{path.removesuffix(end)}{other}{mark}{query}"
        return url


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """Something that a lane signed about an image, by where it is read."""

    manifest: str
    blob: str

    def part(self, name: str) -> str:
        """The end of the URL at which a part of it is read."""
        return f"/{name}/{self.manifest if name == 'manifests' else self.blob}"


@dataclass(slots=True, kw_only=True)
class Stage:
    """An environment on one registry, images that are built on another, and both may lie."""

    built: Exchanging
    deployed: Exchanging
    site: Staging
    source: str
    """The repository in which images are built."""
    runs: dict[str, int] = field(default_factory=dict)

    def build(self, number: int) -> str:
        """An image where images are built."""
        image = f"{self.source}@{push_image(self.built.registry, self.source, f'app {number}')}"
        self.site.releases[number] = {"app": f"{self.site.repository('app')}@{image.partition('@')[2]}"}
        return image

    def sign(self, image: str, lane: str, result: str = "PASSED") -> Attached:
        """A lane says something about an image, later than everything before; a blob of its own holds the bundle."""
        (self.site.folder / "predicate.json").write_text(json.dumps({"result": result, **LARGE}))
        self.runs[lane] = self.runs.get(lane, 0) + 1
        options = ("--predicate-type", TEST_RESULT, "--predicate", "predicate.json", "--run-id", str(self.runs[lane]))
        ended = self.site.scene.sign(lane, *options, "--format", "json", image=image)
        (manifest,) = [one["manifest"] for one in ended.document["attached"]]
        repository = image.partition("@")[0]
        registry = self.built.registry if repository == self.source else self.deployed.registry
        content = json.loads(registry.manifest(repository, manifest).body)
        assert "data" not in content["layers"][0]
        return Attached(manifest=manifest, blob=content["layers"][0]["digest"])

    def promote(self, image: str, *options: object) -> Ended:
        """Promote an image to where it is deployed from."""
        to = self.site.repository("app")
        return self.site.attest("promote", image, "--policy", "policy.yaml", "--to", to, "--format", "json", *options)

    def tags(self) -> list[str]:
        """The tags of promotions where images are deployed from."""
        path = parse_repository(self.site.repository("app")).path
        answer = self.deployed.registry.ask("GET", f"/v2/{path}/tags/list")
        found = (json.loads(answer.body)["tags"] or []) if answer.status == 200 else []
        return [tag for tag in found if tag.startswith("sha-")]


@pytest.fixture
def stage(docker_registry: Registry, olareg: Registry, tmp_path: Path) -> Iterator[Stage]:
    """Two honest registries, with and without the referrers API, until a test says otherwise."""
    (tmp_path / "site").mkdir()
    built, deployed = Exchanging(docker_registry, tmp_path / "a"), Exchanging(olareg, tmp_path / "b")
    with built.running(), deployed.running(), staging(tmp_path / "site", deployed.registry) as site:
        source = built.registry.fresh_repository()
        site.evidence = (source,)
        site.policy()
        site.write()
        yield Stage(built=built, deployed=deployed, site=site, source=source)


PARTS = ("manifests", "blobs")
"""What is answered otherwise: the manifest that attaches a bundle, or the bundle."""


# ---- promotion


@pytest.mark.parametrize("part", PARTS)
def test_a_failure_is_exchanged_while_it_is_verified(stage: Stage, part: str) -> None:
    """The source lists a failure, and hands out the success of before in its place: exit 3, and nothing moved."""
    image = stage.build(1)
    stage.sign(image, "unit")
    passed, failed = stage.sign(image, "e2e"), stage.sign(image, "e2e", "FAILED")
    stage.built.give(passed.part(part), instead_of=failed.part(part))
    ended = stage.promote(image)
    assert ended.code == 3, ended.out
    assert stage.built.exchanged(failed.part(part)) > 0
    assert stage.tags() == []
    digest = image.partition("@")[2]
    assert stage.deployed.registry.manifest(stage.site.repository("app"), digest).status == 404


@pytest.mark.parametrize("part", PARTS)
def test_a_success_is_exchanged_between_verification_and_copy(stage: Stage, part: str) -> None:
    """Read honestly once, then answered with another bundle of the same image: exit 3, and there is no tag."""
    image = stage.build(1)
    other, passed = stage.sign(image, "unit"), stage.sign(image, "e2e")
    stage.built.give(other.part(part), instead_of=passed.part(part), after=1)
    ended = stage.promote(image)
    assert ended.code == 3, ended.out
    assert stage.built.exchanged(passed.part(part)) > 1
    assert stage.tags() == []


def test_the_list_is_exchanged_between_verification_and_copy(stage: Stage) -> None:
    """What passed is listed no more when it is copied, but the bundles of another image are: there is no tag."""
    image, other = stage.build(1), stage.build(2)
    for lane in ("unit", "e2e"):
        stage.sign(image, lane)
        stage.sign(other, lane)
    empty = stage.built.registry.fresh_repository()
    push_image(stage.built.registry, empty, "nothing", tag="v1")
    lists = [f"/manifests/{one.partition('@')[2].replace(':', '-')}" for one in (image, other)]
    path, nothing = (f"/{parse_repository(one).path}/tags/list" for one in (stage.source, empty))
    stage.built.give(lists[1], instead_of=lists[0], after=1)
    stage.built.give(nothing, instead_of=path, after=1)
    ended = stage.promote(image)
    assert ended.code in (1, 3), ended.out
    assert stage.built.exchanged(lists[0]) > 1
    assert stage.tags() == []
    if ended.code == 1:
        assert ended.document["refused_at"] == "destination"


@pytest.mark.parametrize("part", PARTS)
def test_a_failure_is_exchanged_at_the_destination(stage: Stage, part: str) -> None:
    """The destination lists a failure that was signed there, and hands out a success: exit 3, and no further tag."""
    image = stage.build(1)
    stage.sign(image, "unit")
    passed = stage.sign(image, "e2e")
    assert stage.promote(image).code == 0
    before = stage.tags()
    failed = stage.sign(stage.site.images(1)[0], "e2e", "FAILED")
    stage.deployed.give(passed.part(part), instead_of=failed.part(part))
    ended = stage.promote(image, "--tag-format", "sha-again-{digest12}")
    assert ended.code == 3, ended.out
    assert stage.deployed.exchanged(failed.part(part)) > 0
    assert stage.tags() == before


# ---- deployment and rollback


def release(stage: Stage, number: int) -> Attached:
    """A release that passes, where it is deployed from; what `e2e` said of it."""
    image = stage.build(number)
    stage.sign(image, "unit")
    passed = stage.sign(image, "e2e")
    ended = stage.promote(image)
    assert ended.code == 0, ended.err
    return passed


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("where", ["pulled from", "evidence"])
def test_a_failure_is_exchanged_when_it_is_deployed(stage: Stage, part: str, where: str) -> None:
    """Where it is pulled from, or where it was built, a failure is answered with a success: exit 3, nothing touched."""
    site = stage.site
    release(stage, 1)
    assert site.deploy(1).code == 0
    passed = release(stage, 2)
    digest = site.images(2)[0].partition("@")[2]
    liar, image = stage.deployed, site.images(2)[0]
    if where == "evidence":
        liar, image = stage.built, f"{stage.source}@{digest}"
    failed = stage.sign(image, "e2e", "FAILED")
    liar.give(passed.part(part), instead_of=failed.part(part))
    before = site.asked()
    ended = site.deploy(2)
    assert ended.code == 3, ended.out
    assert liar.exchanged(failed.part(part)) > 0
    assert site.asked() == before
    assert site.runs(1)
    assert site.records()[-2:] == ["deployment.planned", "deployment.error"]


@pytest.mark.parametrize("part", PARTS)
def test_the_success_of_another_image_is_no_evidence(stage: Stage, part: str) -> None:
    """A bundle that was signed for release 1 is handed out for release 2: refused by its digest, nothing touched."""
    site = stage.site
    passed = release(stage, 1)
    assert site.deploy(1).code == 0
    image = stage.build(2)
    stage.sign(image, "unit")
    failed = stage.sign(image, "e2e", "FAILED")
    stage.built.give(passed.part(part), instead_of=failed.part(part))
    assert stage.promote(image).code == 3
    assert len(stage.tags()) == 1
    assert site.runs(1)


@pytest.mark.parametrize("part", PARTS)
def test_a_failure_is_exchanged_when_it_is_gone_back_to(stage: Stage, part: str) -> None:
    """A release that failed since is not gone back to by the success of before; nor is one further back: exit 3."""
    site = stage.site
    release(stage, 1)
    assert site.deploy(1).code == 0
    passed = release(stage, 2)
    assert site.deploy(2).code == 0
    release(stage, 3)
    assert site.deploy(3).code == 0
    failed = stage.sign(site.images(2)[0], "e2e", "FAILED")
    stage.deployed.give(passed.part(part), instead_of=failed.part(part))
    before = site.asked()
    ended = site.rollback()
    assert ended.code == 3, ended.out
    assert stage.deployed.exchanged(failed.part(part)) > 0
    assert site.asked() == before
    assert site.runs(3)
    assert site.records()[-1] == "environment.undecided"
