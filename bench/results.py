"""What was measured beside what was wanted: as a table for people, as JSON for scripts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.samples import Ratio, Samples

SCHEMA: Final = "attest.bench/v1"
_WIDEST: Final = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement. `met` is None where there is no goal, or nothing could be measured."""

    what: str
    goal: str
    measured: str
    met: bool | None
    values: Mapping[str, Any] = field(default_factory=dict)
    """The numbers behind the text: seconds, bytes and counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All rows of one benchmark. `trouble` says why it could not be measured to its end."""

    name: str
    title: str
    rows: tuple[Row, ...]
    trouble: str | None = None


def seconds(samples: Samples) -> str:
    """A median with its range, in the unit that suits it."""
    unit, factor = ("s", 1.0) if samples.median >= 1 else ("ms", 1000.0)
    digits = 2 if unit == "s" else 0
    low, middle, high = (f"{value * factor:.{digits}f}" for value in (samples.low, samples.median, samples.high))
    return f"{middle} {unit} ({low}-{high})"


def times(compared: Ratio) -> str:
    """A ratio with its range."""
    return f"{compared.median:.3f} ({compared.low:.3f}-{compared.high:.3f})"


def at_most(
    what: str, compared: Ratio, bound: float | None, first: tuple[str, Samples], second: tuple[str, Samples]
) -> Row:
    """A row about two contestants whose ratio should be no higher than the bound, where there is one."""
    return Row(
        what=what,
        goal=f"{first[0]} / {second[0]}" + ("" if bound is None else f" at most {bound:g}"),
        measured=f"{times(compared)}: {seconds(first[1])} / {seconds(second[1])}",
        met=None if bound is None else compared.median <= bound,
        values={
            "ratio": compared.median,
            "bound": bound,
            "seconds": {first[0]: first[1].values, second[0]: second[1].values},
        },
    )


def missed(sections: Sequence[Section]) -> bool:
    """Whether a goal was missed."""
    return any(row.met is False for section in sections for row in section.rows)


def unmeasured(sections: Sequence[Section]) -> bool:
    """Whether something could not be measured."""
    return any(section.trouble is not None for section in sections)


def document(machine: Mapping[str, Any], sections: Sequence[Section], *, quick: bool) -> dict[str, Any]:
    """Everything as JSON values."""
    return {
        "schema": SCHEMA,
        "machine": dict(machine),
        "quick": quick,
        "benchmarks": [
            {
                "name": section.name,
                "title": section.title,
                "trouble": section.trouble,
                "rows": [
                    {
                        "what": row.what,
                        "goal": row.goal,
                        "measured": row.measured,
                        "met": row.met,
                        "values": dict(row.values),
                    }
                    for row in section.rows
                ],
            }
            for section in sections
        ],
    }


def lines(section: Section) -> Iterator[str]:
    """One section as a table for people."""
    yield f"{section.name}: {section.title}"
    if section.rows:
        yield from _table([("", "goal", "measured", "met"), *(_cells(row) for row in section.rows)])
    if section.trouble is not None:
        yield f"  NOT MEASURED: {section.trouble}"


def markdown(section: Section) -> Iterator[str]:
    """One section as a table for a document (GitHub Flavored Markdown, "Tables")."""
    yield "| | goal | measured | met |"
    yield "|---|---|---|---|"
    for row in section.rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in _cells(row))} |"
    if section.trouble is not None:
        yield ""
        yield f"Not measured: {section.trouble}"


def _cells(row: Row) -> tuple[str, str, str, str]:
    met = "-" if row.met is None else "yes" if row.met else "NO"
    return row.what, row.goal, row.measured, met


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    wrapped = [[textwrap.wrap(cell, _WIDEST) or [""] for cell in row] for row in rows]
    widths = [max(len(line) for row in wrapped for line in row[column]) for column in range(len(rows[0]))]
    for row in wrapped:
        for number in range(max(map(len, row))):
            cells = [cell[number] if number < len(cell) else "" for cell in row]
            padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
            yield "  " + "  ".join(padded).rstrip()
