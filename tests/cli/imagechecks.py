"""Images in layouts and contracts for them, for tests of `attest image check`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.cli.running import Ended
from tests.cli.scene import Scene
from tests.layerstacks import LAYER, File, digest, folder, tar
from tests.layouts import Entry, Layout

SOURCE_LABEL: Final = "org.opencontainers.image.source"
PASSWD: Final = b"root:x:0:0::/root:/bin/sh\napp:x:65532:65532::/app:/usr/sbin/nologin\n"
BASE: Final = (folder("etc"), File("etc/passwd", PASSWD), File("etc/group", b"app:x:65532:\n"))
APPLICATION: Final = (folder("app"), File("app/service", b"\x7fELF", mode=0o755))
SETID: Final = (File("app/helper", b"\x7fELF", mode=0o4755),)
CONFIG: Final[Mapping[str, Any]] = {
    "User": "app",
    "Entrypoint": ["/app/service"],
    "Labels": {SOURCE_LABEL: "https://git.example.org/plex/playlist"},
}
STEPS: Final = ("COPY base / # base", "COPY service /app/service # application", "COPY helper /app/helper # setid")
CONTRACT: Final = f"""\
version: 1
name: service
user.nonroot: true
label.required: [{SOURCE_LABEL}]
env.secret: true
file.secret: true
file.setid: true
layer.count: 5
"""


def store_image(
    layout: Layout,
    *layers: Sequence[File],
    config: Mapping[str, Any] = CONFIG,
    steps: Sequence[str] = STEPS,
    architecture: str = "amd64",
) -> Entry:
    """Store an image of these layers, each with its build step; its descriptor."""
    archives = [tar(layer) for layer in layers]
    document = {
        "os": "linux",
        "architecture": architecture,
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [digest(archive) for archive in archives]},
        "history": [{"created_by": step} for step in steps[: len(layers)]],
    }
    return layout.manifest(
        [layout.blob(archive, LAYER) for archive in archives],
        config=layout.blob(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json"),
    )


def write_image(path: Path, *layers: Sequence[File], **options: Any) -> str:
    """Write such an image into a layout of its own; how attest names it in the folder above."""
    layout = Layout(path)
    entry = layout.add(store_image(layout, *layers, **options), name="v1")
    return f"oci:{path.name}@{entry['digest']}"


def write_index(path: Path, images: Mapping[str, Sequence[Sequence[File]]]) -> str:
    """Write an index of one image for each architecture."""
    layout = Layout(path)
    children = [
        {
            **store_image(layout, *layers, architecture=architecture),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, layers in images.items()
    ]
    entry = layout.add(layout.index(children), name="v1")
    return f"oci:{path.name}@{entry['digest']}"


def check(scene: Scene, *options: object, image: str | None = None) -> Ended:
    """Hold an image, that of the scene unless it is another, against `contract.yaml`."""
    return scene.attest("image", "check", image or scene.image, "--contract", "contract.yaml", *options)


def write_contract(scene: Scene, text: str = CONTRACT, **more: str) -> None:
    """Write `contract.yaml`, with more checks."""
    added = "".join(f"{name.replace('__', '.')}: {value}\n" for name, value in more.items())
    (scene.folder / "contract.yaml").write_text(text + added)


def result_of(document: Mapping[str, Any], check_id: str, platform: str | None = "linux/amd64") -> Any:
    """How a check ended, in the JSON document."""
    (found,) = [one for one in document["results"] if (one["check"], one["platform"]) == (check_id, platform)]
    return found
