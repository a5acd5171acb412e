"""The core alone: verdicts on five lanes from the bytes of their bundles, beside bare signature verifications.

Keys are loaded, nothing else is kept: every verdict parses, verifies and evaluates anew. Many images take turns, so
that nothing could be remembered by accident.

Both sides do nothing but compute, so what counts is the best of many rounds, as the documentation of `timeit` advises:
neighbours on the machine only ever add time, and more to code that needs its caches than to arithmetic. Garbage is
collected as seldom as in the command.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from attest.__main__ import ALLOCATIONS
from attest.core.envelope import pae, read_bundle
from attest.core.evaluate import Found, evaluate
from attest.core.policy import Policy
from attest.core.reference import Digest
from attest.core.release import Release
from attest.core.verdict import Passed
from attest.core.verify import verify_all
from bench.processes import BenchError
from bench.results import Row
from bench.stage import Stage
from tests.core import make

TITLE: Final = "verdicts a second from bundle bytes, in one process"

_LANES: Final = ("build", "contract", "test", "scan", "e2e")
_IMAGES: Final = 50
_PER_ROUND: Final = 10
"""Rounds here in one of the benchmark: they are short, and one that nobody disturbed has to be among them."""
_GOAL: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image with the bundles of its five lanes, and what a bare verification of each needs."""

    image: Digest
    release: Release
    bundles: tuple[bytes, ...]
    signed: tuple[tuple[ec.EllipticCurvePublicKey, bytes, bytes], ...]
    """Key, signature and message, of each bundle."""


def measure(stage: Stage) -> Iterator[Row]:
    """The one row of this benchmark."""
    parties = {name: make.party(f"signer of {name}") for name in _LANES}
    policy = make.policy(
        [make.lane(name, signer=name) for name in _LANES], {name: [party] for name, party in parties.items()}
    )
    cases = [_case(f"app-{number}", parties) for number in range(_IMAGES)]
    with _collected_as_in_the_command():
        verdicts, verifications = _rates(cases, stage.rounds * _PER_ROUND, lambda case: _decide(policy, case), _verify)
    share = verdicts / verifications
    yield Row(
        what="five lanes, ECDSA P-256",
        goal=f"at least {_GOAL:g} of what bare verifications allow",
        measured=f"{share:.3f}: {verdicts:.0f} a second, where five bare verifications allow {verifications:.0f}",
        met=share >= _GOAL,
        values={"ratio": share, "verdicts_a_second": verdicts, "bare_a_second": verifications},
    )


def _case(name: str, parties: dict[str, make.Party]) -> Case:
    image = make.image(name)
    bundles, signed = [], []
    for lane, party in parties.items():
        bundle = make.bundle(party, make.payload([image.digest], make.context(lane)))
        envelope = read_bundle(bundle)
        public = party.private.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        bundles.append(bundle)
        signed.append((public, envelope.signature, pae(envelope.payload_type, envelope.payload)))
    return Case(image=image.digest, release=make.release(image), bundles=tuple(bundles), signed=tuple(signed))


def _decide(policy: Policy, case: Case) -> None:
    outcomes = verify_all([(bundle, False) for bundle in case.bundles], policy.keyring)
    found = [Found(outcome=outcome, image=case.image) for outcome in outcomes]
    verdict = evaluate(policy, case.release, found, now=make.NOW)
    if not isinstance(verdict, Passed):
        raise BenchError(f"five lanes are there, and the verdict is {verdict}")


def _verify(case: Case) -> None:
    algorithm = ec.ECDSA(hashes.SHA256())
    for key, signature, message in case.signed:
        key.verify(signature, message, algorithm)


@contextmanager
def _collected_as_in_the_command() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _rates(cases: Sequence[Case], rounds: int, *contestants: Callable[[Case], None]) -> Sequence[float]:
    """How many cases a second each contestant does, each case counted at its best of so many rounds."""
    best = [dict.fromkeys(range(len(cases)), math.inf) for _ in contestants]
    for _ in range(rounds):
        for number, case in enumerate(cases):
            for times, contestant in zip(best, contestants, strict=True):
                started = time.process_time_ns()
                contestant(case)
                times[number] = min(times[number], time.process_time_ns() - started)
    return [len(cases) * 1e9 / sum(times.values()) for times in best]
