"""The states of a delivery, and which may follow which. What is not in the table is an error."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """The state of a delivery; the stable words of the ledger, of scripts and of people."""

    PLANNED = "planned"
    """Recorded, and nothing else."""
    VERIFIED = "verified"
    """It passed; nothing is touched."""
    REFUSED = "refused"
    """It may not run; nothing was touched. An end."""
    APPLYING = "applying"
    """The target is told, now or when somebody was interrupted."""
    PROBING = "probing"
    """It is being found out what runs, and how well."""
    SUCCEEDED = "succeeded"
    """Confirmed by digest, and healthy."""
    FAILED = "failed"
    """The release is bad."""
    ERROR = "error"
    """Nobody can tell."""
    ROLLING_BACK = "rolling-back"
    """Another delivery is undoing it."""
    ROLLED_BACK = "rolled-back"
    """Undone. An end."""
    ROLLBACK_FAILED = "rollback-failed"
    """What should have undone it failed, or nobody can tell."""
    SUPERSEDED = "superseded"
    """A later one took its place, or it was given up before anything was touched. An end."""
    HELD = "held"
    """It should be undone, and there is nothing to go back to. People have to decide."""


ALLOWED: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.PLANNED: frozenset({Phase.VERIFIED, Phase.REFUSED, Phase.ERROR, Phase.SUPERSEDED}),
    # What was interrupted is verified again before it goes on, and may fail at that.
    Phase.VERIFIED: frozenset({Phase.APPLYING, Phase.ERROR, Phase.SUPERSEDED, Phase.VERIFIED, Phase.FAILED}),
    Phase.REFUSED: frozenset(),
    Phase.APPLYING: frozenset({Phase.PROBING, Phase.FAILED, Phase.ERROR, Phase.VERIFIED}),
    Phase.PROBING: frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR, Phase.VERIFIED}),
    Phase.SUCCEEDED: frozenset({Phase.ROLLING_BACK, Phase.SUPERSEDED, Phase.HELD}),
    Phase.FAILED: frozenset({Phase.ROLLING_BACK, Phase.SUPERSEDED, Phase.HELD}),
    Phase.ERROR: frozenset({Phase.ROLLING_BACK, Phase.SUPERSEDED, Phase.HELD}),
    Phase.ROLLING_BACK: frozenset({Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED}),
    Phase.ROLLED_BACK: frozenset(),
    Phase.ROLLBACK_FAILED: frozenset({Phase.ROLLING_BACK, Phase.SUPERSEDED, Phase.HELD}),
    Phase.SUPERSEDED: frozenset(),
    Phase.HELD: frozenset({Phase.ROLLING_BACK, Phase.SUPERSEDED, Phase.HELD}),
}
"""What may follow each state."""

UNFINISHED: Final = frozenset({Phase.PLANNED, Phase.VERIFIED, Phase.APPLYING, Phase.PROBING})
"""States in which somebody is at work, or was interrupted. One delivery of an environment at a time is in one."""

ENDS: Final = frozenset(phase for phase, following in ALLOWED.items() if not following)
"""States that nothing follows."""


class TransitionInvalid(ValueError):
    """A delivery cannot go from its state into that one."""


def step(before: Phase, after: Phase) -> Phase:
    """The state after a change.

    Raises:
        TransitionInvalid: it cannot follow.
    """
    if after not in ALLOWED[before]:
        raise TransitionInvalid(f"what is {before} cannot become {after}")
    return after
