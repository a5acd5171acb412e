"""docs/ledger.md shows a true record, commands that exist, and every fault; its role is tested in tests/ledger."""

from __future__ import annotations

import re

from attest.core.delivery.records import read_delivery
from attest.core.ledger.chain import Fault, breaches, read_record
from attest.core.ledger.head import PREDICATE, TYPE
from tests.cli.test_help import parse
from tests.project import ROOT

TEXT = (ROOT / "docs/ledger.md").read_text()


def test_the_record_that_is_shown_is_one() -> None:
    """The record of the document is the first of a whole ledger, and of a type that deployments have."""
    (shown,) = re.findall(r"^```json\n(.*?)\n```$", TEXT, re.MULTILINE)
    record = read_record(shown.encode())
    assert list(breaches([record])) == []
    assert read_delivery(record) is not None


def test_the_commands_that_are_shown_exist() -> None:
    """Every command line of the document parses."""
    lines = re.findall(r"^    (attest .*)$", TEXT, re.MULTILINE)
    assert len(lines) > 6
    for line in lines:
        parse(line.split())


def test_every_fault_is_explained() -> None:
    """The table of faults has a row for each code, and names no other."""
    assert set(re.findall(r"^\| `([a-z]+)` \| [^|]+ \|$", TEXT, re.MULTILINE)) >= {fault.value for fault in Fault}
    table = TEXT.partition("| fault |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z]+)`", table, re.MULTILINE)) == {fault.value for fault in Fault}


def test_the_formats_are_called_as_in_the_code() -> None:
    """The predicate type and the artifact type of signed heads are those of the code."""
    assert f"`{PREDICATE}`" in TEXT
    assert f"`{TYPE}`" in TEXT
