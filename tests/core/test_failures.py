"""What a refusal quotes of a test-result that says FAILED."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.failures import failures


@pytest.mark.parametrize(
    ("predicate", "text"),
    [
        ({}, ""),
        ({"failedTests": ["a"]}, ": 'a'"),
        ({"failedTests": ["a", "b", "c"], "attest_reasons": ["no"]}, ": 'a', 'b', 'c'"),
        ({"failedTests": ["a", "b", "c", "d", "e"]}, ": 'a', 'b', 'c' and 2 more"),
        ({"failedTests": ["a"], "attest_omittedTests": {"failedTests": 7}}, ": 'a' and 7 more"),
        ({"failedTests": list("abcd"), "attest_omittedTests": {"failedTests": 7}}, ": 'a', 'b', 'c' and 8 more"),
        ({"failedTests": ["a"], "attest_omittedTests": {"failedTests": -7}}, ": 'a'"),
        ({"failedTests": ["a"], "attest_omittedTests": {"failedTests": True}}, ": 'a'"),
        ({"failedTests": ["a"], "attest_omittedTests": 7}, ": 'a'"),
        ({"failedTests": [], "attest_reasons": ["the command ended with 2", "more"]}, ": 'the command ended with 2'"),
        ({"failedTests": [1, {}], "attest_reasons": [None]}, ""),
        ({"failedTests": "abc", "attest_reasons": "no"}, ""),
    ],
)
def test_the_first_failures_are_named(predicate: dict[str, Any], text: str) -> None:
    """The first three tests and how many more there are; without tests the first reason; else nothing."""
    assert failures(predicate) == text


@given(st.dictionaries(st.sampled_from(["failedTests", "attest_reasons"]), st.lists(st.text(max_size=500), max_size=9)))
def test_what_is_quoted_is_one_short_line(predicate: dict[str, Any]) -> None:
    """Whatever the names are, the text is short and has no control character."""
    text = failures(predicate)
    assert len(text) < 2_500
    assert text.isprintable()
