"""The test-result that the contract lane signs: check ids, and everything that the checks were made with, by digest.

Sources: in-toto `test-result.md` v0.1, `resource_descriptor.md` v1, `digest_set.md`.
"""

from __future__ import annotations

from typing import Final

from attest.core.contract.finding import Outcome, Use
from attest.core.contract.report import Checked, Ending, Input, ending, endings, exception_document
from attest.core.lane.testreport import Counts, Judged
from attest.core.lane.testresult import image_resource, judged_predicate, tool_resource
from attest.core.predicates import Result
from attest.core.strictjson import Json

_SOME: Final = 5
"""Checks that a reason names."""


class NotDecided(ValueError):
    """Something could not be decided, and a test-result has no word for that."""


def contract_result(checked: Checked, *, url: str | None = None) -> dict[str, Json]:
    """The predicate: FAILED if a check failed on any platform, else WARNED if one warned, else PASSED.

    A check is named once in `failedTests`, `warnedTests` or `passedTests`, as it ended on the platform where it ended
    worst; `attest_counts` counts each platform. What an exception allows has passed, and `attest_exceptions` has every
    exception that was used.

    Raises:
        NotDecided: nothing failed, and a check is undecided or none was made.
    """
    report = checked.report
    if report.outcome is Outcome.UNDECIDED:
        raise NotDecided("what could not be decided is not signed")
    predicate = judged_predicate(_judged(checked), configuration=configuration(checked), url=url)
    predicate["attest_platforms"] = [str(platform) for platform in checked.platforms if platform is not None]
    predicate["attest_exceptions"] = [
        exception_document(use.exemption) for use in report.exemptions if use.use is Use.USED
    ]
    return predicate


def configuration(checked: Checked) -> list[dict[str, Json]]:
    """What the checks were made with, as ResourceDescriptors: contract, lock, images, provenance, and the tool."""
    tool = tool_resource(checked.tool.name, checked.tool.version)
    return [*(_resource(one) for one in checked.inputs), tool | {"digest": {"dirHash": checked.tool.code}}]


def reasons(checked: Checked) -> tuple[str, ...]:
    """Why the result is what it is, in words; never empty."""
    found = endings(checked.report.results)
    said = []
    for one in (Ending.FAILED, Ending.UNDECIDED, Ending.WARNED):
        names = [check for check, ended in found.items() if ended is one]
        if names:
            more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
            how = "could not be decided" if one is Ending.UNDECIDED else one.value
            said.append(f"{len(names)} of {_checks(len(found))} {how}: {', '.join(names[:_SOME])}{more}")
    if said:
        return tuple(said)
    if not found:
        return ("no check was made",)
    excepted = list(found.values()).count(Ending.EXCEPTED)
    return (f"{_checks(len(found))} passed" + (f", {excepted} of them by exceptions" if excepted else ""),)


def _judged(checked: Checked) -> Judged:
    found = endings(checked.report.results)
    names = {
        one: tuple(check for check, ended in found.items() if ended is one) for one in (Ending.FAILED, Ending.WARNED)
    }
    # Beside a failure what is undecided is neither: it is named nowhere, and the reasons say so.
    passed = tuple(check for check, ended in found.items() if ended in {Ending.EXCEPTED, Ending.PASSED})
    ended = [ending(result) for result in checked.report.results]
    worst = Result.WARNED if names[Ending.WARNED] else Result.PASSED
    return Judged(
        result=Result.FAILED if names[Ending.FAILED] else worst,
        reasons=reasons(checked),
        counts=Counts(
            passed=ended.count(Ending.PASSED) + ended.count(Ending.EXCEPTED),
            warned=ended.count(Ending.WARNED),
            failed=ended.count(Ending.FAILED),
            skipped=ended.count(Ending.UNDECIDED),
        ),
        passed=passed,
        warned=names[Ending.WARNED],
        failed=names[Ending.FAILED],
        reports=(),
        min_coverage=None,
    )


def _resource(one: Input) -> dict[str, Json]:
    return image_resource(one.name, one.digest, role=one.role.value)


def _checks(number: int) -> str:
    return "1 check" if number == 1 else f"{number} checks"
