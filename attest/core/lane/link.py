"""in-toto Links: what a lane ran, on which files, and what came of it.

Source: in-toto attestation spec, `predicates/link.md` (v0.3). There the products are a statement's subjects. Here the
subjects are the images that the lane is about, so the products stand among the byproducts, under a name of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from attest.core.reference import Digest
from attest.core.statement import format_time
from attest.core.strictjson import Json

LINK: Final = "https://in-toto.io/attestation/link/v0.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was run. Times are UTC."""

    name: str
    command: Sequence[str]
    status: int
    signal: str | None
    started: datetime
    finished: datetime
    environment: Mapping[str, str]
    """What the user allowed to be told of it."""
    materials: Mapping[str, Digest]
    products: Mapping[str, Digest]


def link(step: Step) -> dict[str, Json]:
    """The predicate of a Link."""
    return {
        "name": step.name,
        "command": list(step.command),
        "materials": _descriptors(step.materials),
        "byproducts": {
            "return-value": step.status,
            "attest_signal": step.signal,
            "attest_started": format_time(step.started),
            "attest_finished": format_time(step.finished),
            "attest_products": _descriptors(step.products),
        },
        "environment": dict(step.environment),
    }


def _descriptors(artifacts: Mapping[str, Digest]) -> list[Json]:
    return [
        {"name": path, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for path, digest in sorted(artifacts.items())
    ]
