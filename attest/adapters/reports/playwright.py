"""What Playwright's `json` reporter writes: suites of specs, each a test in every project, each with its attempts.

Outcomes are computed from the attempts, as `TestCase.outcome()` of Playwright has it, and compared with what the report
says. Where Playwright counts an interrupted test as skipped, it is a failed one here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attest.adapters.reports.common import (
    Cases,
    Content,
    ReportInvalid,
    a_number,
    a_text,
    a_word,
    agree,
    an_array,
    an_object,
    joined,
    tool_name,
)
from attest.core.lane.testreport import Format, Outcome
from attest.core.strictjson import Json, shown

_STATUS: Final = frozenset({"passed", "failed", "timedOut", "skipped", "interrupted"})
_OUTCOMES: Final = ("expected", "unexpected", "flaky", "skipped")


def read_playwright(document: Mapping[str, Json]) -> Content:
    """What the document says.

    Raises:
        ReportInvalid: it is none, or says of its tests what their attempts contradict.
    """
    config = an_object(document["config"], "config")
    stats = an_object(document.get("stats"), "stats")
    cases = Cases()
    said = dict.fromkeys(_OUTCOMES, 0)
    for names, test, where in _tests(an_array(document["suites"], "suites"), "suites", ()):
        project = a_text(test.get("projectName", ""), f"{where}.projectName")
        outcome, playwright = _outcomes(test, where)
        if test.get("status") != playwright:
            raise ReportInvalid(f"{where}.status is {shown(test.get('status'))}, and its attempts say {playwright!r}")
        said[playwright] += 1
        cases.add(joined(*names) + (f" [{project}]" if project else ""), outcome)
    for name, found in said.items():
        agree(f"{name} tests", claimed=a_number(stats.get(name), f"stats.{name}"), found=found)
    problems = [_problem(error) for error in an_array(document.get("errors", []), "errors")]
    return Content(
        format=Format.PLAYWRIGHT,
        cases=cases.all(),
        problems=tuple(problems),
        tool=tool_name("Playwright", config.get("version")),
    )


def _tests(
    suites: list[Json], where: str, names: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Json], str]]:
    """Each test, with the names that lead to it and the place where it stands. JSON is nested within limits."""
    for position, item in enumerate(suites):
        place = f"{where}[{position}]"
        suite = an_object(item, place)
        inside = (*names, a_text(suite.get("title"), f"{place}.title"))
        for index, entry in enumerate(an_array(suite.get("specs", []), f"{place}.specs")):
            at = f"{place}.specs[{index}]"
            spec = an_object(entry, at)
            title = a_text(spec.get("title"), f"{at}.title")
            for number, test in enumerate(an_array(spec.get("tests"), f"{at}.tests")):
                yield (*inside, title), an_object(test, f"{at}.tests[{number}]"), f"{at}.tests[{number}]"
        yield from _tests(an_array(suite.get("suites", []), f"{place}.suites"), f"{place}.suites", inside)


def _outcomes(test: Mapping[str, Json], where: str) -> tuple[Outcome, str]:
    """The outcome of a test, and the word that Playwright has for it."""
    expected = a_word(test.get("expectedStatus"), _STATUS, f"{where}.expectedStatus")
    as_expected = otherwise = skipped = interrupted = 0
    for number, item in enumerate(an_array(test.get("results"), f"{where}.results")):
        at = f"{where}.results[{number}]"
        status = a_word(an_object(item, at).get("status"), _STATUS, f"{at}.status")
        if status == "interrupted":
            interrupted += 1
        elif status == "skipped":
            skipped += expected == "skipped"
        elif status == expected:
            as_expected += 1
        else:
            otherwise += 1
    if not as_expected and not otherwise:
        return (Outcome.FAILED if interrupted else Outcome.SKIPPED), "skipped"
    if not otherwise:
        good = Outcome.PASSED if expected == "passed" else Outcome.SKIPPED
        return (Outcome.FAILED if interrupted else good), "expected"
    if not as_expected and not skipped:
        return Outcome.FAILED, "unexpected"
    return (Outcome.FAILED if interrupted or expected != "passed" else Outcome.WARNED), "flaky"


def _problem(error: Json) -> str:
    message = an_object(error, "an error").get("message")
    return f"outside of any test: {shown(message if isinstance(message, str) else '')}"
