"""docs/reasons.md lists exactly the codes that the code has."""

from __future__ import annotations

import ast
import re

from attest import errors
from attest.core.identity import DIFFERS
from attest.core.verdict import Reason, State
from attest.errors import AttestError
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "reasons.md").read_text()
CODE = re.compile(r"`([a-z-]+)`")


def section(title: str) -> list[list[str]]:
    """The cells of a section's table, row by row, without its head."""
    text = DOCUMENT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 2, title
    return [[cell.strip() for cell in row] for row in rows[2:]]


def codes(cells: list[str], column: int) -> list[str]:
    """The codes in one cell."""
    return CODE.findall(cells[column])


def test_every_reason_is_described_once() -> None:
    """The three tables of reasons name each member of Reason, and nothing else."""
    described = [
        code for title in ("Of the whole release", "Of an image") for row in section(title) for code in codes(row, 0)
    ]
    described += [code for row in section("Of a lane") for code in codes(row, 1)]
    assert sorted(described) == sorted(reason.value for reason in Reason)


def test_every_state_of_a_lane_is_described() -> None:
    """The table of lanes names each state, and nothing else."""
    assert {code for row in section("Of a lane") for code in codes(row, 0)} == {state.value for state in State}


def test_every_reason_for_rejecting_is_described() -> None:
    """The table of bundles that are no evidence names each code that rejecting one can have."""
    found = {"foreign-key", "foreign-identity", *DIFFERS.values()}
    tree = ast.parse((ROOT / "attest/core/envelope.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "EnvelopeInvalid":
            assert isinstance(node.args[0], ast.Constant)
            found.add(str(node.args[0].value))
    assert {code for row in section("Of a bundle that is no evidence") for code in codes(row, 0)} == found
    verify = ast.parse((ROOT / "attest/core/verify.py").read_text())
    literals = {
        str(word.value.value)
        for node in ast.walk(verify)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rejected"
        for word in node.keywords
        if word.arg == "reason" and isinstance(word.value, ast.Constant)
    }
    assert literals == {"foreign-key", "foreign-identity"}


def test_every_error_code_is_described_with_its_exit_code() -> None:
    """The table of errors names each code, with the exit code that it ends with."""
    described = {code: int(row[1]) for row in section("Errors") for code in codes(row, 0)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AttestError)]
    assert described == {kind.code: kind.exit_code for kind in kinds}
