"""What `coverage json` writes (coverage.py, JSON format 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping

from attest.adapters.reports.common import (
    Content,
    ReportInvalid,
    a_number,
    agree,
    an_array,
    an_object,
    tool_name,
)
from attest.core.lane.testreport import Coverage, Format
from attest.core.strictjson import Json


def read_coverage_py(document: Mapping[str, Json]) -> Content:
    """What the document says, counted from its lines and branches.

    Raises:
        ReportInvalid: it is none, or its totals contradict its files.
    """
    meta = an_object(document["meta"], "meta")
    files = an_object(document["files"], "files")
    totals = an_object(document["totals"], "totals")
    executed = missing = taken = not_taken = 0
    for name, item in files.items():
        file = an_object(item, f"files.{name[:80]}")
        lines = _lines(file, "executed_lines"), _lines(file, "missing_lines")
        if lines[0] & lines[1]:
            raise ReportInvalid(f"a line of {name[:80]!r} is both executed and missing")
        executed, missing = executed + len(lines[0]), missing + len(lines[1])
        taken += _branches(file, "executed_branches")
        not_taken += _branches(file, "missing_branches")
    agree("covered lines", claimed=a_number(totals.get("covered_lines"), "totals.covered_lines"), found=executed)
    agree(
        "statements", claimed=a_number(totals.get("num_statements"), "totals.num_statements"), found=executed + missing
    )
    if "num_branches" in totals:
        branches = a_number(totals["num_branches"], "totals.num_branches")
        agree("branches", claimed=branches, found=taken + not_taken)
    return Content(
        format=Format.COVERAGE_PY,
        coverage=Coverage(covered=executed + taken, total=executed + missing + taken + not_taken),
        tool=tool_name("coverage.py", meta.get("version")),
    )


def _lines(file: Mapping[str, Json], name: str) -> frozenset[int]:
    lines = an_array(file.get(name), name)
    found = frozenset(a_number(line, name) for line in lines)
    if len(found) != len(lines):
        raise ReportInvalid(f"{name} has a line twice")
    return found


def _branches(file: Mapping[str, Json], name: str) -> int:
    """How many branches; each is a pair of lines, the second negative where it leaves the function."""
    return len(an_array(file.get(name, []), name))
