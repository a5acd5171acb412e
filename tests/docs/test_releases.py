"""The documents about releases and provenance show what is read, and conditions that compile."""

from __future__ import annotations

import re
from pathlib import Path

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.core.lane.provenance import BUILD_TYPE
from attest.core.releasedocument import read_release
from tests.project import ROOT

_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[str]:
    """The YAML blocks of a document."""
    found = _YAML.findall((ROOT / "docs" / name).read_text())
    assert found
    return found


def test_the_releases_that_are_shown_are_read() -> None:
    """Every release file of docs/releases.md is one."""
    for text in blocks("releases.md"):
        assert read_release(parse_document(text.encode(), file="docs/releases.md")).services


def test_the_conditions_that_are_shown_compile() -> None:
    """Every condition of docs/provenance.md is CEL, and the build type is called as the code calls it."""
    (text,) = blocks("provenance.md")
    value = parse_document(text.encode(), file="docs/provenance.md").value
    conditions = value["lanes"]["build"]["where"]
    assert len(conditions) == 3
    for condition in conditions:
        assert compile_condition(condition)
    assert f"`{BUILD_TYPE}`" in Path(ROOT / "docs" / "provenance.md").read_text()
