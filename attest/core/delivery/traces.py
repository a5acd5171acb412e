"""A delivery as spans of a trace: the whole of it, and each step below.

Source: OpenTelemetry semantic conventions 1.44, `cicd`, `deployment`, `container` and `vcs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from attest.core.delivery.machine import Phase
from attest.core.delivery.timeline import Course

Attribute = str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that was done, from one moment to another."""

    name: str
    start: datetime
    end: datetime
    """Never before `start`, whatever the clocks said."""
    attributes: Mapping[str, Attribute]
    problem: str | None = None
    """What went wrong; None where nothing did."""
    below: tuple[Span, ...] = ()


_TASKS: Final[Mapping[Phase, str]] = {
    Phase.PLANNED: "verify",
    Phase.VERIFIED: "prepare",
    Phase.APPLYING: "apply",
    Phase.PROBING: "probe",
}
"""What is done in each state, up to the next."""

_RESULTS: Final[Mapping[Phase, str]] = {
    Phase.SUCCEEDED: "success",
    Phase.FAILED: "failure",
    Phase.ERROR: "error",
    Phase.REFUSED: "failure",
    Phase.SUPERSEDED: "skip",
}
"""`cicd.pipeline.result`."""


def traces(environment: str, courses: Iterable[Course]) -> Iterator[Span]:
    """The spans of those deliveries that have ended."""
    for course in courses:
        if course.result is not None and course.ended is not None:
            yield _trace(environment, course, course.result, course.ended)


def _trace(environment: str, course: Course, result: Phase, ended: datetime) -> Span:
    delivery = course.delivery
    images = delivery.release.services.values()
    attributes: dict[str, Attribute] = {
        "cicd.pipeline.name": str(delivery.kind),
        "cicd.pipeline.run.id": str(delivery.number),
        "cicd.pipeline.result": _RESULTS[result],
        "deployment.environment.name": environment,
        "deployment.id": str(delivery.number),
        "deployment.name": str(delivery.kind),
        "container.image.repo_digests": tuple(map(str, images)),
    }
    if result in (Phase.SUCCEEDED, Phase.FAILED):  # the convention knows no other
        attributes["deployment.status"] = str(result)
    if delivery.release.commit is not None:
        attributes["vcs.ref.head.revision"] = delivery.release.commit
    problem = None if result in (Phase.SUCCEEDED, Phase.SUPERSEDED) else delivery.message or str(result)
    return Span(
        name=f"{delivery.kind} {environment}",
        start=delivery.since,
        end=max(delivery.since, ended),
        attributes=attributes,
        problem=problem,
        below=tuple(_tasks(course, result, problem)),
    )


def _tasks(course: Course, result: Phase, problem: str | None) -> Iterator[Span]:
    steps = [step for step in course.steps if step[0] in _TASKS]
    last = [] if course.ended is None else [(result, course.ended)]
    for (phase, began), (after, ended) in pairwise([*steps, *last]):
        over = after is result
        yield Span(
            name=_TASKS[phase],
            start=began,
            end=max(began, ended),
            attributes={
                "cicd.pipeline.task.name": _TASKS[phase],
                "cicd.pipeline.task.run.id": f"{course.number}/{_TASKS[phase]}",
                "cicd.pipeline.task.run.result": _RESULTS[result] if over else "success",
            },
            problem=problem if over else None,
        )
