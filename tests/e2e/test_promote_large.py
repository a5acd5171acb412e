"""Layers of 300 MB go between registries and layouts, several at once, in memory that does not grow with them."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import COMMAND, clean_environment
from tests.cli.scene import REPOSITORY, Scene, policy_text
from tests.e2e.promotion import Place, open_place
from tests.layouts import Layout
from tests.parts.registry import Registry
from tests.project import ROOT

pytestmark = [pytest.mark.parts, pytest.mark.slow]

MIB = 1024 * 1024
LAYERS = 3
"""As many as are on their way at once."""
LAYER = 300 * MIB
MOST = 160 * MIB
"""Bytes that a promotion may take of memory, Python and its libraries included."""


@pytest.fixture
def large(tmp_path: Path) -> Scene:
    """An image in a layout with layers that are too large for the memory that is allowed."""
    layout = Layout(tmp_path / "from")
    layers = []
    for number in range(LAYERS):
        hasher = hashlib.sha256()
        with (tmp_path / "layer").open("wb") as file:
            for place in range(LAYER // MIB):
                piece = number.to_bytes(8, "big") + place.to_bytes(8, "big") + bytes(MIB - 16)
                hasher.update(piece)
                file.write(piece)
        (tmp_path / "layer").rename(layout.path / "blobs/sha256" / hasher.hexdigest())
        media_type = "application/vnd.oci.image.layer.v1.tar"
        layers.append({"mediaType": media_type, "digest": f"sha256:{hasher.hexdigest()}", "size": LAYER})
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}})
    described = layout.blob(config.encode(), "application/vnd.oci.image.config.v1+json")
    entry = layout.add(layout.manifest(layers, config=described))
    scene = Scene(folder=tmp_path, image=f"oci:from@{entry['digest']}")
    scene.make_keys("unit")
    scene.sign("unit")
    return scene


def measured(scene: Scene, source: Place, target: Place) -> dict[str, Any]:
    """Promote in a process of its own; the exit code, and the most memory that it had."""
    stands_for = ("--repository", REPOSITORY) if source.registry is None else ()
    arguments = ["promote", source.image(scene.digest), *stands_for, "--policy", "policy.yaml", "--to", target.to]
    order = {
        "directory": str(scene.folder),
        "out": str(scene.folder / "out.txt"),
        "err": str(scene.folder / "err.txt"),
        "arguments": [*COMMAND, *arguments],
        "environment": clean_environment(scene.folder, **scene.environment),
    }
    launch = [sys.executable, "-m", "bench.launch"]
    done = subprocess.run(launch, cwd=ROOT, input=json.dumps(order), capture_output=True, text=True, check=True)
    taken: dict[str, Any] = json.loads(done.stdout)
    return taken


def test_memory_does_not_grow_with_a_layer(
    docker_registry: Registry, gitea: Registry, olareg: Registry, large: Scene
) -> None:
    """From a layout through each registry back to a layout, and mounted within one, it stays below the bound."""
    places = [
        Place(registry=None, name="from", folder=large.folder),
        *(open_place(registry, large.folder, "") for registry in (docker_registry, docker_registry, gitea, olareg)),
        open_place(None, large.folder, "to"),
    ]
    names = sorted({place.repository for place in places})
    large.write_policy(policy_text(("unit",), images=names))
    large.environment = {"DOCKER_CONFIG": str(gitea.docker_config_dir)}
    for source, target in itertools.pairwise(places):
        taken = measured(large, source, target)
        assert taken["code"] == 0, (large.folder / "err.txt").read_text() + (large.folder / "out.txt").read_text()
        assert taken["peak_bytes"] < MOST, (source.name, target.name, taken)
    assert (large.folder / "to/index.json").is_file()
    layers = [path for path in (large.folder / "to/blobs/sha256").iterdir() if path.stat().st_size == LAYER]
    assert len(layers) == LAYERS
