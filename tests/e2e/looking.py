"""A page in a real browser, in a container of its own."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, Final

from tests.parts.containers import Podman
from tests.parts.images import BuiltImage

_NAME: Final = "localhost/page-browser:sample"
_LOOK: Final = Path(__file__).with_name("service") / "look.py"


@dataclasses.dataclass(frozen=True, slots=True)
class Looker:
    """An engine that has the image with the browser."""

    podman: Podman

    def look(self, folder: Path, page: bytes) -> dict[str, dict[str, Any]]:
        """What the browser makes of a page: in light, in dark, and on a telephone; pictures of it go to `seen`."""
        seen = folder / "seen"
        seen.mkdir()
        (seen / "page.html").write_bytes(page)
        shutil.copy(_LOOK, seen / "look.py")
        printed = self.podman.run(
            *("run", "--rm", "--pull", "never", "--env", "PYTHONPATH=/opt/site", "--volume", f"{seen}:/seen"),
            *("--entrypoint", '["python3"]', _NAME, "/seen/look.py", "/seen/page.html", "/seen"),
        )
        found: dict[str, dict[str, Any]] = json.loads(printed)
        return found


def with_browser(podman: Podman, image: BuiltImage, folder: Path) -> Looker:
    """Load the image into the engine; `folder` is empty, and stays until the engine has it."""
    link = folder / "layout"  # podman takes no path with a dot before a name
    link.symlink_to(image.layout)
    podman.load(dataclasses.replace(image, layout=link), _NAME)
    return Looker(podman)
