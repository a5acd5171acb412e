"""oras as a peer: what it finds attached to an image, in a registry or in an OCI layout."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.parts.find import require
from tests.parts.process import Command, plain_environment, run
from tests.parts.registry import Registry


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One referrer as oras shows it."""

    digest: str
    media_type: str
    artifact_type: str
    annotations: dict[str, str]


def discover(registry: Registry, reference: str) -> Sequence[Found]:
    """What is attached to `HOST/NAME@sha256:...` in a registry."""
    return _discover(registry.docker_config_dir, [*_transport(registry), reference])


def discover_in_layout(layout: Path, digest: str) -> Sequence[Found]:
    """What is attached to a digest in an OCI image layout."""
    return _discover(layout, ["--oci-layout", f"{layout}@{digest}"])


def attach(registry: Registry, reference: str, *, artifact_type: str, file: Path) -> None:
    """Attach a file to an image in a registry, as any tool may do that knows nothing of attestations."""
    _attach(file, artifact_type, [*_transport(registry), reference])


def attach_in_layout(layout: Path, digest: str, *, artifact_type: str, file: Path) -> None:
    """Attach a file to a digest in an OCI image layout."""
    _attach(file, artifact_type, ["--oci-layout", f"{layout}@{digest}"])


def _transport(registry: Registry) -> Sequence[str]:
    plain_or_trusted = ["--plain-http"] if registry.ca_file is None else ["--ca-file", str(registry.ca_file)]
    return [*plain_or_trusted, "--registry-config", str(registry.docker_config_dir / "config.json")]


def _attach(file: Path, artifact_type: str, options: Sequence[str]) -> None:
    # A relative name, since oras puts it into the layer's title.
    _oras(file.parent, "attach", "--no-tty", "--artifact-type", artifact_type, *options, file.name)


def _discover(directory: Path, options: Sequence[str]) -> Sequence[Found]:
    printed = _oras(directory, "discover", "--format", "json", "--depth", "1", *options)
    referrers: list[dict[str, Any]] = json.loads(printed).get("referrers") or []
    return [
        Found(
            digest=one["digest"],
            media_type=one["mediaType"],
            artifact_type=one.get("artifactType", ""),
            annotations=one.get("annotations") or {},
        )
        for one in referrers
    ]


def _oras(directory: Path, *arguments: str) -> bytes:
    program = require("oras")
    environment = plain_environment(directory)
    return run(Command(arguments=[program, *arguments], environment=environment, directory=directory))
