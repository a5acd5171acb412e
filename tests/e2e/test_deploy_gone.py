"""A rollback whose target cannot fetch an image: passed over where the registry lost it, undecided where it is mute."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from attest.core.reference import parse_repository
from tests.e2e.staging import HOOK, Staging, staging
from tests.parts import docker_registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

PULLING = """\
import io, json, pathlib, sys, urllib.request

TYPE = "application/vnd.oci.image.manifest.v1+json"

def ask(method, image, what):
    host, _, path = image.partition("@")[0].partition("/")
    url = f"http://{host}/v2/{path}/{what}"
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers={"Accept": TYPE})) as answer:
        return answer.read()

def pull(image):
    manifest = json.loads(ask("GET", image, "manifests/" + image.partition("@")[2]))
    for blob in (manifest["config"], *manifest["layers"]):
        ask("GET", image, "blobs/" + blob["digest"])

text = sys.stdin.read()
asked = json.loads(text)
if asked["action"] == "prepare":
    said, _, what = pathlib.Path("fault").read_text().partition(" ")
    if said == "away":
        sys.exit("the engine is not there")
    try:
        for service in asked["services"].values():
            if said and said in service["image"]:
                ask("DELETE", service["image"], what)
            pull(service["image"])
    except Exception as error:
        sys.exit(f"the engine cannot pull: {error!r}")
sys.stdin = io.StringIO(text)
"""
"""Has a hook pull, as an engine does, before anything runs; it ends with 1 where it cannot.

Where the fault says so, part of an image is deleted from the registry in this moment, behind everybody's look at it.
"""


@dataclass(slots=True, kw_only=True)
class Lossy:
    """An environment, and the registry of its own that it deploys from."""

    site: Staging
    disk: Path
    end: Callable[[], None]
    """Ends the registry."""

    def config(self, number: int) -> str:
        """The digest of a blob of a release."""
        repository, _, digest = self.site.images(number)[0].partition("@")
        found: str = json.loads(self.site.registry.manifest(repository, digest).body)["config"]["digest"]
        return found

    def lose(self, number: int, part: str) -> str:
        """Have part of a release deleted from the registry when it is fetched; its digest."""
        image = self.site.images(number)[0].partition("@")[2]
        digest = image if part == "manifests" else self.config(number)
        self.site.fault(f"{image} {part}/{digest}")
        return digest


@pytest.fixture
def lossy(tmp_path: Path) -> Iterator[Lossy]:
    """Releases 1 to 3, deployed one after the other by a hook that pulls."""
    (tmp_path / "site").mkdir()
    with contextlib.ExitStack() as running:
        registry = running.enter_context(docker_registry.plain(tmp_path / "registry"))
        with staging(tmp_path / "site", registry) as site:
            (site.folder / "hook.py").write_text(PULLING + HOOK)
            for number in (1, 2, 3):
                site.release(number)
                ended = site.deploy(number)
                assert ended.code == 0, ended.err
            yield Lossy(site=site, disk=tmp_path / "registry", end=running.close)


@pytest.mark.parametrize("part", ["manifests", "blobs"])
def test_a_release_that_goes_when_it_is_fetched_is_passed_over(lossy: Lossy, part: str) -> None:
    """The registry answers 404 to the engine and to us: the next older release is taken, and it is said why."""
    site, lost = lossy.site, lossy.lose(2, part)
    ended = site.rollback("--format", "json")
    assert ended.code == 0, ended.err
    assert site.runs(1)
    (over,) = ended.document["delivery"]["passed_over"]
    assert (over["deployment"], over["reason"], lost in over["message"]) == (6, "gone", True)
    assert site.states()[-2:] == [("rollback", "superseded"), ("rollback", "succeeded")]
    assert "passing over the release of delivery 6 (gone)" in ended.err


def test_an_automatic_rollback_passes_it_over_too(lossy: Lossy) -> None:
    """A release that fails its probe is not left there because the one before it is gone."""
    site = lossy.site
    site.release(4, sick=True)
    lossy.lose(3, "blobs")
    ended = site.deploy(4)
    assert ended.code == 1, ended.err
    assert site.runs(2)
    assert site.states()[-3:] == [("deploy", "rolled-back"), ("rollback", "superseded"), ("rollback", "succeeded")]


def test_a_registry_that_says_it_has_what_it_does_not_hand_out(lossy: Lossy) -> None:
    """A blob that is lost on its disk, and not to its memory, is cut off: nobody can tell, and nothing is touched."""
    site, blob = lossy.site, lossy.config(2)
    path = f"/v2/{parse_repository(site.repository('app')).path}/blobs/{blob}"
    assert site.registry.ask("HEAD", path).status == 200  # from now on it remembers
    name = blob.removeprefix("sha256:")
    shutil.rmtree(lossy.disk / "storage/docker/registry/v2/blobs/sha256" / name[:2] / name)
    assert site.registry.ask("HEAD", path).status == 200
    ended = site.rollback()
    assert ended.code == 3, ended.out
    assert site.runs(3)
    assert site.states()[-1] == ("rollback", "error")
    assert site.rollback("--to", "1").code == 0
    assert site.runs(1)


def test_an_engine_that_is_away_is_no_fault_of_the_release(lossy: Lossy) -> None:
    """Where the registry hands out all of it, nobody goes back further: exit 3, and what runs stays."""
    site = lossy.site
    site.fault("away")
    ended = site.rollback()
    assert ended.code == 3, ended.out
    assert "the engine is not there" in ended.err
    assert site.runs(3)
    assert site.states()[-1] == ("rollback", "error")
    site.fault("")
    assert site.rollback().code == 0
    assert site.runs(2)


def test_a_registry_that_is_silent_is_no_reason_to_go_back_further(lossy: Lossy) -> None:
    """Unreachable is not gone: could not be decided, exit 3, nothing touched, and the ledger says about which."""
    site = lossy.site
    before = site.asked()
    lossy.end()
    ended = site.rollback("--store-timeout", "5")
    assert ended.code == 3, ended.out
    assert site.asked() == before
    assert site.runs(3)
    assert site.records()[-1] == "environment.undecided"
    assert "the release of delivery 6 could not be decided" in site.history()[-1]["message"]
