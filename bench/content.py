"""Images, the lanes that are signed about them, and the policies that ask for these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from attest.adapters.keys import load_signer
from attest.core import oci
from attest.core.predicates import TEST_RESULT, Result, test_result
from attest.core.reference import ImageReference, LayoutImage, RegistryImage, Repository, digest_of
from attest.core.statement import Context
from attest.ops.named import Named
from attest.ops.sign import Unwitnessed, sign
from bench.stage import COMMIT, SOURCE, Stage
from tests.layouts import Layout
from tests.parts.registry import Registry
from tests.registry.pushing import Pushed, described, push_image

STARTED: Final = datetime.now(UTC) - timedelta(days=1)
"""When the first run of every lane was, so that nothing signed here lies in the future."""
CREATED: Final = "2026-01-02T03:04:05Z"

_PROVENANCE: Final[Mapping[str, Any]] = {
    "buildDefinition": {
        "buildType": "https://example.org/build/v1",
        "externalParameters": {"target": "runtime"},
        "resolvedDependencies": [{"uri": f"git+{SOURCE}", "digest": {"gitCommit": COMMIT}}],
    },
    "runDetails": {"builder": {"id": "https://example.org/builder"}, "metadata": {"invocationId": "100"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOf:
    """A lane, and what is signed for it. The signer has the lane's name; `where` is a condition of the policy."""

    name: str
    predicate_type: str = TEST_RESULT
    predicate: Mapping[str, Any] = field(default_factory=lambda: test_result(Result.PASSED))
    where: str | None = None


def result_lanes(count: int, *, padding: int = 0) -> tuple[LaneOf, ...]:
    """So many lanes that each want a test-result; `padding` makes what is signed that many bytes longer."""
    predicate = test_result(Result.PASSED)
    if padding:
        predicate = {**predicate, "url": "https://ci.example.org/" + "x" * padding}
    return tuple(LaneOf(name=f"lane-{number}", predicate=predicate) for number in range(count))


FIVE_SIGNERS: Final = result_lanes(5)
"""Five lanes of one predicate type, each with a signer of its own."""

FIVE_TYPES: Final = (
    LaneOf(
        name="build",
        predicate_type="https://slsa.dev/provenance/v1",
        predicate=_PROVENANCE,
        where="predicate.buildDefinition.externalParameters.target == 'runtime'",
    ),
    LaneOf(name="test"),
    *(
        LaneOf(
            name=name,
            predicate_type=f"https://example.org/{name}/v1",
            predicate={"passed": True},
            where="predicate.passed == true",
        )
        for name in ("contract", "scan", "e2e")
    ),
)
"""Five lanes of five predicate types, four of them with a condition."""


def new_image(registry: Registry) -> Pushed:
    """An image in a repository of its own."""
    return push_image(registry, registry.fresh_repository())


def bundle(stage: Stage, lane: LaneOf, image: ImageReference, repository: Repository | None, *, run: int = 0) -> bytes:
    """What `attest sign` makes for a lane in its `run`-th run; every run is a minute later than the one before."""
    finished = STARTED + timedelta(minutes=run)
    context = Context(
        lane=lane.name,
        repository=SOURCE,
        commit=COMMIT,
        ref="refs/heads/main",
        run_id=str(100 + run),
        run_attempt=1,
        job=lane.name,
        run_url=f"{SOURCE}/actions/runs/{100 + run}",
        started=finished - timedelta(seconds=30),
        finished=finished,
    )
    return sign(
        [Named(reference=image, repository=repository)],
        signer=Unwitnessed(key=load_signer(stage.key(lane.name).private, None)),
        context=context,
        predicate_type=lane.predicate_type,
        predicate=lane.predicate,
    ).bundle


def publish(stage: Stage, registry: Registry, pushed: Pushed, lanes: Sequence[LaneOf]) -> None:
    """Attach these lanes to an image exactly as `attest sign` does, but within this process."""
    store = stage.store(registry)
    for lane in lanes:
        store.publish(
            pushed.image,
            pushed.descriptor,
            bundle(stage, lane, pushed.image, pushed.image.repository),
            predicate_type=lane.predicate_type,
            created=CREATED,
        )


def layout_image(stage: Stage, folder: Path, runs: Sequence[tuple[LaneOf, int]]) -> LayoutImage:
    """An image in an OCI layout of its own, with these runs of lanes attached; its index is written once for all."""
    layout = Layout(folder)
    subject = layout.image()
    content = layout.file_of(subject["digest"]).read_bytes()
    image = LayoutImage(path=str(folder), digest=digest_of(content))
    entries = [subject]
    for lane, number in runs:
        signed = bundle(stage, lane, image, None, run=number)
        layout.blob(signed)
        manifest = oci.attestation_manifest(
            bundle=signed,
            subject=described(content),
            predicate_type=lane.predicate_type,
            created=CREATED,
            inline=True,
        )
        entries.append({**layout.blob(manifest, oci.MANIFEST), "artifactType": oci.BUNDLE})
    layout.blob(oci.EMPTY_BLOB)
    layout.write_index(entries)
    return image


def seen_at(pushed: Pushed, registry: Registry, at: Registry) -> RegistryImage:
    """The same image by the address of a delay before its registry."""
    repository = pushed.image.repository
    host = at.host if repository.host == registry.host else repository.host
    return RegistryImage(repository=Repository(host=host, path=repository.path), digest=pushed.image.digest)


def write_policy(stage: Stage, file: Path, lanes: Sequence[LaneOf], places: Sequence[str]) -> Path:
    """A policy that wants these lanes of every image in these places."""
    document = {
        "version": 1,
        "name": "benchmark",
        "serial": 1,
        "images": [*places],
        "source": {"repository": SOURCE, "bind": ["repository", "commit"]},
        "signers": {lane.name: {"key": str(stage.key(lane.name).public)} for lane in lanes},
        "lanes": {
            lane.name: {
                "predicate-type": lane.predicate_type,
                "signer": lane.name,
                **({} if lane.where is None else {"where": [lane.where]}),
            }
            for lane in lanes
        },
    }
    file.write_text(json.dumps(document, indent=2))  # YAML 1.2 takes JSON as it is
    return file
