"""docs/contract.md shows contracts that are read, and the table of checks that the code has.

`ATTEST_GOLDEN=write python -m pytest tests/docs/test_contract.py` writes the table anew.
"""

from __future__ import annotations

import os
import re

from attest.adapters.documents import parse_document
from attest.core.contract import read_contract
from attest.core.contract.fields import OCI_LABELS
from attest.core.contract.table import CHECKS
from tests.project import ROOT

DOCUMENT = ROOT / "docs" / "contract.md"
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\| check \| known elsewhere as \| why \| what to change \|\n(?:\|.*\n)+", re.MULTILINE)


def table() -> str:
    """The table of all checks, as the document has it."""
    lines = ["| check | known elsewhere as | why | what to change |", "|---|---|---|---|"]
    for check in CHECKS:
        aliases = ", ".join(check.aliases) or "-"
        lines.append(f"| `{check.id}` | {aliases} | {check.why} | {check.fix} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_checks_is_that_of_the_code() -> None:
    """Every check stands in the document with its other names, the reason and the remedy that the report shows."""
    text = DOCUMENT.read_text()
    if os.environ.get("ATTEST_GOLDEN") == "write":
        text = _TABLE.sub(lambda _: table(), text.replace("TABLE\n", table()))
        DOCUMENT.write_text(text)
    assert _TABLE.findall(text) == [table()]


def test_the_contracts_that_are_shown_are_read() -> None:
    """Every contract of the document is one, and has checks."""
    found = _YAML.findall(DOCUMENT.read_text())
    assert len(found) == 2
    for text in found:
        assert read_contract(parse_document(text.encode(), file="docs/contract.md")).checks


def test_every_check_has_its_parameters_described() -> None:
    """The table of parameters names each check, once."""
    text = DOCUMENT.read_text()
    section = text[text.index("## What each check takes") : text.index("**Paths**")]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    named = [name for cell in cells for name in re.findall(r"`([a-z]+\.[a-z_]+)`", cell)]
    assert sorted(named) == sorted(check.id for check in CHECKS)


def test_the_standard_labels_are_named() -> None:
    """The document names each label that `label.required: true` asks for."""
    text = DOCUMENT.read_text()
    sentence = text[text.index("**`label.required: true`**") : text.index("Labels of the configuration count")]
    for label in OCI_LABELS:
        assert f"`{label.removeprefix('org.opencontainers.image.')}`" in sentence
