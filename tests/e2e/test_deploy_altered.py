"""What was altered on a registry's disk after it was promoted is not promoted on, deployed, nor gone back to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.core.reference import parse_repository
from tests.cli.running import Ended
from tests.cli.scene import TEST_RESULT
from tests.e2e.staging import Staging, push_image, staging
from tests.parts import docker_registry
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

PARTS = {"bundle": rb'"payload": ?"', "attestation": rb'"digest": ?"sha256:', "image": rb'"digest": ?"sha256:'}
"""What is altered: the evidence, the manifest that attaches it, the manifest of the image; each behind these bytes."""
OTHER_BYTES = "served other bytes"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The folder of the registry that images are deployed from."""
    return tmp_path / "registry"


@pytest.fixture
def site(disk: Path, olareg: Registry, tmp_path: Path) -> Iterator[Staging]:
    """An environment on a registry of the test's own, with images built on another one."""
    (tmp_path / "site").mkdir()
    with docker_registry.plain(disk) as registry, staging(tmp_path / "site", registry) as made:
        made.evidence = (olareg.fresh_repository(),)
        made.policy()
        yield made


def build(site: Staging, olareg: Registry, number: int) -> str:
    """A release, signed where it was built; its image there.

    What is signed is so large that a bundle is a blob of its own, and not in the manifest as well.
    """
    predicate = {"result": "PASSED", "configuration": [{"name": "x" * 70_000}]}
    (site.folder / "predicate.json").write_text(json.dumps(predicate))
    options = ("--predicate-type", TEST_RESULT, "--predicate", "predicate.json")
    digest = push_image(olareg, site.evidence[0], f"app {number}")
    image = f"{site.evidence[0]}@{digest}"
    for lane in site.lanes:
        site.scene.sign(lane, *options, image=image)
    site.releases[number] = {"app": f"{site.repository('app')}@{digest}"}
    return image


def promote(site: Staging, image: str, service: str, *options: object) -> Ended:
    """Promote an image to the repository of a service."""
    to = site.repository(service)
    return site.attest("promote", image, "--policy", "policy.yaml", "--to", to, "--format", "json", *options)


def tags(site: Staging, service: str) -> list[str]:
    """The tags in the repository of a service; none where there is no such repository."""
    answer = site.registry.ask("GET", f"/v2/{parse_repository(site.repository(service)).path}/tags/list")
    return sorted(json.loads(answer.body)["tags"]) if answer.status == 200 else []


def alter(site: Staging, disk: Path, number: int, part: str) -> None:
    """Change one byte on the registry's disk, and see that the registry hands it out under the digest of before."""
    repository, _, victim = site.images(number)[0].partition("@")
    kind = "manifests"
    if part != "image":
        listed = json.loads(site.registry.manifest(repository, victim.replace(":", "-")).body)
        victim = listed["manifests"][0]["digest"]
    if part == "bundle":
        kind, victim = "blobs", json.loads(site.registry.manifest(repository, victim).body)["layers"][0]["digest"]
    name = victim.removeprefix("sha256:")
    (file,) = disk.glob(f"storage/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data")
    content = bytearray(file.read_bytes())
    found = re.search(PARTS[part], content)
    assert found is not None
    content[found.end()] = ord("a") if content[found.end()] != ord("a") else ord("b")
    file.write_bytes(content)
    served = site.registry.ask("GET", f"/v2/{parse_repository(repository).path}/{kind}/{victim}")
    assert (served.status, hashlib.sha256(served.body).hexdigest() == name) == (200, False)


@pytest.mark.parametrize("part", PARTS)
def test_it_is_not_deployed(part: str, site: Staging, disk: Path, olareg: Registry) -> None:
    """Bytes that are not what their digest says decide nothing: exit 3, nothing touched, and the ledger says so."""
    for number in (1, 2):
        assert promote(site, build(site, olareg, number), "app").code == 0
    assert site.deploy(1).code == 0
    alter(site, disk, 2, part)
    before = site.asked()
    ended = site.deploy(2)
    assert ended.code == 3, ended.out
    assert OTHER_BYTES in ended.err
    assert site.asked() == before
    assert site.runs(1)
    assert site.records()[-2:] == ["deployment.planned", "deployment.error"]
    entry = site.history()[-1]
    assert (entry["touched"], OTHER_BYTES in entry["message"]) == (False, True)


@pytest.mark.parametrize("part", PARTS)
def test_it_is_not_promoted(part: str, site: Staging, disk: Path, olareg: Registry) -> None:
    """From there it goes nowhere, and promoting to there once more gives it no other tag: exit 3."""
    image = build(site, olareg, 1)
    assert promote(site, image, "app").code == 0
    alter(site, disk, 1, part)
    tagged = tags(site, "app")
    ended = promote(site, site.images(1)[0], "prod")
    assert ended.code == 3, ended.out
    assert OTHER_BYTES in ended.document["message"]
    assert tags(site, "prod") == []
    assert site.registry.manifest(site.repository("prod"), image.rpartition("@")[2]).status == 404
    again = promote(site, image, "app", "--tag-format", "again-{digest12}")
    assert again.code == 3, again.out
    assert tags(site, "app") == tagged


@pytest.mark.parametrize("part", PARTS)
def test_it_is_not_gone_back_to(part: str, site: Staging, disk: Path, olareg: Registry) -> None:
    """A rollback does not go to it, nor further back on the word of a registry that lies: what runs stays."""
    for number in (1, 2, 3):
        assert promote(site, build(site, olareg, number), "app").code == 0
        assert site.deploy(number).code == 0
    alter(site, disk, 2, part)
    before = site.asked()
    ended = site.rollback()
    assert ended.code == 3, ended.out
    assert OTHER_BYTES in ended.err
    assert site.records()[-1] == "environment.undecided"
    assert site.asked() == before
    assert site.runs(3)
    assert site.states()[-1] == ("deploy", "succeeded")
    assert site.status().document["current"]["deployment"] == 11
