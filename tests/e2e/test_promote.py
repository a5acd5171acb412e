"""Promotion between real registries and layouts: everything arrives byte for byte, and only where it passed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.scene import COMMIT
from tests.e2e.promotion import NOTE, SBOM, Stage, make_stage
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry

pytestmark = pytest.mark.parts

PLACES = ("docker_registry", "gitea", "olareg", "layout")

Between = Callable[[str, str, BuiltImage], Stage]


@pytest.fixture
def between(request: pytest.FixtureRequest, tmp_path: Path) -> Between:
    """Makes a stage between two kinds of places."""

    def registry(kind: str) -> Registry | None:
        found: Registry | None = None if kind == "layout" else request.getfixturevalue(kind)
        return found

    return lambda source, target, image: make_stage(tmp_path, registry(source), registry(target), image)


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", PLACES)
def test_all_of_it_arrives(source: str, target: str, between: Between, index_image: BuiltImage) -> None:
    """Index, platforms, evidence of both, an SBOM and a note on the SBOM arrive between each pair of places."""
    stage = between(source, target, index_image)
    scene = stage.scene
    scene.sign("unit", image=stage.source.image(index_image.platforms[1]))
    (scene.folder / "sbom.json").write_text('{"packages": []}')
    (scene.folder / "note.txt").write_text("seen")
    stage.source.attach(index_image.platforms[0], SBOM, scene.folder / "sbom.json")
    (sbom,) = [digest for digest, kind in stage.source.discover(index_image.platforms[0]).items() if kind == SBOM]
    stage.source.attach(sbom, NOTE, scene.folder / "note.txt")
    before = stage.tree(stage.source)
    assert sum(map(len, before.values())) == 5
    ended = stage.promote("--format", "json")
    assert ended.code == 0, ended.err + ended.out
    document = ended.document
    (image,) = document["images"]
    assert (document["result"], document["refused_at"]) == ("PROMOTED", None)
    assert image["destination"] == stage.target.image(stage.digest)
    assert image["copied"]["attached"] == 5
    assert stage.tree(stage.target) == before
    assert stage.target.oras_sees(stage.digest) == set(before[stage.digest])
    for digest in (*before, *(one for attached in before.values() for one in attached)):
        assert stage.target.manifest(digest) == stage.source.manifest(digest) is not None
    assert stage.target.tags()[f"sha-{COMMIT}-{stage.digest[7:19]}"] == stage.digest
    assert stage.verify(stage.target).code == 0
    state = stage.target.state()
    again = stage.promote("--format", "json")
    assert again.code == 0
    assert again.document["images"][0]["copied"]["bytes"] == 0
    assert stage.target.state() == state
