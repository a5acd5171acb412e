"""Signed heads in real registries: kept under tags of their own, found again, and never moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Ended, attest
from tests.ledger.places import fill, sqlite_place
from tests.parts.registry import Registry

LEDGER = "sqlite:///ledger.db"


@pytest.mark.parts
def test_heads_are_kept_in_every_registry(any_registry: Registry, tmp_path: Path) -> None:
    """In each family of registries heads are kept side by side, and the newest shows what was cut off a ledger."""
    repository = any_registry.fresh_repository()
    docker = str(any_registry.docker_config_dir)

    def run(*arguments: object) -> Ended:
        return attest("ledger", *arguments, "--format", "json", cwd=tmp_path, DOCKER_CONFIG=docker)

    verify = ("verify", LEDGER, "--head", repository, "--key", "keys/deployer.pub")
    sign = ("head", LEDGER, "--sign", "keys/deployer.key", "--to", repository)
    place = sqlite_place(tmp_path)
    assert attest("keygen", "deployer", "--no-password", cwd=tmp_path).code == 0
    with place.create() as ledger:
        fill(ledger, 3)
        assert "keeps no head" in run(*verify).err
        kept = []
        for _ in range(3):
            ended = run(*sign)
            assert ended.code == 0, ended.err
            kept.append(ended.document["kept"])
            fill(ledger, 2)
    assert len(set(kept)) == 3
    found = run(*verify)
    assert found.code == 0, found.err
    assert sorted(one["seq"] for one in found.document["signed_heads"]) == [3, 5, 7]
    for tag in kept:
        assert any_registry.manifest(repository, tag.rpartition(":")[2]).status == 200
    place.tamper("DELETE FROM attest_record WHERE seq > 6")
    assert run(*verify).document["breaches"][0]["fault"] == "truncated"
    refused = run(*sign)
    assert (refused.code, refused.document["error"]) == (3, "ledger-broken")
    assert run("verify", LEDGER, "--head", f"{repository}-other", "--key", "keys/deployer.pub").code == 3


@pytest.mark.parts
def test_a_registry_that_is_gone_leaves_it_open(olareg: Registry, tmp_path: Path) -> None:
    """Heads that cannot be read are never taken for none: the answer is 3."""
    place = sqlite_place(tmp_path)
    assert attest("keygen", "deployer", "--no-password", cwd=tmp_path).code == 0
    with place.create() as ledger:
        fill(ledger, 3)
    for repository in ("127.0.0.1:1/heads", f"{olareg.host}/none"):
        ended = attest("ledger", "verify", LEDGER, "--head", repository, "--key", "keys/deployer.pub", cwd=tmp_path)
        assert ended.code == 3
