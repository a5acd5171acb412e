"""The full set of five lanes, decided by a whole process, beside the five calls that cosign needs for it.

cosign decides about one predicate type and one key in a call, so five lanes are five calls, whether they differ in
their predicate types or in who may sign them. Each tool reads what it attached itself: five bundles by `attest sign`
on one image, five by `cosign attest` on another. (cosign is faster on what `attest sign` attached, since that stands in
the manifests; the rows that say so show it.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
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
            yield from _rows(stage, name, delay, bound, kind, lanes)


def _rows(stage: Stage, name: str, delay: int, bound: float, kind: str, lanes: Sequence[LaneOf]) -> Iterator[Row]:
    registry = stage.registry(name)
    at = stage.slow(name, milliseconds=delay).registry if delay else registry
    pushed = new_image(registry)
    publish(stage, registry, pushed, lanes)
    image = str(seen_at(pushed, registry, at))
    file = stage.folder / f"{pushed.image.repository.name}.yaml"
    policy = write_policy(stage, file, lanes, [image.partition("@")[0]])
    ours = timed(stage.attest("verify", image, "--policy", policy, registry=at))
    title = f"{name}, {f'{delay} ms before each response' if delay else 'no delay'}, lanes {kind}"
    taken, beside = interleave(stage.rounds, ours, timed(*_on_their_own(stage, registry, at, lanes)))
    yield at_most(title, ratio(taken, beside), bound, ("attest", taken), ("5 x cosign", beside))
    same = [_verifying(stage, at, image, lane, stage.key(lane.name).public) for lane in lanes]
    taken, beside = interleave(stage.rounds, ours, timed(*same))
    title += ", cosign on what attest attached"
    yield at_most(title, ratio(taken, beside), None, ("attest", taken), ("5 x cosign", beside))


def _on_their_own(stage: Stage, registry: Registry, at: Registry, lanes: Sequence[LaneOf]) -> list[Command]:
    """The five calls of cosign about an image to which cosign attached the same five predicates."""
    cosign = stage.cosign()
    pushed = new_image(registry)
    calls = []
    for lane in lanes:
        pair = cosign.generate_key_pair(f"{pushed.image.repository.name}-{lane.name}")
        cosign.attest(
            registry, str(pushed.image), key=pair, predicate_type=lane.predicate_type, predicate=lane.predicate
        )
        calls.append(_verifying(stage, at, str(seen_at(pushed, registry, at)), lane, pair.public))
    return calls


def _verifying(stage: Stage, at: Registry, image: str, lane: LaneOf, public_key: Path) -> Command:
    return stage.cosign().verifying(at, image, public_key=public_key, predicate_type=lane.predicate_type)
