"""The core alone: verdicts on five lanes from the bytes of their bundles, beside bare signature verifications.

Keys are loaded, nothing else is kept: every verdict parses, verifies and evaluates anew. Many images take turns, so
that nothing could be remembered by accident.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from attest.core.envelope import pae, read_bundle
from attest.core.evaluate import Found, evaluate
from attest.core.policy import Policy
from attest.core.reference import Digest
from attest.core.release import Release
from attest.core.verdict import Passed
from attest.core.verify import verify_all
from bench.processes import BenchError
from bench.results import Row, times
from bench.samples import interleave, ratio
from bench.stage import Stage
from tests.core import make

TITLE: Final = "verdicts a second from bundle bytes, in one process"

_LANES: Final = ("build", "contract", "test", "scan", "e2e")
_IMAGES: Final = 50
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
    verdicts, verifications = interleave(
        stage.rounds, _per_second(lambda: _decide(policy, cases)), _per_second(lambda: _verify(cases))
    )
    share = ratio(verdicts, verifications)
    yield Row(
        what="five lanes, ECDSA P-256",
        goal=f"at least {_GOAL:g} of what bare verifications allow",
        measured=f"{times(share)}: {verdicts.median:.0f} a second, where five bare verifications allow "
        f"{verifications.median:.0f}",
        met=share.median >= _GOAL,
        values={
            "ratio": share.median,
            "verdicts_a_second": verdicts.values,
            "bare_a_second": verifications.values,
        },
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


def _decide(policy: Policy, cases: Sequence[Case]) -> None:
    for case in cases:
        outcomes = verify_all([(bundle, False) for bundle in case.bundles], policy.keyring)
        found = [Found(outcome=outcome, image=case.image) for outcome in outcomes]
        verdict = evaluate(policy, case.release, found, now=make.NOW)
        if not isinstance(verdict, Passed):
            raise BenchError(f"five lanes are there, and the verdict is {verdict}")


def _verify(cases: Sequence[Case]) -> None:
    algorithm = ec.ECDSA(hashes.SHA256())
    for case in cases:
        for key, signature, message in case.signed:
            key.verify(signature, message, algorithm)


def _per_second(work: Callable[[], None]) -> Callable[[], float]:
    """How often a second the work is done for one image."""

    def once() -> float:
        started = time.process_time()
        work()
        return _IMAGES / (time.process_time() - started)

    return once
