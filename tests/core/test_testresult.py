"""The test-result that reports lead to: names within a limit, counts, and the resources of its configuration."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from attest.core import limits
from attest.core.lane.testreport import Case, Coverage, Empty, Format, Judged, Outcome, Report, judge
from attest.core.lane.testresult import image_resource, judged_predicate, report_resource, tool_resource
from attest.core.predicates import TEST_RESULT, Result, result_of
from attest.core.reference import digest_of
from tests.core.make import digest

P, W, F, S = Outcome.PASSED, Outcome.WARNED, Outcome.FAILED, Outcome.SKIPPED
LISTS = ("failedTests", "warnedTests", "passedTests")


def report(*cases: tuple[str, Outcome], **fields: Any) -> Report:
    """A report with these cases."""
    given_fields = {"file": "out/junit.xml", "format": Format.JUNIT, "digest": digest_of(b"r"), "size": 1, **fields}
    return Report(cases=tuple(Case(*case) for case in cases), **given_fields)


def judged(*reports: Report, minimum: str | None = None) -> Judged:
    """What follows from the reports."""
    return judge(reports, empty=Empty.REFUSED, min_coverage=None if minimum is None else Decimal(minimum))


def size(names: list[str]) -> int:
    """Bytes that these names take as members of a JSON array."""
    return sum(len(json.dumps(name, ensure_ascii=False).encode()) + 1 for name in names)


def test_the_names_stand_in_the_fields_of_the_specification() -> None:
    """Names, result, configuration and URL are where test-result v0.1 has them; counts and reasons are ours."""
    predicate = judged_predicate(
        judged(report(("a", P), ("b", F), ("c", W), ("d", S))),
        configuration=[{"name": "x"}],
        url="https://ci.example/1",
    )
    assert predicate == {
        "result": "FAILED",
        "configuration": [{"name": "x"}],
        "url": "https://ci.example/1",
        "passedTests": ["a"],
        "warnedTests": ["c"],
        "failedTests": ["b"],
        "attest_counts": {"passed": 1, "warned": 1, "failed": 1, "skipped": 1},
        "attest_reasons": ["1 of 3 tests failed: 'b'"],
    }
    assert result_of(TEST_RESULT, predicate) is Result.FAILED


def test_without_a_url_there_is_none() -> None:
    """A field that nothing is known for is left out, not null."""
    assert "url" not in judged_predicate(judged(report(("a", P))), configuration=[])


def test_the_minimum_of_the_coverage_is_said() -> None:
    """What was demanded stands in the predicate, so that a policy can demand that it was demanded."""
    covered = report(file="c", format=Format.COBERTURA, coverage=Coverage(covered=9, total=10))
    predicate = judged_predicate(judged(report(("a", P)), covered, minimum="87.5"), configuration=[])
    assert predicate["attest_minCoverage"] == 87.5


def test_names_are_kept_exactly() -> None:
    """Control characters, quotes and bidirectional marks of a name stay in the predicate, which is no output."""
    name = 'a\x00\x1b[31m\u202e"\\\n\U0001f600'
    predicate = judged_predicate(judged(report((name, P))), configuration=[])
    assert json.loads(json.dumps(predicate))["passedTests"] == [name]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=40), st.sampled_from(Outcome)), min_size=1, max_size=30))
def test_all_names_stand_there_where_they_fit(cases: list[tuple[str, Outcome]]) -> None:
    """Below the limit each list has every name of its outcome, and nothing says that any was left out."""
    found = judged(report(*cases))
    predicate = judged_predicate(found, configuration=[])
    assert tuple(tuple(predicate[field]) for field in LISTS) == (found.failed, found.warned, found.passed)
    assert "attest_omittedTests" not in predicate


def test_the_failed_ones_come_first_above_the_limit() -> None:
    """Failed names take the room before warned and passed ones; how many of each are left out is said."""
    cases = [
        (f"{letter}{number:0>100}", outcome)
        for letter, outcome in (("p", P), ("w", W), ("f", F))
        for number in range(200)
    ]
    predicate = judged_predicate(judged(report(*cases)), configuration=[])
    assert len(predicate["failedTests"]) == 200
    assert 0 < len(predicate["warnedTests"]) < 200
    assert predicate["passedTests"] == []
    assert predicate["attest_omittedTests"] == {
        "warnedTests": 200 - len(predicate["warnedTests"]),
        "passedTests": 200,
    }
    assert predicate["attest_counts"] == {"passed": 200, "warned": 200, "failed": 200, "skipped": 0}
    used = sum(size(predicate[field]) for field in LISTS)
    assert limits.TEST_NAMES - 110 < used <= limits.TEST_NAMES


@given(st.integers(1, 4), st.sampled_from(["x", "\x00", "é", "\U0001f600", '"']))
def test_no_names_make_a_large_predicate(seed: int, character: str) -> None:
    """However names are spelled, their lists take at most the limit, and the whole predicate little more."""
    cases = [(f"{number}" + character * (seed * 300), (F, W, P)[number % 3]) for number in range(300)]
    predicate = judged_predicate(judged(report(*cases)), configuration=[])
    assert sum(size(predicate[field]) for field in LISTS) <= limits.TEST_NAMES
    assert len(json.dumps(predicate, ensure_ascii=False).encode()) < limits.TEST_NAMES + 4096


def test_a_large_configuration_leaves_less_room_for_names() -> None:
    """Configuration and names share the limit; some names always have room."""
    found = judged(report(*((f"{number:0>100}", F) for number in range(1000))))
    small, large, huge = (
        judged_predicate(found, configuration=[{"name": "x" * length}])["failedTests"] for length in (1, 10_000, 10**6)
    )
    assert size(large) <= limits.TEST_NAMES - 10_000 < size(small) <= limits.TEST_NAMES
    assert 4096 - 110 < size(huge) <= 4096


def test_reasons_are_bounded() -> None:
    """Many and long reasons are cut in the predicate: the reports have the rest."""
    reports = [report(("a", P), file=f"{number}" * 200, problems=("x" * 2000,)) for number in range(20)]
    predicate = judged_predicate(judged(*reports), configuration=[])
    assert len(predicate["attest_reasons"]) == 10
    assert {len(reason) for reason in predicate["attest_reasons"]} == {500}


def test_a_report_is_named_with_its_digest() -> None:
    """The descriptor of a report has its name, digest, media type, what it says in short, and where it is kept."""
    made = report(("a", P), ("b", S), tool="pytest 9", coverage=Coverage(covered=2, total=3))
    assert report_resource(made, manifest=digest("7")) == {
        "name": "out/junit.xml",
        "digest": {"sha256": digest_of(b"r").removeprefix("sha256:")},
        "mediaType": "application/xml",
        "annotations": {
            "format": "junit",
            "size": 1,
            "tool": "pytest 9",
            "counts": {"passed": 1, "warned": 0, "failed": 0, "skipped": 1},
            "coverage": {"covered": 2, "total": 3, "percent": 66.66},
            "manifest": digest("7"),
        },
    }
    bare = Report(file="c.xml", format=Format.COBERTURA, digest=digest("1"), size=4)
    assert report_resource(bare, manifest=None)["annotations"] == {"format": "cobertura", "size": 4}


def test_images_and_tools_are_resources() -> None:
    """An image is named by its digest and its role, a tool by a package URL that any name and version fit into."""
    assert image_resource("ci:1", digest("3"), role="runner", platform="linux/amd64") == {
        "name": "ci:1",
        "digest": {"sha256": digest("3").removeprefix("sha256:")},
        "annotations": {"role": "runner", "platform": "linux/amd64"},
    }
    assert tool_resource("@playwright/test", "1.65 beta") == {
        "name": "@playwright/test",
        "uri": "pkg:generic/%40playwright%2Ftest@1.65%20beta",
        "annotations": {"version": "1.65 beta"},
    }
