"""What the readers of all formats share: their error, their collection of cases, and how totals are compared."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from attest.core import limits
from attest.core.lane.testreport import Case, Coverage, Format, Outcome
from attest.core.strictjson import Json, shown


class ReportInvalid(ValueError):
    """The bytes are no report that a result may be computed from. `line` and `column` count from 1."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a report says, as `attest.core.lane.testreport.Report` has it."""

    format: Format
    cases: tuple[Case, ...] | None = None
    problems: tuple[str, ...] = ()
    coverage: Coverage | None = None
    tool: str | None = None


class Cases:
    """Collects cases within the limits."""

    def __init__(self) -> None:
        self._cases: list[Case] = []

    def __len__(self) -> int:
        return len(self._cases)

    def add(self, name: str, outcome: Outcome) -> None:
        """One more.

        Raises:
            ReportInvalid: there are too many, or it has no name, or a name that is too long.
        """
        if len(self._cases) >= limits.REPORT_CASES:
            raise ReportInvalid(f"more than {limits.REPORT_CASES} cases")
        self._cases.append(Case(checked_name(name), outcome))

    def all(self) -> tuple[Case, ...]:
        """What was collected."""
        return tuple(self._cases)


def checked_name(name: str) -> str:
    """The name as it is.

    Raises:
        ReportInvalid: it is empty, or longer than `limits.TEST_NAME` characters.
    """
    if not name.strip():
        raise ReportInvalid("a case without a name")
    if len(name) > limits.TEST_NAME:
        raise ReportInvalid(f"the name {shown(name)} has more than {limits.TEST_NAME} characters")
    return name


def joined(*parts: str) -> str:
    """The name of a case in its suites, as people read it."""
    return " > ".join(part for part in parts if part)


def agree(what: str, *, claimed: int, found: int) -> None:
    """Compare a number that the report claims with what is in it.

    Raises:
        ReportInvalid: they differ: something was left out, or the report was written by two that disagree.
    """
    if claimed != found:
        raise ReportInvalid(f"it says {claimed} {what}, and has {found}")


def tool_name(name: Json, version: Json) -> str | None:
    """Name and version of a tool where they are given, on one line and short."""
    parts = [part for part in (name, version) if isinstance(part, str) and part]
    return " ".join(parts)[:200] if isinstance(name, str) and name else None


def an_object(value: Json, where: str) -> Mapping[str, Json]:
    """The JSON object that has to stand there.

    Raises:
        ReportInvalid: something else does.
    """
    if not isinstance(value, dict):
        raise ReportInvalid(f"{where} is not an object")
    return value


def an_array(value: Json, where: str) -> list[Json]:
    """The JSON array that has to stand there.

    Raises:
        ReportInvalid: something else does.
    """
    if not isinstance(value, list):
        raise ReportInvalid(f"{where} is not an array")
    return value


def a_text(value: Json, where: str) -> str:
    """The string that has to stand there.

    Raises:
        ReportInvalid: something else does.
    """
    if not isinstance(value, str):
        raise ReportInvalid(f"{where} is not a string")
    return value


def a_word(value: Json, known: Container[str], where: str) -> str:
    """The word that has to be one of those that are known.

    Raises:
        ReportInvalid: it is another, or no string.
    """
    if not isinstance(value, str) or value not in known:
        raise ReportInvalid(f"{where} {shown(value)} is not known")
    return value


def a_number(value: Json, where: str) -> int:
    """The natural number that has to stand there.

    Raises:
        ReportInvalid: something else does.
    """
    if type(value) is not int or value < 0:
        raise ReportInvalid(f"{where} is no natural number")
    return value
