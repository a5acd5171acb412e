"""The four figures of DORA's software delivery performance, as far as a ledger can know them.

Source: dora.dev, "DORA's software delivery metrics". docs/observability.md says what is counted here, and what is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Kind
from attest.core.delivery.timeline import Course, Incident, Timeline, Trouble, between
from attest.core.delivery.verdicts import RecordedVerdict
from attest.core.reference import Digest
from attest.core.statement import format_time
from attest.core.strictjson import Json

WINDOW: Final = timedelta(days=30)
"""The time that the figures are about, unless somebody says otherwise."""

_DAY: Final = timedelta(days=1)
_UNDONE: Final = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dora:
    """The figures of one environment, of the deployments that ended between `since` and `until`."""

    since: datetime
    until: datetime
    deployments: int
    """Those that succeeded."""
    failures: int
    """Those that failed, or were undone although they had succeeded."""
    ended: int
    """Those that succeeded or failed, each once: what the failures are a part of."""
    recoveries: int
    """Failures of the environment that ended in this time."""
    frequency: float
    """Successful deployments a day."""
    lead_time: timedelta | None
    """Median; None where there was no change."""
    failure_rate: float | None
    """0 to 1; None where nothing ended."""
    recovery_time: timedelta | None
    """Median; None where nothing recovered."""


def figures(line: Timeline, *, now: datetime, window: timedelta = WINDOW) -> Dora:
    """The figures of the time before a moment; less than `window` where the ledger is younger, at least a day."""
    first = min((course.delivery.since for course in line.courses), default=now)
    since = min(max(now - window, first), now - _DAY)
    ended = [one for one in line.courses if _counts(one) and one.ended is not None and since <= one.ended <= now]
    succeeded = [one for one in ended if one.result is Phase.SUCCEEDED]
    failed = [one for one in ended if one.result is Phase.FAILED or one.delivery.phase in _UNDONE]
    leads = [lead for course, lead in lead_times(line) if course in ended]
    recovered = [took for one, took in recoveries(line) if one.ended is not None and since <= one.ended <= now]
    return Dora(
        since=since,
        until=now,
        deployments=len(succeeded),
        failures=len(failed),
        ended=len(ended),
        recoveries=len(recovered),
        frequency=len(succeeded) / ((now - since) / _DAY),
        lead_time=_median(leads),
        failure_rate=len(failed) / len(ended) if ended else None,
        recovery_time=_median(recovered),
    )


def _counts(course: Course) -> bool:
    """Whether it is a deployment of which it is known how it ended; what was never applied is none."""
    return course.delivery.kind is Kind.DEPLOY and course.result in (Phase.SUCCEEDED, Phase.FAILED)


def lead_times(line: Timeline) -> Iterator[tuple[Course, timedelta]]:
    """Of each release that a deployment brought for the first time: from its oldest evidence to its success.

    The ledger knows when a lane signed, and not when somebody committed: it is the part of the lead time that the
    delivery can answer for.
    """
    known: set[Digest] = set()
    for course in line.courses:
        if course.delivery.kind is not Kind.DEPLOY or course.result is not Phase.SUCCEEDED or course.ended is None:
            continue
        if course.delivery.release.key in known:
            continue
        known.add(course.delivery.release.key)
        began = _oldest(course.delivery.verdict)
        lead = None if began is None else between(began, course.ended)
        if lead is not None:
            yield course, lead


def _oldest(verdict: RecordedVerdict | None) -> datetime | None:
    images = () if verdict is None else verdict.images
    times = (one.time for image in images for lane in image.lanes for one in lane.evidence)
    return min((time for time in times if time is not None), default=None)


def recoveries(line: Timeline) -> Iterator[tuple[Incident, timedelta]]:
    """Each failure of the environment that is over, and how long it took from when it was known."""
    for incident in line.incidents:
        if incident.trouble is Trouble.FAILURE and incident.duration is not None:
            yield incident, incident.duration


def _median(spans: Sequence[timedelta]) -> timedelta | None:
    if not spans:
        return None
    ordered, middle = sorted(spans), len(spans) // 2
    return ordered[middle] if len(spans) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def document(found: Dora) -> dict[str, Json]:
    """The figures as JSON values; times in seconds."""
    return {
        "since": format_time(found.since),
        "until": format_time(found.until),
        "deployments": found.deployments,
        "failures": found.failures,
        "ended": found.ended,
        "recoveries": found.recoveries,
        "deployment_frequency_per_day": found.frequency,
        "change_lead_time_seconds": _maybe(found.lead_time),
        "change_failure_rate": found.failure_rate,
        "failed_deployment_recovery_seconds": _maybe(found.recovery_time),
    }


def _maybe(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
