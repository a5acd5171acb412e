"""`python -m bench`: measure, and show what was measured beside what was wanted.

Exit codes: 0 every goal that was measured is met; 1 one is missed, or, where CI is set, could not be measured;
2 the command line is wrong; 3 a benchmark broke down.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attest.errors import AttestError
from bench import core, crowd, fullset, imagefacts, keyless, loading, machine, promotion, signing, traffic
from bench.processes import BenchError
from bench.results import Row, Section, document, lines, markdown, missed, unmeasured
from bench.stage import Absent, Stage
from tests.parts.process import PartError

_MET: Final = 0
_MISSED: Final = 1
_BROKEN: Final = 3

BENCHMARKS: Final[Mapping[str, tuple[str, Callable[[Stage], Iterator[Row]]]]] = {
    "requests": (traffic.TITLE, traffic.measure),
    "full-set": (fullset.TITLE, fullset.measure),
    "keyless": (keyless.TITLE, keyless.measure),
    "sign": (signing.TITLE, signing.measure),
    "core": (core.TITLE, core.measure),
    "crowd": (crowd.TITLE, crowd.measure),
    "promotion": (promotion.TITLE, promotion.measure),
    "image-facts": (imagefacts.TITLE, imagefacts.measure),
    "imports": (loading.TITLE, loading.measure),
}
"""By name: what is measured, and how."""


def arguments_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure attest beside cosign, or beside a physical limit, in the same run.",
        epilog="Benchmarks: " + "; ".join(f"{name} ({title})" for name, (title, _) in BENCHMARKS.items()),
    )
    parser.add_argument(
        "--only", nargs="+", choices=sorted(BENCHMARKS), metavar="NAME", help="these benchmarks, not all"
    )
    parser.add_argument(
        "--format",
        choices=["text", "json", "markdown"],
        default="text",
        help="for people, for scripts, or for docs/performance.md",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few runs and small crowds: shows that it works, measures nothing"
    )
    return parser.parse_args(arguments)


def measured(name: str, stage: Stage, tell: Callable[[str], None]) -> Section:
    """One benchmark. What it cannot measure, for lack of a part, is its trouble; rows that it had by then stay."""
    title, measure = BENCHMARKS[name]
    rows: list[Row] = []
    trouble = None
    try:
        for row in measure(stage):
            rows.append(row)
            tell(f"{name}: {row.what}: {row.measured}")
    except Absent as absent:
        trouble = str(absent)
    return Section(name=name, title=title, rows=tuple(rows), trouble=trouble)


def exit_code(sections: Sequence[Section], *, in_ci: bool) -> int:
    """Whether every goal is met; in CI one that could not be measured counts as missed."""
    return _MISSED if missed(sections) or (in_ci and unmeasured(sections)) else _MET


def main(arguments: Sequence[str]) -> int:
    """Measure and report; the exit code."""
    asked = arguments_of(arguments)
    described = machine.describe()
    names = [name for name in BENCHMARKS if asked.only is None or name in asked.only]
    sections: list[Section] = []
    if asked.format != "json":
        print(*machine.lines(described), sep="\n")
        if asked.quick:
            print("quick: too few runs to say anything about time")
    with tempfile.TemporaryDirectory(prefix="attest-bench-") as folder:
        stage = Stage(Path(folder), quick=asked.quick)
        try:
            for name in names:
                sections.append(measured(name, stage, _tell))
                if asked.format == "text":
                    print("", *lines(sections[-1]), sep="\n", flush=True)
                elif asked.format == "markdown":
                    print("", f"## {name}", "", *markdown(sections[-1]), sep="\n", flush=True)
        except (BenchError, PartError, AttestError) as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            return _BROKEN
        finally:
            stage.close()
    if asked.format == "json":
        print(json.dumps(document(described, sections, quick=asked.quick), indent=2))
    return exit_code(sections, in_ci=bool(os.environ.get("CI")))


def _tell(text: str) -> None:
    print(f"  ... {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
