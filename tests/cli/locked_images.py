"""Images in layouts for the tests of `attest image lock` and `attest image diff`, and contracts to lock them under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.core.make_image import Layer, dpkg
from tests.layerstacks import File, tar, write_layout

CONTRACT = "version: 1\nname: python-web\nuser.nonroot: true\n"
BASE: Layer = ("ADD base", [dpkg(libc="2.36"), File("bin/su", b"su", mode=0o4755)])
APP: Layer = ("COPY app /srv/app", [File("srv/app", b"application", mode=0o755)])
NANO: Layer = ("RUN apt-get install nano", [dpkg(libc="2.36", nano="7.2-1")])
BROKEN: Layer = ("RUN break", [File("var/lib/dpkg/status", b"no database")])
CONFIG: Mapping[str, Any] = {"User": "app", "Entrypoint": ["/srv/app"], "Env": ["MODE=production"]}


def write_image(layout: Path, *layers: Layer, config: Mapping[str, Any] = CONFIG, steps: Sequence[str] = ()) -> str:
    """Write an image of these layers into a layout of its own; its reference from the layout's folder on."""
    history: list[Mapping[str, Any]] = [
        *({"created_by": step} for step, _ in layers),
        *({"created_by": step, "empty_layer": True} for step in steps),
    ]
    written = write_layout(layout, [tar(members) for _, members in layers], config=config, history=history)
    return f"oci:{layout.name}@{written.digest}"
