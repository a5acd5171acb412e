"""Metrics of an environment, from what its ledger tells and from what was seen to run.

Counters and histograms are counted anew from all records each time, so they never fall, and two readers agree. The
names and labels are described in docs/observability.md, and stay as they are.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from attest.core.delivery.dora import lead_times, recoveries
from attest.core.delivery.history import History
from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Cause, Held, Kind, Refused, RollbackUndecided, Trigger, Verified
from attest.core.delivery.timeline import Course, Timeline, timeline
from attest.core.delivery.verdicts import Decision, RecordedImage, RecordedVerdict
from attest.core.delivery.view import Status
from attest.core.environment.definition import Environment
from attest.core.environment.targets import Match
from attest.core.verdict import State


class Shape(StrEnum):
    """What kind of metric a family is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One number of a counter or a gauge; its labels are in the order of the family's names."""

    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How the values of a histogram are spread."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    """Of each bucket of the family: how many values are at most as large. The last is of all values."""
    total: float
    """Their sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All series of one name."""

    name: str
    shape: Shape
    help: str
    labels: tuple[str, ...]
    values: tuple[Value, ...] = ()
    buckets: tuple[float, ...] = ()
    """Of a histogram: the upper bounds, without that of the last bucket, which has none."""
    distributions: tuple[Distribution, ...] = ()


_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_DEPLOY_BUCKETS: Final = (5.0, 10.0, 30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, _HOUR)
_LEAD_BUCKETS: Final = (10 * _MINUTE, _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 30 * _DAY, 180 * _DAY)
_RECOVERY_BUCKETS: Final = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY)

_RESULTS: Final = (Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR, Phase.REFUSED, Phase.SUPERSEDED)
_HERE: Final = ("environment",)


def unbelieved(environment: str, *, version: str) -> tuple[Family, ...]:
    """What can be said of an environment whose ledger cannot be read or believed."""
    return (*_build(version), _ledger(environment, ok=False))


def metrics(
    environment: Environment, history: History, status: Status, *, observed: bool | None, version: str
) -> tuple[Family, ...]:
    """Everything that is measured of an environment.

    Args:
        environment: Its document.
        history: What the ledger tells.
        status: How it stands, with what was seen.
        observed: Whether what runs could be seen just now; None where nobody looked, and the last recorded look counts.
        version: Of attest.
    """
    line = timeline(history, environment.name)
    return (
        *_build(version),
        _ledger(environment.name, ok=True),
        _gauge(
            "attest_ledger_records",
            "Records of deliveries in the ledger that are about the environment.",
            environment.name,
            len(line.records),
        ),
        _verify(environment, line),
        _deploy(environment.name, line),
        _refused(environment.name, line),
        _durations(environment.name, line),
        _rollback(environment.name, line),
        *_services(environment, status, observed=observed),
        *_standing(environment.name, status),
        _histogram(
            "attest_change_lead_time_seconds",
            "From the oldest evidence on a release to its first successful deployment.",
            environment.name,
            _LEAD_BUCKETS,
            [lead for _, lead in lead_times(line)],
        ),
        _histogram(
            "attest_failed_deployment_recovery_seconds",
            "From when a failure was known to the next delivery that succeeded.",
            environment.name,
            _RECOVERY_BUCKETS,
            [took for _, took in recoveries(line)],
        ),
    )


def _build(version: str) -> Iterator[Family]:
    values = (Value(labels=(version,), value=1),)
    yield Family(
        name="attest_build_info", shape=Shape.GAUGE, help="Version of attest.", labels=("version",), values=values
    )


def _ledger(environment: str, *, ok: bool) -> Family:
    what = "Whether the ledger could be read, is a whole chain and can be believed; without that there is nothing else."
    return _gauge("attest_ledger_ok", what, environment, ok)


def _gauge(name: str, what: str, environment: str, value: float) -> Family:
    values = (Value(labels=(environment,), value=float(value)),)
    return Family(name=name, shape=Shape.GAUGE, help=what, labels=_HERE, values=values)


def _counter(name: str, what: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> Family:
    values = tuple(Value(labels=key, value=float(count)) for key, count in counts.items())
    return Family(name=name, shape=Shape.COUNTER, help=what, labels=tuple(labels), values=values)


def _verify(environment: Environment, line: Timeline) -> Family:
    counts: Counter[tuple[str, ...]] = Counter()
    for name in environment.services:
        counts[environment.name, name, str(Decision.PASSED), ""] = 0
    for one in line.records:
        if isinstance(one.payload, Verified | Refused) and one.payload.verdict is not None:
            images = line.here.deliveries[one.payload.deployment].release.services
            found = {image.image: image for image in one.payload.verdict.images}
            for service, image in images.items():
                counts[environment.name, service, *_judged(one.payload.verdict, found.get(image))] += 1
    what = "Verdicts on images, by the first reason why one did not pass."
    return _counter("attest_verify_total", what, ("environment", "service", "result", "reason"), counts)


def _judged(verdict: RecordedVerdict, image: RecordedImage | None) -> tuple[str, str]:
    """Result and reason for one image. What is refused as a whole is refused for each; so is what nobody looked at."""
    reasons = [one.reason for one in verdict.refusals]
    if image is not None:
        reasons += [one.reason for one in image.refusals]
        reasons += [lane.reason for lane in image.lanes if lane.state is not State.PRESENT]
    elif verdict.more and verdict.decision is not Decision.REFUSED:
        return str(verdict.decision), ""  # left out of the record, which lists first what did not pass
    if image is None or reasons:
        waived = verdict.decision is Decision.WAIVED and image is not None
        return str(Decision.WAIVED if waived else Decision.REFUSED), str(reasons[0]) if reasons else ""
    return str(Decision.PASSED), ""


def _deploy(environment: str, line: Timeline) -> Family:
    counts: Counter[tuple[str, ...]] = Counter()
    for kind, trigger, result in itertools.product((Kind.DEPLOY, Kind.REPAIR), Trigger, _RESULTS):
        counts[environment, str(kind), str(trigger), str(result)] = 0
    for course in _ended(line.courses):
        planned = course.delivery.planned
        if planned.kind is not Kind.ROLLBACK:
            counts[environment, str(planned.kind), str(planned.trigger), str(course.result)] += 1
    what = "Deployments and repairs that ended, by what they first came to."
    return _counter("attest_deploy_total", what, ("environment", "kind", "trigger", "result"), counts)


def _refused(environment: str, line: Timeline) -> Family:
    counts: Counter[tuple[str, ...]] = Counter({(environment, str(cause)): 0 for cause in Cause})
    for course in line.courses:
        if course.delivery.cause is not None:
            counts[environment, str(course.delivery.cause)] += 1
    what = "Deliveries that were refused with nothing touched, by cause."
    return _counter("attest_deploy_refused_total", what, ("environment", "cause"), counts)


def _rollback(environment: str, line: Timeline) -> Family:
    held, undecided = "held", "undecided"
    results = (*map(str, _RESULTS), held, undecided)
    counts: Counter[tuple[str, ...]] = Counter()
    for trigger, result in itertools.product(Trigger, results):
        counts[environment, str(trigger), result] = 0
    for course in _ended(line.courses):
        if course.delivery.kind is Kind.ROLLBACK:
            counts[environment, str(course.delivery.planned.trigger), str(course.result)] += 1
    for one in line.records:
        if isinstance(one.payload, Held):
            counts[environment, str(one.payload.trigger), held] += 1
        elif isinstance(one.payload, RollbackUndecided):
            counts[environment, str(one.payload.trigger), undecided] += 1
    what = (
        "Rollbacks by who wanted them and what they came to; held is that there was nothing to go back to, undecided "
        "that nobody could say whether there was."
    )
    return _counter("attest_rollback_total", what, ("environment", "trigger", "result"), counts)


def _ended(courses: Iterable[Course]) -> Iterator[Course]:
    return (course for course in courses if course.result is not None)


def _durations(environment: str, line: Timeline) -> Family:
    found: dict[tuple[str, ...], list[timedelta]] = {}
    for course in _ended(line.courses):
        if course.delivery.touched and course.duration is not None:
            found.setdefault((environment, str(course.delivery.kind), str(course.result)), []).append(course.duration)
    return Family(
        name="attest_deploy_duration_seconds",
        shape=Shape.HISTOGRAM,
        help="From the plan of a delivery that touched the environment to its end, probes and soak included.",
        labels=("environment", "kind", "result"),
        buckets=_DEPLOY_BUCKETS,
        distributions=tuple(_spread(labels, _DEPLOY_BUCKETS, spans) for labels, spans in found.items()),
    )


def _histogram(
    name: str, what: str, environment: str, buckets: tuple[float, ...], spans: Sequence[timedelta]
) -> Family:
    return Family(
        name=name,
        shape=Shape.HISTOGRAM,
        help=what,
        labels=_HERE,
        buckets=buckets,
        distributions=(_spread((environment,), buckets, spans),),
    )


def _spread(labels: tuple[str, ...], buckets: Sequence[float], spans: Sequence[timedelta]) -> Distribution:
    seconds = [span.total_seconds() for span in spans]
    counts = [sum(one <= bound for one in seconds) for bound in buckets]
    return Distribution(labels=labels, counts=(*counts, len(seconds)), total=sum(seconds))


def _services(environment: Environment, status: Status, *, observed: bool | None) -> Iterator[Family]:
    digests: dict[tuple[str, ...], int] = {}
    drift: dict[tuple[str, ...], int] = {}
    seen = status.history.seen
    for one in status.services:
        wanted = (("desired", one.desired), ("applied", one.applied), ("verified_good", one.verified_good))
        for state, image in wanted:
            if image is not None:
                digests[environment.name, one.name, state, image.digest] = 1
        runs, match = one.observed.digests if one.observed is not None else frozenset[str](), one.match
        if observed is None and seen is not None and one.name in seen.services:
            runs, match = frozenset(seen.services[one.name].digests), seen.services[one.name].match
        for digest in sorted(runs):
            digests[environment.name, one.name, "observed", digest] = 1
        if match is not None:
            drift[environment.name, one.name] = match is not Match.SAME
    what = "Digests of each service: what should run, was applied, was good last, and all that its containers have."
    labels = ("environment", "service", "state", "digest")
    yield _table("attest_service_digest_info", what, labels, digests)
    what = "Whether a service was seen to run something else than it should, or not to run."
    yield _table("attest_drift", what, ("environment", "service"), drift)
    if observed is not None:
        what = "Whether the target said what runs, when it was asked for these metrics."
        yield _gauge("attest_observation_ok", what, environment.name, observed)


def _table(name: str, what: str, labels: tuple[str, ...], found: Mapping[tuple[str, ...], int]) -> Family:
    values = tuple(Value(labels=key, value=float(value)) for key, value in found.items())
    return Family(name=name, shape=Shape.GAUGE, help=what, labels=labels, values=values)


def _standing(name: str, status: Status) -> Iterator[Family]:
    here = status.history
    yield _gauge("attest_held", "Whether automatic deployments are held.", name, here.hold is not None)
    yield _gauge("attest_frozen", "Whether nothing is deployed now.", name, status.frozen is not None)
    yield _gauge(
        "attest_unfinished", "Whether a delivery goes on, or was interrupted.", name, here.unfinished is not None
    )
    yield _gauge("attest_bad_releases", "Releases that are marked as bad.", name, len(here.bad))
    good = here.verified_good
    if good is not None:
        what = "When the last release that is verified and good began to be delivered."
        yield _gauge("attest_verified_good_timestamp_seconds", what, name, good.since.timestamp())
