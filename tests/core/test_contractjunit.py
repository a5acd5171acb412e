"""The report of a contract's checks as JUnit suites: a case for each check and platform, and none is skipped."""

from __future__ import annotations

from attest.core.contract.finding import FoundLayer, Standing
from attest.core.contract.junit import JunitCase, JunitOutcome, junit
from attest.core.reference import Digest
from tests.core.make_contract import SETID, USER, checked, everything, finding, result


def cases(*suites: tuple[JunitCase, ...]) -> list[tuple[str, str, JunitOutcome]]:
    """The cases by class and name."""
    return [(case.classname, case.name, case.outcome) for suite in suites for case in suite]


def test_a_case_for_each_check_and_platform() -> None:
    """Each platform is a suite of its own, what is about none of them is the last one, and every check is a case."""
    suites = junit(everything())
    assert [suite.name for suite in suites] == ["python-web linux/amd64", "python-web linux/arm64", "python-web image"]
    assert cases(*(suite.cases for suite in suites)) == [
        ("linux/amd64", "user.nonroot", JunitOutcome.FAILED),
        ("linux/amd64", "file.setid", JunitOutcome.PASSED),
        ("linux/arm64", "user.nonroot", JunitOutcome.UNDECIDED),
        ("linux/arm64", "file.setid", JunitOutcome.PASSED),
        ("image", "lock.drift", JunitOutcome.FAILED),
    ]
    assert suites[0].timestamp == "2026-07-01T12:00:00.000000"
    assert dict(suites[0].properties)["lock.digest"] == "sha256:" + 64 * "4"
    assert len(dict(suites[0].properties)) == len(suites[0].properties)


def only(*findings: Standing) -> JunitCase:
    """The only case of a check with such findings."""
    made = [finding(place=f"/{number}", standing=standing) for number, standing in enumerate(findings)]
    (suite,) = junit(checked(result(SETID, *made)))
    (case,) = suite.cases
    return case


def test_a_failure_says_where_why_and_what_to_do() -> None:
    """A failure has each finding with layer and build step, the reason, the remedy and the aliases."""
    (suite,) = junit(checked(result(USER, finding(USER, "root", "it runs as root"))))
    (case,) = suite.cases
    assert case.message == "root: it runs as root"
    assert case.details.splitlines() == [
        "violation: root: it runs as root",
        "  layer 2 sha256:" + 64 * "2",
        "  made by: RUN apt-get install sudo",
        "why: Whoever breaks out of the service is root.",
        "fix: Set USER to an account of its own.",
        "also known as: CIS-DI-0001, DS-0002",
    ]
    assert case.output == ""


def test_a_check_without_aliases() -> None:
    """A check that has no other name says nothing of one, and a layer without history nothing of a build step."""
    layer = FoundLayer(position=0, digest=Digest("sha256:" + 64 * "7"), created_by=None)
    (suite,) = junit(checked(result(SETID, finding(layer=layer))))
    assert "known as" not in suite.cases[0].details
    assert "made by" not in suite.cases[0].details


def test_a_violation_comes_before_what_is_undecided() -> None:
    """A failed case is told by its violation first, and by what is undecided too."""
    case = only(Standing.UNDECIDED, Standing.WARNING, Standing.VIOLATION)
    assert case.outcome is JunitOutcome.FAILED
    assert case.message == "/2: it is set-user-id (and 1 more)"
    assert case.details.startswith("violation: /2: it is set-user-id\n")
    assert "undecided: /0: it is set-user-id\n" in case.details
    assert case.output.startswith("warning: /1: ")


def test_what_is_undecided_says_what_is_missing() -> None:
    """An error says what to do so that the check can be decided, not what to change in the image."""
    (suite,) = junit(checked(result(SETID, finding(place="baseline", standing=Standing.UNDECIDED, layer=None))))
    assert suite.cases[0].details.splitlines()[-1] == "next: Name the image that it was built on, with --baseline."


def test_a_pass_may_have_something_to_say() -> None:
    """A case that passed by an exception says who allowed it until when, and has no failure."""
    case = only(Standing.EXCEPTED)
    assert (case.outcome, case.message, case.details) == (JunitOutcome.PASSED, "", "")
    assert case.output.splitlines()[-1] == (
        "  allowed by ops@example.org until 2026-12-31T00:00:00.000000Z: needed until the next release"
    )


def test_no_check_is_no_suite() -> None:
    """A report without results has no suite: there is nothing that could have passed."""
    assert junit(checked()) == ()
