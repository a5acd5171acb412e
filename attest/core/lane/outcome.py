"""What a lane's command came to: how it ended, and what result follows from that and from its reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from attest.core.lane.testreport import Judged
from attest.core.predicates import Result
from attest.core.strictjson import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    """As a shell says it: 128+N where signal N ended it, 124 where its time was over."""
    signal: str | None = None
    """The signal that ended it, as SIGKILL."""
    timed_out: bool = False
    interrupted: str | None = None
    """The first signal that told attest itself to stop meanwhile; it was handed on to the command."""

    @property
    def well(self) -> bool:
        """Whether it came to its own end, and said that all is well. Reports may still say otherwise."""
        return self.status == 0 and self.signal is None and not self.timed_out and self.interrupted is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The result, and why, in words. They quote foreign text: escape them before they are shown."""

    result: Result
    reasons: tuple[str, ...]

    def exit_code(self, ended: Ended) -> int:
        """What `attest run` ends with once the result is signed: the command's status, else 1 for a result FAILED."""
        return ended.status or _RESULT_CODE[self.result]


def decide(ended: Ended, judged: Judged | None, *, trouble: str | None = None) -> Decided:
    """The result: FAILED unless the command ended well, else what its reports say, else PASSED.

    `judged` is None where no reports were asked for, or where they could not be read: `trouble` says why, and is never
    there when the command ended well.
    """
    reasons = [*_ending(ended), *([] if trouble is None else [trouble])]
    if not reasons:
        return Decided(result=Result.PASSED, reasons=("the command ended with 0",)) if judged is None else _said(judged)
    if judged is not None and judged.result is Result.FAILED:
        reasons += judged.reasons
    return Decided(result=Result.FAILED, reasons=tuple(reasons))


def describe(ended: Ended) -> dict[str, Json]:
    """How it ended, for the extension `attest_run` of a test-result."""
    return {
        "status": ended.status,
        "signal": ended.signal,
        "timedOut": ended.timed_out,
        "interrupted": ended.interrupted,
    }


_RESULT_CODE: Final = {Result.PASSED: 0, Result.WARNED: 0, Result.FAILED: 1}


def _said(judged: Judged) -> Decided:
    return Decided(result=judged.result, reasons=judged.reasons)


def _ending(ended: Ended) -> list[str]:
    if ended.timed_out:
        return ["the command took longer than its --timeout allows, and was stopped"]
    if ended.interrupted is not None:
        return [f"attest was told to stop by {ended.interrupted} while the command ran; it ended with {ended.status}"]
    if ended.signal is not None:
        return [f"the command was killed by {ended.signal}"]
    return [] if ended.status == 0 else [f"the command ended with {ended.status}"]
