"""Many attestations on one digest: what `attest verify` takes for 100 and for 1,000, and what cosign takes for 100.

They are twenty, and two hundred, runs of each of five lanes, every one signed by its lane's key and superseded by the
next: each has to be fetched, verified and weighed, and all but five do not count.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from attest.core import oci
from attest.core.predicates import TEST_RESULT
from attest.core.reference import digest_of
from attest.core.referrers import fallback_tag, own_tag
from bench.content import CREATED, FIVE_SIGNERS, LaneOf, bundle, layout_image, new_image, seen_at, write_policy
from bench.processes import BenchError, Finished, run
from bench.results import Row, seconds
from bench.samples import Ratio, Samples, interleave, ratio
from bench.stage import DOCKER_REGISTRY, OLAREG, Stage
from bench.traffic import watch
from tests.parts.process import Command
from tests.parts.registry import Registry
from tests.registry.pushing import Pushed, entry, index_of, push_blob

TITLE: Final = "many attestations on one digest"

_LINEAR: Final = 11
"""Ten times as many may take so many times as much."""
_PLACE: Final = "registry.example.org/plex/app"


def measure(stage: Stage) -> Iterator[Row]:
    """The rows of this benchmark."""
    few, many = (10, 100) if stage.quick else (100, 1000)
    for name in (DOCKER_REGISTRY, OLAREG):
        yield from _registry_rows(stage, name, few, many)
    yield from _compared(
        stage, "OCI layout", few, many, _layout_command(stage, few), _layout_command(stage, many), None
    )


def _registry_rows(stage: Stage, name: str, few: int, many: int) -> Iterator[Row]:
    registry = stage.registry(name)
    counting = stage.slow(name, milliseconds=0)
    crowds = {count: _push(stage, registry, count) for count in (few, many)}

    def command(count: int, at: Registry) -> Command:
        image = seen_at(crowds[count], registry, at)
        places = [str(image.repository)]
        policy = write_policy(stage, stage.folder / f"{name}-crowd-{count}.yaml", FIVE_SIGNERS, places)
        return stage.attest("verify", str(image), "--policy", policy, registry=at)

    lane = FIVE_SIGNERS[0]
    cosign = stage.cosign().verifying(
        registry,
        str(crowds[few].image),
        public_key=stage.key(lane.name).public,
        predicate_type=lane.predicate_type,
    )
    asked = {
        count: watch(stage, name, command(count, counting.registry), times=1, delay=0).requests for count in crowds
    }
    yield Row(
        what=f"{name}, requests",
        goal=f"all N, and at most 6 more, for N = {few} and {many}",
        measured=f"{asked[few]} and {asked[many]}",
        met=all(count < asked[count] <= 6 + count for count in crowds),
        values={"requests": {str(count): number for count, number in asked.items()}},
    )
    yield from _compared(stage, name, few, many, command(few, registry), command(many, registry), cosign)


@dataclass(slots=True)
class _Runner:
    """Runs a command again and again, and keeps the most memory that it ever had."""

    command: Command
    peak: int = 0

    def seconds(self) -> float:
        """Of one more run."""
        finished: Finished = run(self.command)
        self.peak = max(self.peak, finished.peak_bytes)
        return finished.seconds


def _compared(
    stage: Stage, where: str, few: int, many: int, ours: Command, ours_of_many: Command, cosign: Command | None
) -> Iterator[Row]:
    runners = [_Runner(command) for command in (ours, ours_of_many, *([] if cosign is None else [cosign]))]
    taken = interleave(stage.rounds, *(runner.seconds for runner in runners))
    growth = ratio(taken[1], taken[0])
    yield Row(
        what=f"{where}, time",
        goal=f"{many} at most {_LINEAR} times {few}",
        measured=f"{growth.median:.1f} times: {seconds(taken[1])} / {seconds(taken[0])}",
        met=growth.median <= _LINEAR,
        values={"ratio": growth.median, "seconds": {str(few): taken[0].values, str(many): taken[1].values}},
    )
    memory = runners[1].peak / runners[0].peak
    yield Row(
        what=f"{where}, peak memory",
        goal=f"{many} at most {_LINEAR} times {few}",
        measured=f"{memory:.1f} times: {_mib(runners[1].peak)} / {_mib(runners[0].peak)}",
        met=memory <= _LINEAR,
        values={"ratio": memory, "bytes": {str(few): runners[0].peak, str(many): runners[1].peak}},
    )
    if cosign is not None:
        yield _beside(where, few, ratio(taken[0], taken[2]), taken[0], taken[2], runners)


def _beside(
    where: str, few: int, compared: Ratio, taken: Samples, of_cosign: Samples, runners: Sequence[_Runner]
) -> Row:
    return Row(
        what=f"{where}, {few}, beside one cosign call",
        goal="(one call decides about one lane of five)",
        measured=f"{compared.median:.2f}: {seconds(taken)}, {_mib(runners[0].peak)} / {seconds(of_cosign)}, "
        f"{_mib(runners[2].peak)}",
        met=None,
        values={
            "ratio": compared.median,
            "seconds": {"attest": taken.values, "cosign": of_cosign.values},
            "bytes": {"attest": runners[0].peak, "cosign": runners[2].peak},
        },
    )


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MiB"


# Content


def _push(stage: Stage, registry: Registry, count: int) -> Pushed:
    """An image with so many attestations, as `attest sign` leaves it; made by a quicker way than signing each.

    One after the other: registries lose entries of their own lists when many manifests come at once.

    Raises:
        BenchError: the registry does not list all of them, so nothing that is measured would be about so many.
    """
    pushed = new_image(registry)
    repository, subject = str(pushed.image.repository), pushed.image.digest
    push_blob(registry, repository, oci.EMPTY_BLOB)
    manifests = []
    with _Uploads(registry, pushed) as uploads:
        for number in range(count):
            lane, run_number = _run(number)
            signed = bundle(stage, lane, pushed.image, pushed.image.repository, run=run_number)
            manifest = oci.attestation_manifest(
                bundle=signed, subject=pushed.descriptor, predicate_type=TEST_RESULT, created=CREATED, inline=True
            )
            uploads.blob(signed)
            uploads.manifest(digest_of(manifest), manifest)
            uploads.manifest(own_tag(subject, digest_of(manifest)), manifest)
            manifests.append(manifest)
        listed = registry.referrers(repository, subject)
        if listed.status == 404:
            index = index_of(*(entry(manifest, artifactType=oci.BUNDLE) for manifest in manifests))
            uploads.manifest(fallback_tag(subject), index, media_type=oci.INDEX)
            listed = registry.manifest(repository, fallback_tag(subject))
    found = len(json.loads(listed.body)["manifests"])
    if found != count:
        raise BenchError(f"{registry.name} lists {found} of {count} attestations")
    return pushed


def _run(number: int) -> tuple[LaneOf, int]:
    """The lanes in turn, and then their next runs."""
    run_number, lane = divmod(number, len(FIVE_SIGNERS))
    return FIVE_SIGNERS[lane], run_number


class _Uploads:
    """One connection that uploads to one repository."""

    def __init__(self, registry: Registry, pushed: Pushed) -> None:
        self._connection = http.client.HTTPConnection(registry.host, timeout=60)
        self._path = f"/v2/{pushed.image.repository.path}"

    def __enter__(self) -> _Uploads:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def blob(self, content: bytes) -> None:
        """Upload a blob."""
        location = urlsplit(self._send("POST", f"{self._path}/blobs/uploads/", b"", "", 202))
        joint = f"{location.query}&" if location.query else ""
        target = f"{location.path}?{joint}digest={digest_of(content)}"
        self._send("PUT", target, content, "application/octet-stream", 201)

    def manifest(self, reference: str, content: bytes, *, media_type: str = oci.MANIFEST) -> None:
        """Put a manifest at a digest or a tag."""
        self._send("PUT", f"{self._path}/manifests/{reference}", content, media_type, 201)

    def _send(self, method: str, target: str, body: bytes, media_type: str, status: int) -> str:
        self._connection.request(method, target, body=body, headers={"Content-Type": media_type} if body else {})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != status:
            raise BenchError(f"{method} {target} was answered with {answer.status}: {said[:400]!r}")
        return answer.getheader("Location", "")


def _layout_command(stage: Stage, count: int) -> Command:
    image = layout_image(stage, stage.folder / f"layout-{count}", [_run(number) for number in range(count)])
    policy = write_policy(stage, stage.folder / f"layout-{count}.yaml", FIVE_SIGNERS, [_PLACE])
    return stage.attest("verify", str(image), "--repository", _PLACE, "--policy", policy)
