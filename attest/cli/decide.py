"""The second half of `attest verify`: load the policy while the evidence arrives, decide, and tell.

`attest.cli.verify` imports this once the images are being read, since all that weighs evidence is slow to load. A
policy that cannot be loaded is an error whatever the store answers: its answers are looked at behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file, write_file
from attest.cli.policies import finish_policy
from attest.cli.progress import waiting
from attest.cli.terminal import json_text
from attest.cli.verdict import lines
from attest.core import limits, report
from attest.core.document import Document
from attest.core.evaluate import Remembered
from attest.core.policy import Policy
from attest.core.reference import Digest
from attest.core.verdict import Passed, PassedThen, Refused, Verdict
from attest.errors import EXIT_PASSED, EXIT_REFUSED
from attest.ops.reading import Reading
from attest.ops.verify import Question, verify

if TYPE_CHECKING:
    from attest.adapters.keys import KeySigner


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says besides which images and which policy."""

    images: Sequence[Digest]
    commit: str | None
    """The source commit that a release file names."""
    bundles: Sequence[str]
    receipts: Sequence[str]
    receipt_key: str | None
    receipt_out: str | None
    password_file: str | None
    state: str | None
    moment: datetime | None
    """`--at`: a moment in the past to look at."""
    output: str
    timeout: float
    """Seconds that fetching what the policy names may take."""


def decide(reading: Reading, document: Document, asked: Asked) -> int:
    """Print the verdict on the images that are being read, write its receipt, and return the exit code."""
    policy = finish_policy(document, timeout=asked.timeout)
    signer = _signer(asked)
    question = Question(
        commit=asked.commit,
        demanded=_demanded(asked),
        bundles=[read_file(bundle, limit=limits.BUNDLE) for bundle in asked.bundles],
        remembered=_observe(asked.state, policy),
        at=asked.moment,
    )
    with waiting("reading the evidence"):
        verdict = verify(reading, policy, question, clock=SystemClock())
    if signer is not None and asked.receipt_out is not None and not isinstance(verdict, PassedThen):
        from attest.ops.receipt import write_receipt

        write_file(asked.receipt_out, write_receipt(verdict, signer=signer, policy_uri=document.file))
    _print(verdict, policy, asked.output, historical=asked.moment is not None)
    return exit_code(verdict)


def exit_code(verdict: Verdict) -> int:
    """0 for an explicit pass and for nothing else."""
    match verdict:
        case Passed() | PassedThen():
            return EXIT_PASSED
        case Refused():
            return EXIT_REFUSED


def _signer(asked: Asked) -> KeySigner | None:
    if asked.receipt_key is None:
        return None
    from attest.cli.signers import open_signer  # few ask for a receipt, and need not load what signs one

    return open_signer(asked.receipt_key, asked.password_file)


def _demanded(asked: Asked) -> set[Digest]:
    if not asked.receipts:
        return set()
    from attest.ops.receipt import inputs_of

    demanded: set[Digest] = set()
    for receipt in asked.receipts:
        demanded |= inputs_of(read_file(receipt, limit=limits.BUNDLE), file=receipt, images=asked.images)
    return demanded


def _observe(state: str | None, policy: Policy) -> Remembered | None:
    if state is None:
        return None
    from attest.adapters.state import StateFile

    return StateFile(state).observe(policy.name, Remembered(serial=policy.serial, digest=policy.digest))


def _print(verdict: Verdict, policy: Policy, output: str, *, historical: bool) -> None:
    if output == "json":
        document = report.document(verdict, policy, historical=historical)
        click.echo(json_text(document))
        return
    for line in lines(verdict, policy):
        click.echo(line)
