"""The full set of five lanes, decided by a whole process, beside the five calls that cosign needs for it.

cosign decides about one predicate type and one key in a call, so five lanes are five calls, whether they differ in
their predicate types or in who may sign them. Both read the same attestations, which `attest sign` attached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bench.content import FIVE_SIGNERS, FIVE_TYPES, LaneOf, new_image, publish, seen_at, write_policy
from bench.processes import timed
from bench.results import Row, at_most
from bench.samples import interleave, ratio
from bench.stage import DOCKER_REGISTRY, OLAREG, Stage
from tests.parts.process import Command
from tests.parts.registry import Registry

TITLE: Final = "five lanes: one `attest verify` beside five `cosign verify-attestation`"

DELAY: Final = 50
_SETS: Final = (("of five signers", FIVE_SIGNERS), ("of five types, four with `where`", FIVE_TYPES))


def measure(stage: Stage) -> Iterator[Row]:
    """The rows of this benchmark."""
    for name, delay, bound in ((DOCKER_REGISTRY, DELAY, 0.1), (OLAREG, DELAY, 0.13), (DOCKER_REGISTRY, 0, 1.0)):
        for kind, lanes in _SETS:
            yield _row(stage, name, delay, bound, kind, lanes)


def _row(stage: Stage, name: str, delay: int, bound: float, kind: str, lanes: Sequence[LaneOf]) -> Row:
    registry = stage.registry(name)
    at = stage.slow(name, milliseconds=delay).registry if delay else registry
    pushed = new_image(registry)
    publish(stage, registry, pushed, lanes)
    image = seen_at(pushed, registry, at)
    file = stage.folder / f"{pushed.image.repository.name}.yaml"
    policy = write_policy(stage, file, lanes, [str(image.repository)])
    ours = stage.attest("verify", str(image), "--policy", policy, registry=at)
    theirs = [_cosign(stage, at, str(image), lane) for lane in lanes]
    taken, beside = interleave(stage.rounds, timed(ours), timed(*theirs))
    return at_most(
        f"{name}, {f'{delay} ms before each response' if delay else 'no delay'}, lanes {kind}",
        ratio(taken, beside),
        bound,
        ("attest", taken),
        ("5 x cosign", beside),
    )


def _cosign(stage: Stage, at: Registry, image: str, lane: LaneOf) -> Command:
    public_key = stage.key(lane.name).public
    return stage.cosign().verifying(at, image, public_key=public_key, predicate_type=lane.predicate_type)
