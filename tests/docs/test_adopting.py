"""docs/adopting.md is true: its commands parse, its rules are a policy's, and what it names is there."""

from __future__ import annotations

import re
import shlex
from typing import Final

import pytest

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from tests.cli.test_help import parse
from tests.project import ROOT

DOCUMENT: Final = (ROOT / "docs" / "adopting.md").read_text()
EXAMPLE: Final = ROOT / "examples" / "playlist"


def blocks(language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every command line that is shown."""
    return [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("line", commands())
def test_a_command_parses(line: str) -> None:
    """A command line that is shown has only options that exist."""
    parse(shlex.split(line))


def test_there_is_a_section_for_each_part() -> None:
    """The table's eight rows lead to eight sections, in their order."""
    rows = re.findall(r"^\| (\d) \| \[(.*?)\]\(#(.*?)\)", DOCUMENT, re.MULTILINE)
    titles = re.findall(r"^## (\d)\. (.*)$", DOCUMENT, re.MULTILINE)
    assert [number for number, _, _ in rows] == [str(number) for number in range(1, 9)]
    assert [(number, name.lower()) for number, name, _ in rows] == [(number, title.lower()) for number, title in titles]
    assert [anchor for _, _, anchor in rows] == [
        f"{number}-{title.lower().replace(',', '').replace(' ', '-')}" for number, title in titles
    ]
    assert DOCUMENT.count("**What it changes**") == len(rows)


def test_the_rule_is_that_of_the_example() -> None:
    """The conditions compile, and the lane is that of the example."""
    (shown,) = blocks("yaml")
    document = parse_document(shown.encode(), file="docs/adopting.md").value
    example = parse_document((EXAMPLE / "policies" / "promote.yaml").read_bytes(), file="promote.yaml").value
    assert isinstance(document, dict)
    assert isinstance(example, dict)
    rule = document["lanes"]["integration"]
    assert rule == example["lanes"]["integration"]
    for text in rule["where"]:
        assert compile_condition(text).text == text


def test_the_codes_are_codes() -> None:
    """Every code of the last table stands in docs/reasons.md."""
    (_, table) = DOCUMENT.split("## When something is in the way")
    codes = re.findall(r"`([a-z-]+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    assert len(codes) == 8
    reasons = (ROOT / "docs" / "reasons.md").read_text()
    assert [code for code in codes if f"`{code}`" not in reasons] == []


def test_what_is_linked_is_there() -> None:
    """Every file that the document leads to is in the project."""
    links = re.findall(r"\]\((?!#)([^)#]+)", DOCUMENT)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
