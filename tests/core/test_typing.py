"""A type checker refuses the mistakes that sealed types are there for."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]
MISUSE = Path(__file__).with_name("misuse.py")


def check(file: Path, cache: Path) -> tuple[str, int]:
    arguments = ["--strict", "--warn-unused-ignores", "--cache-dir", str(cache), "--config-file", "", str(file)]
    output, errors, status = api.run(arguments)
    assert not errors
    return output, status


@pytest.mark.slow
def test_a_verdict_is_no_passed_for_a_type_checker(tmp_path: Path) -> None:
    """Every misuse is an error where it is expected, and code that looks at the verdict first is none."""
    cache = ROOT / ".mypy_cache"
    output, status = check(MISUSE, cache)
    assert status == 0, output
    naked = tmp_path / "naked.py"
    text = MISUSE.read_text()
    naked.write_text("\n".join(line.partition("  # type: ignore")[0] for line in text.splitlines()))
    output, status = check(naked, cache)
    expected = {number for number, line in enumerate(text.splitlines(), 1) if "# type: ignore[" in line}
    found = {int(line.split(":")[1]) for line in output.splitlines() if ": error: " in line}
    assert status == 1
    assert found == expected
    assert len(expected) > 10
