"""buildah for the pipeline, with a storage of its own, and how large the images are that it builds."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.parts.find import require
from tests.parts.registry import Registry

PLAYLIST: Final = Path(__file__).resolve().parents[2] / "examples" / "playlist"
"""The repository that a team copies."""
SERVICES: Final = ("backend", "frontend")
_SCRIPT: Final = """\
#!/bin/sh
export BUILDAH_ISOLATION=chroot TMPDIR={folder}/tmp
exec {unshare} --mount --propagation private {buildah} \\
    --root {folder}/root --runroot {folder}/run --storage-driver overlay "$@"
"""


def builder(folder: Path) -> Path:
    """A folder with the script `buildah`, to stand first on PATH; what it builds is below `folder`.

    It runs in a mount namespace of its own: what it mounts is gone with it, even if it is killed.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (folder / "tmp").mkdir()
    script = programs / "buildah"
    script.write_text(_SCRIPT.format(folder=folder, unshare=require("unshare"), buildah=require("buildah")))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return programs


def size(registry: Registry, reference: str) -> tuple[int, int]:
    """The layers of an image in a registry, and how many bytes a machine downloads that has none of them."""
    repository, _, digest = reference.partition("@")
    answer = registry.manifest(repository, digest)
    if answer.status != 200:
        raise ValueError(f"{registry.name} does not have {reference}: {answer.status}")
    document: dict[str, Any] = json.loads(answer.body)
    return len(document["layers"]), sum(layer["size"] for layer in document["layers"])


def sizes(registry: Registry, images: Mapping[str, str]) -> str:
    """A table of images by what they are called: layers and megabytes (10^6 bytes), as they are downloaded."""
    width = max(map(len, images))
    lines = [f"{'image':{width}}  layers  compressed"]
    for name, reference in images.items():
        layers, count = size(registry, reference)
        lines.append(f"{name:{width}}  {layers:6}  {count / 1e6:7.1f} MB")
    return "\n".join(lines)
