"""The test-result of a contract's checks: names, counts, reasons, and what everything was made with."""

from __future__ import annotations

import pytest

from attest.core.contract.finding import Check, ExemptionUse, Standing, Use
from attest.core.contract.report import Checked
from attest.core.contract.result import NotDecided, contract_result, reasons
from attest.core.predicates import TEST_RESULT, result_of
from tests.core.make_contract import ARM, EXEMPTION, SETID, USED, USER, checked, everything, finding, result


def test_a_failure_is_told_whole() -> None:
    """FAILED names each check once, counts every platform, and names contract, lock and tool by digest."""
    predicate = contract_result(everything(), url="https://ci.example.org/run/7")
    assert result_of(TEST_RESULT, predicate) is not None
    assert predicate["result"] == "FAILED"
    assert predicate["failedTests"] == ["user.nonroot", "lock.drift"]
    assert (predicate["warnedTests"], predicate["passedTests"]) == ([], ["file.setid"])
    assert predicate["attest_counts"] == {"passed": 2, "warned": 0, "failed": 2, "skipped": 1}
    assert predicate["attest_platforms"] == ["linux/amd64", "linux/arm64"]
    assert predicate["url"] == "https://ci.example.org/run/7"
    assert predicate["attest_reasons"] == ["2 of 3 checks failed: user.nonroot, lock.drift"]
    assert predicate["configuration"] == [
        {"name": "contract.yaml", "digest": {"sha256": 64 * "3"}, "annotations": {"role": "contract"}},
        {"name": "contract.lock.json", "digest": {"sha256": 64 * "4"}, "annotations": {"role": "lock"}},
        {
            "name": "attest",
            "uri": "pkg:generic/attest@0.1.0",
            "annotations": {"version": "0.1.0"},
            "digest": {"dirHash": 64 * "a"},
        },
    ]


def test_exceptions_are_told() -> None:
    """What an exception allows has passed; exceptions that were used are told with owner, reason and expiry."""
    unused = ExemptionUse(exemption=EXEMPTION, use=Use.UNUSED, findings=0)
    predicate = contract_result(checked(result(SETID, finding(standing=Standing.EXCEPTED)), uses=[USED, unused]))
    assert (predicate["result"], predicate["passedTests"]) == ("PASSED", ["file.setid"])
    assert predicate["attest_reasons"] == ["1 check passed, 1 of them by exceptions"]
    assert predicate["attest_exceptions"] == [
        {
            "id": "file.setid",
            "path": "/usr/bin/*",
            "reason": "needed until the next release",
            "owner": "ops@example.org",
            "expires": "2026-12-31T00:00:00.000000Z",
        }
    ]


def test_a_warning_warns() -> None:
    """A check that only warned, on any platform, makes the result WARNED."""
    warned = result(SETID, finding(standing=Standing.WARNING, platform=ARM), platform=ARM)
    predicate = contract_result(checked(result(USER), result(SETID), warned))
    assert (predicate["result"], predicate["warnedTests"]) == ("WARNED", ["file.setid"])
    assert predicate["attest_reasons"] == ["1 of 2 checks warned: file.setid"]


@pytest.mark.parametrize("report", [checked(), checked(result(SETID, finding(standing=Standing.UNDECIDED)))])
def test_what_is_undecided_is_not_signed(report: Checked) -> None:
    """There is no test-result of a report that could not be decided, or that made no check."""
    with pytest.raises(NotDecided):
        contract_result(report)


def test_reasons_are_never_empty() -> None:
    """Whatever a report says, there is a reason; many names are cut short, and what is undecided is told."""
    many = [result(Check(id=f"a.{name}", aliases=(), why="", fix=""), finding()) for name in "abcdefg"]
    undecided = result(USER, finding(USER, standing=Standing.UNDECIDED))
    assert reasons(checked(*many, undecided)) == (
        "7 of 8 checks failed: a.a, a.b, a.c, a.d, a.e and 2 more",
        "1 of 8 checks could not be decided: user.nonroot",
    )
    assert reasons(checked(result(USER), result(SETID))) == ("2 checks passed",)
    assert reasons(checked()) == ("no check was made",)
