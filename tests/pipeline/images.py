"""buildah for the pipeline, with a storage of its own, and what the images of the example are built from and hold."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from tests.parts.find import require

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
