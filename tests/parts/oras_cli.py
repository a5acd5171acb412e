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
    transport = ["--plain-http"] if registry.ca_file is None else ["--ca-file", str(registry.ca_file)]
    credentials = ["--registry-config", str(registry.docker_config_dir / "config.json")]
    return _discover(registry.docker_config_dir, [*transport, *credentials, reference])


def discover_in_layout(layout: Path, digest: str) -> Sequence[Found]:
    """What is attached to a digest in an OCI image layout."""
    return _discover(layout, ["--oci-layout", f"{layout}@{digest}"])


def _discover(directory: Path, options: Sequence[str]) -> Sequence[Found]:
    printed = run(
        Command(
            arguments=[require("oras"), "discover", "--format", "json", "--depth", "1", *options],
            environment=plain_environment(directory),
            directory=directory,
        )
    )
    referrers: list[dict[str, Any]] = json.loads(printed).get("referrers") or []
    return [
        Found(
            digest=one["digest"],
            media_type=one["mediaType"],
            artifact_type=one["artifactType"],
            annotations=one.get("annotations") or {},
        )
        for one in referrers
    ]
