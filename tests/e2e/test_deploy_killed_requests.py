"""`kill -9` behind each request of a deployment and of a rollback, and of the signed heads of the ledger among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.mortal import KILLED, Commands, Deadly, commands
from tests.e2e.staging import ENVIRONMENT, LEDGER, Staging, staging
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

MOST = 300
"""More requests than any command here makes."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """An environment whose ledger has its head signed, behind a registry that kills."""

    site: Staging
    proxy: Deadly
    killable: Commands
    heads: str

    def run(self, *arguments: object, after: int = 0) -> int:
        """The exit code of a command, killed behind so many requests, 0 being none."""
        return self.killable.run(arguments, proxy=self.proxy, after=after)

    def check(self, release: int) -> None:
        """Exactly this release runs, nothing is unfinished, and ledger and signed heads agree."""
        assert self.site.runs(release), self.site.running()
        assert self.site.status("--recorded").document["unfinished"] is None
        self.check_ledger()

    def check_ledger(self) -> None:
        """The ledger is whole, and so is what signed heads say of it."""
        ended = self.site.attest("ledger", "verify", LEDGER, "--head", self.heads, "--key", "keys/gate.pub")
        assert ended.code == 0, ended.out

    def said(self) -> str:
        """What the last command printed."""
        return self.killable.output.read_text()


@pytest.fixture
def scene(olareg: Registry, tmp_path: Path) -> Iterator[Scene]:
    """Release 1 runs; releases 2 and 3 are good."""
    proxy = Deadly(olareg, tmp_path / "docker")
    (tmp_path / "site").mkdir()
    with proxy.running(), staging(tmp_path / "site", proxy.registry) as site:
        heads = proxy.registry.fresh_repository()
        site.write(signer=f", signer: keys/gate.key, head: {heads}")
        for number in (1, 2, 3):
            site.release(number)
        assert site.deploy(1).code == 0
        with commands(site.folder, site.scene.environment) as killable:
            yield Scene(site=site, proxy=proxy, killable=killable, heads=heads)


@pytest.mark.parametrize("every", [1])
def test_a_deployment_is_finished_by_the_same_command(scene: Scene, every: int) -> None:
    """Killed behind any request, the same command again ends with the release running, and one whole ledger."""
    for step in range(every, MOST, every):
        wanted, before = (2, 1) if scene.site.runs(1) else (1, 2)
        command = ("deploy", ENVIRONMENT, *scene.site.images(wanted), "--wait", "90")
        code = scene.run(*command, after=step)
        if code == 0:
            break
        assert code == KILLED, scene.said()
        assert scene.site.runs(before) or scene.site.runs(wanted)
        scene.check_ledger()
        assert scene.run(*command) == 0, (step, scene.said())
        scene.check(wanted)
    assert 10 < step < MOST


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.fuzz, id="each")])
def test_a_rollback_is_finished_and_goes_no_further(scene: Scene, every: int) -> None:
    """Killed behind any request, `attest rollback` again ends where the first one would have."""
    site = scene.site
    command = ("rollback", ENVIRONMENT, "--wait", "90")
    assert scene.run("deploy", ENVIRONMENT, *site.images(2)) == 0, scene.said()
    for step in range(every, MOST, every):
        assert scene.run("deploy", ENVIRONMENT, *site.images(3)) == 0, scene.said()
        code = scene.run(*command, after=step)
        if code == 0:
            break
        assert code == KILLED, scene.said()
        scene.check_ledger()
        current = site.status("--recorded").document["current"]
        if current["kind"] != "rollback" or current["state"] != "succeeded":
            assert scene.run(*command) == 0, (step, scene.said())
        scene.check(2)
        bad = site.status("--recorded").document["bad"]
        numbers = [part for one in bad for part in ("--release", one["deployment"])]
        assert site.attest("release-hold", ENVIRONMENT, *numbers, "--reason", "once more").code == 0
    assert 10 < step < MOST
