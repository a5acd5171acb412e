"""Cobertura XML, as coverage.py, istanbul, gcovr and coverlet write it (coverage-04.dtd).

The lines of each class count; those that stand a second time under its methods do not. A line that several classes of
one file name is one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from attest.adapters.reports.common import Content, ReportInvalid, tool_name
from attest.core import limits
from attest.core.lane.testreport import Coverage, Format
from attest.core.strictjson import shown

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_CONDITIONS: Final = re.compile(r"[0-9.]{1,20}% ?\(([0-9]{1,9})/([0-9]{1,9})\)")
_LINE: Final = ("class", "lines", "line")


class CoberturaReader:
    """One Cobertura document; `attest.adapters.reports.xml.Reader`."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._root: Mapping[str, str] = {}
        self._file = ""
        self._files: dict[str, dict[int, _Line]] = {}
        self._distinct = self._named = self._named_covered = 0
        """Lines as they stand, before those of one file and number are taken together."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._path.append(name)
        if len(self._path) == 1:
            self._root = attributes
        elif name == "class":
            self._file = attributes.get("filename", "")
            if not self._file or len(self._file) > limits.TEST_NAME:
                raise ReportInvalid("a class without a file name, or with one that is too long")
        elif name == "coverage":
            raise ReportInvalid("coverage in coverage")
        elif tuple(self._path[-3:]) == _LINE:
            self._line(attributes)

    def end(self, name: str) -> None:
        del name
        self._path.pop()

    def finish(self) -> Content:
        lines = [line for file in self._files.values() for line in file.values()]
        covered = sum(line.executed for line in lines)
        for claim, counted in (
            ("lines-valid", (len(lines), self._named)),
            ("lines-covered", (covered, self._named_covered)),
        ):
            if claim in self._root and _number(self._root, claim) not in counted:
                raise ReportInvalid(f"{claim} is {self._root[claim]}, and has to be {counted[0]}")
        return Content(
            format=Format.COBERTURA,
            coverage=Coverage(
                covered=covered + sum(line.taken for line in lines),
                total=len(lines) + sum(line.branches for line in lines),
            ),
            tool=tool_name("Cobertura", self._root.get("version")),
        )

    def _line(self, attributes: Mapping[str, str]) -> None:
        number = _number(attributes, "number")
        line = _read_line(attributes)
        self._named += 1
        self._named_covered += line.executed
        lines = self._files.setdefault(self._file, {})
        before = lines.get(number)
        if before is None:
            self._distinct += 1
            if self._distinct > limits.REPORT_LINES:
                raise ReportInvalid(f"more than {limits.REPORT_LINES} lines")
        else:
            line = _Line(
                executed=before.executed or line.executed,
                taken=max(before.taken, line.taken),
                branches=max(before.branches, line.branches),
            )
        lines[number] = line


class _Line(NamedTuple):
    """A line: whether it was executed, and how many of how many branches were taken."""

    executed: bool
    taken: int = 0
    branches: int = 0


_HIT: Final = _Line(executed=True)
_MISS: Final = _Line(executed=False)


def _read_line(attributes: Mapping[str, str]) -> _Line:
    executed = _number(attributes, "hits") > 0
    text = attributes.get("condition-coverage")
    if attributes.get("branch", "false").lower() != "true" or text is None:
        return _HIT if executed else _MISS
    match = _CONDITIONS.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise ReportInvalid(f"condition-coverage {shown(text)} is not read; write 50% (1/2)")
    return _Line(executed=executed, taken=int(match[1]), branches=int(match[2]))


def _number(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name)
    if text is None or _NUMBER.fullmatch(text) is None:
        raise ReportInvalid(f"{name} {shown(text)} is no natural number")
    return int(text)
