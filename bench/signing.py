"""`attest sign` beside `cosign attest`: from an encrypted key to an attestation that is seen to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from attest.core.predicates import TEST_RESULT, Result, test_result
from bench.content import new_image, publish, result_lanes, seen_at
from bench.processes import run
from bench.results import Row, at_most
from bench.samples import interleave, ratio
from bench.stage import COMMIT, DOCKER_REGISTRY, OLAREG, PASSPHRASE, SOURCE, Stage
from bench.traffic import Traffic
from tests.parts.cosign import KeyPair
from tests.parts.delay import Exchange
from tests.parts.process import Command

TITLE: Final = "`attest sign` beside `cosign attest`, with 50 ms before each response"

_DELAY: Final = 50
_DEEPEST: Final = 7


def measure(stage: Stage) -> Iterator[Row]:
    """The rows of this benchmark."""
    cosign = stage.cosign()
    theirs = cosign.generate_key_pair("signing", password=PASSPHRASE)
    ours = _keygen(stage)
    for name in (DOCKER_REGISTRY, OLAREG):
        for present in (0, 4):
            yield from _rows(stage, name, present, ours, theirs)


def _rows(stage: Stage, name: str, present: int, key: Path, theirs: KeyPair) -> Iterator[Row]:
    slow = stage.slow(name, milliseconds=_DELAY)
    seen: list[tuple[Exchange, ...]] = []
    seen_of_cosign: list[tuple[Exchange, ...]] = []

    def sign(make: Callable[[str], Command], record: list[tuple[Exchange, ...]]) -> Callable[[], float]:
        def once() -> float:
            image = _image(stage, name, present)
            slow.clear()
            seconds = run(make(image)).seconds
            record.append(tuple(slow.exchanges))
            return seconds

        return once

    def attest(image: str) -> Command:
        context = ("--source-repository", SOURCE, "--source-commit", COMMIT, "--run-id", "100")
        what = ("--lane", "lane-4", "--key", key, "--result", "passed")
        return stage.attest("sign", image, *what, *context, registry=slow.registry)

    def cosign(image: str) -> Command:
        predicate = test_result(Result.PASSED)
        return stage.cosign().attesting(
            slow.registry, image, key=theirs, predicate_type=TEST_RESULT, predicate=predicate
        )

    taken, beside = interleave(stage.rounds, sign(attest, seen), sign(cosign, seen_of_cosign))
    what = f"{name}, {present} attestations there"
    yield at_most(what, ratio(taken, beside), 1.0, ("attest", taken), ("cosign", beside))
    traffic, of_cosign = Traffic(runs=tuple(seen)), Traffic(runs=tuple(seen_of_cosign))
    yield Row(
        what=what,
        goal=f"at most {_DEEPEST} deep, with the read-back",
        measured=f"{traffic.depth} deep, {traffic.requests} requests (cosign {of_cosign.depth}, {of_cosign.requests})",
        met=traffic.depth <= _DEEPEST,
        values={
            "depth": traffic.depth,
            "requests": traffic.requests,
            "cosign": {"depth": of_cosign.depth, "requests": of_cosign.requests},
        },
    )


def _image(stage: Stage, name: str, present: int) -> str:
    """A fresh image for each signature, with so many other attestations; as it is named behind the delay."""
    registry = stage.registry(name)
    pushed = new_image(registry)
    publish(stage, registry, pushed, result_lanes(present))
    return str(seen_at(pushed, registry, stage.slow(name, milliseconds=_DELAY).registry))


def _keygen(stage: Stage) -> Path:
    folder = stage.folder / "signing-keys"
    run(stage.attest("keygen", "lane", "--directory", folder))
    return folder / "lane.key"
