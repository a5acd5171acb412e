"""Requests of `attest verify`, and how many of them wait for one another.

Counted before the registry, behind a delay that is long beside the client's own work. A busy machine can only make
requests look more dependent than they are, so the depth is that of the best run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.content import LaneOf, new_image, publish, result_lanes, seen_at, write_policy
from bench.processes import run
from bench.results import Row
from bench.stage import DOCKER_REGISTRY, GITEA, OLAREG, WITH_TOKENS, Stage
from tests.parts.delay import Exchange, depth
from tests.parts.process import Command

TITLE: Final = "requests of `attest verify`, and how deep they stand behind one another"

_DELAY: Final = 100
_NOT_INLINE: Final = 80 * 1024
"""Bytes more than `attest sign` puts into a descriptor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a command asked of a registry, in each of its runs."""

    runs: tuple[tuple[Exchange, ...], ...]

    @property
    def requests(self) -> int:
        """The most requests that a run made for what it wanted, those for a token not counted."""
        return max(sum(not for_token(exchange) for exchange in exchanges) for exchanges in self.runs)

    @property
    def for_tokens(self) -> int:
        """The most requests that a run made to be let in, at the registry itself."""
        return max(sum(map(for_token, exchanges)) for exchanges in self.runs)

    @property
    def depth(self) -> int:
        """How many requests stood behind one another, those for a token not counted, in the best run."""
        return min(depth([one for one in exchanges if not for_token(one)]) for exchanges in self.runs)


def for_token(exchange: Exchange) -> bool:
    """Whether a request was only about being let in: refused for lack of a token, or the exchange for one."""
    return exchange.status == 401 or exchange.path.partition("?")[0] == "/v2/token"


def watch(stage: Stage, name: str, command: Command, *, times: int, delay: int = _DELAY) -> Traffic:
    """Run a command against the delayed registry, and record what it asks."""
    slow = stage.slow(name, milliseconds=delay)
    runs = []
    for _ in range(times):
        slow.clear()
        run(command)
        runs.append(tuple(slow.exchanges))
    return Traffic(runs=tuple(runs))


def measure(stage: Stage) -> Iterator[Row]:
    """The rows of this benchmark."""
    counts = (1, 5) if stage.quick else (1, 5, 20)
    for name in (DOCKER_REGISTRY, OLAREG):
        for count in counts:
            yield _row(stage, name, result_lanes(count), "bundles in descriptors", 6 + count, 2)
        for count in counts:
            lanes = result_lanes(count, padding=_NOT_INLINE)
            yield _row(stage, name, lanes, "bundles as blobs", 6 + 2 * count, 3)
    for name in (WITH_TOKENS, GITEA):
        yield _tokens(stage, name)


def _verifying(stage: Stage, name: str, lanes: Sequence[LaneOf], *more: str) -> Command:
    registry, slow = stage.registry(name), stage.slow(name, milliseconds=_DELAY)
    pushed = new_image(registry)
    publish(stage, registry, pushed, lanes)
    image = seen_at(pushed, registry, slow.registry)
    policy = write_policy(stage, stage.folder / f"{name}-{len(lanes)}.yaml", lanes, [str(image.repository)])
    return stage.attest("verify", str(image), "--policy", policy, *more, registry=slow.registry)


def _row(stage: Stage, name: str, lanes: Sequence[LaneOf], form: str, most: int, deepest: int) -> Row:
    seen = watch(stage, name, _verifying(stage, name, lanes), times=1 if stage.quick else 3)
    return Row(
        what=f"{name}, N = {len(lanes)}, {form}",
        goal=f"at most {most} requests, {deepest} deep",
        measured=f"{seen.requests} requests, {seen.depth} deep",
        met=seen.requests <= most and seen.depth <= deepest,
        values={"requests": seen.requests, "depth": seen.depth},
    )


def _tokens(stage: Stage, name: str) -> Row:
    lanes = result_lanes(5)
    stage.registry(name)
    extra = ("--token-host", stage.token_host) if name == WITH_TOKENS and stage.token_host is not None else ()
    verifying = _verifying(stage, name, lanes, *extra)
    before = stage.tokens_asked
    seen = watch(stage, name, verifying, times=1)
    asked = seen.for_tokens + stage.tokens_asked - before
    return Row(
        what=f"{name}, N = {len(lanes)}, the exchange for a token",
        goal="at most 2 requests more",
        measured=f"{asked} more, beside {seen.requests}",
        met=asked <= 2,
        values={"for_tokens": asked, "requests": seen.requests},
    )
