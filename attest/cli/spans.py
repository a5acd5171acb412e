"""Spans of what a command delivered, where the environment asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attest import __version__
from attest.cli.streams import complain
from attest.cli.terminal import escape
from attest.errors import AttestError

if TYPE_CHECKING:
    from attest.ledgerports import Ledger


@contextmanager
def traced(environment: str, ledger: Ledger) -> Iterator[None]:
    """Send the spans of every delivery that ends while a block runs. What becomes of spans decides nothing else."""
    from attest.adapters import spans

    if not spans.configured():
        yield
        return
    head = ledger.head()
    try:
        yield
    finally:
        try:
            _send(environment, ledger, after=0 if head is None else head.seq)
        except AttestError as error:
            complain(f"{environment}: {escape(error.message)}")


def _send(environment: str, ledger: Ledger, *, after: int) -> None:
    from attest.adapters import spans
    from attest.core.delivery.records import Step
    from attest.core.delivery.timeline import timeline
    from attest.core.delivery.traces import traces
    from attest.ops.delivery.site import read_history

    history, _ = read_history(ledger)
    line = timeline(history, environment)
    new = {one.payload.deployment for one in line.records if one.record.seq > after and isinstance(one.payload, Step)}
    found = list(traces(environment, [course for course in line.courses if course.number in new]))
    if found:
        spans.send(found, version=__version__)
