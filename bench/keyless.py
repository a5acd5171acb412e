"""Five keyless lanes, decided by a whole process, beside the five calls that cosign needs for them.

Each lane is signed by a workflow of its own, on a private Sigstore that the benchmark starts. As with keys, each tool
reads what it attached itself; both read the same trusted root, and neither asks a service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attest.core.predicates import TEST_RESULT
from bench.content import FIVE_SIGNERS, LaneOf, new_image, result_lanes, seen_at
from bench.fullset import DELAY
from bench.processes import run, timed
from bench.results import Row, at_most, seconds
from bench.samples import Samples, interleave, ratio
from bench.stage import DOCKER_REGISTRY, Stage
from tests.parts.process import Command
from tests.parts.registry import Registry
from tests.parts.sigstore_issuer import COMMIT
from tests.registry.pushing import Pushed

TITLE: Final = "five keyless lanes: one `attest verify` beside five `cosign verify-attestation`"

_BOUND: Final = 0.2
_MORE: Final = 5
"""Lanes that the second image has besides the five."""


def measure(stage: Stage) -> Iterator[Row]:
    """The rows of this benchmark."""
    registry = stage.registry(DOCKER_REGISTRY)
    at = stage.slow(DOCKER_REGISTRY, milliseconds=DELAY).registry
    ours = _ours(stage, registry, at, FIVE_SIGNERS)
    beside = _cosign(stage, registry, at, FIVE_SIGNERS)
    taken, theirs = interleave(stage.rounds, timed(ours), timed(*beside))
    title = f"{DOCKER_REGISTRY}, {DELAY} ms before each response, five identities"
    yield at_most(title, ratio(taken, theirs), _BOUND, ("attest", taken), ("5 x cosign", theirs))
    larger = _ours(stage, registry, at, result_lanes(len(FIVE_SIGNERS) + _MORE))
    five, ten = interleave(stage.rounds, timed(ours), timed(larger))
    each = Samples(values=tuple((more - less) / _MORE for less, more in zip(five.values, ten.values, strict=True)))
    yield Row(
        what=f"the same with {_MORE} lanes more: each further lane",
        goal="",
        measured=f"{seconds(each)} beside {seconds(five)} for the first five",
        met=None,
        values={"seconds": {"five": five.values, "ten": ten.values}},
    )


def _ours(stage: Stage, registry: Registry, at: Registry, lanes: Sequence[LaneOf]) -> Command:
    """`attest verify` on a new image for which each lane signed keyless."""
    pushed = new_image(registry)
    sigstore = stage.sigstore()
    for lane in lanes:
        signing = stage.attest(
            *("sign", str(pushed.image), "--lane", lane.name, "--result", "passed"),
            *("--keyless", "--trust-config", sigstore.trust_config, "--identity-token", _token(stage, lane)),
            *("--source-repository", f"{sigstore.forge}/plex/playlist", "--source-commit", COMMIT),
            *("--run-id", "1564"),
            registry=registry,
        )
        run(signing)
    image = str(seen_at(pushed, registry, at))
    policy = _policy(stage, pushed, lanes, image.partition("@")[0])
    return stage.attest("verify", image, "--policy", policy, registry=at)


def _cosign(stage: Stage, registry: Registry, at: Registry, lanes: Sequence[LaneOf]) -> list[Command]:
    """cosign's calls on a new image for which each lane signed with cosign."""
    pushed = new_image(registry)
    sigstore, cosign = stage.sigstore(), stage.cosign()
    calls = []
    for lane in lanes:
        cosign.attest_keyless(
            registry,
            str(pushed.image),
            trust=sigstore,
            token=_token(stage, lane),
            predicate_type=lane.predicate_type,
            predicate=lane.predicate,
        )
        calls.append(
            cosign.verifying_identity(
                at,
                str(seen_at(pushed, registry, at)),
                trust=sigstore,
                issuer=sigstore.issuer,
                identity=sigstore.identity(_workflow(lane)),
                predicate_type=lane.predicate_type,
            )
        )
    return calls


def _workflow(lane: LaneOf) -> str:
    return f"plex/playlist/.forgejo/workflows/{lane.name}.yml@refs/heads/main"


def _token(stage: Stage, lane: LaneOf) -> Path:
    return stage.sigstore().token_file(stage.folder / f"{lane.name}.token", workflow_ref=_workflow(lane))


def _policy(stage: Stage, pushed: Pushed, lanes: Sequence[LaneOf], place: str) -> Path:
    sigstore = stage.sigstore()
    file = stage.folder / f"{pushed.image.repository.name}.yaml"
    document = {
        "version": 1,
        "name": "benchmark",
        "serial": 1,
        "images": [place],
        "source": {"repository": f"{sigstore.forge}/plex/playlist", "bind": ["repository", "commit"]},
        "trust": {"file": str(sigstore.trusted_root)},
        "signers": {
            lane.name: {"issuer": sigstore.issuer, "identity": sigstore.identity(_workflow(lane))} for lane in lanes
        },
        "lanes": {lane.name: {"predicate-type": TEST_RESULT, "signer": lane.name, "time": "trusted"} for lane in lanes},
    }
    file.write_text(json.dumps(document, indent=2))
    return file
