"""Successes in a row, and the difference between a bad release and one that nobody could look at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.environment.health import NOT_LOOKED, Health, Look, ProbeResult, ProbeRule, is_settled, timed_out

RULE = ProbeRule(
    successes=3, timeout=timedelta(seconds=60), interval=timedelta(seconds=1), patience=timedelta(seconds=5)
)
GOOD, BAD, BLIND = Health.HEALTHY, Health.UNHEALTHY, Health.ERROR


def after(looks: Iterable[Health]) -> ProbeResult:
    """The result after these looks."""
    result = NOT_LOOKED
    for health in looks:
        result = result.then(Look(health=health, detail=f"it is {health}"))
    return result


@given(st.lists(st.sampled_from(Health), max_size=12))
def test_it_is_settled_by_so_many_successes_in_a_row_at_the_end(looks: list[Health]) -> None:
    """Any other look in between, also one that could not be made, starts the count anew."""
    assert is_settled(after(looks), RULE) == (looks[-3:] == [GOOD] * 3)


@pytest.mark.parametrize(
    ("looks", "expected", "detail"),
    [
        ([], BLIND, "not healthy within 60 s; at last: nobody looked"),
        ([BAD], BAD, "not healthy within 60 s; at last: it is unhealthy"),
        ([GOOD, GOOD, BAD], BAD, "not healthy within 60 s; at last: it is unhealthy"),
        ([BAD, BLIND], BLIND, "not healthy within 60 s; at last: it is error"),
        ([BAD, GOOD, GOOD], BAD, "2 of 3 successes in a row within 60 s"),
        ([GOOD, GOOD], BLIND, "2 of 3 successes in a row within 60 s"),
    ],
)
def test_a_probe_whose_time_is_over_says_what_it_saw_last(looks: list[Health], expected: Health, detail: str) -> None:
    """Too late is a bad release only where the service was seen to be bad; otherwise nobody can tell."""
    result = timed_out(after(looks), RULE)
    assert (result.health, result.detail) == (expected, detail)
    assert result.looks == len(looks)


@given(st.lists(st.sampled_from([GOOD, BLIND]), max_size=8))
def test_a_service_that_was_never_seen_to_be_bad_is_not_called_bad_for_want_of_looks(looks: list[Health]) -> None:
    """Where all looks were good there were too few of them; where the last one failed to be made, it says so."""
    if looks[-1:] == [BLIND] or BLIND not in looks:
        assert timed_out(after(looks), RULE).health is BLIND
