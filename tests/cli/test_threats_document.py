"""docs/threats.md names a proof for every threat, and every proof that it names exists."""

from __future__ import annotations

import ast
import functools
import re

import pytest

from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "threats.md").read_text()
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = [line for line in DOCUMENT.splitlines() if re.match(r"\| (?!no\.|rule|measure)\S", line)]


@functools.cache
def proofs_in(path: str) -> frozenset[str]:
    """The test functions in a file."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize(("path", "name"), sorted(set(NODE.findall(DOCUMENT))))
def test_every_proof_exists(path: str, name: str) -> None:
    """The test that the document names is in the file that it names."""
    assert name in proofs_in(path)


def test_every_threat_has_a_proof() -> None:
    """Lines 1 to 24 are all there, and every row of every table names at least one test."""
    numbered = [int(match[1]) for row in ROWS if (match := re.match(r"\| (\d+) \|", row))]
    assert numbered == list(range(1, 25))
    assert [row for row in ROWS if not NODE.search(row)] == []


def test_nothing_but_tests_is_named_as_one() -> None:
    """Whatever looks like a test in the document is written so that this file finds it."""
    assert DOCUMENT.count("::test_") == len(NODE.findall(DOCUMENT))
