"""Deliveries as spans: what was done, for how long, and how it ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from attest.core.delivery.fold import fold
from attest.core.delivery.timeline import timeline
from attest.core.delivery.traces import Span, traces
from tests.core.make import NOW
from tests.core.make_delivery import ENVIRONMENT, Book, release
from tests.core.make_story import NAMES, Story, of, story


def traced(book: Book) -> list[Span]:
    """The spans of a ledger."""
    return list(traces(ENVIRONMENT, timeline(fold(book), ENVIRONMENT).courses))


def test_a_delivery_is_a_span_with_a_span_for_each_step() -> None:
    """One after the other, from the plan to the end, with the names of the semantic conventions."""
    book = Story()
    number = book.again(of(1))
    (span,) = traced(book)
    assert (span.name, span.problem) == ("deploy staging", None)
    assert span.attributes == {
        "cicd.pipeline.name": "deploy",
        "cicd.pipeline.run.id": str(number),
        "cicd.pipeline.result": "success",
        "deployment.environment.name": "staging",
        "deployment.id": str(number),
        "deployment.name": "deploy",
        "deployment.status": "succeeded",
        "container.image.repo_digests": tuple(str(of(1).services[name]) for name in NAMES),
        "vcs.ref.head.revision": "1" * 40,
    }
    assert [one.name for one in span.below] == ["verify", "prepare", "apply", "probe"]
    assert span.below[0].start == span.start == NOW + timedelta(seconds=1)
    assert [one.end for one in span.below[:-1]] == [one.start for one in span.below[1:]]
    assert span.below[-1].end == span.end == NOW + timedelta(seconds=45)
    assert {one.attributes["cicd.pipeline.task.run.result"] for one in span.below} == {"success"}
    assert span.below[2].attributes["cicd.pipeline.task.run.id"] == f"{number}/apply"


@pytest.mark.parametrize(
    ("end", "result", "problem", "steps"),
    [
        ("failed", "failure", "unhealthy", ["verify", "prepare", "apply", "probe"]),
        ("error", "error", "nobody knows", ["verify", "prepare", "apply", "probe"]),
        ("refused policy", "failure", "no", ["verify"]),
        ("superseded", "skip", None, ["verify"]),
    ],
)
def test_how_it_ended_is_told(end: str, result: str, problem: str | None, steps: list[str]) -> None:
    """The last step has the problem, and so has the whole; what was only given up has none."""
    book = Book()
    book.deliver(release(1), end)
    (span,) = traced(book)
    assert (span.attributes["cicd.pipeline.result"], span.problem) == (result, problem)
    assert ("deployment.status" in span.attributes) is (end == "failed")
    assert "vcs.ref.head.revision" not in span.attributes
    assert [one.name for one in span.below] == steps
    assert [one.problem for one in span.below] == [*[None] * (len(steps) - 1), problem]
    assert span.below[-1].attributes["cicd.pipeline.task.run.result"] == result


@pytest.mark.parametrize("end", ["planned", "verified", "probing"])
def test_what_goes_on_has_no_span(end: str) -> None:
    """A span is sent when it is over."""
    book = Book()
    book.deliver(release(1), end)
    assert traced(book) == []


def test_no_span_ends_before_it_begins() -> None:
    """Not even where a clock went back."""
    book = Story()
    book.again(of(1), seconds=-500)
    (span,) = traced(book)
    assert all(one.end >= one.start for one in (span, *span.below))


def test_every_delivery_that_ended_has_its_span() -> None:
    """Rollbacks and repairs too."""
    names = [span.name for span in traced(story())]
    assert names.count("rollback staging") == 2
    assert names.count("repair staging") == 1
    assert len(names) == 12
